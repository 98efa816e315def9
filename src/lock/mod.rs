//! Lock files: PID files whose holder keeps a flock on them, cleaned without ever robbing a live owner.
#![forbid(unsafe_code)]

pub mod acquire;
pub mod adopt;
mod candidate;
pub mod examine;
mod format;
pub mod held;
pub mod identity;
pub mod options;
mod owner;
mod proc;
mod queue;
pub mod release;
pub mod sweep;
mod turn;
mod watch;
