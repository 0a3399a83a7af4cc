//! The whole connection: whatever callers, upstreams and clocks do, in whatever order, it neither panics nor contradicts
//! itself, what goes upstream is one well-formed request per call, and nothing stays held.
//!
//! An input is a script. Bytes up to the next `0xff` are what one side sends; the byte behind it says what happens then:
//! `U` the upstream sends the next bytes (until another event), `S` a signed call comes, `B` one with a body, `F` the
//! upstream fails, `E` the caller sends FIN, `T` time passes, `R` a reload, `D` the drain ends; any other byte: the caller
//! sends what follows. An input that begins with `!` is for a listener that wants signed calls.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use pyproxy_core::action::{Flags, Output};
use pyproxy_core::admission::Gates;
use pyproxy_core::http1::parse_request;
use pyproxy_core::httpsig::digest::content_digest;
use pyproxy_core::httpsig::{KeySet, Message, SignParams, SigningKey, sign};
use pyproxy_core::limits::Limits;
use pyproxy_core::replay::{Birth, ClearProgress, Filter, FilterSettings, initialise, words_needed};
use pyproxy_core::settings::Settings;
use pyproxy_core::time::{NANOS_PER_S, Now};
use pyproxy_core::worker::{Turn, Worker};
use pyproxy_core::{Blocked, Connection, UpstreamFailure};

/// Words of scripts.
pub const CONNECTION_WORDS: &[&[u8]] = &[
    b"\xffU",
    b"\xffS",
    b"\xffB",
    b"\xffF",
    b"\xffE",
    b"\xffT",
    b"\xffR",
    b"\xffD",
    b"\xffC",
    b"!",
    b"GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /v1/x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /nowhere HTTP/1.0\r\nHost: a\r\n\r\n",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET /v1/x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"\xffUHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    b"\xffUHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    b"\xffUHTTP/1.1 200 OK\r\n\r\nhi",
    b"\xffUHTTP/1.1 204 No Content\r\n\r\n",
    b"\xffUHTTP/1.1 103 Early Hints\r\n\r\n",
    b"\xffUHTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"0\r\n\r\n",
    b"2\r\nhi\r\n",
];

const T0: u64 = 1_700_000_000;
const MAX_HELD: usize = 40;
const JWKS: &str = r#"{"keys":[{"kid":"k","kty":"oct","alg":"HS256","principal":"spiffe://a/b","k":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}]}"#;
const JWK: &str = r#"{"kid":"k","kty":"oct","alg":"HS256","k":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}"#;

/// Plays a script.
pub fn connection(data: &[u8]) {
    let (signed, script) = data.strip_prefix(b"!").map_or((false, data), |script| (true, script));
    let filter = filter();
    let mut play = Play::new(signed, &filter);
    let mut parts = script.split(|&byte| byte == 0xff);
    play.caller_sends(parts.next().unwrap_or_default());
    for part in parts {
        play.event(part.first().copied().unwrap_or_default(), part.get(1..).unwrap_or_default());
    }
    play.run(Connection::lost);
    assert_eq!(play.worker.held_bytes, 0, "something is held after the end");
}

struct Play {
    gates: [Gates; 2],
    reloaded: usize,
    worker: Worker,
    connection: Connection,
    out: Output,
    now: Now,
    signed_calls: u32,
    /// What went upstream for the call under way, if one is.
    call: Option<Vec<u8>>,
    principal: bool,
}

impl Play {
    fn new(signed: bool, filter: &Arc<Filter>) -> Self {
        let gates = [gates(signed, filter), gates(signed, filter)];
        let now = Now { unix_ns: T0 * NANOS_PER_S, boot_ns: 1_000 * NANOS_PER_S };
        let mut worker = Worker::new([7; 16], true);
        let mut out = Output::default();
        let turn = Turn { now, gates: &gates[0], worker: &mut worker, out: &mut out };
        let connection = Connection::new(&turn, 0, "192.0.2.1:5000".into());
        Self { gates, reloaded: 0, worker, connection, out, now, signed_calls: 0, call: None, principal: signed }
    }

    fn event(&mut self, event: u8, payload: &[u8]) {
        match event {
            b'U' => self.upstream_sends(payload),
            b'S' | b'B' => {
                self.signed_calls += 1;
                let call = signed_call(self.signed_calls % 4, event == b'B');
                let cut = payload.len().min(call.len());
                self.caller_sends(&call[..call.len() - cut]);
                self.caller_sends(payload);
            }
            b'F' => {
                let which = payload.first().copied().unwrap_or_default();
                let failure = match which % 4 {
                    0 => UpstreamFailure::Closed,
                    1 => UpstreamFailure::Reset,
                    2 => UpstreamFailure::Connect,
                    _ => UpstreamFailure::Pushback,
                };
                self.run(|connection, turn| connection.upstream_failed(turn, failure, which & 4 == 0, which & 8 == 0));
            }
            b'E' => self.run(Connection::receive_eof),
            b'T' => {
                let seconds = u64::from(payload.first().copied().unwrap_or(1));
                self.now.unix_ns += seconds * NANOS_PER_S;
                self.now.boot_ns += seconds * NANOS_PER_S;
                let blocked = [Blocked::Nobody, Blocked::ByUpstream, Blocked::ByDownstream][payload.len() % 3];
                self.run(|connection, turn| connection.check_timeout(turn, blocked));
            }
            b'R' => self.reloaded ^= 1,
            b'D' => self.run(|connection, turn| connection.end_drain(turn, payload.is_empty())),
            _ => self.caller_sends(payload),
        }
    }

    fn caller_sends(&mut self, data: &[u8]) {
        self.input(data, |connection, turn| connection.receive_data(turn, data));
    }

    fn upstream_sends(&mut self, data: &[u8]) {
        self.input(data, |connection, turn| connection.receive_response(turn, data));
    }

    fn run(&mut self, event: impl FnOnce(&mut Connection, &mut Turn<'_>)) {
        self.input(b"", event);
    }

    /// One event, and what the driver would do about it, as often as there is more.
    fn input(&mut self, data: &[u8], event: impl FnOnce(&mut Connection, &mut Turn<'_>)) {
        self.once(data, event);
        let mut rounds = 0;
        while self.out.flags.contains(Flags::AGAIN) {
            rounds += 1;
            assert!(rounds < 5000, "it never ends");
            self.once(b"", |connection, turn| connection.receive_data(turn, b""));
        }
    }

    fn once(&mut self, data: &[u8], event: impl FnOnce(&mut Connection, &mut Turn<'_>)) {
        let Self { gates, worker, connection, out, .. } = self;
        out.clear();
        event(connection, &mut Turn { now: self.now, gates: &gates[self.reloaded], worker, out });
        let has = |flag| self.out.flags.contains(flag);
        assert!(!(has(Flags::RELEASE) && has(Flags::ABORT)));
        assert!(!(has(Flags::CONNECT) && (has(Flags::RELEASE) || has(Flags::ABORT))));
        assert!(!(has(Flags::AGAIN) && (has(Flags::CLOSE) || has(Flags::RESET))));
        assert!(!has(Flags::RELAY_UPSTREAM) || (self.out.to_upstream.is_empty() && !data.is_empty()));
        assert!(!has(Flags::RELAY_DOWNSTREAM) || (self.out.to_downstream.is_empty() && !data.is_empty()));
        assert!(self.worker.held_bytes <= MAX_HELD);
        if has(Flags::RELEASE) || has(Flags::ABORT) {
            self.call = None;
        }
        if has(Flags::CONNECT) && !has(Flags::RESEND) {
            assert!(self.call.is_none(), "two calls at once");
            self.call = Some(Vec::new());
            self.check_head();
        }
        assert!(self.call.is_some() || self.out.to_upstream.is_empty(), "bytes for an upstream without a call");
    }

    /// What begins a call is one strictly well-formed head, with one principal if callers have to prove theirs.
    fn check_head(&self) {
        let sent = &self.out.to_upstream;
        let end = sent.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
        let limits = Limits { max_fields: 60, max_head_bytes: 8192, ..Limits::default() };
        let head = parse_request(&sent[..end], &limits).expect("what we write, we would read");
        let named = |name: &str| head.fields().iter().filter(|f| f.name.eq_ignore_ascii_case(name.as_bytes())).count();
        assert_eq!(named("x-pyproxy-principal"), usize::from(self.principal));
        assert_eq!(named("host"), 1);
        assert_eq!(named("forwarded"), 1);
    }
}

fn gates(signed: bool, filter: &Arc<Filter>) -> Gates {
    let (authenticate, freshness) = if signed { (r#"["signature"]"#, "claimed") } else { ("[]", "none") };
    let settings: Settings = serde_json::from_str(&format!(
        r#"{{"node":"n","signature":{{"require":["@method","@authority","@path","@query"],"max_age_s":30,"clock_skew_s":5}},
        "limits":{{"max_head_bytes":2048,"max_fields":20,"max_body_bytes":64,"max_held_body_bytes":16,
                   "max_held_worker_bytes":{MAX_HELD}}},
        "listeners":[{{"name":"l","authenticate":{{"all":{authenticate}}},"freshness":"{freshness}",
                       "authorize":"allow_all","external_scheme":"http"}}],
        "upstreams":[{{"name":"u"}}],
        "routes":[{{"name":"r","host":"*","path":"/v1/*","upstream":0}}]}}"#
    ))
    .expect("settings");
    let keys = KeySet::from_jwks(JWKS.as_bytes()).expect("keys");
    Gates::new(settings, keys, Some(Arc::clone(filter))).expect("settings")
}

fn filter() -> Arc<Filter> {
    let settings = FilterSettings { capacity: 16, max_age_s: 30, clock_skew_s: 5 };
    let words: Vec<AtomicU64> = (0..words_needed(&settings).expect("in range")).map(|_| AtomicU64::new(0)).collect();
    let at = |seconds: u64| Now { unix_ns: (T0 - 100 + seconds) * NANOS_PER_S, boot_ns: (900 + seconds) * NANOS_PER_S };
    let birth = Birth { boot_id: [1; 16], tag_key: [7; 32], latest_before: 0 };
    initialise(&words, &settings, &birth, at(0)).expect("settings");
    let filter = Filter::open(Box::new(words), &settings, [1; 16], 1).expect("just made");
    while let ClearProgress::Cleared(_) = filter.clear_step(at(100), usize::MAX) {}
    Arc::new(filter)
}

const BODY: &[u8] = b"hello";

struct Unsigned {
    digest: Option<String>,
}

impl Message for Unsigned {
    fn method(&self) -> &str {
        if self.digest.is_some() { "POST" } else { "GET" }
    }
    fn scheme(&self) -> &str {
        "http"
    }
    fn authority(&self) -> &str {
        "a"
    }
    fn path(&self) -> &str {
        "/v1/x"
    }
    fn query(&self) -> Option<&str> {
        None
    }
    fn request_target(&self) -> &str {
        "/v1/x"
    }
    fn field(&self, lower_name: &str, each: &mut dyn FnMut(&[u8])) {
        if let (Some(digest), "content-digest") = (&self.digest, lower_name) {
            each(digest.as_bytes());
        }
    }
}

fn signed_call(nonce: u32, body: bool) -> Vec<u8> {
    let message = Unsigned { digest: body.then(|| content_digest(BODY)) };
    let mut components = vec!["@method", "@authority", "@path", "@query"];
    if body {
        components.push("content-digest");
    }
    let nonce = format!("nonce-of-the-fuzzer-{nonce}");
    let params = SignParams {
        label: "s",
        components: &components,
        created: T0,
        expires: None,
        nonce: &nonce,
        tag: None,
        alg: false,
    };
    let key = SigningKey::from_jwk(JWK.as_bytes()).expect("a key");
    let (input, signature) = sign(&message, &key, &params).expect("a signature");
    let mut call = format!(
        "{} /v1/x HTTP/1.1\r\nHost: a\r\nSignature-Input: {input}\r\nSignature: {signature}\r\n",
        message.method()
    );
    if let Some(digest) = &message.digest {
        call += &format!("Content-Digest: {digest}\r\nContent-Length: {}\r\n", BODY.len());
    }
    call += "\r\n";
    let mut call = call.into_bytes();
    if body {
        call.extend_from_slice(BODY);
    }
    call
}
