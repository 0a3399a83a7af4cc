//! `signature_input` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pyproxy_fuzz::httpsig::signature_input(data));
