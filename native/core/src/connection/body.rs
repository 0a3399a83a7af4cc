//! The request body: held until its digest is verified, or streamed with what completes it withheld; and the moment of
//! forwarding.

use super::head::Answer;
use super::{Connection, Holding, State};
use crate::action::Flags;
use crate::admission::{Permit, sequence};
use crate::exchange::{Exchange, Held};
use crate::record::CallRecord;
use crate::rejection::{Reason, Rejection};
use crate::upstream::Response;
use crate::worker::Turn;

/// A larger call is not sent a second time: the driver keeps what it may have to send again, for as long as the call lasts
/// (`downstream.py`), and ten thousand large bodies are more than it may keep.
const MAX_RESENT_BYTES: usize = 64 << 10;

impl Connection {
    pub(super) fn receive_held(&mut self, turn: &mut Turn<'_>, data: &[u8]) {
        let used = self.hold(turn, data);
        match self.state {
            State::Lingering { .. } | State::Closed => {}
            State::Head if used < data.len() => {
                self.buffer.extend_from_slice(&data[used..]);
                turn.out.flags.insert(Flags::AGAIN);
            }
            _ => self.park(turn, &data[used..]),
        }
    }

    /// Takes bytes of a held body; forwards the call once the body is complete and verified.
    pub(super) fn hold(&mut self, turn: &mut Turn<'_>, data: &[u8]) -> usize {
        self.set_deadline(turn, turn.gates.settings().limits.body_timeout_s);
        let State::Holding(holding) = &mut self.state else { return 0 };
        let Held { body, bytes, .. } = &mut holding.held;
        let used = match body.receive(data, bytes) {
            Ok(used) => used,
            Err(rejection) => {
                self.refuse_held(turn, rejection);
                return data.len();
            }
        };
        // A chunked body says how long it is only at its end: one that outgrows the hold streams from here on.
        let outgrown = bytes.len() > turn.gates.settings().limits.max_held_body_bytes;
        if (body.done || outgrown)
            && let Some(holding) = self.take_held(turn)
        {
            self.forward(turn, holding, &[]);
        }
        used
    }

    /// Puts the call on record and hands its head, and what is here of its body, to the upstream: what was held, then
    /// `behind`, of which it returns how many bytes it used.
    pub(super) fn forward(&mut self, turn: &mut Turn<'_>, holding: Holding, behind: &[u8]) -> usize {
        let Holding { permit, terms, mut record, held: Held { mut body, bytes, .. } } = holding;
        let answer = Answer::to(&terms, &body);
        let sequenced = match sequence(permit) {
            Ok(sequenced) => sequenced,
            Err(rejection) => {
                self.refuse(turn, rejection, record, &answer);
                return 0;
            }
        };
        let (call, head) = sequenced.forward();
        let upstream = turn.gates.upstream_of(&call.destination);
        call.name_in(&mut record);
        record.freshness = Some(call.freshness.label());
        let Some(upstream) = upstream else {
            turn.gates.release_shown(&call.freshness);
            let detail = "a reload removed the upstream while the body was held";
            self.refuse(turn, Rejection::new(Reason::UpstreamUnreachable, detail), record, &answer);
            return 0;
        };
        record.forwarded_ns = turn.now.boot_ns;

        let out = &mut *turn.out;
        if out.to_upstream.is_empty() {
            out.to_upstream = head;
        } else {
            out.to_upstream.extend_from_slice(&head);
        }
        out.to_upstream.extend_from_slice(&bytes);
        let used = match body.receive(behind, &mut out.to_upstream) {
            Ok(used) => used,
            Err(rejection) => {
                // Nothing was written yet, and nothing will be: the driver never sees these bytes.
                out.to_upstream.clear();
                turn.gates.release_shown(&call.freshness);
                self.refuse(turn, rejection, record, &Answer { body_pending: true, ..answer });
                return behind.len();
            }
        };
        out.flags.insert(Flags::CONNECT);
        out.upstream = upstream;
        let done = body.done;
        self.state = State::Exchange(Box::new(Exchange {
            call,
            terms,
            record,
            resendable: done && out.to_upstream.len() <= MAX_RESENT_BYTES,
            body,
            response: Response::new(),
            resent: false,
            close: false,
        }));
        self.await_upstream(turn, done);
        used
    }

    /// Either side has its time: the caller for the rest of its body, or the upstream for its answer.
    fn await_upstream(&mut self, turn: &Turn<'_>, body_done: bool) {
        let limits = &turn.gates.settings().limits;
        self.set_deadline(turn, if body_done { limits.response_head_timeout_s } else { limits.body_timeout_s });
    }

    /// Takes bytes of a body that streams.
    pub(super) fn receive_streamed(&mut self, turn: &mut Turn<'_>, data: &[u8]) {
        let State::Exchange(exchange) = &mut self.state else { return };
        match exchange.body.relay(data, turn.out) {
            Ok(used) => {
                let done = exchange.body.done;
                self.await_upstream(turn, done);
                self.park(turn, &data[used..]);
            }
            Err(rejection) => {
                // What completes the request was not written, and now never will be.
                turn.out.to_upstream.clear();
                turn.out.flags.remove(Flags::RELAY_UPSTREAM);
                self.fail_exchange(turn, rejection);
            }
        }
    }

    /// Refuses a call whose body was being held: an honest retry of the same signed head is not punished.
    pub(super) fn refuse_held(&mut self, turn: &mut Turn<'_>, rejection: Rejection) {
        let Some(Holding { permit, terms, record, held }) = self.take_held(turn) else { return };
        self.refuse_unforwarded(turn, rejection, permit, record, &Answer::to(&terms, &held.body));
    }

    /// The call whose body is being held, if that is the state: it no longer counts in the worker's budget.
    pub(super) fn take_held(&mut self, turn: &mut Turn<'_>) -> Option<Holding> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Holding(mut holding) => {
                turn.worker.held_bytes -= holding.held.charged;
                holding.record.request_body_bytes = holding.held.body.bytes;
                Some(*holding)
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Refuses a permitted call that nothing was written of, and gives its nonce back.
    pub(super) fn refuse_unforwarded(
        &mut self,
        turn: &mut Turn<'_>,
        rejection: Rejection,
        permit: Permit,
        mut record: CallRecord,
        answer: &Answer,
    ) {
        let call = permit.into_call();
        turn.gates.release_shown(&call.freshness);
        call.name_in(&mut record);
        self.refuse(turn, rejection, record, answer);
    }
}
