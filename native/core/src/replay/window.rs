//! When a signature is in time, and which generation it belongs to.
//!
//! A call is in time iff `created <= now + clock_skew` and `now <= created + max_age + clock_skew`: the last
//! W + 1 values of `created`, with W = `max_age` + 2 x `clock_skew`. Its generation is g = `created` div G with
//! G = ceil(W / 2), and its table is g mod 4.
//!
//! W + 1 consecutive integers touch at most floor((W - 1) / G) + 2 = 3 generations, because W - 1 < 2 G. So the calls in
//! time at any moment are spread over the newest generation n = (now + clock_skew) div G and the two before it, and the
//! fourth table, which is that of n + 1 and of n - 3, belongs to nobody: it can be cleared for n + 1 while n lasts.

use crate::rejection::{Reason, Rejection};
use crate::time::NANOS_PER_S;

/// Tables, and so generations that are kept apart.
pub(crate) const TABLES: u64 = 4;

/// The acceptance window. Seconds throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    max_age_s: u64,
    clock_skew_s: u64,
    /// G.
    generation_s: u64,
}

impl Window {
    /// Longest window that is taken, in seconds: a day's worth of nonces is no replay filter any more.
    pub(crate) const MAX_S: u64 = 7 * 24 * 3600;

    pub(crate) fn new(max_age_s: u64, clock_skew_s: u64) -> Result<Self, String> {
        if max_age_s > Self::MAX_S || clock_skew_s > Self::MAX_S {
            return Err(format!(
                "max_age {max_age_s} s and clock_skew {clock_skew_s} s: expected at most {} s each",
                Self::MAX_S
            ));
        }
        let width_s = max_age_s + 2 * clock_skew_s;
        Ok(Self { max_age_s, clock_skew_s, generation_s: width_s.div_ceil(2).max(1) })
    }

    /// W.
    pub(crate) fn width_s(&self) -> u64 {
        self.max_age_s + 2 * self.clock_skew_s
    }

    pub(crate) fn width_ns(&self) -> u64 {
        self.width_s() * NANOS_PER_S
    }

    pub(crate) fn max_age_s(&self) -> u64 {
        self.max_age_s
    }

    pub(crate) fn clock_skew_s(&self) -> u64 {
        self.clock_skew_s
    }

    /// G.
    pub(crate) fn generation_s(&self) -> u64 {
        self.generation_s
    }

    pub(crate) fn generation_of(&self, created: u64) -> u64 {
        created / self.generation_s
    }

    /// n: the newest generation that a call may belong to at this moment.
    pub(crate) fn newest(&self, now_s: u64) -> u64 {
        self.generation_of(now_s.saturating_add(self.clock_skew_s))
    }

    pub(crate) fn first_created(&self, generation: u64) -> u64 {
        generation.saturating_mul(self.generation_s)
    }

    pub(crate) fn last_created(&self, generation: u64) -> u64 {
        generation.saturating_add(1).saturating_mul(self.generation_s) - 1
    }

    /// Refuses what is not in time. The signature gate has judged this already, but the argument above is about
    /// calls in time, so the filter takes nobody's word for it.
    pub(crate) fn judge(&self, created: u64, now_s: u64) -> Result<(), Rejection> {
        if created > now_s.saturating_add(self.clock_skew_s) {
            return Err(Rejection::new(
                Reason::SignatureFuture,
                "created lies further ahead than the clock skew allows",
            ));
        }
        if now_s > created.saturating_add(self.max_age_s).saturating_add(self.clock_skew_s) {
            return Err(Rejection::new(
                Reason::SignatureExpired,
                "created lies further back than the maximum age allows",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_in_time_never_span_more_than_the_three_newest_generations() {
        for max_age in 0..40 {
            for skew in 0..12 {
                let window = Window::new(max_age, skew).unwrap();
                for now in 1000..1100 {
                    let newest = window.newest(now);
                    for created in 900..1200 {
                        if window.judge(created, now).is_ok() {
                            let g = window.generation_of(created);
                            assert!(
                                g <= newest && g + 2 >= newest,
                                "age {max_age} skew {skew} now {now} created {created}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn both_ends_of_the_window_are_in_time_and_the_seconds_beyond_are_not() {
        let window = Window::new(30, 5).unwrap();
        assert!(window.judge(1005, 1000).is_ok());
        assert_eq!(window.judge(1006, 1000).unwrap_err().reason, Reason::SignatureFuture);
        assert!(window.judge(965, 1000).is_ok());
        assert_eq!(window.judge(964, 1000).unwrap_err().reason, Reason::SignatureExpired);
        assert!(window.judge(u64::MAX, 1000).is_err());
        assert!(window.judge(0, u64::MAX).is_err());
    }
}
