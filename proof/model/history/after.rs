//! After the power cut: what is left is made real once, read by the real loader, and saved over by the real library. Equal
//! remains are looked at once.

use super::disguise::{self, Files};
use super::promise::Found;
pub use super::promise::Seen;
use super::saver;
use super::stage::{Who, both, is_marked, load_with, says_unsynced};
use super::words::*;
use super::{cuts::Name, record};
use crate::judge::{Scratch, c_path, payload, put_attribute};
use crate::trace::{TIME, identity_of};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use steadfast::ffi::save::*;
use steadfast::ffi::status::steadfast_report;

/// The versions of the saves that go on: nobody else's.
const NEXT: u64 = 9_000_000;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FileData {
    pub mode: u32,
    pub content: Vec<u8>,
    /// Of a plain file.
    pub attribute: Option<Vec<u8>>,
    /// It was written after it got the attribute.
    pub changed_since: bool,
    /// Which file of the recording it is, where that matters: each of an alternating state's two knows the other.
    pub number: Option<usize>,
}

impl FileData {
    fn is_marked(&self) -> bool {
        let unsynced = match &self.attribute {
            Some(attribute) => says_unsynced(attribute),
            None => record::read(&self.content).is_some_and(|record| record.unsynced),
        };
        self.mode & MARK != 0 || unsynced
    }
}

/// Contents by their hash, and what was seen of each tree.
pub struct Store {
    /// Who goes on.
    who: Who,
    /// STEADFAST_SAVE_PLAIN, STEADFAST_SAVE_ALTERNATE or 0: what those who go on add to their flags. Each is tried.
    pub kinds: Vec<u32>,
    files: HashMap<u64, FileData>,
    seen: HashMap<u64, Rc<Seen>>,
}

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Store {
    pub fn new(who: Who) -> Store {
        Store { who, kinds: vec![0], files: HashMap::new(), seen: HashMap::new() }
    }

    pub fn file(&mut self, data: FileData) -> u64 {
        let hash = hash_of(&data);
        self.files.entry(hash).or_insert(data);
        hash
    }

    /// How many different trees there were.
    pub fn trees(&self) -> usize {
        self.seen.len()
    }

    pub fn describe(&self, tree: &[Name]) -> String {
        let one = |(name, _, content): &Name| {
            let file = &self.files[content];
            let what = match super::stage::version_in(file) {
                Some(version) if file.attribute.is_some() => format!("version {version}, plain"),
                Some(version) if record::read(&file.content).is_some() => format!("version {version}"),
                Some(version) => format!("version {version}, damaged"),
                None => format!("{} bytes", file.content.len()),
            };
            format!("{}: {what}{}", String::from_utf8_lossy(name), if file.is_marked() { ", marked" } else { "" })
        };
        format!("[{}]", tree.iter().map(one).collect::<Vec<_>>().join("; "))
    }

    pub fn seen(&mut self, name: &str, tree: &[Name]) -> Rc<Seen> {
        let key = hash_of(&(name, tree));
        if let Some(seen) = self.seen.get(&key) {
            return seen.clone();
        }
        let seen = Rc::new(self.look(name, tree));
        self.seen.insert(key, seen.clone());
        seen
    }

    fn make(&self, root: &Path, tree: &[Name]) -> Files {
        let mut files = Files::new();
        for (at, (name, file, content)) in tree.iter().enumerate() {
            let path = root.join(std::ffi::OsStr::from_bytes(name));
            // Names of one file are names of one file.
            if let Some((first, ..)) = tree[..at].iter().find(|(_, other, _)| other == file) {
                std::fs::hard_link(root.join(std::ffi::OsStr::from_bytes(first)), &path).unwrap();
                continue;
            }
            let data = &self.files[content];
            std::fs::write(&path, &data.content).unwrap();
            files.extend(data.number.map(|number| (identity_of(&path), number)));
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(data.mode)).unwrap();
            if let Some(attribute) = &data.attribute {
                put_attribute(&path, attribute, TIME.0 + i64::from(data.changed_since));
            }
        }
        files
    }

    fn look(&self, name: &str, tree: &[Name]) -> Seen {
        let root = Scratch::new();
        let files = self.make(&root.0, tree);
        let path = root.0.join(name);
        let mut seen = disguise::with(&files, |context| {
            let (state, previous, _) = both(&path, |path, flags| load_with(context, path, flags));
            Seen { state, recovered: load_with(context, &path, RECOVER), previous, next: Ok(0) }
        });
        let next = self.kinds.iter().try_fold(u64::MAX, |lowest, &kind| {
            let generation = self.go_on(name, tree, kind, &seen)?;
            self.swap(name, tree, kind, &seen)?;
            Ok(lowest.min(generation))
        });
        seen.next = next;
        seen
    }

    /// A save with KEEP_PREVIOUS, and one without. The generation of the first.
    fn go_on(&self, name: &str, tree: &[Name], kind: u32, seen: &Seen) -> Result<u64, String> {
        let root = Scratch::new();
        let files = self.make(&root.0, tree);
        let path = root.0.join(name);
        let both = || disguise::with(&files, |context| both(&path, |path, flags| load_with(context, path, flags)));
        let kept = both().2;
        let marked = [if kept == path { path.with_file_name(format!("{name}.prev")) } else { path.clone() }, kept]
            .map(|path| is_marked(&path));
        let (status, generation) = self.save(&files, &path, NEXT, KEEP_PREVIOUS | kind, 0);
        if status != 0 {
            return Err(format!("the next save returns {status}"));
        }
        let (state, kept, _) = both();
        if state != (Found::Version { version: NEXT, generation }) {
            return Err(format!("after the next save, of generation {generation}, a load gives {state:?}"));
        }
        let right = match (seen.state, seen.previous) {
            (Found::Version { .. }, _) if !marked[0] => kept == seen.state,
            (_, Found::Version { .. }) if !marked[1] => kept == seen.previous,
            _ => kept != Found::Wrong,
        };
        if !right {
            return Err(format!("the next save made PATH.prev {kept:?}; it was {:?}, the state {:?}", seen.previous, seen.state));
        }
        // What the disk lost the temporary file of goes with the next save that has its number: the first one is in use by all.
        let (status, generation_of_next) = self.save(&files, &path, NEXT + 2, KEEP_PREVIOUS | kind, 0);
        let found = both();
        let newer = generation_of_next > generation;
        if (status, newer, found.0) != (0, true, Found::Version { version: NEXT + 2, generation: generation_of_next }) {
            return Err(format!(
                "the save after the next one returns {status}, {generation_of_next}, and a load gives {:?}",
                found.0
            ));
        }
        let names = [format!(".{name}.0.tmp"), format!(".{name}.0.prev.tmp")];
        match names.iter().find(|name| root.0.join(name).exists()) {
            // Who saves in place needs no temporary file.
            Some(left) if kind & ALTERNATE == 0 && !has_slots(&self.files, tree) => {
                Err(format!("{left} is left after two more saves"))
            }
            _ => Ok(generation),
        }
    }

    /// What RECOVER gave can be swapped for another; what nobody can load is not swapped as if it were not there.
    fn swap(&self, name: &str, tree: &[Name], kind: u32, seen: &Seen) -> Result<(), String> {
        if seen.state.version().is_some() {
            return Ok(());
        }
        let root = Scratch::new();
        let files = self.make(&root.0, tree);
        let path = root.0.join(name);
        let (created, _) = self.save(&files, &path, NEXT, IF_GENERATION | kind, 0);
        let damage = [seen.state, seen.previous].into_iter().find_map(|found| match found {
            Found::Damaged(code) => Some(code),
            _ => None,
        });
        let right = match seen.state {
            Found::Missing => created == 0,
            _ => created == E_CONFLICT || Some(created) == damage,
        };
        if !right {
            return Err(format!("IF_GENERATION 0 over {:?} and {:?} returns {created}", seen.state, seen.previous));
        }
        match seen.recovered.generation() {
            None => Ok(()),
            Some(generation) => match self.save(&files, &path, NEXT, IF_GENERATION | kind, generation).0 {
                0 => Ok(()),
                status => Err(format!("IF_GENERATION {generation}, which RECOVER gave, returns {status}")),
            },
        }
    }

    /// The status and the generation.
    fn save(&self, files: &Files, path: &Path, version: u64, flags: u32, expected: u64) -> (i32, u64) {
        let data = payload(version);
        if let Who::Saver(fault) = self.who {
            let directory = c_path(path.parent().unwrap());
            let name = path.file_name().unwrap().to_str().unwrap();
            let request = saver::Request { directory: &directory, name, payload: &data, flags, expected };
            let told = saver::save(&disguise::table(files), fault, &request);
            return (told.status, told.generation);
        }
        let mut options: steadfast_save_options = unsafe { std::mem::zeroed() };
        options.size = size_of::<steadfast_save_options>();
        options.flags = flags;
        options.expected_generation = expected;
        let mut report: steadfast_report = unsafe { std::mem::zeroed() };
        report.size = size_of::<steadfast_report>();
        let status = disguise::with(files, |context| unsafe {
            steadfast_state_save(context, c_path(path).as_ptr(), data.as_ptr().cast(), data.len(), &options, &mut report)
        });
        (status, report.generation)
    }
}

/// Is there one of an alternating state's two files?
fn has_slots(files: &HashMap<u64, FileData>, tree: &[Name]) -> bool {
    tree.iter().any(|(.., content)| record::slot(&files[content].content).is_some())
}
