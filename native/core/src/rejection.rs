//! Every refusal, in one table: the status, the label, whether the connection ends, whether a retry may help.
//!
//! The peer learns [`Reason::label`] and, for a malformed message, the rule it broke; the log learns the detail too.
//! Domain modules return a [`Rejection`] straight from here, so that no second table can drift from this one.

use std::borrow::Cow;

/// Why a call is refused. The label is stable: problem type, audit reason and metric label.
macro_rules! reasons {
    ($( $(#[$doc:meta])* $name:ident = ($status:literal, $label:literal, $after:ident); )*) => {
        /// Why a call is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $( $(#[$doc])* $name, )* }

        impl Reason {
            /// Every reason, in the order of its discriminant.
            pub const ALL: &'static [Reason] = &[$( Reason::$name, )*];

            /// HTTP status code sent to the caller.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $( Self::$name => $status, )* }
            }

            /// Stable name: problem type, audit reason, metric label.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $( Self::$name => $label, )* }
            }

            /// What the caller's connection does afterwards.
            #[must_use]
            pub const fn after(self) -> After {
                match self { $( Self::$name => After::$after, )* }
            }
        }
    };
}

/// What happens to the downstream connection after a refusal, if the request was otherwise read completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The next request may follow.
    Keep,
    /// Where the next request would begin is not certain, or not welcome.
    Close,
}

reasons! {
    /// The message breaks HTTP's grammar or one of the framing rules; the detail names the rule (RFC 9112).
    Malformed = (400, "malformed", Close);
    /// Two plausible readings of the path lead to different routes or decisions.
    PathAmbiguous = (400, "path-ambiguous", Close);

    /// No signature of a known key, and the listener asks for one.
    SignatureMissing = (401, "signature-missing", Keep);
    /// `Signature` or `Signature-Input` is not what RFC 9421 section 4 describes.
    SignatureMalformed = (401, "signature-malformed", Keep);
    /// The signature does not verify under the key that it names.
    SignatureInvalid = (401, "signature-invalid", Keep);
    /// Older than `max_age`, or past its own `expires`.
    SignatureExpired = (401, "signature-expired", Keep);
    /// Created in the future by more than the clock skew allows.
    SignatureFuture = (401, "signature-future", Keep);
    /// More than one signature of known keys verifies: which call is it?
    SignatureAmbiguous = (401, "signature-ambiguous", Keep);
    /// `created`, `keyid` or `nonce` is missing, too long or too short.
    SignatureParameters = (401, "signature-parameters", Keep);
    /// A component that must be covered is not.
    CoverageInsufficient = (401, "coverage-insufficient", Keep);
    /// Signatures are there, but none by a key that we know.
    KeyUnknown = (401, "key-unknown", Keep);
    /// `alg` disagrees with the key, or the key's algorithm is switched off.
    AlgorithmMismatch = (401, "algorithm-mismatch", Keep);
    /// The body, or its absence, is not what the covered Content-Digest says (RFC 9530).
    DigestMismatch = (401, "digest-mismatch", Close);
    /// The covered Content-Digest has no algorithm that we accept, or is not well formed.
    DigestUnsupported = (401, "digest-unsupported", Keep);
    /// This nonce was used in this window.
    Replayed = (401, "replayed", Keep);

    /// No route for this host and path; decided only after authentication.
    NoRoute = (404, "no-route", Keep);
    /// The head did not arrive in time.
    HeadTimeout = (408, "head-timeout", Close);
    /// The body stopped arriving.
    BodyTimeout = (408, "body-timeout", Close);
    /// The body is larger than `max_body_bytes`.
    BodyTooLarge = (413, "body-too-large", Close);
    /// The request target is larger than `max_target_bytes`.
    TargetTooLong = (414, "target-too-long", Close);
    /// An expectation other than `100-continue` (RFC 9110 section 10.1.1).
    ExpectationFailed = (417, "expectation-failed", Close);
    /// The head is larger than `max_head_bytes`, or has more than `max_fields` fields.
    HeadTooLarge = (431, "head-too-large", Close);
    /// This key alone has used half of the replay filter's table.
    KeyQuota = (429, "key-quota", Keep);

    /// A TRACE or OPTIONS has gone as far as its Max-Forwards allows, and we have no answer of our own to it.
    MaxForwards = (501, "max-forwards", Keep);

    /// No connection to any endpoint of the upstream could be made.
    UpstreamUnreachable = (502, "upstream-unreachable", Keep);
    /// The upstream closed or reset the connection before its response was complete.
    UpstreamClosed = (502, "upstream-closed", Keep);
    /// The upstream's response is not HTTP that we would pass on.
    UpstreamMalformed = (502, "upstream-malformed", Keep);
    /// The upstream did not answer in time.
    UpstreamTimeout = (504, "upstream-timeout", Keep);

    /// The table of this generation is full; nothing is let through unchecked.
    ReplayFull = (503, "replay-full", Keep);
    /// Signed before the replay filter's fence: what was seen before it is not known.
    ReplayFenced = (503, "replay-fenced", Keep);
    /// The replay filter's table for this time is not ready.
    ReplayNotReady = (503, "replay-not-ready", Keep);
    /// The wall clock jumped; freshness cannot be judged.
    ClockUnsafe = (503, "clock-unsafe", Keep);
    /// Too many calls wait for the upstream already.
    Overloaded = (503, "overloaded", Keep);
    /// This proxy is shutting down.
    Draining = (503, "draining", Close);
}

/// One refusal: a reason for everybody, a detail for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why, in the one table.
    pub reason: Reason,
    /// What exactly, for the log; for [`Reason::Malformed`] also for the caller. Never a secret, always clipped.
    pub detail: Cow<'static, str>,
    /// Seconds after which a retry may help; sent as `Retry-After` with a 503 or 429.
    pub retry_after_s: Option<u32>,
}

impl Rejection {
    /// A refusal whose detail is fixed text.
    #[must_use]
    pub const fn new(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail: Cow::Borrowed(detail), retry_after_s: None }
    }

    /// A refusal whose detail was made for this call; the caller clips what came from outside.
    #[must_use]
    pub fn with(reason: Reason, detail: String) -> Self {
        Self { reason, detail: Cow::Owned(detail), retry_after_s: None }
    }

    /// The same refusal, saying when a retry may help.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
}

/// At most `max` characters of what came from outside, printable, with `...` where it was cut: for error details.
#[must_use]
pub fn clipped(input: &[u8], max: usize) -> String {
    let mut text: String =
        input.iter().take(max).map(|&b| if (0x20..0x7f).contains(&b) { char::from(b) } else { '?' }).collect();
    if input.len() > max {
        text.push_str("...");
    }
    text
}
