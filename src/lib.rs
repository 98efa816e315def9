//! steadfast: state files that survive a crash, lock files that survive their owner.
//!
//! The public face is the C ABI in [`ffi`]; `include/steadfast.h` is generated from it. Everything else is
//! a sequence of calls through the hook table ([`hooks`]), the only module that knows the system.
#![no_std]
#![deny(unsafe_code)]

pub mod ffi;
pub mod hooks;
mod lock;
mod path;
#[cfg(feature = "capi")]
mod runtime;
mod state;
pub mod status;
