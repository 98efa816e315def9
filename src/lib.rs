//! steadfast: state files that survive a crash, lock files that survive their owner.
//!
//! The public face is the C ABI in [`ffi`]; `include/steadfast.h` is generated from it. Below it, `state` and `lock` are
//! sequences of calls, `file` is what both need, [`hooks`] is the one door to the system, and [`status`], `mem` and `sys`
//! are the ground. Imports only go down (tests/floors.rs).
#![no_std]
#![deny(unsafe_code)]

pub mod ffi;
mod file;
pub mod hooks;
mod lock;
mod mem;
#[cfg(feature = "capi")]
mod runtime;
mod state;
pub mod status;
mod sys;
