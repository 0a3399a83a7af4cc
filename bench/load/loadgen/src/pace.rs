//! When calls are meant to be sent.

use std::str::FromStr;

/// Who decides when the next call is sent.
#[derive(Clone, Copy)]
pub enum Pace {
    /// The answer to the last one: as fast as the proxy can.
    Closed,
    /// A clock: callers do not wait for each other.
    Open { calls_per_s: f64, arrivals: Arrivals },
}

/// How calls of the open loop are spaced.
#[derive(Clone, Copy)]
pub enum Arrivals {
    /// Evenly.
    Constant,
    /// As from many independent callers: exponential gaps, from a fixed seed.
    Poisson,
}

impl FromStr for Arrivals {
    type Err = String;

    fn from_str(kind: &str) -> Result<Self, String> {
        match kind {
            "constant" => Ok(Self::Constant),
            "poisson" => Ok(Self::Poisson),
            _ => Err(format!("expected constant or poisson, not `{kind}`")),
        }
    }
}

/// The intended send times of the open loop, in nanoseconds since the start, one after the other.
pub struct Schedule {
    gap_ns: f64,
    arrivals: Arrivals,
    next_ns: f64,
    random: u64,
}

impl Schedule {
    pub fn new(calls_per_s: f64, arrivals: Arrivals) -> Self {
        Self { gap_ns: 1e9 / calls_per_s, arrivals, next_ns: 0.0, random: 0x2545_f491_4f6c_dd1d }
    }

    /// When the next call is due.
    pub fn due_ns(&self) -> u64 {
        self.next_ns as u64
    }

    /// The call that was due has been seen to.
    pub fn advance(&mut self) {
        self.next_ns += match self.arrivals {
            Arrivals::Constant => self.gap_ns,
            Arrivals::Poisson => -self.uniform().ln() * self.gap_ns,
        };
    }

    /// In (0, 1], by xorshift64*.
    fn uniform(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        (bits + 1) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_arrivals_keep_the_rate() {
        for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
            let mut schedule = Schedule::new(10_000.0, arrivals);
            for _ in 0..100_000 {
                schedule.advance();
            }
            let seconds = schedule.due_ns() as f64 / 1e9;
            assert!((9.8..10.2).contains(&seconds), "100,000 calls at 10,000 per second took {seconds} s");
        }
    }
}
