//! Paths: pure, without a call and without memory of its own.

use crate::hooks::{EINVAL, EISDIR, ENAMETOOLONG, Errno};
use crate::mem::Text;
use crate::mem::format::Decimal;
use crate::status::*;
use core::ffi::CStr;

/// PATH_MAX of Linux, with the NUL; longer ones the kernel refuses as well.
pub const PATH_MAX: usize = 4096;
/// NAME_MAX of most file systems.
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
            (if head.is_empty() { &b"/"[..] } else { head }, tail.strip_prefix(b"/").ok_or(Errno::INTERNAL)?)
        }
    };
    if name.is_empty() || name == b"." || name == b".." {
        return Err(Errno::of(EISDIR));
    }
    Ok((directory, name))
}

/// Can the path that a caller gave be one?
pub fn check(path: &[u8]) -> Result<(), Outcome> {
    split(path).map(drop).map_err(not_one)
}

fn not_one(error: Errno) -> Outcome {
    if error.is(EINVAL) { Outcome::invalid(Detail::NoPath) } else { Outcome::failed(error, STEADFAST_STEP_ARGUMENTS) }
}

/// The name at the end of a path that has one.
pub fn name_of(path: &CStr) -> &CStr {
    let bytes = path.to_bytes_with_nul();
    let name = bytes.rsplit(|&byte| byte == b'/').next().unwrap_or(bytes);
    CStr::from_bytes_until_nul(name).unwrap_or(path)
}

/// A path, split into the directory to open and the name in it. Large: it is filled in place and borrowed.
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

    /// Becomes the path that a caller gave.
    pub fn parse(&mut self, path: &[u8]) -> Result<(), Outcome> {
        self.set(path).map_err(not_one)
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

/// The path of the file in /proc that describes an open descriptor.
pub fn information_on_descriptor(fd: i32) -> Result<Text<64>, Errno> {
    Text::of(&[b"/proc/self/fdinfo/", Decimal::of(u64::from(fd.unsigned_abs())).bytes()])
}

/// The path of an open descriptor in /proc.
pub fn of_descriptor(fd: i32) -> Result<Text<64>, Errno> {
    Text::of(&[b"/proc/self/fd/", Decimal::of(u64::from(fd.unsigned_abs())).bytes()])
}
