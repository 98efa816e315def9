//! State files: saving so that a crash leaves the old state or the new one, loading verified.
#![forbid(unsafe_code)]

pub mod batch;
mod existing;
pub mod format;
mod generation;
pub mod load;
pub mod options;
mod previous;
mod publish;
pub mod reader;
pub mod remove;
pub mod resolve;
mod saving;
pub mod sequence;
mod stream;
mod streamed;
pub mod watch;
pub mod writer;
