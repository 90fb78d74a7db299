//! What an engine makes up, for `groundswell::fuzzed::selector`.

#![no_main]

libfuzzer_sys::fuzz_target!(|given: &[u8]| groundswell::fuzzed::selector(given));
