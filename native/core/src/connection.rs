//! One downstream connection: bytes in, actions out, one state at a time.
//!
//! It promises that calls are answered in order, that the next is neither parsed nor claimed before the previous answer is
//! complete, and that only a [`Sequenced`](crate::admission::Sequenced) call reaches an upstream. Sockets, pools and
//! timers are the driver's: it reports events and does what the [`Output`](crate::action::Output) says.

mod body;
mod end;
mod head;
mod response;

pub use end::Blocked;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::action::Flags;
use crate::admission::Permit;
use crate::exchange::{Exchange, Held, Terms};
use crate::http1::{HeadScanner, Hop};
use crate::record::CallRecord;
use crate::time::NANOS_PER_S;
use crate::worker::Turn;

/// Bytes that are read and discarded after a refusal, at most: a peer that goes on sending is cut off.
const MAX_LINGER_BYTES: usize = 16 << 20;

/// A connection from one caller.
#[derive(Debug)]
pub struct Connection {
    listener: usize,
    /// `address:port`, for records.
    peer: Arc<str>,
    hop: Hop,
    state: State,
    /// What has come and could not be used yet.
    buffer: Vec<u8>,
    scanner: HeadScanner,
    /// First byte of the current head; 0 between calls.
    started_ns: u64,
    /// When the current state has lasted too long, on the boot-time clock.
    deadline_ns: u64,
    /// The driver was told to stop reading.
    paused: bool,
    /// The peer sent FIN: this answer is the last.
    ended: bool,
}

#[derive(Debug)]
enum State {
    /// Between calls, or in the middle of a head.
    Head,
    /// Permitted; the body is held until its digest is verified.
    Holding(Box<Holding>),
    /// Forwarded.
    Exchange(Box<Exchange>),
    /// The protocol was changed: bytes go both ways unseen.
    Tunnel(Box<Tunnel>),
    /// Answered for the last time; what still comes is discarded.
    Lingering { discarded: usize },
    /// Nothing more happens here.
    Closed,
}

#[derive(Debug)]
struct Holding {
    permit: Permit,
    terms: Terms,
    record: CallRecord,
    held: Held,
}

#[derive(Debug)]
struct Tunnel {
    record: CallRecord,
    downstream_ended: bool,
    upstream_ended: bool,
}

impl Connection {
    /// A connection that `listener` accepted from `peer` (`address:port`, or `unix`).
    #[must_use]
    pub fn new(turn: &Turn<'_>, listener: usize, peer: Arc<str>) -> Self {
        let settings = turn.gates.settings();
        let hop = Hop::new(&settings.node, peer_ip(&peer), &settings.listeners[listener].external_scheme);
        let mut connection = Self {
            listener,
            peer,
            hop,
            state: State::Head,
            buffer: Vec::new(),
            scanner: HeadScanner::request(),
            started_ns: 0,
            deadline_ns: 0,
            paused: false,
            ended: false,
        };
        connection.set_deadline(turn, turn.gates.settings().limits.idle_timeout_s);
        connection
    }

    /// Takes what the peer sent. With no bytes: goes on with those that waited ([`Flags::AGAIN`]).
    pub fn receive_data(&mut self, turn: &mut Turn<'_>, data: &[u8]) {
        match &mut self.state {
            State::Head => self.receive_head(turn, data),
            State::Holding(_) => self.receive_held(turn, data),
            State::Exchange(exchange) if !exchange.body.done => self.receive_streamed(turn, data),
            State::Exchange(_) => self.park(turn, data),
            State::Tunnel(_) if data.is_empty() => {}
            State::Tunnel(tunnel) => {
                tunnel.record.request_body_bytes += data.len() as u64;
                turn.out.flags.insert(Flags::RELAY_UPSTREAM);
                self.set_deadline(turn, turn.gates.settings().limits.tunnel_idle_timeout_s);
            }
            State::Lingering { discarded } => {
                *discarded += data.len();
                if *discarded > MAX_LINGER_BYTES {
                    self.state = State::Closed;
                    turn.out.flags.insert(Flags::RESET);
                }
            }
            State::Closed => {}
        }
    }

    /// Whether no call is under way: such a connection can be closed at any time without harm.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Head) && self.buffer.is_empty()
    }

    /// Sets when the call that this event has begun was through the gates: the core reads no clock, and one event has one
    /// time, so only the driver can say how long the gates took.
    pub fn gates_took_until(&mut self, boot_ns: u64) {
        let record = match &mut self.state {
            State::Exchange(exchange) => &mut exchange.record,
            State::Holding(holding) => &mut holding.record,
            _ => return,
        };
        if record.gated_ns == record.head_ns {
            record.gated_ns = boot_ns;
        }
        if record.forwarded_ns == record.head_ns {
            record.forwarded_ns = boot_ns;
        }
    }

    /// Keeps bytes for later and has the driver stop reading: they belong to calls that have to wait.
    fn park(&mut self, turn: &mut Turn<'_>, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        self.buffer.extend_from_slice(data);
        self.pause(turn);
    }

    fn pause(&mut self, turn: &mut Turn<'_>) {
        if !self.paused {
            self.paused = true;
            turn.out.flags.insert(Flags::PAUSE);
        }
    }

    fn set_deadline(&mut self, turn: &Turn<'_>, seconds: f64) {
        // Limits are checked to be finite and positive; the cast saturates.
        self.deadline_ns = turn.now.boot_ns.saturating_add((seconds * NANOS_PER_S as f64) as u64);
    }
}

/// The address in `address:port`; none for a Unix socket.
fn peer_ip(peer: &str) -> Option<IpAddr> {
    peer.parse::<SocketAddr>().ok().map(|address| address.ip())
}
