//! The system: the types of the hook table, the platform's constants, and the real calls.
//!
//! This is the ground floor. It is the only folder, beside `mem` and `runtime.rs`, that calls libc; everyone
//! above it goes through the hook table ([`crate::hooks`]).
#![allow(unsafe_code)]

pub mod abi;
mod aio;
pub mod errno;
pub mod errno_names;
mod files;
pub mod platform;
mod processes;
mod raw;
mod sigxfsz;
mod sync;
mod table;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod uring;

pub use errno::Errno;
pub use table::{REAL, Table};
