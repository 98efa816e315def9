//! The names that the library gives to files beside a target.

use super::path::{NAME_MAX, Name};
use crate::hooks::Errno;
use crate::mem::format::{Decimal, hash, hex64, number};
use core::ffi::CStr;

/// How much of the target's name a temporary name shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// The name; one too long for that is cut and told apart by its hash.
    Named,
    /// The hash alone, for a file system whose names are shorter than 255 bytes.
    Short,
}

/// What the name of the previous generation has behind that of the state.
pub const PREVIOUS: &[u8] = b".prev";

/// The name of the previous generation: NAME.prev.
pub fn previous(name: &CStr) -> Result<Name, Errno> {
    Name::of(&[name.to_bytes(), PREVIOUS])
}

/// Temporary name number `k`: `.NAME.k.tmp`.
pub fn temporary(name: &CStr, k: u32, shape: Shape) -> Result<Name, Errno> {
    beside(name, k, shape, b".tmp")
}

/// Parts of a temporary name, or of another name that belongs to its owner.
pub struct Parsed {
    /// What is shown of the target. Where that is cut or left out it is as good: the other names of the number are made of it
    /// in the same way.
    pub target: Name,
    pub k: u32,
    /// Is it a [`rotating`] name, or one [`aside`]?
    pub second: bool,
}

/// Takes such a name apart; None for another name.
pub fn parse(name: &CStr) -> Option<Parsed> {
    let shown = name.to_bytes().strip_prefix(b".")?.strip_suffix(b".tmp")?;
    let first = shown.strip_suffix(b".prev").or(shown.strip_suffix(b".past")).unwrap_or(shown);
    let dot = first.iter().rposition(|&byte| byte == b'.').filter(|&dot| dot > 0)?;
    let (target, digits) = first.split_at_checked(dot)?;
    let digits = digits.strip_prefix(b".")?;
    let k = u32::try_from(number(digits)?).ok()?;
    // Without leading zeros, as they are written.
    let written = digits.len() == 1 || digits.first() != Some(&b'0');
    let target = Name::of(&[target]).ok()?;
    written.then_some(Parsed { target, k, second: first.len() < shown.len() })
}

/// The second name of the current state on its way to NAME.prev, and then of the one that it replaces there. It belongs
/// to the owner of the temporary name of the same number: only that process makes, renames or removes it.
pub fn rotating(name: &CStr, k: u32, shape: Shape) -> Result<Name, Errno> {
    beside(name, k, shape, b".prev.tmp")
}

/// The second name of what was at NAME.prev, where names cannot be exchanged. It belongs to the same owner.
pub fn aside(name: &CStr, k: u32, shape: Shape) -> Result<Name, Errno> {
    beside(name, k, shape, b".past.tmp")
}

/// The name by which parent and children take turns at a lock that they share: `.NAME.0.turn.tmp`.
pub fn turn(name: &CStr, shape: Shape) -> Result<Name, Errno> {
    beside(name, 0, shape, b".turn.tmp")
}

/// The name of a plain file that is being swapped, and of an edit that came out: `.NAME.k.edit`.
pub fn edit(name: &CStr, k: u32, shape: Shape) -> Result<Name, Errno> {
    beside(name, k, shape, b".edit")
}

fn beside(name: &CStr, k: u32, shape: Shape, suffix: &[u8]) -> Result<Name, Errno> {
    // A dot before the name and one after it, up to 10 digits, ".prev.tmp": room for the longer suffix, so that both
    // names of a number are of one shape.
    const TAKEN: usize = 21;
    // A tilde and the hash.
    const HASH: usize = 17;
    let name = name.to_bytes();
    let k = Decimal::of(u64::from(k));
    if shape == Shape::Named && name.len() <= NAME_MAX - TAKEN {
        return Name::of(&[b".", name, b".", k.bytes(), suffix]);
    }
    let shown = if shape == Shape::Named { NAME_MAX - TAKEN - HASH } else { 0 };
    let head = name.split_at_checked(shown).map_or(name, |(head, _)| head);
    Name::of(&[b".", head, b"~", &hex64(hash(name)), b".", k.bytes(), suffix])
}
