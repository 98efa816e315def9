//! Codes, steps, and what a call came to: the report.
#![forbid(unsafe_code)]

mod codes;
mod detail;
mod errno;
mod outcome;
mod sentence;
mod text_list;
mod texts;

pub use codes::*;
pub use detail::Detail;
pub use outcome::{At, Outcome};
pub use sentence::sentence;
pub use texts::{message, name};
