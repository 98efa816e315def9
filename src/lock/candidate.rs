//! What is given the lock's name: a record that is complete and locked before anybody can see it. Where that cannot be,
//! the name is taken first, and the record follows.

use super::format::{ATTRIBUTE, Attribute, Line, MARK, MOST};
use super::identity::Identity;
use super::options::Settings;
use crate::file::deadline::Retry;
use crate::file::entry::Entry;
use crate::file::flock;
use crate::file::path;
use crate::file::temp::Temp;
use crate::hooks::*;
use crate::mem::copy;
use crate::status::*;

/// What may be given the lock's name.
pub enum Candidate<'h> {
    /// None yet.
    Missing,
    /// A record without a name (O_TMPFILE): nothing is left of it if we die.
    Nameless(Temp<'h>),
    /// A record under a private name, where there is no O_TMPFILE or no way to link it.
    Private(Temp<'h>),
}

/// The result of trying to give it the name.
pub enum Published<'h> {
    /// The file, with its flock.
    Yes(Fd<'h>, steadfast_stat),
    /// Something has the name already.
    Exists,
    /// This kind of candidate cannot be given a name here.
    Unlinkable,
}

/// Who writes records, and how.
#[derive(Clone, Copy)]
pub struct Writer<'w> {
    pub identity: &'w Identity,
    pub settings: &'w Settings,
    pub own: i32,
    /// O_CLOEXEC, or 0 for a lock that children inherit.
    pub close_on_exec: i32,
    /// How long somebody's look at the file may hold its flock.
    pub look: Retry,
}

impl Writer<'_> {
    /// Makes a nameless record in `dir`, where there are such.
    pub fn nameless<'h>(&self, dir: &Fd<'h>) -> Result<Candidate<'h>, Outcome> {
        let hooks = dir.hooks();
        if O_TMPFILE == 0 || hooks.absent(STEADFAST_ABSENT_O_TMPFILE) {
            return Ok(Candidate::Missing);
        }
        let flags = O_TMPFILE | O_RDWR | self.close_on_exec;
        let fd = match hooks.openat(dir.raw(), c".", flags, self.settings.mode | MARK) {
            Ok(fd) => fd,
            // Not on this file system; EISDIR and ENOENT: not in this kernel (open(2)).
            Err(e) if e.unsupported() || e.is_one_of(&[EISDIR, ENOENT]) => return Ok(Candidate::Missing),
            Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_CREATE_LOCK)),
        };
        let mut temp = Temp::nameless(dir, fd);
        temp.stat = self.write(hooks, temp.fd.raw())?;
        hooks.flock(temp.fd.raw(), LOCK_EX | LOCK_NB).map_err(no_flock)?;
        Ok(Candidate::Nameless(temp))
    }

    /// Makes a record under a private name beside `target`.
    pub fn private<'h>(&self, target: Entry<'h, '_>) -> Result<Candidate<'h>, Outcome> {
        let mut temp = Temp::create(target, self.settings.mode | MARK, self.close_on_exec).at(STEADFAST_STEP_CREATE_LOCK)?;
        // Without a flock Temp goes on; a lock cannot.
        if let Some(error) = temp.unlocked {
            return Err(no_flock(error));
        }
        temp.stat = self.write(target.hooks(), temp.fd.raw())?;
        Ok(Candidate::Private(temp))
    }

    /// Takes the name itself, then the flock, and writes the record into the file that has both. This is for file systems on
    /// which another name may be another file. The file is marked from the start, so that one whose maker is killed is stale;
    /// whoever removed it for that before we had the flock, the comparison after it tells of.
    pub fn by_name<'h>(&self, target: Entry<'h, '_>) -> Result<Published<'h>, Outcome> {
        let hooks = target.hooks();
        let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | self.close_on_exec;
        let fd = match target.open(flags, self.settings.mode | MARK) {
            Ok(fd) => fd,
            Err(e) if e.is(EEXIST) => return Ok(Published::Exists),
            Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_CREATE_LOCK)),
        };
        let is_ours = || hooks.fstat(fd.raw()).and_then(|stat| target.is(&stat));
        // While it cannot be asked, the file stays: empty, marked and with a free flock, it is stale.
        let remove_if_ours = || {
            if is_ours() == Ok(true) {
                let _ = target.unlink();
            }
        };
        match flock::exclusive(hooks, fd.raw(), &mut self.look.again()) {
            Ok(true) => {}
            // Somebody's look keeps it. With a shared flock of ours nobody else removes the file.
            Ok(false) => {
                if let Ok(_flock) = hooks.lock(fd.raw(), LOCK_SH | LOCK_NB)
                    && is_ours() == Ok(true)
                {
                    let _ = target.unlink();
                }
                return Ok(Published::Exists);
            }
            Err(e) => {
                remove_if_ours();
                return Err(no_flock(e));
            }
        }
        if !is_ours().inspect_err(|_| remove_if_ours()).at(STEADFAST_STEP_COMPARE)? {
            return Ok(Published::Exists);
        }
        // Whoever is killed between the record and its attribute would leave a lock that names any process with this number.
        self.describe(hooks, fd.raw(), Attribute::announced(self.own));
        let written = self.write(hooks, fd.raw()).inspect_err(|_| {
            let _ = target.unlink();
        })?;
        Ok(Published::Yes(fd, written))
    }

    /// PID and attribute. A missing attribute is not fatal: the flock still tells.
    pub fn write(&self, hooks: &Hooks, fd: i32) -> Result<steadfast_stat, Outcome> {
        const STEP: i32 = STEADFAST_STEP_CREATE_LOCK;
        hooks.write_all(fd, &[Line::of(self.own).bytes()]).at(STEP)?;
        let stat = hooks.fstat(fd).at(STEP)?;
        self.describe(hooks, fd, stat.mtime_ns);
        Ok(stat)
    }

    /// The same over another process's record, in a file that has a name. In between the content may be malformed, and the
    /// attribute is not about it: such a lock is kept. After an error the record of `before` is there again, if that can be.
    pub fn overwrite(&self, hooks: &Hooks, fd: i32, before: i32) -> Result<steadfast_stat, Outcome> {
        let put = |pid| {
            let line = Line::of(pid);
            // As long as what was there, in one write: between write and truncate it is a record, too.
            let former = usize::try_from(hooks.fstat(fd)?.size).unwrap_or(MOST).min(MOST);
            let mut padded = [b'\n'; MOST];
            copy(&mut padded, line.bytes());
            hooks.write_at_start(fd, padded.get(..former.max(line.bytes().len())).unwrap_or_default())?;
            hooks.ftruncate(fd, line.bytes().len() as u64)
        };
        let stat = put(self.own).and_then(|()| hooks.fstat(fd)).inspect_err(|_| {
            let _ = put(before);
        });
        let stat = stat.at(STEADFAST_STEP_CREATE_LOCK)?;
        self.describe(hooks, fd, stat.mtime_ns);
        Ok(stat)
    }

    /// The attribute of a record that was written at this time.
    fn describe(&self, hooks: &Hooks, fd: i32, written_ns: i64) {
        if hooks.absent(STEADFAST_ABSENT_XATTR) {
            return;
        }
        let (identity, own) = (self.identity, self.own);
        let attribute = Attribute {
            boot: identity.boot(hooks),
            start: identity.start(hooks, own),
            pid_namespace: identity.pid_namespace(hooks, own),
            written_ns,
            pidfd: identity.pidfd(hooks, own),
        };
        let _ = hooks.fsetxattr(fd, ATTRIBUTE, &attribute.encode());
    }
}

impl<'h> Candidate<'h> {
    /// Gives the record the lock's name, if nothing has it. The candidate is spent, unless the name is taken.
    pub fn publish(&mut self, target: Entry<'h, '_>) -> Result<Published<'h>, Outcome> {
        let result = match self {
            Candidate::Missing => return Ok(Published::Unlinkable),
            Candidate::Nameless(temp) => link_nameless(temp, target)?,
            Candidate::Private(temp) => rename_private(temp, target),
        };
        match result {
            Ok(()) => {}
            Err(e) if e.is(EEXIST) => return Ok(Published::Exists),
            Err(e) if matches!(self, Candidate::Nameless(_)) && is_unlinkable(e) => {
                *self = Candidate::Missing;
                return Ok(Published::Unlinkable);
            }
            Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_LINK)),
        }
        match core::mem::replace(self, Candidate::Missing) {
            Candidate::Nameless(temp) | Candidate::Private(temp) => {
                let stat = temp.stat;
                Ok(Published::Yes(temp.into_fd(), stat))
            }
            Candidate::Missing => Err(Outcome::internal()),
        }
    }
}

fn link_nameless(temp: &Temp<'_>, target: Entry<'_, '_>) -> Result<Result<(), Errno>, Outcome> {
    let (hooks, fd) = (target.hooks(), temp.fd.raw());
    let mut linked = hooks.link(fd, c"", target.dir(), target.name(), AT_EMPTY_PATH);
    // ENOENT: AT_EMPTY_PATH is for CAP_DAC_READ_SEARCH only (before Linux 6.10); /proc does it for all (open(2)).
    if linked.is_err_and(|e| e.is(ENOENT)) && !hooks.absent(STEADFAST_ABSENT_PROC) {
        let path = path::of_descriptor(fd).at(STEADFAST_STEP_LINK)?;
        linked = hooks.link(AT_FDCWD, path.c_str(), target.dir(), target.name(), AT_SYMLINK_FOLLOW);
    }
    Ok(linked)
}

/// Does this error say that a nameless file cannot be given a name here? Security modules refuse it as well.
/// No file system that answers an error for what it did (NFS) has nameless files.
fn is_unlinkable(error: Errno) -> bool {
    error.unsupported() || error.is_one_of(&[ENOENT, EPERM, EACCES, EXDEV])
}

fn rename_private(temp: &mut Temp<'_>, target: Entry<'_, '_>) -> Result<(), Errno> {
    let mut renamed = temp.entry().rename_to(&target, RENAME_NOREPLACE);
    if renamed.is_err_and(Errno::unsupported) {
        renamed = temp.entry().link_to(&target);
    } else if renamed.is_ok() {
        temp.published();
    }
    // Over NFS, a link that happened may be answered with an error: the inode tells.
    if renamed.is_err() && target.is(&temp.stat) == Ok(true) {
        renamed = Ok(());
    }
    renamed.inspect(|()| temp.remove_if_ours())
}

/// A lock needs its flock.
pub fn no_flock(error: Errno) -> Outcome {
    if flock::is_missing(error) {
        let lacking = Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::HoldingNeedsFlock);
        return lacking.caused_by(error, STEADFAST_STEP_LOCK_FILE);
    }
    Outcome::failed(error, STEADFAST_STEP_LOCK_FILE)
}
