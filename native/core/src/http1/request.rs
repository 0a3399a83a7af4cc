//! A request head that is certainly well formed: the first of the five gates.
//!
//! [`RequestHead`] has one constructor, [`parse_request`]. Whoever holds one knows where the request ends, whom it is
//! for, and that nobody downstream or upstream can reasonably read it otherwise. It borrows everything from the bytes
//! it was parsed from and allocates nothing up to 24 fields.

use super::fields::{ConnectionOptions, Field, FieldId, FieldSet, Fields, values};
use super::framing::{self, BodyLength, Version};
use super::grammar;
use super::rule::{self, Broken};
use super::target::{self, Target};
use crate::limits::Limits;
use crate::rejection::Rejection;

/// The longest method that we accept; the longest registered one has 17 bytes.
const MAX_METHOD_BYTES: usize = 32;

/// A well-formed request head.
#[derive(Clone, Debug)]
pub struct RequestHead<'b> {
    raw: &'b [u8],
    method: &'b str,
    raw_target: &'b str,
    target: Target<'b>,
    authority: &'b str,
    version: Version,
    fields: Fields<'b>,
    seen: FieldSet,
    body: BodyLength,
    connection: ConnectionOptions,
    upgrade: Option<&'b [u8]>,
    expects_continue: bool,
}

/// Judges exactly one complete head, from the request line (or the one empty line that may come before it) to the empty
/// line that ends it.
///
/// # Errors
/// 400 with the name of the rule that it breaks, 413, 414, 417 or 431.
pub fn parse_request<'b>(head: &'b [u8], limits: &Limits) -> Result<RequestHead<'b>, Rejection> {
    parse(head, limits).map_err(Broken::in_request)
}

fn parse<'b>(raw: &'b [u8], limits: &Limits) -> Result<RequestHead<'b>, Broken> {
    if raw.len() > limits.max_head_bytes {
        return Err(rule::HEAD_BYTES);
    }
    let head = raw.strip_prefix(b"\r\n").unwrap_or(raw);
    if matches!(head.first(), Some(b'\r' | b'\n')) {
        return Err(Broken::Rule(rule::EMPTY_LINES));
    }
    grammar::with_room(limits.max_fields, |room| {
        let mut parsed = httparse::Request::new(&mut []);
        let outcome = parsed.parse_with_uninit_headers(head, room);
        if parsed.path.is_some_and(|target| target.len() > limits.max_target_bytes) {
            return Err(Broken::TargetSize);
        }
        grammar::whole(outcome, head, rule::REQUEST_LINE)?;
        let (fields, seen) = grammar::fields(head, parsed.headers)?;
        let start = StartLine {
            method: parsed.method.unwrap_or_default(),
            target: parsed.path.unwrap_or_default(),
            version: if parsed.version == Some(1) { Version::Http11 } else { Version::Http10 },
        };
        judge(raw, &start, fields, seen, limits)
    })
}

struct StartLine<'b> {
    method: &'b str,
    target: &'b str,
    version: Version,
}

/// The rules beyond the grammar.
fn judge<'b>(
    raw: &'b [u8],
    start: &StartLine<'b>,
    fields: Fields<'b>,
    seen: FieldSet,
    limits: &Limits,
) -> Result<RequestHead<'b>, Broken> {
    if start.method.len() > MAX_METHOD_BYTES {
        return Err(Broken::Rule(rule::METHOD));
    }
    let target = Target::parse(start.target, start.method)?;
    if !seen.has(FieldId::Host) {
        return Err(Broken::Rule(rule::HOST_MISSING));
    }
    let host = framing::single(&fields, FieldId::Host, rule::HOST_REPEATED)?;
    let authority = target::check_host(host, &target)?;
    let body = framing::declared(&fields, seen, start.version)?;
    if matches!(body, BodyLength::Length(n) if limits.max_body_bytes != 0 && n > limits.max_body_bytes) {
        return Err(Broken::BodySize);
    }
    let expects_continue = seen.has(FieldId::Expect) && expects_continue(&fields, start.version, body)?;
    let connection = if seen.has(FieldId::Connection) {
        ConnectionOptions::of_request(&fields)?
    } else {
        ConnectionOptions::default()
    };
    let upgrade = if connection.upgrade && seen.has(FieldId::Upgrade) { upgrade(&fields, start.version) } else { None };
    Ok(RequestHead {
        raw,
        method: start.method,
        raw_target: start.target,
        target,
        authority,
        version: start.version,
        fields,
        seen,
        body,
        connection,
        upgrade,
        expects_continue,
    })
}

/// RFC 9110 section 10.1.1: an unknown expectation is 417; one in 1.0, or without content to come, is ignored.
fn expects_continue(fields: &[Field<'_>], version: Version, body: BodyLength) -> Result<bool, Broken> {
    if values(fields, FieldId::Expect).any(|value| !value.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Broken::Expectation);
    }
    Ok(version == Version::Http11 && body.has_content())
}

/// RFC 9110 section 7.8: ignored in 1.0. More than one line is no single protocol to switch to, so ignored as well.
fn upgrade<'b>(fields: &[Field<'b>], version: Version) -> Option<&'b [u8]> {
    let mut all = values(fields, FieldId::Upgrade);
    let value = all.next()?;
    (version == Version::Http11 && all.next().is_none() && !value.is_empty()).then_some(value)
}

impl<'b> RequestHead<'b> {
    /// A token of at most 32 bytes; case matters.
    #[must_use]
    pub fn method(&self) -> &'b str {
        self.method
    }

    /// The request target as it was sent, in whichever form.
    #[must_use]
    pub fn target(&self) -> &'b str {
        self.raw_target
    }

    /// The path as it was sent, never empty: `/` if an absolute-form target has none, `*` for the server as a whole.
    #[must_use]
    pub fn path(&self) -> &'b str {
        self.target.path
    }

    /// The query as it was sent, without its `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'b str> {
        self.target.query
    }

    /// The one authority of this request, as Host has it: `name`, `address` or `[address]`, with an optional port.
    #[must_use]
    pub fn authority(&self) -> &'b str {
        self.authority
    }

    /// `http` or `https` in any case, if the target is in absolute-form.
    #[must_use]
    pub fn scheme(&self) -> Option<&'b str> {
        self.target.scheme
    }

    /// Whether the target is in absolute-form.
    #[must_use]
    pub fn is_absolute_form(&self) -> bool {
        self.target.scheme.is_some()
    }

    /// The version that the request line says.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// All fields, in their order.
    #[must_use]
    pub fn fields(&self) -> &[Field<'b>] {
        &self.fields
    }

    /// The values of one field's lines, in their order. For [`FieldId`]s that stand for several names, of all of them.
    pub fn values(&self, id: FieldId) -> impl Iterator<Item = &'b [u8]> + use<'_, 'b> {
        let fields = if self.has(id) { self.fields.as_slice() } else { &[] };
        values(fields, id)
    }

    /// Whether a field with this id is there.
    #[must_use]
    pub fn has(&self, id: FieldId) -> bool {
        self.seen.has(id)
    }

    /// How the content is delimited; never [`BodyLength::UntilClose`].
    #[must_use]
    pub fn body(&self) -> BodyLength {
        self.body
    }

    /// Whether the caller means to send another request on this connection.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.version == Version::Http11 && !self.connection.close
    }

    /// Whether the caller waits for a 100 before it sends the content.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// How many more times a TRACE or OPTIONS may be forwarded (RFC 9110 section 7.6.2); other methods ignore it. What
    /// is no number, or comes twice, counts as 0: who meant to bound the way of a request is not answered by ignoring it.
    #[must_use]
    pub fn max_forwards(&self) -> Option<u64> {
        if !matches!(self.method, "TRACE" | "OPTIONS") || !self.has(FieldId::MaxForwards) {
            return None;
        }
        let mut values = self.values(FieldId::MaxForwards);
        let value = values.next().filter(|_| values.next().is_none());
        Some(value.and_then(framing::plain_number).unwrap_or(0))
    }

    /// The protocols that the caller would switch to, if Connection and exactly one Upgrade line both ask for it.
    #[must_use]
    pub fn upgrade(&self) -> Option<&'b [u8]> {
        self.upgrade
    }

    /// Bytes of the head, with its final empty line and the empty line before it, if one came.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a head is never empty")]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// The head as it was sent.
    pub(crate) fn raw(&self) -> &'b [u8] {
        self.raw
    }

    pub(crate) fn connection(&self) -> ConnectionOptions {
        self.connection
    }
}
