//! What time it is, as an argument.
//!
//! The core never reads a clock: whoever drives it says what time it is with every call, so that tests pass time
//! instead of sleeping through it.

/// Nanoseconds in a second.
pub const NANOS_PER_S: u64 = 1_000_000_000;

/// Two readings taken together: the wall clock, which signatures are dated by, and the boot-time clock, which
/// timeouts and the guard against a jumping wall clock are measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, nanoseconds since 1970-01-01T00:00:00Z (`CLOCK_REALTIME`). A clock before 1970 reads 0.
    pub unix_ns: u64,
    /// Nanoseconds since boot, counting suspend, never set by anyone (`CLOCK_BOOTTIME`).
    pub boot_ns: u64,
}

impl Now {
    /// Wall clock in whole seconds, the unit of RFC 9421's `created` and `expires`.
    #[must_use]
    pub fn unix_s(self) -> u64 {
        self.unix_ns / NANOS_PER_S
    }
}
