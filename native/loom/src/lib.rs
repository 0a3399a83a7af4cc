//! The table of the replay filter under the model checker: every interleaving, and every value that the memory model
//! lets a load return, for a few threads and a few slots.
//!
//! Loom treats a `SeqCst` access as acquire and release only. What is shown here therefore needs no more than that: the
//! promises rest on each slot's era, not on the order of accesses to different words.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release`; without the flag there is nothing here.
#![cfg(loom)]

pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

#[allow(dead_code, reason = "the models do not use all of it")]
#[path = "../../core/src/replay/table.rs"]
mod table;

#[cfg(test)]
mod models;
