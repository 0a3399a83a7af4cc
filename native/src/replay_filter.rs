//! The replay filter for Python: its file, made or trusted by the supervisor and opened by the workers.
//!
//! The supervisor calls `create_or_open` before any worker runs, remembers the fingerprint in its state directory and hands
//! it to the workers; they `open` that very file or none. Which path, and the lock that keeps a second instance out, are
//! the driver's (`pyproxy/replayfile.py`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use pyproxy_core::replay::{
    Birth, Claim, ClearProgress, Filter, FilterSettings, Layout, SignedCall, fingerprint, initialise, latest_created,
    words_needed,
};
use pyproxy_core::time::Now;

use crate::gate;
use crate::shm::SharedWords;

/// The nonces of one node, shared by its workers.
#[pyclass(frozen, module = "pyproxy._native")]
pub struct ReplayFilter {
    pub(crate) filter: Arc<Filter>,
    fingerprint: [u8; 16],
    fresh_because: Option<String>,
}

#[pymethods]
impl ReplayFilter {
    /// Trusts the file at `path` if everything about it matches, its fingerprint included, or puts a fresh, fenced one
    /// in its place; then clears what is due, so that workers may start.
    #[staticmethod]
    #[pyo3(signature = (path, *, capacity, max_age_s, clock_skew_s, boot_id, tag_key, fingerprint, now=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments in Python")]
    fn create_or_open(
        py: Python<'_>,
        path: PathBuf,
        capacity: u64,
        max_age_s: u64,
        clock_skew_s: u64,
        boot_id: [u8; 16],
        tag_key: [u8; 32],
        fingerprint: Option<[u8; 16]>,
        now: Option<(u64, u64)>,
    ) -> PyResult<Self> {
        let settings = FilterSettings { capacity, max_age_s, clock_skew_s };
        words_needed(&settings).map_err(PyValueError::new_err)?;
        let now = moment(now);
        // Clearing a large table takes a second: other threads may run.
        py.detach(|| {
            let opened = match Self::trusted(&path, &settings, boot_id, fingerprint)? {
                Ok(trusted) => trusted,
                Err(why) => Self::fresh(&path, &settings, Birth { boot_id, tag_key, latest_before: why.latest }, now)?
                    .because(why.reason),
            };
            while let ClearProgress::Cleared(_) = opened.filter.clear_step(now, usize::MAX) {}
            Ok(opened)
        })
    }

    /// For a worker: the file that its supervisor vouches for, or an error.
    #[staticmethod]
    #[pyo3(signature = (path, *, capacity, max_age_s, clock_skew_s, boot_id, fingerprint))]
    fn open(
        path: PathBuf,
        capacity: u64,
        max_age_s: u64,
        clock_skew_s: u64,
        boot_id: [u8; 16],
        fingerprint: [u8; 16],
    ) -> PyResult<Self> {
        let settings = FilterSettings { capacity, max_age_s, clock_skew_s };
        Self::trusted(&path, &settings, boot_id, Some(fingerprint))?
            .map_err(|why| PyOSError::new_err(format!("cannot use `{}`: {}", path.display(), why.reason)))
    }

    /// In this process' memory alone, for embedding and for tests.
    #[staticmethod]
    #[pyo3(signature = (*, capacity, max_age_s, clock_skew_s, tag_key, now=None))]
    fn in_memory(
        capacity: u64,
        max_age_s: u64,
        clock_skew_s: u64,
        tag_key: [u8; 32],
        now: Option<(u64, u64)>,
    ) -> PyResult<Self> {
        let settings = FilterSettings { capacity, max_age_s, clock_skew_s };
        let words = SharedWords::anonymous(words_needed(&settings).map_err(PyValueError::new_err)?)?;
        let now = moment(now);
        let birth = Birth { boot_id: [0; 16], tag_key, latest_before: 0 };
        initialise(words.words(), &settings, &birth, now).map_err(PyValueError::new_err)?;
        let opened = Self::over(words, &settings, birth.boot_id).map_err(PyValueError::new_err)?;
        while let ClearProgress::Cleared(_) = opened.filter.clear_step(now, usize::MAX) {}
        Ok(opened)
    }

    /// Bytes of memory that a filter of this capacity takes.
    #[staticmethod]
    fn memory_bytes(capacity: u64) -> PyResult<usize> {
        Ok(Layout::new(capacity).map_err(PyValueError::new_err)?.bytes())
    }

    /// Names this very file, without giving its key away.
    #[getter]
    fn fingerprint<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.fingerprint)
    }

    /// Why the file was made anew and fenced; none if it was trusted.
    #[getter]
    fn fresh_because(&self) -> Option<&str> {
        self.fresh_because.as_deref()
    }

    /// Slots per `clear_step` such that steps every `interval_ms` keep well ahead of need.
    fn slots_per_step(&self, interval_ms: u64) -> usize {
        self.filter.slots_per_step(interval_ms)
    }

    /// One slice of clearing ahead of need: `ready`, `cleared` (call again soon), `elsewhere` or `clock-unsafe`.
    #[pyo3(signature = (max_slots, *, now=None))]
    fn clear_step(&self, max_slots: usize, now: Option<(u64, u64)>) -> &'static str {
        match self.filter.clear_step(moment(now), max_slots) {
            ClearProgress::Ready => "ready",
            ClearProgress::Cleared(_) => "cleared",
            ClearProgress::Elsewhere => "elsewhere",
            ClearProgress::ClockUnsafe => "clock-unsafe",
        }
    }

    /// The claim, or the label of the reason why there is none.
    #[pyo3(signature = (created, key_id, nonce, *, now=None))]
    fn claim(
        &self,
        py: Python<'_>,
        created: u64,
        key_id: &[u8],
        nonce: &[u8],
        now: Option<(u64, u64)>,
    ) -> PyResult<Py<PyAny>> {
        match self.filter.claim(moment(now), &SignedCall { created, key_id, nonce }) {
            Ok(claim) => Ok(Py::new(py, ReplayClaim { claim })?.into_any()),
            Err(rejection) => Ok(rejection.reason.label().into_pyobject(py)?.into_any().unbind()),
        }
    }

    /// Gives a nonce back; false if that came too late.
    fn release(&self, claim: &ReplayClaim) -> bool {
        self.filter.release(&claim.claim)
    }

    /// How things stand, for metrics, `check` and the admin listener.
    #[pyo3(signature = (*, now=None))]
    fn status<'py>(&self, py: Python<'py>, now: Option<(u64, u64)>) -> PyResult<Bound<'py, PyDict>> {
        let status = self.filter.status(moment(now));
        let dict = PyDict::new(py);
        dict.set_item("capacity", status.capacity)?;
        dict.set_item("slots_per_table", status.slots_per_table)?;
        dict.set_item("bytes", status.bytes)?;
        dict.set_item("window_s", status.window_s)?;
        dict.set_item("generation_s", status.generation_s)?;
        dict.set_item("fence", status.fence)?;
        dict.set_item("floor", status.floor)?;
        dict.set_item("clock_safe", status.clock_safe)?;
        dict.set_item("ready", status.ready)?;
        dict.set_item("claims", status.claims)?;
        let tables = status.tables.iter().map(|table| {
            let entry = PyDict::new(py);
            entry.set_item("generation", table.generation)?;
            entry.set_item("open", table.open)?;
            entry.set_item("fill", table.fill)?;
            entry.set_item("uncleared_slots", table.uncleared_slots)?;
            Ok(entry)
        });
        dict.set_item("tables", tables.collect::<PyResult<Vec<_>>>()?)?;
        Ok(dict)
    }
}

/// Why a file is not trusted, and the latest call that it knows of all the same.
struct Doubt {
    reason: String,
    latest: u64,
}

impl ReplayFilter {
    fn trusted(
        path: &Path,
        settings: &FilterSettings,
        boot_id: [u8; 16],
        expected: Option<[u8; 16]>,
    ) -> PyResult<Result<Self, Doubt>> {
        let words = match SharedWords::open(path, None) {
            Ok(words) => words,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                return Ok(Err(Doubt { reason: error.to_string(), latest: 0 }));
            }
            // Someone else's file in our place is for a person to look at.
            Err(error) => return Err(error.into()),
        };
        let latest = latest_created(words.words());
        let opened = match Self::over(words, settings, boot_id) {
            Ok(opened) => opened,
            Err(reason) => return Ok(Err(Doubt { reason, latest })),
        };
        if expected != Some(opened.fingerprint) {
            return Ok(Err(Doubt { reason: "not the file that was in use last".to_owned(), latest }));
        }
        Ok(Ok(opened))
    }

    fn fresh(path: &Path, settings: &FilterSettings, birth: Birth, now: Now) -> PyResult<Self> {
        let count = words_needed(settings).map_err(PyValueError::new_err)?;
        // There may not be room for both, and the old one has told all that it is believed.
        let _ = fs::remove_file(path);
        let mut written = Ok(());
        let words = SharedWords::replace(path, count, |words| written = initialise(words, settings, &birth, now))?;
        written.map_err(PyValueError::new_err)?;
        Self::over(words, settings, birth.boot_id).map_err(PyValueError::new_err)
    }

    fn over(words: SharedWords, settings: &FilterSettings, boot_id: [u8; 16]) -> Result<Self, String> {
        let words = Arc::new(words);
        let filter = Filter::open(Box::new(Arc::clone(&words)), settings, boot_id, std::process::id())
            .map_err(|untrusted| untrusted.to_string())?;
        Ok(Self { filter: Arc::new(filter), fingerprint: fingerprint(words.words()), fresh_because: None })
    }

    fn because(self, reason: String) -> Self {
        Self { fresh_because: Some(reason), ..self }
    }
}

/// A nonce that is ours. Dropping it keeps the nonce taken.
#[pyclass(frozen, module = "pyproxy._native")]
pub struct ReplayClaim {
    claim: Claim,
}

#[pymethods]
impl ReplayClaim {
    /// Slots that were looked at.
    #[getter]
    fn probes(&self) -> u32 {
        self.claim.probes()
    }
}

/// Tests pass (nanoseconds since 1970, nanoseconds since boot).
fn moment(given: Option<(u64, u64)>) -> Now {
    given.map_or_else(gate::now, |(unix_ns, boot_ns)| Now { unix_ns, boot_ns })
}
