//! Cleaning a stale lock, or saying what it is. The ORDER of the steps is the proof: the name is compared with the inode
//! only after the owner was found dead and with the inode's flock held. Compared before, a live owner could unlink and
//! exit in between, and the name would belong to the next one.

use super::format::{self, Content, MARK, MOST};
use super::identity::Identity;
use super::options::*;
use super::owner::{self, Owner};
use crate::file::base::Start;
use crate::file::entry::{CAREFUL, Entry, same};
use crate::file::flock;
use crate::file::path::Path;
use crate::hooks::*;
use crate::status::*;

/// Opens the directory of a lock: only to name files in it, so that it need not be readable.
pub fn open_directory<'h>(start: &Start<'h>, path: &Path) -> Result<Fd<'h>, Outcome> {
    start.open_directory(path.directory(), O_PATH).at(STEADFAST_STEP_OPEN_DIRECTORY)
}

/// Cleans (`remove`) or inspects the lock at `path`.
pub fn at_path(
    start: &Start<'_>,
    identity: &Identity,
    path: &Path,
    settings: &Settings,
    remove: bool,
) -> Result<Outcome, Outcome> {
    let dir = open_directory(start, path)?;
    examine(Entry::new(&dir, path.name()), identity, settings, remove)
}

/// A lock file that was opened and read.
struct Found<'h, 'n> {
    entry: Entry<'h, 'n>,
    fd: Fd<'h>,
    stat: steadfast_stat,
}

/// The same, for a name in an open directory.
pub fn examine(entry: Entry<'_, '_>, identity: &Identity, settings: &Settings, remove: bool) -> Result<Outcome, Outcome> {
    // 1: open, and read the content.
    let open = || entry.open(CAREFUL, 0).map(|fd| (entry.hooks().fstat(fd.raw()), fd));
    // On NFS and FUSE a file that is replaced at this moment may be gone for whoever opens it. ENOENT of the name itself is an answer.
    let is_gone = |opened: &Result<(Result<steadfast_stat, Errno>, Fd<'_>), Errno>| match opened {
        Ok((Err(e), _)) => e.is_one_of(&[ENOENT, ESTALE]),
        Err(e) => e.is(ESTALE),
        Ok(_) => false,
    };
    let mut opened = open();
    if is_gone(&opened) {
        opened = open();
    }
    // Each look has found another file, and there is one: the name changes hands.
    if is_gone(&opened) && matches!(entry.stat_if_there(), Ok(Some(_))) {
        return Ok(Outcome::new(STEADFAST_LOCK_CHANGED));
    }
    let (stat, fd) = match opened {
        Ok((stat, fd)) => (stat.at(STEADFAST_STEP_READ_FILE)?, fd),
        Err(e) => return unopened(entry, e),
    };
    if !is_regular(stat.mode) {
        return Ok(Outcome::new(STEADFAST_LOCK_IGNORED));
    }
    let mut found = Found { entry, fd, stat };
    let mut buf = [0u8; MOST + 1];
    let content = match found.read(&mut buf) {
        // On NFS and FUSE a file that has lost its name may not be readable any more.
        Err(e) if e.is_one_of(&[ENOENT, ESTALE]) && entry.is(&stat) == Ok(false) => {
            return Ok(Outcome::new(STEADFAST_LOCK_CHANGED));
        }
        read => read.at(STEADFAST_STEP_READ_FILE)?,
    };
    if remove { found.clean(content, identity, settings) } else { found.inspect(content, identity, settings) }
}

/// Why a lock is stale, unless its flock is held, and whom it names; or a verdict.
type Judgement = Result<(Detail, i32), Outcome>;

impl Found<'_, '_> {
    /// As much of the content as says what it is.
    fn read<'b>(&self, buf: &'b mut [u8; MOST + 1]) -> Result<&'b [u8], Errno> {
        let most = usize::try_from(self.stat.size).unwrap_or(usize::MAX).min(buf.len());
        let (head, _) = buf.split_at_mut_checked(most).ok_or(Errno::INTERNAL)?;
        self.entry.hooks().pread(self.fd.raw(), head, 0)
    }

    /// What cleaning would come to. Of our own locks the kernel knows whether they are held: their flock is all that is
    /// looked at.
    fn inspect(&mut self, content: &[u8], identity: &Identity, settings: &Settings) -> Result<Outcome, Outcome> {
        let hooks = self.entry.hooks();
        let held = |pid, detail| Ok(Outcome::because(STEADFAST_LOCK_HELD, detail).with_pid(pid));
        let mut looked = None;
        if self.stat.mode & MARK != 0
            && let Content::Pid(pid) = format::parse(content)
        {
            match hooks.lock(self.fd.raw(), LOCK_SH | LOCK_NB) {
                Err(e) if e.is(EAGAIN) && hooks.probe(pid).is_err_and(|e| e.is(ESRCH)) => return held(pid, Detail::Busy),
                Err(e) if e.is(EAGAIN) => return held(pid, alive(hooks, pid)),
                other => looked = other.ok(),
            }
        }
        let (why, pid) = match self.judge(content, identity, settings)? {
            Ok(stale) => stale,
            Err(decided) => return Ok(decided),
        };
        // Nothing will be removed: what was found is what was there a moment ago.
        let stale = Ok(Outcome::because(STEADFAST_LOCK_STALE, why).with_pid(pid));
        let looked = match looked {
            Some(flock) => Ok(flock),
            None => hooks.lock(self.fd.raw(), LOCK_SH | LOCK_NB),
        };
        match looked {
            // With the flock nobody takes it over meanwhile.
            Ok(_flock) => self.changed(content, pid)?.map_or(stale, Ok),
            Err(e) => unlocked(e, pid),
        }
    }

    /// Removes it, if its owner is dead.
    fn clean(&mut self, content: &[u8], identity: &Identity, settings: &Settings) -> Result<Outcome, Outcome> {
        let (entry, hooks) = (self.entry, self.entry.hooks());
        // 2: is the owner dead, provably?
        let (why, pid) = match self.judge(content, identity, settings)? {
            Ok(stale) => stale,
            Err(decided) => return Ok(decided),
        };
        // 3: the flock of the inode, without waiting.
        let mut locked = hooks.lock(self.fd.raw(), LOCK_EX | LOCK_NB);
        if locked.as_ref().is_err_and(|e| e.is(EBADF)) {
            // Over NFS and CIFS an exclusive flock needs a descriptor that is open for writing (flock(2)).
            if let Ok(writable) = entry.open(CAREFUL | O_RDWR, 0) {
                if !same(&hooks.fstat(writable.raw()).at(STEADFAST_STEP_COMPARE)?, &self.stat) {
                    return Ok(Outcome::new(STEADFAST_LOCK_CHANGED).with_pid(pid));
                }
                self.fd = writable;
                locked = hooks.lock(self.fd.raw(), LOCK_EX | LOCK_NB);
            }
        }
        let _flock = match locked {
            Ok(flock) => flock,
            Err(e) => return unlocked(e, pid),
        };
        // 4: does the name still mean this inode, with the same content?
        if let Some(changed) = self.changed(content, pid)? {
            return Ok(changed);
        }
        // 5: remove it. The descriptor stays open until then, or its inode number could come back in another file.
        match entry.unlink() {
            Ok(()) => Ok(Outcome::because(STEADFAST_LOCK_REMOVED, why).with_pid(pid)),
            Err(e) if e.is(ENOENT) => Ok(Outcome::because(STEADFAST_LOCK_ABSENT, Detail::Absent)),
            Err(e) => Err(Outcome::failed(e, STEADFAST_STEP_UNLINK).with_pid(pid)),
        }
    }

    /// What has become of the lock, unless the name still means this inode and nobody has written to it: a record that was
    /// read beside an adoption is half the old one and half the new one.
    fn changed(&self, content: &[u8], pid: i32) -> Result<Option<Outcome>, Outcome> {
        let changed = Ok(Some(Outcome::new(STEADFAST_LOCK_CHANGED).with_pid(pid)));
        match self.entry.stat() {
            Ok(named) if same(&self.stat, &named) => {}
            Ok(_) => return changed,
            Err(e) if e.is(ENOENT) => return Ok(Some(Outcome::because(STEADFAST_LOCK_ABSENT, Detail::Absent))),
            Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_COMPARE).with_pid(pid)),
        }
        let now = self.entry.hooks().fstat(self.fd.raw()).at(STEADFAST_STEP_COMPARE)?;
        if (now.size, now.mtime_ns) != (self.stat.size, self.stat.mtime_ns) {
            return changed;
        }
        let mut again = [0u8; MOST + 1];
        if self.read(&mut again).at(STEADFAST_STEP_COMPARE)? == content { Ok(None) } else { changed }
    }

    /// Step 2.
    fn judge(&self, content: &[u8], identity: &Identity, settings: &Settings) -> Result<Judgement, Outcome> {
        let (hooks, fd, stat) = (self.entry.hooks(), self.fd.raw(), &self.stat);
        let pid = match format::parse(content) {
            Content::Pid(pid) => pid,
            Content::Empty if owner::is_ours(hooks, fd, stat) => return Ok(Ok((Detail::Emptied, 0))),
            Content::Empty if settings.empty_grace_ms > 0 => {
                let age = hooks.clock(STEADFAST_CLOCK_REALTIME).at(STEADFAST_STEP_CLOCK)?.saturating_sub(stat.mtime_ns);
                if age >= settings.empty_grace_ms.saturating_mul(1_000_000) {
                    return Ok(Ok((Detail::GraceOver, 0)));
                }
                return Ok(Err(self.undecided(Detail::Grace)));
            }
            Content::Empty => return Ok(Err(self.undecided(Detail::Empty))),
            Content::Malformed => return Ok(Err(self.undecided(Detail::Malformed))),
        };
        let trust_start = settings.has(STEADFAST_LOCK_TRUST_START_TIME);
        let owner = owner::judge(hooks, identity, fd, stat, pid, trust_start).at(STEADFAST_STEP_CHECK_OWNER)?;
        Ok(match owner {
            Owner::Dead(why) | Owner::Elsewhere(why) => Ok((why, pid)),
            Owner::Alive(why) => Err(Outcome::because(STEADFAST_LOCK_HELD, why).with_pid(pid)),
            Owner::Unknown(Detail::NamespaceUnseen) if self.is_seen_locked() => {
                Err(Outcome::because(STEADFAST_LOCK_HELD, Detail::Busy).with_pid(pid))
            }
            Owner::Unknown(why) => Err(Outcome::because(STEADFAST_LOCK_UNDECIDED, why).with_pid(pid)),
        })
    }

    /// Has somebody a flock on it?
    fn is_seen_locked(&self) -> bool {
        flock::is_held(self.entry.hooks(), self.fd.raw())
    }

    /// A file that names nobody: whoever has a flock on it (flock(1), say) is alive.
    fn undecided(&self, detail: Detail) -> Outcome {
        if self.is_seen_locked() {
            let holder = flock::holder(self.entry.hooks(), &self.stat).unwrap_or(0);
            return Outcome::because(STEADFAST_LOCK_HELD, Detail::FlockUser).with_pid(holder);
        }
        Outcome::because(STEADFAST_LOCK_UNDECIDED, detail)
    }
}

/// The reason why a lock that names `pid` is held.
fn alive(hooks: &Hooks, pid: i32) -> Detail {
    if hooks.getpid().is_ok_and(|own| own == pid) { Detail::OwnProcess } else { Detail::Alive }
}

/// The flock could not be taken.
fn unlocked(error: Errno, pid: i32) -> Result<Outcome, Outcome> {
    if error.is(EAGAIN) {
        return Ok(Outcome::because(STEADFAST_LOCK_HELD, Detail::Busy).with_pid(pid));
    }
    if flock::is_missing(error) || error.is(EBADF) {
        let lacking = Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::CleaningNeedsFlock).with_pid(pid);
        return Err(lacking.caused_by(error, STEADFAST_STEP_LOCK_FILE));
    }
    Err(Outcome::failed(error, STEADFAST_STEP_LOCK_FILE).with_pid(pid))
}

/// The file could not be opened.
fn unopened(entry: Entry<'_, '_>, error: Errno) -> Result<Outcome, Outcome> {
    // ELOOP (EMLINK on FreeBSD): a symbolic link. ENXIO: a socket, or a device without a driver (open(2)).
    if error.is_one_of(&[ELOOP, EMLINK, ENXIO]) {
        return Ok(Outcome::new(STEADFAST_LOCK_IGNORED));
    }
    let absent = || Ok(Outcome::because(STEADFAST_LOCK_ABSENT, Detail::Absent));
    if error.is(ENOENT) {
        return absent();
    }
    // A lease is being broken (fcntl(2), "Leases").
    if error.is(EAGAIN) {
        let holder = entry.stat().ok().and_then(|stat| flock::holder(entry.hooks(), &stat));
        return Ok(Outcome::because(STEADFAST_LOCK_HELD, Detail::Leased).with_pid(holder.unwrap_or(0)));
    }
    if error.is_one_of(&[EACCES, EPERM]) {
        return match entry.stat() {
            Ok(stat) if !is_regular(stat.mode) => Ok(Outcome::new(STEADFAST_LOCK_IGNORED)),
            Ok(_) => {
                let kept = Outcome::because(STEADFAST_LOCK_UNDECIDED, Detail::NoPermission);
                Ok(kept.caused_by(error, STEADFAST_STEP_OPEN_FILE))
            }
            Err(e) if e.is(ENOENT) => absent(),
            // The directory itself may not be searched.
            Err(_) => Err(Outcome::failed(error, STEADFAST_STEP_OPEN_FILE)),
        };
    }
    Err(Outcome::failed(error, STEADFAST_STEP_OPEN_FILE))
}
