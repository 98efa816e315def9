//! State files: saving so that a crash leaves the old state or the new one, loading verified.
#![forbid(unsafe_code)]

pub mod batch;
mod blocks;
mod copy;
mod exchange;
mod existing;
pub mod format;
mod generation;
mod in_place;
pub mod load;
mod load_plain;
pub mod loaded;
pub mod options;
pub mod plain;
mod previous;
mod publish;
pub mod reader;
pub mod remove;
pub mod resolve;
mod saving;
pub mod sequence;
mod stream;
mod streamed;
mod turn;
pub mod update;
pub mod watch;
pub mod writer;
