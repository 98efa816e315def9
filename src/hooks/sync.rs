//! Calls that make content durable, or begin to.

use super::dispatch::INT;
use super::fault::*;
use super::installed::Hooks;
use crate::mem::Pieces;
use crate::sys::Errno;
use crate::sys::abi::*;
use crate::sys::platform::ENOSYS;

impl Hooks {
    /// fsync(2).
    pub fn fsync(&self, fd: i32) -> Result<(), Errno> {
        self.done(STEADFAST_CALL_FSYNC, |hook, user| unsafe { (hook.fsync)(user, fd) })
    }

    /// fdatasync(2).
    pub fn fdatasync(&self, fd: i32) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_FDATASYNC) {
            return self.fsync(fd);
        }
        self.done(STEADFAST_CALL_FDATASYNC, |hook, user| unsafe { (hook.fdatasync)(user, fd) })
    }

    /// syncfs(2).
    pub fn syncfs(&self, fd: i32) -> Result<(), Errno> {
        self.unless_absent(STEADFAST_ABSENT_SYNCFS, ENOSYS)?;
        self.done(STEADFAST_CALL_SYNCFS, |hook, user| unsafe { (hook.syncfs)(user, fd) })
    }

    /// fsync(2) of all `files` at once, or fdatasync(2) where `data` is STEADFAST_SYNC_DATA: each descriptor is replaced by what
    /// [`Errno::result`] takes. An error means that none was begun. With no files, `queue` ends.
    pub fn fsync_many(&self, queue: &mut u64, files: &mut [i32], data: u32) -> Result<(), Errno> {
        self.unless_absent(STEADFAST_ABSENT_FSYNC_MANY, ENOSYS)?;
        let (queue, count, files) = (&raw mut *queue, files.len() as u32, files.as_mut_ptr());
        if count == 0 {
            self.always(|hook, user| unsafe { (hook.fsync_many)(user, queue, files, 0) });
            return Ok(());
        }
        let count = count | data;
        self.done(STEADFAST_CALL_FSYNC_MANY, |hook, user| unsafe { (hook.fsync_many)(user, queue, files, count) })
    }

    /// ftruncate(2).
    pub fn ftruncate(&self, fd: i32, len: u64) -> Result<(), Errno> {
        self.done(STEADFAST_CALL_FTRUNCATE, |hook, user| unsafe { (hook.ftruncate)(user, fd, len) })
    }

    /// sync_file_range(2) of the whole file.
    pub fn writeback(&self, fd: i32, operation: i32) -> Result<(), Errno> {
        self.done(STEADFAST_CALL_WRITEBACK, |hook, user| unsafe { (hook.writeback)(user, fd, operation, 0, 0) })
    }

    /// One of STEADFAST_AIO_*, with piece 0 or 1, which must stay as it is until it has been waited for.
    pub fn aio(
        &self,
        operation: i32,
        queue: &mut u64,
        fd: i32,
        piece: (&Pieces, usize),
        len: usize,
        offset: u64,
    ) -> Result<usize, Errno> {
        let (buf, queue) = (piece.0.get(piece.1), &raw mut *queue);
        if operation == STEADFAST_AIO_CLOSE && !self.absent(STEADFAST_ABSENT_AIO) {
            // The memory is about to be given back.
            let answer = self.always(|hook, user| unsafe { (hook.aio)(user, operation, queue, fd, buf, len, offset) });
            return Errno::up_to(answer, INT).map(|_| 0);
        }
        self.unless_absent(STEADFAST_ABSENT_AIO, ENOSYS)?;
        let count =
            self.call(STEADFAST_CALL_AIO, INT, |hook, user| unsafe { (hook.aio)(user, operation, queue, fd, buf, len, offset) })?;
        Ok(count as usize)
    }
}
