//! The binding: translation between the core and Python, shared memory, atomic swaps. No HTTP, no decision.

#[allow(dead_code, reason = "its users land after it")]
mod shm;

use pyo3::prelude::*;

#[pymodule]
mod _native {}
