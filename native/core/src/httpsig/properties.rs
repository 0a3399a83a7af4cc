//! Promises that hold for every message, tried on random ones.
