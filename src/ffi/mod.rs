//! The C ABI: check, borrow, call, store. The only `extern "C"` functions.
#![allow(unsafe_code)]

mod call;
pub mod context;
pub mod lock;
mod sized;
pub mod state;
pub mod status;
