//! A forked child makes an inherited lock its own.

use super::candidate::Writer;
use super::held::{self, Held, Keeper};
use super::identity::Identity;
use super::options::Settings;
use super::release::take_turns;
use crate::file::entry::Entry;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

/// Makes the lock this process's own: the file names it from now on. Its inode stays, and with it the flock that parent and
/// child share; a rename could hit the fresh lock of a third process.
pub fn adopt(hooks: &Hooks, identity: &Identity, held: &mut Held, name: &CStr) -> Result<Outcome, Outcome> {
    const STEP: i32 = STEADFAST_STEP_CREATE_LOCK;
    if !matches!(held.keeper, Keeper::Inherited(_)) {
        let invalid = Outcome::because(Errno::of(EINVAL).code(), Detail::NotInherited);
        return Err(invalid.with_step(STEADFAST_STEP_ARGUMENTS));
    }
    let own = hooks.getpid().at(STEP)?;
    let directory = held.directory(hooks).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
    let entry = Entry::of_raw(hooks, directory.fd, name);
    let fd = take_turns(held, entry)?;
    let named = held::named_pid(hooks, &fd)?;
    if named == own && held.is_ours(hooks).at(STEP)? {
        return Ok(Outcome::new(STEADFAST_OK).with_pid(own));
    }
    if named != held.pid {
        // Another child was first.
        return Err(Outcome::new(STEADFAST_E_WRONG_PROCESS).with_pid(named));
    }
    let settings = Settings::default();
    let writer = Writer { identity, settings: &settings, own, close_on_exec: O_CLOEXEC };
    // In between the content may be malformed: such a lock is kept.
    let written = writer.overwrite(hooks, fd.raw())?;
    held.stat.mtime_ns = written.mtime_ns;
    held.belongs_to(hooks, identity, own);
    // The program may have closed the descriptor that it was to inherit, and the flock with it.
    if hooks.flock(fd.raw(), LOCK_EX | LOCK_NB).is_ok() {
        held.keeper = Keeper::Descriptor(fd.into_raw());
    }
    Ok(Outcome::new(STEADFAST_OK).with_pid(own))
}
