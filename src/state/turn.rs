//! Savers that compare and swap plain files take turns at their directory.
#![forbid(unsafe_code)]

use super::existing::busy;
use crate::file::deadline::Retry;
use crate::file::entry::Entry;
use crate::file::filesystem::shared_between_machines;
use crate::file::flock;
use crate::hooks::*;
use crate::status::*;

const UNSUPPORTED: Outcome = Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::SwapNeedsFlock);

/// Do all its savers see a flock of the directory?
pub fn check(dir: &Fd<'_>) -> Result<(), Outcome> {
    if shared_between_machines(dir.hooks(), dir.raw()) { Err(UNSUPPORTED) } else { Ok(()) }
}

/// Takes the flock of the directory. Without it two savers take each other's files for somebody's edit.
pub fn take_turn<'h>(dir: &Fd<'h>, retry: &mut Retry) -> Result<Flock<'h>, Outcome> {
    const STEP: i32 = STEADFAST_STEP_READ_CURRENT;
    let hooks = dir.hooks();
    check(dir)?;
    match flock::guarded(hooks, dir.raw(), retry) {
        Ok(Some(turn)) => Ok(turn),
        Ok(None) => Err(busy(Entry::new(dir, c"."), Detail::DirectoryBusy)),
        Err(e) if flock::is_missing(e) || e.is(EBADF) => Err(UNSUPPORTED.caused_by(e, STEP)),
        Err(e) => Err(Outcome::failed(e, STEP)),
    }
}
