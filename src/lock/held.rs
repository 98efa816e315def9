//! A lock that this process holds.

use super::format::{self, Content, MOST};
use super::identity::Identity;
use crate::file::entry::{CAREFUL, Entry, is_still, same};
use crate::file::path::{self, PATH_MAX, Path};
use crate::file::proc_lines;
use crate::file::process;
use crate::hooks::*;
use crate::mem::format::hex64;
use crate::status::*;
use core::ffi::CStr;

/// What keeps the holder's flock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeper {
    /// A mapping of the lock file: it outlives the descriptor, and no child inherits it.
    Mapping(u64),
    /// A descriptor, where a mapping does not keep the flock.
    Descriptor(i32),
    /// A descriptor that children get.
    Inherited(i32),
}

/// The directory of a lock. Its descriptor is a number: it lives until the release, or until the program closes it.
pub struct Place {
    dir: i32,
    /// What the directory was, and its path with a NUL, to open it anew.
    pub stat: steadfast_stat,
    pub path: Buffer,
}

impl Place {
    /// The directory of `path`, open as `dir`. Everything that can fail is done before the lock is taken.
    pub fn of(dir: &Fd<'_>, path: &Path) -> Result<Place, Outcome> {
        let hooks = dir.hooks();
        let stat = hooks.fstat(dir.raw()).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
        let given = path.directory().to_bytes();
        // The working directory may be another one by then.
        if given.starts_with(b"/") || hooks.absent(STEADFAST_ABSENT_PROC) {
            return Ok(Place { dir: dir.raw(), stat, path: with_nul(given)? });
        }
        let mut buf = [0u8; PATH_MAX];
        let found = path::of_descriptor(dir.raw()).and_then(|link| hooks.readlink(AT_FDCWD, link.c_str(), &mut buf));
        Ok(Place { dir: dir.raw(), stat, path: with_nul(found.unwrap_or(given))? })
    }
}

fn with_nul(path: &[u8]) -> Result<Buffer, Outcome> {
    let mut copy = Buffer::new(path.len().saturating_add(1)).at(STEADFAST_STEP_ALLOCATE)?;
    copy.append(path);
    copy.append(&[0]);
    Ok(copy)
}

/// An inotify descriptor, and the directory that it watches. All such descriptors have one inode, and so have those of epoll:
/// only /proc tells ours from one that the program opened after it had closed ours.
#[derive(Clone, Copy)]
pub struct Watched {
    fd: i32,
    directory: u64,
}

impl Watched {
    /// `fd`, which watches the directory with this inode and which the release has to close. What could not be told from
    /// another one then is closed at once.
    pub fn of(fd: Fd<'_>, directory: u64) -> Option<Watched> {
        let watched = Watched { fd: fd.raw(), directory };
        if !watched.is_still_open(fd.hooks()) {
            return None;
        }
        fd.into_raw();
        Some(watched)
    }

    /// Does the number stand for an inotify descriptor whose first watch is on the directory (proc_pid_fdinfo(5))?
    fn is_still_open(&self, hooks: &Hooks) -> bool {
        let Ok(path) = path::information_on_descriptor(self.fd) else { return false };
        let digits = hex64(self.directory);
        let inode = digits.get(digits.iter().take_while(|&&digit| digit == b'0').count()..).unwrap_or_default();
        let found = proc_lines::find::<64, ()>(hooks, path.c_str(), |line| {
            let rest = line.strip_prefix(b"inotify wd:1 ino:")?.strip_prefix(inode)?;
            rest.starts_with(b" ").then_some(())
        });
        found.is_some()
    }
}

/// A lock that this process holds.
pub struct Held {
    pub place: Place,
    /// The lock file.
    pub stat: steadfast_stat,
    pub keeper: Keeper,
    /// The inotify descriptor of the wait. Closing one can stall for milliseconds (its marks are freed after a grace period
    /// of the kernel), so it waits for the release.
    pub watch: Option<Watched>,
    pub pid: i32,
    /// Of a process that is the first one of its namespace.
    pub pid_namespace: u64,
}

/// The directory of a lock, as it is now.
pub struct Directory<'h> {
    pub fd: i32,
    /// The program has closed the lock's own descriptor: this one is closed when dropped.
    anew: Option<Fd<'h>>,
}

impl Held {
    /// Is this the process that took it, or adopted it?
    pub fn is_ours(&self, hooks: &Hooks) -> Result<bool, Errno> {
        let own = hooks.getpid()?;
        // The first process of a nested PID namespace may have the number of the first of its parent's.
        Ok(own == self.pid && (own != 1 || process::pid_namespace(hooks) == self.pid_namespace))
    }

    /// The lock is this process's from now on.
    pub fn belongs_to(&mut self, hooks: &Hooks, identity: &Identity, own: i32) {
        self.pid = own;
        self.pid_namespace = if own == 1 { identity.pid_namespace(hooks, own) } else { 0 };
    }

    /// Finds the directory: the program may have closed its descriptor (closefrom), and got its number again.
    pub fn directory<'h>(&self, hooks: &'h Hooks) -> Result<Directory<'h>, Errno> {
        let Place { dir, stat, path } = &self.place;
        if is_still(hooks, *dir, stat) {
            return Ok(Directory { fd: *dir, anew: None });
        }
        let flags = O_PATH | O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK;
        let path = CStr::from_bytes_until_nul(path.bytes()).map_err(|_| Errno::INTERNAL)?;
        let anew = hooks.openat(AT_FDCWD, path, flags, 0)?;
        if !same(&hooks.fstat(anew.raw())?, stat) {
            return Err(Errno::of(ENOENT));
        }
        Ok(Directory { fd: anew.raw(), anew: Some(anew) })
    }

    /// Does the name still mean our file? E_LOCK_LOST if not.
    pub fn check_name(&self, entry: Entry<'_, '_>) -> Result<(), Outcome> {
        match entry.stat() {
            Ok(named) if same(&named, &self.stat) => Ok(()),
            Ok(_) => Err(Outcome::because(STEADFAST_E_LOCK_LOST, Detail::LostToAnother)),
            Err(e) if e.is(ENOENT) => Err(Outcome::because(STEADFAST_E_LOCK_LOST, Detail::TakenAway)),
            Err(e) => Err(Outcome::failed(e, STEADFAST_STEP_COMPARE)),
        }
    }

    /// Opens the lock file by its name, O_RDONLY or O_RDWR, and makes sure that it is ours.
    pub fn open<'h>(&self, entry: Entry<'h, '_>, access: i32) -> Result<Fd<'h>, Outcome> {
        self.open_with(entry, CAREFUL | access)
    }

    /// The same, to read and write, for children and through exec.
    pub fn open_inheritable<'h>(&self, entry: Entry<'h, '_>) -> Result<Fd<'h>, Outcome> {
        self.open_with(entry, (CAREFUL | O_RDWR) & !O_CLOEXEC)
    }

    fn open_with<'h>(&self, entry: Entry<'h, '_>, flags: i32) -> Result<Fd<'h>, Outcome> {
        let fd = match entry.open(flags, 0) {
            Ok(fd) => fd,
            Err(e) if e.is(ENOENT) => return Err(Outcome::because(STEADFAST_E_LOCK_LOST, Detail::TakenAway)),
            Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_OPEN_FILE)),
        };
        let stat = entry.hooks().fstat(fd.raw()).at(STEADFAST_STEP_COMPARE)?;
        if same(&stat, &self.stat) {
            return Ok(fd);
        }
        Err(Outcome::because(STEADFAST_E_LOCK_LOST, Detail::LostToAnother))
    }

    /// Closes everything. In a forked child there is no mapping, and the flock is the parent's too.
    pub fn close(&self, hooks: &Hooks, directory: Option<Directory<'_>>, owner: bool) {
        match self.keeper {
            Keeper::Mapping(address) if owner => {
                let _ = hooks.unmap(address);
            }
            Keeper::Mapping(_) => {}
            Keeper::Descriptor(fd) | Keeper::Inherited(fd) => {
                // The program may have closed it, and got its number again.
                if is_still(hooks, fd, &self.stat) {
                    let _ = hooks.close(fd);
                }
            }
        }
        if directory.is_some_and(|directory| directory.anew.is_none()) {
            let _ = hooks.close(self.place.dir);
        }
        if let Some(watch) = self.watch.filter(|watch| watch.is_still_open(hooks)) {
            let _ = hooks.close(watch.fd);
        }
    }
}

/// Which process the lock file names; 0 when it names none.
pub fn named_pid(hooks: &Hooks, fd: &Fd<'_>) -> Result<i32, Outcome> {
    let mut buf = [0u8; MOST + 1];
    let content = hooks.pread(fd.raw(), &mut buf, 0).at(STEADFAST_STEP_READ_FILE)?;
    Ok(match format::parse(content) {
        Content::Pid(pid) => pid,
        _ => 0,
    })
}
