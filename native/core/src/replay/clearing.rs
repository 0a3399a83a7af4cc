//! Clearing ahead of need: who does it, which table, and what is forgotten by it.
//!
//! One process holds a lease, taken by compare-and-swap and dated by the boot-time clock, and clears in slices from a
//! timer. The lease saves work, it does not make anything safe: [`super::table`] bears any number of clearers at once, so
//! when the holder is stopped or killed another takes over where it was, and it may wake up at any point.
//!
//! A table is cleared for generation g in two cases only:
//! - what it holds is older than every call in time: at most g - 4 (see [`super::window`]);
//! - what it holds lies so far ahead that only a wrong clock can have opened it, and nothing was claimed that late
//!   (*lowering*). A later generation that was used is kept: its calls are refused again when their time comes.
//!
//! Before it opens, the `floor` rises to the highest `created` that may have been cleared: the latest ever claimed, but no
//! more than the last of g - 4, unless something was claimed in what was lowered. By then no claim of what it held can succeed any more: a claim
//! first makes its `created` known and then looks at the header once more.

use std::sync::atomic::{AtomicU64, Ordering};

use super::clock;
use super::filter::Filter;
use super::layout::at;
use super::table::{Header, Slice, State, Table};
use super::window::TABLES;
use crate::time::Now;

/// What a step did, and whether another is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClearProgress {
    /// Every table that can be needed until the next generation begins is open.
    Ready,
    /// So many slots were cleared; more remain, call again soon.
    Cleared(usize),
    /// Another process is clearing.
    Elsewhere,
    /// The gate is closed because the wall clock jumped; nothing is cleared by a clock that is not believed.
    ClockUnsafe,
}

const LEASE_MAX_MS: u64 = 1000;
const LEASE_MIN_MS: u64 = 50;
const OWNER_BITS: u32 = 22;
const NANOS_PER_MS: u64 = 1_000_000;
/// A clock that steps back by W or less makes at most four generations look as if they lay ahead; they are left alone.
const AHEAD: u64 = 4;

/// What a table needs before it can serve a generation.
enum Need {
    Nothing,
    Finish(Header),
    Begin(Header, State),
}

impl Filter {
    /// Does up to `max_slots` slots of the clearing that is due, if it falls to this process. For a timer in every
    /// worker, never inside a call.
    #[must_use]
    pub fn clear_step(&self, now: Now, max_slots: usize) -> ClearProgress {
        let words = self.words();
        let watch = clock::needs_watching(words, &self.window, now);
        if !watch && self.next_due(now).is_none() {
            return ClearProgress::Ready;
        }
        if !self.take_lease(now) {
            return ClearProgress::Elsewhere;
        }
        if watch && !clock::watch(words, &self.window, now) {
            return ClearProgress::ClockUnsafe;
        }
        let mut cleared = 0;
        while let Some((generation, need)) = self.next_due(now) {
            if cleared >= max_slots {
                return ClearProgress::Cleared(cleared);
            }
            cleared += self.advance(generation, need, max_slots - cleared);
        }
        ClearProgress::Ready
    }

    /// Slots per step such that, with a step every `interval_ms`, a table is cleared in a quarter of a generation.
    #[must_use]
    pub fn slots_per_step(&self, interval_ms: u64) -> usize {
        let steps = (self.window.generation_s() * 1000 / 4 / interval_ms.max(1)).max(1);
        self.layout.slots().div_ceil(usize::try_from(steps).unwrap_or(usize::MAX)).max(1024)
    }

    /// The generation that is needed most urgently and whose table cannot serve it yet: calls of this moment first, then
    /// older ones, the next generation last.
    fn next_due(&self, now: Now) -> Option<(u64, Need)> {
        let newest = self.window.newest(now.unix_s());
        let older = (newest.saturating_sub(2)..=newest).rev();
        older.chain([newest + 1]).find_map(|generation| match self.need(generation, newest) {
            Need::Nothing => None,
            need => Some((generation, need)),
        })
    }

    fn need(&self, generation: u64, newest: u64) -> Need {
        let words = self.words();
        let refused_below = words[at::FLOOR].load(Ordering::SeqCst).max(words[at::FENCE].load(Ordering::Acquire));
        if self.window.last_created(generation) <= refused_below {
            return Need::Nothing;
        }
        let header = self.layout.table(words, index(generation)).header();
        let (holds, state) = (header.generation(), header.state());
        let clearing = matches!(state, State::Clearing | State::Lowering);
        if holds == generation && state != State::Unused {
            return if clearing { Need::Finish(header) } else { Need::Nothing };
        }
        // What was owed to the floor when a clearing began is still owed when it is begun anew.
        if holds <= generation {
            let owed = if state == State::Lowering { State::Lowering } else { State::Clearing };
            return Need::Begin(header, owed);
        }
        let left_alone = holds <= newest + AHEAD;
        let claimed = words[at::LATEST].load(Ordering::SeqCst) >= self.window.first_created(holds);
        if left_alone || (claimed && !clearing) {
            return Need::Nothing;
        }
        Need::Begin(header, State::Lowering)
    }

    /// Slots looked at.
    fn advance(&self, generation: u64, need: Need, max_slots: usize) -> usize {
        let words = self.words();
        let table = self.layout.table(words, index(generation));
        let clearing = match need {
            Need::Nothing => return 0,
            Need::Finish(clearing) => clearing,
            Need::Begin(seen, state) => {
                let Some(begun) = table.begin_clearing(seen, generation, state) else { return 0 };
                self.settled(&table, seen, begun)
            }
        };
        match table.clear_slice(clearing, max_slots) {
            Slice::Part(slots) => slots,
            Slice::Gone => 0,
            Slice::Last(slots) => {
                self.forget_counts(index(generation));
                self.raise_floor(clearing);
                table.open(clearing);
                slots
            }
        }
    }

    /// A lowering owes the floor nothing if, now that no claim of what the table held succeeds any more, there was none.
    /// Whoever takes over before this is known raises the floor.
    fn settled(&self, table: &Table<'_>, seen: Header, begun: Header) -> Header {
        let claimed = self.words()[at::LATEST].load(Ordering::SeqCst) >= self.window.first_created(seen.generation());
        let owes_nothing = begun.state() == State::Lowering && seen.state() == State::Open && !claimed;
        if owes_nothing { table.settle(begun).unwrap_or(begun) } else { begun }
    }

    fn raise_floor(&self, clearing: Header) {
        let words = self.words();
        let latest = words[at::LATEST].load(Ordering::SeqCst);
        let cleared = match (clearing.state(), clearing.generation().checked_sub(TABLES)) {
            (State::Lowering, _) => latest,
            (_, Some(oldest)) => latest.min(self.window.last_created(oldest)),
            (_, None) => return,
        };
        words[at::FLOOR].fetch_max(cleared, Ordering::SeqCst);
    }

    /// Before the table opens. A clearer that is late may take away counts of the next generation: they are approximate.
    fn forget_counts(&self, index: usize) {
        let words = self.words();
        let claims = self.layout.fill(words, index).swap(0, Ordering::Relaxed);
        words[at::CLAIMS_BEFORE].fetch_add(claims, Ordering::Relaxed);
        self.layout.key_counts(words, index).reset();
    }

    /// The lease word: deadline in milliseconds of the boot clock, then the owner.
    fn take_lease(&self, now: Now) -> bool {
        let lease = &self.words()[at::LEASE];
        let now_ms = now.boot_ns / NANOS_PER_MS;
        let held = lease.load(Ordering::Acquire);
        let (deadline_ms, owner) = (held >> OWNER_BITS, held & ((1 << OWNER_BITS) - 1));
        if owner != self.owner && deadline_ms > now_ms {
            return false;
        }
        let length_ms = (self.window.generation_s() * 1000 / 8).clamp(LEASE_MIN_MS, LEASE_MAX_MS);
        let taken = (now_ms + length_ms) << OWNER_BITS | self.owner;
        lease.compare_exchange(held, taken, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    pub(super) fn owner_of(process: u32) -> u64 {
        u64::from(process) & ((1 << OWNER_BITS) - 1)
    }
}

/// The table of a generation.
pub(super) fn index(generation: u64) -> usize {
    (generation % TABLES) as usize
}

/// Claims of all generations that were cleared.
pub(super) fn claims_before(words: &[AtomicU64]) -> u64 {
    words[at::CLAIMS_BEFORE].load(Ordering::Relaxed)
}
