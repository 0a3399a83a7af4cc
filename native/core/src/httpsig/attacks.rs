//! Forged and changed signatures and parameters, and too much of everything: each is refused for its reason.

use data_encoding::BASE64URL_NOPAD;

use super::fixture::{
    COVERED, CREATED, DEFAULT, NONCE, Request, at, jwk, reason, refused, request, rules, settings, try_verify,
    with_parameters,
};
use super::{KeySet, Rules, SignParams, verify};
use crate::rejection::Reason::*;

#[test]
fn a_good_call_says_who_when_and_over_what() {
    let components = ["@method", "@authority", "@path", "@query", "x-tenant", "content-type;bs"];
    let verified = try_verify(&request().signed("alice", "sig1", &components)).expect("good");
    assert_eq!(&**verified.key_id(), "alice");
    assert_eq!(&**verified.principal(), "spiffe://test.example/alice");
    assert_eq!(verified.created(), CREATED);
    assert_eq!(verified.nonce(), NONCE.as_bytes());
    assert!(verified.covers_field("x-tenant") && verified.covers_field("content-type"));
    for name in ["host", "tenant", "x-tenan", "@method", "", "x-tenant\ncontent-type"] {
        assert!(!verified.covers_field(name), "{name:?}");
    }
    assert!(verified.digests().is_none());
}

#[test]
fn an_unsigned_call_and_half_a_signature_are_refused() {
    refused(&request(), SignatureMissing, "no Signature");
    let mut half = request().signed("alice", "sig1", DEFAULT);
    half.fields.retain(|(name, _)| name != "Signature");
    refused(&half, SignatureMalformed, "sig1");
    let mut half = request().signed("alice", "sig1", DEFAULT);
    half.fields.retain(|(name, _)| name != "Signature-Input");
    refused(&half, SignatureMalformed, "sig1");
    refused(&request().field("Signature-Input", "").field("Signature", ""), SignatureMissing, "no Signature");
}

#[test]
fn a_changed_part_that_is_covered_is_refused() {
    let components =
        ["@method", "@authority", "@path", "@query", "@request-target", "@scheme", "@target-uri", "x-tenant"];
    let signed = request().signed("carol", "sig1", &components);
    assert!(try_verify(&signed).is_ok());
    let changes: &[fn(&mut Request)] = &[
        |request| request.method = "GET".into(),
        |request| request.authority = "admin.internal".into(),
        |request| request.path = "/v2/items".into(),
        |request| request.query = Some("id=2".into()),
        |request| request.query = None,
        |request| request.scheme = "https".into(),
        |request| request.target = "/v1/items?id=1&".into(),
        |request| request.fields.push(("X-Tenant".into(), b"8".to_vec())),
        |request| request.fields.retain(|(name, _)| name != "X-Tenant"),
        |request| {
            request.fields.iter_mut().filter(|(name, _)| name == "X-Tenant").for_each(|(_, value)| value.push(b'8'))
        },
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut changed = signed.clone();
        change(&mut changed);
        assert_eq!(reason(&changed), SignatureInvalid, "change {index}");
    }
}

#[test]
fn a_changed_parameter_is_refused() {
    let signed = request().signed("alice", "sig1", DEFAULT);
    let input = signed.value("Signature-Input");
    for (old, new) in [
        ("created=1700000000", "created=1700000001"),
        ("0123456789abcdef", "0123456789abcdeF"),
        ("\"alice\"", "\"bob\""),
        ("\"@query\")", "\"@query\" \"x-tenant\")"),
        ("\"@method\" \"@authority\"", "\"@authority\" \"@method\""),
        (";created", ";tag=\"x\";created"),
    ] {
        assert!(input.contains(old));
        let changed = signed.clone().replace("Signature-Input", &input.replace(old, new));
        assert_eq!(reason(&changed), SignatureInvalid, "{old} -> {new}");
    }
    let expires = signed.clone().replace("Signature-Input", &format!("{input};expires=1700000600"));
    assert_eq!(reason(&expires), SignatureInvalid);
}

#[test]
fn a_secret_of_an_asymmetric_key_is_not_its_public_key() {
    // The attacker signs with HMAC, the secret being what everybody knows: the public key.
    let public = "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs";
    let as_secret = jwk("alice").replace(&BASE64URL_NOPAD.encode("alice".repeat(32).as_bytes()), public);
    let attacker =
        super::SigningKey::from_jwk(as_secret.replace("\"alice\"", "\"carol\"").as_bytes()).expect("a secret");
    for alg in [false, true] {
        let params = SignParams {
            label: "sig1",
            components: DEFAULT,
            created: CREATED,
            expires: None,
            nonce: NONCE,
            tag: None,
            alg,
        };
        let (input, signature) = super::sign(&request(), &attacker, &params).expect("signed");
        let forged = request().field("Signature-Input", &input).field("Signature", &signature);
        assert_eq!(reason(&forged), if alg { AlgorithmMismatch } else { SignatureInvalid });
    }
}

#[test]
fn the_message_does_not_choose_the_algorithm() {
    for alg in ["\"ed25519\"", "\"hmac-sha512\"", "\"none\"", "\"\"", "\"HMAC-SHA256\"", "hmac-sha256", "1"] {
        let forged = request().forged_input("alice", "sig1", &format!("{};alg={alg}", with_parameters(COVERED)));
        assert_eq!(reason(&forged), AlgorithmMismatch, "{alg}");
    }
    let honest = request().forged_input("alice", "sig1", &format!("{};alg=\"hmac-sha256\"", with_parameters(COVERED)));
    assert!(try_verify(&honest).is_ok());
}

#[test]
fn a_short_empty_or_long_signature_is_refused() {
    let signed = request().signed("alice", "sig1", DEFAULT);
    for signature in ["::", ":AAAA:", ":AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"] {
        assert_eq!(reason(&signed.clone().replace("Signature", &format!("sig1={signature}"))), SignatureInvalid);
    }
    for signature in ["\"AAAA\"", "1", "?1", "(:AAAA:)", ":!!:", ":AAAA"] {
        assert_eq!(reason(&signed.clone().replace("Signature", &format!("sig1={signature}"))), SignatureMalformed);
    }
}

#[test]
fn rsa_v1_5_is_off_unless_the_rules_allow_it() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/rfc9421.json")).expect("vectors");
    let jwk = vectors["keys"].as_array().expect("keys").iter().find(|key| key["alg"] == "RS256").expect("a key");
    let key = super::SigningKey::from_jwk(jwk.to_string().as_bytes()).expect("a private key");
    let params = SignParams {
        label: "s",
        components: DEFAULT,
        created: CREATED,
        expires: None,
        nonce: NONCE,
        tag: None,
        alg: true,
    };
    let (input, signature) = super::sign(&request(), &key, &params).expect("signed");
    let signed = request().field("Signature-Input", &input).field("Signature", &signature);
    let keys = KeySet::from_jwks(serde_json::json!({ "keys": [jwk] }).to_string().as_bytes()).expect("good");
    let mut settings = settings(DEFAULT);
    for (allowed, refused) in [(false, Some(AlgorithmMismatch)), (true, None)] {
        settings.allow_rsa_v1_5 = allowed;
        let rules = Rules::new(&settings).expect("good rules");
        let result = verify(&signed, &keys, &rules, at(CREATED), false);
        assert_eq!(result.err().map(|rejection| rejection.reason), refused);
    }
}

#[test]
fn created_nonce_and_keyid_are_needed_and_bounded() {
    let long = "n".repeat(257);
    let longest = "n".repeat(256);
    for (parameters, about) in [
        (format!("nonce=\"{NONCE}\";keyid=\"alice\""), "created is missing"),
        (format!("created={CREATED};keyid=\"alice\""), "nonce is missing"),
        (format!("created={CREATED};nonce=\"{NONCE}\""), "keyid is missing"),
        (format!("created=-1;nonce=\"{NONCE}\";keyid=\"alice\""), "less than 0"),
        (format!("created={CREATED}.0;nonce=\"{NONCE}\";keyid=\"alice\""), "not an integer"),
        (format!("created=@{CREATED};nonce=\"{NONCE}\";keyid=\"alice\""), "not an integer"),
        (format!("created=\"{CREATED}\";nonce=\"{NONCE}\";keyid=\"alice\""), "not an integer"),
        (format!("created;nonce=\"{NONCE}\";keyid=\"alice\""), "not an integer"),
        (format!("created={CREATED};nonce=\"123456789012345\";keyid=\"alice\""), "shorter than 16"),
        (format!("created={CREATED};nonce=\"\";keyid=\"alice\""), "shorter than 16"),
        (format!("created={CREATED};nonce=\"{long}\";keyid=\"alice\""), "longer than 256"),
        (format!("created={CREATED};nonce=aaaaaaaaaaaaaaaa;keyid=\"alice\""), "not a string"),
        (format!("created={CREATED};nonce=:AAAAAAAAAAAAAAAAAAAA:;keyid=\"alice\""), "not a string"),
        (format!("created={CREATED};nonce=\"{NONCE}\";keyid=alice"), "keyid is not a string"),
        (format!("created={CREATED};nonce=\"{NONCE}\";keyid=\"{long}\""), "keyid is longer"),
        (format!("created={CREATED};expires=soon;nonce=\"{NONCE}\";keyid=\"alice\""), "expires is not"),
        (format!("created={CREATED};expires=-5;nonce=\"{NONCE}\";keyid=\"alice\""), "expires is not"),
    ] {
        let forged = request().forged_input("alice", "s", &format!("({COVERED});{parameters}"));
        refused(&forged, SignatureParameters, about);
    }
    let good = request().forged_input(
        "alice",
        "s",
        &format!("({COVERED});created={CREATED};nonce=\"{longest}\";keyid=\"alice\""),
    );
    assert_eq!(try_verify(&good).expect("good").nonce(), longest.as_bytes());
}

#[test]
fn a_parameter_occurs_once() {
    for twice in [
        format!("created={CREATED}"),
        format!("nonce=\"{NONCE}\""),
        "keyid=\"alice\"".into(),
        "x;x".into(),
        "tag=\"a\";tag=\"a\"".into(),
    ] {
        let forged = request().forged_input("alice", "s", &format!("{};{twice}", with_parameters(COVERED)));
        refused(&forged, SignatureMalformed, "occurs twice");
    }
}

#[test]
fn an_escaped_nonce_is_the_nonce_that_it_stands_for() {
    let member = format!("({COVERED});created={CREATED};nonce=\"\\\\123456789abcde\\\"\";keyid=\"alice\"");
    let verified = try_verify(&request().forged_input("alice", "s", &member)).expect("good");
    assert_eq!(verified.nonce(), br#"\123456789abcde""#);
}

#[test]
fn how_signature_input_is_written_does_not_matter_but_what_it_says() {
    let signed = request().signed("alice", "sig1", DEFAULT);
    let input = signed.value("Signature-Input");
    let spaced = input.replace("(\"@method\" ", "(  \"@method\"   ").replace(";nonce", "; nonce").replace(")", " )");
    assert_ne!(spaced, input);
    assert!(try_verify(&signed.clone().replace("Signature-Input", &format!("  {spaced}  "))).is_ok());
    let zeros = input.replace("created=17", "created=0017");
    assert!(try_verify(&signed.clone().replace("Signature-Input", &zeros)).is_ok());
}

#[test]
fn time_is_judged_before_any_cryptography_and_told_apart() {
    let at_time = |created: u64, expires: Option<u64>| {
        let params =
            SignParams { label: "s", components: DEFAULT, created, expires, nonce: NONCE, tag: None, alg: false };
        try_verify(&request().signed_with("alice", &params)).err().map(|rejection| rejection.reason)
    };
    assert_eq!(at_time(CREATED, Some(CREATED + 1)), None);
    assert_eq!(at_time(CREATED - 35, None), None);
    assert_eq!(at_time(CREATED - 36, None), Some(SignatureExpired));
    assert_eq!(at_time(CREATED + 5, None), None);
    assert_eq!(at_time(CREATED + 6, None), Some(SignatureFuture));
    assert_eq!(at_time(999_999_999_999_999, None), Some(SignatureFuture));
    assert_eq!(at_time(0, None), Some(SignatureExpired));
    assert_eq!(at_time(CREATED, Some(CREATED)), Some(SignatureExpired));
    assert_eq!(at_time(CREATED - 20, Some(CREATED - 6)), Some(SignatureExpired));
}

#[test]
fn more_than_is_sane_is_refused_before_any_work() {
    let signed = request().signed("alice", "sig1", DEFAULT);
    let labels = |count: usize, value: &str| (0..count).map(|n| format!("l{n}={value}")).collect::<Vec<_>>().join(", ");
    let strangers = |count| {
        signed
            .clone()
            .field("Signature-Input", &labels(count, "();keyid=\"m\""))
            .field("Signature", &labels(count, ":AAAA:"))
    };
    assert!(try_verify(&strangers(7)).is_ok());
    refused(&strangers(8), SignatureMalformed, "8 labels");
    refused(&strangers(4000), SignatureMalformed, "8 labels");

    let many: String = (0..129).map(|n| format!("\"x{n}\" ")).collect();
    refused(
        &request().field("Signature-Input", &format!("s=({many})")).field("Signature", "s=:AAAA:"),
        SignatureMalformed,
        "128 components",
    );
    let many: String = (0..17).map(|n| format!(";x{n}")).collect();
    refused(
        &request().field("Signature-Input", &format!("s=(){many}")).field("Signature", "s=:AAAA:"),
        SignatureMalformed,
        "16 parameters",
    );
    refused(
        &request().field("Signature-Input", &format!("s=(\"a\"{many})")).field("Signature", "s=:AAAA:"),
        SignatureMalformed,
        "16 parameters",
    );
}

#[test]
fn a_long_request_is_signed_and_verified_like_a_short_one() {
    let long = Request::new("POST", &format!("http://x/{}?{}", "p".repeat(4000), "q".repeat(4000)))
        .field("X-Long", &"v".repeat(20_000));
    assert!(try_verify(&long.signed("alice", "s", &[DEFAULT, &["x-long", "x-long;bs"]].concat())).is_ok());
}

#[test]
fn what_is_no_structured_field_is_refused() {
    for input in [
        "sig1",
        "sig1=1",
        "sig1=\"a\"",
        "sig1=(a)",
        "sig1=(1)",
        "sig1=(\"a\"",
        "sig1=(\"a\"\"b\")",
        "sig1=() x",
        "sig1=(),",
        "Sig1=()",
        "sig1=(\"\u{e9}\")",
        "sig1=();a=",
        "=()",
        "\0",
    ] {
        let call = request().field("Signature-Input", input).field("Signature", "sig1=:AAAA:");
        assert_eq!(reason(&call), SignatureMalformed, "{input:?}");
    }
}

#[test]
fn an_empty_key_set_knows_nobody() {
    let signed = request().signed("alice", "s", DEFAULT);
    let keys = KeySet::from_jwks(br#"{"keys":[]}"#).expect("an empty set");
    assert_eq!(verify(&signed, &keys, &rules(DEFAULT), at(CREATED), false).expect_err("unknown").reason, KeyUnknown);
    assert_eq!(keys.warnings().len(), 1);
}
