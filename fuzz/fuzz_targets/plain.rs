//! Any attribute, time and content of a plain file, loaded with every flag, against a second judge.
#![no_main]

include!("../common.rs");

libfuzzer_sys::fuzz_target!(|input: &[u8]| plain::check(input));
