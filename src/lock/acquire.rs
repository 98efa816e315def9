//! Taking a lock.

use super::candidate::{Candidate, Published, Writer};
use super::examine;
use super::held::{self, Held, Keeper, Place};
use super::identity::Identity;
use super::options::*;
use super::queue::Queue;
use super::watch::Watch;
use crate::file::base::Start;
use crate::file::entry::{CAREFUL, Entry};
use crate::file::filesystem;
use crate::file::path::Path;
use crate::hooks::*;
use crate::status::*;

/// How often in a row the lock may change hands between two calls of ours, before that is taken for a defect.
const ATTEMPTS: u32 = 10_000;

/// How a lock is to be taken.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub identity: &'a Identity,
    pub settings: &'a Settings,
    /// 0 tries once, a negative one waits for ever.
    pub timeout_ms: i64,
    /// Is there a report for what there is to say about a lock that was taken?
    pub reported: bool,
}

/// Takes the lock at `path`.
pub fn acquire(start: &Start<'_>, path: &Path, request: &Request<'_>) -> Result<(Held, Outcome), Outcome> {
    let hooks = start.hooks();
    let settings = request.settings;
    let waits = request.timeout_ms != 0;
    let (dir, _fillers) = open_directory(start, path, waits)?;
    let place = Place::of(&dir, path)?;
    let target = Entry::new(&dir, path.name());
    let own = hooks.getpid().at(STEADFAST_STEP_CREATE_LOCK)?;
    let inherit = settings.has(STEADFAST_LOCK_INHERIT);
    let close_on_exec = if inherit { 0 } else { O_CLOEXEC };
    let writer = Writer { identity: request.identity, settings, own, close_on_exec };
    let mut candidate = writer.nameless(&dir)?;
    // Set where a file that was given the lock's name is not the file that was locked.
    let mut by_name = false;
    let mut wait: Option<(Watch<'_>, Queue<'_>)> = None;
    let mut taken_over = None;
    // Waiters are not overtaken by someone who is ready to wait as well.
    let mut barred = waits && Queue::is_waited_for(&dir, path.name());
    let mut lookups = 0u32;
    while lookups < ATTEMPTS {
        lookups = lookups.saturating_add(1);
        if !barred {
            let published = if by_name {
                writer.by_name(target)?
            } else {
                if matches!(candidate, Candidate::Missing) {
                    candidate = writer.private(target)?;
                }
                candidate.publish(target)?
            };
            match published {
                Published::Yes(file, stat) => match secure(target, file, &stat, inherit, by_name)? {
                    Secured::Yes(keeper) => {
                        let outcome = describe(&dir, own, taken_over, request);
                        let watch = wait.and_then(|(watch, _)| watch.into_raw());
                        let _ = dir.into_raw();
                        let mut held = Held { place, stat, keeper, watch, pid: own, pid_namespace: 0 };
                        held.belongs_to(hooks, request.identity, own);
                        return Ok((held, outcome));
                    }
                    Secured::Lost => {}
                    Secured::Unseen if by_name => return Err(unseen()),
                    Secured::Unseen => by_name = true,
                },
                Published::Unlinkable => continue,
                Published::Exists => {}
            }
        }
        let found = examine::examine(target, request.identity, settings, true)?;
        match found.status {
            STEADFAST_LOCK_REMOVED => {
                taken_over = Some(found);
                continue;
            }
            STEADFAST_LOCK_ABSENT | STEADFAST_LOCK_CHANGED if !barred => continue,
            STEADFAST_LOCK_IGNORED => return Err(no_lock(target)),
            _ => {}
        }
        let (watch, queue) = match &mut wait {
            Some(wait) => wait,
            None => {
                let queue = if waits { Queue::join(&dir, path.name()) } else { Queue::none(hooks) };
                wait.insert((Watch::new(&dir, path, request.timeout_ms, settings)?, queue))
            }
        };
        let free = matches!(found.status, STEADFAST_LOCK_ABSENT | STEADFAST_LOCK_CHANGED);
        let in_time = watch.until_changed(&found, free)?;
        let left_to_others = free && barred;
        if !(in_time || left_to_others) {
            return Err(found.with_status(STEADFAST_E_LOCKED));
        }
        lookups = 0;
        // A free lock is not left for ever to someone who does not come: a stopped process waits in front.
        barred = in_time && queue.has_someone_before() && !watch.is_patience_over();
    }
    Err(Outcome::failed(Errno::of(EAGAIN), STEADFAST_STEP_LINK))
}

/// Opens the lock's directory, for reading if others who wait are to be seen. Its descriptor lives on, so it is never
/// number 0, 1 or 2.
fn open_directory<'h>(start: &Start<'h>, path: &Path, waits: bool) -> Result<(Fd<'h>, Fillers<'h>), Outcome> {
    let reading = if waits { start.open_directory(path.directory(), 0).ok() } else { None };
    let dir = match reading {
        Some(dir) => dir,
        None => examine::open_directory(start, path)?,
    };
    let fillers = Fillers::of(&dir);
    if dir.raw() > 2 {
        return Ok((dir, fillers));
    }
    let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | if waits { 0 } else { O_PATH };
    let again = start.hooks().openat(dir.raw(), c".", flags, 0).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
    Ok((again, fillers.with(dir)))
}

/// Is a lock that was given its name held, as others see it?
enum Secured {
    Yes(Keeper),
    /// Another process has it by now.
    Lost,
    /// The flock is not seen through the name, which is gone again.
    Unseen,
}

/// Makes sure that the flock of `file` outlives its descriptor, where that can be, and that it is seen by whoever opens the
/// lock by its name. Over FUSE a hard link may be another inode, with another flock; comparing numbers does not show it.
fn secure(target: Entry<'_, '_>, file: Fd<'_>, stat: &steadfast_stat, inherit: bool, by_name: bool) -> Result<Secured, Outcome> {
    let hooks = target.hooks();
    let mappable = !(inherit || by_name) && filesystem::mapping_keeps_flock(hooks, file.raw());
    let mapped = if mappable { hooks.map(file.raw()).ok() } else { None };
    // The descriptor of a mapped file is not needed, and no forked child is to keep it.
    let kept = if mapped.is_some() { drop_file(file) } else { Some(file) };
    let seen = is_seen(target).or_else(|error| {
        // It cannot be asked. Either the name goes again, or, if that fails as well, the lock is as good as held: the file
        // names this process.
        let removed = target.is(stat) == Ok(true) && target.unlink().is_ok();
        if removed { Err(error) } else { Ok(true) }
    });
    if seen == Ok(true) {
        return Ok(Secured::Yes(match (mapped, kept) {
            (Some(address), _) => Keeper::Mapping(address),
            (None, Some(file)) if inherit => Keeper::Inherited(file.into_raw()),
            (None, Some(file)) => Keeper::Descriptor(file.into_raw()),
            (None, None) => return Err(Outcome::internal()),
        }));
    }
    if let Some(address) = mapped {
        let _ = hooks.unmap(address);
    }
    seen.and_then(|_| give_up(target))
}

/// Closes it.
fn drop_file(file: Fd<'_>) -> Option<Fd<'_>> {
    drop(file);
    None
}

/// Does whoever opens the lock by its name find it locked?
fn is_seen(target: Entry<'_, '_>) -> Result<bool, Outcome> {
    let fd = match target.open(CAREFUL, 0) {
        Ok(fd) => fd,
        Err(e) if e.is(ENOENT) => return Ok(false),
        // A mode that lets nobody read it.
        Err(e) if e.is(EACCES) => return Ok(true),
        Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_LINK)),
    };
    match target.hooks().lock(fd.raw(), LOCK_SH | LOCK_NB) {
        Ok(_flock) => Ok(false),
        Err(e) if e.is(EAGAIN) => Ok(true),
        Err(e) => Err(Outcome::failed(e, STEADFAST_STEP_LOCK_FILE)),
    }
}

/// Removes the name again that was given to a record whose flock is not seen. The record names this process, so nobody takes
/// it for stale here; and nobody does elsewhere, once the flock of what has the name is ours.
fn give_up(target: Entry<'_, '_>) -> Result<Secured, Outcome> {
    let hooks = target.hooks();
    let fd = match target.open(CAREFUL | O_RDWR, 0) {
        Ok(fd) => fd,
        Err(e) if e.is(ENOENT) => return Ok(Secured::Lost),
        Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_LINK)),
    };
    let _flock = match hooks.lock(fd.raw(), LOCK_EX | LOCK_NB) {
        Ok(flock) => flock,
        Err(e) if e.is(EAGAIN) => return Ok(Secured::Lost),
        Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_LOCK_FILE)),
    };
    let stat = hooks.fstat(fd.raw()).at(STEADFAST_STEP_COMPARE)?;
    let ours = held::named_pid(hooks, &fd)? == hooks.getpid().at(STEADFAST_STEP_COMPARE)?;
    if !ours || !target.is(&stat).at(STEADFAST_STEP_COMPARE)? {
        return Ok(Secured::Lost);
    }
    target.unlink().at(STEADFAST_STEP_UNLINK)?;
    Ok(Secured::Unseen)
}

/// What there is to say about a lock just taken.
fn describe(dir: &Fd<'_>, own: i32, taken_over: Option<Outcome>, request: &Request<'_>) -> Outcome {
    let mut outcome = Outcome::new(STEADFAST_OK).with_pid(own);
    if let Some(stale) = taken_over {
        outcome = outcome.with_detail(Detail::TakenOver).with_pid(stale.pid);
    }
    if request.reported && filesystem::shared_between_machines(dir.hooks(), dir.raw()) {
        outcome = outcome.with_detail(Detail::Network);
    }
    outcome
}

/// What is under the lock's name is no regular file.
fn no_lock(target: Entry<'_, '_>) -> Outcome {
    let link = target.stat().is_ok_and(|stat| is_symlink(stat.mode));
    Outcome::new(if link { STEADFAST_E_SYMLINK } else { STEADFAST_E_NOT_REGULAR })
}

/// This file system shows a flock to nobody but its holder.
fn unseen() -> Outcome {
    Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::FlockUnseen).with_step(STEADFAST_STEP_LOCK_FILE)
}
