//! How many new nonces each key has claimed in one table, so that no key can fill it for all.
//!
//! A small open-addressed array of (key tag, count) pairs per table. A key takes the first free pair within
//! [`MAX_PROBES`] of its home. When all of those belong to others, it is counted *together with* the key at its home: a key is
//! never counted too low, so a flood is stopped however many keys there are; the price is that beyond some thousand keys
//! in one generation two keys may share one quota. Counts are relaxed and may be off by the calls in flight; nothing but
//! fairness depends on them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Pairs per table.
pub(crate) const PAIRS: usize = 4096;
const MAX_PROBES: usize = 16;

/// The pairs of one table: tag, count, tag, count, ...
pub(crate) struct KeyCounts<'m>(pub(crate) &'m [AtomicU64]);

/// One key's count.
#[derive(Clone, Copy)]
pub(crate) struct KeyCount<'m>(&'m AtomicU64);

impl<'m> KeyCounts<'m> {
    /// The pair of a key, by a hash of its id that is not zero.
    pub(crate) fn of(&self, key_tag: u64) -> KeyCount<'m> {
        let home = key_tag as usize % PAIRS;
        for step in 0..MAX_PROBES {
            let at = (home + step) % PAIRS * 2;
            let owner = match self.0[at].load(Ordering::Relaxed) {
                0 => self.0[at]
                    .compare_exchange(0, key_tag, Ordering::Relaxed, Ordering::Relaxed)
                    .map_or_else(|winner| winner, |_| key_tag),
                owner => owner,
            };
            if owner == key_tag {
                return KeyCount(&self.0[at + 1]);
            }
        }
        KeyCount(&self.0[home * 2 + 1])
    }

    /// Forgets all keys, when the table opens for another generation.
    pub(crate) fn reset(&self) {
        for word in self.0 {
            word.store(0, Ordering::Relaxed);
        }
    }
}

impl KeyCount<'_> {
    pub(crate) fn get(self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn add(self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs() -> Vec<AtomicU64> {
        (0..PAIRS * 2).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn keys_are_counted_apart() {
        let words = pairs();
        let counts = KeyCounts(&words);
        counts.of(1).add();
        counts.of(1).add();
        counts.of(1 + PAIRS as u64).add();
        assert_eq!([counts.of(1).get(), counts.of(1 + PAIRS as u64).get(), counts.of(2).get()], [2, 1, 0]);
    }

    #[test]
    fn with_more_keys_than_pairs_no_key_is_counted_too_low() {
        let words = pairs();
        let counts = KeyCounts(&words);
        let keys = 1..=3 * PAIRS as u64;
        for key in keys.clone() {
            counts.of(key.wrapping_mul(0x9E37_79B9_7F4A_7C15)).add();
        }
        for key in keys {
            assert!(counts.of(key.wrapping_mul(0x9E37_79B9_7F4A_7C15)).get() >= 1);
        }
    }
}
