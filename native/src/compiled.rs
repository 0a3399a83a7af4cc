//! The modules that Cython has translated (`build.rs`), initialised as part of this extension.

use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::types::PyDict;

unsafe extern "C" {
    fn PyInit_downstream() -> *mut PyObject;
    fn PyInit_endpoints() -> *mut PyObject;
    fn PyInit_pool() -> *mut PyObject;
    fn PyInit_upstream() -> *mut PyObject;
}

/// Puts each module into `modules`, by its name.
pub(crate) fn add_to(modules: &Bound<'_, PyDict>) -> PyResult<()> {
    let py = modules.py();
    let inits: [(&str, unsafe extern "C" fn() -> *mut PyObject); 4] = [
        ("endpoints", PyInit_endpoints),
        ("pool", PyInit_pool),
        ("upstream", PyInit_upstream),
        ("downstream", PyInit_downstream),
    ];
    for (name, init) in inits {
        // SAFETY: the interpreter is attached (`py`); with CYTHON_PEP489_MULTI_PHASE_INIT=0 the function takes nothing and
        // returns a new reference to a finished module, or NULL with an exception set.
        let module = unsafe { Bound::from_owned_ptr_or_err(py, init()) }?;
        modules.set_item(name, module)?;
    }
    Ok(())
}
