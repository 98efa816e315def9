//! A name in an open directory.

use crate::hooks::*;
use core::ffi::CStr;

/// Flags for opening a file that somebody else may have put there.
pub const CAREFUL: i32 = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;

/// The same file?
pub fn same(a: &steadfast_stat, b: &steadfast_stat) -> bool {
    a.dev == b.dev && a.ino == b.ino
}

/// Is this number still a descriptor of that file? A program may have closed it (closefrom), and got the number again. Only
/// where that is known it is not: an error of the call says nothing.
pub fn is_still(hooks: &Hooks, fd: i32, stat: &steadfast_stat) -> bool {
    match hooks.fstat(fd) {
        Ok(now) => same(&now, stat),
        Err(e) => !e.is(EBADF),
    }
}

/// A name in an open directory. It borrows both.
#[derive(Clone, Copy)]
pub struct Entry<'h, 'n> {
    hooks: &'h Hooks,
    dir: i32,
    name: &'n CStr,
}

impl<'h, 'n> Entry<'h, 'n> {
    /// `name` in `dir`.
    pub fn new(dir: &Fd<'h>, name: &'n CStr) -> Entry<'h, 'n> {
        Entry { hooks: dir.hooks(), dir: dir.raw(), name }
    }

    /// `name` in the directory whose descriptor has this number.
    pub fn of_raw(hooks: &'h Hooks, dir: i32, name: &'n CStr) -> Entry<'h, 'n> {
        Entry { hooks, dir, name }
    }

    /// Another name in the same directory.
    pub fn sibling<'m>(&self, name: &'m CStr) -> Entry<'h, 'm> {
        Entry { hooks: self.hooks, dir: self.dir, name }
    }

    /// The hooks of its directory.
    pub fn hooks(&self) -> &'h Hooks {
        self.hooks
    }

    /// The number of the directory's descriptor.
    pub fn dir(&self) -> i32 {
        self.dir
    }

    /// The name.
    pub fn name(&self) -> &'n CStr {
        self.name
    }

    /// openat(2).
    pub fn open(&self, flags: i32, mode: u32) -> Result<Fd<'h>, Errno> {
        self.hooks.openat(self.dir, self.name, flags, mode)
    }

    /// fstatat(2) of the name itself: a link is not followed.
    pub fn stat(&self) -> Result<steadfast_stat, Errno> {
        self.hooks.fstatat(self.dir, self.name)
    }

    /// The same; None when nothing has the name, or nothing can, because it is too long here.
    pub fn stat_if_there(&self) -> Result<Option<steadfast_stat>, Errno> {
        match self.stat() {
            Ok(stat) => Ok(Some(stat)),
            Err(e) if e.is(ENOENT) || e.is(ENAMETOOLONG) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Does the name mean this file?
    pub fn is(&self, stat: &steadfast_stat) -> Result<bool, Errno> {
        Ok(self.stat_if_there()?.is_some_and(|named| same(stat, &named)))
    }

    /// The same for the file `stat`. Over NFS, a rename whose answer was lost is repeated and then fails, although it
    /// happened: the inode at the new name tells. After EEXIST it did not, nor where there is no such rename.
    pub fn rename_file_to(&self, new: &Entry<'_, '_>, stat: &steadfast_stat, flags: u32) -> Result<(), Errno> {
        match self.rename_to(new, flags) {
            Err(e) if !e.is(EEXIST) && !e.unsupported() && new.is(stat) == Ok(true) => Ok(()),
            renamed => renamed,
        }
    }

    /// renameat2(2).
    pub fn rename_to(&self, new: &Entry<'_, '_>, flags: u32) -> Result<(), Errno> {
        self.hooks.rename(self.dir, self.name, new.name, flags)
    }

    /// linkat(2): gives the file a second name.
    pub fn link_to(&self, new: &Entry<'_, '_>) -> Result<(), Errno> {
        self.hooks.link(self.dir, self.name, self.dir, new.name, 0)
    }

    /// readlinkat(2).
    pub fn readlink<'b>(&self, buf: &'b mut [u8]) -> Result<&'b [u8], Errno> {
        self.hooks.readlink(self.dir, self.name, buf)
    }

    /// fsync(2) of its directory.
    pub fn sync_directory(&self) -> Result<(), Errno> {
        if self.hooks.absent(STEADFAST_ABSENT_DIR_FSYNC) {
            return Err(Errno::of(ENOSYS));
        }
        self.hooks.fsync(self.dir)
    }

    /// unlinkat(2).
    pub fn unlink(&self) -> Result<(), Errno> {
        self.hooks.unlink(self.dir, self.name)
    }
}
