//! What the calls of one worker share, and what one event is given: a time, the gates in force, a place for the answer.

use crate::action::Output;
use crate::admission::Gates;
use crate::record::{CallId, CallRecord};
use crate::time::Now;

/// State that all connections of one worker share. One worker is one thread: nothing here is locked.
#[derive(Debug)]
pub struct Worker {
    ids: CallIds,
    /// Bytes of bodies held for their digest, all connections together.
    pub held_bytes: usize,
    /// Set once: answers from now on end their connection.
    pub draining: bool,
    /// Whether records carry method, authority and path: only if somebody reads them.
    pub keep_text: bool,
}

impl Worker {
    /// `seed` is fresh randomness: identifiers are unique among workers by it. They are not secrets.
    #[must_use]
    pub fn new(seed: [u8; 16], keep_text: bool) -> Self {
        Self { ids: CallIds { seed, count: 0 }, held_bytes: 0, draining: false, keep_text }
    }

    /// Identifiers for the next call.
    pub fn next_id(&mut self) -> CallId {
        self.ids.next()
    }
}

/// One event's surroundings: made by the driver for each event, gone after it.
pub struct Turn<'a> {
    /// When the event happened.
    pub now: Now,
    /// The gates in force at that time.
    pub gates: &'a Gates,
    /// What all connections of this worker share.
    pub worker: &'a mut Worker,
    /// What is to be done.
    pub out: &'a mut Output,
}

impl Turn<'_> {
    /// A call has ended, in this way.
    pub(crate) fn end_call(&mut self, mut record: CallRecord, ended: &'static str) {
        record.ended = ended;
        record.finished_ns = self.now.boot_ns;
        self.out.ended.push(record);
    }
}

/// Makes identifiers: unique, and not guessable without the seed's 128 bits, but no secrets.
#[derive(Debug)]
struct CallIds {
    seed: [u8; 16],
    count: u64,
}

impl CallIds {
    fn next(&mut self) -> CallId {
        self.count += 1;
        let half = |bytes: &[u8]| bytes.iter().fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
        let high = mixed(half(&self.seed[..8]) ^ self.count);
        // All-zero identifiers are not valid (W3C Trace Context section 3.2.2.3).
        let low = mixed(half(&self.seed[8..]).wrapping_add(self.count)) | 1;
        let mut trace = [0; 32];
        write_hex(&mut trace[..16], high);
        write_hex(&mut trace[16..], low);
        let mut parent = [0; 16];
        write_hex(&mut parent, mixed(high ^ low.rotate_left(32)) | 1);
        CallId::new(trace, parent)
    }
}

/// SplitMix64's finaliser: a bijection, so distinct counts give distinct identifiers (Steele et al., OOPSLA 2014).
fn mixed(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn write_hex(out: &mut [u8], value: u64) {
    for (place, byte) in out.iter_mut().enumerate() {
        let shift = 60 - 4 * place;
        *byte = b"0123456789abcdef"[(value >> shift & 0xf) as usize];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ascii;

    #[test]
    fn identifiers_are_distinct_and_of_the_form_of_trace_context() {
        let mut worker = Worker::new(*b"0123456789abcdef", false);
        let ids: Vec<CallId> = (0..1000).map(|_| worker.next_id()).collect();
        let distinct: std::collections::HashSet<&str> = ids.iter().map(CallId::request_id).collect();
        assert_eq!(distinct.len(), 1000);
        let traceparent = ids[0].traceparent(true);
        let text = ascii(&traceparent);
        assert!(text.starts_with("00-") && text.ends_with("-01") && text.contains(ids[0].request_id()), "{text}");
    }
}
