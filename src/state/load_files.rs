//! The files that a load looks at: PATH and PATH.prev.
#![forbid(unsafe_code)]

use super::loaded::{Loaded, Taker, size_of_regular};
use super::options::*;
use super::resolve;
use crate::file::base::Start;
use crate::file::deadline::Retry;
use crate::file::entry::{CAREFUL, Entry};
use crate::file::flock;
use crate::file::names;
use crate::file::path::{Name, PATH_MAX, Path};
use crate::hooks::*;
use crate::mem::Text;
use crate::status::*;
use core::cell::Cell;
use core::ffi::CStr;

/// Where a load looks.
pub struct Files<'a, 'h> {
    pub start: &'a Start<'h>,
    pub path: &'a CStr,
    /// Was PATH opened, the last time, without following a link?
    is_direct: Cell<bool>,
}

/// PATH.prev.
pub struct Previous<'h> {
    dir: Fd<'h>,
    name: Name,
    /// What is at PATH.
    pub path: Result<steadfast_stat, Errno>,
}

fn missing() -> Outcome {
    Outcome::new(Errno::of(ENOENT).code())
}

impl<'a, 'h> Files<'a, 'h> {
    /// Those of the state at `path`.
    pub fn new(start: &'a Start<'h>, path: &'a CStr) -> Files<'a, 'h> {
        Files { start, path, is_direct: Cell::new(false) }
    }

    /// Opens PATH, following symbolic links as open(2) does. Nothing but a regular file is a state.
    pub fn open(&self, retry: &mut Retry) -> Result<Fd<'h>, Outcome> {
        let fd = self.open_any(retry)?;
        size_of_regular(&fd)?;
        Ok(fd)
    }

    fn open_any(&self, retry: &mut Retry) -> Result<Fd<'h>, Outcome> {
        let hooks = self.start.hooks();
        let direct = opened(hooks, retry, |more| self.start.open(self.path, CAREFUL | more));
        let is_link = direct.as_ref().is_err_and(|e| [ELOOP, EMLINK].contains(&e.os_error));
        self.is_direct.set(!is_link);
        if !is_link {
            return direct;
        }
        opened(hooks, retry, |more| self.start.open(self.path, CAREFUL & !O_NOFOLLOW | more))
    }

    /// Opens PATH.prev without a look at its directory; None where PATH is a link, or where the name becomes too long.
    pub fn open_beside(&self, retry: &mut Retry) -> Option<Result<Fd<'h>, Outcome>> {
        let path = Text::<PATH_MAX>::of(&[self.path.to_bytes(), names::PREVIOUS]).ok().filter(|_| self.is_direct.get())?;
        Some(opened_if_there(opened(self.start.hooks(), retry, |more| self.start.open(path.c_str(), CAREFUL | more))))
    }

    /// Loads PATH.
    pub fn load(&self, request: &LoadRequest, room: &mut dyn Taker<'h>, retry: &mut Retry) -> Result<Loaded, Outcome> {
        room.take(self.open_any(retry)?, request, retry)
    }

    /// PATH.prev: beside what a link at PATH leads to in the end.
    pub fn previous(&self) -> Result<Previous<'h>, Outcome> {
        let mut path = Path::empty();
        path.set(self.path.to_bytes()).at(STEADFAST_STEP_ARGUMENTS)?;
        // Only to name files in it: the directory need not be readable.
        let mut dir = self.start.open_directory(path.directory(), O_PATH).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
        let mut there = Err(Errno::of(ELOOP));
        for _ in 0..resolve::LINKS {
            let entry = Entry::new(&dir, path.name());
            there = entry.stat();
            if !there.is_ok_and(|stat| is_symlink(stat.mode)) {
                break;
            }
            let mut buf = [0u8; PATH_MAX];
            let link = resolve::read_link(entry, &mut buf)?;
            path.follow(link).at(STEADFAST_STEP_READ_LINK)?;
            dir = self.start.open_directory(path.directory(), O_PATH).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
        }
        let name = names::previous(path.name()).map_err(|_| missing())?;
        Ok(Previous { dir, name, path: there })
    }
}

impl<'h> Previous<'h> {
    fn entry(&self) -> Entry<'h, '_> {
        Entry::new(&self.dir, self.name.c_str())
    }

    /// Opens it.
    pub fn open(&self, retry: &mut Retry) -> Result<Fd<'h>, Outcome> {
        opened_if_there(opened(self.dir.hooks(), retry, |more| self.entry().open(CAREFUL | more, 0)))
    }

    /// Is a regular file there? If not, -ENOENT.
    pub fn check(&self) -> Result<(), Outcome> {
        let stat = self.entry().stat_if_there().at(STEADFAST_STEP_INSPECT_TARGET)?.ok_or_else(missing)?;
        if is_regular(stat.mode) { Ok(()) } else { Err(missing()) }
    }
}

/// At PATH.prev a link is nobody's state, nor can anything have a name that is too long here.
fn opened_if_there<'h>(fd: Result<Fd<'h>, Outcome>) -> Result<Fd<'h>, Outcome> {
    fd.map_err(|e| if [ELOOP, EMLINK, ENAMETOOLONG].contains(&e.os_error) { missing() } else { e })
}

/// A file that another process has a lease on is waited for, for as long as a save would. `open` takes more flags.
fn opened<'h>(
    hooks: &'h Hooks,
    retry: &mut Retry,
    mut open: impl FnMut(i32) -> Result<Fd<'h>, Errno>,
) -> Result<Fd<'h>, Outcome> {
    const STEP: i32 = STEADFAST_STEP_OPEN_FILE;
    loop {
        match open(0) {
            // A socket, or a FIFO or device without a driver behind it (open(2)).
            Err(e) if e.is(ENXIO) => return Err(Outcome::new(STEADFAST_E_NOT_REGULAR)),
            Err(e) if e.is(EAGAIN) => {
                if !retry.sleep(hooks).at(STEP)? {
                    // O_PATH breaks no lease.
                    let holder =
                        open(O_PATH).and_then(|fd| hooks.fstat(fd.raw())).ok().and_then(|stat| flock::holder(hooks, &stat));
                    let busy = Outcome::because(STEADFAST_E_BUSY, Detail::Leased).with_step(STEP);
                    return Err(busy.with_pid(holder.unwrap_or(0)));
                }
            }
            result => return result.at(STEP),
        }
    }
}
