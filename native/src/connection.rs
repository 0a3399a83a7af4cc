//! `Connection`: the core's connection for Python. One crossing per event; the outcome is one small tuple.

use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyproxy_core::action::{Flags, Output};
use pyproxy_core::worker::Turn;
use pyproxy_core::{Blocked, UpstreamFailure};

use crate::gate::{Shared, with_outcome, with_turn};

/// Where the upstream's index begins in an action's flags.
const INDEX_SHIFT: u32 = 16;

/// `(flags, to_downstream, to_upstream)`.
type Action<'py> = (u32, Option<Bound<'py, PyBytes>>, Option<Bound<'py, PyBytes>>);

/// One downstream connection. It belongs to its worker's thread.
#[pyclass(unsendable, module = "pyproxy._native")]
pub(crate) struct Connection {
    core: pyproxy_core::Connection,
    shared: Arc<Mutex<Shared>>,
}

impl Connection {
    pub(crate) fn new(core: pyproxy_core::Connection, shared: Arc<Mutex<Shared>>) -> Self {
        Self { core, shared }
    }

    /// Runs one event, whose input is `input`, and translates its outcome.
    fn event<'py>(
        &mut self,
        py: Python<'py>,
        input: Option<&Bound<'py, PyBytes>>,
        event: impl FnOnce(&mut pyproxy_core::Connection, &mut Turn<'_>),
    ) -> Option<Action<'py>> {
        with_outcome(&self.shared, &mut self.core, event, |out| translate(py, out, input))
    }
}

#[pymethods]
impl Connection {
    /// Takes what the caller sent; empty, goes on with what waited.
    fn receive_data<'py>(&mut self, py: Python<'py>, data: &Bound<'py, PyBytes>) -> Option<Action<'py>> {
        self.event(py, Some(data), |core, turn| core.receive_data(turn, data.as_bytes()))
    }

    /// Takes what the upstream sent for the call under way.
    fn receive_response<'py>(&mut self, py: Python<'py>, data: &Bound<'py, PyBytes>) -> Option<Action<'py>> {
        self.event(py, Some(data), |core, turn| core.receive_response(turn, data.as_bytes()))
    }

    /// The caller sent FIN.
    fn receive_eof<'py>(&mut self, py: Python<'py>) -> Option<Action<'py>> {
        self.event(py, None, |core, turn| core.receive_eof(turn))
    }

    /// The upstream connection is gone, or none could be had; `failure` as in `flags.py`.
    fn upstream_failed<'py>(
        &mut self,
        py: Python<'py>,
        failure: u8,
        written: bool,
        reused: bool,
    ) -> PyResult<Option<Action<'py>>> {
        let failure = match failure {
            0 => UpstreamFailure::NoEndpoint,
            1 => UpstreamFailure::Connect,
            2 => UpstreamFailure::ConnectTimeout,
            3 => UpstreamFailure::Pushback,
            4 => UpstreamFailure::Closed,
            5 => UpstreamFailure::Reset,
            other => return Err(PyValueError::new_err(format!("failure: expected 0 to 5, got {other}"))),
        };
        Ok(self.event(py, None, |core, turn| core.upstream_failed(turn, failure, written, reused)))
    }

    /// The connection to the caller is gone.
    fn lost<'py>(&mut self, py: Python<'py>) -> Option<Action<'py>> {
        self.event(py, None, |core, turn| core.lost(turn))
    }

    /// Ends what has lasted too long; `blocked` as in `flags.py`.
    fn check_timeout<'py>(&mut self, py: Python<'py>, blocked: u8) -> PyResult<Option<Action<'py>>> {
        let blocked = match blocked {
            0 => Blocked::Nobody,
            1 => Blocked::ByUpstream,
            2 => Blocked::ByDownstream,
            3 => Blocked::ByPool,
            other => return Err(PyValueError::new_err(format!("blocked: expected 0 to 3, got {other}"))),
        };
        Ok(self.event(py, None, |core, turn| core.check_timeout(turn, blocked)))
    }

    /// A stalled side has moved again.
    fn progressed(&mut self) {
        let core = &mut self.core;
        with_turn(&self.shared, |turn| core.progressed(turn));
    }

    /// The drain's time is up; `written` says whether anything of the call under way went upstream.
    fn end_drain<'py>(&mut self, py: Python<'py>, written: bool) -> Option<Action<'py>> {
        self.event(py, None, |core, turn| core.end_drain(turn, written))
    }

    /// Whether no call is under way.
    fn is_idle(&self) -> bool {
        self.core.is_idle()
    }
}

/// An outcome as Python sees it; `None` when there is nothing to do. Bytes that pass unchanged are the input object itself.
fn translate<'py>(py: Python<'py>, out: &mut Output, input: Option<&Bound<'py, PyBytes>>) -> Option<Action<'py>> {
    if out.is_empty() {
        return None;
    }
    let bytes = |buffer: &[u8], relay: Flags| {
        if out.flags.contains(relay) { input.cloned() } else { (!buffer.is_empty()).then(|| PyBytes::new(py, buffer)) }
    };
    let to_downstream = bytes(&out.to_downstream, Flags::RELAY_DOWNSTREAM);
    let to_upstream = bytes(&out.to_upstream, Flags::RELAY_UPSTREAM);
    let index = u32::try_from(out.upstream).unwrap_or(u32::MAX >> INDEX_SHIFT);
    Some((out.flags.bits() | index << INDEX_SHIFT, to_downstream, to_upstream))
}
