//! Calls that read and write.

use super::dispatch::{INT, most};
use super::fault::*;
use super::installed::Hooks;
use crate::mem::Memory;
use crate::sys::Errno;
use crate::sys::abi::*;
use crate::sys::platform::{EFBIG, EIO};
use core::ffi::c_void;
use core::mem::MaybeUninit;

/// How much [`Hooks::glance`] reads: a state of 4 KiB, and less than a block more.
pub const GLANCE: usize = 4096 + 512;

/// How often in a row a write may answer 0. POSIX allows it; for ever it is a device that is full or broken.
const EMPTY_WRITES: u32 = 100;

impl Hooks {
    /// Does `work`, which writes, with SIGXFSZ held off.
    pub fn without_sigxfsz<T>(&self, work: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        let mut state = self.sigxfsz(STEADFAST_SIGXFSZ_BLOCK, 0)?;
        let result = work();
        if result.as_ref().is_err_and(|e| e.is(EFBIG)) {
            state |= STEADFAST_SIGXFSZ_RAISED;
        }
        let restored = self.sigxfsz(STEADFAST_SIGXFSZ_RESTORE, state);
        result.and_then(|value| restored.map(|_| value))
    }

    fn sigxfsz(&self, operation: i32, state: i32) -> Result<i32, Errno> {
        let answer = self.call(STEADFAST_CALL_SIGXFSZ, INT, |hook, user| unsafe { (hook.sigxfsz)(user, operation, state) })?;
        Ok(answer as i32)
    }

    /// Writes all of `parts`, one after the other, going on after short writes.
    pub fn write_all(&self, fd: i32, parts: &[&[u8]]) -> Result<(), Errno> {
        self.without_sigxfsz(|| parts.iter().try_for_each(|part| self.write_part(fd, part)))
    }

    fn write_part(&self, fd: i32, part: &[u8]) -> Result<(), Errno> {
        whole(part, |_, rest| {
            let (buf, len) = (rest.as_ptr().cast(), rest.len());
            self.call(STEADFAST_CALL_WRITE, most(len), |hook, user| unsafe { (hook.write)(user, fd, buf, len) })
        })
    }

    /// Writes all of `bytes` at the start of a file, whatever the descriptor's position is.
    pub fn write_at_start(&self, fd: i32, bytes: &[u8]) -> Result<(), Errno> {
        self.without_sigxfsz(|| {
            whole(bytes, |at, rest| {
                let (buf, len) = (rest.as_ptr().cast(), rest.len());
                self.call(STEADFAST_CALL_PWRITE, most(len), |hook, user| unsafe { (hook.pwrite)(user, fd, buf, len, at) })
            })
        })
    }

    /// One pwrite(2) of all `bytes` at the start of a file that was opened with O_DSYNC: 0 when they are durable. Nothing is made
    /// again, since after any error, and after a short write, it is not known what a second sync would vouch for.
    pub fn write_durably(&self, fd: i32, bytes: &[u8]) -> Result<(), Errno> {
        let (buf, len) = (bytes.as_ptr().cast(), bytes.len());
        let write = || self.once(STEADFAST_CALL_PWRITE, most(len), |hook, user| unsafe { (hook.pwrite)(user, fd, buf, len, 0) });
        let written = self.without_sigxfsz(write)?;
        if written as usize == len { Ok(()) } else { Err(Errno::of(EIO)) }
    }

    /// read(2), once: what was read.
    pub fn read<'b>(&self, fd: i32, buf: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let (pointer, len) = (buf.as_mut_ptr().cast(), buf.len());
        let count = self.call(STEADFAST_CALL_READ, most(len), |hook, user| unsafe { (hook.read)(user, fd, pointer, len) })?;
        buf.get(..count as usize).ok_or(Errno::INTERNAL)
    }

    fn pread_once(&self, fd: i32, buf: *mut c_void, len: usize, offset: u64) -> Result<usize, Errno> {
        let count =
            self.call(STEADFAST_CALL_PREAD, most(len), |hook, user| unsafe { (hook.pread)(user, fd, buf, len, offset) })?;
        Ok(count as usize)
    }

    /// pread(2) until `buf` is full or the file ends: what was read.
    pub fn pread<'b>(&self, fd: i32, buf: &'b mut [u8], offset: u64) -> Result<&'b [u8], Errno> {
        let mut filled = 0usize;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(filled as u64);
            let count = self.pread_once(fd, rest.as_mut_ptr().cast(), rest.len(), at)?;
            if count == 0 {
                break;
            }
            filled = filled.saturating_add(count);
        }
        buf.get(..filled).ok_or(Errno::INTERNAL)
    }

    /// One pread(2) of the beginning of a file: up to GLANCE bytes, shown to `look`.
    pub fn glance<T>(&self, fd: i32, look: impl FnOnce(Result<&[u8], Errno>) -> T) -> T {
        // Not zeroed: that would take longer than a small state is long.
        let mut bytes = [const { MaybeUninit::<u8>::uninit() }; GLANCE];
        let pointer = bytes.as_mut_ptr();
        let count = self.pread_once(fd, pointer.cast(), GLANCE, 0);
        look(count.map(|count| unsafe { core::slice::from_raw_parts(pointer.cast(), count) }))
    }

    /// pread(2) to the end of `buf`, whose first byte is byte `base` of the file, or comes before the file where that is
    /// negative, until it holds `enough` bytes or the file ends; and one more, if there is room and the file has it.
    pub fn fill(&self, fd: i32, buf: &mut Memory<'_>, base: i64, enough: usize) -> Result<(), Errno> {
        while buf.bytes().len() < enough {
            let at = (buf.bytes().len() as u64).saturating_add_signed(base);
            let (pointer, len) = buf.spare(enough.saturating_add(1));
            let count = self.pread_once(fd, pointer, len, at)?;
            if count == 0 {
                break;
            }
            unsafe { buf.grow(count) };
        }
        Ok(())
    }
}

/// Calls `write` with what is left of `bytes`, and where that begins, until nothing is.
fn whole(bytes: &[u8], mut write: impl FnMut(u64, &[u8]) -> Result<i64, Errno>) -> Result<(), Errno> {
    let mut rest = bytes;
    let mut empty = 0u32;
    while !rest.is_empty() {
        let at = bytes.len().saturating_sub(rest.len());
        let written = write(at as u64, rest)?;
        rest = rest.get(written as usize..).ok_or(Errno::INTERNAL)?;
        empty = if written == 0 { empty.saturating_add(1) } else { 0 };
        if empty > EMPTY_WRITES {
            return Err(Errno::of(EIO));
        }
    }
    Ok(())
}
