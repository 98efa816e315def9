//! What must hold after each case. Strict by default; every exemption has its reason beside it.

use crate::fault::{Fault, Made, Outcome, Run};
use crate::scenario::{Kind, Scenario};
use crate::tree::{self, File};
use libc::*;

const NOT_DURABLE: i32 = 16;
const RECOVERED: i32 = 17;
const E_LOST: i32 = -10007;
const E_CONFLICT: i32 = -10009;
const E_NOT_SAVED_DURABLY: i32 = -10012;
const E_SAVED_NOT_DURABLE: i32 = -10013;
const E_INDETERMINATE: i32 = -10014;
const E_LOCKED: i32 = -10015;
const E_LOCK_LOST: i32 = -10016;
const E_UNSUPPORTED: i32 = -10019;

fn unsupported(errno: i32) -> bool {
    [EINVAL, ENOSYS, EOPNOTSUPP, ENOTTY].contains(&errno)
}

/// May the operation succeed, or answer what it would have answered, although this call failed so?
/// `late`: the content of a file had been read before.
fn tolerated(scenario: &Scenario, made: &Made, errno: i32, late: bool) -> bool {
    let kind = scenario.kind;
    let recycles = scenario.name.contains("RECYCLE");
    let lock = !matches!(kind, Kind::Save | Kind::Load);
    match made.number {
        _ if errno == EINTR => true,             // Asked again: the call was not made.
        SYS_brk | SYS_mmap | SYS_munmap => true, // malloc has more than one way, and free none to fail.
        SYS_close => true, // It frees the descriptor whatever it answers (close(2)); fsync has told already.
        // A batch goes on with fewer files at once; a hint to begin writing is a hint; an entry's own status tells the rest.
        _ if scenario.batch() && errno == EMFILE => true,
        SYS_sync_file_range | SYS_syncfs if scenario.batch() => true,
        // No pread answers that.
        SYS_pread64 if kind == Kind::Load && errno == ENOENT => true,
        // What cannot be looked at is no orphan for us: passed over, the next name is taken.
        SYS_statx if scenario.name.contains("orphan") => made.path.ends_with(".tmp") || made.path.is_empty(),
        // Damage that was found is told; the second look is for whether the file has been replaced meanwhile.
        _ if scenario.name.contains("damaged") && late => true,
        // The second look at a state that is not there; when it fails, everything is looked at anew.
        SYS_openat if kind == Kind::Load && scenario.name.contains("lost") && made.path == "state" => true,
        // An unreadable state is one for which the previous generation is kept.
        _ if scenario.name.contains("RECOVER") && errno == EIO => true,
        // Opening it has said that there is none. Is it a link? What cannot be looked at is none.
        SYS_statx if kind == Kind::Load && made.path == "state" => true,
        // The previous generation is opened so that a saver that recycles it is waited for, and by RECYCLE to be written
        // to; where that fails, a fresh file is saved and renamed, and judged by `durable`.
        SYS_openat | SYS_renameat2 if kind == Kind::Save && made.path == "state.prev" => true,
        SYS_flock | SYS_fstatfs | SYS_fdatasync | SYS_ftruncate | SYS_write if recycles => true,
        SYS_statx if recycles => made.path.is_empty() || made.path == "state.prev",
        SYS_statx if scenario.name.contains("KEEP_PREVIOUS") && late && made.path.is_empty() => true,
        SYS_kill => kind == Kind::Inspect && scenario.name.contains(", held"), // The flock says it; who it is, is for the message.
        SYS_fsync => true, // Judged by `durable` and `not_durable`, which know more.
        SYS_openat if made.path.starts_with("/proc/") => true, // Identity is an addition to the flock.
        SYS_read if made.foreign => true, // The same.
        SYS_readlinkat if made.path.starts_with("/proc/") => true,
        SYS_fstatfs => lock || scenario.name.contains("orphan"), // Is it a network file system? For a warning and for caution.
        SYS_fgetxattr | SYS_fsetxattr => true,                   // A missing attribute is not fatal: the flock still tells.
        SYS_pidfd_open => true,                                  // kill and /proc tell as well.
        SYS_fcntl => true,                                       // The queue of waiters: only fairness rests on it.
        SYS_inotify_init1 | SYS_inotify_add_watch => true,       // The wait backs off instead.
        SYS_ppoll => lock && made.args[1] == 1, // Is the pidfd's process a zombie? Alive when it cannot be known.
        SYS_statx => errno == ENOSYS || errno == EPERM || errno == ENOENT || lock && identity(made), // newfstatat; a name that is gone.
        SYS_newfstatat => errno == ENOENT,
        // O_TMPFILE is not everywhere; a name that is taken is passed over; none is none.
        SYS_openat if made.args[2] as i32 & O_TMPFILE == O_TMPFILE => unsupported(errno) || [EISDIR, ENOENT].contains(&errno),
        SYS_openat if made.path.ends_with(".tmp") => errno == EEXIST || made.args[2] as i32 & O_CREAT == 0,
        // The directory of a lock need not be readable: O_PATH, then without a place in the queue.
        SYS_openat if lock && made.path == "." => true,
        // A lock file that may not be opened says nothing; one that is not there is free to take.
        SYS_openat if lock && made.path == "lock" => [EACCES, EPERM, ENOENT, ELOOP, ENXIO].contains(&errno),
        SYS_openat => errno == ENOENT,
        // Given up on close at the latest. Without flock nobody takes the temporary file for an orphan either.
        SYS_flock if made.args[1] as i32 & LOCK_UN != 0 => true,
        SYS_flock if kind == Kind::Save => unsupported(errno) || errno == ENOLCK || scenario.name.contains("orphan"),
        SYS_flock if kind == Kind::Inspect => true, // It may look no further, but not lie: `judged` sees to that.
        SYS_renameat2 | SYS_renameat => unsupported(errno) && made.args[4] != 0 && made.number == SYS_renameat2,
        // No hard links here: a copy, or a private name. Gone, or there already: looked at anew.
        SYS_linkat => errno == EPERM || errno == EMLINK || unsupported(errno) || errno == ENOENT || errno == EEXIST,
        // Only root may give a file away.
        SYS_fchown => errno == EPERM || unsupported(errno),
        // A temporary file that cannot be removed is left to the next save; a lock file must be.
        SYS_unlinkat => errno == ENOENT || (kind == Kind::Save && made.path.starts_with('.')),
        SYS_mkdirat => errno == EEXIST,
        _ => false,
    }
}

/// The stat of a pidfd: who this process is.
fn identity(made: &Made) -> bool {
    made.path.is_empty() && made.file.is_none_or(|(_, kind)| kind != S_IFREG && kind != S_IFDIR)
}

/// The steps that may be named when a call of this kind failed (steadfast.h, STEADFAST_STEP_*).
fn steps(number: i64) -> &'static [i32] {
    match number {
        SYS_fsync | SYS_syncfs => &[7, 8, 10, 11],
        SYS_write => &[5, 8, 21],
        SYS_renameat | SYS_renameat2 => &[8, 9, 22],
        SYS_linkat => &[8, 9, 22],
        SYS_unlinkat => &[8, 20, 4],
        SYS_fchmod | SYS_fchown => &[6, 8],
        SYS_mkdirat => &[11],
        SYS_readlinkat => &[12],
        SYS_pread64 | SYS_read => &[3, 8, 14, 19, 23],
        SYS_flock => &[3, 4, 8, 18, 21],
        SYS_openat => &[1, 2, 4, 8, 11, 13, 21],
        SYS_brk | SYS_mmap => &[15],
        SYS_ppoll => &[23],
        SYS_kill => &[17],
        // Looking at what was opened belongs to every step.
        SYS_statx | SYS_newfstatat => &[1, 2, 3, 4, 8, 9, 14, 17, 19, 21, 22],
        _ => &[],
    }
}

fn own_code(scenario: &Scenario, made: &Made, errno: i32, status: i32) -> bool {
    match status {
        E_NOT_SAVED_DURABLY => made.number == SYS_fsync && scenario.name.contains("STRICT"),
        E_SAVED_NOT_DURABLE => made.number == SYS_fsync && scenario.name.contains("STRICT"),
        E_UNSUPPORTED => made.number == SYS_flock && (unsupported(errno) || errno == ENOLCK || errno == EBADF),
        // The kernel's word that a name is there, or is not, is taken.
        E_CONFLICT => scenario.name.contains("IF_GENERATION") && [ENOENT, EEXIST].contains(&errno),
        E_LOST => scenario.kind == Kind::Load && errno == ENOENT,
        E_LOCK_LOST => scenario.kind == Kind::Release && errno == ENOENT,
        // It may not be opened: held, for all that can be known; nor can it be taken when its name is "there".
        E_LOCKED => scenario.kind == Kind::Acquire,
        E_INDETERMINATE => false,
        _ => false,
    }
}

/// Is the file of `ino` on the disk under its name, for all that its calls say?
fn durable(scenario: &Scenario, run: &Run, ino: u64) -> Result<(), String> {
    let of = |made: &Made| made.file.is_some_and(|(file, _)| file == ino);
    let failed = |made: &Made| made.failed.is_some_and(|errno| errno != EINTR);
    let is = |made: &Made, numbers: &[i64]| numbers.contains(&made.number);
    let base = scenario.target.rsplit('/').next().expect("a name");
    let calls = &run.calls;
    let sync = |made: &Made| is(made, &[SYS_fsync, SYS_fdatasync, SYS_syncfs]);
    if calls.iter().any(|made| is(made, &[SYS_fsync, SYS_fdatasync]) && of(made) && failed(made)) {
        return Err("a file whose fsync failed was published as durable".into());
    }
    let changes = [SYS_write, SYS_pwrite64, SYS_ftruncate, SYS_fallocate, SYS_fchmod, SYS_fchown];
    let written = calls.iter().rposition(|made| is(made, &changes) && of(made) && made.failed.is_none());
    let written = written.ok_or("the file there was not written by this call")?;
    let covers = |made: &Made| sync(made) && made.failed.is_none() && (of(made) || made.number == SYS_syncfs);
    let synced = calls.iter().skip(written).position(covers).ok_or("not synced after its last change")? + written;
    let named = |made: &Made| {
        is(made, &[SYS_renameat, SYS_renameat2, SYS_linkat])
            && made.failed.is_none()
            && (made.second == base || made.second == scenario.target)
    };
    let renamed = calls.iter().rposition(named).ok_or("never renamed")?;
    if renamed < synced {
        return Err("renamed before it was synced".into());
    }
    let directory =
        |made: &&Made| sync(made) && (made.number == SYS_syncfs || made.file.is_some_and(|(_, kind)| kind == S_IFDIR));
    let after: Vec<&Made> = calls.iter().skip(renamed).filter(directory).collect();
    if after.is_empty() || after.iter().any(|made| failed(made)) {
        return Err("the directory was not synced after the rename".into());
    }
    let made = calls.iter().filter(|made| made.number == SYS_mkdirat && made.failed.is_none()).count();
    let parents = calls.iter().take(renamed).filter(directory).filter(|made| made.failed.is_none()).count();
    if made > 0 && parents < 2 {
        return Err("a parent directory was not synced".into());
    }
    Ok(())
}

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

    fn old_or_new(&self, file: Option<&File>) -> Result<bool, String> {
        if same(file, self.scenario.before.get(self.scenario.target)) {
            return Ok(false);
        }
        let before = self.scenario.before.get(self.scenario.target).and_then(|old| tree::state(&old.bytes));
        match file.and_then(|file| tree::state(&file.bytes)) {
            Some((generation, b'n')) if generation == before.map_or(0, |(g, _)| g) + 1 => Ok(true),
            // The kernel said that there is none: then it is the first.
            Some((1, b'n')) => Ok(true),
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

    fn killed(&self, run: &Run) -> Result<(), String> {
        let signaled = WIFSIGNALED(run.status) && WTERMSIG(run.status) == SIGKILL;
        if !signaled {
            return Err(format!("not killed: {:#x}", run.status));
        }
        match self.scenario.kind {
            Kind::Save => {
                self.old_or_new(run.after.get(self.scenario.target))?;
                // What is being overwritten in place is nobody's generation meanwhile: that is what RECYCLE says.
                if self.scenario.name.contains("RECYCLE") { Ok(()) } else { self.previous(&run.after) }
            }
            Kind::Load | Kind::Inspect => self.unchanged(&run.after),
            _ => self.lock_file(run, &run.after).map(|_| ()),
        }
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
                let late = run.calls.iter().take_while(|made| made.failed.is_none()).any(|made| made.number == SYS_pread64);
                // Of a batch, `status` is the first entry's and `content` the second one's.
                let elsewhere = scenario.batch() && outcome.content != 0;
                if usual && !elsewhere && !failed.iter().all(|made| tolerated(scenario, made, errno, late)) {
                    return Err("a failed call is not told".into());
                }
                if !usual {
                    self.named(made, errno, outcome)?;
                }
            }
        }
        // 2: what is there now.
        match scenario.kind {
            Kind::Save => self.saved(run, outcome, first.is_some())?,
            Kind::Load => {
                self.unchanged(&run.at_end)?;
                let right = if status == 17 { b'6' } else { b'7' };
                if status >= 0 && outcome.content != i32::from(right) {
                    return Err(format!("it handed out {:?}", outcome.content as u8 as char));
                }
            }
            Kind::Inspect => self.unchanged(&run.at_end)?,
            _ => self.locked(run, outcome)?,
        }
        // 3: nothing is left, in the directory or open.
        self.left(run, &failed)?;
        let unclosed = failed.iter().filter(|made| made.number == SYS_close).count() as i64;
        let gained = run.descriptors.1 as i64 - run.descriptors.0 as i64;
        let expected = if scenario.kind == Kind::Release || status == scenario.status { self.gained } else { 0 };
        // A failing close that was not made leaves one open, which a real one does not.
        let spare = if scenario.name.contains("timeout") { 1 } else { 0 };
        // An acquired lock keeps what it was taken with: the watch of a wait as well.
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

    /// An unusual answer must say which call it was.
    fn named(&self, made: &Made, errno: i32, outcome: &Outcome) -> Result<(), String> {
        let status = outcome.status;
        let told = outcome.os_error == errno && steps(made.number).contains(&outcome.step);
        let news = |what: &str| {
            Err(format!("{what}: status {status}, os_error {}, step {}: {}", outcome.os_error, outcome.step, outcome.message))
        };
        if (-4095..0).contains(&status) {
            // The kernel's word that there is no such file, or that there is one, has no failed call to name when it is what was asked.
            let absent = status == -ENOENT && errno == ENOENT;
            // "It is there" and then "there is none": the second is told.
            let contradicted = errno == EEXIST && status == -ENOENT;
            return if contradicted || status == -errno && (told || absent) {
                Ok(())
            } else {
                news("another call than the failed one is named")
            };
        }
        match (self.scenario.kind, status) {
            (Kind::Save, NOT_DURABLE) if [SYS_fsync, SYS_syncfs, SYS_openat].contains(&made.number) => {
                if told {
                    Ok(())
                } else {
                    news("NOT_DURABLE does not say why")
                }
            }
            // What is wrong with the state is the news, not that the previous one could not be read.
            (Kind::Load, -10003) if self.scenario.name.contains("damaged") => Ok(()),
            (Kind::Load, RECOVERED) if errno == EIO => {
                if told {
                    Ok(())
                } else {
                    news("RECOVERED does not say why")
                }
            }
            // Verdicts: what is not known is kept, what is gone is absent.
            (Kind::Clean | Kind::Inspect, 2 | 3) => Ok(()),
            (Kind::Clean | Kind::Inspect, 0) if errno == ENOENT => Ok(()),
            (Kind::Clean, 5) if errno == ENOENT => Ok(()),
            (Kind::Clean | Kind::Inspect, 4) if [ELOOP, ENXIO].contains(&errno) => Ok(()),
            _ if own_code(self.scenario, made, errno, status) => {
                let names = ![E_NOT_SAVED_DURABLY, E_SAVED_NOT_DURABLE, E_UNSUPPORTED].contains(&status) || told;
                if names { Ok(()) } else { news("the failed call is not named") }
            }
            _ => news("a code that this cannot be"),
        }
    }

    fn saved(&self, run: &Run, outcome: &Outcome, faulty: bool) -> Result<(), String> {
        let file = run.at_end.get(self.scenario.target);
        let new = self.old_or_new(file)?;
        self.previous(&run.at_end)?;
        let on_disk = match outcome.status {
            0 => 1,
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
        if outcome.status != E_INDETERMINATE && new != must {
            return Err(format!("status {} and the {} state is there", outcome.status, if new { "new" } else { "old" }));
        }
        let (Some(file), true) = (file, must) else { return Ok(()) };
        if outcome.status == 0 {
            durable(self.scenario, run, file.ino)?;
        }
        if outcome.status >= 0 && outcome.generation as u64 != tree::state(&file.bytes).map_or(0, |(generation, _)| generation) {
            return Err(format!("generation {} is told", outcome.generation));
        }
        let before = self.scenario.before.get(self.scenario.target);
        if let Some(old) = before.filter(|_| !faulty && (old_mode(before), old_owner(before)) != (file.mode, file.owner)) {
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
            (Kind::Clean, _) => lock.is_none() == !self.scenario.before.contains_key("lock"),
            _ => true,
        };
        if right { Ok(()) } else { Err(format!("status {} and the lock file: {lock:?}", outcome.status)) }
    }

    fn left(&self, run: &Run, failed: &[&Made]) -> Result<(), String> {
        let before = &self.scenario.before;
        let known = ["state", "state.prev", "second", "link", "lock", "a/b/state"];
        // What cannot be removed stays; nor is removed what cannot be told from another's (every statx fails).
        let excused = failed.iter().any(|made| made.number == SYS_unlinkat)
            || failed.iter().filter(|made| made.number == SYS_statx).count() > 1;
        // A kernel that says of a name that is there that it is not: the writer goes on to the next one.
        if failed.iter().any(|made| made.number == SYS_statx && made.failed == Some(ENOENT))
            // With every statx failing, the name after an orphan's is left where no other save comes by.
            || self.scenario.name.contains("orphan") && failed.iter().filter(|made| made.number == SYS_statx).count() > 1
        {
            return Ok(());
        }
        for name in [&run.at_end, &run.after].into_iter().flat_map(|tree| tree.keys()) {
            let orphan = before.contains_key(name) && !run.after.contains_key(name);
            if !known.contains(&name.as_str()) && !(orphan || before.contains_key(name) && !failed.is_empty()) {
                // The next call saves the first path of a batch only.
                if excused && (!run.after.contains_key(name) || self.scenario.batch() && name.starts_with(".second")) {
                    continue;
                }
                return Err(format!("{name} is left"));
            }
        }
        Ok(())
    }
}

fn old_mode(file: Option<&File>) -> u32 {
    file.map_or(0, |file| file.mode)
}

fn old_owner(file: Option<&File>) -> (u32, u32) {
    file.map_or((0, 0), |file| file.owner)
}
