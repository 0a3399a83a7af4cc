//! One table of the filter: open addressing over 64-bit slots, claimed, released and cleared by any number of processes.
//!
//! It knows eras, tags and slots, not time, keys or files. The file is also compiled into `native/loom`, which explores
//! every interleaving of small claims, releases and clearings; that is why it uses `super::atomic` and nothing else.
//!
//! # Words
//!
//! The table's header word is `generation (40 bits) | epoch (22) | state (2)`; generation and epoch together are the *era*.
//! The epoch counts clearings, so that no era ever comes back. A slot is one of
//!
//! - `era, 0, 0`: empty *in that era*. A slot that an earlier era left behind is not empty, it is not cleared yet;
//! - `tag (62 bits), released (1), 1`: a nonce of the era that its tag covers.
//!
//! # Why no replay is accepted
//!
//! Inside one era a slot only goes empty -> taken <-> released, so a claim that finds its own tag finds the earlier claim,
//! and of two that race for one slot the compare-and-swap lets one through; the other reads that slot again. A claim
//! swaps against the *empty of its own era*. So one that was stopped before its swap and wakes up in a cleared table
//! meets a word that it does not expect and is refused, and no orphan of an old era outlives a clearing. After the swap
//! the header is loaded again: a claim that a clearing has overtaken is refused too, and whoever began that clearing can
//! count on every successful claim having been seen (`super::clearing` raises the floor by that).
//!
//! A clearer that was stopped and wakes up when others have finished its work does no harm: it loads a slot, then sees
//! that the header is still that of its clearing, then swaps. What it loaded was therefore from before the table
//! opened, and such a word never comes back, so the swap of a clearer that is late fails.

use super::atomic::{AtomicU64, Ordering};

/// Slots that one claim looks at before the table counts as full: sixteen cache lines.
pub(crate) const MAX_PROBES: usize = 128;

const STATE_BITS: u64 = 0b11;
const EPOCH_SHIFT: u32 = 2;
const EPOCH_MASK: u64 = (1 << 22) - 1;
const GENERATION_SHIFT: u32 = 24;
const GENERATION_MAX: u64 = (1 << 40) - 1;
const OCCUPIED: u64 = 0b01;
const RELEASED: u64 = 0b10;
const POSITION_BITS: u32 = 42;

/// A table's header word as it was read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header(u64);

/// What a header says about its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// As the file was made: nothing was ever claimed here.
    Unused,
    /// Claims of its generation are welcome.
    Open,
    /// Being cleared for its generation.
    Clearing,
    /// Being cleared for its generation from a later one (the clock was wrong), and a claim may have slipped in.
    Lowering,
}

impl Header {
    pub(crate) fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT
    }

    pub(crate) fn state(self) -> State {
        match self.0 & STATE_BITS {
            0 => State::Unused,
            1 => State::Open,
            2 => State::Clearing,
            _ => State::Lowering,
        }
    }

    /// Generation and epoch, which no other clearing of the table shares.
    pub(crate) fn era(self) -> u64 {
        self.0 >> EPOCH_SHIFT
    }

    fn epoch(self) -> u64 {
        self.era() & EPOCH_MASK
    }

    /// The word of an empty slot in this era.
    fn empty(self) -> u64 {
        self.0 & !STATE_BITS
    }

    fn with(generation: u64, epoch: u64, state: State) -> Self {
        debug_assert!(generation <= GENERATION_MAX, "40 bits of generations last for 34,000 years of seconds");
        let state = match state {
            State::Unused => 0,
            State::Open => 1,
            State::Clearing => 2,
            State::Lowering => 3,
        };
        Self((generation & GENERATION_MAX) << GENERATION_SHIFT | (epoch & EPOCH_MASK) << EPOCH_SHIFT | state)
    }
}

/// Where a nonce of one era belongs, and what it looks like there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    home: u64,
    taken: u64,
}

impl Mark {
    /// From two independent hashes: one places, one identifies (62 of its bits are kept).
    pub(crate) fn new(home: u64, tag: u64) -> Self {
        Self { home, taken: tag & !STATE_BITS | OCCUPIED }
    }

    /// Multiply-shift: uniform over a table of any size, without a division.
    fn home_of(self, slots: usize) -> usize {
        ((u128::from(self.home) * slots as u128) >> 64) as usize
    }
}

/// A slot that a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    slot: usize,
    taken: u64,
    /// The slot was empty before: it counts for fill and quota. Not so when a released nonce is claimed again.
    pub(crate) new: bool,
    /// Slots looked at, 1 to [`MAX_PROBES`].
    pub(crate) probes: u8,
}

/// Why a claim does not get a slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal<E> {
    /// The nonce is there already.
    Replayed,
    /// The table is not, or no longer, open in the era that the claim began in.
    Moved,
    /// No empty slot among [`MAX_PROBES`].
    Crowded,
    /// The caller has no room left for a new nonce.
    NoRoom(E),
}

/// What became of a slice of clearing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slice {
    /// So many slots were looked at; more remain.
    Part(usize),
    /// The last ones were looked at: [`Table::open`] may follow.
    Last(usize),
    /// Someone else finished this clearing.
    Gone,
}

/// Borrowed words of one table.
#[derive(Clone, Copy)]
pub(crate) struct Table<'m> {
    pub(crate) header: &'m AtomicU64,
    pub(crate) cursor: &'m AtomicU64,
    pub(crate) slots: &'m [AtomicU64],
}

impl Table<'_> {
    pub(crate) fn header(&self) -> Header {
        Header(self.header.load(Ordering::SeqCst))
    }

    /// Takes a slot for `mark`, if the table is still in `seen`, the open era in which the claim began. `room` is asked
    /// only when the nonce is new; `swapped` runs between the swap and the second look at the header.
    pub(crate) fn claim<E>(
        &self,
        seen: Header,
        mark: Mark,
        room: impl Fn() -> Result<(), E>,
        swapped: impl FnOnce(),
    ) -> Result<Held, Refusal<E>> {
        let held = self.take(seen, mark, room)?;
        swapped();
        if self.header() != seen {
            return Err(Refusal::Moved);
        }
        Ok(held)
    }

    fn take<E>(&self, seen: Header, mark: Mark, room: impl Fn() -> Result<(), E>) -> Result<Held, Refusal<E>> {
        let (empty, taken) = (seen.empty(), mark.taken);
        let mut slot = mark.home_of(self.slots.len());
        for probes in 1..=MAX_PROBES.min(self.slots.len()) {
            let word = &self.slots[slot];
            let held = |new| Held { slot, taken, new, probes: probes as u8 };
            let mut found = word.load(Ordering::Acquire);
            if found == empty {
                room().map_err(Refusal::NoRoom)?;
                match word.compare_exchange(empty, taken, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(_) => return Ok(held(true)),
                    Err(winner) => found = winner,
                }
            }
            if found == taken | RELEASED {
                match word.compare_exchange(found, taken, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(_) => return Ok(held(false)),
                    Err(winner) => found = winner,
                }
            }
            if found == taken {
                return Err(Refusal::Replayed);
            }
            if found & OCCUPIED == 0 {
                return Err(Refusal::Moved);
            }
            slot = if slot + 1 == self.slots.len() { 0 } else { slot + 1 };
        }
        Err(Refusal::Crowded)
    }

    /// Gives the slot back, so that the same nonce may be claimed once more. False, and nothing happens, if the table
    /// was cleared since, or the slot is released already.
    pub(crate) fn release(&self, held: &Held) -> bool {
        self.slots[held.slot]
            .compare_exchange(held.taken, held.taken | RELEASED, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Begins to clear for `generation`; none if someone else changed the header first. From here on no claim in the
    /// era of `seen` succeeds.
    pub(crate) fn begin_clearing(&self, seen: Header, generation: u64, state: State) -> Option<Header> {
        let next = Header::with(generation, seen.epoch() + 1, state);
        self.header.compare_exchange(seen.0, next.0, Ordering::SeqCst, Ordering::SeqCst).ok().map(|_| next)
    }

    /// Turns a lowering into a plain clearing of the same era.
    pub(crate) fn settle(&self, lowering: Header) -> Option<Header> {
        let next = Header::with(lowering.generation(), lowering.epoch(), State::Clearing);
        self.header.compare_exchange(lowering.0, next.0, Ordering::SeqCst, Ordering::SeqCst).ok().map(|_| next)
    }

    /// Slots of this clearing that nobody has looked at yet.
    pub(crate) fn uncleared(&self, clearing: Header) -> usize {
        self.slots.len() - position(self.cursor.load(Ordering::Acquire), clearing)
    }

    /// Empties up to `max_slots` further slots. Whoever calls, and however often: the work is done at least once.
    pub(crate) fn clear_slice(&self, clearing: Header, max_slots: usize) -> Slice {
        let cursor = self.cursor.load(Ordering::Acquire);
        let from = position(cursor, clearing);
        let to = from.saturating_add(max_slots).min(self.slots.len());
        for word in &self.slots[from..to] {
            if !self.empty_slot(word, clearing) {
                return Slice::Gone;
            }
        }
        // Only from where this slice began: a clearer that is late must not move the cursor of the next clearing.
        let after = clearing.epoch() << POSITION_BITS | to as u64;
        let _ = self.cursor.compare_exchange(cursor, after, Ordering::AcqRel, Ordering::Relaxed);
        if to == self.slots.len() { Slice::Last(to - from) } else { Slice::Part(to - from) }
    }

    /// False if this clearing is over.
    fn empty_slot(&self, word: &AtomicU64, clearing: Header) -> bool {
        let empty = clearing.empty();
        loop {
            let found = word.load(Ordering::Acquire);
            if self.header() != clearing {
                return false;
            }
            if found == empty || word.compare_exchange(found, empty, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                return true;
            }
            // A claim or a release of the era before got in between: it will find the header changed.
        }
    }

    /// Opens the table for the generation it was cleared for, if every slot was.
    pub(crate) fn open(&self, clearing: Header) -> bool {
        let open = Header::with(clearing.generation(), clearing.epoch(), State::Open);
        self.uncleared(clearing) == 0
            && self.header.compare_exchange(clearing.0, open.0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// How far the clearing has come; the cursor of an earlier one says nothing.
fn position(cursor: u64, clearing: Header) -> usize {
    if cursor >> POSITION_BITS == clearing.epoch() { (cursor & ((1 << POSITION_BITS) - 1)) as usize } else { 0 }
}
