//! Lock files: PID files whose holder keeps a flock on them, cleaned without ever robbing a live owner.
#![forbid(unsafe_code)]

pub mod acquire;
pub mod clean;
pub mod identity;
pub mod owner;
mod queue;
pub mod record;
mod wait;
