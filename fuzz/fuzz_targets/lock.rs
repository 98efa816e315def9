//! Any content, attribute and mode of a lock file, inspected and cleaned, against a second judge.
#![no_main]

include!("../common.rs");

libfuzzer_sys::fuzz_target!(|input: &[u8]| lock::check(input));
