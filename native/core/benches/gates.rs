//! What each gate costs alone, and a whole call through a connection, on the request of twelve fields that `bench/load`
//! plays. The promises about these times are in `bench/slo.toml`.
//!
//! Time is passed, as everywhere: no clock is read between the bytes of a request and the bytes for its upstream.
#![allow(missing_docs, reason = "divan makes functions public")]

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use divan::Bencher;
use pyproxy_core::Connection;
use pyproxy_core::action::Output;
use pyproxy_core::admission::Gates;
use pyproxy_core::http1::{RequestHead, parse_request, parse_response};
use pyproxy_core::httpsig::{KeySet, Message, Rules, SignParams, SigningKey, sign, verify};
use pyproxy_core::limits::Limits;
use pyproxy_core::replay::{Birth, ClearProgress, Filter, FilterSettings, initialise, words_needed};
use pyproxy_core::settings::{
    Authenticate, Authorize, Credential, Freshness, ListenerSettings, Retry, RouteSettings, Settings,
    SignatureSettings, Uncovered, UpstreamSettings,
};
use pyproxy_core::time::Now;
use pyproxy_core::worker::{Turn, Worker};

const REQUEST: &str = "GET /v1/orders/8f14e45f-ceea-467f-a83c-9b1c1b3f6d2a/items?status=open&limit=50 HTTP/1.1\r\n\
    Host: orders.internal\r\n\
    User-Agent: checkout/4.12.0 (linux; amd64) httpx/0.28.1\r\n\
    Accept: application/json\r\n\
    Accept-Encoding: gzip, br\r\n\
    Accept-Language: en-GB, en;q=0.8\r\n\
    Cache-Control: no-cache\r\n\
    X-Tenant-Id: acme-emea-production\r\n\
    X-Client-Version: 2026.11.2+build.4711\r\n\
    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
    tracestate: rojo=00f067aa0ba902b7,congo=t61rcWkgMzE\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n\
    Content-Type: application/json\r\nContent-Length: 13\r\nConnection: keep-alive\r\n\r\n{\"state\":\"a\"}";
const NOW: Now = Now { unix_ns: 1_700_000_000_000_000_000, boot_ns: 1_000_000_000_000 };
const HMAC: &str = r#"{"kty":"oct","kid":"caller-0","alg":"HS256","principal":"spiffe://bench.internal/caller-0",
    "k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}"#;

fn main() {
    divan::main();
}

#[divan::bench(sample_size = 100)]
fn parse_request_of_12_fields(bencher: Bencher<'_, '_>) {
    let (request, limits) = (signed(0), Limits::default());
    bencher.bench_local(|| parse_request(black_box(&request), &limits).is_ok());
}

#[divan::bench(sample_size = 100)]
fn parse_response_head(bencher: Bencher<'_, '_>) {
    let limits = Limits::default();
    let head = &RESPONSE[..RESPONSE.len() - 13];
    bencher.bench_local(|| parse_response(black_box(head), &limits).is_ok());
}

#[divan::bench(sample_size = 100)]
fn verify_hmac_12_fields(bencher: Bencher<'_, '_>) {
    let (request, limits) = (signed(0), Limits::default());
    let head = parse_request(&request, &limits).expect("well formed");
    let keys = KeySet::from_jwks(format!(r#"{{"keys":[{HMAC}]}}"#).as_bytes()).expect("a key set");
    let rules = Rules::new(&signature_settings()).expect("rules");
    let verify = || verify(black_box(&Signed(&head)), &keys, &rules, NOW, false);
    verify().expect("the signature is good");
    bencher.bench_local(|| verify().is_ok());
}

/// Everything that the core does for a plain call: head in, head out, answer in, answer out.
#[divan::bench(sample_size = 100)]
fn whole_call_plain(bencher: Bencher<'_, '_>) {
    let mut worker = World::new(false);
    let request = format!("{REQUEST}\r\n").into_bytes();
    bencher.bench_local(|| worker.call(&request));
}

/// The same for a signed one: verified, and its nonce claimed. No nonce comes twice.
#[divan::bench(sample_size = 100)]
fn whole_call_hmac(bencher: Bencher<'_, '_>) {
    let mut worker = World::new(true);
    let number = Cell::new(0);
    let next = || {
        number.set(number.get() + 1);
        signed(number.get())
    };
    bencher.with_inputs(next).bench_local_refs(|request| worker.call(request));
}

/// One worker with one connection.
struct World {
    gates: Gates,
    worker: Worker,
    out: Output,
    connection: Connection,
}

impl World {
    fn new(signed: bool) -> Self {
        let keys = KeySet::from_jwks(format!(r#"{{"keys":[{HMAC}]}}"#).as_bytes()).expect("a key set");
        let gates = Gates::new(settings(signed), keys, signed.then(filter)).expect("settings");
        let (mut worker, mut out) = (Worker::new([7; 16], false), Output::default());
        let turn = Turn { now: NOW, gates: &gates, worker: &mut worker, out: &mut out };
        let connection = Connection::new(&turn, 0, "192.0.2.1:5000".into());
        Self { gates, worker, out, connection }
    }

    fn call(&mut self, request: &[u8]) {
        let Self { gates, worker, out, connection } = self;
        out.clear();
        connection.receive_data(&mut Turn { now: NOW, gates, worker, out }, black_box(request));
        assert!(!out.to_upstream.is_empty(), "refused: {}", String::from_utf8_lossy(&out.to_downstream));
        out.clear();
        connection.receive_response(&mut Turn { now: NOW, gates, worker, out }, black_box(RESPONSE));
        assert!(out.ended.len() == 1, "the call is complete");
    }
}

struct Signed<'h, 'b>(&'h RequestHead<'b>);

impl Message for Signed<'_, '_> {
    fn method(&self) -> &str {
        self.0.method()
    }
    fn scheme(&self) -> &str {
        "http"
    }
    fn authority(&self) -> &str {
        self.0.authority()
    }
    fn path(&self) -> &str {
        self.0.path()
    }
    fn query(&self) -> Option<&str> {
        self.0.query()
    }
    fn request_target(&self) -> &str {
        self.0.target()
    }
    fn field(&self, lower_name: &str, each: &mut dyn FnMut(&[u8])) {
        self.0
            .fields()
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(lower_name.as_bytes()))
            .for_each(|field| each(field.value));
    }
}

/// The request, signed, with a nonce that only this number has.
fn signed(number: u64) -> Vec<u8> {
    thread_local!(static KEY: SigningKey = SigningKey::from_jwk(HMAC.as_bytes()).expect("a signing key"));
    let unsigned = format!("{REQUEST}\r\n");
    let head = parse_request(unsigned.as_bytes(), &Limits::default()).expect("well formed");
    let nonce = format!("{:022x}", u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 24 | 0xabcdef);
    let params = SignParams {
        label: "sig1",
        components: &["@method", "@authority", "@path", "@query"],
        created: NOW.unix_s(),
        expires: None,
        nonce: &nonce,
        tag: None,
        alg: true,
    };
    let (input, signature) = KEY.with(|key| sign(&Signed(&head), key, &params)).expect("signable");
    format!("{REQUEST}Signature-Input: {input}\r\nSignature: {signature}\r\n\r\n").into_bytes()
}

fn filter() -> Arc<Filter> {
    let settings = FilterSettings { capacity: 1 << 22, max_age_s: 30, clock_skew_s: 5 };
    let words: Vec<AtomicU64> =
        std::iter::repeat_with(AtomicU64::default).take(words_needed(&settings).expect("settings")).collect();
    // Born long enough ago that its fence is behind us.
    let birth_time = Now { unix_ns: NOW.unix_ns - 100_000_000_000, boot_ns: NOW.boot_ns - 100_000_000_000 };
    let birth = Birth { boot_id: [0; 16], tag_key: [9; 32], latest_before: 0 };
    initialise(&words, &settings, &birth, birth_time).expect("words");
    let filter = Filter::open(Box::new(words), &settings, [0; 16], 1).expect("just made");
    while let ClearProgress::Cleared(_) = filter.clear_step(NOW, usize::MAX) {}
    Arc::new(filter)
}

fn signature_settings() -> SignatureSettings {
    SignatureSettings {
        require: ["@method", "@authority", "@path", "@query"].map(str::to_owned).into(),
        require_if_present: Vec::new(),
        max_age_s: 30,
        clock_skew_s: 5,
        uncovered: Uncovered::Forward,
        allow_rsa_v1_5: false,
    }
}

fn settings(signed: bool) -> Settings {
    Settings {
        node: "bench".into(),
        signature: signature_settings(),
        limits: Limits::default(),
        listeners: vec![ListenerSettings {
            name: "ingress".into(),
            authenticate: Authenticate::All(if signed { vec![Credential::Signature] } else { Vec::new() }),
            freshness: if signed { Freshness::Claimed } else { Freshness::None },
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
