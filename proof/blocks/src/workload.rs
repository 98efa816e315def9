//! What is run on the recorded disk: the library's routines, and bad ones that must be caught.

use crate::device::Entry;
use crate::device::client::mark;
use crate::instrument::{Instrument, Mutant};
use crate::judge;
use crate::lab::{At, Judge, Subject};
use crate::library::*;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    Save,
    /// By a writer.
    Stream,
    /// By a writer whose caller asks for the descriptor.
    Descriptor,
    /// Several states in one call.
    Batch,
    Acquire,
    Clean,
    Release,
    /// Not ours: how others make their lock files.
    ForeignLock(Foreign),
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Foreign {
    /// O_EXCL, write.
    Exclusive,
    /// O_EXCL, write, fsync.
    ExclusiveSync,
    /// Another name, write, link.
    Link,
    /// Another name, write, fsync, link: the one that is right.
    LinkSync,
}

#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub name: &'static str,
    pub kind: Kind,
    pub flags: u32,
    /// Versions that are durable before the recording begins.
    pub before: u64,
    /// Versions that are saved in it.
    pub saves: u64,
    pub len: usize,
    /// Direct writes cannot be had.
    pub cached: bool,
    /// Files of killed writers lie about.
    pub orphans: bool,
    pub path: &'static str,
}

const fn save_of(name: &'static str, flags: u32, before: u64, saves: u64, len: usize) -> Workload {
    Workload { name, kind: Kind::Save, flags, before, saves, len, cached: false, orphans: false, path: "state" }
}

/// What the flags are of a save that has nothing to compare with, and is durable.
const DURABLY: u32 = !(IF_GENERATION | SYNCFS | NO_SYNC);

const fn lock_of(name: &'static str, kind: Kind) -> Workload {
    Workload { name, kind, flags: 0, before: 0, saves: 0, len: 0, cached: false, orphans: false, path: "lock" }
}

pub const SAVE: Workload = save_of("save", 0, 1, 2, 9_000);
pub const ONE_SAVE: Workload = save_of("one save", 0, 1, 1, 9_000);
pub const STRICTLY: u32 = 1;
pub const STRICT: Workload = save_of("strict", STRICTLY, 1, 2, 9_000);
pub const KEEP: Workload = save_of("keep", KEEP_PREVIOUS, 2, 2, 5_000);
pub const PLAIN_SAVE: Workload = save_of("plain", PLAIN, 1, 2, 9_000);
/// What is left of it, if it is not whole, is damage: nobody has changed it.
pub const PLAIN_UNSYNCED: Workload = save_of("plain, no sync, keep", PLAIN | KEEP_PREVIOUS | NO_SYNC, 2, 1, 9_000);
pub const ACQUIRE: Workload = lock_of("acquire", Kind::Acquire);

pub const STREAM: Workload = Workload { kind: Kind::Stream, ..save_of("writer", 0, 1, 2, 9_000) };

pub const IN_PLACE_SAVE: Workload = save_of("in place", IN_PLACE, 2, 2, 9_000);

pub const ALL: [Workload; 22] = [
    SAVE,
    save_of("first", 0, 0, 2, 700),
    KEEP,
    ACQUIRE,
    lock_of("clean", Kind::Clean),
    lock_of("release", Kind::Release),
    Workload { orphans: true, ..save_of("orphans", 0, 1, 1, 700) },
    Workload { kind: Kind::Batch, ..save_of("batch", 0, 1, 1, 5_000) },
    Workload { kind: Kind::Batch, ..save_of("batch syncfs", SYNCFS, 1, 1, 5_000) },
    save_of("keep, first", KEEP_PREVIOUS, 1, 2, 700),
    save_of("swap", IF_GENERATION, 1, 2, 700),
    Workload { path: "a/b/state", ..save_of("parents", CREATE_PARENTS, 0, 1, 700) },
    save_of("200 bytes", 0, 1, 1, 0),
    PLAIN_SAVE,
    save_of("plain, keep", PLAIN | KEEP_PREVIOUS, 2, 2, 5_000),
    save_of("plain, swap", PLAIN | IF_GENERATION, 1, 2, 700),
    STREAM,
    Workload { kind: Kind::Descriptor, ..save_of("writer, keep", KEEP_PREVIOUS, 2, 1, 5_000) },
    Workload { kind: Kind::Stream, ..save_of("writer, plain", PLAIN, 1, 2, 9_000) },
    Workload { kind: Kind::Descriptor, ..save_of("writer, plain, keep", PLAIN | KEEP_PREVIOUS, 2, 1, 5_000) },
    IN_PLACE_SAVE,
    save_of("in place, plain", PLAIN | IN_PLACE, 2, 2, 9_000),
];

/// A bit more than from where on a state is written piece by piece; no multiple of any block.
const LARGE_LEN: usize = (4 << 20) + 50_001;
pub const LARGE_SAVE: Workload = save_of("large", 0, 1, 1, LARGE_LEN);
pub const LARGE_SAVES: Workload = save_of("large, twice", 0, 1, 2, LARGE_LEN);

pub const LARGE_CACHED: Workload = Workload { cached: true, ..save_of("large, cached", 0, 1, 1, LARGE_LEN) };

pub const LARGE: [Workload; 2] = [LARGE_SAVE, LARGE_CACHED];

impl Workload {
    pub fn is_lock(&self) -> bool {
        !matches!(self.kind, Kind::Save | Kind::Stream | Kind::Descriptor | Kind::Batch)
    }

    /// PATH.prev has to be the state before, since the content is synced before it gets its name.
    pub fn keeps_previous(&self) -> bool {
        self.flags & (KEEP_PREVIOUS | NO_SYNC) == KEEP_PREVIOUS
    }

    pub fn in_place(&self) -> bool {
        self.flags & IN_PLACE != 0
    }

    /// Whoever is told EITHER may need RECOVER.
    pub fn is_unsynced(&self) -> bool {
        self.flags & NO_SYNC != 0
    }

    /// Past the page cache, where that can be had.
    pub fn direct(&self) -> bool {
        self.len >= LARGE_LEN && !self.cached
    }

    /// The files saved.
    pub fn paths(&self, folder: &Path) -> Vec<PathBuf> {
        let names = if self.kind == Kind::Batch { vec!["state", "second", "third"] } else { vec![self.path] };
        names.into_iter().map(|name| folder.join(name)).collect()
    }

    /// The next save and the next lock must work.
    fn next(&self, folder: &Path) -> Result<(), String> {
        const NEXT: u64 = 1_000;
        for path in self.paths(folder).into_iter().filter(|_| !self.is_lock()) {
            let saved = save(&Context::NONE, &path, NEXT, self.len, self.flags & DURABLY);
            if saved != (Saved { status: 0, on_disk: NEW }) {
                return Err(format!("next save: {saved:?}"));
            }
            let loaded = load(&Context::NONE, &path, self.len, self.flags);
            if loaded != (Loaded::Version { version: NEXT, previous: false }) {
                return Err(format!("load after the next save: {loaded:?}"));
            }
            if path.with_file_name(".state.0.tmp").exists() {
                return Err("an orphan lies there after the next save".into());
            }
        }
        let lock = folder.join("lock");
        let context = if matches!(self.kind, Kind::ForeignLock(_)) { Context::NONE } else { crate::reboot::context() };
        let cleaned = clean(&context, &lock);
        if !matches!(cleaned, LOCK_ABSENT | LOCK_REMOVED) {
            return Err(format!("clean: {cleaned}"));
        }
        match Lock::acquire(&Context::NONE, &lock).map(Lock::release) {
            Ok(0) => Ok(()),
            other => Err(format!("next lock: {other:?}")),
        }
    }
}

impl Subject for Workload {
    type Seen = Seen;

    fn name(&self) -> &str {
        self.name
    }

    fn set_up(&self, folder: &Path) {
        for version in 1..=self.before {
            for path in self.paths(folder) {
                let saved = save(&Context::NONE, &path, version, self.len, self.flags & DURABLY);
                assert_eq!(saved, Saved { status: 0, on_disk: NEW }, "setting up");
            }
        }
        if self.orphans {
            for name in [".state.0.tmp", ".state.1.tmp"] {
                std::fs::write(folder.join(name), payload(77, self.len)).unwrap();
            }
            std::fs::hard_link(folder.join("state"), folder.join(".state.0.prev.tmp")).unwrap();
        }
        if self.kind == Kind::Clean {
            Lock::acquire(&Context::NONE, &folder.join(self.path)).expect("setting up");
        }
        // A recording begins with room for an injected commit to write to.
        std::fs::write(folder.join("other"), b"other").unwrap();
    }

    fn run(&self, folder: &Path, ctl: RawFd, mutant: Mutant, at: At) {
        let other = OpenOptions::new().write(true).open(folder.join("other")).unwrap();
        let mut instrument = Instrument::new(mutant, at, other.as_raw_fd(), ctl);
        instrument.cached = self.cached;
        instrument.mounted = self.in_place();
        let context = Context::new(&instrument.table());
        let path = folder.join(self.path);
        match self.kind {
            Kind::Save | Kind::Stream | Kind::Descriptor | Kind::Batch => {
                for version in self.before + 1..=self.before + self.saves {
                    mark(ctl, &format!("S {version}"));
                    let saved = match self.kind {
                        Kind::Batch => {
                            let statuses = save_batch(&context, &self.paths(folder), version, self.len, self.flags);
                            let status = statuses.into_iter().find(|status| *status != 0).unwrap_or(0);
                            Saved { status, on_disk: if status == 0 { NEW } else { 2 } }
                        }
                        Kind::Save => save(&context, &path, version, self.len, self.flags),
                        kind => stream(&context, &path, version, self.len, self.flags, kind == Kind::Descriptor),
                    };
                    let saved = mutant.claims(saved);
                    mark(ctl, &format!("D {version} {} {}", saved.status, saved.on_disk));
                }
            }
            Kind::Acquire | Kind::Release => {
                let lock = Lock::acquire(&context, &path).expect("a free lock");
                if self.kind == Kind::Release {
                    assert_eq!(lock.release(), 0);
                }
            }
            Kind::Clean => assert_eq!(clean(&context, &path), LOCK_REMOVED),
            Kind::ForeignLock(how) => foreign(how, &path, &mut instrument),
        }
        // And once when all is done.
        instrument.step("end");
        mark(ctl, &format!("N {}", instrument.steps));
        drop(context);
        // A commit at a later step than there are would go unnoticed.
        drop(instrument);
    }

    fn look(&self, folder: &Path) -> Seen {
        let mut seen = Seen::default();
        if self.is_lock() {
            seen.lock = inspect(&Context::NONE, &folder.join(self.path));
            let foreign = matches!(self.kind, Kind::ForeignLock(_));
            seen.lock_rebooted = if foreign { seen.lock } else { inspect(&crate::reboot::context(), &folder.join(self.path)) };
            return seen;
        }
        for path in self.paths(folder) {
            seen.states.push(load(&Context::NONE, &path, self.len, self.flags));
            let previous = PathBuf::from(path.to_str().unwrap().to_owned() + ".prev");
            seen.previous.push(load(&Context::NONE, &previous, self.len, self.flags));
        }
        seen
    }

    fn go_on(&self, folder: &Path, seen: &mut Seen) {
        seen.broken = self.next(folder).err();
    }

    fn unmountable(&self, errno: i32) -> Seen {
        Seen { unmountable: Some(errno), ..Seen::default() }
    }

    fn judge<'a>(&'a self, log: &'a [Entry], faulty: bool) -> Judge<'a, Seen> {
        let along = judge::along(log, self.before);
        Box::new(move |low, high, seen| judge::judge(self, &judge::between(&along, low, high), seen, faulty))
    }

    fn is_new(&self, seen: &Seen) -> bool {
        seen.states.first() == Some(&Loaded::Version { version: self.before + 1, previous: false })
    }
}

fn foreign(how: Foreign, path: &Path, instrument: &mut Instrument) {
    let linked = matches!(how, Foreign::Link | Foreign::LinkSync);
    let made = if linked { path.with_extension("mine") } else { path.to_path_buf() };
    instrument.step("create");
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&made).unwrap();
    instrument.step("write");
    file.write_all(format!("{}\n", std::process::id()).as_bytes()).unwrap();
    if matches!(how, Foreign::ExclusiveSync | Foreign::LinkSync) {
        instrument.step("fsync");
        file.sync_all().unwrap();
    }
    if linked {
        instrument.step("link");
        std::fs::hard_link(&made, path).unwrap();
        instrument.step("unlink");
        std::fs::remove_file(&made).unwrap();
    }
    // The file's mode is not ours, so nobody takes it for one with our mark.
    debug_assert_eq!(file.metadata().unwrap().permissions().mode() & 0o1000, 0);
}

/// What a mounted image shows.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Seen {
    pub states: Vec<Loaded>,
    pub previous: Vec<Loaded>,
    /// inspect's verdicts: in this boot, its owner dead; in the next one, its number given to somebody else.
    pub lock: i32,
    pub lock_rebooted: i32,
    /// The mount failed.
    pub unmountable: Option<i32>,
    /// What did not work afterwards.
    pub broken: Option<String>,
}
