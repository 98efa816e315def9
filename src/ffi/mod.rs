//! The C ABI: check, borrow, call, store. The only `extern "C"` functions.
#![allow(unsafe_code)]

pub mod batch;
mod call;
pub mod change;
pub mod context;
pub mod load;
pub mod lock;
pub mod reader;
pub mod save;
mod sized;
pub mod status;
pub mod sweep;
pub mod watch;
pub mod writer;
