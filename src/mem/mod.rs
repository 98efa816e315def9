//! Memory whose failure is reported, lists and texts of fixed size, numbers as text.
#![allow(unsafe_code)]

mod buffer;
pub mod format;
mod list;
mod pieces;
mod text;

pub use buffer::{Buffer, Memory, boxed, free, unboxed};
pub use list::List;
pub use pieces::{Pieces, prefetch};
pub use text::{Text, copy};
