//! What an engine makes up, for `groundswell::fuzzed::headers`.

#![no_main]

libfuzzer_sys::fuzz_target!(|given: &[u8]| groundswell::fuzzed::headers(given));
