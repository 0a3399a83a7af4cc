//! Structured Field Values (RFC 9651), as far as signatures and digests need them.
//!
//! The crate `sfv` parses and serialises. Here stand the two things that it cannot know: which HTTP field has which
//! structured type (RFC 9421's `sf` needs that), and what one dictionary member looks like alone (`key` needs that).
//! Whether a member may occur twice, and which members mean what, is left to those who read the field.

use std::fmt;

use sfv::{BareItemFromInput, Dictionary, FieldType, Item, KeyRef, List, ListEntry, Parser};
use smallvec::{Array, SmallVec};

/// The structured type of a field (RFC 9651 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StructuredType {
    /// RFC 9651 section 3.3.
    Item,
    /// RFC 9651 section 3.1.
    List,
    /// RFC 9651 section 3.2.
    Dictionary,
}

/// The fields that their specifications define as structured, by the IANA "HTTP Field Name" registry. Sorted.
const STRUCTURED_FIELDS: &[(&str, StructuredType)] = {
    use StructuredType::{Dictionary, Item, List};
    &[
        ("accept-ch", List),
        ("accept-signature", Dictionary),
        ("available-dictionary", Item),
        ("cache-groups", List),
        ("cache-status", List),
        ("capsule-protocol", Item),
        ("cdn-cache-control", Dictionary),
        ("client-cert", Item),
        ("client-cert-chain", List),
        ("content-digest", Dictionary),
        ("cross-origin-embedder-policy", Item),
        ("cross-origin-embedder-policy-report-only", Item),
        ("cross-origin-opener-policy", Item),
        ("cross-origin-opener-policy-report-only", Item),
        ("deprecation", Item),
        ("dictionary-id", Item),
        ("idempotency-key", Item),
        ("origin-agent-cluster", Item),
        ("permissions-policy", Dictionary),
        ("priority", Dictionary),
        ("proxy-status", List),
        ("reporting-endpoints", Dictionary),
        ("repr-digest", Dictionary),
        ("sec-ch-ua", List),
        ("sec-ch-ua-mobile", Item),
        ("sec-ch-ua-platform", Item),
        ("signature", Dictionary),
        ("signature-input", Dictionary),
        ("use-as-dictionary", Dictionary),
        ("want-content-digest", Dictionary),
        ("want-repr-digest", Dictionary),
    ]
};

/// The structured type of a field, if its specification defines one. `lower_name` is in lower case.
#[must_use]
pub fn structured_type(lower_name: &str) -> Option<StructuredType> {
    let at = STRUCTURED_FIELDS.binary_search_by(|(name, _)| (*name).cmp(lower_name)).ok()?;
    Some(STRUCTURED_FIELDS[at].1)
}

/// The strict serialisation (RFC 9651 section 4.1) of a field value; an empty list or dictionary gives the empty text.
///
/// # Errors
/// The value is not a well-formed structured field of this type.
pub fn strict(kind: StructuredType, value: &[u8]) -> Result<String, sfv::Error> {
    let parser = Parser::new(value);
    Ok(match kind {
        StructuredType::Item => parser.parse::<Item>()?.serialize(),
        StructuredType::List => parser.parse::<List>()?.serialize().unwrap_or_default(),
        StructuredType::Dictionary => parser.parse::<Dictionary>()?.serialize().unwrap_or_default(),
    })
}

/// The strict serialisation of one dictionary member's value with its parameters (RFC 9421 section 2.1.2), or `None` if
/// the dictionary has no such member.
///
/// # Errors
/// The value is not a well-formed dictionary.
pub fn dictionary_member(value: &[u8], key: &str) -> Result<Option<String>, sfv::Error> {
    let dictionary = Parser::new(value).parse::<Dictionary>()?;
    let Some(member) = KeyRef::from_str(key).ok().and_then(|key| dictionary.get(key)) else { return Ok(None) };
    Ok(Some(match member {
        ListEntry::Item(item) => item.serialize(),
        ListEntry::InnerList(_) => {
            // A list of one member is serialised as that member alone (RFC 9651 section 4.1.1).
            let alone: List = vec![member.clone()];
            alone.serialize().unwrap_or_default()
        }
    }))
}

/// Why a field is refused although it is well formed as a structured field: the error of visitors.
#[derive(Clone, Copy, Debug)]
pub struct Unacceptable(pub &'static str);

impl fmt::Display for Unacceptable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unacceptable {}

/// Appends the strict serialisation of a parsed bare item (RFC 9651 section 4.1.3.1).
///
/// Strings, integers, tokens and booleans, which are all that signatures carry in practice, are written without a
/// detour; the crate serialises the rest.
pub fn write_bare_item<A: Array<Item = u8>>(out: &mut SmallVec<A>, item: &BareItemFromInput<'_>) {
    use std::borrow::Cow;
    match item {
        // The parser borrows exactly those strings that had no escape, and so need none.
        BareItemFromInput::String(Cow::Borrowed(text)) => {
            out.push(b'"');
            out.extend_from_slice(text.as_str().as_bytes());
            out.push(b'"');
        }
        BareItemFromInput::Token(token) => out.extend_from_slice(token.as_str().as_bytes()),
        BareItemFromInput::Integer(number) if i64::from(*number) >= 0 => {
            write_digits(out, i64::from(*number).unsigned_abs());
        }
        other => out.extend_from_slice(sfv::ItemSerializer::new().bare_item(other).finish().as_bytes()),
    }
}

/// Appends `;key` or `;key=value` (RFC 9651 section 4.1.1.2).
pub fn write_parameter<A: Array<Item = u8>>(out: &mut SmallVec<A>, key: &KeyRef, value: &BareItemFromInput<'_>) {
    out.push(b';');
    out.extend_from_slice(key.as_str().as_bytes());
    if matches!(value, BareItemFromInput::Boolean(true)) {
        return;
    }
    out.push(b'=');
    write_bare_item(out, value);
}

fn write_digits<A: Array<Item = u8>>(out: &mut SmallVec<A>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_table_of_structured_fields_is_sorted_so_that_every_entry_is_found() {
        assert!(STRUCTURED_FIELDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(STRUCTURED_FIELDS.iter().all(|(name, kind)| structured_type(name) == Some(*kind)));
        assert_eq!(structured_type("x-unknown"), None);
    }

    #[test]
    fn a_member_is_serialised_alone_with_its_parameters() {
        let value = b"a=1,  b=2;x=1;y=2,   c=(a   b   c);q, d";
        let member = |key| dictionary_member(value, key).expect("a dictionary");
        assert_eq!(member("a").as_deref(), Some("1"));
        assert_eq!(member("b").as_deref(), Some("2;x=1;y=2"));
        assert_eq!(member("c").as_deref(), Some("(a b c);q"));
        assert_eq!(member("d").as_deref(), Some("?1"));
        assert_eq!(member("e"), None);
        assert_eq!(member("Not A Key"), None);
        assert!(dictionary_member(b"a=1,,", "a").is_err());
    }

    proptest! {
        #[test]
        fn the_direct_way_writes_what_the_crate_writes(text in "[ -~]{0,40}", number in -999_999_999_999_999_i64..=999_999_999_999_999) {
            for input in [format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")), number.to_string(), "tok/en".into(), "?0".into(), "?1".into(), "1.50".into(), ":AAE=:".into(), "@17".into(), "%\"a%20\"".into()] {
                let item = Parser::new(&input).parse_item::<BareItemFromInput>().expect("well formed");
                let mut direct = SmallVec::<[u8; 64]>::new();
                write_bare_item(&mut direct, &item);
                let crates = sfv::ItemSerializer::new().bare_item(&item).finish();
                prop_assert_eq!(direct.as_slice(), crates.as_bytes());
            }
        }
    }
}
