//! What states and locks both need of files: paths and names, an entry of a directory, temporary files, ownership,
//! what a file system is, and bounded waits.
#![forbid(unsafe_code)]

pub mod base;
pub mod deadline;
pub mod entry;
pub mod filesystem;
pub mod flock;
pub mod names;
pub mod ownership;
pub mod path;
pub mod proc_lines;
pub mod process;
pub mod temp;
pub mod xattr;
