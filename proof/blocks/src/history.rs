//! Histories on real file systems: saves in different ways, one after the other, with a sync that fails or a saver that is
//! killed. The judge is the persistence model's (contract/).

use crate::contract::fault::Fault;
use crate::contract::promise::{self, Answer, Found, Look, Save, Told};
use crate::contract::record;
use crate::contract::saver;
use crate::contract::words::*;
use crate::device::Entry;
use crate::device::client::mark;
use crate::instrument::{Instrument, Mutant, Trouble};
use crate::lab::{At, Judge, Subject};
use crate::library::{ALTERNATE, Context, c, payload, real, report};
use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::ptr::null_mut;
use steadfast::ffi::batch::*;
use steadfast::ffi::load::*;
use steadfast::ffi::save::*;
use steadfast::hooks::steadfast_hooks;

/// The states of a history: the second one is saved by batches only.
const NAMES: [&str; 2] = ["state", "second"];
const LEN: usize = 5_000;
/// In the versions of a history in which states grow and shrink.
const VARIES: u64 = 1 << 10;
/// The versions of the saves that go on.
const NEXT: u64 = 1_000_000;
/// A next save that was not tried, since the mount is read-only.
const NOT_TRIED: u64 = u64::MAX;

const NOTHING: Look = Look { state: Found::Missing, previous: Found::Missing, marked: false };

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub flags: u32,
    pub batch: bool,
    pub trouble: Trouble,
}

#[derive(Clone, Copy)]
pub struct History {
    pub name: &'static str,
    /// The library saves, or the saver of the test, with this fault.
    pub saver: Option<Fault>,
    /// How the states were saved that are durable before it begins.
    pub before: &'static [u32],
    /// Do the states grow and shrink?
    pub varies: bool,
    pub steps: &'static [Step],
}

/// What is saved as this version.
fn content(version: u64) -> Vec<u8> {
    let len = if version & VARIES == 0 { LEN } else { [5_000, 13_000, 700, 9_000][version as usize / 2 % 4] };
    payload(version, len)
}

/// A state of either kind.
fn found(path: &Path, flags: u32) -> Found {
    let (record, plain) = (found_as(path, flags), found_as(path, flags | LOAD_PLAIN));
    match (record.0, plain.0) {
        (0, _) => record.1,
        (_, 0) => plain.1,
        // Nobody but us has written it.
        (_, CHANGED) => Found::Wrong,
        (_, UNVERIFIED) | (RECOVERED, _) => record.1,
        _ => plain.1,
    }
}

/// With the status.
fn found_as(path: &Path, flags: u32) -> (i32, Found) {
    let mut options: steadfast_load_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_load_options>();
    options.flags = flags;
    let mut state: steadfast_state = unsafe { std::mem::zeroed() };
    state.size = size_of::<steadfast_state>();
    let status = unsafe { steadfast_state_load(null_mut(), c(path).as_ptr(), &options, &mut state, null_mut()) };
    match status {
        E_LOST => return (status, Found::Lost),
        _ if status == -libc::ENOENT => return (status, Found::Missing),
        _ if status < 0 => return (status, Found::Damaged(status)),
        _ => {}
    }
    let bytes = unsafe { std::slice::from_raw_parts(state.data.cast::<u8>(), state.len) }.to_vec();
    let generation = state.generation;
    unsafe { steadfast_state_free(&mut state) };
    let version = bytes.get(..8).map_or(0, |first| u64::from_le_bytes(first.try_into().unwrap()));
    (status, if bytes == content(version) { Found::Version { version, generation } } else { Found::Wrong })
}

fn look(folder: &Path, name: &str) -> Look {
    let (path, previous) = (folder.join(name), folder.join(format!("{name}.prev")));
    let (state, mut kept) = (found(&path, 0), found(&previous, 0));
    // Of an alternating state's two files PATH is what is kept, where PATH.prev is newer.
    let at_path = std::fs::read(&path).unwrap_or_default();
    if let Some(payload) = slot(&at_path).filter(|_| state == kept) {
        kept = found_in(&at_path, payload);
    }
    // All file systems here have hard links: no PATH.prev is a copy.
    Look { state, previous: kept, marked: false }
}

/// The payload of one of two files that take turns, whether it is whole or not.
fn slot(file: &[u8]) -> Option<&[u8]> {
    let header = std::str::from_utf8(file.get(..256)?).ok()?;
    let used = header.split(' ').find_map(|word| word.strip_prefix("!used="))?.parse().ok()?;
    Some(file[256..].get(..used).unwrap_or_default())
}

/// What that file alone holds.
fn found_in(file: &[u8], payload: &[u8]) -> Found {
    let Some(whole) = record::read(file) else { return Found::Damaged(E_DIGEST) };
    let version = payload.get(..8).map_or(0, |first| u64::from_le_bytes(first.try_into().unwrap()));
    if payload == content(version) { Found::Version { version, generation: whole.generation } } else { Found::Wrong }
}

/// For a marker, and back.
fn write_found(found: Found) -> String {
    match found {
        Found::Version { version, generation } => format!("{version}.{generation}"),
        Found::Missing => "missing".into(),
        Found::Lost => "lost".into(),
        Found::Damaged(code) => format!("{code}"),
        Found::Wrong => "wrong".into(),
    }
}

fn read_found(text: &str) -> Found {
    match (text, text.split_once('.')) {
        ("missing", _) => Found::Missing,
        ("lost", _) => Found::Lost,
        ("wrong", _) => Found::Wrong,
        (_, Some((version, generation))) => {
            Found::Version { version: version.parse().unwrap(), generation: generation.parse().unwrap() }
        }
        (code, None) => Found::Damaged(code.parse().unwrap()),
    }
}

/// One call: what each of its states was told.
fn save(who: Option<Fault>, table: &steadfast_hooks, folder: &Path, names: &[&str], saves: &[Save]) -> Vec<Told> {
    let data: Vec<Vec<u8>> = saves.iter().map(|save| content(save.version)).collect();
    if let Some(fault) = who {
        let directory = c(folder);
        let one = |at: usize| {
            let Save { flags, expected, .. } = saves[at];
            let request = saver::Request { directory: &directory, name: names[at], payload: &data[at], flags, expected };
            saver::save(table, fault, &request)
        };
        return (0..saves.len()).map(one).collect();
    }
    let context = Context::new(table);
    let paths: Vec<_> = names.iter().map(|name| c(&folder.join(name))).collect();
    let mut options: steadfast_save_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_save_options>();
    (options.flags, options.expected_generation) = (saves[0].flags, saves[0].expected);
    let mut report = report();
    if saves.len() == 1 {
        let data = (data[0].as_ptr().cast(), data[0].len());
        let status = unsafe { steadfast_state_save(context.0, paths[0].as_ptr(), data.0, data.1, &options, &mut report) };
        return vec![Told { status, on_disk: report.on_disk, generation: report.generation }];
    }
    let mut entries: Vec<steadfast_save_entry> = (0..saves.len())
        .map(|at| {
            let mut entry: steadfast_save_entry = unsafe { std::mem::zeroed() };
            entry.size = size_of::<steadfast_save_entry>();
            entry.path = paths[at].as_ptr();
            (entry.data, entry.len) = (data[at].as_ptr().cast(), data[at].len());
            entry
        })
        .collect();
    unsafe { steadfast_state_save_batch(context.0, entries.as_mut_ptr(), entries.len(), &options, &mut report) };
    let told = |entry: &steadfast_save_entry| (entry.status, entry.on_disk, entry.generation);
    entries.iter().map(told).map(|(status, on_disk, generation)| Told { status, on_disk, generation }).collect()
}

/// A word of memory that a child shares.
fn shared_word() -> *mut u32 {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    let memory = unsafe { libc::mmap(null_mut(), size_of::<u32>(), protection, flags, -1, 0) };
    assert_ne!(memory, libc::MAP_FAILED, "shared memory");
    memory.cast()
}

impl History {
    /// The save of path `path` in call `number`, counted from 1 on through what was saved before.
    fn save_of(&self, number: usize, path: usize, step: &Step, before: Look) -> Save {
        let there = before.state.generation().or(before.previous.generation()).unwrap_or(0);
        Save {
            version: (number * 2 + path) as u64 | if self.varies { VARIES } else { 0 },
            flags: step.flags,
            expected: if step.flags & IF_GENERATION != 0 { there } else { 0 },
            unsynced: step.flags & NO_SYNC != 0 || step.trouble == Trouble::FileSyncs,
            links: true,
            // It may have got the name as soon as it has begun: the log does not show when.
            order: Some(number as u64),
            answer: None,
            begun: number * 2,
            ended: None,
        }
    }

    fn paths(step: &Step) -> usize {
        if step.batch { 2 } else { 1 }
    }

    /// The saves that are durable when the recording begins.
    fn known_before(&self) -> Vec<Save> {
        let mut now = NOTHING;
        let mut saves = vec![];
        for (number, &flags) in (1..).zip(self.before) {
            let step = Step { flags, batch: false, trouble: Trouble::None };
            let mut save = self.save_of(number, 0, &step, now);
            if flags & (KEEP_PREVIOUS | ALTERNATE) != 0 && now.state != Found::Missing {
                now.previous = now.state;
            }
            let generation = number as u64;
            now.state = Found::Version { version: save.version, generation };
            let told = Told { status: 0, on_disk: NEW, generation };
            save.answer = Some(Answer { told, after: now, alone: true, at: number });
            save.ended = Some(number * 2 + 1);
            saves.push(save);
        }
        saves
    }

    fn run_step(&self, folder: &Path, ctl: RawFd, number: usize, step: &Step, instrument: &mut Instrument) {
        let paths = Self::paths(step);
        let mut saves = vec![];
        for (path, name) in NAMES.iter().enumerate().take(paths) {
            let before = look(folder, name);
            let save = self.save_of(number, path, step, before);
            let (state, previous) = (write_found(before.state), write_found(before.previous));
            mark(ctl, &format!("S {path} {number} {} {state} {previous}", save.expected));
            saves.push(save);
        }
        instrument.trouble = step.trouble;
        let table = complete(instrument.table());
        if step.trouble.kills() {
            killed(instrument, || drop(save(self.saver, &table, folder, &NAMES[..paths], &saves)));
            mark(ctl, "K");
            return;
        }
        let told = save(self.saver, &table, folder, &NAMES[..paths], &saves);
        for (path, told) in told.into_iter().enumerate() {
            let after = look(folder, NAMES[path]);
            let Told { status, on_disk, generation } = told;
            let (state, previous) = (write_found(after.state), write_found(after.previous));
            mark(ctl, &format!("D {path} {status} {on_disk} {generation} {state} {previous}"));
        }
    }

    /// What is known at each moment: by path, after each marker; and what is wrong with an answer.
    fn moments(&self, log: &[Entry]) -> (Vec<[promise::History; 2]>, Vec<usize>, Option<String>) {
        let mut now: [promise::History; 2] = Default::default();
        now[0].saves = self.known_before();
        let mut before = [NOTHING; 2];
        let (mut all, mut along, mut wrong, mut answers) = (vec![now.clone()], vec![0], None, self.before.len());
        for entry in log {
            if let Entry::Mark(text) = entry {
                let text = String::from_utf8_lossy(text);
                let words: Vec<&str> = text.split(' ').collect();
                let number = |at: usize| words[at].parse::<i64>().unwrap();
                let look = |at: usize| Look { state: read_found(words[at]), previous: read_found(words[at + 1]), marked: false };
                match words[0] {
                    "S" => {
                        let (path, call) = (number(1) as usize, number(2) as usize);
                        before[path] = look(4);
                        let step = &self.steps[call - 1 - self.before.len()];
                        now[path].saves.push(self.save_of(call, path, step, before[path]));
                    }
                    "D" => {
                        let path = number(1) as usize;
                        let told = Told { status: number(2) as i32, on_disk: number(3) as i32, generation: number(4) as u64 };
                        answers += 1;
                        let answer = Answer { told, after: look(5), alone: true, at: answers };
                        let save = now[path].saves.last_mut().expect("it has begun");
                        (save.answer, save.ended) = (Some(answer), Some(save.begun + 1));
                        let save = save.clone();
                        // A save of two files that take turns does not keep a plain file.
                        let there = now[path].saves.iter().find(|other| Some(other.version) == before[path].state.version());
                        if save.flags & ALTERNATE != 0 && there.is_some_and(|there| there.flags & PLAIN != 0) {
                            all.push(now.clone());
                            along.push(all.len() - 1);
                            continue;
                        }
                        let mut found = before[path];
                        // The newer of two that take turns stays where it is, be that PATH.prev.
                        if self.varies && save.flags & ALTERNATE == 0 && look(5).previous == found.state {
                            found.previous = found.state;
                        }
                        let answered = promise::answer(&now[path], &save, found);
                        wrong = wrong.or(answered.err().map(|why| format!("an answer: {why}")));
                    }
                    "K" => {
                        let running = now.iter_mut().flat_map(|path| path.saves.last_mut()).filter(|save| save.ended.is_none());
                        running.for_each(|save| save.ended = Some(save.begun + 1));
                    }
                    _ => {
                        along.push(all.len() - 1);
                        continue;
                    }
                }
                all.push(now.clone());
            }
            along.push(all.len() - 1);
        }
        (all, along, wrong)
    }
}

/// With the real call wherever there is no hook.
fn complete(table: steadfast_hooks) -> steadfast_hooks {
    let mut table = table;
    macro_rules! real_unless_hooked {
        ($($name:ident),*) => { $(table.$name = table.$name.or(real().$name);)* };
    }
    real_unless_hooked!(close, pread, fstat, flock, clock, fchown, fstatfs);
    table
}

/// In a child that is killed on the way.
fn killed(instrument: &mut Instrument, what: impl FnOnce()) {
    let shared = shared_word();
    instrument.shared_steps = Some(shared);
    let child = unsafe { libc::fork() };
    if child == 0 {
        what();
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    unsafe { libc::waitpid(child, &mut status, 0) };
    assert!(libc::WIFSIGNALED(status), "the saver was to be killed, and ended with {status:#x}");
    instrument.shared_steps = None;
    instrument.steps = unsafe { shared.read() };
    unsafe { libc::munmap(shared.cast(), size_of::<u32>()) };
}

#[derive(Clone, Debug)]
pub struct Seen {
    paths: Vec<promise::Seen>,
    unmountable: Option<i32>,
}

impl Subject for History {
    type Seen = Seen;

    fn name(&self) -> &str {
        self.name
    }

    fn set_up(&self, folder: &Path) {
        for known in self.known_before() {
            let told = save(None, real(), folder, &NAMES[..1], std::slice::from_ref(&known));
            assert_eq!(told[0], known.answer.expect("it is durable").told, "setting up");
        }
        std::fs::write(folder.join("other"), b"other").unwrap();
    }

    fn run(&self, folder: &Path, ctl: RawFd, mutant: Mutant, at: At) {
        let other = OpenOptions::new().write(true).open(folder.join("other")).unwrap();
        let mut instrument = Instrument::new(mutant, at, other.as_raw_fd(), ctl);
        for (number, step) in (self.before.len() + 1..).zip(self.steps) {
            self.run_step(folder, ctl, number, step, &mut instrument);
        }
        instrument.step("end");
        mark(ctl, &format!("N {}", instrument.steps));
    }

    fn look(&self, folder: &Path) -> Seen {
        let one = |name: &&str| {
            let Look { state, previous, .. } = look(folder, name);
            promise::Seen { state, previous, recovered: found(&folder.join(name), RECOVER), next: Ok(NOT_TRIED) }
        };
        let count = self.steps.iter().map(Self::paths).max().unwrap_or(1);
        Seen { paths: NAMES[..count].iter().map(one).collect(), unmountable: None }
    }

    fn go_on(&self, folder: &Path, seen: &mut Seen) {
        for (path, (seen, name)) in seen.paths.iter_mut().zip(NAMES).enumerate() {
            let kind = self.steps.last().map_or(0, |step| step.flags & (PLAIN | ALTERNATE));
            let step = Step { flags: KEEP_PREVIOUS | kind, batch: false, trouble: Trouble::None };
            let next = Save { version: NEXT + path as u64, ..self.save_of(0, path, &step, look(folder, name)) };
            let told = save(self.saver, real(), folder, &[name], std::slice::from_ref(&next))[0];
            let after = look(folder, name);
            seen.next = match (told.status, after.state) {
                (0, Found::Version { version, generation }) if version == next.version => Ok(generation),
                other => Err(format!("the next save: {other:?}")),
            };
            // Who saves in place needs no temporary file.
            if kind & ALTERNATE == 0 && folder.join(format!(".{name}.0.tmp")).exists() {
                seen.next = Err("an orphan lies there after the next save".into());
            }
        }
    }

    fn unmountable(&self, errno: i32) -> Seen {
        Seen { paths: vec![], unmountable: Some(errno) }
    }

    fn judge<'a>(&'a self, log: &'a [Entry], _: bool) -> Judge<'a, Seen> {
        let (moments, along, wrong) = self.moments(log);
        Box::new(move |low, high, seen| {
            if let Some(errno) = seen.unmountable {
                return Some(format!("mount: errno {errno}"));
            }
            // Of a mutant the states must show it.
            if wrong.is_some() && self.saver.is_none() {
                return wrong.clone();
            }
            // Entry `low` has happened; `high` (a flush, or the end) is about to.
            let last = along.len() - 1;
            let (first, last) = (along[(low + 1).min(last)], along[high.max(low + 1).min(last)]);
            moments[first..=last].iter().find_map(|known| {
                let mut paths = known.iter().zip(&seen.paths);
                paths.find_map(|(history, seen)| promise::after_cut(history, true, seen).err())
            })
        })
    }

    fn is_new(&self, _: &Seen) -> bool {
        false
    }
}
