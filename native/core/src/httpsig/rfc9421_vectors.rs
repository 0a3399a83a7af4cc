//! The test cases of RFC 9421: through base building and every algorithm, and then against our rules.

use data_encoding::BASE64;
use serde::Deserialize;

use super::base::write_base;
use super::fixture::Request;
use super::lines::Text;
use super::sign::SigningKey;
use super::signature_input::Inputs;
use super::{KeySet, Rules, verify};
use crate::settings::{SignatureSettings, Uncovered};
use crate::time::{NANOS_PER_S, Now};

#[derive(Deserialize)]
struct Vectors {
    keys: Vec<serde_json::Value>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    section: String,
    label: String,
    signature_input: String,
    signature: String,
    base: Vec<String>,
    key: String,
    /// `None` for a response, which is signed but never comes to us.
    request: Option<RequestVector>,
    /// Whether the algorithm gives the same signature every time.
    #[serde(default)]
    deterministic: bool,
    #[serde(default)]
    same_base: Vec<RequestVector>,
    #[serde(default)]
    other_base: Vec<RequestVector>,
    refused: String,
}

#[derive(Deserialize)]
struct RequestVector {
    method: String,
    url: String,
    fields: Vec<(String, String)>,
}

impl RequestVector {
    fn request(&self) -> Request {
        let request = Request::new(&self.method, &self.url);
        self.fields.iter().fold(request, |request, (name, value)| request.field(name, value))
    }
}

fn vectors() -> (Vectors, KeySet) {
    let vectors: Vectors =
        serde_json::from_str(include_str!("../../../../tests/vectors/rfc9421.json")).expect("vectors");
    let jwks = serde_json::json!({ "keys": vectors.keys }).to_string();
    let keys = KeySet::from_jwks(jwks.as_bytes()).expect("the keys of appendix B.1");
    (vectors, keys)
}

/// The signature base of this request for this Signature-Input member, no rule applied.
fn base(request: &Request, signature_input: &str) -> String {
    let field = format!("s={signature_input}");
    let mut inputs = Inputs::default();
    inputs.parse(field.as_bytes()).expect("well formed");
    let member = &inputs.members[0];
    assert!(member.fault.is_none());
    let mut base = Text::new();
    write_base(&mut base, request, &inputs.text, inputs.components_of(member), &inputs.text[member.text.clone()])
        .expect("every component has a value");
    String::from_utf8(base.to_vec()).expect("ASCII")
}

#[test]
fn every_published_signature_base_is_made() {
    for case in vectors().0.cases {
        let published = case.base.join("\n");
        for request in case.request.iter().chain(&case.same_base) {
            assert_eq!(base(&request.request(), &case.signature_input), published, "{}", case.section);
        }
        for request in &case.other_base {
            assert_ne!(base(&request.request(), &case.signature_input), published, "{}", case.section);
        }
    }
}

#[test]
fn every_published_signature_verifies_and_no_other() {
    let (vectors, keys) = vectors();
    for case in vectors.cases {
        let key = keys.get(&case.key).expect("a published key");
        let signature = BASE64.decode(case.signature.as_bytes()).expect("base64");
        let base = case.base.join("\n");
        assert!(key.verify(base.as_bytes(), &signature).is_ok(), "{}", case.section);
        assert!(key.verify(format!("{base} ").as_bytes(), &signature).is_err(), "{}", case.section);
        for other in keys.iter().filter(|other| other.kid() != key.kid()) {
            assert!(other.verify(base.as_bytes(), &signature).is_err(), "{}", case.section);
        }
        for at in [0, signature.len() / 2, signature.len() - 1] {
            let mut changed = signature.clone();
            changed[at] ^= 1;
            assert!(key.verify(base.as_bytes(), &changed).is_err(), "{}", case.section);
        }
        assert!(key.verify(base.as_bytes(), &signature[1..]).is_err(), "{}", case.section);
        assert!(key.verify(base.as_bytes(), &[]).is_err(), "{}", case.section);
    }
}

#[test]
fn signing_gives_the_published_signature_or_one_that_verifies() {
    let (vectors, keys) = vectors();
    for case in vectors.cases {
        let jwk = vectors.keys.iter().find(|jwk| jwk["kid"] == case.key).expect("a published key");
        let key = SigningKey::from_jwk(jwk.to_string().as_bytes()).expect("a private key");
        let base = case.base.join("\n");
        let signature = key.sign(base.as_bytes()).expect("signed");
        if case.deterministic {
            assert_eq!(BASE64.encode(&signature), case.signature, "{}", case.section);
        }
        assert!(keys.get(&case.key).is_some_and(|key| key.verify(base.as_bytes(), &signature).is_ok()));
    }
}

#[test]
fn our_rules_refuse_each_published_signature_for_its_reason() {
    let (vectors, keys) = vectors();
    let rules = Rules::new(&SignatureSettings {
        require: ["@method", "@authority", "@path", "@query"].map(str::to_owned).to_vec(),
        require_if_present: Vec::new(),
        max_age_s: 30,
        clock_skew_s: 5,
        uncovered: Uncovered::Forward,
        allow_rsa_v1_5: true,
    })
    .expect("good rules");
    let at = |now_s: u64| Now { unix_ns: now_s * NANOS_PER_S, boot_ns: 0 };
    for case in vectors.cases {
        let Case { label, signature_input, signature, .. } = &case;
        let request = case.request.as_ref().map_or_else(|| Request::new("GET", "http://x/"), RequestVector::request);
        let signed = request
            .field("Signature-Input", &format!("{label}={signature_input}"))
            .field("Signature", &format!("{label}=:{signature}:"));
        let reason = |now| verify(&signed, &keys, &rules, now, true).expect_err("refused").reason.label();
        assert_eq!(reason(at(1_618_884_480)), case.refused, "{}", case.section);
        // The one with a nonce is refused for its age, too, and for the clock that made it.
        if case.section == "B.2.1" {
            assert_eq!(reason(at(1_700_000_000)), "signature-expired");
            assert_eq!(reason(at(1_600_000_000)), "signature-future");
        }
    }
}
