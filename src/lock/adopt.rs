//! A forked child makes an inherited lock its own.

use super::candidate::Writer;
use super::held::{self, Directory, Held, Keeper};
use super::identity::Identity;
use super::options::Settings;
use super::release::was_left_by_failure;
use super::turn::take_turns;
use crate::file::deadline::Retry;
use crate::file::entry::{Entry, is_still};
use crate::file::flock;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

/// FUSE gives a flock up a moment after the last descriptor was closed.
const CLOSING_MS: i64 = 100;

/// Makes the lock this process's own: the file names it from now on. Its inode stays, and with it the flock that parent and
/// child share; a rename could hit the fresh lock of a third process.
pub fn adopt(hooks: &Hooks, identity: &Identity, held: &mut Held, name: &CStr) -> Result<Outcome, Outcome> {
    const STEP: i32 = STEADFAST_STEP_CREATE_LOCK;
    let Keeper::Inherited(inherited) = held.keeper else {
        let invalid = Outcome::because(Errno::of(EINVAL).code(), Detail::NotInherited);
        return Err(invalid.with_step(STEADFAST_STEP_ARGUMENTS));
    };
    let own = hooks.getpid().at(STEP)?;
    let directory = held.directory(hooks).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
    let entry = Entry::of_raw(hooks, directory.fd, name);
    // Asked before anything is opened, which might get its number.
    let kept = is_still(hooks, inherited, &held.stat);
    let turn = take_turns(held, entry)?;
    let fd = &turn.fd;
    let named = held::named_pid(hooks, fd)?;
    if named == own && held.is_ours(hooks).at(STEP)? {
        return Ok(Outcome::new(STEADFAST_OK).with_pid(own));
    }
    // Another child was first.
    if ![0, own, held.pid].contains(&named) && !was_left_by_failure(hooks, fd, named) {
        return Err(Outcome::new(STEADFAST_E_WRONG_PROCESS).with_pid(named));
    }
    let settings = Settings::default();
    let writer = Writer { identity, settings: &settings, own, close_on_exec: O_CLOEXEC, look: Retry::new(0) };
    // The program may have closed the inherited descriptor. Without the flock nothing tells a cleaner that the lock changes hands.
    let anew = if kept { None } else { Some(keep_anew(hooks, held, &directory, entry)?) };
    // The inherited descriptor may write whatever the mode of the file is.
    let written = writer.overwrite(hooks, anew.as_ref().map_or(inherited, Fd::raw), held.pid)?;
    held.stat.mtime_ns = written.mtime_ns;
    held.belongs_to(hooks, identity, own);
    if let Some(keeper) = anew {
        held.keeper = Keeper::Inherited(keeper.into_raw());
    }
    Ok(Outcome::new(STEADFAST_OK).with_pid(own))
}

/// Takes the flock by a new descriptor, which children and programs that are executed get as well, and which is never number
/// 0, 1 or 2.
fn keep_anew<'h>(hooks: &'h Hooks, held: &Held, directory: &Directory<'_>, entry: Entry<'h, '_>) -> Result<Fd<'h>, Outcome> {
    const STEP: i32 = STEADFAST_STEP_LOCK_FILE;
    let place = hooks.openat(directory.fd, c".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
    let _fillers = Fillers::of(&place);
    let keeper = held.open_inheritable(entry)?;
    if !flock::exclusive(hooks, keeper.raw(), &mut Retry::new(CLOSING_MS)).at(STEP)? {
        return Err(Outcome::failed(Errno::of(EBADF), STEP));
    }
    held.check_name(entry)?;
    Ok(keeper)
}
