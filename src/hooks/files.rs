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
    pub fn openat(&self, dir: i32, path: &CStr, flags: i32, mode: u32) -> Result<Fd<'_>, Errno> {
        // The number comes back in registers, what is made of it would not.
        Ok(Fd::new(self, self.openat_raw(dir, path, flags, mode)?))
    }

    fn openat_raw(&self, dir: i32, path: &CStr, flags: i32, mode: u32) -> Result<i64, Errno> {
        let flags = if self.absent(STEADFAST_ABSENT_O_DIRECTORY) && flags & O_TMPFILE != O_TMPFILE {
            flags & !O_DIRECTORY
        } else {
            flags
        };
        self.call(STEADFAST_CALL_OPENAT, INT, || unsafe { i64::from((self.table.openat)(self.user, dir, path.as_ptr(), flags, mode)) })
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
    pub fn close(&self, fd: i32) -> Result<(), Errno> {
        // An injected error comes after a real close, as the kernel's do: it frees the descriptor first.
        let result = unsafe { (self.table.close)(self.user, fd) };
        self.call_for(STEADFAST_CALL_CLOSE, INT, 0, || i64::from(result)).map(drop)
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

    fn sigxfsz(&self, operation: i32, state: i32) -> Result<i32, Errno> {
        Ok(self.call(STEADFAST_CALL_SIGXFSZ, INT, || unsafe { i64::from((self.table.sigxfsz)(self.user, operation, state)) })? as i32)
    }

    /// Writes all of `parts`, one after the other, going on after short writes.
    pub fn write_all(&self, fd: i32, parts: &[&[u8]]) -> Result<(), Errno> {
        self.without_sigxfsz(|| self.write_parts(fd, parts))
    }

    fn write_parts(&self, fd: i32, parts: &[&[u8]]) -> Result<(), Errno> {
        for part in parts {
            let mut rest: &[u8] = part;
            let mut empty = 0u32;
            while !rest.is_empty() {
                let (buf, len) = (rest.as_ptr().cast(), rest.len());
                let written = self.call(STEADFAST_CALL_WRITE, most(len), || unsafe { i64::from((self.table.write)(self.user, fd, buf, len)) })?;
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
    pub fn fsync(&self, fd: i32) -> Result<(), Errno> {
        self.call(STEADFAST_CALL_FSYNC, INT, || unsafe { i64::from((self.table.fsync)(self.user, fd)) }).map(drop)
    }

    /// fdatasync(2).
    pub fn fdatasync(&self, fd: i32) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_FDATASYNC) {
            return self.fsync(fd);
        }
        self.call(STEADFAST_CALL_FDATASYNC, INT, || unsafe { i64::from((self.table.fdatasync)(self.user, fd)) }).map(drop)
    }

    /// syncfs(2).
    pub fn syncfs(&self, fd: i32) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_SYNCFS) {
            return Err(Errno::of(ENOSYS));
        }
        self.call(STEADFAST_CALL_SYNCFS, INT, || unsafe { i64::from((self.table.syncfs)(self.user, fd)) }).map(drop)
    }

    /// fsync(2) of all `files` at once: each descriptor becomes what [`Errno::result`] takes. An error: none was begun. With
    /// none, `queue` ends.
    pub fn fsync_many(&self, queue: &mut u64, files: &mut [i32]) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_FSYNC_MANY) {
            return Err(Errno::of(ENOSYS));
        }
        let (queue, count, files) = (&raw mut *queue, files.len() as u32, files.as_mut_ptr());
        if count == 0 {
            // Never kept from being done by an injected error.
            unsafe { (self.table.fsync_many)(self.user, queue, files, 0) };
            return Ok(());
        }
        self.call(STEADFAST_CALL_FSYNC_MANY, INT, || unsafe { i64::from((self.table.fsync_many)(self.user, queue, files, count)) }).map(drop)
    }

    /// ftruncate(2).
    pub fn ftruncate(&self, fd: i32, len: u64) -> Result<(), Errno> {
        self.call(STEADFAST_CALL_FTRUNCATE, INT, || unsafe { i64::from((self.table.ftruncate)(self.user, fd, len)) }).map(drop)
    }

    /// sync_file_range(2) of the whole file.
    pub fn writeback(&self, fd: i32, operation: i32) -> Result<(), Errno> {
        self.call(STEADFAST_CALL_WRITEBACK, INT, || unsafe { i64::from((self.table.writeback)(self.user, fd, operation, 0, 0)) }).map(drop)
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
        if self.absent(STEADFAST_ABSENT_AIO) {
            return Err(Errno::of(ENOSYS));
        }
        let (buf, queue) = (piece.0.get(piece.1), &raw mut *queue);
        if operation == STEADFAST_AIO_CLOSE {
            // Never kept from being done by an injected error: the memory is about to be given back.
            unsafe { (self.table.aio)(self.user, operation, queue, fd, buf, len, offset) };
            return Ok(0);
        }
        Ok(self.call(STEADFAST_CALL_AIO, INT, || unsafe { i64::from((self.table.aio)(self.user, operation, queue, fd, buf, len, offset)) })? as usize)
    }

    /// renameat2(2), within one directory.
    pub fn rename(&self, dir: i32, old: &CStr, new: &CStr, flags: u32) -> Result<(), Errno> {
        if flags != 0 && self.absent(STEADFAST_ABSENT_RENAMEAT2) {
            return Err(Errno::of(ENOSYS));
        }
        self.call(STEADFAST_CALL_RENAMEAT, INT, || unsafe { i64::from((self.table.renameat)(self.user, dir, old.as_ptr(), dir, new.as_ptr(), flags)) }).map(drop)
    }

    /// unlinkat(2) of a file.
    pub fn unlink(&self, dir: i32, name: &CStr) -> Result<(), Errno> {
        self.call(STEADFAST_CALL_UNLINKAT, INT, || unsafe { i64::from((self.table.unlinkat)(self.user, dir, name.as_ptr(), 0)) }).map(drop)
    }

    /// linkat(2).
    pub fn link(&self, old_dir: i32, old: &CStr, dir: i32, new: &CStr, flags: i32) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_LINK) {
            return Err(Errno::of(EPERM));
        }
        self.call(STEADFAST_CALL_LINKAT, INT, || unsafe { i64::from((self.table.linkat)(self.user, old_dir, old.as_ptr(), dir, new.as_ptr(), flags)) }).map(drop)
    }

    /// mkdirat(2).
    pub fn mkdir(&self, path: &CStr, mode: u32) -> Result<(), Errno> {
        self.call(STEADFAST_CALL_MKDIRAT, INT, || unsafe { i64::from((self.table.mkdirat)(self.user, AT_FDCWD, path.as_ptr(), mode)) }).map(drop)
    }

    /// readlinkat(2): the target, cut to the length of `buf`.
    pub fn readlink<'b>(&self, dir: i32, name: &CStr, buf: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        let (pointer, len) = (buf.as_mut_ptr().cast(), buf.len());
        let count = self.call(STEADFAST_CALL_READLINKAT, most(len), || unsafe { i64::from((self.table.readlinkat)(self.user, dir, name.as_ptr(), pointer, len)) })?;
        Ok(buf.get(..count as usize).unwrap_or_default())
    }

    /// read(2), once.
    pub fn read(&self, fd: i32, buf: &mut [u8]) -> Result<usize, Errno> {
        let (pointer, len) = (buf.as_mut_ptr().cast(), buf.len());
        Ok(self.call(STEADFAST_CALL_READ, most(len), || unsafe { i64::from((self.table.read)(self.user, fd, pointer, len)) })? as usize)
    }

    /// pread(2) until `buf` is full or the file ends: how much was read.
    pub fn pread(&self, fd: i32, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let mut filled = 0usize;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let (pointer, len) = (rest.as_mut_ptr().cast(), rest.len());
            let at = offset.saturating_add(filled as u64);
            let count = self.call(STEADFAST_CALL_PREAD, most(len), || unsafe { i64::from((self.table.pread)(self.user, fd, pointer, len, at)) })? as usize;
            if count == 0 {
                break;
            }
            filled = filled.saturating_add(count);
        }
        Ok(filled)
    }

    /// One pread(2) of the beginning of a file: up to GLANCE bytes, shown to `look`.
    pub fn glance<T>(&self, fd: i32, look: impl FnOnce(Result<&[u8], Errno>) -> T) -> T {
        // Not zeroed: it would take longer than a small state is long.
        let mut bytes = [const { core::mem::MaybeUninit::<u8>::uninit() }; GLANCE];
        let pointer = bytes.as_mut_ptr();
        let count = self.call(STEADFAST_CALL_PREAD, most(GLANCE), || unsafe { i64::from((self.table.pread)(self.user, fd, pointer.cast(), GLANCE, 0)) });
        look(count.map(|count| unsafe { core::slice::from_raw_parts(pointer.cast(), count as usize) }))
    }

    /// pread(2) to the end of `buf`, whose first byte is byte `base` of the file, until it holds `enough` bytes or
    /// the file ends; and one more, if there is room and the file has it.
    pub fn fill(&self, fd: i32, buf: &mut Buffer, base: u64, enough: usize) -> Result<(), Errno> {
        while buf.bytes().len() < enough {
            let at = base.saturating_add(buf.bytes().len() as u64);
            let (pointer, len) = buf.spare(enough.saturating_add(1));
            let count = self.call(STEADFAST_CALL_PREAD, most(len), || unsafe { i64::from((self.table.pread)(self.user, fd, pointer, len, at)) })? as usize;
            if count == 0 {
                break;
            }
            unsafe { buf.grow(count) };
        }
        Ok(())
    }

    /// fstat(2).
    pub fn fstat(&self, fd: i32, out: &mut steadfast_stat) -> Result<(), Errno> {
        *out = steadfast_stat::default();
        let out = &raw mut *out;
        self.call(STEADFAST_CALL_FSTAT, INT, || unsafe { i64::from((self.table.fstat)(self.user, fd, out)) }).map(drop)
    }

    /// fstatat(2) of the name itself: a link is not followed.
    pub fn fstatat(&self, dir: i32, name: &CStr, out: &mut steadfast_stat) -> Result<(), Errno> {
        *out = steadfast_stat::default();
        let (name, out) = (name.as_ptr(), &raw mut *out);
        self.call(STEADFAST_CALL_FSTATAT, INT, || unsafe { i64::from((self.table.fstatat)(self.user, dir, name, out)) }).map(drop)
    }

    /// The magic number of the file system, fstatfs(2).
    pub fn filesystem(&self, fd: i32) -> Result<i64, Errno> {
        self.call(STEADFAST_CALL_FSTATFS, i64::MAX, || unsafe { i64::from((self.table.fstatfs)(self.user, fd)) })
    }

    /// fchmod(2).
    pub fn fchmod(&self, fd: i32, mode: u32) -> Result<(), Errno> {
        self.call(STEADFAST_CALL_FCHMOD, INT, || unsafe { i64::from((self.table.fchmod)(self.user, fd, mode)) }).map(drop)
    }

    /// fchown(2).
    pub fn fchown(&self, fd: i32, uid: u32, gid: u32) -> Result<(), Errno> {
        self.call(STEADFAST_CALL_FCHOWN, INT, || unsafe { i64::from((self.table.fchown)(self.user, fd, uid, gid)) }).map(drop)
    }

    /// flock(2).
    pub fn flock(&self, fd: i32, operation: i32) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_FLOCK) {
            return Err(Errno::of(ENOSYS));
        }
        self.call(STEADFAST_CALL_FLOCK, INT, || unsafe { i64::from((self.table.flock)(self.user, fd, operation)) }).map(drop)
    }

    /// flock(2), given up when the answer is dropped.
    pub fn lock(&self, fd: &Fd<'_>, operation: i32) -> Result<Flock<'_>, Errno> {
        self.flock(fd.raw(), operation)?;
        Ok(Flock { hooks: self, fd: fd.raw() })
    }

    /// An open file description lock (fcntl(2), F_OFD_SETLK): one of STEADFAST_OFDLOCK_* on [at, at + len). TEST
    /// says where somebody else's lies, if one does.
    pub fn ofdlock(&self, fd: i32, operation: i32, at: i64, len: i64) -> Result<Option<i64>, Errno> {
        if self.absent(STEADFAST_ABSENT_OFDLOCK) {
            return Err(Errno::of(ENOSYS));
        }
        let mut found = at;
        let out = &raw mut found;
        let locked = self.call(STEADFAST_CALL_OFDLOCK, 1, || unsafe { i64::from((self.table.ofdlock)(self.user, fd, operation, at, len, out)) })?;
        Ok((locked == 1).then_some(found))
    }

    /// fgetxattr(2): the length of the value, which is in `buf`.
    pub fn fgetxattr(&self, fd: i32, name: &CStr, buf: &mut [u8]) -> Result<usize, Errno> {
        if self.absent(STEADFAST_ABSENT_XATTR) {
            return Err(Errno::of(EOPNOTSUPP));
        }
        let (pointer, len) = (buf.as_mut_ptr().cast(), buf.len());
        Ok(self.call(STEADFAST_CALL_FGETXATTR, most(len), || unsafe { i64::from((self.table.fgetxattr)(self.user, fd, name.as_ptr(), pointer, len)) })? as usize)
    }

    /// fsetxattr(2).
    pub fn fsetxattr(&self, fd: i32, name: &CStr, value: &[u8]) -> Result<(), Errno> {
        if self.absent(STEADFAST_ABSENT_XATTR) {
            return Err(Errno::of(EOPNOTSUPP));
        }
        let (pointer, len) = (value.as_ptr().cast(), value.len());
        self.call(STEADFAST_CALL_FSETXATTR, INT, || unsafe { i64::from((self.table.fsetxattr)(self.user, fd, name.as_ptr(), pointer, len)) }).map(drop)
    }
}
