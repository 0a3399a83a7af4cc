//! Writes the request that the upstream sees (RFC 9110 section 7.6).
//!
//! It is the caller's request, but for what is only of this connection, what only we may say, and what no signature
//! vouches for although it would change the meaning of the rest:
//!
//! | field | what becomes of it |
//! | --- | --- |
//! | hop-by-hop, and what Connection names | removed; what the signature covers is not removed for being named |
//! | Content-Length, Transfer-Encoding | written anew from the framing that we chose |
//! | `Forwarded`, `X-Forwarded-*` and their like, `X-Pyproxy-*` | removed, ours are written |
//! | any name with `_` | removed: behind CGI or WSGI it is the name with `-` |
//! | `X-Request-Id`, `traceparent` | the caller's if the signature covers it, else ours; `tracestate` goes with the latter |
//! | `X-HTTP-Method-Override`, `X-Original-URL` and their like | removed unless covered |
//! | `Expect` | removed: we answer it |
//! | `Via` | kept, and our own line is appended |
//! | all others | as they are; with `uncovered = "strip"` only if covered |
//!
//! With `strip`, what HTTP itself needs stays: Host, the framing, and Signature and Signature-Input, so that the
//! upstream can verify again. Content-Type does not: uncovered, it lets a stranger change how signed content is read.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::fields::{Field, FieldId, connection_tokens};
use super::framing::{BodyLength, Version};
use super::grammar::offset;
use super::request::RequestHead;

/// What is the same for all requests of a connection: who we are and where they come from. Made once per connection.
#[derive(Clone, Debug)]
pub struct Hop {
    /// ` node` and CRLF, to follow `Via: 1.1`.
    via: Vec<u8>,
    /// Lines up to `Forwarded: ...;host="`.
    before_host: Vec<u8>,
}

impl Hop {
    /// `node` becomes our pseudonym, `peer` is where the connection comes from (`None` for a Unix socket), `scheme` what
    /// callers use.
    #[must_use]
    pub fn new(node: &str, peer: Option<IpAddr>, scheme: &str) -> Self {
        let mut via = vec![b' '];
        push_text(&mut via, node);
        via.extend_from_slice(b"\r\n");
        // RFC 7239 section 6: an IPv6 address is bracketed and quoted; a name that is no address begins with `_`.
        let (plain, quoted) = match peer.map(|ip| ip.to_canonical()) {
            None => ("unknown".to_owned(), "unknown".to_owned()),
            Some(IpAddr::V4(ip)) => (ip.to_string(), ip.to_string()),
            Some(IpAddr::V6(ip)) => (ip.to_string(), format!("\"[{ip}]\"")),
        };
        let mut before_host = Vec::new();
        push_field(&mut before_host, "X-Forwarded-For", &plain);
        push_field(&mut before_host, "X-Forwarded-Proto", scheme);
        push_text(&mut before_host, &format!("Forwarded: for={quoted};by=_{node};proto={scheme};host=\""));
        Self { via, before_host }
    }

    /// Appends our line of Via, which says in which version the message came.
    pub(crate) fn write_via(&self, out: &mut Vec<u8>, received: Version) {
        out.extend_from_slice(match received {
            Version::Http10 => b"Via: 1.0",
            Version::Http11 => b"Via: 1.1",
        });
        out.extend_from_slice(&self.via);
    }
}

/// How one request is forwarded.
#[derive(Clone, Copy)]
pub struct Forwarding<'a> {
    /// This connection.
    pub hop: &'a Hop,
    /// `X-Request-Id`, unless [`carried`] gives the caller's own.
    pub request_id: &'a str,
    /// `traceparent`, unless [`carried`] gives the caller's own.
    pub traceparent: &'a str,
    /// `X-Pyproxy-Principal`; `None` if nobody was authenticated.
    pub principal: Option<&'a str>,
    /// Host for the upstream; `None` for the caller's.
    pub upstream_host: Option<&'a str>,
    /// How the content will be sent; usually [`RequestHead::body`].
    pub body: BodyLength,
    /// Pass Upgrade on, because the connection will become a tunnel if the upstream agrees.
    pub upgrade: bool,
    /// Whether the verified signature covers the whole field of this lowercase name. `&|_| false` if there is none.
    pub covered: &'a dyn Fn(&str) -> bool,
    /// Remove what is not covered.
    pub strip_uncovered: bool,
}

/// The caller's own `X-Request-Id` or `traceparent`, if the signature covers it, it came on one line, and it is at most
/// 128 visible ASCII characters: then it is what the upstream sees.
#[must_use]
pub fn carried<'b>(head: &RequestHead<'b>, id: FieldId, covered: &dyn Fn(&str) -> bool) -> Option<&'b str> {
    let name = match id {
        FieldId::RequestId => "x-request-id",
        FieldId::Traceparent => "traceparent",
        _ => return None,
    };
    let mut values = head.values(id);
    let value = values.next().filter(|_| values.next().is_none())?;
    let plain = (1..=128).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    if plain && covered(name) { std::str::from_utf8(value).ok() } else { None }
}

/// Appends the request's head as the upstream is to see it.
pub fn write_request(out: &mut Vec<u8>, head: &RequestHead<'_>, f: &Forwarding<'_>) {
    out.reserve(head.len() + f.hop.before_host.len() + 2 * head.authority().len() + 320);
    write_request_line(out, head);
    if let Some(host) = f.upstream_host {
        push_field(out, "Host", host);
    }
    let carries_request_id = carried(head, FieldId::RequestId, f.covered).is_some();
    let carries_traceparent = carried(head, FieldId::Traceparent, f.covered).is_some();
    let max_forwards = head.max_forwards();
    relay_fields(out, head.raw(), head.fields(), |field| match field.id {
        FieldId::Host => f.upstream_host.is_none(),
        FieldId::MaxForwards if max_forwards.is_some() => false,
        FieldId::RequestId => carries_request_id,
        FieldId::Traceparent => carries_traceparent,
        FieldId::Tracestate => carries_traceparent && is_covered(field, f),
        FieldId::Override => is_covered(field, f),
        FieldId::Signature | FieldId::SignatureInput => true,
        FieldId::ContentLength
        | FieldId::TransferEncoding
        | FieldId::Connection
        | FieldId::HopByHop
        | FieldId::Upgrade
        | FieldId::Expect
        | FieldId::Forwarded
        | FieldId::Pyproxy
        | FieldId::Underscored => false,
        FieldId::Other if head.connection().names_others && is_named(field, head.fields()) => is_covered(field, f),
        _ => !f.strip_uncovered || is_covered(field, f),
    });
    if f.upgrade
        && let Some(protocols) = head.upgrade()
    {
        write_upgrade(out, protocols);
    }
    write_framing(out, f.body);
    if let Some(forwards) = max_forwards {
        out.extend_from_slice(b"Max-Forwards: ");
        push_number(out, forwards.saturating_sub(1));
        out.extend_from_slice(b"\r\n");
    }
    f.hop.write_via(out, head.version());
    out.extend_from_slice(&f.hop.before_host);
    out.extend_from_slice(head.authority().as_bytes());
    out.extend_from_slice(b"\"\r\n");
    push_field(out, "X-Forwarded-Host", head.authority());
    if !carries_request_id {
        push_field(out, "X-Request-Id", f.request_id);
    }
    if !carries_traceparent {
        push_field(out, "traceparent", f.traceparent);
    }
    if let Some(principal) = f.principal {
        push_field(out, "X-Pyproxy-Principal", principal);
    }
    out.extend_from_slice(b"\r\n");
}

/// The target in origin-form or asterisk-form, its bytes as they came; always HTTP/1.1, for that is what we speak.
fn write_request_line(out: &mut Vec<u8>, head: &RequestHead<'_>) {
    out.extend_from_slice(head.method().as_bytes());
    out.push(b' ');
    if head.is_absolute_form() {
        out.extend_from_slice(head.path().as_bytes());
        if let Some(query) = head.query() {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    } else {
        out.extend_from_slice(head.target().as_bytes());
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Appends the field lines that `keep` wants. Lines that are kept and already are `name: value` are copied in runs.
pub(crate) fn relay_fields(
    out: &mut Vec<u8>,
    raw: &[u8],
    fields: &[Field<'_>],
    mut keep: impl FnMut(&Field<'_>) -> bool,
) {
    let (mut run_start, mut run_end) = (0, 0);
    for (i, field) in fields.iter().enumerate() {
        let start = offset(raw, field.name);
        let end = fields.get(i + 1).map_or(raw.len() - 2, |next| offset(raw, next.name));
        let keep = keep(field);
        if keep && is_plain_line(&raw[start..end], field) {
            if run_end != start {
                out.extend_from_slice(&raw[run_start..run_end]);
                run_start = start;
            }
            run_end = end;
        } else if keep {
            out.extend_from_slice(&raw[run_start..run_end]);
            (run_start, run_end) = (end, end);
            out.extend_from_slice(field.name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value);
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(&raw[run_start..run_end]);
}

/// `name: value` CRLF, with no other whitespace. The value is trimmed, so its length tells.
fn is_plain_line(line: &[u8], field: &Field<'_>) -> bool {
    line.len() == field.name.len() + field.value.len() + 4 && line.get(field.name.len() + 1) == Some(&b' ')
}

fn is_covered(field: &Field<'_>, f: &Forwarding<'_>) -> bool {
    let mut lower: SmallVec<[u8; 64]> = SmallVec::from_slice(field.name);
    lower.make_ascii_lowercase();
    std::str::from_utf8(&lower).is_ok_and(f.covered)
}

fn is_named(field: &Field<'_>, fields: &[Field<'_>]) -> bool {
    connection_tokens(fields).any(|option| option.eq_ignore_ascii_case(field.name))
}

/// Appends the fields with which a connection turns into a tunnel (RFC 9110 section 7.8).
pub(crate) fn write_upgrade(out: &mut Vec<u8>, protocols: &[u8]) {
    out.extend_from_slice(b"Connection: upgrade\r\nUpgrade: ");
    out.extend_from_slice(protocols);
    out.extend_from_slice(b"\r\n");
}

/// Appends the field that says where the message ends. Until the connection's end there is none.
pub(crate) fn write_framing(out: &mut Vec<u8>, body: BodyLength) {
    match body {
        BodyLength::None | BodyLength::UntilClose => {}
        BodyLength::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        BodyLength::Length(n) => {
            out.extend_from_slice(b"Content-Length: ");
            push_number(out, n);
            out.extend_from_slice(b"\r\n");
        }
    }
}

pub(crate) fn push_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    push_text(out, value);
    out.extend_from_slice(b"\r\n");
}

/// What we say about a call comes from config and from keys; even there a line end must not become one of ours.
pub(crate) fn push_text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        out.extend_from_slice(text.as_bytes());
    } else {
        out.extend(text.bytes().map(|b| if (b' '..=b'~').contains(&b) { b } else { b'?' }));
    }
}

pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let (mut at, mut rest) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
