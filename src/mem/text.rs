//! Names and paths for calls, in buffers of fixed size.

use crate::sys::Errno;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use libc::ENAMETOOLONG;

/// Bytes with a NUL after them, in a buffer of fixed size. A large one is filled in place and borrowed: by value it
/// would be copied (measured, docs/design).
pub struct Text<const N: usize> {
    len: usize,
    /// `len` bytes and a NUL have been written.
    bytes: [MaybeUninit<u8>; N],
}

impl<const N: usize> Text<N> {
    /// Nothing.
    pub const fn empty() -> Text<N> {
        let mut bytes = [const { MaybeUninit::uninit() }; N];
        if let Some(first) = bytes.first_mut() {
            first.write(0);
        }
        Text { len: 0, bytes }
    }

    /// These parts, one after the other; -ENAMETOOLONG when they do not fit.
    pub fn of(parts: &[&[u8]]) -> Result<Text<N>, Errno> {
        let mut text = Text::empty();
        text.set(parts)?;
        Ok(text)
    }

    /// Becomes the parts, one after the other; -ENAMETOOLONG, and nothing, when they do not fit or are all empty.
    pub fn set(&mut self, parts: &[&[u8]]) -> Result<(), Errno> {
        let most = N.saturating_sub(1);
        let len = parts.iter().fold(0usize, |len, part| len.saturating_add(part.len()));
        let fits = (1..=most).contains(&len);
        self.len = 0;
        for part in parts.iter().filter(|_| fits) {
            // SAFETY: their sum was found to fit.
            unsafe {
                let end = self.bytes.as_mut_ptr().add(self.len).cast::<u8>();
                core::ptr::copy_nonoverlapping(part.as_ptr(), end, part.len());
            }
            self.len = self.len.saturating_add(part.len());
        }
        if let Some(end) = self.bytes.get_mut(self.len) {
            end.write(0);
        }
        if fits { Ok(()) } else { Err(Errno::of(ENAMETOOLONG)) }
    }

    /// Without the NUL.
    pub fn bytes(&self) -> &[u8] {
        unsafe { core::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len) }
    }

    /// For a call.
    pub fn c_str(&self) -> &CStr {
        unsafe { CStr::from_ptr(self.bytes.as_ptr().cast()) }
    }
}

/// Copies as much of `from` as fits: copy_from_slice without its panic.
pub fn copy(to: &mut [u8], from: &[u8]) {
    let len = to.len().min(from.len());
    unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), to.as_mut_ptr(), len) };
}
