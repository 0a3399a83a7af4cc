//! Between calls and in the middle of a head: from bytes to a permitted call, or to a refusal.

use std::sync::Arc;

use super::{Connection, Holding, State};
use crate::action::Flags;
use crate::admission::{Arrival, Permit, Refused, admit};
use crate::exchange::{Held, RequestBody, Terms};
use crate::http1::{BodyLength, FieldId, RequestHead, Version, parse_request};
use crate::httpsig::digest::Digester;
use crate::record::{CallId, CallRecord, ascii};
use crate::rejection::clipped;
use crate::upstream::Asked;
use crate::worker::Turn;

/// Longest method, authority and path in a record, in bytes.
const MAX_RECORDED_BYTES: usize = 1024;

impl Connection {
    pub(super) fn receive_head(&mut self, turn: &mut Turn<'_>, data: &[u8]) {
        if self.buffer.is_empty() {
            let used = self.read_call(turn, data);
            self.keep(turn, &data[used..]);
        } else {
            let mut input = std::mem::take(&mut self.buffer);
            input.extend_from_slice(data);
            let used = self.read_call(turn, &input);
            input.drain(..used);
            self.buffer = input;
            self.keep(turn, &[]);
        }
        // After a refusal on a kept connection the next request may already be here, complete.
        if matches!(self.state, State::Head) && self.started_ns == 0 && !self.buffer.is_empty() {
            turn.out.flags.insert(Flags::AGAIN);
        }
    }

    /// Keeps the rest of a read: part of a head, or what has to wait for the call that was just read.
    fn keep(&mut self, turn: &mut Turn<'_>, rest: &[u8]) {
        match self.state {
            State::Head => self.buffer.extend_from_slice(rest),
            State::Lingering { .. } | State::Closed => self.buffer = Vec::new(),
            _ if rest.is_empty() && self.buffer.is_empty() => {}
            _ => {
                self.buffer.extend_from_slice(rest);
                self.pause(turn);
            }
        }
    }

    /// Reads at most one call; returns how many bytes it used.
    fn read_call(&mut self, turn: &mut Turn<'_>, input: &[u8]) -> usize {
        if input.is_empty() {
            return 0;
        }
        let gates = turn.gates;
        let limits = &gates.settings().limits;
        if self.started_ns == 0 {
            self.started_ns = turn.now.boot_ns;
            self.set_deadline(turn, limits.head_timeout_s);
        }
        let end = match self.scanner.find_end(input, limits) {
            Ok(None) => return 0,
            Ok(Some(end)) => end,
            Err(rejection) => {
                self.refuse_unread(turn, rejection);
                return input.len();
            }
        };
        let id = turn.worker.next_id();
        let mut record = self.record(turn, id);
        self.started_ns = 0;
        let head = match parse_request(&input[..end], limits) {
            Ok(head) => head,
            Err(rejection) => {
                self.refuse(turn, rejection, record, &Answer::UNREAD);
                return input.len();
            }
        };
        if turn.worker.keep_text {
            describe(&mut record, &head);
        }
        let answer = Answer {
            head_request: head.method() == "HEAD",
            keep_alive: head.keep_alive(),
            body_pending: head.body().has_content(),
        };
        match self.decide(turn, &head, &id) {
            Ok(permit) => {
                record.gated_ns = turn.now.boot_ns;
                end + self.begin(turn, permit, &head, record, &answer, &input[end..])
            }
            Err(Refused { rejection, principal, key_id }) => {
                record.principal = principal;
                record.key_id = key_id;
                self.refuse(turn, rejection, record, &answer);
                end
            }
        }
    }

    /// The gates, for a head that is well formed and within its bounds.
    fn decide(&self, turn: &Turn<'_>, head: &RequestHead<'_>, id: &CallId) -> Result<Permit, Refused> {
        let traceparent = id.traceparent(wants_sampling(head));
        let arrival = Arrival {
            listener: self.listener,
            hop: &self.hop,
            request_id: id.request_id(),
            traceparent: ascii(&traceparent),
            has_content: false,
            now: turn.now,
        };
        admit(head, turn.gates, &arrival)
    }

    /// Starts a permitted call: holds its body if it has to be verified first, or forwards it. Returns how many of the
    /// bytes behind the head it used.
    fn begin(
        &mut self,
        turn: &mut Turn<'_>,
        permit: Permit,
        head: &RequestHead<'_>,
        record: CallRecord,
        answer: &Answer,
        behind: &[u8],
    ) -> usize {
        let limits = &turn.gates.settings().limits;
        let length = head.body();
        let terms = Terms::new(head.method(), head.version(), head.keep_alive(), permit.call().upgrade);
        let digester = permit.call().digests.as_ref().map(Digester::new);
        let charged = digester.as_ref().and_then(|_| chargeable(turn, length));
        let mut body = RequestBody::new(length, limits.max_body_bytes, digester);
        if let Err(rejection) = body.verify_absent() {
            self.refuse_unforwarded(turn, rejection, permit, record, answer);
            return 0;
        }
        if head.expects_continue() && !body.done && behind.is_empty() && head.version() == Version::Http11 {
            turn.out.to_downstream.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let Some(charged) = charged else {
            let held = Held { body, bytes: Vec::new(), charged: 0 };
            return self.forward(turn, Holding { permit, terms, record, held }, behind);
        };
        turn.worker.held_bytes += charged;
        let held = Held { body, bytes: Vec::new(), charged };
        self.state = State::Holding(Box::new(Holding { permit, terms, record, held }));
        self.hold(turn, behind)
    }

    /// The record of a call whose head ends, or fails, now.
    pub(super) fn record(&self, turn: &Turn<'_>, id: CallId) -> CallRecord {
        CallRecord {
            listener: u32::try_from(self.listener).unwrap_or(u32::MAX),
            id,
            peer: Arc::clone(&self.peer),
            unix_ns: turn.now.unix_ns,
            started_ns: self.started_ns,
            head_ns: turn.now.boot_ns,
            ..CallRecord::default()
        }
    }
}

/// What a body counts for in the worker's budget while it is held, if it may be held at all; a larger one streams, its last
/// bytes withheld until its digest holds.
fn chargeable(turn: &Turn<'_>, length: BodyLength) -> Option<usize> {
    let limits = &turn.gates.settings().limits;
    let bytes = match length {
        BodyLength::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
        BodyLength::Chunked => limits.max_held_body_bytes,
        BodyLength::None | BodyLength::UntilClose => return None,
    };
    let fits = bytes <= limits.max_held_body_bytes
        && turn.worker.held_bytes.saturating_add(bytes) <= limits.max_held_worker_bytes;
    fits.then_some(bytes)
}

/// What a refusal has to know of the request that it answers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// HEAD: no content in the answer.
    pub(super) head_request: bool,
    /// The caller wants the connection kept.
    pub(super) keep_alive: bool,
    /// A body was announced and is not completely read.
    pub(super) body_pending: bool,
}

impl Answer {
    /// For a request that could not be read: where it ends is not known.
    pub(super) const UNREAD: Self = Self { head_request: false, keep_alive: false, body_pending: true };

    /// For a call that was permitted, whose body has come so far.
    pub(super) fn to(terms: &Terms, body: &RequestBody) -> Self {
        let Asked { head, keep_alive, .. } = terms.asked;
        Self { head_request: head, keep_alive, body_pending: !body.done }
    }
}

fn describe(record: &mut CallRecord, head: &RequestHead<'_>) {
    record.method = head.method().to_owned();
    record.authority = clipped(head.authority().as_bytes(), MAX_RECORDED_BYTES);
    record.path = clipped(head.path().as_bytes(), MAX_RECORDED_BYTES);
}

/// The `sampled` flag of an incoming `traceparent`: the one bit of it that is taken over, because it decides nothing here
/// (W3C Trace Context section 3.2.2.5).
fn wants_sampling(head: &RequestHead<'_>) -> bool {
    head.values(FieldId::Traceparent).next().is_some_and(|value| {
        value.len() >= 55 && matches!(value[54], b'1' | b'3' | b'5' | b'7' | b'9' | b'b' | b'd' | b'f')
    })
}
