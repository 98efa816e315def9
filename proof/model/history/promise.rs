//! What the contract promises about a history of saves, as one pure judge for every layer that explores histories.
//!
//! It knows two moments. Right after a call it compares the answer with what a load gives then ([`answer`]). After a power
//! cut it compares everything that was answered before with what a load then gives ([`after_cut`]):
//!
//! - A state that was acknowledged as durable (NEW), or one that was published later, is what a load or RECOVER gives.
//! - EITHER: the same holds for what was there before. RECOVER may be needed where the content was not synced.
//! - UNKNOWN: what was there before may be lost with it, but never a durable PATH.prev.
//! - OLD: that save is never seen.
//! - A generation that was acknowledged as durable never comes again.
//!
//! Without any sync nothing but the order of a journal makes the rename that keeps the previous state reach the disk before
//! the one that publishes the new one. So EITHER after a failed or omitted sync of the content holds where changes of
//! directories persist in their order (`ordered`). Where they persist in any order, the durable PATH.prev still stays.
//!
//! The two files of an alternating state are looked at as the state, which is the newer whole one, and as what PATH.prev is
//! otherwise: the older one, which is being overwritten while a save is under way.
//!
//! Savers that do not compare and swap hold nobody off. So an unsynced save keeps what it found when it looked; what another
//! saver published while it ran may be lost with it.

use super::words::*;

/// What a load gave.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Found {
    /// A payload of ours, byte for byte.
    Version { version: u64, generation: u64 },
    /// No file, and no previous one.
    Missing,
    /// No file, but a previous one.
    Lost,
    /// Damage, by its code.
    Damaged(i32),
    /// A payload that nobody saved.
    Wrong,
}

impl Found {
    pub fn version(self) -> Option<u64> {
        if let Found::Version { version, .. } = self { Some(version) } else { None }
    }

    pub fn generation(self) -> Option<u64> {
        if let Found::Version { generation, .. } = self { Some(generation) } else { None }
    }
}

/// What a load of PATH and one of PATH.prev give now.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Look {
    pub state: Found,
    pub previous: Found,
    /// PATH.prev is known not to be on the disk: a copy that was not synced, of whatever version.
    pub marked: bool,
}

/// What a call was told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Told {
    pub status: i32,
    pub on_disk: i32,
    pub generation: u64,
}

impl Told {
    /// Is the new state there for every reader?
    pub fn saved(self) -> bool {
        self.status >= 0 || self.status == E_SAVED_NOT_DURABLE
    }
}

/// The answer of a call.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub told: Told,
    /// What was there right after it.
    pub after: Look,
    /// No other save ran beside it.
    pub alone: bool,
    /// When it came: a later one has a higher number.
    pub at: usize,
}

/// A save as far as the history has got.
#[derive(Clone, Debug)]
pub struct Save {
    pub version: u64,
    pub flags: u32,
    /// With IF_GENERATION.
    pub expected: u64,
    /// No sync of its content was asked for, or every one failed.
    pub unsynced: bool,
    /// It could make a hard link. Where it cannot, an unsynced save may have to give up what it replaces, and then says UNKNOWN.
    pub links: bool,
    /// Its place among those that got the name PATH; the last one where it got it twice. None: it has not got it.
    pub order: Option<u64>,
    /// None: it is under way, or was killed.
    pub answer: Option<Answer>,
    /// When it began and when it was answered or killed, in the same numbers for all. It is under way while it has no end.
    pub begun: usize,
    pub ended: Option<usize>,
}

impl Save {
    fn has(&self, flag: u32) -> bool {
        let implied = if self.flags & ALTERNATE != 0 { KEEP_PREVIOUS } else { 0 };
        (self.flags | implied) & flag != 0
    }

    fn ran_beside(&self, other: &Save) -> bool {
        let before = |a: &Save, b: &Save| a.ended.is_some_and(|ended| ended < b.begun);
        !before(self, other) && !before(other, self)
    }

    fn on_disk(&self) -> Option<i32> {
        self.answer.map(|answer| answer.told.on_disk)
    }
}

/// The saves of one path, in the order in which they began.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub saves: Vec<Save>,
    /// The history began with a PATH that was missing beside a PATH.prev.
    pub began_lost: bool,
}

impl History {
    fn save(&self, found: Found) -> Option<&Save> {
        self.saves.iter().find(|save| Some(save.version) == found.version())
    }

    /// Does the state alternate, perhaps?
    fn alternates(&self) -> bool {
        self.saves.iter().any(|save| save.flags & ALTERNATE != 0)
    }

    /// A version whose content was synced.
    fn synced(&self, found: Found) -> Option<&Save> {
        self.save(found).filter(|save| !save.unsynced)
    }

    /// The same of a PATH.prev.
    fn synced_previous(&self, look: Look) -> Option<&Save> {
        self.synced(look.previous).filter(|_| !look.marked)
    }
}

/// Right after a call. Where another one ran beside it, only the answers are compared.
pub fn answer(history: &History, save: &Save, before: Look) -> Result<(), String> {
    let Some(Answer { told, after, alone, .. }) = save.answer else { return Ok(()) };
    consistent(save, told)?;
    if !alone {
        return exclusive(history, save, told);
    }
    // One of the other kind no load of this one gives.
    let there = history.synced(before.state).or(history.synced_previous(before));
    let durable = there.is_some_and(|there| there.flags & PLAIN == save.flags & PLAIN);
    if told.status == NOT_DURABLE && told.on_disk == UNKNOWN && save.has(KEEP_PREVIOUS) && save.links && durable {
        return Err("UNKNOWN, though a durable state is kept".into());
    }
    if told.status == E_INDETERMINATE {
        return Ok(());
    }
    if !told.saved() {
        if after.state != before.state {
            return Err(format!("status {}, but a load gives {:?} instead of {:?}", told.status, after.state, before.state));
        }
        return match after.previous {
            // Of an alternating state what was there may not come back: its name would not be known to be on the disk.
            kept if history.alternates() && kept == before.state => Ok(()),
            Found::Version { .. } if after.previous != before.previous => Err(format!(
                "a save that failed ({}) made PATH.prev {:?}, which was {:?}",
                told.status, after.previous, before.previous
            )),
            _ => Ok(()),
        };
    }
    if after.state.version() != Some(save.version) {
        return Err(format!("status {}, but a load gives {:?}", told.status, after.state));
    }
    if told.status >= 0 && after.state.generation() != Some(told.generation) {
        return Err(format!("generation {} is told, but a load gives {:?}", told.generation, after.state));
    }
    generation(history, save, told, before)?;
    swapped(save, before)?;
    previous(history, save, told, before, after)
}

/// A save that nothing disturbed is done, also beside another one; who compares and swaps may have to wait, and lose.
pub fn works(save: &Save, before: Look) -> Result<(), String> {
    if let Some(answer) = save.answer
        && !answer.alone
    {
        // Who finds an alternating state waits for the one that saves.
        let waited = answer.told.status == E_BUSY;
        let lost = !answer.told.saved() && !save.has(IF_GENERATION) && !waited;
        return if lost { Err(format!("status {} beside another save", answer.told.status)) } else { Ok(()) };
    }
    // With nothing whole to compare with it cannot be.
    let nothing = before.state.version().or(before.previous.version()).is_none() && before.state != Found::Missing;
    match save.answer {
        Some(answer) if !(answer.told.saved() || save.has(IF_GENERATION) && nothing) => {
            Err(format!("status {}", answer.told.status))
        }
        _ => Ok(()),
    }
}

/// Does `on_disk` fit the status, and both the flags?
fn consistent(save: &Save, told: Told) -> Result<(), String> {
    let fits = match told.status {
        0 => told.on_disk == NEW && !save.has(NO_SYNC),
        NOT_DURABLE => [EITHER, UNKNOWN].contains(&told.on_disk) && !save.has(STRICT),
        E_SAVED_NOT_DURABLE => [EITHER, UNKNOWN].contains(&told.on_disk) && save.has(STRICT),
        E_INDETERMINATE => [EITHER, UNKNOWN].contains(&told.on_disk),
        _ => told.on_disk == OLD && told.status < 0,
    };
    let unknown = told.status == NOT_DURABLE && save.has(NO_SYNC) && !save.has(KEEP_PREVIOUS) && told.on_disk != UNKNOWN;
    match (fits, unknown) {
        (true, false) => Ok(()),
        (true, true) => Err("NO_SYNC without KEEP_PREVIOUS does not say UNKNOWN".into()),
        (false, _) => Err(format!("flags {:#x}, status {}: on_disk {}", save.flags, told.status, told.on_disk)),
    }
}

/// Of those who compare and swap, one can get what it expected.
fn exclusive(history: &History, save: &Save, told: Told) -> Result<(), String> {
    let won = |other: &&Save| {
        let done = other.answer.is_some_and(|answer| answer.told.saved());
        done && other.has(IF_GENERATION) && other.expected == save.expected && other.version != save.version
    };
    match history.saves.iter().find(won) {
        Some(other) if save.has(IF_GENERATION) && told.saved() => {
            Err(format!("versions {} and {} have both swapped generation {}", other.version, save.version, save.expected))
        }
        _ => Ok(()),
    }
}

/// 1 + the current one; where a save looks at PATH.prev, 1 + the higher of the two.
fn generation(history: &History, save: &Save, told: Told, before: Look) -> Result<(), String> {
    if told.status < 0 {
        return Ok(());
    }
    let highest = before.state.generation().max(before.previous.generation());
    // Of an alternating state's two files the damaged one may have been the newer.
    let unsure = history.alternates() && matches!(before.previous, Found::Damaged(_));
    let wanted = match before.state {
        Found::Version { .. } if unsure => Some(told.generation) > highest,
        Found::Version { generation, .. } if !save.has(KEEP_PREVIOUS | IF_GENERATION) => told.generation == generation + 1,
        Found::Version { .. } => Some(told.generation) == highest.map(|generation| generation + 1),
        Found::Missing => told.generation == 1,
        _ => highest.is_none_or(|highest| told.generation > highest),
    };
    if wanted {
        Ok(())
    } else {
        Err(format!("generation {} after {:?} and {:?}", told.generation, before.state, before.previous))
    }
}

/// Compare and swap: it replaced what it expected.
fn swapped(save: &Save, before: Look) -> Result<(), String> {
    if !save.has(IF_GENERATION) {
        return Ok(());
    }
    let there = before.state.generation().or(before.previous.generation());
    let expected = match before.state {
        Found::Missing => save.expected == 0,
        _ => there == Some(save.expected) && save.expected != 0,
    };
    if expected {
        Ok(())
    } else {
        Err(format!("swapped, expecting {}, over {:?} and {:?}", save.expected, before.state, before.previous))
    }
}

/// What became of PATH.prev in a save that was done.
fn previous(history: &History, save: &Save, told: Told, before: Look, after: Look) -> Result<(), String> {
    let (kept, was) = (after.previous, before.previous);
    let replaced = before.state.version();
    let error = |what: &str| Err(format!("{what}: PATH.prev is {kept:?}, was {was:?}, the state was {:?}", before.state));
    if history.synced(before.state).is_some() {
        // A save whose sync failed keeps it in any case.
        // Over an alternating state whose newer file is PATH.prev any save keeps that.
        let may = save.has(KEEP_PREVIOUS) || told.status == NOT_DURABLE && save.unsynced || history.alternates();
        let keeps = save.has(KEEP_PREVIOUS) && (save.links || !save.unsynced);
        return match (keeps, kept.version() == replaced, kept == was) {
            (true, true, _) | (false, _, true) => Ok(()),
            (false, true, _) if may => Ok(()),
            // A batch was killed before it synced this, and another saver's sync of it failed.
            (true, _, true) if history.alternates() && history.save(before.state).is_none_or(|save| save.answer.is_none()) => {
                Ok(())
            }
            (true, ..) => error("the previous state was not kept"),
            _ => error("PATH.prev changed"),
        };
    }
    if history.synced_previous(before).is_some() && kept != was {
        return error("a durable PATH.prev gave way to a state that is none");
    }
    // What is no state at all is somebody's.
    if (before.state, was) == (Found::Damaged(E_FORMAT), Found::Missing) && save.has(KEEP_PREVIOUS) && kept != before.state {
        return error("a foreign file was not kept");
    }
    if kept == Found::Wrong { error("PATH.prev is made up") } else { Ok(()) }
}

/// What was found after a power cut, and what the next save then came to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Seen {
    pub state: Found,
    /// With RECOVER.
    pub recovered: Found,
    pub previous: Found,
    /// The generation of the next save, or why going on did not work.
    pub next: Result<u64, String>,
}

/// After a power cut. `ordered`: changes of directories persist in their order.
pub fn after_cut(history: &History, ordered: bool, seen: &Seen) -> Result<(), String> {
    let saves = &history.saves;
    // What was acknowledged, in the order of publication.
    let acknowledged = saves.iter().filter(|save| save.on_disk() == Some(NEW));
    if let Some(save) = acknowledged.clone().find(|save| save.order.is_none()) {
        return Err(format!("version {} was told NEW and has never had the name", save.version));
    }
    let floor = acknowledged.clone().filter_map(|save| save.order).max();
    let given_up = |old: &Save| saves.iter().any(|save| save.order > old.order && gives_up(save, old, ordered));
    let protected = acknowledged.clone().filter(|save| !given_up(save)).filter_map(|save| save.order).max();
    let durable_previous = durable_previous(history);
    let unsynced = |save: &&Save| save.unsynced && save.on_disk() != Some(OLD);
    let doubtful = saves.iter().filter(unsynced).filter_map(|save| save.order).max();

    // The state itself: damage, where a content that was not synced may have the name.
    match seen.state {
        Found::Version { .. } => real(history, seen.state, protected, "a load")?,
        Found::Missing | Found::Lost if floor.is_none() => {}
        Found::Lost if history.began_lost && saves.iter().all(|save| save.begun == 0 || save.on_disk() != Some(NEW)) => {}
        Found::Damaged(_) if doubtful > floor => {}
        other => return Err(format!("a load gives {other:?}")),
    }
    let in_turns = |save: &Save| save.flags & ALTERNATE != 0 && !save.has(NO_SYNC);
    if ordered
        && seen.state.version().is_none()
        && floor.is_some()
        && saves.iter().filter(|save| save.order.is_some()).all(in_turns)
    {
        return Err(format!("a load of an alternating state needs RECOVER: {:?}", seen.state));
    }
    match (seen.state, seen.recovered) {
        (Found::Version { .. }, recovered) if recovered != seen.state => {
            return Err(format!("a load gives {:?}, RECOVER {recovered:?}", seen.state));
        }
        (_, Found::Version { .. }) => {
            let kept = durable_previous.and_then(|(save, _)| save.order);
            real(history, seen.recovered, protected.max(kept), "RECOVER")?;
        }
        (_, Found::Missing) if floor.is_none() && durable_previous.is_none() => {}
        (_, Found::Damaged(_)) if protected.is_none() && durable_previous.is_none() && nothing_whole(saves, ordered) => {}
        (_, other) => return Err(format!("RECOVER gives {other:?}")),
    }
    // Where PATH.prev is the newer one and PATH what is kept, only the order of a journal brings that to PATH.prev first.
    if let Some((kept, since)) = durable_previous.filter(|_| ordered || !history.alternates()) {
        previous_stays(history, kept, since, seen)?;
    }
    // Who ran beside another one may have counted before it, and published after it.
    let counted = acknowledged.filter_map(|save| save.answer).filter(|answer| answer.alone);
    let highest = counted.map(|answer| answer.told.generation).max();
    let highest = highest.max(seen.recovered.generation());
    match &seen.next {
        Err(why) => Err(why.clone()),
        Ok(generation) if highest.is_some_and(|highest| *generation <= highest) => {
            Err(format!("the next save's generation is {generation} again, after {highest:?}"))
        }
        Ok(_) => Ok(()),
    }
}

/// May what was acknowledged before `save` was published be lost with it?
fn gives_up(save: &Save, old: &Save, ordered: bool) -> bool {
    let asked = match save.on_disk() {
        Some(on_disk) => on_disk == UNKNOWN,
        None => save.has(NO_SYNC) && !save.has(KEEP_PREVIOUS) || !save.links,
    };
    save.unsynced && save.on_disk() != Some(OLD) && (asked || !ordered || save.ran_beside(old))
}

/// May there be nothing whole at all? Not when all of those whose content may be damaged said EITHER and skipped their syncs. One
/// whose sync failed says EITHER where it replaced no state, too: nothing that was acknowledged is lost with it.
fn nothing_whole(saves: &[Save], ordered: bool) -> bool {
    let all = |save: &&Save| save.unsynced && save.order.is_some() && save.on_disk() != Some(OLD);
    saves.iter().filter(all).any(|save| !ordered || save.on_disk() != Some(EITHER) || !save.has(NO_SYNC))
}

/// The PATH.prev that is on the disk for sure, and since when: what was there when the last durable save was acknowledged.
fn durable_previous(history: &History) -> Option<(&Save, usize)> {
    let answers = history.saves.iter().filter_map(|save| save.answer);
    let last = answers.filter(|answer| answer.alone && answer.told.on_disk == NEW).max_by_key(|answer| answer.at)?;
    history.synced_previous(last.after).map(|save| (save, last.at))
}

/// Has a save of an alternating state begun since, which writes over the older file?
fn is_overwritten(history: &History, since: usize) -> bool {
    let told = history.saves.iter().find(|save| save.answer.is_some_and(|answer| answer.at == since));
    let last = told.and_then(|save| save.ended);
    history.saves.iter().any(|save| save.flags & ALTERNATE != 0 && save.ended.is_none_or(|ended| Some(ended) > last))
}

/// A durable PATH.prev is there, or a durable one that was published after it.
fn previous_stays(history: &History, kept: &Save, since: usize, seen: &Seen) -> Result<(), String> {
    let answers = history.saves.iter().enumerate().filter_map(|(at, save)| Some((at, save, save.answer?)));
    let last = answers.clone().max_by_key(|(.., answer)| answer.at);
    // Nothing came after it that could have changed PATH.prev.
    let over = |save: &Save, at: usize, last: usize| save.answer.is_some() || save.ended.is_some() && at < last;
    let quiet = |last: usize| (0..).zip(&history.saves).all(|(at, save)| over(save, at, last));
    match history.save(seen.previous) {
        Some(save) if save.unsynced => {
            Err(format!("an unsynced state is in the place of a durable PATH.prev: {:?}", seen.previous))
        }
        Some(save) if save.order < kept.order => Err(format!("PATH.prev fell back to {:?}", seen.previous)),
        Some(_) => match last {
            Some((at, _, last))
                if quiet(at) && last.alone && last.told.on_disk == NEW && last.after.previous != seen.previous =>
            {
                Err(format!("PATH.prev is {:?}, was {:?}", seen.previous, last.after.previous))
            }
            _ => Ok(()),
        },
        None if is_overwritten(history, since) => Ok(()),
        // A save that failed may leave nothing there that could be taken for a state.
        None if answers.clone().any(|(_, save, answer)| save.has(KEEP_PREVIOUS) && answer.at > since && !answer.told.saved()) => {
            Ok(())
        }
        None => Err(format!("PATH.prev is {:?}; version {} was durable there", seen.previous, kept.version)),
    }
}

/// A version that somebody saved, that no answer called off, and that is not older than what is protected.
fn real(history: &History, found: Found, protected: Option<u64>, who: &str) -> Result<(), String> {
    let Some(save) = history.save(found) else { return Err(format!("{who} gives {found:?}, which nobody saved")) };
    if save.on_disk() == Some(OLD) {
        return Err(format!("{who} gives {found:?}, which was told OLD"));
    }
    match save.order {
        None => Err(format!("{who} gives {found:?}, which was not published yet")),
        order if order < protected => Err(format!("{who} gives {found:?}, older than what is acknowledged")),
        _ => Ok(()),
    }
}
