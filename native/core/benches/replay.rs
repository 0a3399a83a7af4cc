//! What the replay gate costs: a claim of a new nonce, of a known one, a release, a slice of clearing.
//!
//! A claim is bound by one keyed hash and, once the table outgrows the caches, one miss. The bounds (0.15 us at 10^4
//! nonces, 0.4 us at 10^7, mean probe length at most 2) are checked from these figures.

use std::sync::atomic::{AtomicU64, Ordering};

use divan::{Bencher, black_box};
use pyproxy_core::replay::{Birth, ClearProgress, Filter, FilterSettings, SignedCall, initialise, words_needed};
use pyproxy_core::time::{NANOS_PER_S, Now};

const NOW: Now = Now { unix_ns: 1_800_000_000 * NANOS_PER_S, boot_ns: 1_000 * NANOS_PER_S };
/// Past the fence that a fresh file starts with.
const CREATED: u64 = 1_800_000_006;
const AT_CLAIM: Now = Now { unix_ns: NOW.unix_ns + 10 * NANOS_PER_S, boot_ns: NOW.boot_ns + 10 * NANOS_PER_S };

const CLAIMS_PER_SAMPLE: u32 = 100;
const SAMPLES: u32 = 80;

fn main() {
    divan::main();
}

/// A filter with `nonces` claimed in the table that is measured, which holds up to twice as many.
fn filled(nonces: u64) -> Filter {
    let settings = FilterSettings { capacity: 2 * nonces, max_age_s: 30, clock_skew_s: 5 };
    let words: Vec<AtomicU64> = (0..words_needed(&settings).expect("valid")).map(|_| AtomicU64::new(0)).collect();
    let birth = Birth { boot_id: [1; 16], tag_key: [7; 32], latest_before: 0 };
    initialise(&words, &settings, &birth, NOW).expect("valid");
    let filter = Filter::open(Box::new(words), &settings, [1; 16], 1).expect("just made");
    while filter.clear_step(NOW, usize::MAX) != ClearProgress::Ready {}
    let mut probes = 0;
    for i in 0..nonces {
        let nonce = nonce(i);
        let claim = filter.claim(AT_CLAIM, &call(i, &nonce)).expect("new");
        probes += u64::from(claim.probes());
    }
    let mean = probes as f64 / nonces as f64;
    // Standard error, as the table of times on standard output is read by bench/core.
    eprintln!("{nonces} nonces: mean probe length {mean:.3}");
    assert!(mean <= 2.0, "mean probe length {mean:.3}, promised at most 2");
    filter
}

/// As long as 128 random bits in base64.
fn nonce(i: u64) -> [u8; 22] {
    let mut nonce = *b"nonce-of-a-bench------";
    nonce[14..].copy_from_slice(&i.to_le_bytes());
    nonce
}

fn call(i: u64, nonce: &[u8; 22]) -> SignedCall<'_> {
    const KEYS: [&[u8]; 4] = [b"orders-2026-a", b"orders-2026-b", b"billing-2026-a", b"billing-2026-b"];
    SignedCall { created: CREATED, key_id: KEYS[(i % 4) as usize], nonce }
}

#[divan::bench(args = [10_000, 10_000_000], sample_count = SAMPLES, sample_size = CLAIMS_PER_SAMPLE)]
fn claim_new(bencher: Bencher<'_, '_>, nonces: u64) {
    let filter = filled(nonces);
    let next = AtomicU64::new(nonces);
    bencher
        .with_inputs(|| {
            let i = next.fetch_add(1, Ordering::Relaxed);
            (i, nonce(i))
        })
        .bench_values(|(i, nonce)| filter.claim(black_box(AT_CLAIM), &call(i, &nonce)).is_ok());
}

#[divan::bench(sample_size = CLAIMS_PER_SAMPLE)]
fn refuse_replayed(bencher: Bencher<'_, '_>) {
    let filter = filled(10_000);
    let next = AtomicU64::new(0);
    bencher
        .with_inputs(|| {
            let i = next.fetch_add(7919, Ordering::Relaxed) % 10_000;
            (i, nonce(i))
        })
        .bench_values(|(i, nonce)| filter.claim(black_box(AT_CLAIM), &call(i, &nonce)).is_err());
}

#[divan::bench(sample_size = CLAIMS_PER_SAMPLE)]
fn claim_and_release(bencher: Bencher<'_, '_>) {
    let filter = filled(10_000);
    let nonce = nonce(u64::MAX);
    bencher.bench(|| {
        let claim = filter.claim(black_box(AT_CLAIM), &call(0, &nonce)).expect("released before");
        filter.release(&claim)
    });
}

/// 1024 slots, as the timer does at the least.
#[divan::bench(sample_count = 60, sample_size = 1)]
fn clear_1024_slots(bencher: Bencher<'_, '_>) {
    let filter = filled(100_000);
    let later = Now { unix_ns: NOW.unix_ns + 100 * NANOS_PER_S, boot_ns: NOW.boot_ns + 100 * NANOS_PER_S };
    bencher.bench(|| filter.clear_step(black_box(later), 1024));
}
