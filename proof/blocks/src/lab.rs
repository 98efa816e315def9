//! Recording a run, and looking at every state that a power cut may leave of it.

use crate::device::Entry;
use crate::device::client::Disk;
use crate::filesystem::{Flavor, Mounted};
use crate::instrument::{Background, DIRECT, Mutant};
use crate::states::{self, Depth, Random};
use crate::workload::Workload;
use std::any::Any;
use std::collections::HashMap;
use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub type At = Option<(Background, u32)>;

/// Of what was seen of a state that a crash may leave from one entry to another: None, or what is wrong.
pub type Judge<'a, Seen> = Box<dyn Fn(usize, usize, &Seen) -> Option<String> + 'a>;

/// What is run on the recorded disk, and how what is left of it is judged.
pub trait Subject {
    /// What a mounted image shows.
    type Seen: Clone + 'static;

    fn name(&self) -> &str;
    /// Before the recording. Runs in a process of its own, which then dies.
    fn set_up(&self, folder: &Path);
    /// The recorded part. Runs in a process of its own, which then dies.
    fn run(&self, folder: &Path, ctl: RawFd, mutant: Mutant, at: At);
    /// Looks; changes nothing.
    fn look(&self, folder: &Path) -> Self::Seen;
    /// Goes on as a program does after the power cut.
    fn go_on(&self, folder: &Path, seen: &mut Self::Seen);
    /// The mount failed.
    fn unmountable(&self, errno: i32) -> Self::Seen;
    /// The judge of a log. `faulty`: the device failed.
    fn judge<'a>(&'a self, log: &'a [Entry], faulty: bool) -> Judge<'a, Self::Seen>;
    /// Is what was first changed in the recording to be seen?
    fn is_new(&self, seen: &Self::Seen) -> bool;
}

/// A write (w) or flush (f) that fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    pub kind: u8,
    pub number: u32,
    pub for_ever: bool,
    pub errno: i32,
}

#[derive(Clone, Copy)]
pub struct Run {
    pub mutant: Mutant,
    pub at: At,
    pub delay: u8,
    pub fault: Option<Fault>,
}

impl Run {
    pub const PLAIN: Run = Run { mutant: Mutant::None, at: None, delay: 0, fault: None };

    pub fn describe(&self) -> String {
        let mut out = match self.at {
            None => "none".to_string(),
            Some((Background::Commit, k)) => format!("commit@{k}"),
            Some((Background::Sync, k)) => format!("sync@{k}"),
        };
        if let Some(fault) = self.fault {
            let kind = if fault.kind == b'w' { "write" } else { "flush" };
            let often = if fault.for_ever { "for ever" } else { "once" };
            out = format!("{kind} {} fails {often}, errno {}", fault.number, fault.errno);
        }
        if self.delay > 0 { format!("{out}, delay {} ms", self.delay) } else { out }
    }
}

#[derive(Default, Clone)]
pub struct Tally {
    pub recordings: u64,
    pub states: u64,
    pub mounts: u64,
    pub writable: u64,
    pub violations: u64,
    /// States of large recordings that were not looked at.
    pub left_out: u64,
    /// Errors that a program saw because of a fault.
    pub errors: u64,
    pub first: Option<String>,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.recordings += other.recordings;
        self.states += other.states;
        self.mounts += other.mounts;
        self.writable += other.writable;
        self.violations += other.violations;
        self.errors += other.errors;
        self.left_out += other.left_out;
        if self.first.is_none() {
            self.first.clone_from(&other.first);
        }
    }
}

/// A state, for the picture: after how many calls of the routine, and what was found.
pub struct Dot {
    pub calls: usize,
    pub verdict: &'static str,
}

pub struct Lab {
    disk: Disk,
    mount: PathBuf,
    images: PathBuf,
    pub random: Random,
    pub depth: Depth,
    /// Of so many mounts one is writable, and goes on.
    pub writable_every: u64,
    /// So many states of a recording, chosen at random, when there are more.
    pub most: usize,
    /// What the time does not allow may be left out altogether.
    pub may_skip: bool,
    /// [`Depth::few`] and `random` where a background commit is injected: such a recording is one of many.
    pub sample: Option<u32>,
    /// What was seen of the prepared disk's states.
    memo: HashMap<u128, Rc<dyn Any>>,
    mounts: u64,
}

/// In a process of its own, as a program that is no more after the power cut.
fn in_child(what: impl FnOnce()) -> io::Result<()> {
    let child = unsafe { libc::fork() };
    if child == 0 {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what));
        unsafe { libc::_exit(i32::from(result.is_err())) };
    }
    let mut status = 0;
    while unsafe { libc::waitpid(child, &mut status, 0) } < 0 {
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(error);
        }
    }
    if status == 0 { Ok(()) } else { Err(io::Error::other(format!("the program ended with status {status:#x}"))) }
}

impl Lab {
    pub fn new(scratch: &Path, seed: u64) -> io::Result<Lab> {
        let disk = Disk::start(&scratch.join("fuse"))?;
        let mount = scratch.join("mount");
        std::fs::create_dir_all(&mount)?;
        Ok(Lab {
            disk,
            mount,
            images: scratch.to_path_buf(),
            random: Random(seed | 1),
            depth: Depth { all_subsets: 5, random: 16, torn: 1, few: usize::MAX, prefixes: false, atom: 1 },
            writable_every: 8,
            most: usize::MAX,
            may_skip: false,
            sample: None,
            memo: HashMap::new(),
            mounts: 0,
        })
    }

    /// A file system in which the workload can begin.
    pub fn prepare(&mut self, flavor: &Flavor, workload: &impl Subject) -> io::Result<()> {
        let image = self.images.join(format!("{}-{}", flavor.name.replace([' ', '/'], "-"), flavor.size));
        if !image.exists() {
            flavor.make(&image)?;
        }
        self.disk.load(&image, flavor.block_size)?;
        self.memo.clear();
        {
            let mounted = Mounted::new(flavor, self.disk.device(), &self.mount, false)?;
            let folder = mounted.folder();
            std::fs::create_dir_all(&folder)?;
            in_child(|| workload.set_up(&folder))?;
            mounted.sync()?;
        }
        self.disk.snapshot()
    }

    /// Runs the workload on the prepared disk, and gives the log of the disk.
    pub fn record(&mut self, flavor: &Flavor, workload: &impl Subject, run: &Run) -> io::Result<Vec<Entry>> {
        self.disk.reset()?;
        self.disk.delay(run.delay)?;
        let mounted = Mounted::new(flavor, self.disk.device(), &self.mount, false)?;
        mounted.sync()?;
        if let Some(fault) = run.fault {
            self.disk.fault(fault.kind, fault.number, fault.for_ever, fault.errno)?;
        }
        let (folder, ctl) = (mounted.folder(), self.disk.ctl_fd());
        self.disk.begin()?;
        let ran = in_child(|| workload.run(&folder, ctl, run.mutant, run.at));
        let log = self.disk.end()?;
        ran.map_err(|e| io::Error::other(format!("{}, {}: {e}", workload.name(), run.describe())))?;
        Ok(log)
    }

    fn see<S: Subject>(&mut self, flavor: &Flavor, workload: &S, hash: u128, tally: &mut Tally) -> io::Result<S::Seen> {
        if let Some(seen) = self.memo.get(&hash).and_then(|seen| seen.downcast_ref::<S::Seen>()) {
            return Ok(seen.clone());
        }
        tally.mounts += 1;
        self.mounts += 1;
        let writable = self.mounts.is_multiple_of(self.writable_every);
        let seen = match Mounted::new(flavor, self.disk.device(), &self.mount, !writable) {
            Err(e) => workload.unmountable(e.raw_os_error().unwrap_or(-1)),
            Ok(mounted) => {
                let folder = mounted.folder();
                let mut seen = workload.look(&folder);
                if writable {
                    tally.writable += 1;
                    workload.go_on(&folder, &mut seen);
                }
                seen
            }
        };
        self.memo.insert(hash, Rc::new(seen.clone()));
        Ok(seen)
    }

    /// Looks at every state of the log.
    pub fn check(
        &mut self,
        flavor: &Flavor,
        workload: &impl Subject,
        run: &Run,
        log: &[Entry],
        mut dots: Option<&mut Vec<Dot>>,
    ) -> io::Result<Tally> {
        let mut tally = Tally { recordings: 1, ..Tally::default() };
        let judge = workload.judge(log, run.fault.is_some());
        let mut depth = Depth { atom: flavor.atom, prefixes: run.fault.is_some(), ..self.depth };
        if let (Some(few), Some(_)) = (self.sample, run.at) {
            depth = Depth { all_subsets: 3, random: few, few: few as usize, ..depth };
        }
        self.disk.rewind()?;
        let mut states = states::of_log(log, &depth, &mut self.random);
        while states.len() > self.most {
            // In order: what is durable only grows.
            states.remove(self.random.below(states.len() as u32) as usize);
            tally.left_out += 1;
        }
        for state in states {
            tally.states += 1;
            self.disk.durable(state.durable_to)?;
            let hash = self.disk.state(&state.pieces)?;
            let seen = self.see(flavor, workload, hash, &mut tally)?;
            let bad = judge(state.low, state.high, &seen);
            if let Some(dots) = dots.as_deref_mut() {
                let calls = log[..state.low.min(log.len())].iter().filter(|entry| is_call(entry)).count();
                let verdict = if bad.is_some() {
                    "bad"
                } else if workload.is_new(&seen) {
                    "new"
                } else {
                    "old"
                };
                dots.push(Dot { calls, verdict });
            }
            if let Some(why) = bad {
                tally.violations += 1;
                tally.first.get_or_insert_with(|| {
                    let pieces: Vec<String> =
                        state.pieces.iter().map(|p| format!("{}:{}+{}", p.entry, p.first, p.sectors)).collect();
                    format!(
                        "{}, {}, {}: {why}; entries {}..{}, on disk all before {} and [{}]; {}",
                        flavor.name,
                        workload.name(),
                        run.describe(),
                        state.low,
                        state.high,
                        state.durable_to,
                        pieces.join(" "),
                        around(log, state.low)
                    )
                });
            }
        }
        Ok(tally)
    }

    /// Both.
    pub fn explore(&mut self, flavor: &Flavor, workload: &impl Subject, run: &Run) -> io::Result<(Tally, u32)> {
        let log = self.record(flavor, workload, run)?;
        Ok((self.check(flavor, workload, run, &log, None)?, steps(&log)))
    }
}

fn is_call(entry: &Entry) -> bool {
    matches!(entry, Entry::Mark(text) if text.starts_with(b"c ") && !text.starts_with(b"c ("))
}

/// The names of the calls.
pub fn calls(log: &[Entry]) -> Vec<String> {
    let name = |entry: &Entry| match entry {
        Entry::Mark(text) if is_call(entry) => Some(String::from_utf8_lossy(&text[2..]).into_owned()),
        _ => None,
    };
    log.iter().filter_map(name).collect()
}

/// The last call before an entry.
fn around(log: &[Entry], at: usize) -> String {
    let before = log[..at.min(log.len())].iter().rev().find_map(|entry| match entry {
        Entry::Mark(text) => Some(String::from_utf8_lossy(text).into_owned()),
        _ => None,
    });
    format!("after {}", before.unwrap_or_else(|| "the beginning".into()))
}

/// How many places there are for an injected commit.
pub fn steps(log: &[Entry]) -> u32 {
    calls(log).len() as u32
}

/// Writes and flushes of a run.
pub fn counts(log: &[Entry]) -> (u32, u32) {
    let writes = log.iter().filter(|entry| matches!(entry, Entry::Write { .. })).count();
    let flushes = log.iter().filter(|entry| matches!(entry, Entry::Flush)).count();
    (writes as u32, flushes as u32)
}

/// The errors that the program was told.
pub fn errors(log: &[Entry]) -> u64 {
    let told = |entry: &&Entry| matches!(entry, Entry::Mark(text) if text.starts_with(b"D ") && !String::from_utf8_lossy(text).contains(" 0 "));
    log.iter().filter(told).count() as u64
}

/// Of each file that is written past the page cache: how much has reached the device when its sync begins.
pub fn direct(log: &[Entry]) -> Vec<u64> {
    let (mut out, mut open) = (vec![], false);
    for entry in log {
        match entry {
            Entry::Mark(text) if text == DIRECT.as_bytes() => {
                out.push(0);
                open = true;
            }
            Entry::Mark(text) if text.starts_with(b"c f") && text.ends_with(b"sync") => open = false,
            Entry::Write { len, .. } if open => *out.last_mut().unwrap_or(&mut 0) += u64::from(*len),
            _ => {}
        }
    }
    out
}

/// Has all of every save reached the device when its sync begins?
pub fn is_direct(workload: &Workload, log: &[Entry]) -> bool {
    let reached = direct(log);
    reached.len() as u64 == workload.saves && reached.iter().all(|&bytes| bytes >= workload.len as u64)
}

/// How often the reports said OLD, NEW and EITHER.
pub fn claimed(log: &[Entry]) -> [u64; 3] {
    let mut out = [0; 3];
    for entry in log {
        if let Entry::Mark(text) = entry
            && text.starts_with(b"D ")
            && let Some(on_disk @ b'0'..=b'2') = text.last()
        {
            out[usize::from(on_disk - b'0')] += 1;
        }
    }
    out
}
