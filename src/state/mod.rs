//! State files: saving so that a crash leaves the old state or the new one, loading verified.
#![forbid(unsafe_code)]

pub mod batch;
pub mod current;
pub mod load;
mod previous;
pub mod record;
mod recycle;
pub mod save;
mod target;
pub mod temp;
mod write;
