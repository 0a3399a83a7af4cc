//! Where a message ends: every framing rule of RFC 9112 section 6, in one place, for both directions.
//!
//! The rules leave no choice: either exactly one plain Content-Length, or exactly one `Transfer-Encoding: chunked`, or
//! neither. A message that offers two answers, or an odd one, is refused and not repaired, because the next recipient
//! may repair it differently.

use super::fields::{Field, FieldId, FieldSet, values};
use super::rule::{self, Broken};

/// The two versions that we speak (RFC 9112 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunked coding, and its connection is never kept.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How the content of a message is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// No content, and nothing says so.
    None,
    /// Content-Length, which may be 0.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// Until the connection ends; responses only.
    UntilClose,
}

impl BodyLength {
    /// Whether there is a body: Transfer-Encoding is present, or Content-Length is not 0.
    #[must_use]
    pub const fn has_content(self) -> bool {
        !matches!(self, Self::None | Self::Length(0))
    }
}

/// What the framing fields of a head say; `None` when there are none.
pub(crate) fn declared(fields: &[Field<'_>], seen: FieldSet, version: Version) -> Result<BodyLength, Broken> {
    match (seen.has(FieldId::ContentLength), seen.has(FieldId::TransferEncoding)) {
        (false, false) => Ok(BodyLength::None),
        (true, true) => Err(Broken::Rule(rule::LENGTH_AND_ENCODING)),
        (true, false) => content_length(fields).map(BodyLength::Length),
        (false, true) => transfer_encoding(fields, version),
    }
}

fn content_length(fields: &[Field<'_>]) -> Result<u64, Broken> {
    let value = single(fields, FieldId::ContentLength, rule::LENGTH_REPEATED)?;
    plain_number(value).ok_or(Broken::Rule(rule::LENGTH_SYNTAX))
}

fn transfer_encoding(fields: &[Field<'_>], version: Version) -> Result<BodyLength, Broken> {
    if version == Version::Http10 {
        return Err(Broken::Rule(rule::ENCODING_IN_1_0));
    }
    let value = single(fields, FieldId::TransferEncoding, rule::ENCODING_REPEATED)?;
    if !value.eq_ignore_ascii_case(b"chunked") {
        return Err(Broken::Rule(rule::ENCODING));
    }
    Ok(BodyLength::Chunked)
}

/// The value of a field that must come once.
pub(crate) fn single<'b>(fields: &[Field<'b>], id: FieldId, repeated: &'static str) -> Result<&'b [u8], Broken> {
    let mut all = values(fields, id);
    let value = all.next().unwrap_or_default();
    if all.next().is_some() { Err(Broken::Rule(repeated)) } else { Ok(value) }
}

/// Decimal digits, without a leading zero (`010` is 8 to some), up to 2^63 - 1 (beyond it signed readers overflow).
pub(crate) fn plain_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    // 19 digits are less than 2^64, so this cannot overflow.
    let mut number = 0_u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number * 10 + u64::from(digit - b'0');
    }
    (number <= i64::MAX as u64).then_some(number)
}
