//! The signature base (RFC 9421 section 2.5): the bytes that are signed.
//!
//! The same code makes it for verifying and for signing. Every line is an identifier in canonical form, `: ` and the
//! component's value; the last one is the signature parameters. A value that cannot be made is an error, never empty.
//!
//! RFC 9421 section 2.5 forbids newlines in values and makes the base ASCII. [`Message`] can be implemented by anyone,
//! so the lines of the finished base are counted: no value can smuggle one in, whatever made the request. A field that
//! holds other octets can be covered with `bs`.

use std::fmt;

use data_encoding::BASE64;
use smallvec::SmallVec;

use super::Message;
use super::component::{Component, Flags, Name};
use super::lines::{Text, join_lines};
use super::query::write_query_param;
use crate::rejection::clipped;
use crate::sfv::{StructuredType, dictionary_member, strict, structured_type};

/// Why the value of a covered component cannot be made from this message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unresolved {
    identifier: String,
    cause: String,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "component {}: {}", self.identifier, self.cause)
    }
}

/// Appends the signature base of one signature.
///
/// `text` is the canonical text that the components stand in, `parameters` the canonical signature parameters.
pub(crate) fn write_base<M: Message + ?Sized>(
    out: &mut Text,
    message: &M,
    text: &[u8],
    components: &[Component<'_>],
    parameters: &[u8],
) -> Result<(), Unresolved> {
    for component in components {
        let identifier = &text[component.identifier.clone()];
        out.extend_from_slice(identifier);
        out.extend_from_slice(b": ");
        write_value(out, message, component, text)
            .map_err(|cause| Unresolved { identifier: clipped(identifier, 80), cause })?;
        out.push(b'\n');
    }
    out.extend_from_slice(b"\"@signature-params\": ");
    out.extend_from_slice(parameters);
    if memchr::memchr2_iter(b'\n', b'\r', out).count() != components.len() {
        return Err(Unresolved { identifier: "any".into(), cause: "a value holds a newline".into() });
    }
    if !out.is_ascii() {
        return Err(Unresolved {
            identifier: "any".into(),
            cause: "a value is not ASCII: cover that field with `bs`".into(),
        });
    }
    Ok(())
}

fn write_value<M: Message + ?Sized>(
    out: &mut Text,
    message: &M,
    component: &Component<'_>,
    text: &[u8],
) -> Result<(), String> {
    match component.name {
        Name::Field => return write_field(out, message, component, text),
        Name::Method => out.extend_from_slice(message.method().as_bytes()),
        Name::Authority => write_authority(out, message),
        Name::Path => out.extend_from_slice(path(message).as_bytes()),
        Name::Query => {
            out.push(b'?');
            out.extend_from_slice(message.query().unwrap_or_default().as_bytes());
        }
        Name::TargetUri => {
            write_lower(out, message.scheme().as_bytes());
            out.extend_from_slice(b"://");
            // Section 2.2.2 assembles the target URI and says nothing of normalizing it, as 2.2.3 does: as sent.
            out.extend_from_slice(message.authority().as_bytes());
            // The target URI of `OPTIONS *` has neither path nor query (RFC 9110 section 7.1).
            if message.path() != "*" {
                out.extend_from_slice(path(message).as_bytes());
            }
            if let Some(query) = message.query() {
                out.push(b'?');
                out.extend_from_slice(query.as_bytes());
            }
        }
        Name::Scheme => write_lower(out, message.scheme().as_bytes()),
        Name::RequestTarget => out.extend_from_slice(message.request_target().as_bytes()),
        Name::QueryParam => {
            let name = component.argument.as_deref().unwrap_or_default();
            write_query_param(out, message.query().unwrap_or_default(), name)?;
        }
    }
    Ok(())
}

/// RFC 9421 section 2.2.6: "an empty path string is normalized as a single slash". The path of `OPTIONS *` stays `*`:
/// were it read as empty, `OPTIONS *` could be turned into `OPTIONS /`.
fn path<M: Message + ?Sized>(message: &M) -> &str {
    let path = message.path();
    if path.is_empty() { "/" } else { path }
}

/// RFC 9421 section 2.2.3: lower case, without the scheme's default port (RFC 9110 section 4.2.3).
fn write_authority<M: Message + ?Sized>(out: &mut Text, message: &M) {
    write_lower(out, without_default_port(message.authority(), message.scheme()).as_bytes());
}

fn without_default_port<'a>(authority: &'a str, scheme: &str) -> &'a str {
    // A colon inside the brackets of an IPv6 address begins no port, and what follows it holds the bracket.
    let Some((host, port)) = authority.rsplit_once(':') else { return authority };
    let default = if scheme.eq_ignore_ascii_case("https") { "443" } else { "80" };
    if port.is_empty() || port == default { host } else { authority }
}

fn write_lower(out: &mut Text, bytes: &[u8]) {
    let start = out.len();
    out.extend_from_slice(bytes);
    out[start..].make_ascii_lowercase();
}

fn write_field<M: Message + ?Sized>(
    out: &mut Text,
    message: &M,
    component: &Component<'_>,
    text: &[u8],
) -> Result<(), String> {
    let name = std::str::from_utf8(component.name_in(text)).map_err(|_| "the name is not ASCII")?;
    if component.flags.contains(Flags::BS) {
        return write_byte_sequences(out, message, name);
    }
    if !component.flags.contains(Flags::SF) && !component.flags.contains(Flags::KEY) {
        return if join_lines(message, name, out) { Ok(()) } else { Err(absent()) };
    }
    let mut value = Text::new();
    if !join_lines(message, name, &mut value) {
        return Err(absent());
    }
    out.extend_from_slice(write_structured(component, name, &value)?.as_bytes());
    Ok(())
}

fn write_structured(component: &Component<'_>, name: &str, value: &[u8]) -> Result<String, String> {
    let kind = structured_type(name);
    if let Some(key) = component.argument.as_deref() {
        if !matches!(kind, None | Some(StructuredType::Dictionary)) {
            return Err("`key` on a field that is no dictionary".into());
        }
        return dictionary_member(value, key)
            .map_err(|error| format!("the field is no well-formed dictionary: {error}"))?
            .ok_or_else(|| "the field has no such member".into());
    }
    let kind = kind.ok_or("`sf` on a field whose structured type is not known here")?;
    strict(kind, value).map_err(|error| format!("the field is no well-formed structured field: {error}"))
}

/// RFC 9421 section 2.1.3: each line on its own, so that a comma in a value and one between lines stay different.
fn write_byte_sequences<M: Message + ?Sized>(out: &mut Text, message: &M, name: &str) -> Result<(), String> {
    let mut found = false;
    message.field(name, &mut |value| {
        if found {
            out.extend_from_slice(b", ");
        }
        found = true;
        let value = super::lines::trim_ows(value);
        let mut encoded = SmallVec::<[u8; 256]>::from_elem(0, BASE64.encode_len(value.len()));
        BASE64.encode_mut(value, &mut encoded);
        out.push(b':');
        out.extend_from_slice(&encoded);
        out.push(b':');
    });
    if found { Ok(()) } else { Err(absent()) }
}

fn absent() -> String {
    "the request has no such field".into()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Request;
    use super::super::signature_input::Inputs;
    use super::*;

    /// The one line of the base for this identifier.
    fn line(request: &Request, identifier: &str) -> Result<String, String> {
        let value = format!("s=({identifier})");
        let mut inputs = Inputs::default();
        inputs.parse(value.as_bytes()).map_err(|rejection| rejection.detail.into_owned())?;
        if let Some(fault) = &inputs.members[0].fault {
            return Err(fault.cause.into());
        }
        let mut base = Text::new();
        write_base(&mut base, request, &inputs.text, &inputs.components, &inputs.text)
            .map_err(|error| error.to_string())?;
        let base = String::from_utf8_lossy(&base).into_owned();
        Ok(base.split_once('\n').map_or(base.clone(), |(first, _)| first.to_owned()))
    }

    fn value(request: &Request, identifier: &str) -> String {
        let line = line(request, identifier).expect("a value");
        line.strip_prefix(&format!("{identifier}: ")).expect("identifier, colon, space").to_owned()
    }

    #[test]
    fn derived_components_are_those_of_section_2_2() {
        let request = Request::new("POST", "https://www.Example.com:443/path?param=value");
        assert_eq!(value(&request, r#""@method""#), "POST");
        assert_eq!(value(&request, r#""@target-uri""#), "https://www.Example.com:443/path?param=value");
        assert_eq!(value(&request, r#""@authority""#), "www.example.com");
        assert_eq!(value(&request, r#""@scheme""#), "https");
        assert_eq!(value(&request, r#""@request-target""#), "/path?param=value");
        assert_eq!(value(&request, r#""@path""#), "/path");
        assert_eq!(value(&request, r#""@query""#), "?param=value");
    }

    #[test]
    fn an_absent_query_is_a_question_mark_and_an_empty_path_a_slash() {
        let mut request = Request::new("GET", "http://www.example.com");
        request.path = String::new();
        assert_eq!(value(&request, r#""@query""#), "?");
        assert_eq!(value(&request, r#""@path""#), "/");
        request.query = Some(String::new());
        assert_eq!(value(&request, r#""@query""#), "?");
        assert_eq!(value(&request, r#""@target-uri""#), "http://www.example.com/?");
    }

    #[test]
    fn options_asterisk_cannot_be_turned_into_options_slash() {
        let mut request = Request::new("OPTIONS", "http://www.example.com/");
        assert_eq!(value(&request, r#""@target-uri""#), "http://www.example.com/");
        request.path = "*".into();
        assert_eq!(value(&request, r#""@path""#), "*");
        assert_eq!(value(&request, r#""@target-uri""#), "http://www.example.com");
    }

    #[test]
    fn only_the_default_port_of_the_scheme_is_left_out() {
        for (authority, scheme, expected) in [
            ("Host:80", "http", "host"),
            ("Host:443", "https", "host"),
            ("host:443", "http", "host:443"),
            ("host:", "http", "host"),
            ("[::1]:80", "http", "[::1]"),
            ("[::80]", "http", "[::80]"),
            ("[2001:DB8::1]:8080", "http", "[2001:db8::1]:8080"),
        ] {
            let mut request = Request::new("GET", "http://x/");
            request.scheme = scheme.into();
            request.authority = authority.into();
            assert_eq!(value(&request, r#""@authority""#), expected, "{authority}");
        }
    }

    #[test]
    fn fields_are_trimmed_and_joined_as_in_section_2_1() {
        let request = Request::new("GET", "http://x/")
            .field("Date", "Tue, 20 Apr 2021 02:07:56 GMT")
            .field("X-OWS-Header", "   Leading and trailing whitespace.   ")
            .field("Cache-Control", "max-age=60")
            .field("cache-control", "    must-revalidate")
            .field("X-Empty-Header", "");
        assert_eq!(value(&request, r#""x-ows-header""#), "Leading and trailing whitespace.");
        assert_eq!(value(&request, r#""cache-control""#), "max-age=60, must-revalidate");
        assert_eq!(value(&request, r#""x-empty-header""#), "");
        assert!(line(&request, r#""x-absent""#).expect_err("absent").contains("no such field"));
    }

    #[test]
    fn sf_key_and_bs_are_those_of_section_2_1() {
        let request = Request::new("GET", "http://x/")
            .field("Priority", "  a=1,    b=2;x=1;y=2,   c=(a   b   c)")
            .field("Example-Dict", "  a=1, b=2;x=1;y=2")
            .field("Example-Dict", "c=(a   b    c), d")
            .field("Example-Header", "value, with, lots")
            .field("Example-Header", "of, commas");
        assert_eq!(value(&request, r#""priority";sf"#), "a=1, b=2;x=1;y=2, c=(a b c)");
        assert_eq!(value(&request, r#""example-dict";key="a""#), "1");
        assert_eq!(value(&request, r#""example-dict";key="d""#), "?1");
        assert_eq!(value(&request, r#""example-dict";key="b""#), "2;x=1;y=2");
        assert_eq!(value(&request, r#""example-dict";key="c""#), "(a b c)");
        assert_eq!(value(&request, r#""example-header";bs"#), ":dmFsdWUsIHdpdGgsIGxvdHM=:, :b2YsIGNvbW1hcw==:");
        assert!(line(&request, r#""example-dict";sf"#).expect_err("type unknown").contains("not known here"));
        assert!(line(&request, r#""example-dict";key="z""#).expect_err("no member").contains("no such member"));
    }

    #[test]
    fn no_value_smuggles_a_line_into_the_base() {
        let request = Request::new("GET", "http://x/").field("X-A", "1\n\"@path\": /admin");
        assert!(line(&request, r#""x-a""#).expect_err("newline").contains("newline"));
        let request = Request::new("GET", "http://x/").field("X-A", "1\r");
        assert!(line(&request, r#""x-a""#).expect_err("carriage return").contains("newline"));
    }

    #[test]
    fn what_is_not_ascii_is_covered_as_byte_sequence_or_not_at_all() {
        let request = Request::new("GET", "http://x/").field("X-A", "caf\u{e9}");
        assert!(line(&request, r#""x-a""#).expect_err("not ASCII").contains("bs"));
        assert_eq!(value(&request, r#""x-a";bs"#), ":Y2Fmw6k=:");
    }
}
