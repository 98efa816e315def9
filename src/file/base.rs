//! Where relative paths begin: the working directory, or the directory of a context.

use super::entry::{is_still, same};
use super::path::PATH_MAX;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

/// Where the relative paths of a context begin.
pub struct Base {
    /// The descriptor of a directory, or AT_FDCWD.
    dirfd: i32,
    /// What it was when the context was made. A program may have closed it since (closefrom) and got the number again.
    stat: steadfast_stat,
    /// Its path then, with a NUL, to open it anew; nothing where that is not known.
    path: Buffer,
    /// May no path leave the directory?
    beneath: bool,
}

impl Base {
    /// The working directory.
    pub const WORKING: Base = Base { dirfd: AT_FDCWD, stat: steadfast_stat::ZERO, path: Buffer::none(), beneath: false };

    /// The directory `dirfd`, of which a descriptor of its own is kept. With `beneath` no path leaves it.
    pub fn at(hooks: &Hooks, dirfd: i32, beneath: bool) -> Result<Base, Outcome> {
        let base = Base::open(hooks, dirfd, beneath).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
        if beneath && let Err(e) = base.start(hooks).and_then(|start| start.open(c".", O_PATH | O_DIRECTORY | O_CLOEXEC)) {
            base.close(hooks);
            // ENOSYS: an older kernel; EPERM: a seccomp filter that does not know the call.
            let lacking = Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::NoBeneath);
            let lacking = lacking.caused_by(e, STEADFAST_STEP_OPEN_DIRECTORY);
            return Err(if e.unsupported() || e.is(EPERM) { lacking } else { Outcome::failed(e, STEADFAST_STEP_OPEN_DIRECTORY) });
        }
        Ok(base)
    }

    fn open(hooks: &Hooks, dirfd: i32, beneath: bool) -> Result<Base, Errno> {
        let own = hooks.openat(dirfd, c".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0)?;
        let fillers = Fillers::of(&own);
        // A descriptor that lives on is never number 0, 1 or 2.
        let own = if own.raw() > 2 { own } else { hooks.openat(dirfd, c".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0)? };
        drop(fillers);
        let stat = hooks.fstat(own.raw())?;
        let mut path = Buffer::none();
        if !hooks.absent(STEADFAST_ABSENT_PROC) {
            let mut buf = [0u8; PATH_MAX];
            let link = super::path::of_descriptor(own.raw())?;
            let target = hooks.readlink(AT_FDCWD, link.c_str(), &mut buf).unwrap_or_default();
            path = Buffer::new(target.len().saturating_add(1))?;
            path.append(target);
            path.append(&[0]);
        }
        Ok(Base { dirfd: own.into_raw(), stat, path, beneath })
    }

    /// Ready for a call.
    pub fn start<'h>(&self, hooks: &'h Hooks) -> Result<Start<'h>, Errno> {
        let mut start = Start { hooks, dir: self.dirfd, limit: self.beneath.then_some(self.stat), _opened: None };
        if self.dirfd != AT_FDCWD && !self.is_still_open(hooks) {
            let path = CStr::from_bytes_until_nul(self.path.bytes()).unwrap_or_default();
            let anew = hooks.openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0)?;
            if !same(&hooks.fstat(anew.raw())?, &self.stat) {
                return Err(Errno::of(EBADF));
            }
            start.dir = anew.raw();
            start._opened = Some(anew);
        }
        Ok(start)
    }

    fn is_still_open(&self, hooks: &Hooks) -> bool {
        is_still(hooks, self.dirfd, &self.stat)
    }

    /// Closes its descriptor, if that is still its own.
    pub fn close(&self, hooks: &Hooks) {
        if self.dirfd != AT_FDCWD && self.is_still_open(hooks) {
            let _ = hooks.close(self.dirfd);
        }
    }
}

/// Where the relative paths of one call begin.
pub struct Start<'h> {
    hooks: &'h Hooks,
    dir: i32,
    /// The directory that no path may leave.
    limit: Option<steadfast_stat>,
    _opened: Option<Fd<'h>>,
}

impl<'h> Start<'h> {
    /// The hooks of the call.
    pub fn hooks(&self) -> &'h Hooks {
        self.hooks
    }

    /// Where paths begin that are relative to `dir`, which is open as long as the answer is used.
    pub fn moved_to(&self, dir: &Fd<'h>) -> Start<'h> {
        Start { hooks: self.hooks, dir: dir.raw(), limit: self.limit, _opened: None }
    }

    /// Is this the directory that no path may leave?
    pub fn is_limit(&self, directory: &steadfast_stat) -> bool {
        self.limit.is_some_and(|limit| same(&limit, directory))
    }

    /// Does the path lead to the same place when a call of the system starts at the working directory?
    pub fn is_working_directory_for(&self, path: &CStr) -> bool {
        self.limit.is_none() && (self.dir == AT_FDCWD || path.to_bytes().first() == Some(&b'/'))
    }

    /// openat(2), of something that is there already.
    pub fn open(&self, path: &CStr, flags: i32) -> Result<Fd<'h>, Errno> {
        if self.limit.is_some() {
            // openat2 takes fewer flags beside O_PATH than openat.
            let flags = if flags & O_PATH != 0 { flags & !(O_NONBLOCK | O_NOCTTY) } else { flags };
            return self.hooks.open_beneath(self.dir, path, flags);
        }
        self.hooks.openat(self.dir, path, flags, 0)
    }

    /// Opens a directory; `more` flags are O_PATH or 0. Where O_DIRECTORY is absent, fstat tells what it is.
    pub fn open_directory(&self, path: &CStr, more: i32) -> Result<Fd<'h>, Errno> {
        let dir = self.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | more)?;
        if self.hooks.absent(STEADFAST_ABSENT_O_DIRECTORY) && !is_directory(self.hooks.fstat(dir.raw())?.mode) {
            return Err(Errno::of(ENOTDIR));
        }
        Ok(dir)
    }
}
