//! State files: saving so that a crash leaves the old state or the new one, loading verified.
#![forbid(unsafe_code)]

mod alternate;
pub mod batch;
mod blocks;
mod copy;
mod exchange;
mod existing;
pub mod format;
mod generation;
mod group;
mod in_place;
mod kept;
pub mod load;
mod load_files;
mod load_pair;
mod load_plain;
mod load_record;
pub mod loaded;
pub mod options;
mod pair;
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
mod sync;
mod turn;
pub mod update;
pub mod watch;
pub mod writer;
