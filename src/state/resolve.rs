//! Where to save: the directory, and what has the name in it.

use super::existing::Existing;
use super::options::*;
use crate::file::base::Start;
use crate::file::deadline::Retry;
use crate::file::entry::{Entry, same};
use crate::file::ownership::UNSYNCED;
use crate::file::path::{PATH_MAX, Path};
use crate::hooks::*;
use crate::status::*;

/// The longest chain of links followed, as in the kernel (path_resolution(7)).
pub const LINKS: u32 = 40;

/// A call that saves one state or many.
pub struct Session<'h> {
    pub start: Start<'h>,
    /// The last directory whose name was made durable because another process may just have made it.
    durable: Option<steadfast_stat>,
    /// Why the name of a directory on the way to the state is not durable, as far as this call knows: it may begin again.
    pub unsynced_parent: Option<Errno>,
    /// What the call has waited for other processes so far.
    pub retry: Retry,
    /// Is the newer file of an alternating state synced, where that is to be done, as soon as it is found?
    pub settles: bool,
    /// Is the payload in a temporary file already, so that the call cannot begin again when it has written?
    pub is_streamed: bool,
}

impl<'h> Session<'h> {
    /// Relative paths begin at `start`; the whole call waits up to `timeout_ms` for others, a negative one for ever.
    pub fn new(start: Start<'h>, timeout_ms: i64) -> Session<'h> {
        Session { start, durable: None, unsynced_parent: None, retry: Retry::new(timeout_ms), settles: true, is_streamed: false }
    }
}

/// Where a state is, or will be.
pub struct Target<'h> {
    pub dir: Fd<'h>,
    pub current: Option<Existing<'h>>,
}

/// Steps 1 and 2: the directory first, then what is there. `path` goes where the links at its end lead.
pub fn open<'h>(
    session: &mut Session<'h>,
    path: &mut Path,
    request: &SaveRequest<'_>,
    retry: &mut Retry,
) -> Result<Target<'h>, Outcome> {
    const STEP: i32 = STEADFAST_STEP_INSPECT_TARGET;
    for _ in 0..LINKS {
        let mut opened = session.start.open_directory(path.directory(), 0);
        let mut made = false;
        if opened.as_ref().is_err_and(|e| e.is(ENOENT)) && request.has(STEADFAST_SAVE_CREATE_PARENTS) {
            let unsynced = make_parents(&session.start, path, request)?;
            session.unsynced_parent = session.unsynced_parent.or(unsynced);
            opened = session.start.open_directory(path.directory(), 0);
            made = true;
        }
        let dir = opened.at(STEADFAST_STEP_OPEN_DIRECTORY)?;
        let entry = Entry::new(&dir, path.name());
        let current = match Existing::open(entry, retry, STEP) {
            Err(e) if e.status == STEADFAST_E_SYMLINK && request.has(STEADFAST_SAVE_FOLLOW_SYMLINK) => {
                let mut buf = [0u8; PATH_MAX];
                let link = read_link(entry, &mut buf)?;
                path.follow(link).at(STEADFAST_STEP_READ_LINK)?;
                continue;
            }
            opened => opened?,
        };
        if current.as_ref().is_some_and(Existing::is_mount_root) && !request.has(STEADFAST_SAVE_IN_PLACE) {
            return Err(Outcome::failed(Errno::of(EBUSY), STEP).with_detail(Detail::MountPoint));
        }
        if made && session.unsynced_parent.is_none() && !request.skips_sync() {
            session.durable = dir.hooks().fstat(dir.raw()).ok();
        }
        let fresh = current.as_ref().is_none_or(|current| current.stat.mode & UNSYNCED != 0);
        if fresh && !made && request.has(STEADFAST_SAVE_CREATE_PARENTS) {
            let unsynced = make_durable(session, &dir, request)?;
            session.unsynced_parent = session.unsynced_parent.or(unsynced);
        }
        return Ok(Target { dir, current });
    }
    Err(Outcome::failed(Errno::of(ELOOP), STEADFAST_STEP_READ_LINK))
}

/// Makes the name of a directory durable that holds no state yet, or only one that was never synced: another process may have
/// made it a moment ago, and be about to sync its parent, or have made it without a sync. The directories above it that
/// process has synced before it made this one, unless it was told not to.
fn make_durable(session: &mut Session<'_>, dir: &Fd<'_>, request: &SaveRequest<'_>) -> Result<Option<Errno>, Outcome> {
    const STEP: i32 = STEADFAST_STEP_MAKE_PARENT;
    let hooks = dir.hooks();
    if request.skips_sync() || hooks.absent(STEADFAST_ABSENT_DIR_FSYNC) {
        return Ok(None);
    }
    let stat = hooks.fstat(dir.raw()).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
    if session.start.is_limit(&stat) || session.durable.is_some_and(|durable| same(&durable, &stat)) {
        return Ok(None);
    }
    let parent = match hooks.openat(dir.raw(), c"..", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK, 0) {
        // As in sync_parent_of.
        Err(e) if e.is(EACCES) => return Ok(None),
        opened => opened.at(STEP)?,
    };
    let unsynced = sync_parent(&parent, request)?;
    if unsynced.is_none() {
        session.durable = Some(stat);
    }
    Ok(unsynced)
}

/// Syncs a directory for a name in it. An error is a reservation, with STRICT an error.
fn sync_parent(parent: &Fd<'_>, request: &SaveRequest<'_>) -> Result<Option<Errno>, Outcome> {
    match parent.hooks().fsync(parent.raw()) {
        Ok(()) => Ok(None),
        Err(e) if request.has(STEADFAST_SAVE_STRICT) => {
            Err(Outcome::new(STEADFAST_E_NOT_SAVED_DURABLY).caused_by(e, STEADFAST_STEP_MAKE_PARENT))
        }
        Err(e) => Ok(Some(e)),
    }
}

/// The target of the symbolic link that has this name. The kernel's rule for links in directories like /tmp holds whatever
/// its setting is (proc_sys_fs(5), protected_symlinks): in a sticky directory that others may write, only the caller's own
/// links and those of the directory's owner are followed.
pub fn read_link<'b>(entry: Entry<'_, '_>, buf: &'b mut [u8; PATH_MAX]) -> Result<&'b [u8], Outcome> {
    const STEP: i32 = STEADFAST_STEP_READ_LINK;
    const SHARED: u32 = 0o1002;
    let hooks = entry.hooks();
    let directory = hooks.fstat(entry.dir()).at(STEP)?;
    if directory.mode & SHARED == SHARED {
        let owner = entry.stat().at(STEP)?.uid;
        if owner != directory.uid && owner != hooks.geteuid().at(STEP)? {
            return Err(Outcome::failed(Errno::of(EACCES), STEP).with_detail(Detail::ForeignLink));
        }
    }
    entry.readlink(buf).at(STEP)
}

/// Makes every missing directory on the way, syncing the parent of each, and of the last one that was there: another process
/// may have made that one a moment ago. An unsynced parent is a reservation, with STRICT an error.
fn make_parents(start: &Start<'_>, path: &Path, request: &SaveRequest<'_>) -> Result<Option<Errno>, Outcome> {
    const STEP: i32 = STEADFAST_STEP_MAKE_PARENT;
    let hooks = start.hooks();
    let whole = path.directory().to_bytes();
    let syncs = !request.skips_sync() && !hooks.absent(STEADFAST_ABSENT_DIR_FSYNC);
    let mut unsynced = None;
    // The path whose last directory was there already, and below which nothing was made so far.
    let mut there: Option<Path> = None;
    let ends = whole.iter().enumerate().filter(|&(at, &byte)| byte == b'/' && at > 0).map(|(at, _)| at).chain([whole.len()]);
    for end in ends {
        let mut made = Path::empty();
        match made.set(whole.get(..end).unwrap_or(whole)) {
            Ok(()) => {}
            // "." and "..", and a slash after a slash.
            Err(e) if e.is(EISDIR) => continue,
            Err(e) => return Err(Outcome::failed(e, STEP)),
        }
        // Only to name files in it: one on the way need not be readable.
        let parent = start.open_directory(made.directory(), O_PATH).at(STEP)?;
        match hooks.mkdir(parent.raw(), made.name(), 0o777) {
            Ok(()) => {}
            Err(e) if e.is(EEXIST) => {
                there = Some(made);
                continue;
            }
            // A parent that we may not write to, on the way: mkdir says so before it says that it is there.
            Err(e) if e.is_one_of(&[EACCES, EROFS]) && Entry::new(&parent, made.name()).stat().is_ok() => continue,
            Err(e) => return Err(Outcome::failed(e, STEP)),
        }
        if let Some(there) = there.take().filter(|_| syncs) {
            unsynced = sync_parent_of(start, &there, false, request)?.or(unsynced);
        }
        if syncs {
            unsynced = sync_parent_of(start, &made, true, request)?.or(unsynced);
        }
    }
    // What was missing a moment ago, and is there now.
    if let Some(there) = there.filter(|_| syncs) {
        unsynced = sync_parent_of(start, &there, false, request)?.or(unsynced);
    }
    Ok(unsynced)
}

/// Syncs the directory that `path` is in. `ours`: this call has made `path`. Who may not read a directory cannot sync it, nor be
/// the one who made something in it just now.
fn sync_parent_of(start: &Start<'_>, path: &Path, ours: bool, request: &SaveRequest<'_>) -> Result<Option<Errno>, Outcome> {
    match start.open_directory(path.directory(), 0) {
        Ok(parent) => sync_parent(&parent, request),
        Err(e) if e.is(EACCES) && !ours => Ok(None),
        Err(e) if request.has(STEADFAST_SAVE_STRICT) => {
            Err(Outcome::new(STEADFAST_E_NOT_SAVED_DURABLY).caused_by(e, STEADFAST_STEP_MAKE_PARENT))
        }
        Err(e) => Ok(Some(e)),
    }
}
