//! Callers with keys: requests signed as a client would sign them, and a filter that remembers them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use pyproxy_core::httpsig::digest::content_digest;
use pyproxy_core::httpsig::{Message, SignParams, SigningKey, sign};
use pyproxy_core::replay::{Birth, ClearProgress, Filter, FilterSettings, initialise, words_needed};
use pyproxy_core::time::{NANOS_PER_S, Now};

/// The moment at which every world begins, seconds since 1970.
pub(crate) const T0: u64 = 1_700_000_000;
const UP_S: u64 = 1_000;
const BOOT_ID: [u8; 16] = [1; 16];

pub(crate) const PRINCIPAL: &str = "spiffe://prod.example/shop";

/// Two keys of two callers.
pub(crate) const JWKS: &str = r#"{"keys":[
    {"kid":"shop","kty":"oct","alg":"HS256","principal":"spiffe://prod.example/shop","k":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"},
    {"kid":"till","kty":"oct","alg":"HS256","principal":"spiffe://prod.example/till","k":"MTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}]}"#;
const JWK: &str = r#"{"kid":"shop","kty":"oct","alg":"HS256","k":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}"#;

/// So many seconds after [`T0`], on clocks that nobody sets.
pub(crate) fn at(seconds: u64) -> Now {
    Now { unix_ns: (T0 + seconds) * NANOS_PER_S, boot_ns: (UP_S + seconds) * NANOS_PER_S }
}

/// A filter that was made long before [`T0`], and is cleared for it.
pub(crate) fn filter() -> Arc<Filter> {
    let settings = FilterSettings { capacity: 1000, max_age_s: 30, clock_skew_s: 5 };
    let words: Vec<AtomicU64> = (0..words_needed(&settings).expect("in range")).map(|_| AtomicU64::new(0)).collect();
    let earlier = Now { unix_ns: (T0 - 100) * NANOS_PER_S, boot_ns: (UP_S - 100) * NANOS_PER_S };
    let birth = Birth { boot_id: BOOT_ID, tag_key: [7; 32], latest_before: 0 };
    initialise(&words, &settings, &birth, earlier).expect("settings");
    let filter = Filter::open(Box::new(words), &settings, BOOT_ID, 1).expect("just made");
    while let ClearProgress::Cleared(_) = filter.clear_step(at(0), usize::MAX) {}
    Arc::new(filter)
}

/// A call that is yet to be signed.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: &'static str,
    target: String,
    fields: Vec<(String, String)>,
    components: Vec<String>,
    body: Vec<u8>,
    chunks: Option<usize>,
    nonce: String,
    created: u64,
}

impl Call {
    pub(crate) fn get(nonce: u32) -> Self {
        Self {
            method: "GET",
            target: "/v1/x?a=b".into(),
            fields: Vec::new(),
            components: ["@method", "@authority", "@path", "@query"].map(Into::into).to_vec(),
            body: Vec::new(),
            chunks: None,
            nonce: format!("nonce-of-a-test-{nonce}"),
            created: T0,
        }
    }

    /// With Content-Length.
    pub(crate) fn post(nonce: u32, body: &[u8]) -> Self {
        Self { method: "POST", body: body.to_vec(), ..Self::get(nonce) }
    }

    /// In chunks of this size.
    pub(crate) fn chunked(mut self, size: usize) -> Self {
        self.chunks = Some(size);
        self
    }

    /// To another target.
    pub(crate) fn retarget(&mut self, target: &str) {
        self.target = target.into();
    }

    /// With one more field line; `covered` by the signature or not.
    pub(crate) fn field(mut self, name: &str, value: &str, covered: bool) -> Self {
        self.fields.push((name.into(), value.into()));
        if covered {
            self.components.push(name.to_ascii_lowercase());
        }
        self
    }

    /// Head and body as they go over the wire.
    pub(crate) fn sign(&self) -> (Vec<u8>, Vec<u8>) {
        let mut call = self.clone();
        if !call.body.is_empty() {
            call = call.field("Content-Digest", &content_digest(&self.body), true);
        }
        let components: Vec<&str> = call.components.iter().map(String::as_str).collect();
        let key = SigningKey::from_jwk(JWK.as_bytes()).expect("a key");
        let params = SignParams {
            label: "sig1",
            components: &components,
            created: call.created,
            expires: None,
            nonce: &call.nonce,
            tag: None,
            alg: true,
        };
        let (signature_input, signature) = sign(&call, &key, &params).expect("a signature");
        let mut head = format!("{} {} HTTP/1.1\r\nHost: orders.internal\r\n", call.method, call.target);
        for (name, value) in &call.fields {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Signature-Input: {signature_input}\r\nSignature: {signature}\r\n");
        match call.chunks {
            _ if self.body.is_empty() => {}
            None => head += &format!("Content-Length: {}\r\n", self.body.len()),
            Some(_) => head += "Transfer-Encoding: chunked\r\n",
        }
        head += "\r\n";
        (head.into_bytes(), call.framed())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (head, body) = self.sign();
        [head, body].concat()
    }

    fn framed(&self) -> Vec<u8> {
        let Some(size) = self.chunks else { return self.body.clone() };
        let mut framed = Vec::new();
        for chunk in self.body.chunks(size) {
            framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
        }
        framed.extend_from_slice(b"0\r\n\r\n");
        framed
    }
}

impl Message for Call {
    fn method(&self) -> &str {
        self.method
    }
    fn scheme(&self) -> &str {
        "http"
    }
    fn authority(&self) -> &str {
        "orders.internal"
    }
    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
    fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }
    fn request_target(&self) -> &str {
        &self.target
    }
    fn field(&self, lower_name: &str, each: &mut dyn FnMut(&[u8])) {
        for (name, value) in &self.fields {
            if name.eq_ignore_ascii_case(lower_name) {
                each(value.as_bytes());
            }
        }
    }
}
