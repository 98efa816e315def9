//! Which generation a save writes, and with which one it compares. A number counts only when it is verified, and none
//! comes again.

use super::existing::{Existing, if_regular};
use super::options::{Kind, SaveRequest};
use super::pair::Pair;
use super::plain::TAGS;
use crate::file::deadline::Retry;
use crate::file::entry::Entry;
use crate::file::names;
use crate::hooks::{EOVERFLOW, Errno, steadfast_stat};
use crate::status::*;

const STEP: i32 = STEADFAST_STEP_READ_CURRENT;

/// What there is of PATH.prev.
#[derive(Default)]
struct Previous<'h> {
    /// Is there anything that a load would take for a generation?
    is_there: bool,
    /// Its generation, if that is verified.
    number: Option<u64>,
    damage: i32,
    /// With its flock, where it is what a save compares with: nobody else compares with it meanwhile.
    held: Option<Existing<'h>>,
}

impl<'h> Previous<'h> {
    /// Looks at PATH.prev; its header or attribute says what it is, unless it has to be `whole`. The flock of `current` is held then.
    fn look(
        target: Entry<'h, '_>,
        current: Option<&steadfast_stat>,
        kind: Kind,
        whole: bool,
        retry: &mut Retry,
    ) -> Result<Previous<'h>, Outcome> {
        let Ok(name) = names::previous(target.name()) else { return Ok(Previous::default()) };
        let entry = target.sibling(name.c_str());
        let opened = match Existing::open(entry, retry, STEP) {
            Ok(Some(previous)) if whole => previous.hold(entry, current, retry),
            opened => opened,
        };
        let Some(mut previous) = if_regular(opened)? else { return Ok(Previous::default()) };
        let found = Previous { is_there: true, ..Previous::default() };
        if whole {
            let content = previous.verify(kind, STEP)?;
            return Ok(Previous { number: content.generation, damage: content.damage, held: Some(previous), ..found });
        }
        Ok(Previous { number: previous.look(kind, STEP)?.0, ..found })
    }
}

/// What is known of the state that a save replaces.
pub struct Known<'h> {
    /// The generation to write.
    pub next: u64,
    /// The verified one that is there, at PATH or else at PATH.prev.
    pub there: Option<u64>,
    /// Is there a state at PATH, which is replaced, as far as is known?
    pub replaces: bool,
    /// PATH.prev with its flock, where the save was compared with it.
    pub basis: Option<Existing<'h>>,
}

/// Step 3: reads what there is, compares, and counts. The current state is verified where it matters; a save that compares
/// and swaps holds its flock already.
pub fn count<'h>(
    target: Entry<'h, '_>,
    current: &mut Option<Existing<'h>>,
    mut pair: Option<&mut Pair<'h>>,
    request: &SaveRequest<'_>,
    now_ns: i64,
    retry: &mut Retry,
) -> Result<Known<'h>, Outcome> {
    let thorough = request.swaps() || request.keeps_previous() || pair.is_some();
    let kind = request.kind();
    let mut number = None;
    let mut tag = None;
    let mut sha256 = None;
    let mut replaces = false;
    let mut damage = 0;
    let is_unsure = pair.as_ref().is_some_and(|pair| pair.is_unsure);
    let alternates = pair.as_ref().map(|pair| pair.highest);
    // Of an alternating state the newer file counts. For a plain save the tag is that of PATH, which is what a load of a plain file
    // gives; the number is the state's all the same.
    let of_state = match pair.as_deref_mut().and_then(Pair::newest_previous) {
        Some(newest) if kind == Kind::Plain => newest.verify(Kind::Record, STEP)?.generation,
        _ => None,
    };
    let newest = pair.filter(|_| kind == Kind::Record).and_then(Pair::newest_previous).or(current.as_mut());
    let emptied = newest.as_ref().is_some_and(|newest| newest.stat.size == 0);
    if let Some(newest) = newest {
        if thorough {
            let content = newest.verify(kind, STEP)?;
            (number, damage) = (content.generation, content.damage);
            replaces = content.is_whole() || number.is_some();
            (sha256, tag) = (content.sha256, content.tag);
        } else {
            (number, replaces) = newest.look(kind, STEP)?;
        }
    }
    number = of_state.or(number);
    if request.swaps() && damage == STEADFAST_E_NEWER {
        return Err(Outcome::new(damage));
    }
    // For an empty file that nothing confirms a load with RECOVER gives PATH.prev, as for damage.
    let own = number.or(tag.filter(|&tag| !emptied || tag == request.expected_generation));
    let mut previous = Previous::default();
    if let Some(highest) = alternates {
        previous = Previous { is_there: true, number: highest, ..previous };
    } else if number.is_none() || thorough {
        let whole = request.swaps() && own.is_none();
        previous = Previous::look(target, current.as_ref().map(|current| &current.stat), kind, whole, retry)?;
        if current.is_none() {
            damage = previous.damage;
        }
    }
    let there = own.or(previous.number).or(tag);
    if let Some(basis) = &mut previous.held {
        sha256 = basis.verify(kind, STEP)?.sha256;
    }
    if request.swaps() {
        let expected = tag.filter(|&tag| tag == request.expected_generation);
        compare(expected.or(there), current.is_some(), damage, previous.is_there, request)?;
        if request.expected_sha256.is_some_and(|expected| sha256 != Some(expected)) {
            return Err(Outcome::new(STEADFAST_E_CONFLICT).with_generation(there.unwrap_or(0)));
        }
    }
    if request.removes {
        return Ok(Known { next: 0, there, replaces, basis: previous.held });
    }
    let last = number.max(previous.number);
    let after = |last: u64| {
        let next = last.checked_add(1).filter(|&next| next < TAGS || kind == Kind::Record);
        next.ok_or(Outcome::because(Errno::of(EOVERFLOW).code(), Detail::LastGeneration))
    };
    // A plain file that has no number gets the one before, where it is kept.
    let room = |last: u64| if kind == Kind::Plain && current.is_some() { after(last).and_then(after) } else { after(last) };
    let next = match (number.filter(|_| !is_unsure), previous.is_there, current.is_some()) {
        (Some(_), _, _) => after(last.unwrap_or(0))?,
        (None, false, false) => 1,
        // Damage, a file that is not ours, or only a previous generation: the clock is above any number that was counted.
        _ => last.map_or(Ok(0), room)?.max((now_ns / 1000).max(1).unsigned_abs()),
    };
    Ok(Known { next, there, replaces, basis: previous.held })
}

/// IF_GENERATION: 0 means neither PATH nor PATH.prev. Where PATH is missing or damaged, a verified PATH.prev is what is
/// compared, so that what STEADFAST_LOAD_RECOVER gave can be saved again.
fn compare(
    there: Option<u64>,
    is_there: bool,
    damage: i32,
    has_previous: bool,
    request: &SaveRequest<'_>,
) -> Result<(), Outcome> {
    let create = request.expected_generation == 0;
    match there {
        Some(there) if there == request.expected_generation && !create => Ok(()),
        Some(there) => Err(Outcome::new(STEADFAST_E_CONFLICT).with_generation(there)),
        None if damage != 0 && (is_there || !create) => Err(Outcome::new(damage)),
        None if create && !has_previous => Ok(()),
        None => Err(Outcome::new(STEADFAST_E_CONFLICT)),
    }
}
