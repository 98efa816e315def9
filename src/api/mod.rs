//! The Rust API: builders and handles over the same floors that the C functions use.
#![forbid(unsafe_code)]

mod batch;
mod context;
mod convert;
mod error;
mod loaded;
mod lock;
mod reader;
mod saved;
mod settings;
mod state;
pub mod testing;
mod verdict;
mod watch;
mod writer;

pub use batch::{Batch, Results};
pub use context::{Context, ContextBuilder};
pub use error::{Error, ErrorKind, OnDisk, Result, Step};
pub use loaded::{About, Condition, Loaded};
pub use lock::{Lock, LockOptions, clean_stale, inspect};
pub use reader::Reader;
pub use saved::{Durability, Removed, Saved};
pub use state::State;
pub use verdict::{Examined, Verdict};
pub use watch::Watch;
pub use writer::Writer;
