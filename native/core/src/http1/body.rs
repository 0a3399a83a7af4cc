//! Takes the content out of its framing, as it arrives (RFC 9112 sections 6 and 7.1), and puts it into chunks again.
//!
//! The chunked coding is read to the letter: 1 to 16 hexadecimal digits and CRLF, no extension, no whitespace, CRLF
//! after each chunk. Trailers are read strictly, within a bound, and dropped: no signature here covers them, so nobody
//! may be led to believe them (RFC 9110 section 6.5.1 lets an intermediary discard them).

use super::fields::is_token_byte;
use super::framing::BodyLength;
use super::rule::{self, Broken};
use crate::rejection::Rejection;

/// Ends a chunked body: the last chunk and an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Bound on a trailer section unless it is set: as large as a head may be by default.
const MAX_TRAILER_BYTES: usize = 32 * 1024;

/// More digits than any size needs; leading zeros are allowed up to here.
const MAX_SIZE_DIGITS: u8 = 16;

/// What one call of [`BodyDecoder::decode`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded<'b> {
    /// Bytes of the input that are dealt with.
    pub consumed: usize,
    /// Content among them; may be empty.
    pub content: &'b [u8],
    /// The body is complete; what follows in the input is not part of it.
    pub done: bool,
}

/// Reads one body. Call [`decode`](Self::decode) until the input is consumed or the body is done.
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    state: State,
    /// Content that may still come before it is too much.
    allowance: u64,
    /// Bytes that the trailer section may still take.
    trailer_allowance: usize,
    response: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// This much content is to come; never 0.
    Length(u64),
    UntilClose,
    /// In a size line, after this many digits.
    Size {
        digits: u8,
        size: u64,
    },
    /// After the CR of a size line.
    SizeLf(u64),
    /// This much of the chunk is to come; never 0.
    Chunk(u64),
    /// After a chunk's content.
    ChunkCr,
    ChunkLf,
    Trailer(Trailer),
    Done,
    /// A refusal is final.
    Refused(Broken),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trailer {
    LineStart,
    Name,
    Value,
    LineLf,
    LastLf,
}

impl BodyDecoder {
    /// Of a request, with at most `max_bytes` of content; 0 means no limit.
    #[must_use]
    pub fn new(length: BodyLength, max_bytes: u64) -> Self {
        let allowance = if max_bytes == 0 { u64::MAX } else { max_bytes };
        let state = match length {
            BodyLength::None | BodyLength::Length(0) => State::Done,
            BodyLength::Length(n) if n > allowance => State::Refused(Broken::BodySize),
            BodyLength::Length(n) => State::Length(n),
            BodyLength::Chunked => State::Size { digits: 0, size: 0 },
            BodyLength::UntilClose => State::UntilClose,
        };
        Self { state, allowance, trailer_allowance: MAX_TRAILER_BYTES, response: false }
    }

    /// Of a response: of any size, and the upstream is to blame for what is wrong with it.
    #[must_use]
    pub fn response(length: BodyLength) -> Self {
        Self { response: true, ..Self::new(length, 0) }
    }

    /// The same decoder, with another bound on the trailer section.
    #[must_use]
    pub fn max_trailer_bytes(mut self, max_bytes: usize) -> Self {
        self.trailer_allowance = max_bytes;
        self
    }

    /// Whether the body is complete. True from the start if there is none.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the body is complete if the connection ends here.
    #[must_use]
    pub fn is_done_at_close(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// Reads up to the next stretch of content and, if it ends within `input`, the framing after it.
    ///
    /// # Errors
    /// The framing is broken, or there is too much content. It stays refused; what the same call had read is lost.
    pub fn decode<'b>(&mut self, input: &'b [u8]) -> Result<Decoded<'b>, Rejection> {
        self.read(input).map_err(|broken| {
            self.state = State::Refused(broken);
            if self.response { broken.in_response() } else { broken.in_request() }
        })
    }

    fn read<'b>(&mut self, input: &'b [u8]) -> Result<Decoded<'b>, Broken> {
        let mut content: &[u8] = &[];
        let mut at = 0;
        while at < input.len() {
            let rest = &input[at..];
            match self.state {
                State::Done => break,
                State::Refused(broken) => return Err(broken),
                State::Length(_) | State::Chunk(_) | State::UntilClose if !content.is_empty() => break,
                State::Length(left) => {
                    content = at_most(rest, left);
                    let left = left - content.len() as u64;
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    at += content.len();
                }
                State::Chunk(left) => {
                    content = at_most(rest, left);
                    let left = left - content.len() as u64;
                    self.state = if left == 0 { State::ChunkCr } else { State::Chunk(left) };
                    at += content.len();
                }
                State::UntilClose => {
                    content = rest;
                    self.allow(rest.len() as u64)?;
                    at += rest.len();
                }
                _ => {
                    self.state = self.after(rest[0])?;
                    at += 1;
                }
            }
        }
        match self.state {
            State::Refused(broken) => Err(broken),
            state => Ok(Decoded { consumed: at, content, done: state == State::Done }),
        }
    }

    /// The state after one byte of chunked framing.
    fn after(&mut self, byte: u8) -> Result<State, Broken> {
        match (self.state, byte) {
            (State::Size { digits, size }, _) => size_digit(digits, size, byte),
            (State::SizeLf(0), b'\n') => Ok(State::Trailer(Trailer::LineStart)),
            (State::SizeLf(size), b'\n') => {
                self.allow(size)?;
                Ok(State::Chunk(size))
            }
            (State::ChunkCr, b'\r') => Ok(State::ChunkLf),
            (State::ChunkLf, b'\n') => Ok(State::Size { digits: 0, size: 0 }),
            (State::Trailer(trailer), _) => {
                self.trailer_allowance =
                    self.trailer_allowance.checked_sub(1).ok_or(Broken::Rule(rule::TRAILER_SIZE))?;
                trailer_byte(trailer, byte)
            }
            _ => Err(Broken::Rule(rule::CHUNK_END)),
        }
    }

    fn allow(&mut self, bytes: u64) -> Result<(), Broken> {
        self.allowance = self.allowance.checked_sub(bytes).ok_or(Broken::BodySize)?;
        Ok(())
    }
}

fn at_most(bytes: &[u8], count: u64) -> &[u8] {
    usize::try_from(count).map_or(bytes, |count| &bytes[..bytes.len().min(count)])
}

fn size_digit(digits: u8, size: u64, byte: u8) -> Result<State, Broken> {
    match byte {
        b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' if digits < MAX_SIZE_DIGITS => {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'f' => byte - b'a' + 10,
                _ => byte - b'A' + 10,
            };
            Ok(State::Size { digits: digits + 1, size: size << 4 | u64::from(digit) })
        }
        b'\r' if digits > 0 => Ok(State::SizeLf(size)),
        b';' if digits > 0 => Err(Broken::Rule(rule::CHUNK_EXTENSION)),
        b'\n' if digits > 0 => Err(Broken::Rule(rule::CHUNK_END)),
        _ => Err(Broken::Rule(rule::CHUNK_SIZE)),
    }
}

fn trailer_byte(state: Trailer, byte: u8) -> Result<State, Broken> {
    Ok(match (state, byte) {
        (Trailer::LineStart, b'\r') => State::Trailer(Trailer::LastLf),
        (Trailer::LastLf, b'\n') => State::Done,
        (Trailer::LineStart | Trailer::Name, _) if is_token_byte(byte) => State::Trailer(Trailer::Name),
        (Trailer::Name, b':') => State::Trailer(Trailer::Value),
        (Trailer::Value, b'\t' | b' '..=b'~' | 0x80..) => State::Trailer(Trailer::Value),
        (Trailer::Value, b'\r') => State::Trailer(Trailer::LineLf),
        (Trailer::LineLf, b'\n') => State::Trailer(Trailer::LineStart),
        _ => return Err(Broken::Rule(rule::TRAILER)),
    })
}

/// Appends one chunk. Without content it appends nothing, for an empty chunk would end the body.
pub fn encode_chunk(out: &mut Vec<u8>, content: &[u8]) {
    if content.is_empty() {
        return;
    }
    let size = content.len();
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4);
    out.reserve(size + digits as usize + 4);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[size >> (4 * place) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
}
