//! The interleaving explorer: the library's own routines of locks, and of states whose two files take turns, called
//! through the C ABI, as coroutines over a simulated directory; every schedule at the granularity of system calls,
//! with kills and reused PIDs.
//!
//! Run `cargo test --test explorer -- --nocapture` to see what was explored. STEADFAST_SOAK=SECONDS goes
//! deeper. A violation is printed with the calls that lead to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod bodies;
mod content;
mod copy;
mod ends;
mod explore;
mod family;
mod fs;
mod hooks;
mod kernel;
mod ledger;
mod mirror;
mod mutants;
mod open;
mod process;
mod savers;
mod scenario;
mod scenarios;
mod search;
mod state_ends;
mod world;
