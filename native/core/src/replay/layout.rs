//! Which word of the file is what.
//!
//! A header of 128 words, the key counts of four tables, then the slots of four tables. Words that every claim reads and that
//! hardly ever change share cache lines; words that claims write have one each.

use std::sync::atomic::AtomicU64;

use super::quota::{KeyCounts, PAIRS};
use super::table::Table;
use super::window::TABLES;

/// "pyprxrpl", little-endian.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"pyprxrpl");
/// Rises with every change of layout or of what a word means, the hash of key ids included.
pub(crate) const VERSION: u64 = 1;

/// Words of the header.
pub(crate) mod at {
    // What the file is: written once, read when it is opened.
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const VERSION: usize = 1;
    pub(crate) const BOOT_ID: usize = 2; // two words
    pub(crate) const CAPACITY: usize = 4;
    pub(crate) const MAX_AGE_S: usize = 5;
    pub(crate) const CLOCK_SKEW_S: usize = 6;
    pub(crate) const FIRST_FENCE: usize = 7;
    pub(crate) const TAG_KEY: usize = 8; // four words

    // What every claim reads: one cache line, then that of the tables' headers.
    pub(crate) const GATE: usize = 16;
    pub(crate) const CLOCK_REFERENCE: usize = 17;
    pub(crate) const FENCE: usize = 18;
    pub(crate) const FLOOR: usize = 19;
    pub(crate) const LATEST: usize = 20;
    pub(crate) const TABLE_HEADER: usize = 24; // four words

    // What the clearing process writes.
    pub(crate) const LEASE: usize = 32;
    pub(crate) const CLOCK_CANDIDATE: usize = 33;
    pub(crate) const CLOCK_CANDIDATE_SINCE: usize = 34;
    pub(crate) const CLAIMS_BEFORE: usize = 35;
    pub(crate) const CURSOR: usize = 40; // four words

    // What every new nonce writes: one cache line per table.
    pub(crate) const FILL: usize = 48; // 48, 56, 64, 72
    pub(crate) const FILL_STRIDE: usize = 8;
}

const HEADER_WORDS: usize = 128;
const KEY_WORDS: usize = 2 * PAIRS;
const CACHE_LINE_WORDS: usize = 8;
const WORD_BYTES: usize = 8;

/// Sizes that follow from the capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    capacity: u64,
    slots: usize,
}

impl Layout {
    /// Largest capacity that is taken: 64 GiB.
    pub const MAX_CAPACITY: u64 = 1 << 30;

    /// For `capacity` calls in one window.
    ///
    /// # Errors
    /// `capacity` is 0 or larger than [`Layout::MAX_CAPACITY`].
    pub fn new(capacity: u64) -> Result<Self, String> {
        if capacity == 0 || capacity > Self::MAX_CAPACITY {
            return Err(format!("capacity {capacity}: expected 1 to {} calls per window", Self::MAX_CAPACITY));
        }
        let slots = (2 * capacity as usize).next_multiple_of(CACHE_LINE_WORDS);
        Ok(Self { capacity, slots })
    }

    /// Words that the file has.
    #[must_use]
    pub fn words(&self) -> usize {
        HEADER_WORDS + TABLES as usize * (KEY_WORDS + self.slots)
    }

    /// Bytes that the file has: 64 x capacity, and 257 KiB.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.words() * WORD_BYTES
    }

    /// Calls that one window may hold.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Slots of one table.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// New nonces that one table takes: half its slots, so that probing stays short.
    pub(crate) fn allowance(&self) -> u64 {
        (self.slots / 2) as u64
    }

    /// New nonces that one key may claim in one table.
    pub(crate) fn key_allowance(&self) -> u64 {
        self.allowance() / 2
    }

    pub(crate) fn table<'m>(&self, words: &'m [AtomicU64], index: usize) -> Table<'m> {
        let start = HEADER_WORDS + TABLES as usize * KEY_WORDS + index * self.slots;
        Table {
            header: &words[at::TABLE_HEADER + index],
            cursor: &words[at::CURSOR + index],
            slots: &words[start..start + self.slots],
        }
    }

    pub(crate) fn key_counts<'m>(&self, words: &'m [AtomicU64], index: usize) -> KeyCounts<'m> {
        let start = HEADER_WORDS + index * KEY_WORDS;
        KeyCounts(&words[start..start + KEY_WORDS])
    }

    pub(crate) fn fill<'m>(&self, words: &'m [AtomicU64], index: usize) -> &'m AtomicU64 {
        &words[at::FILL + index * at::FILL_STRIDE]
    }
}
