//! What happened to one call: the value that metrics, access log and (later) the audit log are made from.

use std::sync::Arc;

use crate::rejection::Rejection;

/// One finished call. Times are nanoseconds of the boot-time clock; 0 means that it did not come to that.
#[derive(Clone, Debug, Default)]
pub struct CallRecord {
    /// Index of the listener.
    pub listener: u32,
    /// Index of the route in the settings under which the call was decided, if one was found.
    pub route: Option<u32>,
    /// Name of that route, which outlives a reload.
    pub route_name: Option<Arc<str>>,
    /// Our identifier of the call: the `X-Request-Id` that the upstream sees, unless the caller signed its own.
    pub id: CallId,
    /// Where the connection came from, `address:port` or `unix`.
    pub peer: Arc<str>,
    /// Method; empty when no head could be parsed.
    pub method: String,
    /// Authority as the caller wrote it, clipped.
    pub authority: String,
    /// Path without its query, clipped.
    pub path: String,
    /// SPIFFE ID of the caller, once authenticated.
    pub principal: Option<Arc<str>>,
    /// Key id of the verified signature.
    pub key_id: Option<Arc<str>>,
    /// How freshness was shown: `claimed`, `waived`, or nothing.
    pub freshness: Option<&'static str>,
    /// Status sent downstream; 0 when the connection ended before one was sent.
    pub status: u16,
    /// Why we refused, or why the upstream's answer could not be had.
    pub rejection: Option<Rejection>,
    /// How the call ended, when it did not end well after its head was answered: `downstream-closed`, `upstream-closed`, ...
    pub ended: &'static str,
    /// Body bytes from the caller.
    pub request_body_bytes: u64,
    /// Body bytes to the caller.
    pub response_body_bytes: u64,
    /// Wall clock at the head's last byte, nanoseconds since 1970.
    pub unix_ns: u64,
    /// First byte of the head.
    pub started_ns: u64,
    /// Last byte of the head.
    pub head_ns: u64,
    /// All gates passed, or one refused. `gated_ns - head_ns` is what our own verification cost.
    pub gated_ns: u64,
    /// The request's first byte was given to an upstream connection.
    pub forwarded_ns: u64,
    /// The response head's last byte came from the upstream.
    pub response_head_ns: u64,
    /// The response's last byte was handed to the driver.
    pub finished_ns: u64,
}

/// Identifies one call: 32 hexadecimal digits, the trace id of W3C Trace Context and the request id at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallId {
    trace: [u8; 32],
    parent: [u8; 16],
}

impl CallId {
    /// Both are hexadecimal digits, and not all zero (W3C Trace Context section 3.2.2.3).
    pub(crate) fn new(trace: [u8; 32], parent: [u8; 16]) -> Self {
        Self { trace, parent }
    }

    /// The value of `X-Request-Id`.
    #[must_use]
    pub fn request_id(&self) -> &str {
        ascii(&self.trace)
    }

    /// The value of `traceparent`, 55 characters; `sampled` is the one bit that is taken over from the caller.
    #[must_use]
    pub fn traceparent(&self, sampled: bool) -> [u8; 55] {
        let mut value = *b"00-00000000000000000000000000000000-0000000000000000-00";
        value[3..35].copy_from_slice(&self.trace);
        value[36..52].copy_from_slice(&self.parent);
        value[54] = if sampled { b'1' } else { b'0' };
        value
    }
}

/// Text of bytes that were written as hexadecimal digits or from an ASCII literal.
#[must_use]
pub(crate) fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}
