//! The binding: translation between the core and Python, shared memory, atomic swaps. No HTTP, no decision.

use pyo3::prelude::*;

#[pymodule]
mod _native {}
