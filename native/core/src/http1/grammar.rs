//! The grammar of lines, by httparse, and what httparse would forgive: it takes a bare LF for a line end, and any
//! number of empty lines before the start line.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Status};

use super::fields::{Field, FieldId, FieldSet, Fields};
use super::rule::{self, Broken};

/// Room for the fields of a head on the stack, not initialised: it costs nothing until it is used.
const ON_STACK: usize = 128;

/// Calls `parse` with room for `max_fields` fields.
pub(crate) fn with_room<'b, T>(
    max_fields: usize,
    parse: impl FnOnce(&mut [MaybeUninit<Header<'b>>]) -> Result<T, Broken>,
) -> Result<T, Broken> {
    if max_fields <= ON_STACK {
        let mut room = [const { MaybeUninit::uninit() }; ON_STACK];
        parse(&mut room[..max_fields])
    } else {
        let mut room: Vec<_> = (0..max_fields).map(|_| MaybeUninit::uninit()).collect();
        parse(&mut room)
    }
}

/// Whether httparse read exactly this head.
pub(crate) fn whole(parsed: Result<Status<usize>, Error>, head: &[u8], start_line: &'static str) -> Result<(), Broken> {
    match parsed {
        Ok(Status::Complete(len)) if len == head.len() => Ok(()),
        Ok(_) => Err(Broken::Rule(rule::HEAD_BOUNDARY)),
        Err(error) => Err(broken(error, head, start_line)),
    }
}

/// Classifies the fields, and makes sure that every line of the head ended in CRLF.
///
/// httparse gave us one line per field (it never joins folded ones), so it is enough to look before each name and at
/// the end of the head.
pub(crate) fn fields<'b>(head: &'b [u8], headers: &[Header<'b>]) -> Result<(Fields<'b>, FieldSet), Broken> {
    let mut fields = Fields::with_capacity(headers.len());
    let mut seen = FieldSet::default();
    for header in headers {
        let name = header.name.as_bytes();
        if !head[..offset(head, name)].ends_with(b"\r\n") {
            return Err(Broken::Rule(rule::BARE_LF));
        }
        let id = FieldId::of(name);
        seen.insert(id);
        fields.push(Field { name, value: header.value, id });
    }
    if !head.ends_with(b"\r\n\r\n") {
        return Err(Broken::Rule(rule::BARE_LF));
    }
    Ok((fields, seen))
}

/// Where `part`, a slice of `whole`, begins in it.
pub(crate) fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}

/// Which rule it was that httparse's error came from. Only heads that are refused come here.
#[cold]
fn broken(error: Error, head: &[u8], start_line: &'static str) -> Broken {
    let lines = || head.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).skip(1);
    Broken::Rule(match error {
        Error::TooManyHeaders => return rule::HEAD_FIELDS,
        _ if head.contains(&0) => rule::NUL,
        Error::HeaderName if lines().any(|line| matches!(line.first(), Some(b' ' | b'\t'))) => rule::OBS_FOLD,
        Error::HeaderName if lines().any(space_before_colon) => rule::SPACE_BEFORE_COLON,
        Error::HeaderName => rule::FIELD_NAME,
        _ if has_bare_cr(head) => rule::BARE_CR,
        Error::HeaderValue => rule::FIELD_VALUE,
        Error::Version => rule::VERSION,
        Error::NewLine | Error::Status | Error::Token => start_line,
    })
}

fn space_before_colon(line: &[u8]) -> bool {
    let name = line.split(|&b| b == b':').next().unwrap_or_default();
    name.len() < line.len() && matches!(name.last(), Some(b' ' | b'\t'))
}

fn has_bare_cr(head: &[u8]) -> bool {
    head.iter().enumerate().any(|(at, &b)| b == b'\r' && head.get(at + 1) != Some(&b'\n'))
}
