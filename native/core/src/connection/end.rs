//! How calls and connections end: refusals, timeouts, FIN, loss.

use super::head::Answer;
use super::{Connection, Holding, State};
use crate::action::Flags;
use crate::http1::{Refusal, write_refusal};
use crate::record::CallRecord;
use crate::rejection::{After, Reason, Rejection};
use crate::worker::Turn;

/// How long a connection lingers after its last answer (nginx `lingering_timeout`: 5 s).
const LINGER_TIMEOUT_S: f64 = 5.0;

/// How a call ends whose caller is gone.
const LOST: &str = "downstream-closed";

/// Whom a stalled connection waits for, as far as the driver's write buffers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// Nobody: whoever has to send does not.
    Nobody,
    /// The upstream does not read what we send it.
    ByUpstream,
    /// The caller does not read what we send it.
    ByDownstream,
    /// The call waits for a connection to its upstream: nothing of it was written.
    ByPool,
}

impl Connection {
    /// Answers with a refusal, records it, and keeps or ends the connection.
    pub(super) fn refuse(
        &mut self,
        turn: &mut Turn<'_>,
        rejection: Rejection,
        mut record: CallRecord,
        answer: &Answer,
    ) {
        let close = rejection.reason.after() == After::Close
            || answer.body_pending
            || !answer.keep_alive
            || self.ended
            || turn.worker.draining;
        write_refusal(
            &mut turn.out.to_downstream,
            &rejection,
            &Refusal {
                accept_signature: Some(turn.gates.accept_signature(answer.body_pending)),
                close,
                head_request: answer.head_request,
                request_id: record.id.request_id(),
                now_unix_s: turn.now.unix_s(),
            },
        );
        record.status = rejection.reason.status();
        record.rejection = Some(rejection);
        if record.gated_ns == 0 {
            record.gated_ns = turn.now.boot_ns;
        }
        turn.end_call(record, "refused");
        if close {
            self.close(turn, true);
        } else {
            self.await_next(turn);
        }
    }

    /// Refuses a request whose head is not to be had.
    pub(super) fn refuse_unread(&mut self, turn: &mut Turn<'_>, rejection: Rejection) {
        let id = turn.worker.next_id();
        let record = self.record(turn, id);
        self.refuse(turn, rejection, record, &Answer::UNREAD);
    }

    /// Ready for the next call on this connection.
    pub(super) fn await_next(&mut self, turn: &mut Turn<'_>) {
        self.state = State::Head;
        self.started_ns = 0;
        self.set_deadline(turn, turn.gates.settings().limits.idle_timeout_s);
        if !self.buffer.is_empty() {
            turn.out.flags.insert(Flags::AGAIN);
        }
        self.resume(turn);
    }

    pub(super) fn resume(&mut self, turn: &mut Turn<'_>) {
        if self.paused {
            self.paused = false;
            turn.out.flags.insert(Flags::RESUME);
        }
    }

    /// Ends the connection after what is written. `linger`: the peer may still be sending.
    pub(super) fn close(&mut self, turn: &mut Turn<'_>, linger: bool) {
        self.buffer = Vec::new();
        turn.out.flags.insert(Flags::CLOSE);
        self.set_deadline(turn, turn.gates.settings().limits.response_body_timeout_s);
        if linger && !self.ended {
            turn.out.flags.insert(Flags::LINGER);
            self.resume(turn);
            self.state = State::Lingering { discarded: 0 };
            self.set_deadline(turn, LINGER_TIMEOUT_S);
        } else {
            self.state = State::Closed;
        }
    }

    /// The peer sent FIN: it will send nothing more, but may still read.
    pub fn receive_eof(&mut self, turn: &mut Turn<'_>) {
        self.ended = true;
        match &mut self.state {
            State::Head if self.started_ns == 0 => self.close(turn, false),
            State::Head => self.refuse_unread(turn, Rejection::new(Reason::Malformed, "the head was cut off")),
            State::Holding(_) => self.refuse_held(turn, Rejection::new(Reason::Malformed, "the body was cut off")),
            State::Exchange(exchange) if !exchange.body.done => {
                self.fail_exchange(turn, Rejection::new(Reason::Malformed, "the body was cut off"));
            }
            // A half-closed caller still gets its answer.
            State::Exchange(exchange) => exchange.close = true,
            State::Tunnel(tunnel) => {
                tunnel.downstream_ended = true;
                if tunnel.upstream_ended {
                    self.close_tunnel(turn, "tunnel");
                } else {
                    turn.out.flags.insert(Flags::END_UPSTREAM);
                }
            }
            State::Lingering { .. } | State::Closed => {
                self.state = State::Closed;
                turn.out.flags.insert(Flags::CLOSE);
            }
        }
    }

    /// The connection to the peer is gone.
    pub fn lost(&mut self, turn: &mut Turn<'_>) {
        if let Some(Holding { permit, mut record, .. }) = self.take_held(turn) {
            // Cut off before anything was forwarded: the nonce goes back to its owner.
            let call = permit.into_call();
            turn.gates.release_shown(&call.freshness);
            record.principal = call.principal;
            record.key_id = call.key_id;
            turn.end_call(record, LOST);
            return;
        }
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Exchange(exchange) => {
                turn.out.flags.insert(Flags::ABORT);
                let mut record = exchange.record;
                record.request_body_bytes = exchange.body.bytes;
                turn.end_call(record, LOST);
            }
            State::Tunnel(tunnel) => {
                turn.out.flags.insert(Flags::ABORT);
                turn.end_call(tunnel.record, "tunnel");
            }
            State::Holding(_) | State::Head | State::Lingering { .. } | State::Closed => {}
        }
    }

    /// Ends what has lasted too long. Call it now and then; it does nothing before its time.
    pub fn check_timeout(&mut self, turn: &mut Turn<'_>, blocked: Blocked) {
        if turn.now.boot_ns < self.deadline_ns {
            return;
        }
        match &self.state {
            State::Head if self.started_ns == 0 => self.close(turn, false),
            State::Head => {
                self.refuse_unread(turn, Rejection::new(Reason::HeadTimeout, "the head did not arrive in time"));
            }
            State::Holding(_) => {
                self.refuse_held(turn, Rejection::new(Reason::BodyTimeout, "the body stopped arriving"));
            }
            State::Exchange(exchange) => {
                let rejection = if !exchange.body.done && blocked == Blocked::Nobody {
                    Rejection::new(Reason::BodyTimeout, "the body stopped arriving")
                } else if blocked == Blocked::ByDownstream {
                    Rejection::new(Reason::BodyTimeout, "the caller stopped reading the response")
                } else if blocked == Blocked::ByPool {
                    turn.gates.release_shown(&exchange.call.freshness);
                    Rejection::new(Reason::UpstreamTimeout, "no connection became free in time")
                } else {
                    Rejection::new(Reason::UpstreamTimeout, "the upstream made no progress in time")
                };
                self.fail_exchange(turn, rejection);
            }
            State::Tunnel(_) => self.close_tunnel(turn, "tunnel-idle"),
            State::Lingering { .. } | State::Closed => {
                self.state = State::Closed;
                turn.out.flags.insert(Flags::RESET);
            }
        }
    }

    /// A stalled side has moved again: the driver saw its write buffer shrink.
    pub fn progressed(&mut self, turn: &Turn<'_>) {
        match self.state {
            State::Exchange(_) | State::Closed => {
                self.set_deadline(turn, turn.gates.settings().limits.response_body_timeout_s);
            }
            State::Tunnel(_) => self.set_deadline(turn, turn.gates.settings().limits.tunnel_idle_timeout_s),
            _ => {}
        }
    }

    /// The drain has lasted as long as it may: what has no answer yet gets a refusal, the rest ends.
    pub fn end_drain(&mut self, turn: &mut Turn<'_>, written: bool) {
        let draining = || Rejection::new(Reason::Draining, "the drain ended before the call did").retry_after(1);
        match &self.state {
            State::Holding(_) => self.refuse_held(turn, draining()),
            State::Exchange(exchange) => {
                if !written {
                    turn.gates.release_shown(&exchange.call.freshness);
                }
                self.fail_exchange(turn, draining());
            }
            State::Tunnel(_) => self.close_tunnel(turn, "draining"),
            State::Head => self.close(turn, false),
            State::Lingering { .. } | State::Closed => {}
        }
    }
}
