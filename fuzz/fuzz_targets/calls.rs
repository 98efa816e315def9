//! Any sequence of calls with faults and deaths in between, each against what its answer says.
#![no_main]

include!("../common.rs");

libfuzzer_sys::fuzz_target!(|input: &[u8]| sequence::check(input));
