//! State files that are whole after any crash, and lock files that are never taken from a live owner.
//!
//! A save replaces a file atomically and durably: after a crash or a power cut at any moment a reader finds the old state or
//! the new one, whole. A load verifies what it gives. A lock is a PID file that its holder keeps locked, so that a dead owner
//! blocks nobody, and a live one is never robbed.
//!
//! ```
//! use std::time::Duration;
//! use steadfast::{Lock, State};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (lock, path) = (folder.path().join("app.lock"), folder.path().join("app.state"));
//! let lock = Lock::acquire(&lock, Some(Duration::from_secs(5)))?;
//! let state = State::new(&path).keep_previous(true);
//! state.save(b"{\"jobs\": 3}")?.durable()?;
//! if let Some(loaded) = state.load()? {
//!     assert_eq!(&*loaded, b"{\"jobs\": 3}");
//!     assert_eq!(loaded.generation(), 1);
//! }
//! lock.release()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where to begin
//!
//! | type | what it is for |
//! |---|---|
//! | [`State`] | a file that is saved, loaded, updated, watched and removed as a whole |
//! | [`Writer`], [`Reader`] | the same for a state that is too long for memory |
//! | [`Batch`] | many states in one call |
//! | [`Watch`] | waits for another generation of a state |
//! | [`Lock`] | a lock file; [`clean_stale`] and [`inspect`] judge one |
//! | [`Context`] | where relative paths begin; system calls that fail, for tests ([`testing`]) |
//! | [`Error`] | what went wrong, and what is on the disk now |
//!
//! # Results
//!
//! An [`Err`] means: not done, and what was there is still there. Two kinds admit that the new state may be there:
//! [`ErrorKind::SavedNotDurable`] and [`ErrorKind::Indeterminate`]. An [`Ok`] of a save is a [`Saved`]: done, for every reader.
//! [`Saved::durability`] says whether it is known to survive a power cut, and [`Saved::durable`] makes an error of it if it is not.
//! The compiler warns where a program looks at neither.
//!
//! The crate needs libc, `sha2`, `once_cell` and, on Linux, `linux-raw-sys`. It starts no thread and installs no signal handler.
#![no_std]
#![deny(unsafe_code)]
#![cfg_attr(not(feature = "__internals"), deny(missing_docs))]
// The C functions and the Rust API each leave something of the floors below unused. The tests have both.
#![cfg_attr(not(feature = "__internals"), allow(dead_code, unused_imports))]

#[cfg(all(feature = "std", not(feature = "capi")))]
extern crate std;

#[cfg(all(feature = "std", not(feature = "capi")))]
mod api;
#[cfg(all(feature = "std", not(feature = "capi")))]
pub use api::*;

/// The examples of the page are tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/rust.md")]
struct Page;

// The C functions are no part of a Rust program: whatever it is linked into would export their symbols.
#[cfg(any(not(feature = "std"), feature = "capi", feature = "__internals"))]
#[doc(hidden)]
pub mod ffi;
mod file;
#[cfg(feature = "__internals")]
#[doc(hidden)]
pub mod hooks;
#[cfg(not(feature = "__internals"))]
mod hooks;
mod lock;
mod mem;
#[cfg(feature = "capi")]
mod runtime;
mod state;
#[cfg(feature = "__internals")]
#[doc(hidden)]
pub mod status;
#[cfg(not(feature = "__internals"))]
mod status;
mod sys;
