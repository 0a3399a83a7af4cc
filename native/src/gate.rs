//! `Gate`: the gates in force for one worker, swapped as a whole, and what all its connections share.

use std::sync::{Arc, Mutex, MutexGuard};

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyproxy_core::action::{Flags, Output};
use pyproxy_core::admission::Gates;
use pyproxy_core::embed::{EmbeddedRequest, admit_embedded, answer};
use pyproxy_core::httpsig::KeySet;
use pyproxy_core::rejection::{Reason, Rejection};
use pyproxy_core::settings::Settings;
use pyproxy_core::time::Now;
use pyproxy_core::worker::{Turn, Worker};
use rustix::time::{ClockId, clock_gettime};

use crate::access_log::{AccessLog, Lines};
use crate::connection::Connection;
use crate::metrics::{Metrics, Recorder};
use crate::replay_filter::ReplayFilter;

create_exception!(
    _native,
    Refused,
    PyException,
    "A call was refused; `args` are reason, status, detail, seconds to retry after, fields and body of the answer."
);

/// The arguments of [`Refused`].
type Told = (&'static str, u16, String, Option<u32>, Vec<(String, String)>, Vec<u8>);

fn told(rejection: Rejection, gates: &Gates, has_body: bool, now: Now) -> Told {
    let answer = answer(&rejection, gates, has_body, now);
    let Rejection { reason, detail, retry_after_s } = rejection;
    (reason.label(), reason.status(), detail.into_owned(), retry_after_s, answer.fields, answer.body)
}

/// Everything behind one lock, which one thread takes: uncontended, and safe should an embedder use several.
pub(crate) struct Shared {
    gates: Arc<Gates>,
    worker: Worker,
    out: Output,
    recorder: Option<Arc<Recorder>>,
    lines: Option<Arc<Lines>>,
}

/// The gates of one worker.
#[pyclass(frozen, module = "pyproxy._native")]
pub(crate) struct Gate {
    shared: Arc<Mutex<Shared>>,
    replay: Option<Arc<pyproxy_core::replay::Filter>>,
}

#[pymethods]
impl Gate {
    /// Compiles `settings` (JSON) and `keys` (a JWK Set). `seed`: 16 fresh random bytes, for identifiers.
    #[new]
    #[pyo3(signature = (settings, keys, *, seed, replay=None, metrics=None, access_log=None))]
    fn new(
        settings: &[u8],
        keys: Option<&[u8]>,
        seed: [u8; 16],
        replay: Option<&ReplayFilter>,
        metrics: Option<&Metrics>,
        access_log: Option<&AccessLog>,
    ) -> PyResult<Self> {
        let replay = replay.map(|filter| Arc::clone(&filter.filter));
        let gates = compile(settings, keys, replay.clone())?;
        let shared = Shared {
            gates: Arc::new(gates),
            worker: Worker::new(seed, access_log.is_some()),
            out: Output::default(),
            recorder: metrics.map(|metrics| Arc::clone(&metrics.recorder)),
            lines: access_log.map(|log| Arc::clone(&log.lines)),
        };
        Ok(Self { shared: Arc::new(Mutex::new(shared)), replay })
    }

    /// Puts other settings and keys in force, between two events. If they do not compile, nothing changes.
    #[pyo3(signature = (settings, keys))]
    fn reload(&self, settings: &[u8], keys: Option<&[u8]>) -> PyResult<()> {
        let gates = Arc::new(compile(settings, keys, self.replay.clone())?);
        lock(&self.shared).gates = gates;
        Ok(())
    }

    /// A connection that the listener of this index accepted from `peer` (`address:port`, or `unix`).
    fn connect(&self, listener: usize, peer: &str) -> PyResult<Connection> {
        let shared = &self.shared;
        let core = with_turn(shared, |turn| {
            (listener < turn.gates.settings().listeners.len())
                .then(|| pyproxy_core::Connection::new(turn, listener, peer.into()))
        });
        let core = core.ok_or_else(|| PyValueError::new_err(format!("listener: no listener of index {listener}")))?;
        Ok(Connection::new(core, Arc::clone(shared)))
    }

    /// Judges one call that an embedder has read: (principal, key id, freshness), or `Refused`.
    #[pyo3(signature = (listener, method, target, fields, body, now=None))]
    fn admit(
        &self,
        listener: usize,
        method: &str,
        target: &str,
        fields: Vec<(PyBackedBytes, PyBackedBytes)>,
        body: Option<&[u8]>,
        now: Option<(u64, u64)>,
    ) -> PyResult<(Option<String>, Option<String>, &'static str)> {
        let gates = Arc::clone(&lock(&self.shared).gates);
        if listener >= gates.settings().listeners.len() {
            return Err(PyValueError::new_err(format!("listener: no listener of index {listener}")));
        }
        let now = now.map_or_else(self::now, |(unix_ns, boot_ns)| Now { unix_ns, boot_ns });
        let fields: Vec<(&[u8], &[u8])> = fields.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let request = EmbeddedRequest { method, target, fields: &fields, body };
        match admit_embedded(&request, &gates, listener, now) {
            Ok(admission) => Ok((
                admission.principal.as_deref().map(str::to_owned),
                admission.key_id.as_deref().map(str::to_owned),
                admission.freshness,
            )),
            Err(refused) => {
                let has_body = body.is_some_and(|body| !body.is_empty());
                Err(Refused::new_err(told(refused.rejection, &gates, has_body, now)))
            }
        }
    }

    /// What `Refused` says of a body that an embedder stops reading after `max_bytes`.
    fn body_too_large(&self, max_bytes: usize) -> Told {
        let detail = format!("the body is larger than max_held_body_bytes, {max_bytes}");
        told(Rejection::with(Reason::BodyTooLarge, detail), &lock(&self.shared).gates, true, now())
    }

    /// From now on, every answer ends its connection.
    fn drain(&self) {
        lock(&self.shared).worker.draining = true;
    }

    /// Bytes of bodies that are held for their digest.
    #[getter]
    fn held_bytes(&self) -> usize {
        lock(&self.shared).worker.held_bytes
    }
}

/// Runs an event that asks the driver for nothing.
pub(crate) fn with_turn<R>(shared: &Mutex<Shared>, event: impl FnOnce(&mut Turn<'_>) -> R) -> R {
    let mut guard = lock(shared);
    let Shared { gates, worker, out, .. } = &mut *guard;
    out.clear();
    event(&mut Turn { now: now(), gates, worker, out })
}

/// Runs one event of a connection under one reading of the clocks, records the calls that ended in it, and hands the
/// outcome to `then`.
pub(crate) fn with_outcome<R>(
    shared: &Mutex<Shared>,
    core: &mut pyproxy_core::Connection,
    event: impl FnOnce(&mut pyproxy_core::Connection, &mut Turn<'_>),
    then: impl FnOnce(&mut Output) -> R,
) -> R {
    let mut guard = lock(shared);
    let Shared { gates, worker, out, recorder, lines } = &mut *guard;
    out.clear();
    event(core, &mut Turn { now: now(), gates, worker, out });
    if recorder.is_some() && out.flags.contains(Flags::CONNECT) {
        core.gates_took_until(boot_ns());
    }
    for call in &mut out.ended {
        if call.gated_ns == call.head_ns {
            call.gated_ns = boot_ns();
        }
        if let Some(recorder) = recorder {
            recorder.record(call);
        }
        if let Some(lines) = lines {
            lines.record(call);
        }
    }
    then(out)
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // A panic inside an event is a bug of ours that has surfaced as an exception already. The state of the connection that
    // it hit is `Closed`; the shared state is counters and scratch space, valid at every point.
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn compile(settings: &[u8], keys: Option<&[u8]>, replay: Option<Arc<pyproxy_core::replay::Filter>>) -> PyResult<Gates> {
    let settings: Settings =
        serde_json::from_slice(settings).map_err(|error| PyValueError::new_err(format!("settings: {error}")))?;
    let keys = KeySet::from_jwks(keys.unwrap_or(br#"{"keys":[]}"#)).map_err(|errors| {
        PyValueError::new_err(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    Gates::new(settings, keys, replay).map_err(|errors| PyValueError::new_err(errors.join("\n")))
}

/// Both clocks. vDSO calls: no kernel entry.
pub(crate) fn now() -> Now {
    Now { unix_ns: nanos(ClockId::Realtime), boot_ns: boot_ns() }
}

fn boot_ns() -> u64 {
    nanos(ClockId::Boottime)
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}
