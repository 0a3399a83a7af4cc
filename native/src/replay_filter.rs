//! `ReplayFilter`: the core's replay filter over shared memory, for Python.

use std::sync::Arc;

use pyo3::prelude::*;
use pyproxy_core::replay::Filter;

/// The replay filter that all workers of a node share.
#[pyclass(frozen, module = "pyproxy._native")]
pub(crate) struct ReplayFilter {
    pub(crate) filter: Arc<Filter>,
}
