//! The replay filter: lock-free, exact, shared by all workers, reload-proof.
//!
//! It answers one question about a call whose signature has been verified: was this nonce seen before, by any worker,
//! while it could still be accepted? It never answers "no" wrongly. When it cannot know, the call is refused.
//!
//! # How
//!
//! A nonce belongs to a *generation*, a pure function of its signed `created`, so that a replay always looks in the same
//! one of four tables ([`window`] shows why four suffice and why one is always free). A table is open addressing over
//! 64-bit slots with one compare-and-swap per claim ([`table`]; [`tag`] says what is in a slot). Nothing is ever deleted
//! from a table; as a whole it is cleared for a later generation, ahead of need and outside calls ([`clearing`]), and
//! from then on the `floor` refuses every call of the old one. [`clock`] closes the gate when the wall clock jumps, and
//! [`file`] says when what an earlier process left is believed. [`quota`] keeps one key from filling a table for all.
//!
//! # What it costs
//!
//! 64 bytes per call of capacity: four tables (three in use and one being cleared) of 2 x capacity slots (all calls of a
//! window may carry one second, and probing stays short while half the slots are free) of 8 bytes. Sizes are not rounded up to a
//! power of two; a place is found by multiply-shift. A Bloom filter would take a tenth and refuse honest calls; an LRU or
//! a map with deletion can be made to forget; a lock would stop all workers when its holder is stopped.
//!
//! The memory is the caller's ([`Memory`]); the core maps no files.

mod atomic;
mod clearing;
mod clock;
mod file;
mod filter;
mod layout;
mod quota;
mod table;
mod tag;
mod window;

#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicU64;

pub use clearing::ClearProgress;
pub use file::{Birth, Untrusted, fingerprint, initialise, latest_created, words_needed};
pub use filter::{Claim, Filter, FilterSettings, SignedCall, Status, TableStatus};
pub use layout::Layout;

/// Where the filter lives: words that every worker maps, or plain memory in tests. The same slice at every call.
pub trait Memory: Send + Sync {
    /// All words, the header first.
    fn words(&self) -> &[AtomicU64];
}

impl Memory for Vec<AtomicU64> {
    fn words(&self) -> &[AtomicU64] {
        self
    }
}

impl<M: Memory + ?Sized> Memory for std::sync::Arc<M> {
    fn words(&self) -> &[AtomicU64] {
        (**self).words()
    }
}
