//! One call between its gates and its end: the request body on its way up, the response on its way down.
//!
//! It promises that no upstream ever receives a complete request whose digest failed: what would complete the request is
//! written only after the digest holds.

use crate::action::{Flags, Output};
use crate::admission::Call;
use crate::http1::{BodyDecoder, BodyLength, Decoded, LAST_CHUNK, Version, encode_chunk};
use crate::httpsig::digest::Digester;
use crate::record::CallRecord;
use crate::rejection::Rejection;
use crate::settings::Retry;
use crate::upstream::{Asked, Response};

/// A body on its way through us: its framing, its bound, its digest.
#[derive(Debug)]
pub(crate) struct RequestBody {
    decoder: BodyDecoder,
    chunked: bool,
    digester: Option<Digester>,
    /// Content bytes so far.
    pub(crate) bytes: u64,
    pub(crate) done: bool,
}

impl RequestBody {
    /// `max_bytes` bounds the content; 0 means no limit.
    pub(crate) fn new(length: BodyLength, max_bytes: u64, digester: Option<Digester>) -> Self {
        Self {
            decoder: BodyDecoder::new(length, max_bytes),
            chunked: length == BodyLength::Chunked,
            digester,
            bytes: 0,
            done: !length.has_content(),
        }
    }

    /// A request without a body whose digest is covered: verified against nothing at all.
    ///
    /// # Errors
    /// [`crate::rejection::Reason::DigestMismatch`].
    pub(crate) fn verify_absent(&mut self) -> Result<(), Rejection> {
        match self.digester.take() {
            Some(digester) if self.done => digester.finish(),
            digester => {
                self.digester = digester;
                Ok(())
            }
        }
    }

    /// Takes what the caller sent and writes it, framed as it will go upstream, to `out`; returns how many bytes belonged to
    /// this body. The bytes that complete the request are written only once the digest holds.
    ///
    /// # Errors
    /// Framing, size and digest. Then what `out` has gained must not be used.
    pub(crate) fn receive(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<usize, Rejection> {
        let mut used = 0;
        while !self.done && used < data.len() {
            let decoded = self.next(&data[used..])?;
            used += decoded.consumed;
            if !self.chunked {
                out.extend_from_slice(decoded.content);
            } else if !decoded.content.is_empty() {
                encode_chunk(out, decoded.content);
            }
        }
        if self.done && self.chunked && used > 0 {
            out.extend_from_slice(LAST_CHUNK);
        }
        Ok(used)
    }

    /// As [`RequestBody::receive`], for a body that streams: what can be passed on as it came is not copied.
    pub(crate) fn relay(&mut self, data: &[u8], out: &mut Output) -> Result<usize, Rejection> {
        if self.chunked || !out.to_upstream.is_empty() {
            return self.receive(data, &mut out.to_upstream);
        }
        let decoded = self.next(data)?;
        if decoded.content.len() == data.len() && !data.is_empty() {
            out.flags.insert(Flags::RELAY_UPSTREAM);
        } else {
            out.to_upstream.extend_from_slice(decoded.content);
        }
        Ok(decoded.consumed)
    }

    /// The next stretch of content, counted and digested. The last one is given out only if the digest holds.
    fn next<'b>(&mut self, data: &'b [u8]) -> Result<Decoded<'b>, Rejection> {
        let decoded = self.decoder.decode(data)?;
        self.bytes += decoded.content.len() as u64;
        self.done = decoded.done;
        if let Some(digester) = &mut self.digester {
            digester.update(decoded.content);
        }
        if self.done
            && let Some(digester) = self.digester.take()
        {
            digester.finish()?;
        }
        Ok(decoded)
    }
}

/// A body that is held until its digest is verified; nothing of it, nor its head, has gone upstream.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) body: RequestBody,
    /// The body, framed for the upstream.
    pub(crate) bytes: Vec<u8>,
    /// What it counts for in the worker's budget.
    pub(crate) charged: usize,
}

/// What is fixed about a call from its head on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) asked: Asked,
    /// RFC 9110 section 9.2.1.
    pub(crate) safe: bool,
    /// RFC 9110 section 9.2.2.
    pub(crate) idempotent: bool,
}

impl Terms {
    pub(crate) fn new(method: &str, version: Version, keep_alive: bool, upgrade: bool) -> Self {
        let safe = matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE");
        Self {
            asked: Asked { head: method == "HEAD", version, keep_alive, upgrade },
            safe,
            idempotent: safe || matches!(method, "PUT" | "DELETE"),
        }
    }
}

/// A call that was forwarded and is not complete.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) call: Call,
    pub(crate) terms: Terms,
    pub(crate) record: CallRecord,
    pub(crate) body: RequestBody,
    pub(crate) response: Response,
    /// All that went upstream went with the first write, which the driver still has.
    pub(crate) resendable: bool,
    pub(crate) resent: bool,
    /// The answer ends the connection, whatever the upstream says.
    pub(crate) close: bool,
}

/// What became of the connection to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// No endpoint is usable.
    NoEndpoint,
    /// No connection to any endpoint could be made.
    Connect,
    /// A connection was not made in time.
    ConnectTimeout,
    /// Too many calls wait for this upstream already.
    Pushback,
    /// The connection was closed: the other side sent FIN. Only this can be the end of a response.
    Closed,
    /// The connection broke: a reset, or an error of ours.
    Reset,
}

impl Exchange {
    /// Whether the call may go upstream once more: within the same admission, and never twice where that could do harm.
    pub(crate) fn may_resend(&self, failure: UpstreamFailure, written: bool, reused: bool) -> bool {
        let gone = matches!(failure, UpstreamFailure::Closed | UpstreamFailure::Reset);
        if !gone || self.resent || !self.resendable || !self.response.is_untouched() {
            return false;
        }
        if !written {
            return true;
        }
        let harmless = match self.call.destination.retry {
            Retry::Never => false,
            Retry::Safe => self.terms.safe,
            Retry::Idempotent => self.terms.idempotent,
        };
        reused && harmless
    }
}
