//! Requests, keys and rules for tests.

use data_encoding::{BASE64, BASE64URL_NOPAD};

use super::base::write_base;
use super::lines::Text;
use super::signature_input::Inputs;
use super::{KeySet, Message, Rules, SignParams, SigningKey, Verified, sign, verify};
use crate::rejection::{Reason, Rejection};
use crate::settings::{SignatureSettings, Uncovered};
use crate::time::{NANOS_PER_S, Now};

/// A request that owns its parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) scheme: String,
    pub(crate) authority: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
}

impl Request {
    /// A request for an absolute URL, in origin-form.
    pub(crate) fn new(method: &str, url: &str) -> Self {
        let (scheme, rest) = url.split_once("://").expect("an absolute URL");
        let (authority, target) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.to_owned())));
        Self {
            method: method.into(),
            scheme: scheme.into(),
            authority: authority.into(),
            path: path.into(),
            query,
            target: target.into(),
            fields: Vec::new(),
        }
    }

    /// With one more field line.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.into(), value.as_bytes().to_vec()));
        self
    }
}

impl Message for Request {
    fn method(&self) -> &str {
        &self.method
    }
    fn scheme(&self) -> &str {
        &self.scheme
    }
    fn authority(&self) -> &str {
        &self.authority
    }
    fn path(&self) -> &str {
        &self.path
    }
    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
    fn request_target(&self) -> &str {
        &self.target
    }
    fn field(&self, lower_name: &str, each: &mut dyn FnMut(&[u8])) {
        self.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(lower_name)).for_each(|(_, value)| each(value));
    }
}

/// When the calls of these tests are signed.
pub(crate) const CREATED: u64 = 1_700_000_000;
/// Their nonce.
pub(crate) const NONCE: &str = "0123456789abcdef";

/// A moment, in seconds since 1970.
pub(crate) fn at(unix_s: u64) -> Now {
    Now { unix_ns: unix_s * NANOS_PER_S, boot_ns: 0 }
}

/// The JWK of a test's key: `alice` and `bob` have secrets, `carol` an Ed25519 key.
pub(crate) fn jwk(kid: &str) -> String {
    let key = match kid {
        "carol" => r#""alg":"Ed25519","kty":"OKP","crv":"Ed25519","x":"JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs","d":"n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU""#.to_owned(),
        _ => format!(r#""alg":"HS256","kty":"oct","k":"{}""#, BASE64URL_NOPAD.encode(kid.repeat(32).as_bytes())),
    };
    format!(r#"{{"kid":"{kid}","principal":"spiffe://test.example/{kid}",{key}}}"#)
}

/// The keys that the gate of these tests knows.
pub(crate) fn key_set(kids: &[&str]) -> KeySet {
    let keys: Vec<_> = kids.iter().map(|kid| jwk(kid)).collect();
    KeySet::from_jwks(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes()).expect("good keys")
}

/// The rules of the default configuration, with these components required.
pub(crate) fn rules(require: &[&str]) -> Rules {
    Rules::new(&settings(require)).expect("good rules")
}

pub(crate) fn settings(require: &[&str]) -> SignatureSettings {
    SignatureSettings {
        require: require.iter().map(|&component| component.to_owned()).collect(),
        require_if_present: Vec::new(),
        max_age_s: 30,
        clock_skew_s: 5,
        uncovered: Uncovered::Forward,
        allow_rsa_v1_5: false,
    }
}

impl Request {
    /// Signed by one of the test's keys, whether or not the gate knows it.
    pub(crate) fn signed(self, kid: &str, label: &str, components: &[&str]) -> Self {
        let params =
            SignParams { label, components, created: CREATED, expires: None, nonce: NONCE, tag: None, alg: false };
        self.signed_with(kid, &params)
    }

    pub(crate) fn signed_with(self, kid: &str, params: &SignParams<'_>) -> Self {
        let key = SigningKey::from_jwk(jwk(kid).as_bytes()).expect("a private key");
        let (input, signature) = sign(&self, &key, params).expect("signed");
        self.field("Signature-Input", &input).field("Signature", &signature)
    }

    /// Signed over whatever this Signature-Input member says, well formed or not: what an insider could send.
    pub(crate) fn forged_input(self, kid: &str, label: &str, member: &str) -> Self {
        let key = SigningKey::from_jwk(jwk(kid).as_bytes()).expect("a private key");
        let field = format!("{label}={member}");
        let mut inputs = Inputs::default();
        let mut base = Text::new();
        if inputs.parse(field.as_bytes()).is_ok() {
            let input = &inputs.members[0];
            let components = inputs.components_of(input);
            let _ = write_base(&mut base, &self, &inputs.text, components, &inputs.text[input.text.clone()]);
        }
        let signature = BASE64.encode(&key.sign(&base).expect("signed"));
        self.field("Signature-Input", &field).field("Signature", &format!("{label}=:{signature}:"))
    }

    /// Every line of this field replaced by one of this value.
    pub(crate) fn replace(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.field(name, value)
    }

    /// The value of the only line of this field.
    pub(crate) fn value(&self, name: &str) -> String {
        let mut values = Vec::new();
        Message::field(self, &name.to_ascii_lowercase(), &mut |value| {
            values.push(String::from_utf8_lossy(value).into_owned())
        });
        assert_eq!(values.len(), 1, "one line of {name}");
        values.remove(0)
    }
}

/// What the default configuration requires.
pub(crate) const DEFAULT: &[&str] = &["@method", "@authority", "@path", "@query"];

/// The call that attacks start from.
pub(crate) fn request() -> Request {
    Request::new("POST", "http://orders.internal/v1/items?id=1")
        .field("Content-Type", "text/plain")
        .field("X-Tenant", "7")
}

/// Verified by a gate that knows alice, bob and carol, at the moment of signing.
pub(crate) fn try_verify(request: &Request) -> Result<Verified, Rejection> {
    verify(request, &key_set(&["alice", "bob", "carol"]), &rules(DEFAULT), at(CREATED), false)
}

/// Why it is refused.
pub(crate) fn reason(request: &Request) -> Reason {
    let rejection = try_verify(request).expect_err("refused");
    rejection.reason
}

/// It is refused for this reason, and the detail speaks of this.
pub(crate) fn refused(request: &Request, reason: Reason, about: &str) {
    let rejection = try_verify(request).expect_err(about);
    assert_eq!(rejection.reason, reason, "{}", rejection.detail);
    assert!(rejection.detail.contains(about), "`{}` does not speak of `{about}`", rejection.detail);
}

/// Parameters that are in order, for Signature-Input members written by hand.
pub(crate) fn with_parameters(components: &str) -> String {
    format!("({components});created={CREATED};nonce=\"{NONCE}\";keyid=\"alice\"")
}

/// [`DEFAULT`] as Signature-Input writes it.
pub(crate) const COVERED: &str = r#""@method" "@authority" "@path" "@query""#;
