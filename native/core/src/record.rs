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
    pub request_id: String,
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
