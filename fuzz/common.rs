// The machine and the checks are those of the property tests.
#[allow(dead_code)]
#[path = "../proof/property/api.rs"]
mod api;
#[allow(dead_code)]
#[path = "../proof/property/judge.rs"]
mod judge;
#[allow(dead_code)]
#[path = "../proof/property/lock.rs"]
mod lock;
#[path = "../proof/property/machine/mod.rs"]
mod machine;
#[allow(dead_code)]
#[path = "../proof/property/plain.rs"]
mod plain;
#[allow(dead_code)]
#[path = "../proof/property/reader.rs"]
mod reader;
#[allow(dead_code)]
#[path = "../proof/property/record.rs"]
mod record;
#[allow(dead_code)]
#[path = "../proof/property/sequence.rs"]
mod sequence;
