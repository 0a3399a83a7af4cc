//! Several signatures in one message: every row of the table in `verify`.

use super::SignParams;
use super::fixture::{COVERED, CREATED, DEFAULT, NONCE, Request, refused, request, try_verify, with_parameters};
use crate::rejection::Reason::*;

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
