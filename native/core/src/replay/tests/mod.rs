//! The promises of the filter, with time passed and memory shared between "processes" of one test.

mod clock;
mod files;
mod limits;
mod model;
mod races;
mod time;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::*;
use crate::rejection::{Reason, Rejection};
use crate::time::{NANOS_PER_S, Now};

/// Some moment, seconds since 1970; the machine had been up for [`UP`].
const T0: u64 = 1_800_000_000;
const UP: u64 = 5_000;
const MAX_AGE: u64 = 30;
const SKEW: u64 = 5;
const W: u64 = MAX_AGE + 2 * SKEW;
const G: u64 = W / 2;
const BOOT: [u8; 16] = *b"this boot's name";

/// Seconds after [`T0`], on a clock that nobody sets.
fn at(seconds: u64) -> Now {
    jumped(seconds, 0)
}

/// Seconds after [`T0`] by the boot clock, with a wall clock that was set by `jump` seconds.
fn jumped(seconds: u64, jump: i64) -> Now {
    let unix_s = (T0 + seconds).checked_add_signed(jump).unwrap();
    Now { unix_ns: unix_s * NANOS_PER_S, boot_ns: (UP + seconds) * NANOS_PER_S }
}

fn settings(capacity: u64) -> FilterSettings {
    FilterSettings { capacity, max_age_s: MAX_AGE, clock_skew_s: SKEW }
}

/// Memory as all processes of one test see it.
#[derive(Clone)]
struct Shared(Arc<Vec<AtomicU64>>, FilterSettings);

impl Shared {
    /// A fresh filter, started at `now` and cleared; fenced until its skew has passed.
    fn fresh(capacity: u64, now: Now) -> Self {
        let shared = Self::unready(settings(capacity), now, 0);
        shared.process(1).clear_all(now);
        shared
    }

    fn unready(settings: FilterSettings, now: Now, latest_before: u64) -> Self {
        let words: Vec<AtomicU64> = (0..words_needed(&settings).unwrap()).map(|_| AtomicU64::new(0)).collect();
        let birth = Birth { boot_id: BOOT, tag_key: [7; 32], latest_before };
        initialise(&words, &settings, &birth, now).unwrap();
        Self(Arc::new(words), settings)
    }

    fn process(&self, id: u32) -> Filter {
        Filter::open(Box::new(self.0.clone()), &self.1, BOOT, id).unwrap()
    }
}

/// A filter of capacity 1000 that has been up for so long that its first fence is past.
fn running() -> (Shared, Filter, u64) {
    let shared = Shared::fresh(1000, at(0));
    let filter = shared.process(2);
    let t = 2 * W;
    filter.clear_all(at(t));
    (shared, filter, t)
}

impl Filter {
    fn clear_all(&self, now: Now) {
        while let ClearProgress::Cleared(_) = self.clear_step(now, 100_000) {}
    }

    fn try_claim(&self, now: Now, created: u64, key_id: &str, nonce: &str) -> Result<Claim, Rejection> {
        self.claim(now, &SignedCall { created, key_id: key_id.as_bytes(), nonce: nonce.as_bytes() })
    }

    /// The reason of a refusal, or none.
    fn refusal(&self, now: Now, created: u64, key_id: &str, nonce: &str) -> Option<Reason> {
        self.try_claim(now, created, key_id, nonce).err().map(|rejection| rejection.reason)
    }
}

#[test]
fn a_nonce_is_claimed_once_whoever_asks() {
    let (shared, filter, t) = running();
    let created = T0 + t;
    assert_eq!(filter.refusal(at(t), created, "k", "n"), None);
    assert_eq!(filter.refusal(at(t), created, "k", "n"), Some(Reason::Replayed));
    assert_eq!(shared.process(3).refusal(at(t), created, "k", "n"), Some(Reason::Replayed));
}

#[test]
fn nonces_of_different_keys_and_different_splits_are_different() {
    let (_, filter, t) = running();
    for (key, nonce) in [("k", "n"), ("other", "n"), ("k", "m"), ("kn", ""), ("", "kn")] {
        assert_eq!(filter.refusal(at(t), T0 + t, key, nonce), None, "{key} {nonce}");
    }
}

#[test]
fn a_released_nonce_can_be_claimed_once_more_and_only_once() {
    let (_, filter, t) = running();
    let claim = filter.try_claim(at(t), T0 + t, "k", "n").unwrap();
    assert!(filter.release(&claim));
    assert!(!filter.release(&claim), "twice");
    assert_eq!(filter.refusal(at(t), T0 + t, "k", "n"), None);
    assert_eq!(filter.refusal(at(t), T0 + t, "k", "n"), Some(Reason::Replayed));
}

#[test]
fn a_dropped_claim_stays_taken() {
    let (_, filter, t) = running();
    let _: Claim = filter.try_claim(at(t), T0 + t, "k", "n").unwrap();
    assert_eq!(filter.refusal(at(t), T0 + t, "k", "n"), Some(Reason::Replayed));
}

#[test]
fn calls_that_are_not_in_time_are_refused_even_if_nobody_checked_before() {
    let (_, filter, t) = running();
    assert_eq!(filter.refusal(at(t), T0 + t + SKEW + 1, "k", "n"), Some(Reason::SignatureFuture));
    assert_eq!(filter.refusal(at(t), T0 + t - MAX_AGE - SKEW - 1, "k", "n"), Some(Reason::SignatureExpired));
}

#[test]
fn oversized_parts_are_refused_not_cut() {
    let (_, filter, t) = running();
    let long = "x".repeat(257);
    assert_eq!(filter.refusal(at(t), T0 + t, &long, "n"), Some(Reason::SignatureParameters));
    assert_eq!(filter.refusal(at(t), T0 + t, "k", &long), Some(Reason::SignatureParameters));
    let longest = "x".repeat(256);
    assert_eq!(filter.refusal(at(t), T0 + t, &longest, &longest), None);
    assert_eq!(filter.refusal(at(t), T0 + t, &longest, &longest), Some(Reason::Replayed));
}
