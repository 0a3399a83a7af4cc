//! The response side of one call: bytes of the upstream in, bytes for the caller out.
//!
//! A response is parsed as strictly as a request and framed anew for the caller, so a confused upstream cannot make the
//! caller see two responses where we saw one. What follows a complete response makes the connection unusable.

use crate::action::{Flags, Output};
use crate::http1::{
    BodyDecoder, BodyLength, FieldId, HeadScanner, Hop, LAST_CHUNK, ResponseForwarding, ResponseHead, Version,
    encode_chunk, parse_response, write_response,
};
use crate::limits::Limits;
use crate::rejection::{Reason, Rejection};

/// Interim responses before the final one; a server that sends more is not making progress.
const MAX_INTERIM_RESPONSES: u8 = 16;

/// What the response has to fit: fixed when the request is forwarded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// The request's method was HEAD: no body follows, whatever the head says.
    pub(crate) head: bool,
    /// The caller's version: 1.0 knows neither chunks nor interim responses.
    pub(crate) version: Version,
    /// The caller wants the connection kept.
    pub(crate) keep_alive: bool,
    /// The caller asked to change the protocol, and the upstream was told so.
    pub(crate) upgrade: bool,
}

impl Asked {
    /// The method, as far as the framing of a response depends on it (RFC 9112 section 6.3).
    fn method(self) -> &'static str {
        if self.head { "HEAD" } else { "GET" }
    }
}

/// What the answer to the caller is made with, besides the response.
#[derive(Clone, Copy)]
pub(crate) struct Answering<'a> {
    pub(crate) asked: Asked,
    /// The downstream connection cannot be kept, whatever the upstream says.
    pub(crate) close: bool,
    pub(crate) hop: &'a Hop,
    pub(crate) request_id: &'a str,
    pub(crate) now_unix_s: u64,
}

/// How far the response has come.
#[derive(Debug)]
pub(crate) enum Response {
    /// No final head yet.
    Head { buffer: Vec<u8>, scanner: HeadScanner, interim: u8 },
    /// The head is with the caller, the body on its way.
    Body(Body),
    /// Complete. What remains is whether the connections can be used again.
    Done(Reuse),
    /// 101: from here on bytes go both ways unseen.
    Tunnel,
}

/// A response body on its way.
#[derive(Debug)]
pub(crate) struct Body {
    decoder: BodyDecoder,
    encoding: Encoding,
    until_close: bool,
    reuse: Reuse,
}

/// Whether the two connections may serve another call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reuse {
    pub(crate) upstream: bool,
    pub(crate) downstream: bool,
}

/// How the body is framed for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    AsIs,
    Chunked,
}

/// What one read of the upstream came to.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Status of the final head, when this read completed it.
    pub(crate) status: Option<u16>,
    /// Body bytes for the caller in this read.
    pub(crate) body_bytes: u64,
}

impl Response {
    pub(crate) fn new() -> Self {
        Self::Head { buffer: Vec::new(), scanner: HeadScanner::response(), interim: 0 }
    }

    /// Whether the caller has seen nothing of a final response yet.
    pub(crate) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Head { .. })
    }

    /// Whether not one byte has come: only then may the call be sent again.
    pub(crate) fn is_untouched(&self) -> bool {
        matches!(self, Self::Head { buffer, interim: 0, .. } if buffer.is_empty())
    }

    /// Takes what the upstream sent.
    ///
    /// # Errors
    /// [`Reason::UpstreamMalformed`]; if the head was already passed on, the response cannot be completed.
    pub(crate) fn receive(
        &mut self,
        data: &[u8],
        answering: &Answering<'_>,
        limits: &Limits,
        out: &mut Output,
    ) -> Result<Progress, Rejection> {
        let mut progress = Progress::default();
        match self {
            Self::Head { buffer, .. } if buffer.is_empty() => {
                let used = self.receive_heads(data, answering, limits, out, &mut progress)?;
                if let Self::Head { buffer, .. } = self {
                    buffer.extend_from_slice(&data[used..]);
                } else {
                    self.receive_body(&data[used..], false, out, &mut progress)?;
                }
            }
            Self::Head { buffer, .. } => {
                let mut input = std::mem::take(buffer);
                input.extend_from_slice(data);
                let used = self.receive_heads(&input, answering, limits, out, &mut progress)?;
                if let Self::Head { buffer, .. } = self {
                    input.drain(..used);
                    *buffer = input;
                } else {
                    self.receive_body(&input[used..], false, out, &mut progress)?;
                }
            }
            _ => self.receive_body(data, true, out, &mut progress)?,
        }
        Ok(progress)
    }

    /// Reads heads until the final one is complete or the input ends; returns how many bytes were used.
    fn receive_heads(
        &mut self,
        input: &[u8],
        answering: &Answering<'_>,
        limits: &Limits,
        out: &mut Output,
        progress: &mut Progress,
    ) -> Result<usize, Rejection> {
        let mut used = 0;
        while let Self::Head { scanner, interim, .. } = self {
            let Some(end) = scanner.find_end(&input[used..], limits)? else { break };
            let head = parse_response(&input[used..used + end], limits)?;
            used += end;
            if head.is_interim() && !head.is_upgrade() {
                *interim += 1;
                if *interim > MAX_INTERIM_RESPONSES {
                    return Err(Rejection::new(Reason::UpstreamMalformed, "too many interim responses"));
                }
                // 100 is answered by us, once the gates have passed; 1.0 callers know no interim response.
                if head.status() != 100 && answering.asked.version == Version::Http11 {
                    write_head(&mut out.to_downstream, &head, answering, BodyLength::None, false);
                }
                continue;
            }
            progress.status = Some(head.status());
            *self = answer(&head, answering, out)?;
        }
        Ok(used)
    }

    /// Takes body bytes; `whole` says that `data` is the driver's own input, which it can pass on itself.
    fn receive_body(
        &mut self,
        data: &[u8],
        whole: bool,
        out: &mut Output,
        progress: &mut Progress,
    ) -> Result<(), Rejection> {
        match self {
            Self::Head { .. } => Ok(()),
            Self::Tunnel => {
                progress.body_bytes += data.len() as u64;
                relay_downstream(data, whole, out);
                Ok(())
            }
            Self::Done(reuse) => {
                // RFC 9112 section 6.3: bytes after a complete response belong to no request of ours.
                reuse.upstream &= data.is_empty();
                Ok(())
            }
            Self::Body(body) => {
                let mut rest = data;
                let mut done = false;
                while !done && !rest.is_empty() {
                    let decoded = body.decoder.decode(rest)?;
                    progress.body_bytes += decoded.content.len() as u64;
                    match body.encoding {
                        Encoding::AsIs => {
                            relay_downstream(decoded.content, whole && decoded.content.len() == data.len(), out);
                        }
                        Encoding::Chunked if decoded.content.is_empty() => {}
                        Encoding::Chunked => encode_chunk(&mut out.to_downstream, decoded.content),
                    }
                    rest = &rest[decoded.consumed..];
                    done = decoded.done;
                }
                if done {
                    let mut reuse = body.reuse;
                    reuse.upstream &= rest.is_empty();
                    if body.encoding == Encoding::Chunked {
                        out.to_downstream.extend_from_slice(LAST_CHUNK);
                    }
                    *self = Self::Done(reuse);
                }
                Ok(())
            }
        }
    }

    /// The upstream sent FIN. Whether that completes the response: only one that is delimited by it.
    pub(crate) fn end(&mut self, out: &mut Output) -> bool {
        let Self::Body(Body { encoding, until_close: true, reuse, .. }) = self else { return false };
        if *encoding == Encoding::Chunked {
            out.to_downstream.extend_from_slice(LAST_CHUNK);
        }
        let reuse = Reuse { upstream: false, downstream: reuse.downstream };
        *self = Self::Done(reuse);
        true
    }
}

/// Writes the final head for the caller and says how the body will go on.
fn answer(head: &ResponseHead<'_>, answering: &Answering<'_>, out: &mut Output) -> Result<Response, Rejection> {
    let asked = answering.asked;
    if head.status() == 101 {
        if !asked.upgrade {
            return Err(Rejection::new(Reason::UpstreamMalformed, "101 without having been asked to upgrade"));
        }
        // RFC 9110 section 15.2.2: it names the protocol, which must be the one that was asked for.
        let mut protocols = head.values(FieldId::Upgrade);
        let websocket = protocols.next().is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
        if !head.is_upgrade() || !websocket || protocols.next().is_some() {
            return Err(Rejection::new(Reason::UpstreamMalformed, "101 to something other than what was asked for"));
        }
        write_head(&mut out.to_downstream, head, answering, BodyLength::None, false);
        return Ok(Response::Tunnel);
    }
    let length = head.body(asked.method());
    let framing = match (length, asked.version) {
        (BodyLength::UntilClose, Version::Http11) => BodyLength::Chunked,
        (BodyLength::Chunked, Version::Http10) => BodyLength::UntilClose,
        (same, _) => same,
    };
    let keep = asked.keep_alive && !answering.close && framing != BodyLength::UntilClose;
    write_head(&mut out.to_downstream, head, answering, framing, !keep);
    let reuse = Reuse { upstream: head.keep_alive(asked.method()), downstream: keep };
    if matches!(length, BodyLength::None | BodyLength::Length(0)) {
        return Ok(Response::Done(reuse));
    }
    Ok(Response::Body(Body {
        decoder: BodyDecoder::response(length),
        encoding: if framing == BodyLength::Chunked { Encoding::Chunked } else { Encoding::AsIs },
        until_close: length == BodyLength::UntilClose,
        reuse,
    }))
}

fn write_head(out: &mut Vec<u8>, head: &ResponseHead<'_>, answering: &Answering<'_>, framing: BodyLength, close: bool) {
    let &Answering { hop, request_id, now_unix_s, .. } = answering;
    let request_id = (!head.is_interim()).then_some(request_id);
    write_response(out, head, &ResponseForwarding { hop, framing, close, now_unix_s, request_id });
}

fn relay_downstream(content: &[u8], whole: bool, out: &mut Output) {
    if whole && !content.is_empty() && out.to_downstream.is_empty() {
        out.flags.insert(Flags::RELAY_DOWNSTREAM);
    } else {
        out.to_downstream.extend_from_slice(content);
    }
}
