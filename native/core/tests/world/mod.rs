//! A worker, one connection, its upstream and a clock, in memory.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod caller;

use std::sync::Arc;

use pyproxy_core::action::{Flags, Output};
use pyproxy_core::admission::Gates;
use pyproxy_core::httpsig::KeySet;
use pyproxy_core::limits::Limits;
use pyproxy_core::record::CallRecord;
use pyproxy_core::replay::Filter;
use pyproxy_core::settings::{
    Authenticate, Authorize, Credential, Freshness, ListenerSettings, Retry, RouteSettings, Settings,
    SignatureSettings, UpstreamSettings,
};
use pyproxy_core::time::Now;
use pyproxy_core::worker::{Turn, Worker};
use pyproxy_core::{Blocked, Connection, UpstreamFailure};

/// An ordinary call.
pub(crate) const GET: &str = "GET /v1/x HTTP/1.1\r\nHost: orders.internal\r\nAccept: */*\r\n\r\n";

/// The same, with this target.
pub(crate) fn get(target: &str) -> Vec<u8> {
    GET.replace("/v1/x", target).into_bytes()
}

/// Bytes as text, for assertions.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What one event came to, kept.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) flags: Flags,
    pub(crate) to_downstream: Vec<u8>,
    pub(crate) to_upstream: Vec<u8>,
    pub(crate) ended: Vec<CallRecord>,
}

impl Outcome {
    pub(crate) fn is_empty(&self) -> bool {
        self.flags == Flags::default() && self.to_downstream.is_empty() && self.to_upstream.is_empty()
    }
}

pub(crate) struct World {
    pub(crate) now: Now,
    pub(crate) gates: Gates,
    pub(crate) worker: Worker,
    pub(crate) connection: Connection,
    filter: Option<Arc<Filter>>,
    out: Output,
}

impl World {
    /// A listener that verifies nothing, one upstream, `orders.internal/v1/*`.
    pub(crate) fn open() -> Self {
        Self::new(settings(Authenticate::All(Vec::new()), Freshness::None), None)
    }

    pub(crate) fn new(settings: Settings, keys: Option<(&str, Arc<Filter>)>) -> Self {
        let (jwks, filter) = match keys {
            Some((jwks, filter)) => (jwks, Some(filter)),
            None => (r#"{"keys":[]}"#, None),
        };
        let keys = KeySet::from_jwks(jwks.as_bytes()).expect("keys");
        let gates = Gates::new(settings, keys, filter.clone()).expect("settings");
        let now = caller::at(0);
        let mut worker = Worker::new([7; 16], true);
        let mut out = Output::default();
        let turn = Turn { now, gates: &gates, worker: &mut worker, out: &mut out };
        let connection = Connection::new(&turn, 0, "192.0.2.1:5000".into());
        Self { now, gates, worker, connection, filter, out }
    }

    /// A listener that wants signed calls by [`caller::JWKS`], with these bounds, and a filter that is past its fence.
    pub(crate) fn signed(limits: Limits) -> Self {
        let mut settings = settings(Authenticate::All(vec![Credential::Signature]), Freshness::Claimed);
        settings.limits = limits;
        Self::new(settings, Some((caller::JWKS, caller::filter())))
    }

    /// Other settings are put in force, between two events.
    pub(crate) fn reload(&mut self, settings: Settings) {
        let keys = KeySet::from_jwks(caller::JWKS.as_bytes()).expect("keys");
        self.gates = Gates::new(settings, keys, self.filter.clone()).expect("settings");
    }

    /// Another connection of the same worker takes the place of this one.
    pub(crate) fn reconnect(&mut self) {
        let Self { now, gates, worker, out, .. } = self;
        let turn = Turn { now: *now, gates, worker, out };
        self.connection = Connection::new(&turn, 0, "192.0.2.1:5001".into());
    }

    /// As [`World::reconnect`], and hands out the connection that was there.
    pub(crate) fn connection_swapped(&mut self) -> Connection {
        let Self { now, gates, worker, out, .. } = self;
        let turn = Turn { now: *now, gates, worker, out };
        std::mem::replace(&mut self.connection, Connection::new(&turn, 0, "192.0.2.1:5001".into()))
    }

    pub(crate) fn event(&mut self, event: impl FnOnce(&mut Connection, &mut Turn<'_>)) -> Outcome {
        let Self { now, gates, worker, connection, out, .. } = self;
        out.clear();
        event(connection, &mut Turn { now: *now, gates, worker, out });
        Outcome {
            flags: out.flags,
            to_downstream: out.to_downstream.clone(),
            to_upstream: out.to_upstream.clone(),
            ended: std::mem::take(&mut out.ended),
        }
    }

    pub(crate) fn receive(&mut self, data: &[u8]) -> Outcome {
        self.event(|connection, turn| connection.receive_data(turn, data))
    }

    pub(crate) fn respond(&mut self, data: &[u8]) -> Outcome {
        self.event(|connection, turn| connection.receive_response(turn, data))
    }

    pub(crate) fn upstream_failed(&mut self, failure: UpstreamFailure, written: bool, reused: bool) -> Outcome {
        self.event(|connection, turn| connection.upstream_failed(turn, failure, written, reused))
    }

    pub(crate) fn check_timeout(&mut self, blocked: Blocked) -> Outcome {
        self.event(|connection, turn| connection.check_timeout(turn, blocked))
    }

    pub(crate) fn eof(&mut self) -> Outcome {
        self.event(Connection::receive_eof)
    }

    pub(crate) fn lost(&mut self) -> Outcome {
        self.event(Connection::lost)
    }

    pub(crate) fn pass_s(&mut self, seconds: f64) {
        let nanos = (seconds * 1e9) as u64;
        self.now.unix_ns += nanos;
        self.now.boot_ns += nanos;
    }

    /// Plays a stream cut at `cuts`, answers every call that becomes complete, and tells what the upstream got, what
    /// the caller got, and how the calls ended.
    pub(crate) fn run(&mut self, stream: &[u8], cuts: &[usize]) -> (String, String, Vec<(String, u16, u64)>) {
        let mut cuts: Vec<usize> = cuts.iter().copied().filter(|&cut| cut < stream.len()).collect();
        cuts.sort_unstable();
        let mut seen = Seen::default();
        let mut from = 0;
        for cut in cuts.into_iter().chain([stream.len()]) {
            self.play(&stream[from..cut], &mut seen);
            from = cut;
        }
        let calls = seen.ended.iter().map(|call| (call.path.clone(), call.status, call.request_body_bytes)).collect();
        (text(&dechunked(&seen.up)), without_ids(&text(&seen.down)), calls)
    }

    fn play(&mut self, data: &[u8], seen: &mut Seen) {
        let mut outcome = self.receive(data);
        seen.add(&outcome, data);
        loop {
            if seen.request_is_complete() {
                seen.awaiting = false;
                outcome = self.respond(b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\n\r\nhi");
                seen.add(&outcome, b"");
            }
            if !outcome.flags.contains(Flags::AGAIN) {
                return;
            }
            outcome = self.receive(b"");
            seen.add(&outcome, b"");
        }
    }
}

#[derive(Default)]
struct Seen {
    up: Vec<u8>,
    down: Vec<u8>,
    ended: Vec<CallRecord>,
    call_from: usize,
    awaiting: bool,
}

impl Seen {
    fn add(&mut self, outcome: &Outcome, input: &[u8]) {
        if outcome.flags.contains(Flags::CONNECT) {
            self.call_from = self.up.len();
            self.awaiting = true;
        }
        let up = if outcome.flags.contains(Flags::RELAY_UPSTREAM) { input } else { &outcome.to_upstream };
        self.up.extend_from_slice(up);
        self.down.extend_from_slice(&outcome.to_downstream);
        self.ended.extend(outcome.ended.iter().cloned());
    }

    /// What a test upstream would decide from the bytes alone.
    fn request_is_complete(&self) -> bool {
        let call = text(&self.up[self.call_from..]);
        let Some((head, body)) = call.split_once("\r\n\r\n") else { return false };
        if !self.awaiting {
            return false;
        }
        if head.contains("Transfer-Encoding: chunked") {
            return body.ends_with("0\r\n\r\n");
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        body.len() >= length.map_or(0, |length| length.parse().expect("a length"))
    }
}

/// Chunk boundaries follow the reads, so they are taken out before streams are compared.
fn dechunked(up: &[u8]) -> Vec<u8> {
    let mut joined = String::new();
    let up = text(up);
    let mut rest = up.as_str();
    while let Some((head, body)) = rest.split_once("\r\n\r\n") {
        let id_free: Vec<&str> = head
            .lines()
            .filter(|line| !line.starts_with("X-Request-Id:") && !line.starts_with("traceparent:"))
            .collect();
        joined.push_str(&id_free.join("\n"));
        joined.push('\n');
        rest = body;
        if head.contains("Transfer-Encoding: chunked") {
            while let Some((size, after)) = rest.split_once("\r\n") {
                let size = usize::from_str_radix(size, 16).expect("a chunk size");
                joined.push_str(&after[..size]);
                rest = &after[size + 2..];
                if size == 0 {
                    break;
                }
            }
        }
    }
    joined.push_str(rest);
    joined.into_bytes()
}

fn without_ids(down: &str) -> String {
    down.lines().filter(|line| !line.starts_with("X-Request-Id:")).collect::<Vec<_>>().join("\n")
}

/// Settings with one listener and one route.
pub(crate) fn settings(authenticate: Authenticate, freshness: Freshness) -> Settings {
    Settings {
        node: "edge-1".into(),
        signature: SignatureSettings {
            require: ["@method", "@authority", "@path", "@query"].map(Into::into).to_vec(),
            require_if_present: Vec::new(),
            max_age_s: 30,
            clock_skew_s: 5,
            uncovered: Default::default(),
            allow_rsa_v1_5: false,
        },
        limits: Limits::default(),
        listeners: vec![ListenerSettings {
            name: "ingress".into(),
            authenticate,
            freshness,
            authorize: Authorize::AllowAll,
            external_scheme: "http".into(),
        }],
        upstreams: vec![UpstreamSettings { name: "orders".into() }],
        routes: vec![RouteSettings {
            name: "orders".into(),
            host: "orders.internal".into(),
            path: "/v1/*".into(),
            upstream: 0,
            upstream_host: None,
            retry: Retry::Safe,
        }],
    }
}
