//! Who meets whom, and what must be true whoever was when where.

use crate::fault::Outcome;
use crate::scenario::Maker;
use crate::schedule_run::{Done, Watch};
use crate::tree::{self, Tree};
use std::path::Path;

const RECOVERED: i32 = 17;
const LOCKED: i32 = -10015;
const CONFLICT: i32 = -10009;
const LOCK_REMOVED: i32 = 1;
/// How long what an editor writes is.
const EDIT: usize = 300;

pub type Check = fn(&[(&str, &str)], &Done) -> Result<(), String>;

pub struct Scenario {
    pub name: &'static str,
    pub processes: &'static [(&'static str, &'static str)],
    pub before: Tree,
    /// The lock there is a dead process's: of which number is said anew for each run.
    pub dead_owner: bool,
    pub bound: usize,
    pub watch: Watch,
    pub check: Check,
}

/// After each step the state is there and whole.
fn state_is_whole(directory: &Path, _: &[i32]) -> Result<(), String> {
    let bytes = std::fs::read(directory.join("state")).map_err(|e| format!("the state cannot be read: {e}"))?;
    tree::state(&bytes).map(|_| ()).ok_or_else(|| "the state is damaged".into())
}

/// The same where there was none at first, with the previous one.
fn state_may_be_missing(directory: &Path, holders: &[i32]) -> Result<(), String> {
    if directory.join("state").exists() { state_and_previous_are_whole(directory, holders) } else { Ok(()) }
}

fn state_and_previous_are_whole(directory: &Path, holders: &[i32]) -> Result<(), String> {
    state_is_whole(directory, holders)?;
    match std::fs::read(directory.join("state.prev")) {
        Ok(bytes) if tree::state(&bytes).is_none() => Err("the previous state is damaged".into()),
        _ => Ok(()),
    }
}

/// While it is held, the lock is there and names its holder.
fn lock_is_the_holders(directory: &Path, holders: &[i32]) -> Result<(), String> {
    for holder in holders {
        let text = std::fs::read_to_string(directory.join("lock")).unwrap_or_default();
        if text.trim() != holder.to_string() {
            return Err(format!("{holder} holds the lock, which says {text:?}"));
        }
    }
    Ok(())
}

/// Everyone came to the end and has told what came of it.
fn outcomes(done: &Done) -> Result<Vec<&Outcome>, String> {
    let all: Option<Vec<&Outcome>> = done.outcomes.iter().map(Option::as_ref).collect();
    match (all, done.statuses.iter().all(|&status| status == 0)) {
        (Some(all), true) => Ok(all),
        _ => Err(format!("not everyone has ended well: {:?}", done.statuses)),
    }
}

/// No temporary or rotating name is left.
fn clean(done: &Done, allowed: &[&str]) -> Result<(), String> {
    match done.after.keys().find(|name| !allowed.contains(&name.as_str())) {
        Some(name) => Err(format!("{name} is left")),
        None => Ok(()),
    }
}

fn state_of(done: &Done, name: &str) -> Result<Option<(u64, u8)>, String> {
    let Some(file) = done.after.get(name) else { return Ok(None) };
    tree::content(file).map(Some).ok_or_else(|| format!("{name} is damaged in the end"))
}

/// Saves and loads: every save was made, every load has seen a whole state, the last state is one that was saved, and
/// what is kept as the previous one is whole.
fn saved(processes: &[(&str, &str)], done: &Done) -> Result<(), String> {
    clean(done, &["state", "state.prev"])?;
    let saver = |(operation, with): &(&str, &str)| operation.starts_with("save").then(|| with.as_bytes()[0]);
    let saves: Vec<u8> = processes.iter().filter_map(saver).collect();
    for ((operation, _), outcome) in processes.iter().zip(outcomes(done)?) {
        if outcome.status == 0 && operation.starts_with("save") {
            continue;
        }
        if operation.starts_with("save") {
            return Err(format!("{operation}: {} {}", outcome.status, outcome.message));
        }
        let content = outcome.content as u8;
        let nothing_yet = outcome.status == -libc::ENOENT && outcome.content == 0;
        if outcome.status == RECOVERED || !(outcome.status == 0 && (content == b'7' || saves.contains(&content))) {
            // Where there was nothing, there may be nothing.
            if !(nothing_yet && processes.iter().any(|(operation, _)| operation.ends_with("-first"))) {
                return Err(format!("{operation}: {} {:?} {}", outcome.status, content as char, outcome.message));
            }
        }
    }
    state_of(done, "state.prev")?;
    match state_of(done, "state")? {
        Some((_, content)) if saves.contains(&content) => Ok(()),
        other => Err(format!("in the end the state is {other:?}")),
    }
}

/// The same, and .prev is there.
fn kept(processes: &[(&str, &str)], done: &Done) -> Result<(), String> {
    saved(processes, done)?;
    state_of(done, "state.prev")?.map(|_| ()).ok_or_else(|| "there is no previous state".into())
}

/// Compare and swap: one has won, and the others know it.
fn swapped(processes: &[(&str, &str)], done: &Done) -> Result<(), String> {
    clean(done, &["state", "state.prev"])?;
    let outcomes = outcomes(done)?;
    let won: Vec<usize> = (0..outcomes.len()).filter(|&i| outcomes[i].status == 0).collect();
    let lost = outcomes.iter().filter(|outcome| outcome.status == CONFLICT).count();
    if won.len() != 1 || lost != outcomes.len() - 1 {
        let all: Vec<String> = outcomes.iter().map(|outcome| format!("{} {}", outcome.status, outcome.message)).collect();
        return Err(format!("{} winners: {}", won.len(), all.join("; ")));
    }
    state_of(done, "state.prev")?;
    let state = state_of(done, "state")?;
    let (winner, with) = (outcomes[won[0]], processes[won[0]].1.as_bytes()[0]);
    if state != Some((winner.generation as u64, with)) {
        return Err(format!("in the end the state is {state:?}, not the winner's"));
    }
    Ok(())
}

/// An editor renames a file of its own over the state, which was compared before that: whoever swaps, it is what is there in
/// the end.
fn edit_stays(processes: &[(&str, &str)], done: &Done) -> Result<(), String> {
    clean(done, &["state"])?;
    let outcomes = outcomes(done)?;
    let mut won = 0;
    for ((operation, _), outcome) in processes.iter().zip(&outcomes) {
        won += usize::from(*operation != "edit" && outcome.status == 0);
        if outcome.status != 0 && !(*operation != "edit" && outcome.status == CONFLICT) {
            return Err(format!("{operation}: {} {}", outcome.status, outcome.message));
        }
    }
    let edits: Vec<u8> = processes.iter().filter(|(name, _)| *name == "edit").map(|(_, with)| with.as_bytes()[0]).collect();
    match done.after.get("state").map(|file| &file.bytes) {
        _ if won > 1 => Err(format!("{won} winners")),
        Some(bytes) if bytes.len() == EDIT && edits.iter().any(|edit| bytes.iter().all(|byte| byte == edit)) => Ok(()),
        other => Err(format!("the edit is lost: {:?}", other.and_then(|bytes| bytes.first()).map(|&byte| byte as char))),
    }
}

/// Something is there after each step.
fn state_is_there(directory: &Path, _: &[i32]) -> Result<(), String> {
    match std::fs::metadata(directory.join("state")) {
        Ok(meta) if meta.len() > 0 => Ok(()),
        other => Err(format!("the state is {:?}", other.map(|meta| meta.len()))),
    }
}

/// Locks: nobody is told what cannot be, who waits gets it, and it is free in the end. (That no two have it is seen on
/// the way.)
fn locked(processes: &[(&str, &str)], done: &Done) -> Result<(), String> {
    let outcomes = outcomes(done)?;
    let mut removed = 0;
    let mut taken = 0;
    for ((operation, _), outcome) in processes.iter().zip(&outcomes) {
        let told = || format!("{operation}: {} {}", outcome.status, outcome.message);
        let right = match *operation {
            // absent, removed, held, undecided (being looked at by another cleaner), changed
            "clean" => {
                removed += usize::from(outcome.status == LOCK_REMOVED);
                [0, 1, 2, 3, 5].contains(&outcome.status)
            }
            "contend-wait" => outcome.status == 0 && outcome.content == 1,
            "acquire" => [0, LOCKED].contains(&outcome.status),
            _ => (outcome.status == 0 && outcome.content == 1) || outcome.status == LOCKED,
        };
        if !right {
            return Err(told());
        }
        taken += usize::from(*operation != "clean" && outcome.status == 0);
    }
    if removed > 1 && !processes.iter().any(|(operation, _)| *operation == "acquire") {
        return Err(format!("{removed} have removed the one stale lock"));
    }
    if taken == 0 && processes.iter().any(|(operation, _)| *operation != "clean") {
        return Err("nobody got the lock".into());
    }
    // Whoever ends with the lock in hand leaves it, stale, if nobody has come after him.
    let dies = processes.iter().any(|(operation, _)| *operation == "acquire");
    clean(done, if dies { &["lock"] } else { &[] })
}

/// One cleaner after another: it is gone, and one has removed it.
fn removed_once(processes: &[(&str, &str)], done: &Done) -> Result<(), String> {
    locked(processes, done)?;
    match outcomes(done)?.iter().filter(|outcome| outcome.status == LOCK_REMOVED).count() {
        1 => Ok(()),
        count => Err(format!("{count} have removed the stale lock")),
    }
}

pub fn make(subject: &str, directory: &Path) -> Vec<Scenario> {
    let maker = Maker::new(subject, directory);
    let both = maker.saved();
    let mut plain = both.clone();
    plain.remove("state.prev");
    let mut plain_file = maker.saved_plain();
    plain_file.remove("state.prev");
    let left = maker.left();
    let mut bare = maker.bare(1);
    bare.get_mut("lock").expect("just put").mtime = (1_000_000_000, 0);
    let mut all = Vec::new();
    let mut add = |name, processes, before: &Tree, bound, watch: Watch, check: Check| {
        let dead_owner = std::ptr::eq(before, &bare);
        all.push(Scenario { name, processes, before: before.clone(), dead_owner, bound, watch, check });
    };
    let whole: Watch = state_and_previous_are_whole;
    add("save, save", &[("save", "a"), ("save", "b")], &plain, 2, whole, saved);
    add("swap, swap", &[("save-swap", "a"), ("save-swap", "b")], &plain, 2, whole, swapped);
    add("create, create", &[("save-create", "a"), ("save-create", "b")], &Tree::new(), 2, state_may_be_missing, swapped);
    add("save, load", &[("save", "a"), ("load", "r")], &plain, 3, whole, saved);
    add("previous, load", &[("save-previous", "a"), ("load", "r")], &both, 2, whole, kept);
    let three = &[("save-previous-first", "a"), ("save-previous-first", "b"), ("load", "r")];
    add("first, first, load", three, &Tree::new(), 1, state_may_be_missing, saved);

    let two = &[("save-plain-swap", "a"), ("save-plain-swap", "b")];
    add("plain swap, plain swap", two, &plain_file, 2, state_is_there, swapped);
    add("plain swap, an editor", &[("save-plain-swap", "a"), ("edit", "e")], &plain_file, 3, state_is_there, edit_stays);
    let three = &[("save-plain-swap", "a"), ("save-plain-swap", "b"), ("edit", "e")];
    add("plain swap, plain swap, an editor", three, &plain_file, 1, state_is_there, edit_stays);
    let three = &[("save-plain-swap", "a"), ("edit", "e"), ("edit", "f")];
    add("plain swap, two editors", three, &plain_file, 2, state_is_there, edit_stays);

    let lock: Watch = lock_is_the_holders;
    add("acquire, clean, stale", &[("contend", "a"), ("clean", "b")], &bare, 2, lock, locked);
    add("clean, clean, stale", &[("clean", "a"), ("clean", "b")], &left, 2, lock, removed_once);
    add("wait, wait, stale", &[("contend-wait", "a"), ("contend-wait", "b")], &bare, 1, lock, locked);
    add("wait, a holder that ends", &[("acquire", "a"), ("contend-wait", "b")], &Tree::new(), 2, lock, locked);
    add("three acquire, stale", &[("contend", "a"), ("contend", "b"), ("contend", "c")], &bare, 1, lock, locked);
    let three = &[("contend-wait", "a"), ("contend-wait", "b"), ("clean", "c")];
    add("wait, wait, clean, stale", three, &left, 1, lock, locked);
    // The largest ones last: they get the time that the others do not need.
    let two = &[("contend", "a"), ("contend", "b")];
    add("previous, previous", &[("save-previous", "a"), ("save-previous", "b")], &both, 2, whole, kept);
    add("acquire, acquire, stale", two, &bare, 2, lock, locked);
    add("acquire, acquire, stale, ours", two, &left, 2, lock, locked);
    all
}

/// The mutants: what must be seen of each, and in which scenario.
pub const MUTANTS: [(&str, &str, &str); 10] = [
    ("CHECK_AND_UNLINK", "two hold the lock", "acquire, acquire, stale"),
    ("CHECK_AND_UNLINK", "-2", "acquire, clean, stale"),
    ("RENAME_PRIVATE", "two hold the lock", "acquire, acquire, stale"),
    ("RENAME_PRIVATE", "-2", "acquire, clean, stale"),
    ("PREVIOUS_BY_RENAME", "load: -10007", "previous, load"),
    ("UNLINK_FIRST", "load: -2", "save, load"),
    ("IN_PLACE", "load: -10000", "save, load"),
    ("NO_FLOCK", "2 winners", "swap, swap"),
    // Two take each other's files for somebody's edit.
    ("NO_FLOCK", "winners", "plain swap, plain swap"),
    // The library then compares and renames, as documented.
    ("NO_EXCHANGE", "the edit is lost", "plain swap, an editor"),
];
