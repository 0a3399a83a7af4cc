//! What is covered, what must be, and what cannot be.

use super::fixture::{
    COVERED, CREATED, DEFAULT, Request, at, key_set, reason, refused, request, rules, settings, try_verify,
    with_parameters,
};
use super::{Rules, verify};
use crate::rejection::Reason::*;

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
