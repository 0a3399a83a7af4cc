//! Each test is one promise of the table.

use std::convert::Infallible;

use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

use crate::atomic::AtomicU64;
use crate::table::{Header, Held, Mark, Refusal, Slice, State, Table};

/// Words of a table that threads share.
struct Words {
    header: AtomicU64,
    cursor: AtomicU64,
    slots: Vec<AtomicU64>,
}

impl Words {
    fn table(&self) -> Table<'_> {
        Table { header: &self.header, cursor: &self.cursor, slots: &self.slots }
    }

    fn header(&self) -> Header {
        self.table().header()
    }

    fn claim(&self, seen: Header, mark: Mark) -> Result<Held, Refusal<Infallible>> {
        self.table().claim(seen, mark, || Ok(()), || ())
    }

    /// Clears for `generation` from `seen`, or joins whoever began it, until it is open.
    fn clear(&self, seen: Header, generation: u64) {
        let table = self.table();
        let begun = table.begin_clearing(seen, generation, State::Clearing);
        let clearing = begun.unwrap_or_else(|| table.header());
        if clearing.state() == State::Clearing {
            self.finish(clearing);
        }
    }

    fn finish(&self, clearing: Header) {
        while !matches!(self.table().clear_slice(clearing, 1), Slice::Last(_) | Slice::Gone) {}
        self.table().open(clearing);
    }
}

/// A table that is open for generation 1.
fn open(slots: usize) -> Arc<Words> {
    let slots = (0..slots).map(|_| AtomicU64::new(0)).collect();
    let words = Words { header: AtomicU64::new(0), cursor: AtomicU64::new(0), slots };
    words.clear(words.header(), 1);
    assert_eq!(words.header().state(), State::Open);
    Arc::new(words)
}

/// All marks have the same home, so that they collide. The tag covers the era, as the real one does.
fn mark(era: Header, nonce: u64) -> Mark {
    Mark::new(0, era.era() << 16 | nonce << 4)
}

fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

#[test]
fn of_claims_of_one_nonce_exactly_one_wins() {
    explore(4, || {
        let words = open(2);
        let era = words.header();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let words = Arc::clone(&words);
                thread::spawn(move || words.claim(era, mark(era, 1)).is_ok())
            })
            .collect();
        let here = words.claim(era, mark(era, 1)).is_ok();
        let won = threads.into_iter().map(|thread| thread.join().unwrap()).chain([here]).filter(|&won| won).count();
        assert_eq!(won, 1);
    });
}

#[test]
fn claims_that_collide_both_win_and_both_are_remembered() {
    explore(4, || {
        let words = open(3);
        let era = words.header();
        let other = {
            let words = Arc::clone(&words);
            thread::spawn(move || words.claim(era, mark(era, 1)).is_ok())
        };
        assert!(words.claim(era, mark(era, 2)).is_ok());
        assert!(other.join().unwrap());
        for nonce in [1, 2] {
            assert_eq!(words.claim(era, mark(era, nonce)), Err(Refusal::Replayed));
        }
        assert!(words.claim(era, mark(era, 3)).is_ok());
    });
}

#[test]
fn a_replay_never_slips_into_a_table_that_is_being_or_was_cleared() {
    explore(4, || {
        let words = open(3);
        let era = words.header();
        // The nonce sits behind another one, so that the replay has to walk over a slot that is cleared early.
        words.claim(era, mark(era, 1)).unwrap();
        words.claim(era, mark(era, 2)).unwrap();
        let late = {
            let words = Arc::clone(&words);
            thread::spawn(move || words.claim(era, mark(era, 2)))
        };
        words.clear(era, 5);
        assert!(late.join().unwrap().is_err());
    });
}

#[test]
fn a_claim_that_comes_late_leaves_nothing_behind_in_a_cleared_table() {
    explore(4, || {
        let words = open(2);
        let era = words.header();
        let late = {
            let words = Arc::clone(&words);
            thread::spawn(move || {
                let _ = words.claim(era, mark(era, 1));
            })
        };
        words.clear(era, 5);
        late.join().unwrap();
        // Every slot is free in the new era.
        let now = words.header();
        for nonce in [7, 8] {
            assert!(words.claim(now, mark(now, nonce)).is_ok());
        }
    });
}

#[test]
fn a_clearer_that_comes_late_takes_nothing_from_the_open_table() {
    explore(3, || {
        let words = open(2);
        let era = words.header();
        words.claim(era, mark(era, 1)).unwrap();
        let clearing = words.table().begin_clearing(era, 5, State::Clearing).unwrap();
        let late = {
            let words = Arc::clone(&words);
            thread::spawn(move || words.finish(clearing))
        };
        words.finish(clearing);
        let now = words.header();
        let claimed = now.state() == State::Open && words.claim(now, mark(now, 1)).is_ok();
        late.join().unwrap();
        let now = words.header();
        if claimed {
            assert_eq!(words.claim(now, mark(now, 1)), Err(Refusal::Replayed));
        }
    });
}

#[test]
fn a_clearer_and_a_claim_that_both_come_late_do_no_harm_together() {
    explore(2, || {
        let words = open(2);
        let era = words.header();
        words.claim(era, mark(era, 1)).unwrap();
        let clearing = words.table().begin_clearing(era, 5, State::Clearing).unwrap();
        let late_clearer = {
            let words = Arc::clone(&words);
            thread::spawn(move || words.finish(clearing))
        };
        let late_claim = {
            let words = Arc::clone(&words);
            thread::spawn(move || words.claim(era, mark(era, 1)).is_ok())
        };
        words.finish(clearing);
        let now = words.header();
        let claimed = now.state() == State::Open && words.claim(now, mark(now, 1)).is_ok();
        late_clearer.join().unwrap();
        assert!(!late_claim.join().unwrap());
        if claimed {
            let now = words.header();
            assert_eq!(words.claim(now, mark(now, 1)), Err(Refusal::Replayed));
        }
    });
}

#[test]
fn a_released_nonce_is_claimed_again_by_exactly_one() {
    explore(4, || {
        let words = open(2);
        let era = words.header();
        let held = words.claim(era, mark(era, 1)).unwrap();
        let others: Vec<_> = (0..2)
            .map(|_| {
                let words = Arc::clone(&words);
                thread::spawn(move || words.claim(era, mark(era, 1)).is_ok())
            })
            .collect();
        assert!(words.table().release(&held));
        let won = others.into_iter().map(|thread| thread.join().unwrap()).filter(|&won| won).count();
        assert!(won <= 1);
        assert_eq!(words.claim(era, mark(era, 1)).is_ok(), won == 0, "what nobody took is free, what one took is not");
    });
}

#[test]
fn a_release_that_comes_late_gives_nothing_back_in_the_next_era() {
    explore(4, || {
        let words = open(2);
        let era = words.header();
        let held = words.claim(era, mark(era, 1)).unwrap();
        let late = {
            let words = Arc::clone(&words);
            thread::spawn(move || words.table().release(&held))
        };
        words.clear(era, 5);
        let now = words.header();
        words.claim(now, mark(now, 1)).unwrap();
        late.join().unwrap();
        assert_eq!(words.claim(now, mark(now, 1)), Err(Refusal::Replayed));
    });
}
