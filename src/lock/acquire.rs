//! Taking a lock.

use super::candidate::{Candidate, Published, Writer};
use super::examine;
use super::held::{self, Held, Keeper, Place, Watched};
use super::identity::Identity;
use super::options::*;
use super::queue::Queue;
use super::watch::Watch;
use crate::file::base::Start;
use crate::file::deadline::{Deadline, Retry};
use crate::file::entry::{CAREFUL, Entry, same};
use crate::file::filesystem::{self, Kind};
use crate::file::flock;
use crate::file::path::Path;
use crate::hooks::*;
use crate::status::*;

/// How often in a row the lock may change hands between two calls of ours, before that is taken for a defect.
const ATTEMPTS: u32 = 10_000;

/// How long somebody's look at a lock may hold its flock, as far as the timeout allows: 5 ms to a second.
const LOOK_MS: (i64, i64) = (5, 1000);

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
    let by_path = start.is_working_directory_for(path.directory()).then_some(path.directory());
    let target = Entry::new(&dir, path.name());
    let own = hooks.getpid().at(STEADFAST_STEP_CREATE_LOCK)?;
    let inherit = settings.has(STEADFAST_LOCK_INHERIT);
    let close_on_exec = if inherit { 0 } else { O_CLOEXEC };
    let look_ms = if request.timeout_ms < 0 { LOOK_MS.1 } else { request.timeout_ms.clamp(LOOK_MS.0, LOOK_MS.1) };
    let deadline = if waits { Deadline::after(hooks, request.timeout_ms).at(STEADFAST_STEP_CLOCK)? } else { Deadline::never() };
    let look = Retry::within(look_ms, deadline);
    let writer = Writer { identity: request.identity, settings, own, close_on_exec, look };
    let kind = filesystem::kind(&dir);
    // Where a file that is given another name may not be the file that was locked.
    let mut by_name = kind == Kind::Fuse;
    let mut candidate = if by_name { Candidate::Missing } else { writer.nameless(&dir)? };
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
                Published::Yes(file, stat) => match secure(target, file, &stat, &writer, by_name, kind)? {
                    Secured::Yes(keeper) => {
                        let outcome = describe(&dir, own, taken_over, request);
                        let watch = wait
                            .and_then(|(watch, _)| watch.into_inotify())
                            .and_then(|inotify| Watched::of(inotify, place.stat.ino));
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
                wait.insert((Watch::new(&dir, by_path, path.name(), waits.then_some(deadline), settings), queue))
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
/// lock by its name.
fn secure(
    target: Entry<'_, '_>,
    file: Fd<'_>,
    stat: &steadfast_stat,
    writer: &Writer<'_>,
    by_name: bool,
    kind: Kind,
) -> Result<Secured, Outcome> {
    let hooks = target.hooks();
    let inherit = writer.settings.has(STEADFAST_LOCK_INHERIT);
    let mappable = !by_name && kind == Kind::Ordinary;
    let mapped = if mappable && !inherit { hooks.map(file.raw()).ok() } else { None };
    // The descriptor of a mapped file is not needed, and no forked child is to keep it.
    let kept = if mapped.is_some() { close(file) } else { Some(file) };
    let secured = match is_seen(target, stat, by_name.then_some(writer.own)) {
        Ok(true) => Ok(None),
        Ok(false) => give_up(target, writer).map(Some),
        Err(error) => unasked(target, stat, writer, error),
    };
    if let (Err(_) | Ok(Some(_)), Some(address)) = (&secured, mapped) {
        let _ = hooks.unmap(address);
    }
    if let Some(lost) = secured? {
        return Ok(lost);
    }
    Ok(Secured::Yes(match (mapped, kept) {
        (Some(address), _) => Keeper::Mapping(address),
        (None, Some(file)) if inherit => Keeper::Inherited(file.into_raw()),
        (None, Some(file)) => Keeper::Descriptor(file.into_raw()),
        (None, None) => return Err(Outcome::internal()),
    }))
}

/// Closes it.
fn close(file: Fd<'_>) -> Option<Fd<'_>> {
    drop(file);
    None
}

/// Does whoever opens the lock by its name find our file, and find it locked? Where numbers are used again while a file is open, another
/// process's file may have ours, and its flock is refused as well: `named` is whom the record has to name there.
fn is_seen(target: Entry<'_, '_>, stat: &steadfast_stat, named: Option<i32>) -> Result<bool, Outcome> {
    let hooks = target.hooks();
    let fd = match target.open(CAREFUL, 0) {
        Ok(fd) => fd,
        Err(e) if e.is(ENOENT) => return Ok(false),
        // A mode that lets nobody read it.
        Err(e) if e.is(EACCES) => return target.is(stat).at(STEADFAST_STEP_LINK),
        Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_LINK)),
    };
    if !same(&hooks.fstat(fd.raw()).at(STEADFAST_STEP_COMPARE)?, stat) {
        return Ok(false);
    }
    if let Some(own) = named
        && held::named_pid(hooks, &fd)? != own
    {
        return Ok(false);
    }
    match hooks.lock(fd.raw(), LOCK_SH | LOCK_NB) {
        Ok(_flock) => Ok(false),
        Err(e) if e.is(EAGAIN) => Ok(true),
        Err(e) => Err(Outcome::failed(e, STEADFAST_STEP_LOCK_FILE)),
    }
}

/// It cannot be asked whether the lock is seen. Then the name goes again. If that fails as well, the lock is as good as held:
/// its file names this process, and has the flock.
fn unasked(
    target: Entry<'_, '_>,
    stat: &steadfast_stat,
    writer: &Writer<'_>,
    error: Outcome,
) -> Result<Option<Secured>, Outcome> {
    match target.is(stat) {
        Ok(true) if target.unlink().is_ok() => Err(error),
        Ok(true) | Err(_) => Ok(None),
        Ok(false) => match give_up(target, writer)? {
            Secured::Unseen => Err(error),
            lost => Ok(Some(lost)),
        },
    }
}

/// Removes the name again that was given to a record whose flock is not seen. The record names this process, so nobody takes
/// it for stale here; and nobody does elsewhere, once the flock of what has the name is ours.
fn give_up(target: Entry<'_, '_>, writer: &Writer<'_>) -> Result<Secured, Outcome> {
    let hooks = target.hooks();
    let fd = match target.open(CAREFUL | O_RDWR, 0) {
        // A lock file that its owner may not write. An exclusive flock needs that on file systems of a network only.
        Err(e) if e.is(EACCES) => target.open(CAREFUL, 0),
        opened => opened,
    };
    let fd = match fd {
        Ok(fd) => fd,
        Err(e) if e.is(ENOENT) => return Ok(Secured::Lost),
        Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_LINK)),
    };
    // Somebody's look takes it for a moment; who keeps it has taken the lock over.
    if !flock::exclusive(hooks, fd.raw(), &mut writer.look.again()).at(STEADFAST_STEP_LOCK_FILE)? {
        return Ok(Secured::Lost);
    }
    let stat = hooks.fstat(fd.raw()).at(STEADFAST_STEP_COMPARE)?;
    let ours = held::named_pid(hooks, &fd)? == writer.own;
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
