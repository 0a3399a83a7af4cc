//! Writes a refusal as problem details (RFC 9457): what the caller learns, which is the reason and, for a malformed
//! message, the rule that it broke. The rest of a [`Rejection`] is for the log alone.

use serde::Serialize;

use super::date::write_http_date;
use super::forward::{push_field, push_number};
use crate::rejection::{After, Reason, Rejection};

/// What the caller is told beside the reason.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// What a signature must cover, as the value of Accept-Signature (RFC 9421 section 5.1); sent with a 401.
    pub accept_signature: Option<&'a str>,
    /// The connection ends after this response. It does anyway if the reason says so ([`Reason::after`]).
    pub close: bool,
    /// The request was HEAD: Content-Length stands, the content does not come.
    pub head_request: bool,
    /// By which the log's entry is found.
    pub request_id: &'a str,
    /// Wall clock in seconds since 1970.
    pub now_unix_s: u64,
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// Appends the whole response.
pub fn write_refusal(out: &mut Vec<u8>, rejection: &Rejection, r: &Refusal<'_>) {
    let content = problem(rejection);
    let status = rejection.reason.status();
    out.reserve(content.len() + 512);
    out.extend_from_slice(b"HTTP/1.1 ");
    push_number(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\nContent-Type: application/problem+json\r\nContent-Length: ");
    push_number(out, content.len() as u64);
    out.extend_from_slice(b"\r\nCache-Control: no-store\r\nDate: ");
    write_http_date(out, r.now_unix_s);
    out.extend_from_slice(b"\r\n");
    push_field(out, "X-Request-Id", r.request_id);
    if let Some(seconds) = rejection.retry_after_s {
        out.extend_from_slice(b"Retry-After: ");
        push_number(out, u64::from(seconds));
        out.extend_from_slice(b"\r\n");
    }
    if status == 401
        && let Some(accept_signature) = r.accept_signature
    {
        push_field(out, "Accept-Signature", accept_signature);
    }
    if r.close || rejection.reason.after() == After::Close {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    if !r.head_request {
        out.extend_from_slice(&content);
    }
}

fn problem(rejection: &Rejection) -> Vec<u8> {
    let label = rejection.reason.label();
    let problem = Problem {
        r#type: &format!("urn:pyproxy:problem:{label}"),
        title: &label.replace('-', " "),
        status: rejection.reason.status(),
        reason: label,
        detail: (rejection.reason == Reason::Malformed).then_some(&*rejection.detail),
    };
    serde_json::to_vec(&problem).expect("strings and a number always serialise")
}

/// RFC 9110 section 15, RFC 6585.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}
