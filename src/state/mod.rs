//! State files: saving so that a crash leaves the old state or the new one, loading verified.
#![forbid(unsafe_code)]

pub mod current;
pub mod load;
mod previous;
pub mod record;
pub mod save;
pub mod temp;
