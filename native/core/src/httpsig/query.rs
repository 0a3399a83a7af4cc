//! `@query-param` (RFC 9421 section 2.2.8): one query parameter, decoded and encoded anew.
//!
//! The parameter's name and value are read as `application/x-www-form-urlencoded` (WHATWG URL, section 5.1) and written
//! with its percent-encode set, a space as `%20`. Stricter than that parser: octets that are not UTF-8 are an error, not
//! U+FFFD, because two different queries would share one signature base.

use std::borrow::Cow;

use super::lines::Text;

/// Appends the value of the parameter with this encoded name.
///
/// Section 2.2.8: "If a parameter name occurs multiple times in a request, the named query parameter MUST NOT be
/// included".
pub(crate) fn write_query_param(out: &mut Text, query: &str, encoded_name: &str) -> Result<(), &'static str> {
    let mut value = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (raw_name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
        let mut name = Text::new();
        write_encoded(&mut name, raw_name)?;
        if name.as_slice() != encoded_name.as_bytes() {
            continue;
        }
        if value.is_some() {
            return Err("the query has this parameter more than once");
        }
        value = Some(raw_value);
    }
    write_encoded(out, value.ok_or("the query has no such parameter")?)
}

fn write_encoded(out: &mut Text, raw: &str) -> Result<(), &'static str> {
    let decoded = decode(raw);
    if std::str::from_utf8(&decoded).is_err() {
        return Err("the query holds octets that are not UTF-8");
    }
    for &byte in decoded.iter() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_') {
            out.push(byte);
        } else {
            const HEX: &[u8; 16] = b"0123456789ABCDEF";
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
    Ok(())
}

/// `+` is a space; a `%` that two hexadecimal digits do not follow stands for itself.
fn decode(raw: &str) -> Cow<'_, [u8]> {
    let raw = raw.as_bytes();
    if !raw.iter().any(|byte| matches!(byte, b'+' | b'%')) {
        return Cow::Borrowed(raw);
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        let escape = if raw[at] == b'%' { raw.get(at + 1).zip(raw.get(at + 2)) } else { None };
        let octet = escape.and_then(|(&high, &low)| Some(hex(high)? << 4 | hex(low)?));
        decoded.push(match (octet, raw[at]) {
            (Some(octet), _) => octet,
            (None, b'+') => b' ',
            (None, byte) => byte,
        });
        at += if octet.is_some() { 3 } else { 1 };
    }
    Cow::Owned(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(query: &str, name: &str) -> Result<String, &'static str> {
        let mut out = Text::new();
        write_query_param(&mut out, query, name)?;
        Ok(String::from_utf8(out.to_vec()).expect("ASCII"))
    }

    #[test]
    fn the_examples_of_section_2_2_8_hold() {
        let query = "param=value&foo=bar&baz=batman&qux=";
        assert_eq!(param(query, "baz").as_deref(), Ok("batman"));
        assert_eq!(param(query, "qux").as_deref(), Ok(""));
        assert_eq!(param(query, "param").as_deref(), Ok("value"));
        let query =
            "var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something";
        assert_eq!(param(query, "var").as_deref(), Ok("this%20is%20a%20big%0Amultiline%20value"));
        assert_eq!(param(query, "bar").as_deref(), Ok("with%20plus%20whitespace"));
        assert_eq!(param(query, "fa%C3%A7ade%22%3A%20").as_deref(), Ok("something"));
    }

    #[test]
    fn a_parameter_that_is_missing_or_repeated_has_no_value() {
        assert!(param("a=1", "b").is_err());
        assert!(param("", "a").is_err());
        assert!(param("a=1&a=1", "a").is_err());
        assert!(param("a=1&%61=2", "a").is_err(), "the same name, once it is decoded");
    }

    #[test]
    fn two_different_queries_have_no_common_value() {
        assert!(param("a=%ff", "a").is_err());
        assert_eq!(param("a=%", "a").as_deref(), Ok("%25"));
        assert_eq!(param("a=%2", "a").as_deref(), Ok("%252"));
        assert_eq!(param("a=b=c", "a").as_deref(), Ok("b%3Dc"));
    }
}
