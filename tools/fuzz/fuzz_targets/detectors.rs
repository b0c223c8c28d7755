#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| foreseal_fuzz::detectors(bytes));
