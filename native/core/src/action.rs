//! What the driver is to do after one event: bytes for either side and a few flags, in one reused value.
//!
//! The driver obeys and decides nothing. Order matters: first write downstream, then let go of the upstream connection,
//! then connect and write upstream, then close.

use crate::record::CallRecord;

/// What to do besides writing; a set of bits. The upstream's index, where [`Flags::CONNECT`] is set, is
/// [`Output::upstream`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// Take a connection to the upstream and write the bytes to it: a call begins.
    pub const CONNECT: Self = Self(1);
    /// With [`Flags::CONNECT`]: write what was written the last time, on a connection never used before.
    pub const RESEND: Self = Self(1 << 1);
    /// The upstream connection has finished its call and may serve another.
    pub const RELEASE: Self = Self(1 << 2);
    /// Close the upstream connection: it can serve no other call.
    pub const ABORT: Self = Self(1 << 3);
    /// Close the downstream connection once everything is written.
    pub const CLOSE: Self = Self(1 << 4);
    /// With [`Flags::CLOSE`]: the peer may still be sending. Send FIN, and discard what comes until it stops or the time is up,
    /// so that no reset destroys the answer on its way (RFC 9112 section 9.6).
    pub const LINGER: Self = Self(1 << 5);
    /// Close the downstream connection at once: the response cannot be completed.
    pub const RESET: Self = Self(1 << 6);
    /// More requests wait in the buffer: call `receive_data` with nothing once this action is carried out.
    pub const AGAIN: Self = Self(1 << 7);
    /// Stop reading downstream: what comes cannot be used yet.
    pub const PAUSE: Self = Self(1 << 8);
    /// Read downstream again.
    pub const RESUME: Self = Self(1 << 9);
    /// Send FIN upstream after the bytes: that half of a tunnel has ended.
    pub const END_UPSTREAM: Self = Self(1 << 10);
    /// Send FIN downstream after the bytes: that half of a tunnel has ended.
    pub const END_DOWNSTREAM: Self = Self(1 << 11);
    /// The bytes for upstream are the input itself, unchanged.
    pub const RELAY_UPSTREAM: Self = Self(1 << 12);
    /// The bytes for downstream are the input itself, unchanged.
    pub const RELAY_DOWNSTREAM: Self = Self(1 << 13);

    /// The bits, as the driver sees them.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the bits of `other`.
    pub fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Clears the bits of `other`.
    pub fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The outcome of one event. Owned by the worker and reused: nothing is allocated for an ordinary call.
#[derive(Debug, Default)]
pub struct Output {
    /// What to do.
    pub flags: Flags,
    /// Bytes for the caller.
    pub to_downstream: Vec<u8>,
    /// Bytes for the upstream.
    pub to_upstream: Vec<u8>,
    /// With [`Flags::CONNECT`]: index of the upstream in the settings in force.
    pub upstream: usize,
    /// Calls that ended in this event: usually none or one.
    pub ended: Vec<CallRecord>,
}

impl Output {
    /// Above this, a buffer's memory is given back instead of kept for the next event.
    const KEPT_BYTES: usize = 256 * 1024;

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flags == Flags::default() && self.to_downstream.is_empty() && self.to_upstream.is_empty()
    }

    /// Ready for the next event.
    pub fn clear(&mut self) {
        self.flags = Flags::default();
        for buffer in [&mut self.to_downstream, &mut self.to_upstream] {
            buffer.clear();
            buffer.shrink_to(Self::KEPT_BYTES);
        }
        self.ended.clear();
    }
}
