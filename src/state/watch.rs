//! Waiting for another generation of a state.
//!
//! The directories are watched, and never the file: of every name on the way, and of every link at its end. So a state that
//! is renamed into place, a link that is pointed elsewhere (as Kubernetes does) and a directory that is replaced, or made
//! later, are all seen.

use super::existing::{Existing, is_gone};
use super::loaded;
use super::options::*;
use super::pair;
use super::resolve::{self, LINKS};
use crate::file::base::Start;
use crate::file::deadline::{Deadline, Retry};
use crate::file::entry::Entry;
use crate::file::filesystem;
use crate::file::names;
use crate::file::path::{self, PATH_MAX, Path};
use crate::hooks::*;
use crate::mem::Text;
use crate::status::*;
use core::ffi::CStr;

const STEP: i32 = STEADFAST_STEP_WAIT;

/// How often it looks where nothing tells of a change.
const LOOK_NS: i64 = 1_000_000_000;

/// What was there when damage was told last, so that each change is told once.
type Told = (u64, u64, u64, i64, i32);

/// What has to be kept between two waits.
pub struct Watch {
    inotify: Option<Unguarded>,
    told: Option<Told>,
    /// A whole state that was verified, and its generation: it is not read again.
    known: Option<(Told, u64)>,
    /// Does inotify tell of every change?
    tells_all: bool,
}

/// What is there.
struct Seen {
    found: Result<u64, Outcome>,
    told: Told,
}

impl Watch {
    /// Watches nothing yet.
    pub fn new(hooks: &Hooks) -> Watch {
        let mut watch = Watch { inotify: None, told: None, known: None, tells_all: false };
        let Ok(first) = hooks.inotify() else { return watch };
        // What lives on is never number 0, 1 or 2.
        let inotify = if first.raw() > 2 { Ok(first) } else { hooks.inotify() };
        watch.inotify = inotify.ok().filter(|fd| fd.raw() > 2).map(Fd::unguarded);
        watch
    }

    /// The inotify descriptor, where there is one that tells of every change.
    pub fn descriptor(&self) -> Option<&Unguarded> {
        self.inotify.as_ref().filter(|_| self.tells_all)
    }

    /// Closes it.
    pub fn close(&mut self, hooks: &Hooks) {
        self.inotify.take().into_iter().for_each(|inotify| inotify.close(hooks));
    }

    /// Sets the watches up.
    pub fn begin(&mut self, start: &Start<'_>, path: &CStr, request: &LoadRequest) {
        let _ = self.look(start, path, request);
    }

    /// Waits until the state at `path` has another generation than `known`; 0 stands for no state. Damage is an error, once
    /// for each change.
    pub fn wait(
        &mut self,
        start: &Start<'_>,
        path: &CStr,
        request: &LoadRequest,
        known: u64,
        deadline: Deadline,
    ) -> Result<Outcome, Outcome> {
        let hooks = start.hooks();
        let mut retry = Retry::within(DEFAULT_TIMEOUT_MS, deadline);
        loop {
            // What is told from now on comes after this look.
            self.drain(hooks);
            let seen = self.look(start, path, request);
            match seen.found {
                Ok(generation) if generation != known => {
                    self.told = None;
                    return Ok(Outcome::new(STEADFAST_OK).with_generation(generation));
                }
                Ok(_) => retry = Retry::within(DEFAULT_TIMEOUT_MS, deadline),
                Err(outcome) if is_gone(&outcome) && retry.sleep(hooks) == Ok(true) => continue,
                Err(outcome) if self.told != Some(seen.told) => {
                    self.told = Some(seen.told);
                    return Err(outcome);
                }
                Err(_) => {}
            }
            let Some(left) = deadline.left_ns(hooks).at(STEADFAST_STEP_CLOCK)? else {
                return Err(Outcome::failed(Errno::of(ETIMEDOUT), STEP).with_generation(known));
            };
            let left = if self.tells_all { left } else { left.min(LOOK_NS) };
            let mut fds = [steadfast_pollfd { fd: self.inotify.as_ref().map_or(-1, Unguarded::raw), events: POLLIN, revents: 0 }];
            hooks.poll(&mut fds, if left == i64::MAX { -1 } else { left }).at(STEP)?;
        }
    }

    /// Takes the events that have come.
    fn drain(&self, hooks: &Hooks) {
        let Some(inotify) = &self.inotify else { return };
        let mut buf = [0u8; 4096];
        while hooks.read(inotify.raw(), &mut buf).is_ok_and(|events| !events.is_empty()) {}
    }

    /// Watches every directory on the way, and then says what is there.
    fn look(&mut self, start: &Start<'_>, whole: &CStr, request: &LoadRequest) -> Seen {
        let mut tells_all = self.inotify.is_some();
        let mut told = (0, 0, 0, 0, 0);
        let mut path = Path::empty();
        let mut see = || -> Result<(u64, bool), Outcome> {
            path.set(whole.to_bytes()).at(STEADFAST_STEP_ARGUMENTS)?;
            for _ in 0..LINKS {
                self.watch_way(start, path.directory(), &mut tells_all);
                let dir = match start.open_directory(path.directory(), 0) {
                    Ok(dir) => dir,
                    Err(e) if e.is(ENOENT) => return Ok((0, false)),
                    Err(e) => return Err(Outcome::failed(e, STEADFAST_STEP_OPEN_DIRECTORY)),
                };
                let entry = Entry::new(&dir, path.name());
                let mut retry = Retry::new(DEFAULT_TIMEOUT_MS);
                match Existing::open(entry, &mut retry, STEADFAST_STEP_OPEN_FILE) {
                    Err(e) if e.status == STEADFAST_E_SYMLINK => {
                        let mut buf = [0u8; PATH_MAX];
                        let link = resolve::read_link(entry, &mut buf)?;
                        path.follow(link).at(STEADFAST_STEP_READ_LINK)?;
                    }
                    Err(e) => return Err(e),
                    Ok(None) => return generation_of(entry, None, request, &mut retry),
                    Ok(Some(mut current)) => {
                        // What is written in place there is told to those who watch the directory that it comes from.
                        tells_all &= !current.is_mount_root();
                        told = identity(&current.stat);
                        if let Some((known, generation)) = self.known
                            && known == told
                        {
                            return Ok((generation, true));
                        }
                        let found = generation_of(entry, Some(&mut current), request, &mut retry);
                        // It may have changed while it was read. Then its damage is told once, as it is now.
                        if found.is_err()
                            && let Ok(now) = start.hooks().fstat(current.fd())
                        {
                            told = identity(&now);
                        }
                        return found;
                    }
                }
            }
            Err(Outcome::failed(Errno::of(ELOOP), STEADFAST_STEP_READ_LINK))
        };
        let found = see();
        self.tells_all = tells_all;
        self.known = match found {
            Ok((generation, true)) => Some((told, generation)),
            _ => None,
        };
        told.4 = found.as_ref().err().map_or(0, |outcome| outcome.status);
        Seen { found: found.map(|(generation, _)| generation), told }
    }

    /// Watches the directory and all above it, as far as they are there and can be opened.
    fn watch_way(&self, start: &Start<'_>, directory: &CStr, tells_all: &mut bool) {
        let whole = directory.to_bytes();
        let ends = whole.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(at, _)| at.max(1));
        let first = if whole.first() == Some(&b'/') { None } else { Some(&b"."[..]) };
        let prefixes = ends.filter_map(|end| whole.get(..end)).chain([whole]);
        for prefix in first.into_iter().chain(prefixes) {
            let Ok(prefix) = Text::<PATH_MAX>::of(&[prefix]) else { continue };
            self.watch(start, prefix.c_str(), tells_all);
        }
    }

    fn watch(&self, start: &Start<'_>, directory: &CStr, tells_all: &mut bool) {
        const MASK: u32 = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR;
        let (hooks, Some(inotify)) = (start.hooks(), &self.inotify) else { return };
        let Ok(dir) = start.open_directory(directory, O_PATH) else { return };
        *tells_all &= !filesystem::changes_unseen(hooks, dir.raw());
        let by_descriptor = match path::of_descriptor(dir.raw()) {
            Ok(path) if !hooks.absent(STEADFAST_ABSENT_PROC) => hooks.inotify_watch(inotify.raw(), path.c_str(), MASK).is_ok(),
            _ => false,
        };
        let by_path = || start.is_working_directory_for(directory) && hooks.inotify_watch(inotify.raw(), directory, MASK).is_ok();
        *tells_all &= by_descriptor || by_path();
    }
}

fn identity(stat: &steadfast_stat) -> Told {
    (stat.dev, stat.ino, stat.size, stat.mtime_ns, 0)
}

/// The verified generation of what is there, 0 for nothing; and is it that of PATH? With RECOVER PATH.prev's counts where PATH
/// is none.
fn generation_of<'h>(
    entry: Entry<'h, '_>,
    current: Option<&mut Existing<'h>>,
    request: &LoadRequest,
    retry: &mut Retry,
) -> Result<(u64, bool), Outcome> {
    const STEP: i32 = STEADFAST_STEP_READ_FILE;
    let kind = request.kind();
    let recovers = request.has(STEADFAST_LOAD_RECOVER);
    // What counts where PATH.prev gives nothing.
    let mut found = Ok((0, false));
    if let Some(current) = current {
        if kind == Kind::Record
            && let Some(generation) = pair::generation(entry, current, retry)?
        {
            return Ok((generation, false));
        }
        let verified = current.verify(kind, STEP);
        found = verified.and_then(|content| {
            let unverified = content.damage == STEADFAST_OK && content.verified().is_none();
            match if unverified && request.has(STEADFAST_LOAD_REQUIRE_VERIFIED) { STEADFAST_E_UNVERIFIED } else { content.damage }
            {
                STEADFAST_OK => Ok((content.number().unwrap_or(0), true)),
                // A number of the other kind is no state of this one.
                code => Err(Outcome::new(code)),
            }
        });
        let emptied = current.stat.size == 0 && verified.is_ok_and(|content| content.is_foreign());
        if !recovers || !(emptied || found.is_err_and(|e| loaded::recoverable(e.status))) {
            return found;
        }
    }
    if recovers
        && let Ok(name) = names::previous(entry.name())
        && let Ok(Some(mut previous)) = Existing::open(entry.sibling(name.c_str()), retry, STEP)
        && let Some(generation) = previous.verify(kind, STEP)?.verified()
    {
        return Ok((generation, false));
    }
    found
}
