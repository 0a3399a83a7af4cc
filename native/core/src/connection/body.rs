//! The request body: held until its digest is verified, or streamed with what completes it withheld; and the moment of
//! forwarding.

use super::head::Answer;
use super::{Connection, Holding, State};
use crate::action::Flags;
use crate::admission::{Permit, Shown, sequence};
use crate::exchange::{Exchange, RequestBody, Terms};
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
        let State::Holding(mut holding) = std::mem::replace(&mut self.state, State::Closed) else { return 0 };
        let used = match holding.held.body.receive(data, &mut holding.held.bytes) {
            Ok(used) => used,
            Err(rejection) => {
                self.refuse_held(turn, rejection, *holding);
                return data.len();
            }
        };
        // A chunked body says how long it is only at its end: one that outgrows the hold streams from here on.
        let outgrown = holding.held.bytes.len() > turn.gates.settings().limits.max_held_body_bytes;
        if !holding.held.body.done && !outgrown {
            self.state = State::Holding(holding);
            return used;
        }
        let Holding { permit, terms, record, held } = *holding;
        turn.worker.held_bytes -= held.charged;
        self.forward(turn, permit, terms, record, held.body, &[]);
        if let State::Exchange(exchange) = &mut self.state {
            turn.out.to_upstream.extend_from_slice(&held.bytes);
            exchange.resendable = exchange.body.done && turn.out.to_upstream.len() <= MAX_RESENT_BYTES;
        }
        used
    }

    /// Puts the call on record and hands its head, and what is here of its body, to the upstream.
    pub(super) fn forward(
        &mut self,
        turn: &mut Turn<'_>,
        permit: Permit,
        terms: Terms,
        mut record: CallRecord,
        mut body: RequestBody,
        behind: &[u8],
    ) -> usize {
        let answer =
            Answer { head_request: terms.asked.head, keep_alive: terms.asked.keep_alive, body_pending: !body.done };
        let sequenced = match sequence(permit) {
            Ok(sequenced) => sequenced,
            Err(rejection) => {
                self.refuse(turn, rejection, record, &answer);
                return 0;
            }
        };
        let (call, head) = sequenced.forward();
        let upstream = turn.gates.upstream_of(&call.destination);
        record.principal.clone_from(&call.principal);
        record.key_id.clone_from(&call.key_id);
        record.freshness = Some(match call.freshness {
            Shown::Claimed(_) => "claimed",
            Shown::Waived => "waived",
        });
        record.route = u32::try_from(call.destination.route).ok();
        record.route_name = Some(std::sync::Arc::clone(&call.destination.route_name));
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
        let limits = &turn.gates.settings().limits;
        let timeout = if body.done { limits.response_head_timeout_s } else { limits.body_timeout_s };
        self.state = State::Exchange(Box::new(Exchange {
            call,
            terms,
            record,
            resendable: body.done && out.to_upstream.len() <= MAX_RESENT_BYTES,
            body,
            response: Response::new(),
            resent: false,
            close: false,
        }));
        self.set_deadline(turn, timeout);
        used
    }

    /// Takes bytes of a body that streams.
    pub(super) fn receive_streamed(&mut self, turn: &mut Turn<'_>, data: &[u8]) {
        let State::Exchange(exchange) = &mut self.state else { return };
        match exchange.body.relay(data, turn.out) {
            Ok(used) => {
                let limits = &turn.gates.settings().limits;
                let timeout = if exchange.body.done { limits.response_head_timeout_s } else { limits.body_timeout_s };
                self.set_deadline(turn, timeout);
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
    pub(super) fn refuse_held(&mut self, turn: &mut Turn<'_>, rejection: Rejection, holding: Holding) {
        turn.worker.held_bytes -= holding.held.charged;
        let answer = Answer {
            head_request: holding.terms.asked.head,
            keep_alive: holding.terms.asked.keep_alive,
            body_pending: !holding.held.body.done,
        };
        let mut record = holding.record;
        record.request_body_bytes = holding.held.body.bytes;
        self.refuse_unforwarded(turn, rejection, holding.permit, record, &answer);
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
        record.principal = call.principal;
        record.key_id = call.key_id;
        record.route = u32::try_from(call.destination.route).ok();
        record.route_name = Some(call.destination.route_name);
        self.refuse(turn, rejection, record, answer);
    }
}
