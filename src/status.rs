//! Codes, steps and the report.
#![forbid(unsafe_code)]

mod codes;
mod detail;
mod errno;
mod outcome;
mod sentence;

pub use codes::*;
pub use detail::Detail;
pub use outcome::{At, Outcome};
pub use sentence::sentence;
