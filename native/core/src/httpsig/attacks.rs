//! Attacks on signatures, each refused for its reason; and what must not refuse an honest call.

use data_encoding::BASE64URL_NOPAD;

use super::fixture::{CREATED, NONCE, Request, at, jwk, key_set, rules, settings};
use super::{KeySet, Rules, SignParams, Verified, verify};
use crate::rejection::Reason::{self, *};
use crate::rejection::Rejection;

const DEFAULT: &[&str] = &["@method", "@authority", "@path", "@query"];

fn request() -> Request {
    Request::new("POST", "http://orders.internal/v1/items?id=1")
        .field("Content-Type", "text/plain")
        .field("X-Tenant", "7")
}

fn try_verify(request: &Request) -> Result<Verified, Rejection> {
    verify(request, &key_set(&["alice", "bob", "carol"]), &rules(DEFAULT), at(CREATED), false)
}

fn reason(request: &Request) -> Reason {
    let rejection = try_verify(request).expect_err("refused");
    rejection.reason
}

fn refused(request: &Request, reason: Reason, about: &str) {
    let rejection = try_verify(request).expect_err(about);
    assert_eq!(rejection.reason, reason, "{}", rejection.detail);
    assert!(rejection.detail.contains(about), "`{}` does not speak of `{about}`", rejection.detail);
}

/// Parameters that are in order, for Signature-Input members written by hand.
fn with_parameters(components: &str) -> String {
    format!("({components});created={CREATED};nonce=\"{NONCE}\";keyid=\"alice\"")
}

const COVERED: &str = r#""@method" "@authority" "@path" "@query""#;

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

// ---- forged and changed ------------------------------------------------------------------------------------------

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

// ---- several signatures: the table of `verify` -------------------------------------------------------------------

#[test]
fn labels_mean_nothing() {
    assert!(try_verify(&request().signed("alice", "x*-_.9", DEFAULT)).is_ok());
    let swapped = request().signed("alice", "one", DEFAULT).signed("mallory", "two", DEFAULT);
    assert!(try_verify(&swapped).is_ok());
    let input = |request: &Request, from: usize| {
        String::from_utf8_lossy(&request.fields[from].1)
            .replace("one=", "x=")
            .replace("two=", "one=")
            .replace("x=", "two=")
    };
    let mut attacked = swapped.clone();
    for at in [2, 4] {
        attacked.fields[at].1 = input(&swapped, at).into_bytes();
    }
    refused(&attacked, SignatureInvalid, "does not verify");
}

#[test]
fn a_strangers_signature_neither_helps_nor_hurts() {
    let alone = request().signed("mallory", "sig1", DEFAULT);
    refused(&alone, KeyUnknown, "mallory");
    for label in ["a", "z"] {
        let both = request().signed("mallory", label, &[]).signed("alice", "sig1", DEFAULT);
        assert!(try_verify(&both).is_ok(), "whatever it covers");
        let garbage = request()
            .signed("alice", "sig1", DEFAULT)
            .field(
                "Signature-Input",
                &format!("{label}=(\"@status\" \"X\" \"@nothing\";sf \"a\";req \"a\" \"a\");keyid=\"m\";created=?0"),
            )
            .field("Signature", &format!("{label}=:AAAA:"));
        assert!(try_verify(&garbage).is_ok(), "components that no request has are the stranger's business");
    }
    let nameless = request().field("Signature-Input", "a=();created=1").field("Signature", "a=:AAAA:");
    refused(&nameless, SignatureParameters, "keyid is missing");
    assert!(try_verify(&nameless.signed("alice", "sig1", DEFAULT)).is_ok());
}

#[test]
fn two_signatures_of_known_keys_are_ambiguous() {
    let two = request().signed("alice", "a", DEFAULT).signed("bob", "b", DEFAULT);
    refused(&two, SignatureAmbiguous, "two signatures");
    let same_key = request().signed("alice", "a", DEFAULT).signed("alice", "b", DEFAULT);
    refused(&same_key, SignatureAmbiguous, "two signatures");
}

#[test]
fn a_bad_credential_is_never_ignored_because_another_would_do() {
    for labels in [["a", "b"], ["b", "a"]] {
        let good = request().signed("alice", labels[0], DEFAULT);
        let forged = good
            .clone()
            .field("Signature-Input", &format!("{}={}", labels[1], with_parameters(COVERED).replace("alice", "bob")));
        refused(&forged.field("Signature", &format!("{}=:AAAA:", labels[1])), SignatureInvalid, "does not verify");
        refused(&good.clone().signed("bob", labels[1], &["@method"]), CoverageInsufficient, "@authority");
        let old = SignParams {
            label: labels[1],
            components: DEFAULT,
            created: CREATED - 99,
            expires: None,
            nonce: NONCE,
            tag: None,
            alg: false,
        };
        refused(&good.signed_with("bob", &old), SignatureExpired, "created");
    }
}

#[test]
fn more_than_two_known_keys_are_refused_without_cryptography() {
    // None of the three verifies, and yet it is ambiguous: nothing was tried.
    let mut three = request();
    for (label, kid) in [("a", "alice"), ("b", "bob"), ("c", "carol")] {
        three = three.field("Signature-Input", &format!("{label}={}", with_parameters(COVERED).replace("alice", kid)));
        three = three.field("Signature", &format!("{label}=:AAAA:"));
    }
    refused(&three, SignatureAmbiguous, "more than two");
}

#[test]
fn a_label_occurs_once_across_all_lines() {
    let signed = request().signed("alice", "sig1", DEFAULT);
    let input = signed.value("Signature-Input");
    let signature = signed.value("Signature");
    refused(&signed.clone().field("Signature-Input", &input), SignatureMalformed, "occurs twice");
    refused(&signed.clone().field("Signature", &signature), SignatureMalformed, "occurs twice");
    refused(&signed.clone().field("Signature", "sig1=:AAAA:"), SignatureMalformed, "occurs twice");
    let one_line = signed.clone().replace("Signature-Input", &format!("{input}, {input}"));
    refused(&one_line, SignatureMalformed, "occurs twice");
}

#[test]
fn a_dictionary_may_be_spread_over_lines() {
    let signed = request().signed("mallory", "a", DEFAULT).signed("alice", "sig1", DEFAULT).signed("eve", "b", &[]);
    assert_eq!(signed.fields.iter().filter(|(name, _)| name == "Signature").count(), 3);
    assert!(try_verify(&signed).is_ok());
}

// ---- components --------------------------------------------------------------------------------------------------

#[test]
fn what_must_be_covered_is_named_when_it_is_not() {
    for missing in DEFAULT {
        let components: Vec<_> = DEFAULT.iter().copied().filter(|component| component != missing).collect();
        refused(&request().signed("alice", "sig1", &components), CoverageInsufficient, missing);
    }
    let signed = request().signed("alice", "sig1", DEFAULT);
    let rejection = verify(&signed, &key_set(&["alice"]), &rules(DEFAULT), at(CREATED), true).expect_err("a body");
    assert_eq!(rejection.reason, CoverageInsufficient);
    assert!(rejection.detail.contains("content-digest"));
}

#[test]
fn a_rule_means_the_identifier_with_its_parameters() {
    let check = |require: &str, cover: &str| {
        let request = Request::new("GET", "http://x/?id=1&other=2").field("Priority", "u=1").field("Content-Type", "a");
        let signed = request.signed("alice", "sig1", &[cover]);
        verify(&signed, &key_set(&["alice"]), &rules(&[require]), at(CREATED), false).is_ok()
    };
    assert!(check("@query-param;name=\"id\"", "@query-param;name=\"id\""));
    assert!(!check("@query-param;name=\"id\"", "@query-param;name=\"other\""));
    assert!(!check("@query-param;name=\"id\"", "@query"));
    assert!(!check("priority", "priority;key=\"u\""));
    assert!(!check("priority", "priority;sf"));
    assert!(!check("priority;sf", "priority"));
    assert!(
        check("priority;key=\"u\";sf", "priority;sf;key=\"u\""),
        "the order of parameters makes no other identifier"
    );
}

#[test]
fn a_field_that_must_be_covered_if_it_is_there() {
    let mut settings = settings(DEFAULT);
    settings.require_if_present = vec!["x-tenant".into()];
    let rules = Rules::new(&settings).expect("good rules");
    let check = |request: &Request| {
        verify(request, &key_set(&["alice"]), &rules, at(CREATED), false).map_err(|rejection| rejection.reason).err()
    };
    assert_eq!(check(&request().signed("alice", "s", DEFAULT)), Some(CoverageInsufficient));
    let with = [DEFAULT, &["x-tenant"]].concat();
    assert_eq!(check(&request().signed("alice", "s", &with)), None);
    let with = [DEFAULT, &["x-tenant;bs"]].concat();
    assert_eq!(check(&request().signed("alice", "s", &with)), None);
    assert_eq!(check(&Request::new("GET", "http://x/").signed("alice", "s", DEFAULT)), None);
    // One member of a field is not the field.
    let dictionary = Request::new("GET", "http://x/").field("X-Tenant", "a=1, b=2");
    let with = [DEFAULT, &["x-tenant;key=\"a\""]].concat();
    assert_eq!(check(&dictionary.signed("alice", "s", &with)), Some(CoverageInsufficient));
}

#[test]
fn one_member_of_content_digest_is_not_a_covered_body() {
    let request = request().field("Content-Digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:");
    let check = |component: &str, has_body| {
        let signed = request.clone().signed("alice", "s", &[DEFAULT, &[component]].concat());
        verify(&signed, &key_set(&["alice"]), &rules(DEFAULT), at(CREATED), has_body)
    };
    assert_eq!(check("content-digest;key=\"sha-256\"", true).expect_err("thin").reason, CoverageInsufficient);
    for whole in ["content-digest", "content-digest;sf", "content-digest;bs"] {
        assert!(check(whole, true).expect("covered").digests().is_some(), "{whole}");
    }
    // Even where no body needs it, a digest that is covered is checked.
    assert!(check("content-digest;key=\"sha-256\"", false).expect("covered").digests().is_some());
}

#[test]
fn a_covered_digest_that_cannot_be_checked_is_refused() {
    for digest in ["md5=:AAAA:", "sha-256=:AAAA:", "sha-256", "nonsense,"] {
        let signed =
            request().field("Content-Digest", digest).signed("alice", "s", &[DEFAULT, &["content-digest"]].concat());
        assert_eq!(reason(&signed), DigestUnsupported, "{digest}");
    }
}

#[test]
fn a_field_named_like_a_derived_component_is_not_one() {
    // The field says GET, the request is a POST; and what is covered is the request.
    let call = request().field("@method", "GET").field("@path", "/harmless");
    assert!(try_verify(&call.clone().signed("alice", "s", DEFAULT)).is_ok());
    let signed_for_get = Request { method: "GET".into(), ..request() }.signed("alice", "s", DEFAULT);
    let attack = Request { method: "POST".into(), ..signed_for_get }.field("@method", "GET");
    assert_eq!(reason(&attack), SignatureInvalid);
    let unknown = call.forged_input("alice", "s", &with_parameters(&format!("{COVERED} \"@tenant\"")));
    refused(&unknown.field("@tenant", "7"), SignatureMalformed, "@tenant");
}

#[test]
fn components_that_a_request_cannot_have_are_refused() {
    for (component, about) in [
        (r#""@status""#, "responses"),
        (r#""@signature-params""#, "always covered"),
        (r#""@request-response""#, "not a derived component"),
        (r#""@query-params""#, "not a derived component"),
        (r#""@Method""#, "not a derived component"),
        (r#""""#, "not a field name"),
        (r#""X-Tenant""#, "lower case"),
        (r#""x tenant""#, "not a field name"),
        (r#""x-tenant\"""#, "not a field name"),
        (r#""x-tenant:""#, "not a field name"),
        (r#""x-tenant";req"#, "req"),
        (r#""@method";req"#, "req"),
        (r#""x-tenant";tr"#, "tr"),
        (r#""x-tenant";tr=?0"#, "tr"),
        (r#""x-tenant";sf=?0"#, "unknown"),
        (r#""x-tenant";key"#, "unknown"),
        (r#""x-tenant";key=tok"#, "unknown"),
        (r#""x-tenant";new"#, "unknown"),
        (r#""x-tenant";name="a""#, "name"),
        (r#""x-tenant";bs;sf"#, "bs"),
        (r#""x-tenant";key="a";bs"#, "bs"),
        (r#""x-tenant";bs;bs"#, "twice"),
        (r#""x-tenant";key="a";key="b""#, "twice"),
        (r#""@path";sf"#, "derived"),
        (r#""@path";name="id""#, "derived"),
        (r#""@query-param""#, "name"),
        (r#""@query-param";name="id";bs"#, "name"),
        (r#""@query-param";name=id"#, "unknown"),
    ] {
        let forged = request().forged_input("alice", "s", &with_parameters(&format!("{COVERED} {component}")));
        refused(&forged, SignatureMalformed, about);
    }
}

#[test]
fn nothing_is_covered_twice() {
    for component in [
        r#""@method""#,
        r#""x-tenant" "x-tenant""#,
        r#""x-tenant";bs "x-tenant";bs"#,
        r#""x-tenant";key="a";sf "x-tenant";sf;key="a""#,
        r#""@query-param";name="id" "@query-param";name="id""#,
    ] {
        let forged = request().forged_input("alice", "s", &with_parameters(&format!("{COVERED} {component}")));
        refused(&forged, SignatureMalformed, "twice");
    }
    let different = request().signed("alice", "s", &[DEFAULT, &["x-tenant", "x-tenant;bs"]].concat());
    assert!(try_verify(&different).is_ok());
}

#[test]
fn what_the_request_does_not_have_cannot_be_covered() {
    for component in [
        r#""x-absent""#,
        r#""x-absent";bs"#,
        r#""x-absent";sf"#,
        r#""x-tenant";sf"#,
        r#""x-tenant";key="a""#,
        r#""@query-param";name="no""#,
    ] {
        let forged = request().forged_input("alice", "s", &with_parameters(&format!("{COVERED} {component}")));
        assert_eq!(reason(&forged), SignatureInvalid, "{component}");
    }
}

// ---- parameters --------------------------------------------------------------------------------------------------

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

// ---- oversized everything ----------------------------------------------------------------------------------------

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
