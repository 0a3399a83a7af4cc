//! A response head that is certainly well formed, by the same rules as a request.
//!
//! An upstream is trusted no more than a caller with where its messages end: a response that could be read two ways
//! would give one caller another's answer.

use super::fields::{ConnectionOptions, Field, FieldId, FieldSet, Fields, values};
use super::framing::{self, BodyLength, Version};
use super::grammar;
use super::rule::{self, Broken};
use crate::limits::Limits;
use crate::rejection::Rejection;

/// A well-formed response head.
#[derive(Clone, Debug)]
pub struct ResponseHead<'b> {
    raw: &'b [u8],
    status: u16,
    reason: &'b str,
    version: Version,
    fields: Fields<'b>,
    seen: FieldSet,
    declared: BodyLength,
    connection: ConnectionOptions,
}

/// Judges exactly one complete head, from the status line to the empty line.
///
/// # Errors
/// `upstream-malformed` with the name of the rule that it breaks.
pub fn parse_response<'b>(head: &'b [u8], limits: &Limits) -> Result<ResponseHead<'b>, Rejection> {
    parse(head, limits).map_err(Broken::in_response)
}

fn parse<'b>(head: &'b [u8], limits: &Limits) -> Result<ResponseHead<'b>, Broken> {
    if head.len() > limits.max_head_bytes {
        return Err(rule::HEAD_BYTES);
    }
    if matches!(head.first(), Some(b'\r' | b'\n')) {
        return Err(Broken::Rule(rule::EMPTY_LINES));
    }
    grammar::with_room(limits.max_fields, |room| {
        let mut parsed = httparse::Response::new(&mut []);
        let outcome = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, head, room);
        grammar::whole(outcome, head, rule::STATUS_LINE)?;
        let (fields, seen) = grammar::fields(head, parsed.headers)?;
        judge(head, &parsed, fields, seen)
    })
}

/// The rules beyond the grammar.
fn judge<'b>(
    head: &'b [u8],
    parsed: &httparse::Response<'_, 'b>,
    fields: Fields<'b>,
    seen: FieldSet,
) -> Result<ResponseHead<'b>, Broken> {
    let version = if parsed.version == Some(1) { Version::Http11 } else { Version::Http10 };
    let status = parsed.code.unwrap_or_default();
    if !(100..=599).contains(&status) {
        return Err(Broken::Rule(rule::STATUS_LINE));
    }
    let declared = framing::declared(&fields, seen, version)?;
    if (status < 200 || status == 204) && declared.has_content() {
        return Err(Broken::Rule(rule::CONTENT_FORBIDDEN));
    }
    let connection = if seen.has(FieldId::Connection) {
        ConnectionOptions::of_response(&fields)?
    } else {
        ConnectionOptions::default()
    };
    Ok(ResponseHead {
        raw: head,
        status,
        reason: parsed.reason.unwrap_or_default(),
        version,
        fields,
        seen,
        declared,
        connection,
    })
}

impl<'b> ResponseHead<'b> {
    /// 100 to 599.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase; empty if there is none, or if it is not ASCII.
    #[must_use]
    pub fn reason(&self) -> &'b str {
        self.reason
    }

    /// The version that the status line says.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// All fields, in their order.
    #[must_use]
    pub fn fields(&self) -> &[Field<'b>] {
        &self.fields
    }

    /// The values of one field's lines, in their order.
    pub fn values(&self, id: FieldId) -> impl Iterator<Item = &'b [u8]> + use<'_, 'b> {
        let fields = if self.has(id) { self.fields.as_slice() } else { &[] };
        values(fields, id)
    }

    /// Whether a field with this id is there.
    #[must_use]
    pub fn has(&self, id: FieldId) -> bool {
        self.seen.has(id)
    }

    /// How the content is delimited, which depends on the method of the request (RFC 9112 section 6.3).
    #[must_use]
    pub fn body(&self, request_method: &str) -> BodyLength {
        if request_method == "HEAD" || self.status < 200 || self.status == 204 || self.status == 304 {
            return BodyLength::None;
        }
        match self.declared {
            BodyLength::None => BodyLength::UntilClose,
            declared => declared,
        }
    }

    /// Whether the upstream will answer another request on this connection, once the content has come to its end.
    #[must_use]
    pub fn keep_alive(&self, request_method: &str) -> bool {
        self.version == Version::Http11 && !self.connection.close && self.body(request_method) != BodyLength::UntilClose
    }

    /// 1xx, but for 101: the answer itself is yet to come.
    #[must_use]
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// 101 with an Upgrade that Connection names: from here on both sides speak another protocol.
    #[must_use]
    pub fn is_upgrade(&self) -> bool {
        self.status == 101 && self.connection.upgrade && self.has(FieldId::Upgrade) && self.version == Version::Http11
    }

    /// Bytes of the head, with its final empty line.
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
