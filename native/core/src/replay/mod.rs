//! The replay filter: lock-free, exact, shared by all workers, reload-proof.

use std::sync::atomic::AtomicU64;

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
