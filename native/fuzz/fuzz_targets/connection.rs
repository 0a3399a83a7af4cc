//! The whole connection under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pyproxy_fuzz::connection::connection(data));
