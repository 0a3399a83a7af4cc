//! What verifying costs: a real request of 12 fields, by algorithm, and the parts of the fast path.
//!
//! `cargo bench -p pyproxy-core --bench httpsig`

use divan::{Bencher, black_box};
use pyproxy_core::httpsig::{KeySet, Message, Rules, SignParams, SigningKey, digest, sign, verify};
use pyproxy_core::settings::{SignatureSettings, Uncovered};
use pyproxy_core::time::{NANOS_PER_S, Now};

fn main() {
    divan::main();
}

const CREATED: u64 = 1_700_000_000;
const BODY: &[u8] = b"{\"sku\": \"A-1\", \"quantity\": 3}";
const NOW: Now = Now { unix_ns: CREATED * NANOS_PER_S, boot_ns: 0 };

/// A request as the parser leaves it: names and values borrowed, compared without case.
struct Request {
    fields: Vec<(&'static str, Vec<u8>)>,
}

impl Message for Request {
    fn method(&self) -> &str {
        "POST"
    }
    fn scheme(&self) -> &str {
        "http"
    }
    fn authority(&self) -> &str {
        "orders.internal"
    }
    fn path(&self) -> &str {
        "/v1/orders/7f3a/items"
    }
    fn query(&self) -> Option<&str> {
        Some("dry_run=false&notify=true")
    }
    fn request_target(&self) -> &str {
        "/v1/orders/7f3a/items?dry_run=false&notify=true"
    }
    fn field(&self, lower_name: &str, each: &mut dyn FnMut(&[u8])) {
        for (name, value) in &self.fields {
            if name.len() == lower_name.len() && name.eq_ignore_ascii_case(lower_name) {
                each(value);
            }
        }
    }
}

fn request() -> Request {
    let digest = digest::content_digest(BODY);
    let fields = [
        ("Host", "orders.internal"),
        ("User-Agent", "orders-client/2.4 (python-httpx/0.28)"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "gzip, deflate, br"),
        ("Content-Type", "application/json"),
        ("Content-Length", "29"),
        ("Content-Digest", &digest),
        ("Cache-Control", "no-cache"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("X-Tenant", "north-7"),
    ];
    Request { fields: fields.map(|(name, value)| (name, value.as_bytes().to_vec())).to_vec() }
}

fn private_jwk(alg: &str) -> String {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/vectors/rfc9421.json")).expect("vectors");
    let keys = vectors["keys"].as_array().expect("keys");
    keys.iter().find(|key| key["alg"] == alg).expect("a key of this algorithm").to_string()
}

struct Bench {
    request: Request,
    keys: KeySet,
    rules: Rules,
}

impl Bench {
    fn new(alg: &str) -> Self {
        let jwk = private_jwk(alg);
        let key = SigningKey::from_jwk(jwk.as_bytes()).expect("a private key");
        let mut request = request();
        let params = SignParams {
            label: "sig1",
            components: &["@method", "@authority", "@path", "@query", "content-type", "content-digest"],
            created: CREATED,
            expires: None,
            nonce: "m1Q0gqvWk4lYz0Yl3cA2Cw",
            tag: None,
            alg: true,
        };
        let (input, signature) = sign(&request, &key, &params).expect("signed");
        request.fields.push(("Signature-Input", input.into_bytes()));
        request.fields.push(("Signature", signature.into_bytes()));
        let keys = KeySet::from_jwks(format!("{{\"keys\":[{jwk}]}}").as_bytes()).expect("keys");
        let rules = Rules::new(&SignatureSettings {
            require: ["@method", "@authority", "@path", "@query"].map(str::to_owned).to_vec(),
            require_if_present: Vec::new(),
            max_age_s: 30,
            clock_skew_s: 5,
            uncovered: Uncovered::Forward,
            allow_rsa_v1_5: true,
        })
        .expect("rules");
        Self { request, keys, rules }
    }
}

#[divan::bench(args = ["HS256", "Ed25519", "ES256", "PS512", "RS256"])]
fn verify_a_request_of_12_fields(bencher: Bencher<'_, '_>, alg: &str) {
    let bench = Bench::new(alg);
    bencher.bench_local(|| verify(black_box(&bench.request), &bench.keys, &bench.rules, NOW, true).expect("good"));
}

#[divan::bench]
fn refuse_an_old_request(bencher: Bencher<'_, '_>) {
    let bench = Bench::new("HS256");
    let later = Now { unix_ns: NOW.unix_ns * 2, boot_ns: 0 };
    bencher.bench_local(|| verify(black_box(&bench.request), &bench.keys, &bench.rules, later, true).expect_err("old"));
}

/// The floor: HMAC alone over a base of the same length.
#[divan::bench(args = [300, 400, 500])]
fn hmac_alone(bencher: Bencher<'_, '_>, bytes: usize) {
    use aws_lc_rs::hmac;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 64]);
    let base = vec![b'a'; bytes];
    let tag = hmac::sign(&key, &base);
    bencher.bench_local(|| hmac::verify(&key, black_box(&base), tag.as_ref()).expect("good"));
}

#[divan::bench]
fn digest_of_a_small_body(bencher: Bencher<'_, '_>) {
    let bench = Bench::new("HS256");
    let verified = verify(&bench.request, &bench.keys, &bench.rules, NOW, true).expect("good");
    bencher.bench_local(|| {
        let mut digester = digest::Digester::new(verified.digests().expect("covered"));
        digester.update(black_box(BODY));
        digester.finish().expect("good");
    });
}
