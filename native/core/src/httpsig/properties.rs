//! Promises that hold for every message, tried on random ones.

use proptest::prelude::*;
use sfv::{Dictionary, FieldType, ListEntry, Parser};

use super::fixture::{CREATED, NONCE, Request, at, key_set, rules};
use super::signature_input::Inputs;
use super::{SignParams, verify};

const METHODS: &[&str] = &["GET", "POST", "DELETE", "M-SEARCH"];

fn request() -> impl Strategy<Value = Request> {
    let fields = prop::collection::vec(("[a-z][a-z0-9-]{0,8}", "[!-~]([ -~]{0,20}[!-~])?"), 0..6);
    (
        prop::sample::select(METHODS),
        "[a-z][a-z0-9.]{0,10}(:[1-9][0-9]{0,3})?",
        "(/[a-zA-Z0-9%.~-]{0,6}){1,4}",
        prop::option::of("[a-z0-9=&%+]{0,16}"),
        fields,
    )
        .prop_map(|(method, authority, path, query, fields)| {
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            let request = Request::new(method, &format!("http://{authority}{path}{query}"));
            fields.into_iter().fold(request, |request, (name, value)| request.field(&format!("x-{name}"), &value))
        })
}

/// What is covered: everything that there is, in an order that `seed` gives.
fn components(request: &Request, seed: usize) -> Vec<String> {
    let mut components: Vec<String> =
        ["@method", "@authority", "@path", "@query", "@target-uri", "@request-target", "@scheme"]
            .map(str::to_owned)
            .to_vec();
    for (index, (name, _)) in request.fields.iter().enumerate() {
        let component = if (seed >> index).is_multiple_of(2) { name.clone() } else { format!("{name};bs") };
        if !components.iter().any(|other| other.split(';').next() == Some(name)) {
            components.push(component);
        }
    }
    let middle = seed % components.len();
    components.rotate_left(middle);
    components
}

fn signed(request: &Request, kid: &str, seed: usize) -> Request {
    let components = components(request, seed);
    let components: Vec<_> = components.iter().map(String::as_str).collect();
    let params = SignParams {
        label: "s",
        components: &components,
        created: CREATED,
        expires: None,
        nonce: NONCE,
        tag: Some("t"),
        alg: seed.is_multiple_of(2),
    };
    request.clone().signed_with(kid, &params)
}

fn verifies(request: &Request) -> bool {
    let rules = rules(&["@method", "@authority", "@path", "@query"]);
    verify(request, &key_set(&["alice", "carol"]), &rules, at(CREATED), false).is_ok()
}

proptest! {
    #[test]
    fn what_is_signed_verifies(request in request(), seed in any::<usize>()) {
        prop_assert!(verifies(&signed(&request, "alice", seed)));
        prop_assert!(verifies(&signed(&request, "carol", seed)));
    }

    #[test]
    fn no_covered_byte_can_be_changed(request in request(), seed in any::<usize>(), part in 0_usize..12, place in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let signed = signed(&request, "alice", seed);
        let mut changed = signed.clone();
        let text = |text: &mut String| {
            // Change one character to another that the part can have.
            let at = place.index(text.len());
            let old = text.as_bytes()[at];
            let new = if old == b'1' || flip.is_multiple_of(2) && old != b'2' { '2' } else { 'z' };
            text.replace_range(at..=at, &new.to_string());
        };
        match part {
            0 => text(&mut changed.method),
            1 => text(&mut changed.authority),
            2 => text(&mut changed.path),
            3 => text(&mut changed.target),
            4 => match &mut changed.query { Some(query) if !query.is_empty() => text(query), _ => changed.query = Some("z".into()) },
            5 => changed.scheme = "https".into(),
            // A signature's own fields: any byte of them, too.
            _ => {
                let at = part % changed.fields.len();
                let value = &mut changed.fields[at].1;
                let index = place.index(value.len());
                value[index] ^= flip;
            }
        }
        let same_meaning = meaning(&changed) == meaning(&signed);
        prop_assert_eq!(verifies(&changed), same_meaning);
    }

    #[test]
    fn the_canonical_text_is_what_the_crate_would_write(value in signature_input()) {
        let mut inputs = Inputs::default();
        let ours = inputs.parse(value.as_bytes()).is_ok();
        let Ok(dictionary) = Parser::new(&value).parse::<Dictionary>() else {
            prop_assert!(!ours);
            return Ok(());
        };
        prop_assume!(ours);
        // A member at fault, perhaps because a parameter occurs twice, is never used.
        for member in inputs.members.iter().filter(|member| member.fault.is_none()) {
            let (_, entry) = dictionary.iter().find(|(key, _)| key.as_str() == member.label).expect("the same labels");
            prop_assert!(matches!(entry, ListEntry::InnerList(_)));
            let alone: sfv::List = vec![entry.clone()];
            let text = String::from_utf8(inputs.text[member.text.clone()].to_vec()).expect("ASCII");
            prop_assert_eq!(alone.serialize().expect("one member"), text.clone());
            // And it is canonical: reading it again changes nothing.
            let again = format!("a={text}");
            let mut twice = Inputs::default();
            prop_assert!(twice.parse(again.as_bytes()).is_ok());
            prop_assert_eq!(twice.text.as_slice(), text.as_bytes());
        }
    }

    #[test]
    fn nothing_panics(input in any::<Vec<u8>>(), signature in any::<Vec<u8>>()) {
        let mut request = Request::new("GET", "http://x/");
        request.fields.push(("Signature-Input".into(), input));
        request.fields.push(("Signature".into(), signature));
        prop_assert!(!verifies(&request));
    }
}

/// Everything that is signed, as the request says it in canonical form; `None` if it says nothing.
fn meaning(request: &Request) -> Option<(Request, Vec<String>)> {
    let mut bare = request.clone();
    let mut signatures = Vec::new();
    for (name, value) in &request.fields {
        if name.starts_with("Signature") {
            signatures.push(Parser::new(value).parse::<Dictionary>().ok()?.serialize()?);
        }
    }
    bare.fields.retain(|(name, _)| !name.starts_with("Signature"));
    for (name, value) in &mut bare.fields {
        name.make_ascii_lowercase();
        *value = super::lines::trim_ows(value).to_vec();
    }
    bare.authority.make_ascii_lowercase();
    Some((bare, signatures))
}

/// Signature-Input fields, some of them with freedoms that the strict form does not have.
fn signature_input() -> impl Strategy<Value = String> {
    let item = prop_oneof![
        r#""[ -!#-\[\]-~]{0,8}""#.prop_map(String::from),
        r#""a\\\\b\\"c""#.prop_map(String::from),
        "-?[0-9]{1,9}",
        "[0-9]{1,4}\\.[0-9]{1,3}",
        "[a-zA-Z*][a-zA-Z0-9:/*-]{0,6}",
        "\\?[01]",
        Just(":AAECAw==:".to_owned()),
        Just("@17".to_owned()),
        Just("%\"caf%c3%a9\"".to_owned()),
    ];
    let parameter = ("[a-z*][a-z0-9_.*-]{0,4}", prop::option::of(item), " {0,2}").prop_map(|(key, value, space)| {
        format!(";{space}{key}{}", value.map(|value| format!("={value}")).unwrap_or_default())
    });
    let parameters = prop::collection::vec(parameter, 0..4).prop_map(|parameters| parameters.concat());
    let known = prop_oneof![
        Just(String::new()),
        Just("; sf".to_owned()),
        Just(";bs=?1".to_owned()),
        r#";key="[!#-\[\]-~]{1,6}"( ){0}"#.prop_map(String::from),
        Just(";  key=\"a\\\"b\";sf=?1".to_owned()),
        parameters.clone(),
    ];
    let component = (r#""[a-z][a-z-]{0,8}""#, known).prop_map(|(name, parameters)| name + &parameters);
    let list = prop::collection::vec((component, " {1,2}"), 0..4)
        .prop_map(|items| items.into_iter().map(|(item, space)| item + &space).collect::<String>());
    let member = ("[a-z*][a-z0-9]{0,3}", " {0,1}", list, parameters)
        .prop_map(|(label, space, list, parameters)| format!("{label}=({space}{list}){parameters}"));
    prop::collection::vec(member, 0..4).prop_map(|members| members.join(" ,\t"))
}
