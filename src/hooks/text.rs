//! Names and paths for calls, in buffers of fixed size.

use super::Errno;
use core::ffi::CStr;
use core::mem::MaybeUninit;
use libc::ENAMETOOLONG;

/// Bytes with a NUL after them, in a buffer of fixed size. Large: it is built in place and borrowed.
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

    /// Becomes the parts, one after the other; -ENAMETOOLONG, and nothing, when they do not fit.
    pub fn set(&mut self, parts: &[&[u8]]) -> Result<(), Errno> {
        self.len = join(&mut self.bytes, parts)?;
        Ok(())
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

/// Writes the parts and a NUL into `out`: the length without the NUL.
fn join(out: &mut [MaybeUninit<u8>], parts: &[&[u8]]) -> Result<usize, Errno> {
    let mut len = 0usize;
    let most = out.len().saturating_sub(1);
    for part in parts {
        if part.len() > most.saturating_sub(len) {
            len = 0;
            break;
        }
        unsafe { core::ptr::copy_nonoverlapping(part.as_ptr(), out.as_mut_ptr().add(len).cast(), part.len()) };
        len = len.saturating_add(part.len());
    }
    if let Some(end) = out.get_mut(len) {
        end.write(0);
    }
    if len == 0 { Err(Errno::of(ENAMETOOLONG)) } else { Ok(len) }
}

/// Copies as much of `from` as fits: copy_from_slice without its panic.
pub fn copy(to: &mut [u8], from: &[u8]) {
    let len = to.len().min(from.len());
    unsafe { core::ptr::copy_nonoverlapping(from.as_ptr(), to.as_mut_ptr(), len) };
}
