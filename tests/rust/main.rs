//! The Rust API, where it is more than the C functions by another name: handles, conversions, hooks, drops. What the calls do is in
//! ctests/cases.def, for both.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod contexts;
mod examples;
mod locks;
mod results;
mod states;

use std::path::PathBuf;
use tempfile::TempDir;

/// An empty folder, and the path of a file in it that is not there.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    (folder, path)
}

/// The names in a folder.
fn names(folder: &TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
