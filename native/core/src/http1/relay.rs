//! Writes the response that the caller sees (RFC 9110 section 7.6): the upstream's, but for what was only of the
//! upstream's connection, with framing of our own choice, Via, and a Date if it had none.

use super::date::write_http_date;
use super::fields::{FieldId, connection_tokens};
use super::forward::{Hop, push_field, push_number, relay_fields, write_framing, write_upgrade};
use super::framing::BodyLength;
use super::response::ResponseHead;

/// How one response head is passed on.
#[derive(Clone, Copy, Debug)]
pub struct ResponseForwarding<'a> {
    /// The caller's connection.
    pub hop: &'a Hop,
    /// How the content will be sent to the caller: [`ResponseHead::body`], but not [`BodyLength::Chunked`] to a caller
    /// that speaks 1.0, who gets [`BodyLength::UntilClose`].
    pub framing: BodyLength,
    /// The connection ends after this response.
    pub close: bool,
    /// Wall clock in seconds since 1970, for a missing Date (RFC 9110 section 6.6.1).
    pub now_unix_s: u64,
    /// `X-Request-Id` as the upstream saw it; replaces the upstream's own.
    pub request_id: Option<&'a str>,
}

/// Appends the response's head as the caller is to see it. An interim one gets no more than its own fields; to a caller
/// that speaks 1.0 it must not be sent at all (RFC 9110 section 15.2).
pub fn write_response(out: &mut Vec<u8>, head: &ResponseHead<'_>, f: &ResponseForwarding<'_>) {
    out.reserve(head.len() + 256);
    out.extend_from_slice(b"HTTP/1.1 ");
    push_number(out, u64::from(head.status()));
    out.push(b' ');
    out.extend_from_slice(head.reason().as_bytes());
    out.extend_from_slice(b"\r\n");
    // RFC 9110 sections 8.6 and 15: to HEAD, and with 304, it is the length that the content would have had.
    let length_of_absent = f.framing == BodyLength::None && head.status() >= 200 && head.status() != 204;
    relay_fields(out, head.raw(), head.fields(), |field| match field.id {
        FieldId::ContentLength => length_of_absent,
        FieldId::TransferEncoding | FieldId::Connection | FieldId::HopByHop | FieldId::Upgrade => false,
        FieldId::RequestId => f.request_id.is_none(),
        FieldId::Other | FieldId::Underscored if head.connection().names_others => {
            !connection_tokens(head.fields()).any(|option| option.eq_ignore_ascii_case(field.name))
        }
        _ => true,
    });
    if head.is_interim() {
        out.extend_from_slice(b"\r\n");
        return;
    }
    if head.is_upgrade() {
        for protocols in head.values(FieldId::Upgrade).take(1) {
            write_upgrade(out, protocols);
        }
    } else if f.close || f.framing == BodyLength::UntilClose {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    write_framing(out, f.framing);
    f.hop.write_via(out, head.version());
    if !head.has(FieldId::Date) {
        out.extend_from_slice(b"Date: ");
        write_http_date(out, f.now_unix_s);
        out.extend_from_slice(b"\r\n");
    }
    if let Some(request_id) = f.request_id {
        push_field(out, "X-Request-Id", request_id);
    }
    out.extend_from_slice(b"\r\n");
}
