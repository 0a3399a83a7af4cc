//! Signatures: nothing that a stranger writes is accepted, and whatever our signer makes is.

use pyproxy_core::httpsig::{KeySet, Message, Rules, SignParams, SigningKey, digest::Digests, sign, verify};
use pyproxy_core::rejection::Reason;
use pyproxy_core::settings::{SignatureSettings, Uncovered};
use pyproxy_core::time::{NANOS_PER_S, Now};

/// Words of Signature-Input, Signature and Content-Digest.
pub const SIGNATURE_WORDS: &[&[u8]] = &[
    b"sig1=(",
    b")",
    b"\"@method\"",
    b"\"@authority\"",
    b"\"@path\"",
    b"\"@query\"",
    b"\"@target-uri\"",
    b"\"@status\"",
    b"\"@query-param\";name=\"a\"",
    b"\"priority\"",
    b";sf",
    b";bs",
    b";key=\"u\"",
    b";req",
    b";tr",
    b";created=1700000000",
    b";nonce=\"0123456789abcdef\"",
    b";keyid=\"k\"",
    b";alg=\"hmac-sha256\"",
    b";expires=1700000009",
    b";tag=\"t\"",
    b", ",
    b"sig1=:",
    b":",
    b"sha-256=:",
    b"\\\"",
    b"?1",
    b"\n",
    b"@path",
    b"@query-param;name=\"a\"",
    b"priority;sf",
];

const CREATED: u64 = 1_700_000_000;
const NOW: Now = Now { unix_ns: CREATED * NANOS_PER_S, boot_ns: 0 };
const JWK: &str = r#"{"kid":"k","alg":"HS256","kty":"oct","principal":"spiffe://fuzz.example/k","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}"#;

/// The lines of the input are Signature-Input, Signature, Content-Digest, and then one component each.
pub fn signature_input(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (input, signature, digest) = (line(), line(), line());
    let keys = KeySet::from_jwks(format!(r#"{{"keys":[{JWK}]}}"#).as_bytes()).expect("a good key");
    let rules = Rules::new(&settings()).expect("good rules");

    let mut request = Request { signature_fields: vec![("signature-input", input), ("signature", signature)], digest };
    let refused = verify(&request, &keys, &rules, NOW, false).expect_err("a stranger has no key");
    assert_eq!(refused.reason.status(), 401);
    assert_ne!(refused.reason, Reason::DigestMismatch, "no body has been seen");
    let digests = Digests::parse([digest]);

    let components: Option<Vec<&str>> = lines.map(|line| std::str::from_utf8(line).ok()).collect();
    let Some(components) = components else { return };
    let key = SigningKey::from_jwk(JWK.as_bytes()).expect("a good key");
    let params = SignParams {
        label: "sig1",
        components: &components,
        created: CREATED,
        expires: None,
        nonce: "0123456789abcdef",
        tag: None,
        alg: true,
    };
    let Ok((input, signature)) = sign(&request, &key, &params) else { return };
    request.signature_fields = vec![("signature-input", input.as_bytes()), ("signature", signature.as_bytes())];
    match verify(&request, &keys, &rules, NOW, false) {
        Ok(verified) => assert_eq!(verified.nonce(), b"0123456789abcdef"),
        Err(refused) => assert!(refused.reason == Reason::DigestUnsupported && digests.is_err(), "{refused:?}"),
    }
    // And for no other method, although everything else is the same.
    let other = OtherMethod(&request);
    let covers_method = components.iter().any(|component| component.starts_with("@method"));
    assert!(!covers_method || verify(&other, &keys, &rules, NOW, false).is_err());
}

fn settings() -> SignatureSettings {
    SignatureSettings {
        require: Vec::new(),
        require_if_present: Vec::new(),
        max_age_s: 30,
        clock_skew_s: 5,
        uncovered: Uncovered::Forward,
        allow_rsa_v1_5: false,
    }
}

struct Request<'d> {
    signature_fields: Vec<(&'static str, &'d [u8])>,
    digest: &'d [u8],
}

impl Message for Request<'_> {
    fn method(&self) -> &str {
        "POST"
    }
    fn scheme(&self) -> &str {
        "https"
    }
    fn authority(&self) -> &str {
        "Orders.internal:443"
    }
    fn path(&self) -> &str {
        "/v1/items"
    }
    fn query(&self) -> Option<&str> {
        Some("a=1&b=%20+&a%00=2&c")
    }
    fn request_target(&self) -> &str {
        "/v1/items?a=1&b=%20+&a%00=2&c"
    }
    fn field(&self, lower_name: &str, each: &mut dyn FnMut(&[u8])) {
        match lower_name {
            "priority" => each(b"u=1,   i;a;b=\"c\""),
            "accept" => {
                each(b" text/plain ");
                each(b"*/*");
            }
            "content-digest" => each(self.digest),
            other => {
                self.signature_fields.iter().filter(|(name, _)| *name == other).for_each(|(_, value)| each(value));
            }
        }
    }
}

/// The same request with another method.
struct OtherMethod<'r, 'd>(&'r Request<'d>);

impl Message for OtherMethod<'_, '_> {
    fn method(&self) -> &str {
        "PUT"
    }
    fn scheme(&self) -> &str {
        self.0.scheme()
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
        self.0.request_target()
    }
    fn field(&self, lower_name: &str, each: &mut dyn FnMut(&[u8])) {
        self.0.field(lower_name, each);
    }
}
