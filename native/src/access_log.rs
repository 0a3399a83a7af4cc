//! The access log's lines: one JSON object per finished call, made here and written elsewhere.
//!
//! [`AccessLog::record`] appends a line to a buffer of bounded size; a thread of the driver takes what has gathered and
//! writes it (`accesslog.py`). A line that finds no room is dropped and counted: a slow disk never holds up a call, and
//! never fills the memory. What calls must not be forwarded without is the audit log's business, not this one's.
//!
//! Never in a line: a query, a field's value, a body, a signature, a key. Names of a line's members are stable:
//!
//! | member | meaning |
//! | --- | --- |
//! | `time` | wall clock at the head's last byte, RFC 3339, UTC, microseconds |
//! | `listener`, `route` | names; `route` is null when none was found |
//! | `request_id` | the `X-Request-Id` that the upstream saw |
//! | `peer` | `address:port`, or `unix` |
//! | `method`, `authority`, `path` | as sent, clipped; without the query |
//! | `principal`, `key_id` | who called and by which key, once authenticated; else null |
//! | `freshness` | `claimed`, `waived` or null |
//! | `status` | sent to the caller; 0 when the connection ended before |
//! | `reason`, `detail` | why it was refused, or why there was no answer; else null |
//! | `ended` | `complete`, `refused`, `downstream-closed`, ...: how it ended |
//! | `request_body_bytes`, `response_body_bytes` | body bytes from and to the caller |
//! | `gates_ns`, `forward_ns`, `upstream_ns`, `total_ns` | phases as in `metrics.rs`; null when it did not come to that |

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyproxy_core::record::CallRecord;
use serde::Serialize;

/// Longest text of one member, in bytes. The core has clipped what came from outside already; this is the last word.
const MAX_TEXT_BYTES: usize = 1024;

/// Lines that wait to be written.
pub struct Lines {
    listeners: Vec<String>,
    max_bytes: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    dropped: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    listener: &'a str,
    route: Option<&'a str>,
    request_id: &'a str,
    peer: &'a str,
    method: &'a str,
    authority: &'a str,
    path: &'a str,
    principal: Option<&'a str>,
    key_id: Option<&'a str>,
    freshness: Option<&'a str>,
    status: u16,
    reason: Option<&'a str>,
    detail: Option<&'a str>,
    ended: &'a str,
    request_body_bytes: u64,
    response_body_bytes: u64,
    gates_ns: Option<u64>,
    forward_ns: Option<u64>,
    upstream_ns: Option<u64>,
    total_ns: Option<u64>,
}

impl Lines {
    /// No lines yet; at most `max_bytes` of them will ever wait.
    #[must_use]
    pub fn new(listeners: Vec<String>, max_bytes: usize) -> Self {
        Self { listeners, max_bytes, waiting: Mutex::default() }
    }

    /// Appends the line of one finished call, or counts it as dropped.
    pub fn record(&self, call: &CallRecord) {
        let line = Line {
            time: humantime::format_rfc3339_micros(UNIX_EPOCH + Duration::from_nanos(call.unix_ns)).to_string(),
            listener: self.listeners.get(call.listener as usize).map_or("", String::as_str),
            route: call.route_name.as_deref(),
            request_id: call.id.request_id(),
            peer: &call.peer,
            method: clip(&call.method),
            authority: clip(&call.authority),
            path: without_query(&call.path),
            principal: call.principal.as_deref().map(clip),
            key_id: call.key_id.as_deref().map(clip),
            freshness: call.freshness,
            status: call.status,
            reason: call.rejection.as_ref().map(|rejection| rejection.reason.label()),
            detail: call.rejection.as_ref().map(|rejection| without_query(&rejection.detail)),
            ended: call.ended,
            request_body_bytes: call.request_body_bytes,
            response_body_bytes: call.response_body_bytes,
            gates_ns: span(call.head_ns, call.gated_ns),
            forward_ns: span(call.gated_ns, call.forwarded_ns),
            upstream_ns: span(call.forwarded_ns, call.response_head_ns),
            total_ns: span(call.started_ns, call.finished_ns),
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = waiting.bytes.len();
        let written = serde_json::to_writer(&mut waiting.bytes, &line);
        if written.is_err() || waiting.bytes.len() + 1 > self.max_bytes {
            waiting.bytes.truncate(before);
            waiting.dropped += 1;
        } else {
            waiting.bytes.push(b'\n');
        }
    }

    /// Everything that waits, and how many lines were dropped since the last time. Whole lines only.
    #[must_use]
    pub fn take(&self) -> (Vec<u8>, u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // The next batch is likely to be as long as this one: one allocation instead of a dozen doublings.
        let next = Vec::with_capacity(waiting.bytes.len().min(self.max_bytes));
        (std::mem::replace(&mut waiting.bytes, next), std::mem::take(&mut waiting.dropped))
    }

    /// Bytes that wait.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).bytes.len()
    }
}

fn span(from_ns: u64, to_ns: u64) -> Option<u64> {
    (from_ns != 0 && to_ns != 0).then(|| to_ns.saturating_sub(from_ns))
}

fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

/// A path never has a query, and a detail should not quote one; should either ever do, it ends here.
fn without_query(text: &str) -> &str {
    clip(text.split('?').next().unwrap_or_default())
}

/// The access log of one worker, for Python.
#[pyclass(frozen, module = "pyproxy._native")]
pub struct AccessLog {
    pub(crate) lines: std::sync::Arc<Lines>,
}

#[pymethods]
impl AccessLog {
    #[new]
    fn new(listeners: Vec<String>, max_bytes: usize) -> Self {
        Self { lines: std::sync::Arc::new(Lines::new(listeners, max_bytes)) }
    }

    /// Whole lines that wait to be written, and how many were dropped since the last time.
    fn take<'py>(&self, py: Python<'py>) -> (Bound<'py, PyBytes>, u64) {
        let (bytes, dropped) = self.lines.take();
        (PyBytes::new(py, &bytes), dropped)
    }

    /// Bytes that wait.
    fn waiting_bytes(&self) -> usize {
        self.lines.waiting_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use pyproxy_core::rejection::{Reason, Rejection};
    use serde_json::{Value, json};

    use super::*;

    fn call() -> CallRecord {
        CallRecord {
            listener: 0,
            route: Some(0),
            route_name: Some(Arc::from("orders")),
            id: pyproxy_core::worker::Worker::new([0; 16], true).next_id(),
            peer: Arc::from("127.0.0.1:5000"),
            method: "GET".to_owned(),
            authority: "orders.internal".to_owned(),
            path: "/v1/a".to_owned(),
            principal: Some(Arc::from("spiffe://example.org/billing")),
            key_id: Some(Arc::from("k1")),
            freshness: Some("claimed"),
            status: 200,
            rejection: None,
            ended: "complete",
            request_body_bytes: 0,
            response_body_bytes: 120,
            unix_ns: 1_700_000_000_123_456_789,
            started_ns: 1_000,
            head_ns: 2_000,
            gated_ns: 4_000,
            forwarded_ns: 10_000,
            response_head_ns: 1_010_000,
            finished_ns: 1_020_000,
        }
    }

    fn only_line(lines: &Lines) -> Value {
        let (bytes, dropped) = lines.take();
        assert_eq!((bytes.iter().filter(|&&byte| byte == b'\n').count(), bytes.last(), dropped), (1, Some(&b'\n'), 0));
        serde_json::from_slice(&bytes).expect("one JSON object")
    }

    fn lines() -> Lines {
        Lines::new(vec!["in".to_owned()], 64 * 1024)
    }

    #[test]
    fn a_call_is_one_line() {
        let lines = lines();
        let call = call();
        lines.record(&call);
        let expected = json!({
            "time": "2023-11-14T22:13:20.123456Z", "listener": "in", "route": "orders", "request_id": call.id.request_id(),
            "peer": "127.0.0.1:5000", "method": "GET", "authority": "orders.internal", "path": "/v1/a",
            "principal": "spiffe://example.org/billing", "key_id": "k1", "freshness": "claimed", "status": 200,
            "reason": null, "detail": null, "ended": "complete", "request_body_bytes": 0, "response_body_bytes": 120,
            "gates_ns": 2_000, "forward_ns": 6_000, "upstream_ns": 1_000_000, "total_ns": 1_019_000,
        });
        assert_eq!(only_line(&lines), expected);
    }

    #[test]
    fn a_refusal_says_why() {
        let lines = lines();
        let mut refused = call();
        refused.rejection = Some(Rejection::new(Reason::Replayed, "this nonce was used 2 s ago"));
        (refused.status, refused.forwarded_ns, refused.response_head_ns) = (401, 0, 0);
        lines.record(&refused);
        let line = only_line(&lines);
        assert_eq!(line["reason"], "replayed");
        assert_eq!(line["detail"], "this nonce was used 2 s ago");
        assert_eq!((&line["forward_ns"], &line["upstream_ns"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn a_query_never_reaches_a_line() {
        let lines = lines();
        let mut odd = call();
        odd.path = "/v1/a?token=secret".to_owned();
        odd.rejection = Some(Rejection {
            reason: Reason::Malformed,
            detail: Cow::Borrowed("target `/v1/a?token=secret` has a space"),
            retry_after_s: None,
        });
        lines.record(&odd);
        let (bytes, _) = lines.take();
        assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
    }

    #[test]
    fn no_text_from_outside_can_end_a_line_or_a_member() {
        let lines = lines();
        let mut odd = call();
        odd.method = "GET\n{\"status\":200}".to_owned();
        odd.authority = "a\",\"status\":1,\"x\":\"\u{0}\u{1b}[31m\r\\".to_owned();
        odd.path = "/".repeat(10_000);
        lines.record(&odd);
        let line = only_line(&lines);
        assert_eq!(line["method"], "GET\n{\"status\":200}");
        assert_eq!(line["status"], 200);
        assert_eq!(line["path"].as_str().map(str::len), Some(MAX_TEXT_BYTES));
    }

    #[test]
    fn lines_beyond_the_bound_are_dropped_whole_and_counted() {
        let lines = Lines::new(vec!["in".to_owned()], 2_000);
        for _ in 0..100 {
            lines.record(&call());
        }
        let (bytes, dropped) = lines.take();
        let kept = bytes.split_inclusive(|&byte| byte == b'\n').map(serde_json::from_slice::<Value>);
        let kept = kept.collect::<Result<Vec<_>, _>>().expect("whole lines");
        assert!(bytes.len() <= 2_000 && !kept.is_empty());
        assert_eq!(kept.len() as u64 + dropped, 100);
        lines.record(&call());
        assert_eq!(lines.take().1, 0, "there is room again");
    }
}
