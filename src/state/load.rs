//! Loading: which file it is that is loaded.

use super::load_files::Files;
use super::load_pair;
use super::loaded::{Loaded, Taker, recoverable};
use super::options::*;
use crate::file::base::Start;
use crate::file::deadline::Retry;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

/// How often a missing state is looked for again that another process is saving for the first time.
const ATTEMPTS: u32 = 100;

/// Loads the state at `path` into `room`, following symbolic links as open(2) does.
pub fn load<'h>(
    start: &Start<'h>,
    path: &CStr,
    request: &LoadRequest,
    room: &mut dyn Taker<'h>,
) -> Result<(Loaded, Outcome), Outcome> {
    let mut retry = Retry::new(DEFAULT_TIMEOUT_MS);
    let files = Files::new(start, path);
    loop {
        match load_once(&files, request, room, &mut retry) {
            // One of the two files was replaced at this moment, over FUSE or NFS.
            Err(e) if e.status == Errno::of(ESTALE).code() && retry.sleep(start.hooks()) == Ok(true) => {}
            done => return done,
        }
    }
}

fn load_once<'h>(
    files: &Files<'_, 'h>,
    request: &LoadRequest,
    room: &mut dyn Taker<'h>,
    retry: &mut Retry,
) -> Result<(Loaded, Outcome), Outcome> {
    let mut attempts = ATTEMPTS;
    loop {
        let found = files.load(request, room, retry);
        if let Some(alternating) = load_pair::load(files, request, room, retry, &found) {
            return alternating;
        }
        let error = match found {
            Ok(loaded) if loaded.len == 0 && loaded.status != STEADFAST_OK && request.has(STEADFAST_LOAD_RECOVER) => {
                // Nothing confirms that it is to be empty: a verified PATH.prev is better.
                match load_previous(files, request, room, retry) {
                    Ok(Some(previous)) => return Ok(recovered(previous).succeed()),
                    Err(outcome) if outcome.status == STEADFAST_E_TOO_LARGE => return Err(outcome),
                    _ => {}
                }
                let alone = LoadRequest { flags: request.flags & !STEADFAST_LOAD_RECOVER, ..*request };
                match files.load(&alone, room, retry) {
                    Ok(loaded) => return Ok(loaded.succeed()),
                    Err(outcome) => outcome,
                }
            }
            Ok(loaded) => return Ok(loaded.succeed()),
            Err(outcome) => outcome,
        };
        let missing = error.status == Errno::of(ENOENT).code();
        let recover = request.has(STEADFAST_LOAD_RECOVER);
        let instead = missing || (recover && recoverable(error.status));
        if !instead {
            return Err(error);
        }
        let found = match load_previous(files, request, room, retry) {
            Ok(Some(loaded)) => {
                let (loaded, outcome) = recovered(loaded).succeed();
                Ok((loaded, outcome.after(error)))
            }
            Ok(None) => Err(error.with_status(STEADFAST_E_LOST)),
            // What is wrong with the current state is the news, unless it is missing: "no state" is only said when
            // there is no previous one either.
            Err(outcome) if missing && outcome.status != Errno::of(ENOENT).code() => Err(outcome),
            // So is what could be recovered with more memory.
            Err(outcome) if outcome.status == STEADFAST_E_TOO_LARGE => Err(outcome),
            Err(_) => return Err(error),
        };
        // There is a previous one because the first saves were made between the two looks? And what keeps the state from
        // being looked at again is news, too.
        attempts = attempts.saturating_sub(1);
        let mut still_missing = || files.open(retry).is_err_and(|again| again.status == error.status);
        if !missing || attempts == 0 || still_missing() {
            return found;
        }
    }
}

/// PATH.prev: loaded with RECOVER, else None when it is there.
fn load_previous<'h>(
    files: &Files<'_, 'h>,
    request: &LoadRequest,
    room: &mut dyn Taker<'h>,
    retry: &mut Retry,
) -> Result<Option<Loaded>, Outcome> {
    let previous = files.previous()?;
    if request.has(STEADFAST_LOAD_RECOVER) {
        let loaded = room.take(previous.open(retry)?, request, retry)?;
        // A plain file that nothing confirms is nobody's previous generation.
        return if loaded.status == STEADFAST_OK { Ok(Some(loaded)) } else { Err(Outcome::new(STEADFAST_E_UNVERIFIED)) };
    }
    previous.check()?;
    Ok(None)
}

fn recovered(loaded: Loaded) -> Loaded {
    Loaded { previous: true, status: STEADFAST_RECOVERED, ..loaded }
}
