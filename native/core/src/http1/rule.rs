//! The rules by name: what a refused message broke, as the caller and the log read it.
//!
//! A name is stable, short and without anything of the message in it. It is the detail of a
//! [`Rejection`](crate::rejection::Rejection) whose reason is `malformed` (or `upstream-malformed`).

use crate::rejection::{Reason, Rejection};

// Lines and the head as a whole (RFC 9112 sections 2 to 5).
/// A line feed that no carriage return precedes. RFC 9112 2.2 lets a recipient accept it; a gate must not.
pub const BARE_LF: &str = "bare line feed";
/// A carriage return that no line feed follows.
pub const BARE_CR: &str = "bare carriage return";
/// A NUL byte anywhere in a head.
pub const NUL: &str = "nul in head";
/// More than the one empty line before a request line that RFC 9112 2.2 has us skip, or any before a status line.
pub const EMPTY_LINES: &str = "empty lines before the start line";
/// The head is not exactly one head: bytes are missing or left over.
pub const HEAD_BOUNDARY: &str = "head does not end at its empty line";
/// Not `method SP request-target SP HTTP-version` with single spaces.
pub const REQUEST_LINE: &str = "request line";
/// Not `HTTP-version SP status-code SP reason-phrase`, or a status below 100 or above 599.
pub const STATUS_LINE: &str = "status line";
/// Neither HTTP/1.0 nor HTTP/1.1.
pub const VERSION: &str = "http version other than 1.0 and 1.1";
/// A method of more than 32 bytes.
pub const METHOD: &str = "method too long";
/// CONNECT: this is not a forward proxy.
pub const CONNECT: &str = "connect is not supported";
/// A line folded into the next (RFC 9112 5.2).
pub const OBS_FOLD: &str = "obsolete line folding";
/// `Host : x` (RFC 9112 5.1: "MUST reject").
pub const SPACE_BEFORE_COLON: &str = "whitespace around field name";
/// A field line without a colon, without a name, or with a name that is no token.
pub const FIELD_NAME: &str = "field name";
/// A control character in a field value.
pub const FIELD_VALUE: &str = "control character in field value";

// Whom the request is for (RFC 9112 section 3).
/// A control character, space or non-ASCII byte in the target.
pub const TARGET_BYTES: &str = "byte not allowed in request target";
/// `#` in the target: fragments are never sent.
pub const TARGET_FRAGMENT: &str = "fragment in request target";
/// Neither origin-form nor absolute-form with http or https, nor `*` with OPTIONS.
pub const TARGET_FORM: &str = "form of request target";
/// `*` with a method other than OPTIONS.
pub const ASTERISK: &str = "asterisk-form without options";
/// `user@` in an authority.
pub const USERINFO: &str = "userinfo in authority";
/// No Host field, in 1.0 too.
pub const HOST_MISSING: &str = "host missing";
/// More than one Host field, agreeing or not.
pub const HOST_REPEATED: &str = "host repeated";
/// Not a name of letters, digits, `-`, `.`, `_` and `~`, or an IP literal, with an optional port from 1 to 65535.
pub const HOST_SYNTAX: &str = "host is not a name or address with an optional port";
/// Host is not the authority of an absolute-form target.
pub const HOST_DISAGREES: &str = "host disagrees with request target";

// Where the message ends (RFC 9112 section 6).
/// RFC 9112 6.3 rule 3: "ought to be handled as an error".
pub const LENGTH_AND_ENCODING: &str = "content-length and transfer-encoding together";
/// More than one Content-Length line, even if they agree.
pub const LENGTH_REPEATED: &str = "content-length repeated";
/// Not digits alone, with a leading zero, or beyond 2^63 - 1.
pub const LENGTH_SYNTAX: &str = "content-length is not a plain number";
/// Anything but one single `chunked`.
pub const ENCODING: &str = "transfer-encoding other than chunked";
/// More than one Transfer-Encoding line.
pub const ENCODING_REPEATED: &str = "transfer-encoding repeated";
/// RFC 9112 6.1: "MUST treat the message as if the framing is faulty".
pub const ENCODING_IN_1_0: &str = "transfer-encoding in http/1.0";
/// A response that has no content by its status, yet is framed as if it had some.
pub const CONTENT_FORBIDDEN: &str = "content in a response that has none";

// The chunked coding (RFC 9112 section 7.1).
/// Not 1 to 16 hexadecimal digits, or a sum beyond 2^64 - 1.
pub const CHUNK_SIZE: &str = "chunk size";
/// A chunk extension. RFC 9112 7.1.1 lets a recipient ignore them; smuggling lives there, so we refuse.
pub const CHUNK_EXTENSION: &str = "chunk extension";
/// A chunk's content is not followed by CRLF, or a size line does not end in one.
pub const CHUNK_END: &str = "chunk without crlf";
/// A trailer section that is not field lines.
pub const TRAILER: &str = "trailer section";
/// A trailer section larger than a head may be.
pub const TRAILER_SIZE: &str = "trailer section too large";

// Connection (RFC 9110 section 7.6.1).
/// Not a list of tokens.
pub const CONNECTION_SYNTAX: &str = "connection is not a list of tokens";
/// A field that is meant for everyone, or that a gate relies on, named as if it were hop-by-hop.
pub const CONNECTION_HIDES: &str = "connection names a field it must not remove";

/// A broken rule or limit, before it is known whose message it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A rule above.
    Rule(&'static str),
    /// Head too large, or too many fields.
    HeadSize(&'static str),
    /// Request target too long.
    TargetSize,
    /// Body too large.
    BodySize,
    /// An expectation that we do not know.
    Expectation,
}

impl Broken {
    /// The refusal, if it was a request.
    pub(crate) const fn in_request(self) -> Rejection {
        match self {
            Self::Rule(rule) => Rejection::new(Reason::Malformed, rule),
            Self::HeadSize(what) => Rejection::new(Reason::HeadTooLarge, what),
            Self::TargetSize => Rejection::new(Reason::TargetTooLong, "request target over max_target_bytes"),
            Self::BodySize => Rejection::new(Reason::BodyTooLarge, "body over max_body_bytes"),
            Self::Expectation => Rejection::new(Reason::ExpectationFailed, "expectation other than 100-continue"),
        }
    }

    /// The refusal, if it was a response: nothing in it is the caller's fault.
    pub(crate) const fn in_response(self) -> Rejection {
        Rejection::new(
            Reason::UpstreamMalformed,
            match self {
                Self::Rule(what) | Self::HeadSize(what) => what,
                Self::TargetSize | Self::BodySize | Self::Expectation => "size of response",
            },
        )
    }
}

/// The head is larger than `max_head_bytes`.
pub(crate) const HEAD_BYTES: Broken = Broken::HeadSize("head over max_head_bytes");
/// The head has more than `max_fields` fields.
pub(crate) const HEAD_FIELDS: Broken = Broken::HeadSize("more than max_fields fields");
