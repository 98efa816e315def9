//! Loading an alternating state: the newer of PATH and PATH.prev, or the other one where that is damaged.
//!
//! Reading both takes a moment in which a saver may overwrite one of them. What looks like damage is looked at again until two looks
//! in a row, with no saver at work before the second, have found the same. A reader never keeps savers out: it asks for the flock of
//! PATH's file for an instant, to learn whether a saver has it.
#![forbid(unsafe_code)]

use super::format::{self, HEADER, Slot};
use super::load_files::Files;
use super::loaded::{Loaded, Taker, is_damage, recoverable};
use super::options::*;
use super::pair;
use crate::file::deadline::Retry;
use crate::file::entry::same;
use crate::file::flock;
use crate::hooks::*;
use crate::mem::format::hash;
use crate::status::*;

/// What the beginning of a file says, whether the file is whole or not.
enum Says {
    /// It is one of an alternating state's two, of this generation if its header's own check confirms it.
    Slot(Option<u64>, Slot),
    /// Damaged beyond recognition: it may be one of the two.
    Damaged,
    /// Another state, or somebody's file.
    Other,
}

/// What there is.
enum Found {
    State(Loaded),
    /// The only whole one of the two; the other may have been newer.
    Only(Loaded, Outcome),
    /// None is whole. The number stands for what both headers were.
    Neither(u64),
    /// PATH, which somebody has given to another file than the one beside which PATH.prev, of a higher number, was written.
    Beside(Loaded),
    /// Somebody saves at this moment.
    Moved,
    /// It does not alternate; what is wrong with it.
    Ordinary(i32),
}

/// Loads the state, of which PATH came to `at_path`. None: it does not alternate, as far as can be seen.
pub fn load<'h>(
    files: &Files<'_, 'h>,
    request: &LoadRequest,
    room: &mut dyn Taker<'h>,
    retry: &mut Retry,
    at_path: &Result<Loaded, Outcome>,
) -> Option<Result<(Loaded, Outcome), Outcome>> {
    match at_path {
        _ if request.kind() == Kind::Plain => return None,
        // It cannot even be opened.
        Err(e) if i32::from(e.step) == STEADFAST_STEP_OPEN_FILE => return None,
        Ok(loaded) if !loaded.alternates => return None,
        Err(e) if !(recoverable(e.status) || [STEADFAST_E_TOO_LARGE, STEADFAST_E_SCHEMA].contains(&e.status)) => return None,
        _ => {}
    }
    let (loaded, other) = match choose(files, request, room, retry, *at_path) {
        Ok(Some(chosen)) => chosen,
        Ok(None) => return None,
        Err(e) => return Some(Err(e)),
    };
    if request.has(STEADFAST_LOAD_REQUIRE_SCHEMA) && loaded.fields.schema != request.schema {
        return Some(Err(Outcome::new(STEADFAST_E_SCHEMA).with_generation(loaded.fields.generation)));
    }
    let (loaded, outcome) = loaded.succeed();
    Some(Ok((loaded, other.map_or(outcome, |other| outcome.after(other)))))
}

/// The whole load begins again.
const MOVED: Outcome = Outcome::failed(Errno::of(ESTALE), STEADFAST_STEP_READ_FILE);

/// The newer one; and what is wrong with the other, where that may have been newer.
fn choose<'h>(
    files: &Files<'_, 'h>,
    request: &LoadRequest,
    room: &mut dyn Taker<'h>,
    retry: &mut Retry,
    at_path: Result<Loaded, Outcome>,
) -> Result<Option<(Loaded, Option<Outcome>)>, Outcome> {
    let hooks = files.start.hooks();
    // Which of the two is the state does not depend on what is required of it.
    let flags = request.flags & !(STEADFAST_LOAD_REQUIRE_SCHEMA | STEADFAST_LOAD_RECOVER);
    let any = LoadRequest { flags, ..*request };
    let again = |room: &mut dyn Taker<'h>, retry: &mut Retry| files.load(&any, room, retry);
    let at_path = if at_path.is_err_and(|e| e.status == STEADFAST_E_SCHEMA) { again(room, retry) } else { at_path };
    let was_whole = at_path.is_ok();
    let mut found = look(files, &any, room, retry, at_path)?;
    // Damage may have been a save in place, and be gone.
    if matches!(found, Found::Ordinary(status) if !is_damage(status)) {
        return Ok(None);
    }
    let mut before = None;
    let mut looks = 0u32;
    loop {
        let now = match found {
            Found::State(loaded) => return Ok(Some((loaded, None))),
            // The memory no longer has what came of PATH at first.
            Found::Ordinary(STEADFAST_OK) => return Err(MOVED),
            ref other => signature(other),
        };
        looks = looks.saturating_add(1);
        let is_settled = before == Some((now, true));
        // Who has the flock of a damaged file that is none of the two may be anybody, and keep it.
        let is_enough = matches!(found, Found::Ordinary(_)) && looks > pair::LOOKS;
        let is_last = is_settled || is_enough || (looks > 1 && !retry.sleep(hooks).at(STEADFAST_STEP_WAIT)?);
        match found {
            Found::Only(loaded, other) if is_last => return Ok(Some((recovered(loaded), Some(other)))),
            Found::Beside(loaded) if is_last => return Ok(Some((loaded, None))),
            Found::Neither(_) | Found::Ordinary(_) if is_last => return if was_whole { Err(MOVED) } else { Ok(None) },
            _ if is_last => return Err(MOVED),
            _ => {}
        }
        before = Some((now, is_idle(files, retry)?));
        let at_path = again(room, retry);
        found = look(files, &any, room, retry, at_path)?;
    }
}

impl Found {
    fn neither(headers: &[[u8; HEADER]; 2]) -> Found {
        Found::Neither(hash(headers.as_flattened()))
    }
}

/// What two looks that have found the same have in common: what they have found, of which generation, and what was wrong.
fn signature(found: &Found) -> (u32, u64, i32) {
    match found {
        Found::Only(loaded, other) => (0, loaded.fields.generation, other.status),
        Found::Neither(headers) => (1, *headers, 0),
        Found::Beside(loaded) => (2, loaded.fields.generation, 0),
        Found::Ordinary(status) => (3, 0, *status),
        Found::Moved | Found::State(_) => (4, 0, 0),
    }
}

/// Has no saver the flock of PATH's file at this moment?
fn is_idle(files: &Files<'_, '_>, retry: &mut Retry) -> Result<bool, Outcome> {
    let hooks = files.start.hooks();
    let file = files.open(retry).map_err(moved)?;
    Ok(!flock::is_held(hooks, file.raw()) && is_at(files, &file, retry)?)
}

fn recovered(loaded: Loaded) -> Loaded {
    Loaded { status: STEADFAST_RECOVERED, ..loaded }
}

/// The whole load begins again where PATH is gone by now.
fn moved(outcome: Outcome) -> Outcome {
    if outcome.status == Errno::of(ENOENT).code() { MOVED } else { outcome }
}

/// Is this the file at PATH still?
fn is_at(files: &Files<'_, '_>, file: &Fd<'_>, retry: &mut Retry) -> Result<bool, Outcome> {
    const STEP: i32 = STEADFAST_STEP_READ_FILE;
    let hooks = files.start.hooks();
    let now = files.open(retry).map_err(moved)?;
    Ok(same(&hooks.fstat(file.raw()).at(STEP)?, &hooks.fstat(now.raw()).at(STEP)?))
}

/// Looks at both files.
fn look<'h>(
    files: &Files<'_, 'h>,
    any: &LoadRequest,
    room: &mut dyn Taker<'h>,
    retry: &mut Retry,
    at_path: Result<Loaded, Outcome>,
) -> Result<Found, Outcome> {
    let mut headers = [[0u8; HEADER]; 2];
    let [of_path, of_previous] = &mut headers;
    let opened = files.open_beside(retry).unwrap_or_else(|| files.previous()?.open(retry));
    let (previous, says) = match opened {
        Ok(fd) => says(fd, of_previous)?,
        Err(e) if e.status == Errno::of(ENOENT).code() || e.status == STEADFAST_E_NOT_REGULAR => (None, Says::Other),
        Err(e) => return Err(e),
    };
    match at_path {
        Ok(path) if !path.alternates => Ok(Found::Ordinary(STEADFAST_OK)),
        Ok(path) => {
            let is_older = match says {
                // Since PATH was read, savers may have filled both, and somebody have taken PATH.prev away.
                Says::Other if !is_still(&says_of(files, of_path, retry)?, &path) => return Ok(Found::Moved),
                Says::Other => true,
                Says::Slot(number, ..) => number.is_some_and(|number| number <= path.fields.generation),
                Says::Damaged => false,
            };
            if let (false, Says::Slot(_, slot), Some(previous)) = (is_older, &says, &previous)
                && !may_be_newer(files, slot, previous)?
            {
                return Ok(Found::Beside(path));
            }
            let Some(previous) = previous.filter(|_| !is_older) else { return Ok(Found::State(path)) };
            match room.take(previous, any, retry) {
                Ok(newer) if newer.alternates && newer.fields.generation > path.fields.generation => {
                    Ok(Found::State(Loaded { previous: true, ..newer }))
                }
                // What was read of PATH is no longer in the memory.
                Ok(older) => Ok(match files.load(any, room, retry) {
                    Ok(again) if older.alternates && again.fields.generation == path.fields.generation => Found::State(again),
                    _ => Found::Moved,
                }),
                Err(e) if recoverable(e.status) => Ok(match files.load(any, room, retry) {
                    Ok(again) if again.alternates => Found::Only(again, e),
                    _ => Found::Moved,
                }),
                Err(e) => Err(e),
            }
        }
        Err(e) => {
            let too_large = e.status == STEADFAST_E_TOO_LARGE;
            let at = says_of(files, of_path, retry)?;
            let (Says::Slot(behind, ..), Some(previous)) = (says, previous) else {
                return Ok(if matches!(at, Says::Slot(..)) && !too_large {
                    Found::neither(&headers)
                } else {
                    Found::Ordinary(e.status)
                });
            };
            let number = match at {
                Says::Slot(number, ..) => number,
                Says::Damaged if !too_large => None,
                _ => return Ok(Found::Ordinary(e.status)),
            };
            if too_large && behind <= number {
                return Err(e);
            }
            match room.take(previous, any, retry) {
                Ok(whole) if !whole.alternates => Ok(Found::Moved),
                Ok(whole) => {
                    let whole = Loaded { previous: true, ..whole };
                    let is_newer = number.is_some_and(|number| number < whole.fields.generation);
                    Ok(if is_newer { Found::State(whole) } else { Found::Only(whole, e) })
                }
                Err(e) if recoverable(e.status) => Ok(Found::neither(&headers)),
                Err(e) => Err(e),
            }
        }
    }
}

/// What the header at PATH says now.
fn says_of(files: &Files<'_, '_>, header: &mut [u8; HEADER], retry: &mut Retry) -> Result<Says, Outcome> {
    says(files.open(retry).map_err(moved)?, header).map(|(_, says)| says)
}

/// Is the state that was read the one that is there?
fn is_still(says: &Says, read: &Loaded) -> bool {
    matches!(says, Says::Slot(Some(number), _) if *number == read.fields.generation)
}

/// May what is at PATH.prev be newer than PATH, as far as its header tells?
fn may_be_newer(files: &Files<'_, '_>, slot: &Slot, previous: &Fd<'_>) -> Result<bool, Outcome> {
    let stat = previous.hooks().fstat(previous.raw()).at(STEADFAST_STEP_READ_FILE)?;
    let path = files.previous()?.path.at(STEADFAST_STEP_READ_FILE).map_err(moved)?;
    Ok(pair::may_be_newer(slot.pair, &path, &stat))
}

/// What its header, which is read into `header`, says of the open file.
fn says<'h>(fd: Fd<'h>, header: &mut [u8; HEADER]) -> Result<(Option<Fd<'h>>, Says), Outcome> {
    const STEP: i32 = STEADFAST_STEP_READ_FILE;
    let seen = fd.hooks().pread(fd.raw(), header, 0).map(<[u8]>::len);
    if seen == Ok(HEADER)
        && let Some(slot) = format::slot(header)
    {
        return Ok((Some(fd), Says::Slot(format::checked_generation(header), slot)));
    }
    let stat = fd.hooks().fstat(fd.raw()).at(STEP)?;
    if !is_regular(stat.mode) {
        return Ok((None, Says::Other));
    }
    let seen = match seen {
        // An unreadable disk.
        Err(e) if recoverable(e.code()) => return Ok((Some(fd), Says::Damaged)),
        seen => seen.at(STEP)?,
    };
    let fits = format::expected_len(header.get(..seen).unwrap_or(header), stat.size);
    let is_other = fits == Err(STEADFAST_E_FORMAT) || format::fields(header).is_ok();
    Ok((Some(fd), if is_other { Says::Other } else { Says::Damaged }))
}
