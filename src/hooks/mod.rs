//! The one door to the system: typed calls through the hook table.
//!
//! Each call here counts for the fault injector, is made again after EINTR, and refuses an answer that its hook may not
//! give. What a call is made of lies one floor below, in [`crate::sys`].
#![allow(unsafe_code)]

mod directory;
mod dispatch;
mod fault;
mod files;
mod guard;
mod installed;
mod io;
mod observer;
mod processes;
mod sync;

pub use crate::mem::{Buffer, Memory};
pub use crate::sys::Errno;
pub use crate::sys::abi::*;
pub use crate::sys::platform::*;
pub use directory::Listing;
pub use fault::*;
pub use files::Range;
pub use guard::{Fd, Fillers, Flock, Unguarded};
pub use installed::{Hooks, REAL_TABLE};
pub use io::GLANCE;
pub use observer::Observer;
