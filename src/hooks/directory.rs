//! The names in a directory.

use super::dispatch::most;
use super::fault::STEADFAST_CALL_GETDENTS;
use super::installed::Hooks;
use crate::sys::Errno;
use core::ffi::CStr;

/// What getdents64(2) gives at once.
#[repr(C, align(8))]
pub struct Listing {
    buf: [u8; 4096],
    len: usize,
    at: usize,
}

/// Where the members of struct linux_dirent64 begin: the length of the entry, the type of the file, the name.
const LENGTH: usize = 16;
const KIND: usize = 18;
const NAME: usize = 19;
/// The types of a regular file, and of one that is not known.
const REGULAR: u8 = 8;
const UNKNOWN: u8 = 0;

impl Listing {
    /// Nothing read yet.
    pub const fn empty() -> Listing {
        Listing { buf: [0; 4096], len: 0, at: 0 }
    }

    /// The next name in the directory `fd`, and whether it may be a regular file; None at the end.
    pub fn next(&mut self, hooks: &Hooks, fd: i32) -> Result<Option<(&CStr, bool)>, Errno> {
        if self.at == self.len {
            let (pointer, len) = (self.buf.as_mut_ptr().cast(), self.buf.len());
            let got = hooks
                .call(STEADFAST_CALL_GETDENTS, most(len), |hook, user| unsafe { (hook.getdents)(user, fd, pointer, len) })?;
            (self.len, self.at) = (got as usize, 0);
            if got == 0 {
                return Ok(None);
            }
        }
        let rest = self.buf.get(self.at..self.len).unwrap_or_default();
        let bytes = rest.get(LENGTH..LENGTH + 2).ok_or(Errno::HOOK)?;
        let length = usize::from(u16::from_ne_bytes(bytes.try_into().map_err(|_| Errno::INTERNAL)?));
        let entry = rest.get(..length).ok_or(Errno::HOOK)?;
        let name = entry.get(NAME..).and_then(|name| CStr::from_bytes_until_nul(name).ok()).ok_or(Errno::HOOK)?;
        self.at = self.at.saturating_add(length);
        Ok(Some((name, matches!(entry.get(KIND), Some(&(REGULAR | UNKNOWN))))))
    }
}
