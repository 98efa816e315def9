// The machine and the checks are those of the property tests.
#[allow(dead_code)]
#[path = "../tests/property/api.rs"]
mod api;
#[allow(dead_code)]
#[path = "../tests/property/lock.rs"]
mod lock;
#[path = "../tests/property/machine/mod.rs"]
mod machine;
#[allow(dead_code)]
#[path = "../tests/property/reader.rs"]
mod reader;
#[allow(dead_code)]
#[path = "../tests/property/record.rs"]
mod record;
#[allow(dead_code)]
#[path = "../tests/property/sequence.rs"]
mod sequence;
