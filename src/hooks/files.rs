//! Calls about files and directories.

use super::call::*;
use super::memory::Pieces;
use super::run::*;
use super::*;
use core::ffi::CStr;

/// How much [`Hooks::glance`] reads: a state of 4 KiB, and less than a block more.
pub const GLANCE: usize = 4096 + 512;

impl Hooks {
    /// openat(2). O_DIRECTORY is left out where it is absent: the caller looks at what it got.
    #[inline(always)]
    pub fn openat(&self, dir: i32, path: &CStr, flags: i32, mode: u32) -> Result<Fd<'_>, Errno> {
        // The number comes back in registers, what is made of it would not.
        Ok(Fd::new(self, self.openat_raw(dir, path, flags, mode)?))
    }

    #[inline(never)]
    fn openat_raw(&self, dir: i32, path: &CStr, flags: i32, mode: u32) -> Result<i64, Errno> {
        let flags = if self.absent(STEADFAST_ABSENT_O_DIRECTORY) && flags & O_TMPFILE != O_TMPFILE {
            flags & !O_DIRECTORY
        } else {
            flags
        };
        retried!(self, STEADFAST_CALL_OPENAT, openat, INT, dir, path.as_ptr(), flags, mode)
    }

    /// Opens a directory; `more` flags are O_PATH or 0. Where O_DIRECTORY is absent, fstat tells what it is.
    pub fn open_directory(&self, path: &CStr, more: i32) -> Result<Fd<'_>, Errno> {
        let dir = self.openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | more, 0)?;
        if self.absent(STEADFAST_ABSENT_O_DIRECTORY) {
            let mut stat = steadfast_stat::default();
            self.fstat(dir.raw(), &mut stat)?;
            if !is_directory(stat.mode) {
                return Err(Errno::of(ENOTDIR));
            }
        }
        Ok(dir)
    }

    /// Fills the descriptors of the standard streams that are closed, for as long as the answer lives: a file
    /// of ours that got number 1 would be written to by whoever prints. `first` was opened just now.
    pub fn keep_off_streams(&self, first: &Fd<'_>) -> [Option<Fd<'_>>; 3] {
        let mut fillers = [None, None, None];
        if first.raw() > 2 {
            return fillers;
        }
        for filler in &mut fillers {
            *filler = self.openat(AT_FDCWD, c"/dev/null", O_RDWR | O_CLOEXEC, 0).ok().filter(|fd| fd.raw() <= 2);
            if filler.is_none() {
                break;
            }
        }
        fillers
    }

    /// close(2), never retried: the descriptor is gone whatever it answers (close(2), "Dealing with error returns").
    #[inline(never)]
    pub fn close(&self, fd: i32) -> Result<(), Errno> {
        // An injected error comes after a real close, as the kernel's do: it frees the descriptor first.
        let result = unsafe { self.table.close.unwrap_unchecked()(self.table.user, fd) };
        let mut call = || i64::from(result);
        self.run_for(made_of(&call), (&raw mut call).cast(), STEADFAST_CALL_CLOSE, INT, 0).map(|_| ())
    }

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

    #[inline(never)]
    fn sigxfsz(&self, operation: i32, state: i32) -> Result<i32, Errno> {
        Ok(retried!(self, STEADFAST_CALL_SIGXFSZ, sigxfsz, INT, operation, state)? as i32)
    }

    /// Writes all of `parts`, one after the other, going on after short writes.
    #[inline(never)]
    pub fn write_all(&self, fd: i32, parts: &[&[u8]]) -> Result<(), Errno> {
        self.without_sigxfsz(|| self.write_parts(fd, parts))
    }

    fn write_parts(&self, fd: i32, parts: &[&[u8]]) -> Result<(), Errno> {
        for part in parts {
            let mut rest: &[u8] = part;
            let mut empty = 0u32;
            while !rest.is_empty() {
                let (buf, len) = (rest.as_ptr().cast(), rest.len());
                let written = retried!(self, STEADFAST_CALL_WRITE, write, most(len), fd, buf, len)?;
                rest = rest.get(written as usize..).unwrap_or_default();
                // Nothing written and no error: POSIX allows it, for ever it is a device that is full or broken.
                empty = if written == 0 { empty.saturating_add(1) } else { 0 };
                if empty > 100 {
                    return Err(Errno::of(EIO));
                }
            }
        }
        Ok(())
    }

    /// fsync(2).
    #[inline(never)]
    pub fn fsync(&self, fd: i32) -> Result<(), Errno> {
        done!(self, STEADFAST_CALL_FSYNC, fsync, INT, fd)
    }

    /// fdatasync(2).
    #[inline(never)]
    pub fn fdatasync(&self, fd: i32) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_FDATASYNC) {
            return self.fsync(fd);
        }
        done!(self, STEADFAST_CALL_FDATASYNC, fdatasync, INT, fd)
    }

    /// syncfs(2).
    #[inline(never)]
    pub fn syncfs(&self, fd: i32) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_SYNCFS) {
            return Err(Errno::of(ENOSYS));
        }
        done!(self, STEADFAST_CALL_SYNCFS, syncfs, INT, fd)
    }

    /// fsync(2) of all `files` at once: each descriptor becomes what [`Errno::result`] takes. An error: none was begun. With
    /// none, `queue` ends.
    #[inline(never)]
    pub fn fsync_many(&self, queue: &mut u64, files: &mut [i32]) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_FSYNC_MANY) {
            return Err(Errno::of(ENOSYS));
        }
        let (queue, count, files) = (&raw mut *queue, files.len() as u32, files.as_mut_ptr());
        if count == 0 {
            // Never kept from being done by an injected error.
            unsafe { self.table.fsync_many.unwrap_unchecked()(self.table.user, queue, files, 0) };
            return Ok(());
        }
        done!(self, STEADFAST_CALL_FSYNC_MANY, fsync_many, INT, queue, files, count)
    }

    /// ftruncate(2).
    #[inline(never)]
    pub fn ftruncate(&self, fd: i32, len: u64) -> Result<(), Errno> {
        done!(self, STEADFAST_CALL_FTRUNCATE, ftruncate, INT, fd, len)
    }

    /// sync_file_range(2) of the whole file.
    #[inline(never)]
    pub fn writeback(&self, fd: i32, operation: i32) -> Result<(), Errno> {
        done!(self, STEADFAST_CALL_WRITEBACK, writeback, INT, fd, operation, 0, 0)
    }

    /// One of STEADFAST_AIO_*, with piece 0 or 1, which must stay as it is until it has been waited for.
    #[inline(never)]
    pub fn aio(
        &self,
        operation: i32,
        queue: &mut u64,
        fd: i32,
        piece: (&Pieces, usize),
        len: usize,
        offset: u64,
    ) -> Result<usize, Errno> {
        if self.absent(STEADFAST_ABSENT_AIO) {
            return Err(Errno::of(ENOSYS));
        }
        let (buf, queue) = (piece.0.get(piece.1), &raw mut *queue);
        if operation == STEADFAST_AIO_CLOSE {
            // Never kept from being done by an injected error: the memory is about to be given back.
            unsafe { self.table.aio.unwrap_unchecked()(self.table.user, operation, queue, fd, buf, len, offset) };
            return Ok(0);
        }
        Ok(retried!(self, STEADFAST_CALL_AIO, aio, INT, operation, queue, fd, buf, len, offset)? as usize)
    }

    /// renameat2(2), within one directory.
    #[inline(never)]
    pub fn rename(&self, dir: i32, old: &CStr, new: &CStr, flags: u32) -> Result<(), Errno> {
        if flags != 0 && self.absent(STEADFAST_ABSENT_RENAMEAT2) {
            return Err(Errno::of(ENOSYS));
        }
        done!(self, STEADFAST_CALL_RENAMEAT, renameat, INT, dir, old.as_ptr(), dir, new.as_ptr(), flags)
    }

    /// unlinkat(2) of a file.
    #[inline(never)]
    pub fn unlink(&self, dir: i32, name: &CStr) -> Result<(), Errno> {
        done!(self, STEADFAST_CALL_UNLINKAT, unlinkat, INT, dir, name.as_ptr(), 0)
    }

    /// linkat(2).
    #[inline(never)]
    pub fn link(&self, old_dir: i32, old: &CStr, dir: i32, new: &CStr, flags: i32) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_LINK) {
            return Err(Errno::of(EPERM));
        }
        done!(self, STEADFAST_CALL_LINKAT, linkat, INT, old_dir, old.as_ptr(), dir, new.as_ptr(), flags)
    }

    /// mkdirat(2).
    #[inline(never)]
    pub fn mkdir(&self, path: &CStr, mode: u32) -> Result<(), Errno> {
        done!(self, STEADFAST_CALL_MKDIRAT, mkdirat, INT, AT_FDCWD, path.as_ptr(), mode)
    }

    /// readlinkat(2): the target, cut to the length of `buf`.
    #[inline(never)]
    pub fn readlink<'b>(&self, dir: i32, name: &CStr, buf: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let (pointer, len) = (buf.as_mut_ptr().cast(), buf.len());
        let count = retried!(self, STEADFAST_CALL_READLINKAT, readlinkat, most(len), dir, name.as_ptr(), pointer, len)?;
        Ok(buf.get(..count as usize).unwrap_or_default())
    }

    /// read(2), once.
    #[inline(never)]
    pub fn read(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        let (pointer, len) = (buf.as_mut_ptr().cast(), buf.len());
        Ok(retried!(self, STEADFAST_CALL_READ, read, most(len), fd, pointer, len)? as usize)
    }

    /// pread(2) until `buf` is full or the file ends: how much was read.
    #[inline(never)]
    pub fn pread(&self, fd: i32, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let mut filled = 0usize;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let (pointer, len) = (rest.as_mut_ptr().cast(), rest.len());
            let at = offset.saturating_add(filled as u64);
            let count = retried!(self, STEADFAST_CALL_PREAD, pread, most(len), fd, pointer, len, at)? as usize;
            if count == 0 {
                break;
            }
            filled = filled.saturating_add(count);
        }
        Ok(filled)
    }

    /// One pread(2) of the beginning of a file: up to GLANCE bytes, shown to `look`.
    #[inline(always)]
    pub fn glance<T>(&self, fd: i32, look: impl FnOnce(Result<&[u8], Errno>) -> T) -> T {
        // Not zeroed: it would take longer than a small state is long.
        let mut bytes = [const { core::mem::MaybeUninit::<u8>::uninit() }; GLANCE];
        let pointer = bytes.as_mut_ptr();
        let count = retried!(self, STEADFAST_CALL_PREAD, pread, most(GLANCE), fd, pointer.cast(), GLANCE, 0);
        look(count.map(|count| unsafe { core::slice::from_raw_parts(pointer.cast(), count as usize) }))
    }

    /// pread(2) to the end of `buf`, whose first byte is byte `base` of the file, until it holds `enough` bytes or
    /// the file ends; and one more, if there is room and the file has it.
    #[inline(never)]
    pub fn fill(&self, fd: i32, buf: &mut Buffer, base: u64, enough: usize) -> Result<(), Errno> {
        while buf.bytes().len() < enough {
            let at = base.saturating_add(buf.bytes().len() as u64);
            let (pointer, len) = buf.spare(enough.saturating_add(1));
            let count = retried!(self, STEADFAST_CALL_PREAD, pread, most(len), fd, pointer, len, at)? as usize;
            if count == 0 {
                break;
            }
            unsafe { buf.grow(count) };
        }
        Ok(())
    }

    /// fstat(2).
    #[inline(never)]
    pub fn fstat(&self, fd: i32, out: &mut steadfast_stat) -> Result<(), Errno> {
        *out = steadfast_stat::default();
        let out = &raw mut *out;
        done!(self, STEADFAST_CALL_FSTAT, fstat, INT, fd, out)
    }

    /// fstatat(2) of the name itself: a link is not followed.
    #[inline(never)]
    pub fn fstatat(&self, dir: i32, name: &CStr, out: &mut steadfast_stat) -> Result<(), Errno> {
        *out = steadfast_stat::default();
        let (name, out) = (name.as_ptr(), &raw mut *out);
        done!(self, STEADFAST_CALL_FSTATAT, fstatat, INT, dir, name, out)
    }

    /// The magic number of the file system, fstatfs(2).
    #[inline(never)]
    pub fn filesystem(&self, fd: i32) -> Result<i64, Errno> {
        retried!(self, STEADFAST_CALL_FSTATFS, fstatfs, i64::MAX, fd)
    }

    /// fchmod(2).
    #[inline(never)]
    pub fn fchmod(&self, fd: i32, mode: u32) -> Result<(), Errno> {
        done!(self, STEADFAST_CALL_FCHMOD, fchmod, INT, fd, mode)
    }

    /// fchown(2).
    #[inline(never)]
    pub fn fchown(&self, fd: i32, uid: u32, gid: u32) -> Result<(), Errno> {
        done!(self, STEADFAST_CALL_FCHOWN, fchown, INT, fd, uid, gid)
    }

    /// flock(2).
    #[inline(never)]
    pub fn flock(&self, fd: i32, operation: i32) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_FLOCK) {
            return Err(Errno::of(ENOSYS));
        }
        done!(self, STEADFAST_CALL_FLOCK, flock, INT, fd, operation)
    }

    /// flock(2), given up when the answer is dropped.
    pub fn lock(&self, fd: &Fd<'_>, operation: i32) -> Result<Flock<'_>, Errno> {
        self.flock(fd.raw(), operation)?;
        Ok(Flock { hooks: self, fd: fd.raw() })
    }

    /// An open file description lock (fcntl(2), F_OFD_SETLK): one of STEADFAST_OFDLOCK_* on [at, at + len). TEST
    /// says where somebody else's lies, if one does.
    #[inline(never)]
    pub fn ofdlock(&self, fd: i32, operation: i32, at: i64, len: i64) -> Result<Option<i64>, Errno> {
        if self.absent(STEADFAST_ABSENT_OFDLOCK) {
            return Err(Errno::of(ENOSYS));
        }
        let mut found = at;
        let out = &raw mut found;
        let locked = retried!(self, STEADFAST_CALL_OFDLOCK, ofdlock, 1, fd, operation, at, len, out)?;
        Ok((locked == 1).then_some(found))
    }

    /// fgetxattr(2): the length of the value, which is in `buf`.
    #[inline(never)]
    pub fn fgetxattr(&self, fd: i32, name: &CStr, buf: &mut [u8]) -> Result<usize, Errno> {
        if self.absent(STEADFAST_ABSENT_XATTR) {
            return Err(Errno::of(EOPNOTSUPP));
        }
        let (pointer, len) = (buf.as_mut_ptr().cast(), buf.len());
        Ok(retried!(self, STEADFAST_CALL_FGETXATTR, fgetxattr, most(len), fd, name.as_ptr(), pointer, len)? as usize)
    }

    /// fsetxattr(2).
    #[inline(never)]
    pub fn fsetxattr(&self, fd: i32, name: &CStr, value: &[u8]) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_XATTR) {
            return Err(Errno::of(EOPNOTSUPP));
        }
        let (pointer, len) = (value.as_ptr().cast(), value.len());
        done!(self, STEADFAST_CALL_FSETXATTR, fsetxattr, INT, fd, name.as_ptr(), pointer, len)
    }
}
