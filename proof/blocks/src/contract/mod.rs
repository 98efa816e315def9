//! The judge of histories and the saver with its faults, as the persistence model has them.
#![allow(dead_code)]

#[path = "../../../model/history/fault.rs"]
pub mod fault;
#[path = "../../../model/history/promise.rs"]
pub mod promise;
#[path = "../../../model/history/record.rs"]
pub mod record;
#[path = "../../../model/history/saver.rs"]
pub mod saver;
#[path = "../../../model/history/words.rs"]
pub mod words;
