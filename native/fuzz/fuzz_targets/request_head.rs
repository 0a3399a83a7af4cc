//! `request_head` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pyproxy_fuzz::http1::request_head(data));
