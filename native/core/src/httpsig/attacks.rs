//! Attacks on signatures, each refused for its reason.
