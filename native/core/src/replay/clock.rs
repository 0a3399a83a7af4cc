//! The clock gate: when the wall clock jumps, freshness cannot be judged, and the answer is no.
//!
//! The boot-time clock is set by nobody and counts suspend, so wall clock minus boot clock changes only when someone sets
//! the wall clock. The file holds the difference that it started with. A claim that finds it changed by more than W
//! closes the gate for all processes (`clock-unsafe`). The clearing timer opens it again, behind a new fence, when the
//! clock has come back, or when its new difference has held still for W seconds: then somebody meant it.
//!
//! Opening loses nothing: tables and floor remember every call that was accepted, whatever the clock said then. That is
//! why a fence of an earlier opening may be replaced by a lower one; the fence of the file's creation, before which
//! nothing is known, never is.

use std::sync::atomic::{AtomicU64, Ordering};

use super::layout::at;
use super::window::Window;
use crate::time::{NANOS_PER_S, Now};

const OPEN: u64 = 0;
const CLOSED: u64 = 1;

/// Wall clock minus boot clock, nanoseconds modulo 2^64.
pub(crate) fn difference(now: Now) -> u64 {
    now.unix_ns.wrapping_sub(now.boot_ns)
}

/// Whether claims may be judged at all; closes the gate when the clock has jumped.
pub(crate) fn admits(words: &[AtomicU64], window: &Window, now: Now) -> bool {
    let open = words[at::GATE].load(Ordering::Acquire) == OPEN;
    let steady = steady(words, window, now);
    if open && !steady {
        words[at::GATE].store(CLOSED, Ordering::Release);
    }
    open && steady
}

/// Whether the clearing process has something to do here: close, open, or watch a clock that jumped.
pub(crate) fn needs_watching(words: &[AtomicU64], window: &Window, now: Now) -> bool {
    !is_open(words) || !steady(words, window, now)
}

pub(crate) fn is_open(words: &[AtomicU64]) -> bool {
    words[at::GATE].load(Ordering::Acquire) == OPEN
}

/// One look at the clock by the clearing process; true if the gate is open afterwards. A process that is killed between
/// two of these stores leaves the gate closed.
pub(crate) fn watch(words: &[AtomicU64], window: &Window, now: Now) -> bool {
    let [gate, candidate, since] =
        [at::GATE, at::CLOCK_CANDIDATE, at::CLOCK_CANDIDATE_SINCE].map(|index| &words[index]);
    if steady(words, window, now) {
        if gate.load(Ordering::Acquire) != OPEN {
            reopen(words, window, now);
        }
        return true;
    }
    gate.store(CLOSED, Ordering::Release);
    let seen = difference(now);
    let waited_ns = now.boot_ns.saturating_sub(since.load(Ordering::Relaxed));
    if since.load(Ordering::Relaxed) == 0 || apart(seen, candidate.load(Ordering::Relaxed)) > NANOS_PER_S {
        candidate.store(seen, Ordering::Relaxed);
        since.store(now.boot_ns.max(1), Ordering::Relaxed);
        return false;
    }
    if waited_ns < tolerance_ns(window) {
        return false;
    }
    words[at::CLOCK_REFERENCE].store(seen, Ordering::Release);
    reopen(words, window, now);
    true
}

fn reopen(words: &[AtomicU64], window: &Window, now: Now) {
    let first = words[at::FIRST_FENCE].load(Ordering::Relaxed);
    let fence = now.unix_s().saturating_add(window.clock_skew_s()).max(first);
    words[at::FENCE].store(fence, Ordering::Release);
    words[at::CLOCK_CANDIDATE_SINCE].store(0, Ordering::Relaxed);
    words[at::GATE].store(OPEN, Ordering::Release);
}

fn steady(words: &[AtomicU64], window: &Window, now: Now) -> bool {
    apart(difference(now), words[at::CLOCK_REFERENCE].load(Ordering::Acquire)) <= tolerance_ns(window)
}

/// W, but never so little that the reading of two clocks one after the other could exceed it.
fn tolerance_ns(window: &Window) -> u64 {
    window.width_ns().max(NANOS_PER_S)
}

fn apart(a: u64, b: u64) -> u64 {
    (a.wrapping_sub(b) as i64).unsigned_abs()
}
