//! The same gates for a program that has read the request itself: another proxy, an ASGI server, a test.
//!
//! The embedder gives method, target, fields and body; they are written out as a head and parsed by the very code that
//! reads sockets, so nothing that the proxy would refuse gets in through here. Gates 2 and 3 and the digest of the body
//! are checked; where the call goes is the embedder's.

use std::sync::Arc;

use crate::admission::{Arrival, Gates, Refused, authenticate, refresh, refused};
use crate::http1::{Hop, Refusal, parse_request, write_refusal};
use crate::httpsig::digest::Digester;
use crate::rejection::{Reason, Rejection};
use crate::time::Now;

/// A request that an embedder has read.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedRequest<'a> {
    /// Method, as sent.
    pub method: &'a str,
    /// Request target, as sent: path and query.
    pub target: &'a str,
    /// Fields in their order. HTTP/2's `:authority` goes in as `host`.
    pub fields: &'a [(&'a [u8], &'a [u8])],
    /// The whole content; `None` if there is none.
    pub body: Option<&'a [u8]>,
}

/// A call that may go on.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Who calls; absent where the listener verifies nothing.
    pub principal: Option<Arc<str>>,
    /// The key that the signature names.
    pub key_id: Option<Arc<str>>,
    /// `claimed` or `waived`.
    pub freshness: &'static str,
}

/// Judges one call.
///
/// # Errors
/// As the proxy would refuse it.
pub fn admit_embedded(
    request: &EmbeddedRequest<'_>,
    gates: &Gates,
    listener: usize,
    now: Now,
) -> Result<Admission, Refused> {
    let bytes = head_bytes(request).map_err(unauthenticated)?;
    let limits = &gates.settings().limits;
    if bytes.len() > limits.max_head_bytes {
        return Err(unauthenticated(Rejection::new(Reason::HeadTooLarge, "the head is larger than max_head_bytes")));
    }
    let head = parse_request(&bytes, limits).map_err(unauthenticated)?;
    let content = request.body.unwrap_or_default();
    if limits.max_body_bytes > 0 && content.len() as u64 > limits.max_body_bytes {
        return Err(unauthenticated(Rejection::new(Reason::BodyTooLarge, "the body is larger than max_body_bytes")));
    }
    let hop = Hop::new(&gates.settings().node, None, &gates.settings().listeners[listener].external_scheme);
    let arrival =
        Arrival { listener, hop: &hop, request_id: "", traceparent: "", has_content: !content.is_empty(), now };
    let fresh = refresh(authenticate(&head, gates, &arrival)?, gates, &arrival)?;
    let call = fresh.into_parts();
    if let Some(digests) = &call.digests {
        let mut digester = Digester::new(digests);
        digester.update(content);
        if let Err(rejection) = digester.finish() {
            // As for a held body: nobody has acted on this call, and a copied head must not burn the nonce.
            gates.release_shown(&call.freshness);
            return Err(Refused { rejection, principal: call.principal, key_id: call.key_id });
        }
    }
    Ok(Admission { principal: call.principal, key_id: call.key_id, freshness: call.freshness.label() })
}

/// The answer that the proxy would give, for an embedder that writes responses itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Name and value of each field, framing and `Connection` left out: they are the embedder's.
    pub fields: Vec<(String, String)>,
    /// Problem details (RFC 9457).
    pub body: Vec<u8>,
}

/// Makes the [`Answer`] to a refused call.
#[must_use]
pub fn answer(rejection: &Rejection, gates: &Gates, has_body: bool, now: Now) -> Answer {
    let mut bytes = Vec::new();
    let refusal = Refusal {
        accept_signature: Some(gates.accept_signature(has_body)),
        close: false,
        head_request: false,
        request_id: "",
        now_unix_s: now.unix_s(),
    };
    write_refusal(&mut bytes, rejection, &refusal);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&bytes[..end]);
    let fields = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .filter(|(name, value)| !value.is_empty() && !matches!(*name, "Content-Length" | "Connection"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Answer { fields, body: bytes.split_off(end) }
}

fn unauthenticated(rejection: Rejection) -> Refused {
    refused(rejection, None)
}

/// The head as it would have come over a socket. What could end a line early is refused here; all else by the parser.
fn head_bytes(request: &EmbeddedRequest<'_>) -> Result<Vec<u8>, Rejection> {
    let mut bytes = Vec::with_capacity(512);
    let mut put = |part: &[u8], after: &[u8]| {
        if part.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(Rejection::new(Reason::Malformed, "CR, LF or NUL inside the head"));
        }
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(after);
        Ok(())
    };
    put(request.method.as_bytes(), b" ")?;
    put(request.target.as_bytes(), b" HTTP/1.1\r\n")?;
    for (name, value) in request.fields {
        put(name, b": ")?;
        put(value, b"\r\n")?;
    }
    bytes.extend_from_slice(b"\r\n");
    Ok(bytes)
}
