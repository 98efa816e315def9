//! Step 10 of a save: the directory.
#![forbid(unsafe_code)]

use super::options::*;
use crate::file::filesystem;
use crate::hooks::*;
use crate::status::*;

/// Step 10, where `outcome` needs it.
pub fn sync_directory(dir: &Fd<'_>, outcome: Outcome, request: &SaveRequest<'_>) -> Outcome {
    if outcome.status != STEADFAST_OK {
        return outcome;
    }
    let hooks = dir.hooks();
    let failed = outcome.with_status(STEADFAST_NOT_DURABLE);
    if hooks.absent(STEADFAST_ABSENT_DIR_FSYNC) {
        return failed.with_detail(Detail::NoDirFsync);
    }
    match sync_names(dir, request) {
        // The name of a directory on the way is not durable.
        Ok(()) if outcome.step != 0 => failed,
        Ok(()) => outcome.with_on_disk(STEADFAST_ON_DISK_NEW),
        Err(e) => {
            let status = if request.has(STEADFAST_SAVE_STRICT) { STEADFAST_E_SAVED_NOT_DURABLE } else { STEADFAST_NOT_DURABLE };
            failed.with_status(status).caused_by(e, STEADFAST_STEP_SYNC_DIRECTORY)
        }
    }
}

fn sync_names(dir: &Fd<'_>, request: &SaveRequest<'_>) -> Result<(), Errno> {
    let hooks = dir.hooks();
    if request.has(STEADFAST_SAVE_SYNCFS) && filesystem::loses_names_after_syncfs(hooks, dir.raw()) {
        match hooks.syncfs(dir.raw()) {
            Err(e) if e.unsupported() => {}
            synced => return synced,
        }
    }
    hooks.fsync(dir.raw())
}
