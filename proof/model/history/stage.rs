//! A history of saves on a real directory: each call of each save is counted, and one of them may fail, be the last of its
//! process, or be the moment in which another saver does all of its save. What the saves change is recorded (trace.rs).

use super::actor::{self, Actor};
use super::after::FileData;
use super::fault::Fault;
use super::promise::{Answer, Found, Look, Save, Told};
use super::record::{self, Record};
use super::words::*;
use super::{disguise, saver};
use crate::judge::{self, LONG, Scratch, c_path, payload};
use crate::trace::{Context, Event, Mutant, Recorder};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use steadfast::ffi::batch::*;
use steadfast::ffi::context::steadfast_context;
use steadfast::ffi::save::*;
use steadfast::ffi::status::steadfast_report;
use steadfast::hooks::{STEADFAST_ABSENT_LINK, steadfast_hooks};

/// The states that a history may save: the second one by batches only.
pub const PATHS: [&str; 2] = ["state", "second"];

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Kind {
    pub name: &'static str,
    pub flags: u32,
    pub batch: bool,
    /// Is what it saves longer?
    pub long: bool,
}

/// What happens to a save. Calls are counted from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Trouble {
    None,
    Fails {
        call: u32,
        errno: i32,
    },
    /// Every sync of a file fails.
    FileSyncs,
    DirectorySyncs,
    /// The process is gone before this call; NEVER: before it could tell anybody that it is done.
    Killed {
        call: u32,
    },
    /// The next saver does all of its save before this call.
    Paused {
        call: u32,
    },
}

pub const NEVER: u32 = u32::MAX;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    pub kind: Kind,
    pub trouble: Trouble,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.trouble {
            Trouble::None => write!(f, "{}", self.kind.name),
            trouble => write!(f, "{} {trouble:?}", self.kind.name),
        }
    }
}

/// Who saves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    Library,
    Saver(Fault),
}

/// A save. Its times are numbers of events.
pub struct Entry {
    pub path: usize,
    pub save: Save,
    pub before: Look,
    /// No other save ran beside it.
    pub alone: bool,
    /// No call of it failed.
    pub untroubled: bool,
}

pub struct Stage {
    pub recorder: Box<Recorder>,
    pub entries: Vec<Entry>,
    /// It began with a PATH that was missing beside a PATH.prev.
    pub began_lost: bool,
    /// What the platform lacks.
    pub absent: u32,
    /// Is there a reader, who loads before each call?
    pub is_read: bool,
    /// What it should not have found.
    pub misread: Option<String>,
    root: Scratch,
    who: Who,
    saves: u64,
    answers: usize,
}

/// A file that is there when a history begins.
pub struct Left {
    pub name: &'static str,
    pub content: Vec<u8>,
    pub marked: bool,
    /// Is it on the disk?
    pub synced: bool,
}

/// The version of a save that left no whole content.
const LEFT: u64 = 1;

fn found(result: Result<(u64, u64), i32>) -> Found {
    match result {
        Ok((version, generation)) => Found::Version { version, generation },
        Err(i32::MIN) => Found::Wrong,
        Err(E_LOST) => Found::Lost,
        Err(code) if code == -libc::ENOENT => Found::Missing,
        Err(code) => Found::Damaged(code),
    }
}

/// What a load gives of a state of either kind.
pub fn load_with(context: *const steadfast_context, path: &std::path::Path, flags: u32) -> Found {
    let load = |flags| judge::load_by(context, path, flags);
    let (record, plain) = (load(flags), load(flags | LOAD_PLAIN));
    match (record.0, plain.0) {
        (0, _) => found(record.1),
        (_, 0) => found(plain.1),
        // Nobody but us has written it.
        (_, CHANGED) => Found::Wrong,
        (_, UNVERIFIED) | (RECOVERED, _) => found(record.1),
        _ => found(plain.1),
    }
}

/// One file by itself, as a record.
fn alone(path: &std::path::Path) -> Found {
    let Ok(content) = std::fs::read(path) else { return Found::Missing };
    let (record, version) = (record::read(&content), record::payload(&content).and_then(judge::version));
    match (record, version) {
        (Some(Record { generation, .. }), Some(version)) => Found::Version { version, generation },
        (Some(_), None) => Found::Wrong,
        (None, _) => Found::Damaged(E_DIGEST),
    }
}

/// What a load of PATH gives, what is kept beside it, and where that is: the older one of an alternating state's two files may
/// be PATH.
pub fn both(path: &std::path::Path, load: impl Fn(&std::path::Path, u32) -> Found) -> (Found, Found, PathBuf) {
    let previous = path.with_file_name(format!("{}.prev", path.file_name().unwrap().to_str().unwrap()));
    let (state, kept) = (load(path, 0), load(&previous, 0));
    let alternates = std::fs::read(path).is_ok_and(|content| record::slot(&content).is_some());
    if alternates && state == kept { (state, alone(path), path.into()) } else { (state, kept, previous) }
}

/// Does the attribute of a plain file say that it is not known to be on the disk?
pub fn says_unsynced(attribute: &[u8]) -> bool {
    attribute.get(47).is_some_and(|flags| flags & 2 != 0)
}

fn attribute_of(path: &std::path::Path) -> Option<Vec<u8>> {
    let mut value = [0u8; 60];
    let name = crate::trace::ATTRIBUTE.as_ptr();
    let got = unsafe { libc::lgetxattr(c_path(path).as_ptr(), name, value.as_mut_ptr().cast(), value.len()) };
    (got == value.len() as isize).then(|| value.to_vec())
}

/// Does the file say that it is not known to be on the disk?
pub fn is_marked(path: &std::path::Path) -> bool {
    let mode = std::fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    let record = std::fs::read(path).ok().and_then(|content| record::read(&content));
    let plain = attribute_of(path).is_some_and(|attribute| says_unsynced(&attribute));
    mode & MARK != 0 || plain || record.is_some_and(|record| record.unsynced)
}

impl Stage {
    pub fn new(who: Who, mutant: Mutant) -> Box<Stage> {
        let root = Scratch::new();
        let recorder = Recorder::new(&root.0, mutant);
        Box::new(Stage {
            recorder,
            entries: vec![],
            began_lost: false,
            absent: 0,
            is_read: false,
            misread: None,
            root,
            who,
            saves: 0,
            answers: 0,
        })
    }

    /// A history that begins with what a power cut, or a person, has left of a state: all of it is on the disk.
    pub fn with(who: Who, mutant: Mutant, left: &[Left]) -> Box<Stage> {
        let mut stage = Stage::new(who, mutant);
        for file in left {
            let path = stage.root.0.join(file.name);
            std::fs::write(&path, &file.content).unwrap();
            let mode = 0o600 | if file.marked { MARK } else { 0 };
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            stage.recorder.adopt(&path, file.name, &file.content, mode, file.synced);
        }
        stage.recorder.events.push(Event::SyncDirectory(0));
        let look = stage.look(0);
        stage.began_lost = look.state == Found::Lost;
        let flags = if left.iter().any(|file| record::slot(&file.content).is_some()) { ALTERNATE } else { 0 };
        // What was never answered, and has lost its content.
        let unsynced = |version, order| Save {
            version,
            flags: NO_SYNC,
            expected: 0,
            unsynced: true,
            links: true,
            order: Some(order),
            answer: None,
            begun: 0,
            ended: Some(0),
        };
        // What is whole is on the disk, as if it had been told so.
        let durable = |version, generation, order| {
            let told = Told { status: 0, on_disk: NEW, generation };
            let answer = Some(Answer { told, after: look, alone: true, at: 0 });
            Save { flags, unsynced: false, answer, ..unsynced(version, order) }
        };
        let mut saves = vec![];
        if let Found::Version { version, generation } = look.previous {
            saves.push(durable(version, generation, 0));
        }
        let marked = left.iter().any(|file| file.name == PATHS[0] && file.marked);
        // Nobody was told so of what is not on the disk, but it is no worse than a save that is under way.
        let is_synced = left.iter().all(|file| file.synced);
        match look.state {
            Found::Version { version, .. } if !is_synced => saves.push(Save { flags, unsynced: false, ..unsynced(version, 1) }),
            Found::Version { version, .. } if marked => saves.push(unsynced(version, 1)),
            Found::Version { version, generation } => saves.push(durable(version, generation, 1)),
            _ => saves.push(unsynced(LEFT, 1)),
        }
        let entry = |save| Entry { path: 0, save, before: look, alone: true, untroubled: true };
        stage.entries.extend(saves.into_iter().map(entry));
        // Their versions are nobody else's.
        stage.saves = 100;
        stage
    }

    fn path(&self, path: usize) -> PathBuf {
        self.root.0.join(PATHS[path])
    }

    fn look(&self, path: usize) -> Look {
        let load =
            |path: &std::path::Path, flags| disguise::with(&self.recorder.files(), |context| load_with(context, path, flags));
        let (state, previous, kept) = both(&self.path(path), load);
        Look { state, previous, marked: is_marked(&kept) }
    }

    /// A reader finds what was there when the only save that is under way began, or what that saves.
    pub fn read(&mut self) {
        let mut under_way = self.entries.iter().filter(|entry| entry.save.ended.is_none());
        let (Some(entry), true) = (under_way.find(|entry| entry.path == 0 && entry.alone), self.is_read) else { return };
        let (before, version) = (entry.before.state, entry.save.version);
        let found = self.look(0).state;
        if found != before && found.version() != Some(version) {
            self.misread.get_or_insert_with(|| format!("a reader finds {found:?}; there was {before:?}, and {version} is saved"));
        }
    }

    /// The events of everything so far.
    pub fn moment(&mut self) -> usize {
        self.recorder.events.push(Event::Moment);
        self.recorder.events.len()
    }

    /// Does one step; `next` is the saver that comes while it is paused. The number of calls that it made.
    pub fn run(&mut self, step: Step, next: Option<Step>) -> u32 {
        self.saves += 1;
        let number = self.saves;
        let first = self.entries.len();
        let unsynced = step.kind.flags & NO_SYNC != 0 || step.trouble == Trouble::FileSyncs;
        let begun = self.moment();
        for path in 0..=usize::from(step.kind.batch) {
            let before = self.look(path);
            let expected = match step.kind.flags & IF_GENERATION {
                0 => 0,
                _ => before.state.generation().or(before.previous.generation()).unwrap_or(0),
            };
            let save = Save {
                version: number * 2 + path as u64 + if step.kind.long { LONG } else { 0 },
                flags: step.kind.flags,
                expected,
                unsynced,
                links: self.absent & STEADFAST_ABSENT_LINK == 0,
                order: None,
                answer: None,
                begun,
                ended: None,
            };
            let alone = self.entries.iter().all(|entry| entry.save.ended.is_some());
            self.entries.push(Entry { path, save, before, alone, untroubled: true });
        }
        let mut actor = Actor::new(self, number, step.trouble, next);
        let table = actor::table(&mut actor, self.absent);
        let told: Vec<Told> = match (self.who, step.kind.batch) {
            (Who::Library, false) => vec![self.library(&table, first)],
            (Who::Library, true) => self.library_batch(&table, first),
            (Who::Saver(fault), batch) => (0..=usize::from(batch)).map(|at| self.saver(&table, fault, first + at)).collect(),
        };
        let killed = matches!(step.trouble, Trouble::Killed { .. });
        let ended = self.moment();
        for (entry, told) in (first..).zip(told) {
            let after = self.look(self.entries[entry].path);
            let entry = &mut self.entries[entry];
            entry.save.ended = Some(ended);
            entry.untroubled = !actor.struck;
            entry.save.links &= !actor.link_refused;
            if !killed {
                self.answers += 1;
                entry.save.answer = Some(Answer { told, after, alone: entry.alone, at: self.answers });
            }
        }
        actor.calls
    }

    fn library(&self, table: &steadfast_hooks, entry: usize) -> Told {
        let Entry { path, save, .. } = &self.entries[entry];
        let (context, data, path) = (Context::new(table), payload(save.version), c_path(&self.path(*path)));
        let (options, mut report) = (options(save), report());
        let data = (data.as_ptr().cast(), data.len());
        let status = unsafe { steadfast_state_save(context.0, path.as_ptr(), data.0, data.1, &options, &mut report) };
        Told { status, on_disk: report.on_disk, generation: report.generation }
    }

    fn library_batch(&self, table: &steadfast_hooks, first: usize) -> Vec<Told> {
        let context = Context::new(table);
        let saves: Vec<&Save> = self.entries[first..].iter().map(|entry| &entry.save).collect();
        let data: Vec<Vec<u8>> = saves.iter().map(|save| payload(save.version)).collect();
        let paths: Vec<_> = (0..saves.len()).map(|path| c_path(&self.path(path))).collect();
        let mut entries: Vec<steadfast_save_entry> = (0..saves.len())
            .map(|at| {
                let mut entry: steadfast_save_entry = unsafe { std::mem::zeroed() };
                entry.size = size_of::<steadfast_save_entry>();
                entry.path = paths[at].as_ptr();
                (entry.data, entry.len) = (data[at].as_ptr().cast(), data[at].len());
                entry
            })
            .collect();
        let (options, mut report) = (options(saves[0]), report());
        unsafe { steadfast_state_save_batch(context.0, entries.as_mut_ptr(), entries.len(), &options, &mut report) };
        let told = |entry: &steadfast_save_entry| (entry.status, entry.on_disk, entry.generation);
        entries.iter().map(told).map(|(status, on_disk, generation)| Told { status, on_disk, generation }).collect()
    }

    fn saver(&self, table: &steadfast_hooks, fault: Fault, entry: usize) -> Told {
        let Entry { path, save, .. } = &self.entries[entry];
        let (directory, payload) = (c_path(&self.root.0), payload(save.version));
        let request = saver::Request {
            directory: &directory,
            name: PATHS[*path],
            payload: &payload,
            flags: save.flags,
            expected: save.expected,
        };
        saver::save(table, fault, &request)
    }
}

fn report() -> steadfast_report {
    let mut report: steadfast_report = unsafe { std::mem::zeroed() };
    report.size = size_of::<steadfast_report>();
    report
}

fn options(save: &Save) -> steadfast_save_options {
    let mut options: steadfast_save_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_save_options>();
    options.flags = save.flags;
    options.expected_generation = save.expected;
    // Whoever is waited for here goes on later.
    options.timeout_ms = 20;
    options
}

/// The saved payload of a file.
pub fn version_in(file: &FileData) -> Option<u64> {
    if file.attribute.is_some() {
        return judge::version(&file.content);
    }
    judge::version(record::payload(&file.content)?)
}
