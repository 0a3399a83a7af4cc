//! Per-call numbers: counters and histograms in memory that a worker shares with its supervisor.
//!
//! A worker [`Recorder::record`]s each finished call with plain loads and stores, no allocation and no lock on anything
//! but itself; the supervisor reads all workers' numbers when it is scraped. The memory belongs to the worker *slot*:
//! a worker that takes a dead one's place goes on counting where it stopped, so no counter ever goes down.
//!
//! One process writes, any number read. Hence `load` and `store` where several writers would need `fetch_add`, which
//! costs five times as much; a reader may see one call's count before its bytes, never a torn number.
//!
//! Label sets are bounded ([`CALL_SETS`], [`ROUTE_SETS`]), because an upstream may answer with any status; what does not
//! fit is counted under `_other`, not lost. Rendering is left to Python (`metrics.py`, prometheus-client).
//!
//! Layout, in words of 64 bits: header, numbers, calls (one set per listener, route, status and reason), routes (one
//! set of histograms per listener and route). The first word of a set is 0 until its text is complete.

use std::collections::HashMap;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyproxy_core::record::CallRecord;

use crate::shm::SharedWords;

/// "pyproxym" and the version of this layout: a worker and a supervisor of different builds do not share memory.
const MAGIC: u64 = u64::from_le_bytes(*b"pyproxym") ^ 1;
/// Magic, sets in use (calls, routes), and room.
const HEADER_WORDS: usize = 8;
const USED_CALLS: usize = 1;
const USED_ROUTES: usize = 2;
/// Room for [`Number`]s.
const NUMBER_WORDS: usize = 56;

/// Different (listener, route, status, reason) that are told apart; the first is `_other`.
const CALL_SETS: usize = 4096;
/// Words of one: text lengths, status, calls, body bytes in, body bytes out, text.
const CALL_WORDS: usize = 32;
const CALL_TEXT: usize = 5;
/// Different (listener, route) that have histograms of their own; the first is `_other`.
const ROUTE_SETS: usize = 1024;
/// Words of one: text lengths, text, histograms.
const ROUTE_WORDS: usize = 144;
const ROUTE_TEXT: usize = 1;
const ROUTE_HISTOGRAMS: usize = 24;
/// Words of one histogram: its buckets, the last of them unbounded, and the sum in nanoseconds.
const HISTOGRAM_WORDS: usize = BOUNDS_NS.len() + 2;

const CALLS_AT: usize = HEADER_WORDS + NUMBER_WORDS;
const ROUTES_AT: usize = CALLS_AT + CALL_SETS * CALL_WORDS;
/// Size of one slot's memory, in words.
const WORDS: usize = ROUTES_AT + ROUTE_SETS * ROUTE_WORDS;

const _: () = assert!(ROUTE_HISTOGRAMS + PHASES.len() * HISTOGRAM_WORDS <= ROUTE_WORDS);
const _: () = assert!(NUMBERS.len() <= NUMBER_WORDS);

/// Bytes of a listener's, route's and reason's name that are kept; together they fit the text of a set.
const NAME_BYTES: [usize; 3] = [56, 120, 40];
const _: () = assert!(NAME_BYTES[0] + NAME_BYTES[1] + NAME_BYTES[2] <= (CALL_WORDS - CALL_TEXT) * 8);
const _: () = assert!(NAME_BYTES[0] + NAME_BYTES[1] <= (ROUTE_HISTOGRAMS - ROUTE_TEXT) * 8);

/// How a call ends that has no reason to tell.
const WELL: &str = "complete";

/// Label of what did not fit.
const OTHER: &str = "_other";

/// What the histograms measure, all in nanoseconds: see [`Recorder::record`].
const PHASES: [&str; 5] = ["gates", "forward", "own", "upstream", "total"];

/// Upper bounds of the buckets: 1, 2.5, 5, from a microsecond, where our own phases are, to ten seconds.
const BOUNDS_NS: [u64; 22] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Where the search for a bucket begins, by the position of the time's highest bit: at most two comparisons follow.
const FIRST_BUCKET: [u8; 65] = {
    let mut first = [0_u8; 65];
    let mut bits = 0;
    while bits <= 64 {
        let least = if bits == 0 { 0 } else { 1_u64 << (bits - 1) };
        let mut bucket = 0;
        while bucket < BOUNDS_NS.len() && BOUNDS_NS[bucket] < least {
            bucket += 1;
        }
        first[bits] = bucket as u8;
        bits += 1;
    }
    first
};

macro_rules! numbers {
    ($( $(#[$doc:meta])* $name:ident = ($label:literal, $kind:ident); )*) => {
        /// A worker's numbers that no call's labels belong to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Number { $( $(#[$doc])* $name, )* }

        /// Name and kind of each [`Number`], by its discriminant.
        const NUMBERS: &[(&str, Kind)] = &[$( ($label, Kind::$kind), )*];
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Only rises, across the workers of one slot.
    Counter,
    /// Describes the worker that runs now; 0 again when another takes its place.
    Gauge,
}

numbers! {
    /// Downstream connections open now.
    ConnectionsOpen = ("connections_open", Gauge);
    /// Downstream connections accepted.
    ConnectionsAccepted = ("connections_accepted", Counter);
    /// Downstream connections closed at once, because `max_connections` were open.
    ConnectionsRefused = ("connections_refused", Counter);
    /// Body bytes held until their digest is verified.
    HeldBodyBytes = ("held_body_bytes", Gauge);
    /// Calls now waiting for an upstream connection.
    UpstreamWaiting = ("upstream_waiting", Gauge);
    /// Upstream connections open now.
    UpstreamConnectionsOpen = ("upstream_connections_open", Gauge);
    /// Failures to connect to an endpoint, or to get a response head from it.
    UpstreamFailures = ("upstream_failures", Counter);
    /// Endpoints left out because they kept failing.
    EndpointsEjected = ("endpoints_ejected", Counter);
    /// Access log lines that found no room.
    AccessLogDropped = ("access_log_dropped", Counter);
    /// Batches of the access log that could not be written.
    AccessLogWriteErrors = ("access_log_write_errors", Counter);
    /// The longest that the event loop was late for its timer since it was last asked, in microseconds.
    LoopLagUs = ("loop_lag_us", Gauge);
}

/// Records the calls of one worker. Cheap to share; made once per worker.
pub struct Recorder {
    words: Arc<SharedWords>,
    listeners: Vec<String>,
    known: Mutex<Known>,
}

/// Where the label sets are.
struct Known {
    /// The last sets seen, found without looking at their text.
    recent: Box<[Option<Recent>; RECENT]>,
    calls: HashMap<(String, String, u16, String), usize>,
    routes: HashMap<(String, String), usize>,
}

/// Places in the cache of label sets: more than a node's usual routes times outcomes.
const RECENT: usize = 256;

/// One place of the cache. It keeps the route's name alive, so that its address means no other name.
struct Recent {
    listener: u32,
    route: Option<Arc<str>>,
    status: u16,
    reason: &'static str,
    call_at: usize,
    route_at: usize,
}

impl Recorder {
    /// Takes the slot's memory over: new memory is laid out, that of an earlier worker is continued.
    ///
    /// # Errors
    /// The memory is too small, or laid out by another build.
    pub(crate) fn new(words: Arc<SharedWords>, listeners: Vec<String>) -> Result<Self, String> {
        let all = words.words();
        if all.len() < WORDS {
            return Err(format!("metrics memory: expected {WORDS} words, came {}", all.len()));
        }
        match all[0].load(Acquire) {
            0 => {
                write_set(&all[CALLS_AT..], CALL_TEXT, &[OTHER, OTHER, OTHER]);
                write_set(&all[ROUTES_AT..], ROUTE_TEXT, &[OTHER, OTHER]);
                all[USED_CALLS].store(1, Relaxed);
                all[USED_ROUTES].store(1, Relaxed);
                all[0].store(MAGIC, Release);
            }
            MAGIC => {}
            _ => return Err("metrics memory: laid out by another build".to_owned()),
        }
        for (index, (_, kind)) in NUMBERS.iter().enumerate() {
            if *kind == Kind::Gauge {
                all[HEADER_WORDS + index].store(0, Relaxed);
            }
        }
        let mut known =
            Known { recent: Box::new([const { None }; RECENT]), calls: HashMap::new(), routes: HashMap::new() };
        for at in set_positions(all, USED_CALLS, CALL_SETS, CALLS_AT, CALL_WORDS) {
            let [listener, route, reason] = read_names(&all[at..], CALL_TEXT);
            known.calls.insert((listener, route, all[at + 1].load(Relaxed) as u16, reason), at);
        }
        for at in set_positions(all, USED_ROUTES, ROUTE_SETS, ROUTES_AT, ROUTE_WORDS) {
            let [listener, route, _] = read_names(&all[at..], ROUTE_TEXT);
            known.routes.insert((listener, route), at);
        }
        Ok(Self { words, listeners, known: Mutex::new(known) })
    }

    /// Counts one finished call and its phases:
    /// `gates` from the head's last byte to the verdict, `forward` from there to the first byte given to an upstream
    /// connection, `own` both together, `upstream` from there to its response head, `total` from the head's first byte
    /// to the response's last. A phase that the call did not come to is not counted.
    pub fn record(&self, call: &CallRecord) {
        let words = self.words.words();
        let (call_at, route_at) = self.find(words, call);
        add(&words[call_at + 2], 1);
        add(&words[call_at + 3], call.request_body_bytes);
        add(&words[call_at + 4], call.response_body_bytes);
        let own_ns = if call.forwarded_ns != 0 { call.forwarded_ns } else { call.gated_ns };
        let spans = [
            (call.head_ns, call.gated_ns),
            (call.gated_ns, call.forwarded_ns),
            (call.head_ns, own_ns),
            (call.forwarded_ns, call.response_head_ns),
            (call.started_ns, call.finished_ns),
        ];
        for (phase, (from_ns, to_ns)) in spans.into_iter().enumerate() {
            if from_ns != 0 && to_ns != 0 {
                let histogram = route_at + ROUTE_HISTOGRAMS + phase * HISTOGRAM_WORDS;
                let took_ns = to_ns.saturating_sub(from_ns);
                add(&words[histogram + bucket(took_ns)], 1);
                add(&words[histogram + HISTOGRAM_WORDS - 1], took_ns);
            }
        }
    }

    /// Adds to a counter, or to a gauge.
    pub fn add(&self, number: Number, more: u64) {
        add(&self.words.words()[HEADER_WORDS + number as usize], more);
    }

    /// Sets a gauge.
    pub fn set(&self, number: Number, value: u64) {
        self.words.words()[HEADER_WORDS + number as usize].store(value, Relaxed);
    }

    /// Where this call's two label sets are.
    fn find(&self, words: &[AtomicU64], call: &CallRecord) -> (usize, usize) {
        let reason = match &call.rejection {
            Some(rejection) => rejection.reason.label(),
            None if call.ended == WELL => "",
            None => call.ended,
        };
        let route = call.route_name.as_ref();
        let route_address = route.map_or(0, |name| name.as_ptr() as usize);
        let place =
            ((route_address >> 4) ^ (route_address >> 12) ^ (reason.as_ptr() as usize) ^ usize::from(call.status))
                .wrapping_add(call.listener as usize * 31)
                % RECENT;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recent) = &known.recent[place]
            && recent.status == call.status
            && recent.listener == call.listener
            && std::ptr::eq(recent.reason, reason)
            && recent.route.as_ref().map_or(0, |name| name.as_ptr() as usize) == route_address
        {
            return (recent.call_at, recent.route_at);
        }
        let listener = self.listeners.get(call.listener as usize).map_or(OTHER, String::as_str);
        let (call_at, route_at) = known.find(words, [listener, route.map_or("", |name| name), reason], call.status);
        known.recent[place] = Some(Recent {
            listener: call.listener,
            route: route.cloned(),
            status: call.status,
            reason,
            call_at,
            route_at,
        });
        (call_at, route_at)
    }
}

impl Known {
    /// By text; a new set is written where there is room.
    fn find(&mut self, words: &[AtomicU64], names: [&str; 3], status: u16) -> (usize, usize) {
        let names = [clip(names[0], NAME_BYTES[0]), clip(names[1], NAME_BYTES[1]), clip(names[2], NAME_BYTES[2])];
        let [listener, route, reason] = names.map(str::to_owned);
        let call_at = *self.calls.entry((listener.clone(), route.clone(), status, reason)).or_insert_with(|| {
            let Some(at) = free_set(&words[USED_CALLS], CALL_SETS, CALLS_AT, CALL_WORDS) else { return CALLS_AT };
            words[at + 1].store(u64::from(status), Relaxed);
            write_set(&words[at..], CALL_TEXT, &names);
            add(&words[USED_CALLS], 1);
            at
        });
        let route_at = *self.routes.entry((listener, route)).or_insert_with(|| {
            let Some(at) = free_set(&words[USED_ROUTES], ROUTE_SETS, ROUTES_AT, ROUTE_WORDS) else { return ROUTES_AT };
            write_set(&words[at..], ROUTE_TEXT, &names[..2]);
            add(&words[USED_ROUTES], 1);
            at
        });
        // What did not fit is known as `_other` from now on; how much of that is remembered has to be bounded too.
        if self.calls.len() > 2 * CALL_SETS {
            self.calls.retain(|_, at| *at != CALLS_AT);
        }
        if self.routes.len() > 2 * ROUTE_SETS {
            self.routes.retain(|_, at| *at != ROUTES_AT);
        }
        (call_at, route_at)
    }
}

/// The only writer's addition; see the top of this file.
fn add(word: &AtomicU64, more: u64) {
    word.store(word.load(Relaxed).wrapping_add(more), Relaxed);
}

fn bucket(took_ns: u64) -> usize {
    let mut bucket = usize::from(FIRST_BUCKET[(64 - took_ns.leading_zeros()) as usize]);
    while bucket < BOUNDS_NS.len() && BOUNDS_NS[bucket] < took_ns {
        bucket += 1;
    }
    bucket
}

fn free_set(used: &AtomicU64, sets: usize, first: usize, set_words: usize) -> Option<usize> {
    let used = used.load(Relaxed) as usize;
    (used < sets).then(|| first + used * set_words)
}

/// Positions of the sets that are complete.
fn set_positions(
    words: &[AtomicU64],
    used: usize,
    sets: usize,
    first: usize,
    set_words: usize,
) -> impl Iterator<Item = usize> {
    let used = (words[used].load(Acquire) as usize).min(sets);
    (0..used).map(move |set| first + set * set_words).filter(|&at| words[at].load(Acquire) != 0)
}

/// Names of a set, one after the other, their lengths last and together: bit 63, then 16 bits for each.
fn write_set(set: &[AtomicU64], text_at: usize, names: &[&str]) {
    let text: Vec<u8> = names.iter().flat_map(|name| name.bytes()).collect();
    for (index, bytes) in text.chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        set[text_at + index].store(u64::from_le_bytes(word), Relaxed);
    }
    let lengths =
        names.iter().enumerate().fold(1 << 63, |all, (index, name)| all | (name.len() as u64) << (16 * index));
    set[0].store(lengths, Release);
}

fn read_names(set: &[AtomicU64], text_at: usize) -> [String; 3] {
    let lengths = set[0].load(Acquire);
    let length = |index: usize| ((lengths >> (16 * index)) & 0x7fff) as usize;
    let bytes: Vec<u8> = (0..(length(0) + length(1) + length(2)).div_ceil(8))
        .filter_map(|index| set.get(text_at + index))
        .flat_map(|word| word.load(Relaxed).to_le_bytes())
        .collect();
    let mut from = 0;
    [0, 1, 2].map(|index| {
        let name = String::from_utf8_lossy(bytes.get(from..from + length(index)).unwrap_or_default()).into_owned();
        from += length(index);
        name
    })
}

/// At most `max` bytes of a name, cut between characters.
fn clip(name: &str, max: usize) -> &str {
    &name[..name.floor_char_boundary(max)]
}

/// One slot's numbers, for Python: a worker hands it to its gates, the supervisor reads it.
#[pyclass(frozen, module = "pyproxy._native")]
pub struct Metrics {
    pub(crate) recorder: Arc<Recorder>,
}

/// (listener, route, status, reason, calls, body bytes in, body bytes out)
type CallCounts = (String, String, u16, String, u64, u64, u64);
/// (listener, route, per phase: (counts per bucket, sum in nanoseconds))
type RoutePhases = (String, String, Vec<(Vec<u64>, u64)>);

#[pymethods]
impl Metrics {
    /// Bytes that a slot's memory must have.
    #[classattr]
    const SIZE_BYTES: usize = WORDS * 8;

    /// Names of the phases that `read_phases` gives, in its order.
    #[classattr]
    const PHASES: [&'static str; 5] = PHASES;

    /// Upper bounds of all buckets but the last, in nanoseconds.
    #[classattr]
    const BOUNDS_NS: [u64; 22] = BOUNDS_NS;

    /// Name of each number, in the order of `read_numbers`.
    #[classattr]
    fn number_names() -> Vec<&'static str> {
        NUMBERS.iter().map(|(name, _)| *name).collect()
    }

    /// Maps the memory behind `fd` and takes it over as the slot's only writer.
    #[new]
    fn new(fd: i32, listeners: Vec<String>) -> PyResult<Self> {
        let words = SharedWords::of_descriptor(fd, WORDS)?;
        let recorder = Recorder::new(Arc::new(words), listeners).map_err(PyValueError::new_err)?;
        Ok(Self { recorder: Arc::new(recorder) })
    }

    /// Adds to the number of this index.
    fn add(&self, number: usize, more: i64) -> PyResult<()> {
        add(self.number(number)?, more.cast_unsigned());
        Ok(())
    }

    /// Sets the number of this index.
    fn set(&self, number: usize, value: u64) -> PyResult<()> {
        self.number(number)?.store(value, Relaxed);
        Ok(())
    }
}

impl Metrics {
    fn number(&self, number: usize) -> PyResult<&AtomicU64> {
        if number >= NUMBERS.len() {
            return Err(PyValueError::new_err(format!("number: expected less than {}, came {number}", NUMBERS.len())));
        }
        Ok(&self.recorder.words.words()[HEADER_WORDS + number])
    }
}

/// One slot's numbers, to be read only: what the supervisor renders at a scrape.
#[pyclass(frozen, module = "pyproxy._native")]
pub struct MetricsReader {
    words: Arc<SharedWords>,
}

#[pymethods]
impl MetricsReader {
    /// Maps the memory behind `fd`.
    #[new]
    fn new(fd: i32) -> PyResult<Self> {
        Ok(Self { words: Arc::new(SharedWords::of_descriptor(fd, WORDS)?) })
    }

    /// Every number, in the order of `Metrics.number_names`.
    fn read_numbers(&self) -> Vec<u64> {
        (0..NUMBERS.len()).map(|index| self.words.words()[HEADER_WORDS + index].load(Relaxed)).collect()
    }

    /// Calls by listener, route, status and reason; an unused `_other` is left out.
    fn read_calls(&self) -> Vec<CallCounts> {
        let words = self.words.words();
        set_positions(words, USED_CALLS, CALL_SETS, CALLS_AT, CALL_WORDS)
            .map(|at| {
                let [listener, route, reason] = read_names(&words[at..], CALL_TEXT);
                let [status, calls, sent, received] = [1, 2, 3, 4].map(|offset| words[at + offset].load(Relaxed));
                (listener, route, status as u16, reason, calls, sent, received)
            })
            .filter(|set| set.4 != 0)
            .collect()
    }

    /// Histograms by listener and route.
    fn read_phases(&self) -> Vec<RoutePhases> {
        let words = self.words.words();
        set_positions(words, USED_ROUTES, ROUTE_SETS, ROUTES_AT, ROUTE_WORDS)
            .map(|at| {
                let [listener, route, _] = read_names(&words[at..], ROUTE_TEXT);
                let phases = (0..PHASES.len()).map(|phase| {
                    let from = at + ROUTE_HISTOGRAMS + phase * HISTOGRAM_WORDS;
                    let counts = (from..from + HISTOGRAM_WORDS - 1).map(|word| words[word].load(Relaxed)).collect();
                    (counts, words[from + HISTOGRAM_WORDS - 1].load(Relaxed))
                });
                (listener, route, phases.collect())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use pyproxy_core::rejection::{Reason, Rejection};

    use super::*;

    fn memory(count: usize) -> Arc<SharedWords> {
        Arc::new(SharedWords::anonymous(count).expect("memory"))
    }

    fn recorder(words: &Arc<SharedWords>) -> Recorder {
        Recorder::new(words.clone(), vec!["in".to_owned()]).expect("new memory")
    }

    fn call(route: Option<&Arc<str>>, status: u16) -> CallRecord {
        CallRecord {
            listener: 0,
            route: None,
            route_name: route.cloned(),
            id: pyproxy_core::worker::Worker::new([0; 16], true).next_id(),
            peer: Arc::from("unix"),
            method: "GET".to_owned(),
            authority: String::new(),
            path: "/".to_owned(),
            principal: None,
            key_id: None,
            freshness: None,
            status,
            rejection: None,
            ended: WELL,
            request_body_bytes: 3,
            response_body_bytes: 5,
            unix_ns: 0,
            started_ns: 1_000,
            head_ns: 2_000,
            gated_ns: 4_000,
            forwarded_ns: 10_000,
            response_head_ns: 1_010_000,
            finished_ns: 1_020_000,
        }
    }

    fn calls(words: &Arc<SharedWords>) -> Vec<CallCounts> {
        MetricsReader { words: words.clone() }.read_calls()
    }

    #[test]
    fn calls_are_counted_by_listener_route_status_and_reason() {
        let words = memory(WORDS);
        let recorder = recorder(&words);
        let route: Arc<str> = Arc::from("orders");
        for _ in 0..3 {
            recorder.record(&call(Some(&route), 200));
        }
        let mut refused = call(None, 401);
        refused.rejection = Some(Rejection::new(Reason::Replayed, "seen before"));
        recorder.record(&refused);
        let expected = vec![
            ("in".to_owned(), "orders".to_owned(), 200, String::new(), 3, 9, 15),
            ("in".to_owned(), String::new(), 401, "replayed".to_owned(), 1, 3, 5),
        ];
        assert_eq!(calls(&words), expected);
    }

    #[test]
    fn our_own_phases_are_apart_from_the_upstreams() {
        let words = memory(WORDS);
        let recorder = recorder(&words);
        let route: Arc<str> = Arc::from("orders");
        recorder.record(&call(Some(&route), 200));
        let phases = MetricsReader { words: words.clone() }.read_phases();
        let sums: Vec<u64> = phases[1].2.iter().map(|(_, sum)| *sum).collect();
        assert_eq!(sums, [2_000, 6_000, 8_000, 1_000_000, 1_019_000]);
        for (counts, _) in &phases[1].2 {
            assert_eq!(counts.iter().sum::<u64>(), 1);
        }
    }

    #[test]
    fn a_phase_that_was_not_reached_is_not_counted() {
        let words = memory(WORDS);
        let recorder = recorder(&words);
        let mut refused = call(None, 401);
        (refused.forwarded_ns, refused.response_head_ns) = (0, 0);
        recorder.record(&refused);
        let phases = MetricsReader { words: words.clone() }.read_phases();
        let counts: Vec<u64> = phases[1].2.iter().map(|(counts, _)| counts.iter().sum()).collect();
        assert_eq!(counts, [1, 0, 1, 0, 1]);
    }

    #[test]
    fn the_next_worker_of_a_slot_counts_on_and_its_gauges_start_anew() {
        let words = memory(WORDS);
        let route: Arc<str> = Arc::from("orders");
        let first = recorder(&words);
        first.record(&call(Some(&route), 200));
        first.set(Number::ConnectionsOpen, 7);
        first.add(Number::ConnectionsAccepted, 7);
        let second = recorder(&words);
        let same_name: Arc<str> = Arc::from("orders");
        second.record(&call(Some(&same_name), 200));
        assert_eq!(calls(&words), [("in".to_owned(), "orders".to_owned(), 200, String::new(), 2, 6, 10)]);
        let numbers = MetricsReader { words }.read_numbers();
        assert_eq!(numbers[Number::ConnectionsOpen as usize], 0);
        assert_eq!(numbers[Number::ConnectionsAccepted as usize], 7);
    }

    #[test]
    fn label_sets_beyond_the_bound_are_counted_as_other_and_none_is_lost() {
        let words = memory(WORDS);
        let recorder = recorder(&words);
        let total = 3 * CALL_SETS;
        for index in 0..total {
            let route: Arc<str> = Arc::from(format!("route-{index}").as_str());
            recorder.record(&call(Some(&route), 200));
        }
        let counted = calls(&words);
        assert_eq!(counted.len(), CALL_SETS);
        assert_eq!(counted[0].0, OTHER);
        assert_eq!(counted.iter().map(|set| set.4).sum::<u64>(), total as u64);
        let known = recorder.known.lock().expect("not poisoned");
        assert!(known.calls.len() <= 2 * CALL_SETS + 1 && known.routes.len() <= 2 * ROUTE_SETS + 1);
    }

    #[test]
    fn a_reload_that_reuses_an_address_for_another_route_is_not_miscounted() {
        let words = memory(WORDS);
        let recorder = recorder(&words);
        for index in 0..2_000 {
            let route: Arc<str> = Arc::from(format!("r{}", index % 4).as_str());
            recorder.record(&call(Some(&route), 200));
        }
        assert!(calls(&words).iter().all(|set| set.4 == 500));
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let words = memory(WORDS);
        let recorder = recorder(&words);
        let route: Arc<str> = Arc::from("ä".repeat(300).as_str());
        recorder.record(&call(Some(&route), 200));
        assert_eq!(calls(&words)[0].1, "ä".repeat(60));
    }

    #[test]
    fn a_time_is_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let times =
            (0..64).flat_map(|bit| [1_u64 << bit, (1 << bit) - 1]).chain(BOUNDS_NS).chain(BOUNDS_NS.map(|b| b + 1));
        for took_ns in times {
            assert_eq!(bucket(took_ns), BOUNDS_NS.iter().filter(|&&bound| bound < took_ns).count(), "{took_ns}");
        }
    }

    #[test]
    fn memory_of_another_build_is_refused() {
        let words = memory(WORDS);
        words.words()[0].store(42, Relaxed);
        assert!(Recorder::new(words, vec![]).is_err());
        assert!(Recorder::new(memory(10), vec![]).is_err());
    }
}
