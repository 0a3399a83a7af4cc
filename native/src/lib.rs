//! The binding: translation between the core and Python, shared memory, atomic swaps. No HTTP, no decision.

pub mod access_log;
#[cfg(feature = "compiled")]
mod compiled;
mod connection;
mod gate;
pub mod metrics;
pub mod replay_filter;
mod shm;
mod signing;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    use pyo3::prelude::*;
    use pyo3::types::PyDict;

    #[pymodule_export]
    use crate::access_log::AccessLog;
    #[pymodule_export]
    use crate::connection::Connection;
    #[pymodule_export]
    use crate::gate::{Gate, Refused};
    #[pymodule_export]
    use crate::metrics::{Metrics, MetricsReader};
    #[pymodule_export]
    use crate::replay_filter::{ReplayClaim, ReplayFilter};
    #[pymodule_export]
    use crate::signing::{SignatureRefused, check_keys, sign_request, verify_request};

    /// The driver's protocol classes in compiled form, where they were built in: `compiled` maps module name to module.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let compiled = PyDict::new(module.py());
        #[cfg(feature = "compiled")]
        crate::compiled::add_to(&compiled)?;
        module.add("compiled", compiled)
    }
}
