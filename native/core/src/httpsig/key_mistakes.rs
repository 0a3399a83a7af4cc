//! Every rule of a key set, broken once.

use serde_json::{Value, json};

use super::fixture::jwk;
use super::{KeyError, KeySet, SigningKey};

const RFC: &str = include_str!("../../../../tests/vectors/rfc9421.json");

/// A published key, changed.
fn changed(kid: &str, change: impl Fn(&mut Value)) -> Value {
    let vectors: Value = serde_json::from_str(RFC).expect("vectors");
    let keys = vectors["keys"].as_array().expect("keys");
    let mut key = keys.iter().find(|key| key["kid"] == kid).expect("a published key").clone();
    change(&mut key);
    key
}

fn read(keys: &[Value]) -> Result<KeySet, Vec<KeyError>> {
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes())
}

/// The members that this key is refused for.
fn wrong(key: Value) -> Vec<&'static str> {
    let errors = read(&[key]).err().unwrap_or_default();
    errors.iter().map(|error| error.member).collect()
}

#[test]
fn every_mistake_of_every_key_is_reported_at_once() {
    let bad = json!({ "kid": "", "alg": "none", "principal": "joe", "use": "enc", "key_ops": ["encrypt"] });
    let good = changed("test-shared-secret", |_| ());
    let errors = read(&[bad, json!(7), good.clone(), good]).expect_err("mistakes");
    let named: Vec<_> = errors.iter().map(|error| (error.index, error.member)).collect();
    let expected = [
        (Some(0), "kid"),
        (Some(0), "principal"),
        (Some(0), "use"),
        (Some(0), "key_ops"),
        (Some(0), "alg"),
        (Some(1), "key"),
        (Some(3), "kid"),
    ];
    assert_eq!(named, expected);
}

#[test]
fn a_set_is_an_object_with_keys() {
    for text in ["", "{", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}x"#, "{\"keys\":[\"\u{1}\"]}"] {
        assert!(KeySet::from_jwks(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn the_key_type_and_curve_fit_the_algorithm() {
    let set = |member: &'static str, value: &'static str| move |key: &mut Value| key[member] = value.into();
    assert_eq!(wrong(changed("test-shared-secret", set("kty", "RSA"))), ["kty"]);
    assert_eq!(wrong(changed("test-key-rsa", set("kty", "oct"))), ["kty"]);
    assert_eq!(wrong(changed("test-key-rsa-pss", set("alg", "HS256"))), ["kty"], "algorithm confusion in the file");
    assert_eq!(wrong(changed("test-key-ecc-p256", set("crv", "P-384"))), ["crv"]);
    assert_eq!(wrong(changed("test-key-ecc-p256", set("alg", "ES384"))), ["crv"]);
    assert_eq!(wrong(changed("test-key-ed25519", set("crv", "X25519"))), ["crv"]);
    assert_eq!(wrong(changed("test-key-ed25519", set("alg", "ES256"))), ["kty"]);
    for name in ["none", "HS512", "hs256", "RSA-OAEP", "ES256K", "hmac-sha256", ""] {
        let key = changed("test-shared-secret", |key| key["alg"] = name.into());
        assert_eq!(wrong(key), ["alg"], "{name}");
    }
    assert_eq!(wrong(changed("test-shared-secret", |key| key["alg"] = Value::Null)), ["alg"]);
    assert!(read(&[changed("test-key-ed25519", set("alg", "EdDSA"))]).is_ok());
}

#[test]
fn use_and_key_ops_must_allow_verifying() {
    let with =
        |member: &'static str, value: Value| wrong(changed("test-key-ecc-p256", |key| key[member] = value.clone()));
    assert!(with("use", json!("sig")).is_empty());
    assert!(with("key_ops", json!(["sign", "verify"])).is_empty());
    assert_eq!(with("use", json!("enc")), ["use"]);
    assert_eq!(with("use", json!(1)), ["use"]);
    assert_eq!(with("key_ops", json!(["sign"])), ["key_ops"]);
    assert_eq!(with("key_ops", json!([])), ["key_ops"]);
    assert_eq!(with("key_ops", json!("verify")), ["key_ops"]);
}

#[test]
fn a_kid_can_be_named_by_a_signature_and_is_not_reserved() {
    let with = |kid: &str| wrong(changed("test-shared-secret", |key| key["kid"] = kid.into()));
    assert!(with(&"k".repeat(256)).is_empty());
    assert!(with("a \"quoted\\ key").is_empty());
    for kid in ["", "tls-exporter", "caf\u{e9}", "a\nb", &"k".repeat(257)] {
        assert_eq!(with(kid), ["kid"], "{kid}");
    }
}

#[test]
fn a_key_that_is_too_small_too_large_or_unsound_is_refused() {
    let with = |kid: &str, member: &str, value: &str| wrong(changed(kid, |key| key[member] = value.into()));
    let octets = |octets: &[u8]| data_encoding::BASE64URL_NOPAD.encode(octets);
    assert_eq!(with("test-shared-secret", "k", &octets(&[1; 31])), ["k"]);
    assert!(with("test-shared-secret", "k", &octets(&[1; 32])).is_empty());
    assert_eq!(with("test-shared-secret", "k", "AA=="), ["k"], "padding");
    let modulus = |bytes: usize, first: u8| octets(&[&[first][..], &vec![0xff; bytes - 1]].concat());
    assert!(with("test-key-rsa-pss", "n", &modulus(256, 0x80)).is_empty());
    assert_eq!(with("test-key-rsa-pss", "n", &modulus(256, 0x7f)), ["n"], "2047 bits");
    assert!(with("test-key-rsa-pss", "n", &modulus(1024, 0x80)).is_empty());
    assert_eq!(with("test-key-rsa-pss", "n", &modulus(1025, 1)), ["n"], "8193 bits");
    assert_eq!(with("test-key-rsa-pss", "n", &modulus(257, 0)), ["n"], "a leading zero octet");
    assert_eq!(with("test-key-rsa-pss", "n", &octets(&[0xfe; 256])), ["n"], "an even modulus");
    for exponent in [&[][..], &[0], &[1], &[2], &[4], &[1, 0, 0, 0, 1]] {
        assert_eq!(with("test-key-rsa", "e", &octets(exponent)), ["e"], "{exponent:?}");
    }
    assert_eq!(with("test-key-ecc-p256", "y", &octets(&[1; 32])), ["x"], "not on the curve");
    assert_eq!(with("test-key-ecc-p256", "x", &octets(&[1; 31])), ["x"]);
    assert_eq!(with("test-key-ed25519", "x", &octets(&[1; 33])), ["x"]);
}

#[test]
fn private_members_and_links_are_not_followed_but_mentioned() {
    let mut key = changed("test-key-ecc-p256", |key| key["jku"] = "https://evil.example/keys".into());
    let set = read(&[key.clone()]).expect("good");
    let mentioned: Vec<_> = set.warnings().iter().map(|warning| warning.member).collect();
    assert_eq!(mentioned, ["jku", "d"]);
    key.as_object_mut().expect("an object").retain(|member, _| member != "d" && member != "jku");
    assert!(read(&[key]).expect("good").warnings().is_empty());
}

#[test]
fn no_secret_is_ever_printed() {
    let vectors: Value = serde_json::from_str(RFC).expect("vectors");
    for key in vectors["keys"].as_array().expect("keys") {
        let secrets: Vec<_> = ["k", "d", "p", "q"].iter().filter_map(|&member| key[member].as_str()).collect();
        let mut broken = key.clone();
        broken["crv"] = "P-999".into();
        broken["use"] = "enc".into();
        let mut cut = key.clone();
        for member in ["k", "d", "n", "x"] {
            if let Some(text) = key[member].as_str() {
                cut[member] = format!("{text}!").into();
            }
        }
        let signing = SigningKey::from_jwk(key.to_string().as_bytes()).expect("a private key");
        let printed = format!(
            "{:?} {:?} {:?} {signing:?}",
            read(std::slice::from_ref(key)),
            read(&[broken]),
            read(&[cut.clone()])
        );
        let failed = SigningKey::from_jwk(cut.to_string().as_bytes()).expect_err("not base64url");
        assert!(!secrets.is_empty());
        for secret in secrets {
            assert!(!printed.contains(secret) && !format!("{failed:?}").contains(secret));
        }
    }
}

#[test]
fn a_key_is_found_by_its_id_among_many() {
    let keys: Vec<Value> =
        (0..1000).map(|number| serde_json::from_str(&jwk(&format!("k{number}"))).expect("a key")).collect();
    let set = read(&keys).expect("good");
    assert_eq!((set.len(), set.is_empty()), (1000, false));
    assert_eq!(set.get("k777").map(|key| &**key.principal()), Some("spiffe://test.example/k777"));
    assert!(set.get("k1000").is_none() && set.get("").is_none());
}

#[test]
fn a_private_key_that_is_not_the_public_keys_cannot_sign() {
    let sign =
        |key: Value| SigningKey::from_jwk(key.to_string().as_bytes()).map(|_| ()).map_err(|errors| errors[0].member);
    let octets = |octets: &[u8]| data_encoding::BASE64URL_NOPAD.encode(octets);
    for kid in ["test-key-rsa", "test-key-rsa-pss", "test-key-ecc-p256", "test-key-ed25519", "test-shared-secret"] {
        assert_eq!(sign(changed(kid, |_| ())), Ok(()), "{kid}");
        if kid == "test-shared-secret" {
            continue;
        }
        assert_eq!(sign(changed(kid, |key| key["d"] = octets(&[7; 32]).into())), Err("d"), "{kid}");
        assert_eq!(sign(changed(kid, |key| key["d"] = Value::Null)), Err("d"), "{kid}");
    }
    assert_eq!(sign(changed("test-key-rsa", |key| key["qi"] = octets(&[7; 128]).into())), Err("d"));
    assert_eq!(sign(changed("test-key-rsa", |key| key["oth"] = json!([]))), Err("oth"));
    assert_eq!(sign(changed("test-key-ecc-p256", |key| key["key_ops"] = json!(["verify"]))), Err("key_ops"));
    assert_eq!(sign(changed("test-key-ecc-p256", |key| key["key_ops"] = json!(["sign"]))), Ok(()));
}
