//! Paths and names: pure, without a call and without memory of its own.
#![forbid(unsafe_code)]

use crate::hooks::{EINVAL, EISDIR, ENAMETOOLONG, Errno, c_str};
pub use crate::hooks::{Text, copy};
use core::ffi::CStr;

/// PATH_MAX of Linux, with the NUL; longer ones the kernel refuses as well.
pub const PATH_MAX: usize = 4096;
/// NAME_MAX of every file system in use here.
pub const NAME_MAX: usize = 255;

/// One component of a path.
pub type Name = Text<256>;

/// Directory and name of `path`. -EINVAL when it is empty, -EISDIR when it can only be a directory.
pub fn split(path: &[u8]) -> Result<(&[u8], &[u8]), Errno> {
    if path.is_empty() {
        return Err(Errno::of(EINVAL));
    }
    let (directory, name) = match path.iter().rposition(|&byte| byte == b'/') {
        None => (&b"."[..], path),
        Some(at) => {
            let (head, tail) = path.split_at(at);
            (if head.is_empty() { &b"/"[..] } else { head }, tail.get(1..).unwrap_or_default())
        }
    };
    if name.is_empty() || name == b"." || name == b".." {
        return Err(Errno::of(EISDIR));
    }
    Ok((directory, name))
}

/// The name at the end of a path that has one.
pub fn name_of(path: &CStr) -> &CStr {
    let bytes = path.to_bytes_with_nul();
    let start = bytes.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at.saturating_add(1));
    c_str(bytes.get(start..).unwrap_or_default())
}

/// A path, split into the directory to open and the name in it. Large: it is built in place and borrowed.
pub struct Path {
    directory: Text<PATH_MAX>,
    name: Name,
}

impl Path {
    /// No path yet.
    pub const fn empty() -> Path {
        Path { directory: Text::empty(), name: Text::empty() }
    }

    /// Becomes `path`: the errors of [`split`], and -ENAMETOOLONG.
    pub fn set(&mut self, path: &[u8]) -> Result<(), Errno> {
        let (directory, name) = split(path)?;
        self.directory.set(&[directory])?;
        self.name.set(&[name])?;
        if directory.len().saturating_add(name.len()) >= PATH_MAX - 1 {
            return Err(Errno::of(ENAMETOOLONG));
        }
        Ok(())
    }

    /// Goes where a symbolic link at this path with this content leads.
    pub fn follow(&mut self, target: &[u8]) -> Result<(), Errno> {
        if target.first() == Some(&b'/') {
            return self.set(target);
        }
        let mut joined = Text::<PATH_MAX>::empty();
        joined.set(&[self.directory.bytes(), b"/", target])?;
        self.set(joined.bytes())
    }

    /// The directory.
    pub fn directory(&self) -> &CStr {
        self.directory.c_str()
    }

    /// The name in it.
    pub fn name(&self) -> &CStr {
        self.name.c_str()
    }
}

/// What an open descriptor is called in /proc.
pub fn of_descriptor(out: &mut Text<64>, fd: i32) -> Result<(), Errno> {
    let mut digits = [0u8; 20];
    out.set(&[b"/proc/self/fd/", decimal(u64::from(fd.unsigned_abs()), &mut digits)])
}

/// The name of the previous generation: NAME.prev.
pub fn previous(out: &mut Name, name: &CStr) -> Result<(), Errno> {
    out.set(&[name.to_bytes(), b".prev"])
}

/// Temporary name number `k`: `.NAME.k.tmp`. A NAME too long for that is cut, and told apart by its hash.
pub fn temporary(out: &mut Name, name: &CStr, k: u32) -> Result<(), Errno> {
    beside(out, name, k, b".tmp")
}

/// The second name of the current state on its way to NAME.prev. It belongs to whoever owns the temporary
/// name of the same number: only that process makes, renames or removes it.
pub fn rotating(out: &mut Name, name: &CStr, k: u32) -> Result<(), Errno> {
    beside(out, name, k, b".prev.tmp")
}

fn beside(out: &mut Name, name: &CStr, k: u32, suffix: &[u8]) -> Result<(), Errno> {
    let mut digits = [0u8; 20];
    let k = decimal(u64::from(k), &mut digits);
    let name = name.to_bytes();
    // 1 dot, 1 dot, at most 4 digits, ".prev.tmp": kept free for both suffixes, so that they go together.
    const TAKEN: usize = 15;
    if name.len() <= NAME_MAX - TAKEN {
        return out.set(&[b".", name, b".", k, suffix]);
    }
    let mut hex = [0u8; 16];
    hex64(hash(name), &mut hex);
    let head = name.get(..NAME_MAX - TAKEN - 17).unwrap_or_default();
    out.set(&[b".", head, b"~", &hex, b".", k, suffix])
}

/// FNV-1a.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// `number` in decimal, in the end of `digits`.
pub fn decimal(number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut rest = number;
    let mut used = 0usize;
    for slot in digits.iter_mut().rev() {
        *slot = b'0'.wrapping_add((rest % 10) as u8);
        rest /= 10;
        used = used.saturating_add(1);
        if rest == 0 {
            break;
        }
    }
    digits.get(20usize.saturating_sub(used)..).unwrap_or_default()
}

/// The reverse: None when there is anything but digits, or none, or too many.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    // Most of them are leading zeros: a multiplication is a chain, a comparison is not.
    digits.iter().skip_while(|&&digit| digit == b'0').try_fold(0u64, |value, &digit| {
        let digit = digit.checked_sub(b'0').filter(|&d| d <= 9)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Sixteen hexadecimal digits.
fn hex64(number: u64, out: &mut [u8; 16]) {
    for (slot, byte) in out.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        copy(slot, &hex(byte));
    }
}

/// Eight lowercase hexadecimal digits, all at once.
pub fn hex32(number: u32) -> [u8; 8] {
    // One digit in each byte, the first in the highest.
    let x = u64::from(number);
    let x = (x << 16 | x) & 0x0000_ffff_0000_ffff;
    let x = (x << 8 | x) & 0x00ff_00ff_00ff_00ff;
    let x = (x << 4 | x) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (x.wrapping_add(0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    x.wrapping_add(0x3030_3030_3030_3030).wrapping_add(letters.wrapping_mul(0x27)).to_be_bytes()
}

/// Two lowercase hexadecimal digits.
pub fn hex(byte: u8) -> [u8; 2] {
    let digit = |value: u8| if value < 10 { b'0'.wrapping_add(value) } else { b'a'.wrapping_add(value.wrapping_sub(10)) };
    [digit(byte >> 4), digit(byte & 15)]
}
