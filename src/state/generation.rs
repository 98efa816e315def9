//! Which generation a save writes, and with which one it compares. A number counts only when it is verified, and none
//! comes again.

use super::existing::Existing;
use super::options::SaveRequest;
use crate::file::deadline::Retry;
use crate::file::entry::Entry;
use crate::file::names;
use crate::hooks::{EOVERFLOW, Errno};
use crate::status::*;

const STEP: i32 = STEADFAST_STEP_READ_CURRENT;

/// What there is of PATH.prev.
enum Previous {
    /// Nothing that a load would take for a generation.
    Missing,
    /// Something, and its generation if that is verified.
    There(Option<u64>),
}

impl Previous {
    fn number(&self) -> Option<u64> {
        match self {
            Previous::Missing => None,
            Previous::There(number) => *number,
        }
    }

    /// Looks at PATH.prev; its header says what it is, unless it has to be `whole`.
    fn look(target: Entry<'_, '_>, whole: bool, retry: &mut Retry) -> Result<(Previous, i32), Outcome> {
        let Ok(name) = names::previous(target.name()) else { return Ok((Previous::Missing, 0)) };
        let mut previous = match Existing::open(target.sibling(name.c_str()), retry, STEP) {
            Ok(Some(previous)) => previous,
            Ok(None) => return Ok((Previous::Missing, 0)),
            // A load takes what is no regular file for nothing, too.
            Err(e) if [STEADFAST_E_SYMLINK, STEADFAST_E_NOT_REGULAR].contains(&e.status) => return Ok((Previous::Missing, 0)),
            Err(e) => return Err(e),
        };
        if whole {
            let content = previous.verify(STEP)?;
            return Ok((Previous::There(content.generation), content.damage));
        }
        Ok((Previous::There(previous.look(STEP)?.0), 0))
    }
}

/// What is known of the state that a save replaces.
pub struct Known {
    /// The generation to write.
    pub next: u64,
    /// Is there a state at PATH, which is replaced, as far as is known?
    pub replaces: bool,
}

/// Step 3: reads what there is, compares, and counts. The current state is verified where it matters; a save that compares
/// and swaps holds its flock already.
pub fn count(
    target: Entry<'_, '_>,
    current: &mut Option<Existing<'_>>,
    request: &SaveRequest<'_>,
    now_ns: i64,
    retry: &mut Retry,
) -> Result<Known, Outcome> {
    let thorough = request.swaps() || request.keeps_previous();
    let mut number = None;
    let mut replaces = false;
    let mut damage = 0;
    if let Some(current) = current.as_mut() {
        if thorough {
            let content = current.verify(STEP)?;
            (number, damage, replaces) = (content.generation, content.damage, content.is_whole());
        } else {
            (number, replaces) = current.look(STEP)?;
        }
    }
    if request.swaps() && damage == STEADFAST_E_NEWER {
        return Err(Outcome::new(damage));
    }
    let mut previous = Previous::Missing;
    if number.is_none() || thorough {
        let whole = request.swaps() && number.is_none();
        let found = Previous::look(target, whole, retry)?;
        previous = found.0;
        if current.is_none() {
            damage = found.1;
        }
    }
    if request.swaps() {
        let there = number.or(previous.number());
        compare(there, current.is_some(), damage, &previous, request)?;
    }
    let last = number.max(previous.number());
    let after = |last: u64| last.checked_add(1).ok_or(Outcome::because(Errno::of(EOVERFLOW).code(), Detail::LastGeneration));
    let next = match (number, &previous, current.is_some()) {
        (Some(_), _, _) => after(last.unwrap_or(0))?,
        (None, Previous::Missing, false) => 1,
        // Damage, a file that is not ours, or only a previous generation: the clock is above any number that was counted.
        _ => last.map_or(Ok(0), after)?.max((now_ns / 1000).max(1).unsigned_abs()),
    };
    Ok(Known { next, replaces })
}

/// IF_GENERATION: 0 means neither PATH nor PATH.prev. Where PATH is missing or damaged, a verified PATH.prev is what is
/// compared, so that what STEADFAST_LOAD_RECOVER gave can be saved again.
fn compare(
    there: Option<u64>,
    is_there: bool,
    damage: i32,
    previous: &Previous,
    request: &SaveRequest<'_>,
) -> Result<(), Outcome> {
    let create = request.expected_generation == 0;
    match there {
        Some(there) if there == request.expected_generation && !create => Ok(()),
        Some(there) => Err(Outcome::new(STEADFAST_E_CONFLICT).with_generation(there)),
        None if damage != 0 && (is_there || !create) => Err(Outcome::new(damage)),
        None if create && matches!(previous, Previous::Missing) => Ok(()),
        None => Err(Outcome::new(STEADFAST_E_CONFLICT)),
    }
}
