//! The filter as the gate uses it: claim a nonce, give it back, say how things stand.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::FixedState;

use super::layout::{Layout, at};
use super::table::{Header, Held, Mark, Refusal, State};
use super::window::{TABLES, Window};
use super::{Memory, clearing, clock, file, tag};
use crate::rejection::{Reason, Rejection};
use crate::time::Now;

/// Sizes and times that a filter is made for; a file made for others is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterSettings {
    /// Calls that one acceptance window may hold.
    pub capacity: u64,
    /// Maximum age of a signature, seconds.
    pub max_age_s: u64,
    /// How far a caller's clock may be off, seconds.
    pub clock_skew_s: u64,
}

/// What a verified signature says about its call.
#[derive(Clone, Copy, Debug)]
pub struct SignedCall<'c> {
    /// Seconds since 1970.
    pub created: u64,
    /// The key id as signed.
    pub key_id: &'c [u8],
    /// The nonce as signed.
    pub nonce: &'c [u8],
}

/// A nonce that was free and is ours now: the proof of freshness. Dropping it keeps the nonce taken.
#[derive(Debug)]
pub struct Claim {
    table: usize,
    held: Held,
}

impl Claim {
    /// Slots that were looked at, 1 to 128.
    #[must_use]
    pub fn probes(&self) -> u32 {
        self.held.probes.into()
    }
}

/// The replay filter over words that all workers share.
pub struct Filter {
    memory: Box<dyn Memory>,
    pub(super) layout: Layout,
    pub(super) window: Window,
    tag_key: [u8; 32],
    key_hash: FixedState,
    pub(super) owner: u64,
}

/// A call that is in time and whose table was open when that was judged.
pub(super) struct Begun {
    table: usize,
    header: Header,
    mark: Mark,
    key_tag: u64,
    created: u64,
}

impl Filter {
    /// Over words that [`super::initialise`] has written, by this or an earlier process, in this boot of the machine and
    /// for the same settings. `process` tells the processes of one machine apart: its id.
    ///
    /// # Errors
    /// The first thing that does not match: such words are not trusted.
    pub fn open(
        memory: Box<dyn Memory>,
        settings: &FilterSettings,
        boot_id: [u8; 16],
        process: u32,
    ) -> Result<Self, file::Untrusted> {
        let (layout, window) = file::check(memory.words(), settings, boot_id)?;
        let tag_key = file::tag_key(memory.words());
        let seed = u64::from_le_bytes(tag_key[..8].try_into().expect("eight of thirty-two bytes"));
        let key_hash = FixedState::with_seed(seed);
        Ok(Self { memory, layout, window, tag_key, key_hash, owner: Self::owner_of(process) })
    }

    /// Takes the nonce of a call whose signature has been verified, if nobody has.
    ///
    /// # Errors
    /// [`Reason::Replayed`]; or it cannot be known, and the answer is no: [`Reason::ClockUnsafe`],
    /// [`Reason::ReplayFenced`], [`Reason::ReplayNotReady`], [`Reason::ReplayFull`], [`Reason::KeyQuota`]; or the call is
    /// not in time after all.
    #[inline]
    pub fn claim(&self, now: Now, call: &SignedCall<'_>) -> Result<Claim, Rejection> {
        let begun = self.begin(now, call)?;
        self.finish(&begun)
    }

    /// Gives the nonce back, so that an honest retry may use it: only if nothing of the call was sent on and the failure
    /// was ours, and at most once per claim. False if its table was cleared in the meantime, which is as well.
    pub fn release(&self, claim: &Claim) -> bool {
        self.layout.table(self.words(), claim.table).release(&claim.held)
    }

    /// Everything that depends on the time. A process may be stopped between this and [`Filter::finish`] for as long as it
    /// likes.
    #[inline]
    pub(super) fn begin(&self, now: Now, call: &SignedCall<'_>) -> Result<Begun, Rejection> {
        let words = self.words();
        if !clock::admits(words, &self.window, now) {
            return Err(self.clock_unsafe());
        }
        self.window.judge(call.created, now.unix_s())?;
        let fence = words[at::FENCE].load(Ordering::Acquire);
        let floor = words[at::FLOOR].load(Ordering::SeqCst);
        if call.created <= fence.max(floor) {
            return Err(self.fenced(now, fence.max(floor)));
        }
        let generation = self.window.generation_of(call.created);
        let table = clearing::index(generation);
        let header = self.layout.table(words, table).header();
        if header.generation() != generation || header.state() != State::Open {
            return Err(not_ready());
        }
        if call.key_id.len() > tag::MAX_PART_BYTES || call.nonce.len() > tag::MAX_PART_BYTES {
            return Err(Rejection::new(Reason::SignatureParameters, "keyid or nonce is longer than 256 bytes"));
        }
        let mark = tag::mark(&self.tag_key, header, call.key_id, call.nonce);
        let key_tag = self.key_tag(call.key_id);
        Ok(Begun { table, header, mark, key_tag, created: call.created })
    }

    /// The claim itself.
    #[inline]
    pub(super) fn finish(&self, begun: &Begun) -> Result<Claim, Rejection> {
        let words = self.words();
        let fill = self.layout.fill(words, begun.table);
        let key = self.layout.key_counts(words, begun.table).of(begun.key_tag);
        let room = || {
            if fill.load(Ordering::Relaxed) >= self.layout.allowance() {
                return Err(self.full("half of the table's slots are taken; is `capacity` large enough?"));
            }
            if key.get() >= self.layout.key_allowance() {
                return Err(self.over_quota());
            }
            Ok(())
        };
        let latest = &words[at::LATEST];
        let remember_latest = || {
            if latest.load(Ordering::SeqCst) < begun.created {
                latest.fetch_max(begun.created, Ordering::SeqCst);
            }
        };
        let table = self.layout.table(words, begun.table);
        match table.claim(begun.header, begun.mark, room, remember_latest) {
            Err(Refusal::Replayed) => Err(Rejection::new(Reason::Replayed, "this nonce was used before")),
            Err(Refusal::Moved) => Err(not_ready()),
            Err(Refusal::Crowded) => Err(self.full("no free slot within 128; is `capacity` large enough?")),
            Err(Refusal::NoRoom(rejection)) => Err(rejection),
            Ok(held) => {
                if held.new {
                    fill.fetch_add(1, Ordering::Relaxed);
                    key.add();
                }
                Ok(Claim { table: begun.table, held })
            }
        }
    }

    /// How things stand, for metrics and for `check`.
    #[must_use]
    pub fn status(&self, now: Now) -> Status {
        let words = self.words();
        let newest = self.window.newest(now.unix_s());
        let tables: [TableStatus; TABLES as usize] = std::array::from_fn(|index| {
            let table = self.layout.table(words, index);
            let header = table.header();
            let clearing = matches!(header.state(), State::Clearing | State::Lowering);
            TableStatus {
                generation: header.generation(),
                open: header.state() == State::Open,
                fill: self.layout.fill(words, index).load(Ordering::Relaxed),
                uncleared_slots: if clearing { table.uncleared(header) as u64 } else { 0 },
            }
        });
        let refused_below = words[at::FENCE].load(Ordering::Acquire).max(words[at::FLOOR].load(Ordering::Acquire));
        // A generation that is refused as a whole gets no table: its calls are fenced, not kept waiting.
        let serves = |generation| {
            let table = &tables[clearing::index(generation)];
            table.open && table.generation == generation || self.window.last_created(generation) <= refused_below
        };
        Status {
            capacity: self.layout.capacity(),
            slots_per_table: self.layout.slots() as u64,
            bytes: self.layout.bytes() as u64,
            window_s: self.window.width_s(),
            generation_s: self.window.generation_s(),
            fence: words[at::FENCE].load(Ordering::Acquire),
            floor: words[at::FLOOR].load(Ordering::Acquire),
            clock_safe: clock::is_open(words),
            ready: clock::is_open(words) && serves(self.window.generation_of(now.unix_s())),
            newest_generation: newest,
            claims: clearing::claims_before(words) + tables.iter().map(|t| t.fill).sum::<u64>(),
            tables,
        }
    }

    #[inline]
    pub(super) fn words(&self) -> &[AtomicU64] {
        self.memory.words()
    }

    /// Not a cryptographic hash: key ids come from our own key file, and a collision would only merge two quotas.
    #[inline]
    fn key_tag(&self, key_id: &[u8]) -> u64 {
        let mut hasher = self.key_hash.build_hasher();
        hasher.write(key_id);
        hasher.finish().max(1)
    }

    #[cold]
    fn clock_unsafe(&self) -> Rejection {
        Rejection::new(Reason::ClockUnsafe, "the wall clock jumped against the boot clock by more than the window")
            .retry_after(self.seconds(self.window.width_s() + 1))
    }

    #[cold]
    fn fenced(&self, now: Now, bound: u64) -> Rejection {
        let wait = (bound + 1).saturating_sub(now.unix_s()).max(self.window.clock_skew_s() + 1);
        Rejection::with(Reason::ReplayFenced, format!("only calls created after {bound} can be known to be new"))
            .retry_after(self.seconds(wait))
    }

    #[cold]
    fn full(&self, detail: &'static str) -> Rejection {
        Rejection::new(Reason::ReplayFull, detail).retry_after(self.seconds(self.window.generation_s()))
    }

    #[cold]
    fn over_quota(&self) -> Rejection {
        Rejection::new(Reason::KeyQuota, "this key has used its half of the replay filter's table")
            .retry_after(self.seconds(self.window.generation_s()))
    }

    fn seconds(&self, seconds: u64) -> u32 {
        u32::try_from(seconds).unwrap_or(u32::MAX)
    }
}

#[cold]
fn not_ready() -> Rejection {
    Rejection::new(Reason::ReplayNotReady, "the table for this time is not open").retry_after(1)
}

/// How a filter stands at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Calls that one window may hold.
    pub capacity: u64,
    /// Slots of each table; half of them are used.
    pub slots_per_table: u64,
    /// Size of the file.
    pub bytes: u64,
    /// W, seconds.
    pub window_s: u64,
    /// G, seconds.
    pub generation_s: u64,
    /// Calls created at or before it are refused: what was seen before is not known. Seconds since 1970.
    pub fence: u64,
    /// Calls created at or before it are refused: their nonces were cleared. Seconds since 1970.
    pub floor: u64,
    /// False while the gate is closed because the wall clock jumped.
    pub clock_safe: bool,
    /// Whether a call created at this moment finds its table open, or needs none because it is fenced.
    pub ready: bool,
    /// The newest generation whose calls are in time.
    pub newest_generation: u64,
    /// Nonces claimed since the file was made.
    pub claims: u64,
    /// The four tables.
    pub tables: [TableStatus; TABLES as usize],
}

/// One table at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStatus {
    /// The generation that it serves, or is cleared for.
    pub generation: u64,
    /// Whether it takes claims.
    pub open: bool,
    /// Nonces in it.
    pub fill: u64,
    /// Slots still to be cleared before it opens.
    pub uncleared_slots: u64,
}
