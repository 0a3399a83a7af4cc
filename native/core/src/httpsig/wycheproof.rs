//! The verifying primitives, as we set them up, against Project Wycheproof's vectors.
//!
//! Keys go in as JWKs, so that reading them is tested with it.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::Deserialize;
use serde_json::{Value, json};

use super::KeySet;

#[derive(Deserialize)]
struct File {
    #[serde(rename = "testGroups")]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(rename = "publicKey")]
    public_key: Option<Value>,
    #[serde(rename = "mgfSha")]
    mgf_sha: Option<String>,
    #[serde(rename = "sLen")]
    salt_bytes: Option<u32>,
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    #[serde(rename = "tcId")]
    id: u32,
    comment: String,
    key: Option<String>,
    msg: String,
    #[serde(alias = "tag")]
    sig: String,
    result: String,
}

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).expect("hexadecimal")
}

fn octets(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Members of the JWK of this algorithm for a public key as Wycheproof writes it.
fn jwk(alg: &str, key: &Value) -> Value {
    let member = |name: &str| hex(key[name].as_str().expect("a member of the key"));
    match alg {
        "Ed25519" => json!({ "kty": "OKP", "crv": "Ed25519", "x": octets(&member("pk")) }),
        "ES256" | "ES384" => {
            let point = member("uncompressed");
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            let curve = if alg == "ES256" { "P-256" } else { "P-384" };
            json!({ "kty": "EC", "crv": curve, "x": octets(x), "y": octets(y) })
        }
        _ => {
            let number = |name| {
                let number = member(name);
                let start = number.iter().position(|&octet| octet != 0).expect("not zero");
                octets(&number[start..])
            };
            json!({ "kty": "RSA", "n": number("modulus"), "e": number("publicExponent") })
        }
    }
}

fn key_set(alg: &str, mut jwk: Value) -> Result<KeySet, String> {
    jwk["kid"] = "k".into();
    jwk["alg"] = alg.into();
    jwk["principal"] = "spiffe://wycheproof.example/k".into();
    KeySet::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes()).map_err(|errors| errors[0].to_string())
}

/// Runs a file; returns how many tests were valid and how many were not.
fn run(alg: &str, file: &str, mut expected: impl FnMut(&Group, &Test) -> bool) -> (usize, usize) {
    let file: File = serde_json::from_str(file).expect("vectors");
    let mut counts = (0, 0);
    for group in &file.groups {
        let shared = group.public_key.as_ref().map(|key| key_set(alg, jwk(alg, key)).expect("a good key"));
        for test in &group.tests {
            let own = || key_set(alg, json!({ "kty": "oct", "k": octets(&hex(test.key.as_ref().expect("a key"))) }));
            let verified = match &shared {
                Some(keys) => verifies(keys, test),
                None => own().is_ok_and(|keys| verifies(&keys, test)),
            };
            assert_eq!(verified, expected(group, test), "{alg} {}: {}", test.id, test.comment);
            if verified { counts.0 += 1 } else { counts.1 += 1 }
        }
    }
    counts
}

fn verifies(keys: &KeySet, test: &Test) -> bool {
    keys.get("k").expect("the key").verify(&hex(&test.msg), &hex(&test.sig)).is_ok()
}

macro_rules! vectors {
    ($name:literal) => {
        include_str!(concat!("../../../../tests/vectors/wycheproof/", $name, "_test.json"))
    };
}

fn valid(_: &Group, test: &Test) -> bool {
    assert!(matches!(test.result.as_str(), "valid" | "invalid"), "nothing is merely acceptable");
    test.result == "valid"
}

#[test]
fn hmac_sha256() {
    // A truncated tag is no tag, and a key of less than 256 bits is no key (RFC 7518 section 3.2).
    let full = |_: &Group, test: &Test| {
        test.result == "valid" && test.sig.len() == 64 && test.key.as_ref().is_some_and(|key| key.len() >= 64)
    };
    let (good, bad) = run("HS256", vectors!("hmac_sha256"), full);
    assert!(good > 20 && bad > 100, "{good} {bad}");
}

#[test]
fn ed25519() {
    let (good, bad) = run("Ed25519", vectors!("ed25519"), valid);
    assert!(good > 60 && bad > 50, "{good} {bad}");
}

#[test]
fn ecdsa_p256_sha256() {
    let (good, bad) = run("ES256", vectors!("ecdsa_secp256r1_sha256_p1363"), valid);
    assert!(good > 100 && bad > 80, "{good} {bad}");
}

#[test]
fn ecdsa_p384_sha384() {
    let (good, bad) = run("ES384", vectors!("ecdsa_secp384r1_sha384_p1363"), valid);
    assert!(good > 100 && bad > 80, "{good} {bad}");
}

#[test]
fn rsa_pss_sha512() {
    let (good, bad) = run("PS512", vectors!("rsa_pss_4096_sha512_mgf1_64"), valid);
    assert!(good > 60 && bad > 40, "{good} {bad}");
}

#[test]
fn rsa_pss_sha512_has_one_salt_length_and_one_mask() {
    // "salt length (sLen) of 64", "mask generation function [...] MGF1 [...] with a hash function of SHA-512"
    // (RFC 9421 section 3.3.1); the vectors are valid each under its own parameters.
    let ours = |group: &Group, _: &Test| group.mgf_sha.as_deref() == Some("SHA-512") && group.salt_bytes == Some(64);
    assert_eq!(run("PS512", vectors!("rsa_pss_misc"), ours), (1, 29));
}

#[test]
fn rsa_v1_5_sha256() {
    // Wycheproof's `acceptable`: the digest's NULL parameter is missing, which RFC 8017 section 8.2.2 does not allow.
    let strict = |_: &Group, test: &Test| test.result == "valid";
    let (good, bad) = run("RS256", vectors!("rsa_signature_2048_sha256"), strict);
    assert!(good > 5 && bad > 200, "{good} {bad}");
}
