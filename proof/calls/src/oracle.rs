//! What must hold after each case. Strict by default: what a failed call excuses stands in exempt.rs, with its reason.

use crate::alternate;
use crate::durable::{durable, durable_in_place};
use crate::exempt::{self, Seen};
use crate::fault::{Fault, Made, Outcome, Run};
use crate::named::{E_INDETERMINATE, E_SAVED_NOT_DURABLE, NOT_DURABLE, UNVERIFIED, named};
use crate::scenario::{Kind, Scenario};
use crate::tree::{self, File};
use libc::*;

fn same(a: Option<&File>, b: Option<&File>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.bytes == b.bytes && a.mode == b.mode && a.owner == b.owner,
        (None, None) => true,
        _ => false,
    }
}

pub struct Judge<'a> {
    pub scenario: &'a Scenario,
    /// Descriptors gained by the operation when nothing fails.
    pub gained: i64,
}

impl Judge<'_> {
    pub fn judge(&self, fault: Fault, run: &Run) -> Result<(), String> {
        let result = match (&run.outcome, fault) {
            (None, Fault::Kill { .. }) => self.killed(run),
            (None, _) => Err(format!("it ended before the call returned: status {:#x}", run.status)),
            (Some(_), Fault::Kill { .. }) => Err("it survived SIGKILL".into()),
            (Some(outcome), _) => self.ended(fault, run, outcome),
        };
        result.and_then(|()| self.held(run))
    }

    /// A live owner's lock is the same file with the same content, always.
    fn held(&self, run: &Run) -> Result<(), String> {
        let Some(name) = self.scenario.alive else { return Ok(()) };
        let (was, is) = (self.scenario.before.get(name), run.after.get(name));
        match (was, is) {
            (Some(was), Some(is)) if was.bytes == is.bytes && (self.scenario.name.contains("foreign") || was.ino == is.ino) => {
                Ok(())
            }
            _ => Err("a live owner's lock was touched".into()),
        }
    }

    /// Has such a call about the attribute of a plain file failed?
    fn failed(&self, run: &Run, number: i64) -> bool {
        let about = |made: &Made| made.number == number && made.path == "user.steadfast" && made.failed.is_some();
        self.scenario.plain() && run.calls.iter().any(about)
    }

    fn old_or_new(&self, run: &Run, file: Option<&File>) -> Result<bool, String> {
        if same(file, self.scenario.before.get(self.scenario.target)) {
            return Ok(false);
        }
        let before = self.scenario.before.get(self.scenario.target).and_then(tree::content);
        match file.and_then(tree::content) {
            Some((generation, b'n')) if generation == before.map_or(0, |(g, _)| g) + 1 => Ok(true),
            // The kernel said that there is none.
            // It is the first, or has a number from the clock when there is a previous one.
            Some((_, b'n')) if run.calls.iter().any(|made| made.number == SYS_openat && made.failed == Some(ENOENT)) => Ok(true),
            // So said it of the attribute, which could not be read, or could not be made.
            Some((_, b'n')) if self.failed(run, SYS_fgetxattr) => Ok(true),
            None if self.failed(run, SYS_fsetxattr) && file.is_some_and(|file| file.bytes == [b'n'; 300]) => Ok(true),
            other => Err(format!("neither the old state nor the new one: {other:?}")),
        }
    }

    fn previous(&self, run: &crate::tree::Tree) -> Result<(), String> {
        let name = format!("{}.prev", self.scenario.target);
        let is = run.get(&name);
        let before = &self.scenario.before;
        let bytes = |file: Option<&File>| file.map(|file| file.bytes.clone());
        if bytes(is) == bytes(before.get(&name)) || (is.is_some() && bytes(is) == bytes(before.get(self.scenario.target))) {
            return Ok(());
        }
        Err("the previous generation is neither what it was nor what was there before".into())
    }

    /// What a save in place has left: the old state, the new one (true), or damage beside the old state at PATH.prev (None).
    fn written(&self, run: &Run, tree: &tree::Tree) -> Result<Option<bool>, String> {
        let before = &self.scenario.before;
        let content = |tree: &tree::Tree, name: &str| tree.get(name).and_then(tree::content);
        let bytes = |tree: &tree::Tree, name: &str| tree.get(name).map(|file| file.bytes.clone());
        // The kernel's word that there are no attributes here is taken: then the copy has another one, or none.
        let kept = content(tree, "state.prev") == content(before, "state")
            || self.failed(run, SYS_fgetxattr) && bytes(tree, "state.prev") == bytes(before, "state");
        match self.old_or_new(run, tree.get("state")) {
            // Where PATH.prev is written in place as well, it may be torn.
            Ok(false) if self.scenario.closed() => Ok(Some(false)),
            Ok(false) => self.previous(tree).map(|()| Some(false)),
            Ok(true) if kept => Ok(Some(true)),
            Err(_) if kept => Ok(None),
            Ok(true) => Err("the previous generation was not kept".into()),
            Err(what) => Err(what),
        }
    }

    fn killed(&self, run: &Run) -> Result<(), String> {
        let signaled = WIFSIGNALED(run.status) && WTERMSIG(run.status) == SIGKILL;
        if !signaled {
            return Err(format!("not killed: {:#x}", run.status));
        }
        match self.scenario.kind {
            Kind::Save if self.scenario.in_place() => self.written(run, &run.after).map(|_| ()),
            Kind::Save if self.scenario.alternates() => alternate::is_new(self.scenario, run, &run.after).map(drop),
            Kind::Save => {
                self.old_or_new(run, run.after.get(self.scenario.target))?;
                self.previous(&run.after)
            }
            Kind::Load | Kind::Inspect => self.unchanged(&run.after),
            Kind::Remove => self.going(&run.after).map(|_| ()),
            _ => self.lock_file(run, &run.after).map(|_| ()),
        }
    }

    /// The state is as it was, has gone to PATH.prev, or is nowhere; never is an older one what is left. Is it at its name?
    fn going(&self, after: &tree::Tree) -> Result<bool, String> {
        let previous = format!("{}.prev", self.scenario.target);
        let old = self.scenario.before.get(self.scenario.target);
        match (after.get(self.scenario.target), after.get(&previous)) {
            (Some(file), _) if same(Some(file), old) => Ok(true),
            (None, Some(file)) if same(Some(file), old) => Ok(false),
            (None, None) => Ok(false),
            _ => Err("neither the state nor nothing is left".into()),
        }
    }

    fn removed(&self, run: &Run, outcome: &Outcome, failed: usize) -> Result<(), String> {
        // The kernel's word that a name is not there is taken.
        if run.calls.iter().any(|made| made.failed == Some(ENOENT) && !made.path.is_empty()) {
            return Ok(());
        }
        let there = self.going(&run.at_end)?;
        let previous = run.at_end.contains_key(&format!("{}.prev", self.scenario.target));
        let on_disk = match outcome.status {
            0 => 1,
            NOT_DURABLE => 2,
            _ => 0,
        };
        if outcome.on_disk != on_disk {
            return Err(format!("on_disk is {} with status {}", outcome.on_disk, outcome.status));
        }
        // What cannot be removed goes back, if that does not fail as well.
        let right = if outcome.status >= 0 { !there && !previous } else { there || failed > 1 };
        if !right {
            return Err(format!("status {}, and the state is {}", outcome.status, if there { "there" } else { "gone" }));
        }
        let done = |made: &Made, numbers: &[i64]| numbers.contains(&made.number) && made.failed.is_none();
        let last = run.calls.iter().rposition(|made| done(made, &[SYS_unlinkat]));
        let synced = last.is_some_and(|last| run.calls.iter().skip(last).any(|made| done(made, &[SYS_fsync])));
        if outcome.status == 0 && !synced { Err("the directory was not synced after the removal".into()) } else { Ok(()) }
    }

    fn unchanged(&self, after: &tree::Tree) -> Result<(), String> {
        let before = &self.scenario.before;
        let same = before.len() == after.len() && before.iter().all(|(name, file)| same(Some(file), after.get(name)));
        if same { Ok(()) } else { Err("it changed something".into()) }
    }

    /// A lock file is there whole or not at all: as it was (Some(false)), ours (Some(true)), or gone (None).
    fn lock_file(&self, run: &Run, after: &tree::Tree) -> Result<Option<bool>, String> {
        let ours = format!("{}\n", run.pid).into_bytes();
        match after.get("lock") {
            None => Ok(None),
            Some(file) if file.bytes == ours => Ok(Some(true)),
            Some(file) if Some(&file.bytes) == self.scenario.before.get("lock").map(|old| &old.bytes) => Ok(Some(false)),
            Some(file) => Err(format!("half a lock file: {:?}", String::from_utf8_lossy(&file.bytes))),
        }
    }

    fn ended(&self, fault: Fault, run: &Run, outcome: &Outcome) -> Result<(), String> {
        let scenario = self.scenario;
        let failed: Vec<&Made> = run.calls.iter().filter(|made| made.failed.is_some()).collect();
        let status = outcome.status;
        let first = failed.first().map(|made| (*made, made.failed.unwrap_or(0)));
        // 1: the answer.
        match first {
            None if status != scenario.status => {
                return Err(format!("{status} instead of {} with nothing failing", scenario.status));
            }
            None => {}
            Some((made, errno)) => {
                let usual = status == scenario.status;
                // Of a batch, `status` is the first entry's and `content` the second one's.
                let elsewhere = scenario.batch() && outcome.content != 0;
                let untold = |at: usize| run.calls[at].failed.is_some() && !exempt::excused(&Seen { scenario, run, at });
                if usual && !elsewhere && (0..run.calls.len()).any(untold) {
                    return Err("a failed call is not told".into());
                }
                if !usual {
                    named(scenario, made, errno, outcome)?;
                }
            }
        }
        // 2: what is there now.
        match scenario.kind {
            Kind::Save => self.saved(run, outcome, first.is_some())?,
            Kind::Load => {
                self.unchanged(&run.at_end)?;
                let right = if status == 17 { b'6' } else { b'7' };
                // What nothing confirms is handed out as it is, and told to be that.
                let denied = scenario.alternates() && alternate::is_denied(run);
                if status >= 0 && status != UNVERIFIED && !denied && outcome.content != i32::from(right) {
                    return Err(format!("it handed out {:?}", outcome.content as u8 as char));
                }
            }
            Kind::Inspect => self.unchanged(&run.at_end)?,
            Kind::Remove => self.removed(run, outcome, failed.len())?,
            _ => self.locked(run, outcome)?,
        }
        // 3: nothing is left, in the directory or open.
        self.left(run, &failed)?;
        let unclosed = failed.iter().filter(|made| made.number == SYS_close).count() as i64;
        let gained = run.descriptors.1 as i64 - run.descriptors.0 as i64;
        let expected = if scenario.kind == Kind::Release || status == scenario.status { self.gained } else { 0 };
        // A failing close that was not made leaves one open, which a real one does not.
        // An acquired lock keeps what it was taken with: the watch of a wait as well, and its descriptor where no mapping of the
        // file keeps its flock.
        let unmapped = failed.iter().any(|made| [SYS_mmap, SYS_madvise].contains(&made.number));
        let spare = if scenario.name.contains("timeout") || unmapped { 1 } else { 0 };
        if gained < expected || gained > expected + unclosed + if status == 0 { spare } else { 0 } {
            return Err(format!("{gained} descriptors gained instead of {expected}"));
        }
        // 4: the next call.
        if run.status != 0 {
            // Descriptors that were not closed keep their flocks; a lock file that could not be removed names this
            // living process.
            let unclosed = unclosed > 0 && matches!(scenario.kind, Kind::Acquire | Kind::Release | Kind::Clean);
            let named = scenario.kind == Kind::Release && status != 0;
            if !(unclosed || named) {
                return Err(format!("the next call in the same process failed: {:#x} after {fault:?}", run.status));
            }
        }
        Ok(())
    }

    fn saved(&self, run: &Run, outcome: &Outcome, faulty: bool) -> Result<(), String> {
        let (in_place, alternates) = (self.scenario.in_place(), self.scenario.alternates());
        let name = if alternates { tree::newest(&run.at_end, self.scenario.target) } else { self.scenario.target.into() };
        let file = run.at_end.get(&name);
        // The kernel's word that what was written in place has no name any more is taken.
        let gone = |made: &Made| made.number == SYS_statx && made.path == "state" && made.failed == Some(ENOENT);
        if in_place && outcome.status < 0 && run.calls.iter().any(gone) {
            return Ok(());
        }
        let new = if in_place {
            match self.written(run, &run.at_end)? {
                Some(new) => new,
                None if outcome.status == E_INDETERMINATE => false,
                None => return Err(format!("status {} and damage", outcome.status)),
            }
        } else if alternates {
            alternate::is_new(self.scenario, run, &run.at_end)?
        } else {
            let new = self.old_or_new(run, file)?;
            self.previous(&run.at_end)?;
            new
        };
        let on_disk = match outcome.status {
            0 | UNVERIFIED => 1,
            // Nothing is kept, and nothing synced.
            NOT_DURABLE if self.scenario.name.contains("NO_SYNC") => 3,
            NOT_DURABLE | E_SAVED_NOT_DURABLE | E_INDETERMINATE => 2,
            _ => 0,
        };
        // A batch's report is about its worst entry.
        let both = !self.scenario.batch() || outcome.content == outcome.status;
        if outcome.on_disk != on_disk && both {
            return Err(format!("on_disk is {} with status {}", outcome.on_disk, outcome.status));
        }
        if self.scenario.batch() && run.at_end.contains_key("second") != (outcome.content >= 0) {
            return Err(format!("the second entry's status is {}", outcome.content));
        }
        let must = outcome.status >= 0 || outcome.status == E_SAVED_NOT_DURABLE;
        let denied = alternates && alternate::is_denied(run);
        if outcome.status != E_INDETERMINATE && new != must && !denied {
            return Err(format!("status {} and the {} state is there", outcome.status, if new { "new" } else { "old" }));
        }
        let (Some(file), true) = (file, must) else { return Ok(()) };
        match outcome.status {
            0 if alternates => alternate::durable(self.scenario, run, &name, file.ino)?,
            0 | UNVERIFIED if in_place => durable_in_place(self.scenario, run, file.ino)?,
            0 | UNVERIFIED => durable(run, &name, file.ino)?,
            _ => {}
        }
        let generation = || tree::content(file).map_or(0, |(generation, _)| generation);
        if outcome.status >= 0 && outcome.status != UNVERIFIED && outcome.generation as u64 != generation() {
            return Err(format!("generation {} is told", outcome.generation));
        }
        let before = self.scenario.before.get(self.scenario.target);
        let now = mode(file, self.scenario.name.contains("NO_SYNC"));
        if let Some(old) = before.filter(|_| !faulty && (old_mode(before), old_owner(before)) != (now, file.owner)) {
            return Err(format!("mode {:o}, owner {:?} instead of {:o}, {:?}", file.mode, file.owner, old.mode, old.owner));
        }
        Ok(())
    }

    fn locked(&self, run: &Run, outcome: &Outcome) -> Result<(), String> {
        let lock = self.lock_file(run, &run.at_end)?;
        let right = match (self.scenario.kind, outcome.status) {
            (Kind::Acquire, 0) => lock == Some(true),
            // A stale one may be gone, one of ours may not be there.
            (Kind::Acquire, _) => lock != Some(true),
            // LOST: the kernel said that it is gone.
            (Kind::Release, 0) => lock.is_none(),
            (Kind::Release, _) => lock == Some(true),
            (Kind::Clean, 1) => lock.is_none(),
            (Kind::Clean, _) => lock.is_none() != self.scenario.before.contains_key("lock"),
            _ => true,
        };
        if right { Ok(()) } else { Err(format!("status {} and the lock file: {lock:?}", outcome.status)) }
    }

    fn left(&self, run: &Run, failed: &[&Made]) -> Result<(), String> {
        let before = &self.scenario.before;
        let known = ["state", "state.prev", "second", "link", "lock", "a/b/state"];
        let looks = failed.iter().filter(|made| made.number == SYS_statx).count();
        let denied = |made: &&Made| made.number == SYS_statx && made.failed == Some(ENOENT) && made.path.ends_with(".tmp");
        let denied = failed.iter().any(denied);
        // What cannot be removed stays until the next call; nor is removed what cannot be told from another's (every look at it
        // fails), or "is not there".
        let excused = failed.iter().any(|made| made.number == SYS_unlinkat) || looks > 1 || denied;
        // When that goes on, the writer goes on to names where no other save comes by.
        let beyond = |name: &str| looks > 1 && (denied || self.scenario.name.contains("orphan")) && !name.ends_with(".0.tmp");
        for name in [&run.at_end, &run.after].into_iter().flat_map(|tree| tree.keys()) {
            let orphan = before.contains_key(name) && !run.after.contains_key(name);
            if known.contains(&name.as_str()) || orphan || before.contains_key(name) && !failed.is_empty() {
                continue;
            }
            // The next call saves the first path of a batch only.
            let elsewhere = self.scenario.batch() && name.starts_with(".second");
            // What was at PATH.prev before, which could not be removed or put back: the next save that keeps one removes it.
            let moved = |made: &&Made| [SYS_unlinkat, SYS_renameat, SYS_renameat2].contains(&made.number);
            if name.ends_with(".prev.tmp") && failed.iter().any(moved) {
                continue;
            }
            // The state that was replaced: the next save that compares and swaps removes it.
            if name.ends_with(".edit") && excused {
                continue;
            }
            let stays = excused && (!run.after.contains_key(name) || elsewhere || beyond(name));
            if !(stays && self.scenario.kind == Kind::Save && name.ends_with(".tmp")) {
                return Err(format!("{name} is left"));
            }
        }
        Ok(())
    }
}

/// But for the mark of a state that was not synced.
fn mode(file: &File, unsynced: bool) -> u32 {
    if unsynced { file.mode & !0o1000 } else { file.mode }
}

fn old_mode(file: Option<&File>) -> u32 {
    file.map_or(0, |file| file.mode)
}

fn old_owner(file: Option<&File>) -> (u32, u32) {
    file.map_or((0, 0), |file| file.owner)
}
