//! Every bound that a peer can push on, with its default and its precedent.

use serde::{Deserialize, Serialize};

/// Bounds on one connection and one call. All sizes in bytes, all times in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Request head, from the first byte of the request line to the empty line. nginx: 4 x 8 KiB.
    pub max_head_bytes: usize,
    /// Fields in a head. Envoy: 100.
    pub max_fields: usize,
    /// Request target. nginx: one buffer of 8 KiB.
    pub max_target_bytes: usize,
    /// Request body; 0 means no limit.
    pub max_body_bytes: u64,
    /// A body whose digest is covered is held until it is verified, if it is no larger than this.
    pub max_held_body_bytes: usize,
    /// Held bodies of all calls of one worker together.
    pub max_held_worker_bytes: usize,
    /// From the first byte of a head to its last. Slowloris ends here.
    pub head_timeout_s: f64,
    /// A body that makes no progress for this long.
    pub body_timeout_s: f64,
    /// A kept-alive connection without a call. nginx `keepalive_timeout`: 75 s.
    pub idle_timeout_s: f64,
    /// From the request's last byte to the response head's last. nginx `proxy_read_timeout`: 60 s.
    pub response_head_timeout_s: f64,
    /// A response body that makes no progress for this long, on either side.
    pub response_body_timeout_s: f64,
    /// A tunnel (WebSocket) in which nothing moves. Envoy `stream_idle_timeout`: 300 s.
    pub tunnel_idle_timeout_s: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_head_bytes: 32 * 1024,
            max_fields: 100,
            max_target_bytes: 8 * 1024,
            max_body_bytes: 1 << 30,
            max_held_body_bytes: 1 << 20,
            max_held_worker_bytes: 64 << 20,
            head_timeout_s: 10.0,
            body_timeout_s: 60.0,
            idle_timeout_s: 75.0,
            response_head_timeout_s: 60.0,
            response_body_timeout_s: 60.0,
            tunnel_idle_timeout_s: 300.0,
        }
    }
}
