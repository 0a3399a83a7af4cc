//! Fuzz targets as plain functions: bytes in, a panic if a promise of the core is broken.
//!
//! The same functions run under libFuzzer (`fuzz_targets/`) and under the `seeded` runner, which needs nothing but
//! stable Rust. To add one: a function in a module here, a row in [`TARGETS`], a file in `fuzz_targets/` with its
//! `[[bin]]` in `Cargo.toml`, and a few small inputs in `corpus/<name>/`.

pub mod connection;
pub mod http1;
pub mod httpsig;

/// A fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its corpus directory.
    pub name: &'static str,
    /// Panics if a promise is broken.
    pub run: fn(&[u8]),
    /// Words of its language, which a mutator without coverage would hardly find.
    pub words: &'static [&'static [u8]],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "request_head", run: http1::request_head, words: http1::HEAD_WORDS },
    Target { name: "chunked", run: http1::chunked, words: http1::CHUNK_WORDS },
    Target { name: "signature_input", run: httpsig::signature_input, words: httpsig::SIGNATURE_WORDS },
    Target { name: "connection", run: connection::connection, words: connection::CONNECTION_WORDS },
];
