//! The save sequence. Its order is the proof; the steps are numbered as the report names them.
#![forbid(unsafe_code)]

use super::current::{self, Current};
use super::previous;
use super::record::{self, Fields};
use super::temp::Temp;
use crate::hooks::*;
use crate::path::{self, PATH_MAX, Path, Text};
use crate::status::*;
use core::ffi::CStr;

/// A file or directory that cannot be made durable is an error, not a reservation.
pub const STEADFAST_SAVE_STRICT: u32 = 1 << 0;
/// The verified previous generation stays as PATH.prev.
pub const STEADFAST_SAVE_KEEP_PREVIOUS: u32 = 1 << 1;
/// Compare and swap: STEADFAST_E_CONFLICT unless the state there has expected_generation.
pub const STEADFAST_SAVE_IF_GENERATION: u32 = 1 << 2;
/// Save to what the link at PATH points to; without it a link is refused.
pub const STEADFAST_SAVE_FOLLOW_SYMLINK: u32 = 1 << 3;
/// Make missing parent directories, durably.
pub const STEADFAST_SAVE_CREATE_PARENTS: u32 = 1 << 4;
/// Reserved for overwriting the spare generation in place: until then the same as KEEP_PREVIOUS.
pub const STEADFAST_SAVE_RECYCLE: u32 = 1 << 5;
/// Atomic and verified, but no fsync at all: always NOT_DURABLE, on_disk EITHER; with STRICT -EINVAL.
pub const STEADFAST_SAVE_NO_SYNC: u32 = 1 << 6;
/// All bits above.
pub const SAVE_ALL: u32 = (1 << 7) - 1;

/// The longest chain of links followed, as in the kernel (path_resolution(7)).
const LINKS: u32 = 40;

/// What to save, and how.
pub struct Request<'a> {
    pub data: &'a [u8],
    pub flags: u32,
    pub mode: u32,
    pub schema: u32,
    pub expected_generation: u64,
}

impl Request<'_> {
    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn keeps_previous(&self) -> bool {
        self.flags & (STEADFAST_SAVE_KEEP_PREVIOUS | STEADFAST_SAVE_RECYCLE) != 0
    }
}

/// Whether the content of the temporary file is on the disk.
enum Synced {
    Yes,
    /// NO_SYNC.
    Skipped,
    /// The file system has no fsync.
    Unsupported(Errno),
    /// It failed, twice, on two inodes.
    Failed(Errno),
}

/// Saves `request` at `path`.
pub fn save(hooks: &Hooks, path: &mut Path, request: &Request<'_>) -> Result<Outcome, Outcome> {
    if request.has(STEADFAST_SAVE_STRICT) && hooks.absent(STEADFAST_ABSENT_DIR_FSYNC) {
        return Err(Outcome::because(STEADFAST_E_NOT_SAVED_DURABLY, Detail::NO_DIR_FSYNC_STRICT));
    }
    if request.has(STEADFAST_SAVE_IF_GENERATION) && hooks.absent(STEADFAST_ABSENT_FLOCK) {
        return Err(current::no_flock(Errno::of(ENOSYS)));
    }
    // 1, 2: the directory first, then the target.
    let mut target = open_target(hooks, path, request)?;
    let _streams = hooks.keep_off_streams(&target.dir);
    let (dir, name) = (target.dir.raw(), path.name());
    // 3: what is there.
    let (generation, verified) = next_generation(hooks, &mut target, name, request)?;
    let saved_at_ns = hooks.clock(STEADFAST_CLOCK_REALTIME).at(STEADFAST_STEP_CLOCK)?;
    let header = record::header(&Fields { generation, saved_at_ns, schema: request.schema }, request.data);
    // 4 to 7: the new file.
    let (mut temp, synced, _spent) = write_new(hooks, &target, name, request, &header)?;
    if let (Synced::Failed(e) | Synced::Unsupported(e), true) = (&synced, request.has(STEADFAST_SAVE_STRICT)) {
        return Err(Outcome::new(STEADFAST_E_NOT_SAVED_DURABLY).caused_by(*e, STEADFAST_STEP_SYNC_FILE));
    }
    // 8: the previous generation. After a failed sync it is kept in any case: the new content may be lost.
    let wanted = request.keeps_previous();
    if let Some(current) = target.current.as_ref().filter(|_| wanted || matches!(synced, Synced::Failed(_))) {
        let sync = !request.has(STEADFAST_SAVE_NO_SYNC);
        match previous::keep(hooks, dir, name, &temp, current, verified, sync) {
            Err(outcome) if wanted => return Err(outcome),
            _ => {}
        }
    }
    // 9: the rename.
    publish(hooks, dir, name, &mut temp, request, target.current.as_ref())?;
    // The new file is the current state now: its flock belongs to savers that compare and swap, and a
    // child forked meanwhile must not keep it. The same holds for the old one.
    let _ = hooks.flock(temp.fd.raw(), LOCK_UN);
    drop(target.current.take());
    // 10: its durability.
    let done = Outcome::new(STEADFAST_NOT_DURABLE).with_generation(generation).with_on_disk(STEADFAST_ON_DISK_EITHER);
    match synced {
        Synced::Yes => {}
        Synced::Skipped => return Ok(done.with_detail(Detail::NO_SYNC)),
        // With the content not known to be on disk, a synced name is worse than none: after a power cut
        // xfs and btrfs then show an empty file, where without it the old file is still there.
        Synced::Unsupported(e) | Synced::Failed(e) => return Ok(done.caused_by(e, STEADFAST_STEP_SYNC_FILE)),
    }
    if hooks.absent(STEADFAST_ABSENT_DIR_FSYNC) {
        return Ok(done.with_detail(Detail::NO_DIR_FSYNC));
    }
    match hooks.fsync(dir) {
        Ok(()) => Ok(match target.parents_synced {
            None => done.with_status(STEADFAST_OK).with_on_disk(STEADFAST_ON_DISK_NEW),
            Some(e) => done.caused_by(e, STEADFAST_STEP_MAKE_PARENT),
        }),
        Err(e) => {
            let status = if request.has(STEADFAST_SAVE_STRICT) { STEADFAST_E_SAVED_NOT_DURABLE } else { STEADFAST_NOT_DURABLE };
            Ok(done.with_status(status).caused_by(e, STEADFAST_STEP_SYNC_DIRECTORY))
        }
    }
}

/// Where to save.
struct Target<'h> {
    dir: Fd<'h>,
    current: Option<Current<'h>>,
    /// Why a parent directory that we made is not durable.
    parents_synced: Option<Errno>,
}

fn open_target<'h>(hooks: &'h Hooks, path: &mut Path, request: &Request<'_>) -> Result<Target<'h>, Outcome> {
    let mut parents_synced = None;
    for _ in 0..LINKS {
        let dir = match open_directory(hooks, path) {
            Err(outcome) if outcome.status() == ENOENT.wrapping_neg() && request.has(STEADFAST_SAVE_CREATE_PARENTS) => {
                parents_synced = make_parents(hooks, path, request)?;
                open_directory(hooks, path)?
            }
            other => other?,
        };
        match current::open(hooks, dir.raw(), path.name()) {
            Err(outcome) if outcome.status() == STEADFAST_E_SYMLINK && request.has(STEADFAST_SAVE_FOLLOW_SYMLINK) => {
                follow(hooks, dir.raw(), path)?;
            }
            current => return Ok(Target { dir, current: current?, parents_synced }),
        }
    }
    Err(Outcome::failed(Errno::of(ELOOP), STEADFAST_STEP_READ_LINK))
}

/// Goes where the symbolic link at `path` leads.
pub fn follow(hooks: &Hooks, dir: i32, path: &mut Path) -> Result<(), Outcome> {
    let mut buf = [0u8; PATH_MAX];
    let link = hooks.readlink(dir, path.name(), &mut buf).at(STEADFAST_STEP_READ_LINK)?;
    path.follow(link).at(STEADFAST_STEP_READ_LINK)
}

/// Opens the directory of `path`.
pub fn open_directory<'h>(hooks: &'h Hooks, path: &Path) -> Result<Fd<'h>, Outcome> {
    hooks.open_directory(path.directory(), 0).at(STEADFAST_STEP_OPEN_DIRECTORY)
}

/// Makes every missing directory on the way, syncing the parent of each. An unsynced parent is a reservation,
/// with STRICT an error.
fn make_parents(hooks: &Hooks, path: &Path, request: &Request<'_>) -> Result<Option<Errno>, Outcome> {
    const STEP: i32 = STEADFAST_STEP_MAKE_PARENT;
    let whole = path.directory().to_bytes();
    let mut unsynced = None;
    let ends = whole.iter().enumerate().filter(|&(at, &byte)| byte == b'/' && at > 0).map(|(at, _)| at).chain([whole.len()]);
    for end in ends {
        let directory: Text<PATH_MAX> = Text::new(&[whole.get(..end).unwrap_or_default()]).at(STEP)?;
        match hooks.mkdir(directory.c_str(), 0o777) {
            Ok(()) => {}
            Err(e) if e.is(EEXIST) || e.is(EISDIR) => continue,
            // A parent that we may not write to, on the way: mkdir says so before it says that it is there.
            Err(e) if (e.is(EACCES) || e.is(EROFS)) && hooks.fstatat(AT_FDCWD, directory.c_str()).is_ok() => continue,
            Err(e) => return Err(Outcome::failed(e, STEP)),
        }
        if request.has(STEADFAST_SAVE_NO_SYNC) || hooks.absent(STEADFAST_ABSENT_DIR_FSYNC) {
            continue;
        }
        let mut made = Path::EMPTY;
        let synced = made.set(directory.bytes()).and_then(|()| {
            let parent = hooks.openat(AT_FDCWD, made.directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)?;
            hooks.fsync(parent.raw())
        });
        if let Err(e) = synced {
            if request.has(STEADFAST_SAVE_STRICT) {
                return Err(Outcome::new(STEADFAST_E_NOT_SAVED_DURABLY).caused_by(e, STEP));
            }
            unsynced = Some(e);
        }
    }
    Ok(unsynced)
}

/// Step 3: the generation to write, and whether the current state has been verified. For IF_GENERATION its
/// flock is taken first.
#[inline(never)]
fn next_generation<'h>(
    hooks: &'h Hooks,
    target: &mut Target<'h>,
    name: &CStr,
    request: &Request<'_>,
) -> Result<(u64, bool), Outcome> {
    let swap = request.has(STEADFAST_SAVE_IF_GENERATION);
    if swap {
        target.current = current::hold(hooks, target.dir.raw(), name, target.current.take())?;
    }
    let mut verified = false;
    let there = match &target.current {
        None => None,
        Some(current) if swap || request.keeps_previous() => match current.verify(hooks)? {
            Ok(generation) => {
                verified = true;
                Some(generation)
            }
            Err(code) if swap => return Err(Outcome::new(code)),
            Err(_) => None,
        },
        Some(current) => current.read_generation(hooks)?,
    };
    if swap && there != Some(request.expected_generation).filter(|&expected| expected != 0) {
        return Err(Outcome::new(STEADFAST_E_CONFLICT).with_generation(there.unwrap_or(0)));
    }
    match there.unwrap_or(0).checked_add(1) {
        Some(next) => Ok((next, verified)),
        None => Err(Outcome::because(EOVERFLOW.wrapping_neg(), Detail::LAST_GENERATION)),
    }
}

/// Steps 4 to 7, a second time on a fresh inode when the sync fails. The third value keeps the first inode
/// open, so that the second is a different one.
fn write_new<'h>(
    hooks: &'h Hooks,
    target: &Target<'h>,
    name: &CStr,
    request: &Request<'_>,
    header: &[u8],
) -> Result<(Temp<'h>, Synced, Option<Temp<'h>>), Outcome> {
    let (mut first, synced) = write_once(hooks, target, name, request, header)?;
    if !matches!(synced, Synced::Failed(_)) {
        return Ok((first, synced, None));
    }
    // After a failed fsync the kernel has dropped the dirty pages and forgotten the error: another fsync of
    // this inode would answer 0 with nothing on disk (fsync(2), "Errors"; Rebello et al., ATC'20).
    first.remove();
    let (second, synced) = write_once(hooks, target, name, request, header)?;
    if matches!(synced, Synced::Failed(_)) {
        second.mark_unsynced();
    }
    Ok((second, synced, Some(first)))
}

fn write_once<'h>(
    hooks: &'h Hooks,
    target: &Target<'h>,
    name: &CStr,
    request: &Request<'_>,
    header: &[u8],
) -> Result<(Temp<'h>, Synced), Outcome> {
    let temp = Temp::create(hooks, target.dir.raw(), name, 0o600).at(STEADFAST_STEP_CREATE_TEMP)?;
    let fd = temp.fd.raw();
    write_record(hooks, fd, header, request.data).at(STEADFAST_STEP_WRITE)?;
    let mode = if request.mode == 0 { 0o600 } else { request.mode };
    temp.set_owner_and_mode(target.current.as_ref().map(|current| &current.stat), mode).at(STEADFAST_STEP_SET_MODE)?;
    if request.has(STEADFAST_SAVE_NO_SYNC) {
        return Ok((temp, Synced::Skipped));
    }
    let synced = match hooks.fsync(fd) {
        Ok(()) => Synced::Yes,
        Err(e) if e.unsupported() => Synced::Unsupported(e),
        Err(e) => Synced::Failed(e),
    };
    Ok((temp, synced))
}

/// A small record goes out in one write, from one page: a call costs more than the copy.
fn write_record(hooks: &Hooks, fd: i32, header: &[u8], data: &[u8]) -> Result<(), Errno> {
    let mut small = [0u8; 4096];
    let len = header.len().saturating_add(data.len());
    match small.get_mut(..len).and_then(|whole| whole.split_at_mut_checked(header.len())) {
        Some((first, rest)) => {
            first.copy_from_slice(header);
            rest.copy_from_slice(data);
            hooks.write_all(fd, &[small.get(..len).unwrap_or_default()])
        }
        None => hooks.write_all(fd, &[header, data]),
    }
}

/// Somebody else was first: with the generation that is there now.
fn conflict(hooks: &Hooks, dir: i32, name: &CStr) -> Outcome {
    let there =
        current::open(hooks, dir, name).and_then(|current| current.map_or(Ok(None), |current| current.read_generation(hooks)));
    Outcome::because(STEADFAST_E_CONFLICT, Detail::SAVED_MEANWHILE).with_generation(there.ok().flatten().unwrap_or(0))
}

/// Step 9.
fn publish(
    hooks: &Hooks,
    dir: i32,
    name: &CStr,
    temp: &mut Temp<'_>,
    request: &Request<'_>,
    current: Option<&Current<'_>>,
) -> Result<(), Outcome> {
    const STEP: i32 = STEADFAST_STEP_RENAME;
    let mut flags = 0;
    if request.has(STEADFAST_SAVE_IF_GENERATION) {
        match current {
            None => flags = RENAME_NOREPLACE,
            Some(current) if current::still_named(hooks, dir, name, &current.stat).at(STEP)? => {}
            Some(_) => return Err(conflict(hooks, dir, name)),
        }
    }
    let mut renamed = hooks.rename(dir, temp.name.c_str(), name, flags);
    if flags != 0 && renamed.is_err_and(Errno::unsupported) {
        // link refuses an existing name as well; the temporary one then goes when `temp` is dropped.
        renamed = hooks.link(dir, temp.name.c_str(), dir, name, 0);
        if renamed.is_ok() {
            temp.remove();
        }
    }
    let Err(error) = renamed else {
        temp.published();
        return Ok(());
    };
    // Over NFS, a rename whose answer was lost is repeated and then fails, although it happened.
    let happened = current::still_named(hooks, dir, name, &temp.stat);
    temp.remove_if_ours();
    match happened {
        Ok(true) => Ok(()),
        Ok(false) if flags != 0 && error.is(EEXIST) => Err(conflict(hooks, dir, name)),
        Ok(false) if error.is(EBUSY) => Err(Outcome::failed(error, STEP).with_detail(Detail::MOUNT_POINT)),
        Ok(false) => Err(Outcome::failed(error, STEP)),
        Err(_) => Err(Outcome::new(STEADFAST_E_INDETERMINATE).with_on_disk(STEADFAST_ON_DISK_EITHER).caused_by(error, STEP)),
    }
}

/// Is NAME.prev too long a name? KEEP_PREVIOUS then fails before anything is written.
pub fn check_previous_name(name: &CStr, request: &Request<'_>) -> Result<(), Outcome> {
    if request.keeps_previous() { path::previous(name).map(|_| ()).at(STEADFAST_STEP_ARGUMENTS) } else { Ok(()) }
}
