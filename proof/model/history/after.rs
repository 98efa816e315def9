//! After the power cut: what is left is made real once, read by the real loader, and saved over by the real library. Equal
//! remains are looked at once.

use super::promise::Found;
pub use super::promise::Seen;
use super::saver;
use super::stage::{Who, load, says_unsynced};
use super::words::*;
use super::{cuts::Name, record};
use crate::judge::{Scratch, c_path, payload, put_attribute};
use crate::trace::{TIME, real};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::ptr::null;
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
    /// STEADFAST_SAVE_PLAIN, or 0.
    pub kind: u32,
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
        Store { who, kind: 0, files: HashMap::new(), seen: HashMap::new() }
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

    fn make(&self, root: &Path, tree: &[Name]) {
        for (at, (name, file, content)) in tree.iter().enumerate() {
            let path = root.join(std::ffi::OsStr::from_bytes(name));
            // Names of one file are names of one file.
            if let Some((first, ..)) = tree[..at].iter().find(|(_, other, _)| other == file) {
                std::fs::hard_link(root.join(std::ffi::OsStr::from_bytes(first)), &path).unwrap();
                continue;
            }
            let data = &self.files[content];
            std::fs::write(&path, &data.content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(data.mode)).unwrap();
            if let Some(attribute) = &data.attribute {
                put_attribute(&path, attribute, TIME.0 + i64::from(data.changed_since));
            }
        }
    }

    /// Is what lies there known not to be on the disk?
    fn marked(&self, name: &str, tree: &[Name]) -> bool {
        tree.iter().find(|(other, ..)| other == name.as_bytes()).is_some_and(|(_, _, content)| self.files[content].is_marked())
    }

    fn look(&self, name: &str, tree: &[Name]) -> Seen {
        let root = Scratch::new();
        self.make(&root.0, tree);
        let (path, previous) = (root.0.join(name), root.0.join(format!("{name}.prev")));
        let mut seen = Seen { state: load(&path, 0), recovered: load(&path, RECOVER), previous: load(&previous, 0), next: Ok(0) };
        let marked = [name.to_string(), format!("{name}.prev")].map(|name| self.marked(&name, tree));
        seen.next = self.go_on(&root.0, name, marked, &seen).and_then(|generation| {
            self.swap(name, tree, &seen)?;
            Ok(generation)
        });
        seen
    }

    /// A save with KEEP_PREVIOUS, and one without. The generation of the first.
    fn go_on(&self, root: &Path, name: &str, marked: [bool; 2], seen: &Seen) -> Result<u64, String> {
        let (path, previous) = (root.join(name), root.join(format!("{name}.prev")));
        let (status, generation) = self.save(&path, NEXT, KEEP_PREVIOUS, 0);
        if status != 0 {
            return Err(format!("the next save returns {status}"));
        }
        if load(&path, 0) != (Found::Version { version: NEXT, generation }) {
            return Err(format!("after the next save, of generation {generation}, a load gives {:?}", load(&path, 0)));
        }
        let kept = load(&previous, 0);
        let right = match (seen.state, seen.previous) {
            (Found::Version { .. }, _) if !marked[0] => kept == seen.state,
            (_, Found::Version { .. }) if !marked[1] => kept == seen.previous,
            _ => kept != Found::Wrong,
        };
        if !right {
            return Err(format!("the next save made PATH.prev {kept:?}; it was {:?}, the state {:?}", seen.previous, seen.state));
        }
        // What the disk lost the temporary file of goes with the next save that has its number: the first one is in use by all.
        self.save(&path, NEXT + 2, KEEP_PREVIOUS, 0);
        let names = [format!(".{name}.0.tmp"), format!(".{name}.0.prev.tmp")];
        match names.iter().find(|name| root.join(name).exists()) {
            Some(left) => Err(format!("{left} is left after two more saves")),
            None => Ok(generation),
        }
    }

    /// What RECOVER gave can be swapped for another; what nobody can load is not swapped as if it were not there.
    fn swap(&self, name: &str, tree: &[Name], seen: &Seen) -> Result<(), String> {
        if seen.state.version().is_some() {
            return Ok(());
        }
        let root = Scratch::new();
        self.make(&root.0, tree);
        let path = root.0.join(name);
        let (created, _) = self.save(&path, NEXT, IF_GENERATION, 0);
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
            Some(generation) => match self.save(&path, NEXT, IF_GENERATION, generation).0 {
                0 => Ok(()),
                status => Err(format!("IF_GENERATION {generation}, which RECOVER gave, returns {status}")),
            },
        }
    }

    /// The status and the generation.
    fn save(&self, path: &Path, version: u64, flags: u32, expected: u64) -> (i32, u64) {
        let data = payload(version);
        let flags = flags | self.kind;
        if let Who::Saver(fault) = self.who {
            let directory = c_path(path.parent().unwrap());
            let name = path.file_name().unwrap().to_str().unwrap();
            let request = saver::Request { directory: &directory, name, payload: &data, flags, expected };
            let told = saver::save(real(), fault, &request);
            return (told.status, told.generation);
        }
        let mut options: steadfast_save_options = unsafe { std::mem::zeroed() };
        options.size = size_of::<steadfast_save_options>();
        options.flags = flags;
        options.expected_generation = expected;
        let mut report: steadfast_report = unsafe { std::mem::zeroed() };
        report.size = size_of::<steadfast_report>();
        let status = unsafe {
            steadfast_state_save(null(), c_path(path).as_ptr(), data.as_ptr().cast(), data.len(), &options, &mut report)
        };
        (status, report.generation)
    }
}
