//! The upstream's side of a call: its bytes, its end, its failures.

use super::head::Answer;
use super::{Connection, State, Tunnel};
use crate::action::Flags;
use crate::exchange::{Exchange, UpstreamFailure};
use crate::rejection::{Reason, Rejection};
use crate::upstream::{Answering, Response};
use crate::worker::Turn;

impl Connection {
    /// Takes what the upstream sent for the call under way.
    pub fn receive_response(&mut self, turn: &mut Turn<'_>, data: &[u8]) {
        let settings = turn.gates.settings();
        let exchange = match &mut self.state {
            State::Exchange(exchange) => exchange,
            State::Tunnel(_) if data.is_empty() => return,
            State::Tunnel(tunnel) => {
                tunnel.record.response_body_bytes += data.len() as u64;
                turn.out.flags.insert(Flags::RELAY_DOWNSTREAM);
                self.set_deadline(turn, settings.limits.tunnel_idle_timeout_s);
                return;
            }
            _ => {
                turn.out.flags.insert(Flags::ABORT);
                return;
            }
        };
        // A response that comes before its request is complete may be an early refusal: announce the end.
        let close = exchange.close || turn.worker.draining || self.ended || !exchange.body.done;
        let asked = exchange.terms.asked;
        let answering = Answering {
            asked,
            close,
            hop: &self.hop,
            request_id: exchange.record.id.request_id(),
            now_unix_s: turn.now.unix_s(),
        };
        let received = exchange.response.receive(data, &answering, &settings.limits, turn.out);
        let progress = match received {
            Ok(progress) => progress,
            Err(rejection) => {
                self.fail_exchange(turn, rejection);
                return;
            }
        };
        if let Some(status) = progress.status {
            exchange.record.status = status;
            exchange.record.response_head_ns = turn.now.boot_ns;
        }
        exchange.record.response_body_bytes += progress.body_bytes;
        match exchange.response {
            Response::Head { .. } => {}
            Response::Body(_) => self.set_deadline(turn, settings.limits.response_body_timeout_s),
            Response::Done(_) => self.complete(turn),
            Response::Tunnel => self.open_tunnel(turn),
        }
    }

    /// The upstream sent FIN, or its connection is gone.
    ///
    /// `written` says whether `write` was ever called on an upstream connection for this call, `reused` whether that connection
    /// had served another call before.
    pub fn upstream_failed(&mut self, turn: &mut Turn<'_>, failure: UpstreamFailure, written: bool, reused: bool) {
        match &mut self.state {
            State::Exchange(exchange) => {
                if failure == UpstreamFailure::Closed && exchange.response.end(turn.out) {
                    self.complete(turn);
                } else if exchange.may_resend(failure, written, reused) {
                    exchange.resent = true;
                    turn.out.flags.insert(Flags::CONNECT | Flags::RESEND);
                } else {
                    if !written {
                        turn.gates.release_shown(&exchange.call.freshness);
                    }
                    self.fail_exchange(turn, rejection_of(failure));
                }
            }
            State::Tunnel(tunnel) => {
                tunnel.upstream_ended = true;
                if tunnel.downstream_ended || failure != UpstreamFailure::Closed {
                    self.close_tunnel(turn, "tunnel");
                } else {
                    turn.out.flags.insert(Flags::END_DOWNSTREAM);
                }
            }
            _ => {}
        }
    }

    /// The response is complete: records the call and readies the connection for the next one.
    fn complete(&mut self, turn: &mut Turn<'_>) {
        let State::Exchange(exchange) = std::mem::replace(&mut self.state, State::Head) else { return };
        let Exchange { mut record, body, response: Response::Done(reuse), .. } = *exchange else { return };
        record.request_body_bytes = body.bytes;
        turn.end_call(record, "complete");
        let reusable = reuse.upstream && body.done;
        turn.out.flags.insert(if reusable { Flags::RELEASE } else { Flags::ABORT });
        // After its FIN, what waits in the buffer is all that the caller will ever ask.
        let asked_all = self.ended && self.buffer.is_empty();
        if !reuse.downstream || !body.done || asked_all {
            self.close(turn, !body.done || !self.buffer.is_empty());
            return;
        }
        self.await_next(turn);
    }

    /// Refuses a forwarded call if the caller has seen nothing of an answer; otherwise the answer cannot be completed,
    /// and only an abrupt end says so.
    pub(super) fn fail_exchange(&mut self, turn: &mut Turn<'_>, rejection: Rejection) {
        let State::Exchange(exchange) = std::mem::replace(&mut self.state, State::Closed) else { return };
        let Exchange { mut record, body, response, terms, .. } = *exchange;
        turn.out.flags.insert(Flags::ABORT);
        record.request_body_bytes = body.bytes;
        if response.is_unanswered() {
            self.refuse(turn, rejection, record, &Answer::to(&terms, &body));
            return;
        }
        let ended = rejection.reason.label();
        record.rejection = Some(rejection);
        turn.end_call(record, ended);
        turn.out.flags.insert(Flags::RESET);
    }

    fn open_tunnel(&mut self, turn: &mut Turn<'_>) {
        let State::Exchange(exchange) = std::mem::replace(&mut self.state, State::Closed) else { return };
        let tunnel = Tunnel { record: exchange.record, downstream_ended: self.ended, upstream_ended: false };
        self.state = State::Tunnel(Box::new(tunnel));
        self.set_deadline(turn, turn.gates.settings().limits.tunnel_idle_timeout_s);
        // Bytes that the caller sent ahead of the 101 belong to the tunnel, and so does a FIN.
        turn.out.to_upstream.append(&mut self.buffer);
        if self.ended {
            turn.out.flags.insert(Flags::END_UPSTREAM);
        }
        self.resume(turn);
    }

    pub(super) fn close_tunnel(&mut self, turn: &mut Turn<'_>, ended: &'static str) {
        let State::Tunnel(tunnel) = std::mem::replace(&mut self.state, State::Closed) else { return };
        turn.end_call(tunnel.record, ended);
        turn.out.flags.insert(Flags::CLOSE | Flags::ABORT);
    }
}

fn rejection_of(failure: UpstreamFailure) -> Rejection {
    match failure {
        UpstreamFailure::NoEndpoint => Rejection::new(Reason::UpstreamUnreachable, "no endpoint is usable"),
        UpstreamFailure::Connect => Rejection::new(Reason::UpstreamUnreachable, "no connection to any endpoint"),
        UpstreamFailure::ConnectTimeout => Rejection::new(Reason::UpstreamTimeout, "no connection in time"),
        UpstreamFailure::Pushback => {
            Rejection::new(Reason::Overloaded, "too many calls wait for this upstream").retry_after(1)
        }
        UpstreamFailure::Closed | UpstreamFailure::Reset => {
            Rejection::new(Reason::UpstreamClosed, "the connection closed before the response was complete")
        }
    }
}
