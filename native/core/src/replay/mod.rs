//! The replay filter: lock-free, exact, shared by all workers, reload-proof.
