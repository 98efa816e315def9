//! Any bytes as a state file, loaded with every flag, against a second reader.
#![no_main]

include!("../common.rs");

libfuzzer_sys::fuzz_target!(|input: &[u8]| record::check(input));
