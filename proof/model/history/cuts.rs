//! What a power cut at any moment of a history leaves of one state, its PATH.prev and its temporary names.
//!
//! As in states.rs, but for long histories: what is the same after two moments is made out once, and a content whose sync
//! failed stays in doubt whatever later syncs answer.

use super::after::{FileData, Seen, Store};
use super::promise::{self, History};
use super::record;
use super::stage::{Entry, PATHS, Stage, version_in};
use crate::states::Model;
use crate::trace::{Event, Node, is_of_plain};
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

/// A change of a file.
#[derive(Clone)]
enum Change {
    Size(usize),
    Part(usize, Vec<u8>),
    Mode(u32),
    Attribute(Vec<u8>),
}

/// A change, and whether it is on the disk for sure.
struct Made {
    change: Change,
    forced: bool,
    /// A sync failed since: no later one forces it.
    lost: bool,
}

struct File {
    number: usize,
    mode: u32,
    made: Vec<Made>,
    /// The contents that it may have on the disk, when they have been worked out.
    variants: Option<Rc<Vec<u64>>>,
}

impl File {
    fn content(&self, keep: impl Fn(usize) -> bool) -> FileData {
        let mut file = FileData { mode: self.mode, content: vec![], attribute: None, changed_since: false, number: None };
        let mut size = 0;
        for (at, made) in self.made.iter().enumerate() {
            if !made.forced && !keep(at) {
                continue;
            }
            match &made.change {
                Change::Size(len) => {
                    size = *len;
                    file.changed_since = file.attribute.is_some();
                }
                Change::Part(at, bytes) => {
                    file.content.resize(file.content.len().max(at + bytes.len()), 0);
                    file.content[*at..at + bytes.len()].copy_from_slice(bytes);
                }
                Change::Mode(mode) => file.mode = *mode,
                Change::Attribute(value) => (file.attribute, file.changed_since) = (Some(value.clone()), false),
            }
        }
        file.content.resize(size, 0);
        file.number = record::slot(&file.content).map(|_| self.number);
        file
    }
}

/// So many unsynced changes of names are tried in any order.
const MOST_NAMES: usize = 10;

type Names = BTreeMap<Vec<u8>, usize>;
type Set = Vec<(Vec<u8>, Option<usize>)>;

/// A name, whose file has this number, with this content.
pub type Name = (Vec<u8>, usize, u64);

struct Cutter<'a> {
    store: &'a mut Store,
    files: Vec<File>,
    forced: Names,
    open: Vec<Set>,
    live: Names,
}

fn apply(names: &mut Names, set: &Set) {
    for (name, file) in set {
        match file {
            Some(file) => drop(names.insert(name.clone(), *file)),
            None => drop(names.remove(name)),
        }
    }
}

fn is_temporary(name: &[u8]) -> bool {
    name.ends_with(b".tmp") || name.ends_with(b".edit")
}

impl Cutter<'_> {
    /// True when it changes what a power cut may leave.
    fn take(&mut self, event: &Event, name: &[u8]) -> bool {
        let ours = |other: &[u8]| {
            let rest = other.strip_prefix(name).or(other.strip_prefix(b".").and_then(|rest| rest.strip_prefix(name)));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
        };
        let (file, change) = match event {
            Event::Names { set, .. } => {
                let file =
                    |node: &Option<Node>| node.and_then(|node| if let Node::File(file) = node { Some(file) } else { None });
                let set: Set = set.iter().filter(|(name, _)| ours(name)).map(|(name, node)| (name.clone(), file(node))).collect();
                if set.is_empty() {
                    return false;
                }
                apply(&mut self.live, &set);
                self.open.push(set);
                return true;
            }
            Event::SyncDirectory(_) => {
                let open = std::mem::take(&mut self.open);
                open.iter().for_each(|set| apply(&mut self.forced, set));
                return !open.is_empty();
            }
            Event::SyncFile(file) => {
                let file = &mut self.files[*file];
                let open = file.made.iter_mut().filter(|made| !made.forced && !made.lost);
                let forced = open.map(|made| made.forced = true).count() > 0;
                if forced {
                    file.variants = None;
                }
                return forced;
            }
            Event::Lost(file) => {
                self.files[*file].made.iter_mut().filter(|made| !made.forced).for_each(|made| made.lost = true);
                return false;
            }
            Event::Size { file, len } => (file, Change::Size(*len)),
            Event::Part { file, at, bytes } => (file, Change::Part(*at, bytes.clone())),
            Event::Mode { file, mode } => (file, Change::Mode(*mode)),
            Event::Xattr { file, value, .. } if is_of_plain(value) => (file, Change::Attribute(value.clone())),
            _ => return false,
        };
        let file = &mut self.files[*file];
        // A change of the inode, as the rename after it is one of the directory: nowhere is the second one kept without the first.
        // What a lost one would come to, main.rs tries.
        let forced = matches!(change, Change::Attribute(_));
        file.made.push(Made { change, forced, lost: false });
        file.variants = None;
        true
    }

    /// What a load gives now: the file, its version, and whether it may come back. Of an alternating state's two files the newer
    /// one, if it was written there.
    fn published(&self, name: &str) -> Option<(usize, u64, bool)> {
        let previous = format!("{name}.prev");
        let [path, previous] = [name, &previous].map(|name| {
            let file = *self.live.get(name.as_bytes())?;
            Some((file, self.files[file].content(|_| true)))
        });
        let (file, data) = path?;
        let is_plain = data.attribute.is_some();
        let slot = |data: &FileData| record::slot(&data.content).and(record::read(&data.content)).map(|record| record.generation);
        let in_place = |data: &FileData| record::slot(&data.content).is_some_and(|slot| slot.pair != 0);
        let ours = slot(&data);
        let is_record = ours.is_none() && (is_plain || record::read(&data.content).is_some());
        match previous.as_ref().and_then(|(file, data)| Some((*file, slot(data)?, data))) {
            Some((file, generation, data)) if !is_record && Some(generation) > ours && in_place(data) => {
                Some((file, version_in(data)?, true))
            }
            _ => Some((file, version_in(&data)?, is_plain || ours.is_some())),
        }
    }

    /// The contents that a file may have. Of a temporary one, which nobody loads: all of it, or what is forced.
    fn variants(&mut self, file: usize, temporary: bool) -> Rc<Vec<u64>> {
        let Cutter { files, store, .. } = self;
        let file = &mut files[file];
        if let Some(variants) = &file.variants
            && !temporary
        {
            return variants.clone();
        }
        let open: Vec<usize> = (0..file.made.len()).filter(|&at| !file.made[at].forced).collect();
        assert!(open.len() <= 12, "{} changes of one file are too many to enumerate", open.len());
        let all = (1u32 << open.len()) - 1;
        let mut out: Vec<u64> = (0..=all)
            .filter(|&bits| !temporary || bits == 0 || bits == all)
            .map(|bits| {
                let keeps = |at: usize| open.iter().position(|&o| o == at).is_some_and(|o| bits & (1 << o) != 0);
                store.file(file.content(keeps))
            })
            .collect();
        out.sort_unstable();
        out.dedup();
        let out = Rc::new(out);
        if !temporary {
            file.variants = Some(out.clone());
        }
        out
    }

    fn names(&self, model: Model) -> HashSet<Names> {
        let count = self.open.len();
        // Of a long time without any sync, the last ones: what came before them is there.
        let free = count.min(MOST_NAMES);
        let sets: Vec<u64> = match model {
            Model::InOrder => (0..=count).map(|len| (1u64 << len) - 1).collect(),
            Model::AnySubset => (0..1u64 << free).map(|bits| bits << (count - free) | ((1 << (count - free)) - 1)).collect(),
        };
        let with = |bits: u64| {
            let mut names = self.forced.clone();
            (0..count).filter(|at| bits & (1 << at) != 0).for_each(|at| apply(&mut names, &self.open[at]));
            names
        };
        sets.into_iter().map(with).collect()
    }

    /// Every tree that a power cut may leave now.
    fn trees(&mut self, model: Model, mut visit: impl FnMut(&mut Store, &[Name]) -> Result<(), String>) -> Result<(), String> {
        for names in self.names(model) {
            let mut files: Vec<(usize, bool)> = vec![];
            for (name, &file) in &names {
                match files.iter_mut().find(|(other, _)| *other == file) {
                    Some((_, temporary)) => *temporary &= is_temporary(name),
                    None => files.push((file, is_temporary(name))),
                }
            }
            let choices: Vec<_> = files.iter().map(|&(file, temporary)| self.variants(file, temporary)).collect();
            let count: usize = choices.iter().map(|choices| choices.len()).product();
            for mut number in 0..count {
                let mut contents = vec![];
                for choices in &choices {
                    contents.push(choices[number % choices.len()]);
                    number /= choices.len();
                }
                let tree: Vec<Name> = names
                    .iter()
                    .map(|(name, file)| {
                        let at = files.iter().position(|(other, _)| other == file).unwrap();
                        (name.clone(), at, contents[at])
                    })
                    .collect();
                visit(self.store, &tree)?;
            }
        }
        Ok(())
    }
}

/// What is known at a moment of the saves of one path.
fn history(stage: &Stage, entries: &[&Entry], orders: &BTreeMap<u64, u64>, now: usize) -> History {
    let begun = entries.iter().filter(|entry| entry.save.begun <= now);
    let saves = begun.map(|entry| {
        let mut save = entry.save.clone();
        save.order = orders.get(&save.version).copied().or(save.order);
        save.ended = save.ended.filter(|&ended| ended <= now);
        save.answer = save.answer.filter(|_| save.ended.is_some());
        save
    });
    History { saves: saves.collect(), began_lost: stage.began_lost }
}

/// Every power cut from event `from` on, seen by the judge. The number of states, and the first verdict that is bad.
pub fn explore(stage: &Stage, from: usize, model: Model, store: &mut Store) -> (u64, Result<(), String>) {
    let mut count = 0;
    for (path, name) in PATHS.into_iter().enumerate() {
        let entries: Vec<&Entry> = stage.entries.iter().filter(|entry| entry.path == path).collect();
        if entries.is_empty() {
            continue;
        }
        let result = explore_path(stage, &entries, name, from, model, store, &mut count);
        if result.is_err() {
            return (count, result);
        }
    }
    (count, Ok(()))
}

fn explore_path(
    stage: &Stage,
    entries: &[&Entry],
    name: &str,
    from: usize,
    model: Model,
    store: &mut Store,
    count: &mut u64,
) -> Result<(), String> {
    let recorder = &stage.recorder;
    let file = |(number, &mode)| File { number, mode, made: vec![], variants: None };
    let files = (0..).zip(&recorder.modes).map(file).collect();
    let mut cutter = Cutter { store, files, forced: Names::new(), open: vec![], live: Names::new() };
    let mut orders = BTreeMap::new();
    let mut had = None;
    for (at, event) in recorder.events.iter().enumerate() {
        let now = at + 1;
        let mut changed = cutter.take(event, name.as_bytes());
        let has = if changed { cutter.published(name) } else { had };
        if let (true, Some((_, version, comes_back))) = (has != had, has) {
            // A plain file goes back after an exchange of names, and one of an alternating state's two is the newer one again when
            // the other is given up: until that is told, what came between may be there as well.
            if comes_back {
                orders.entry(version).or_insert(now as u64);
            } else {
                orders.insert(version, now as u64);
            }
        }
        had = has.or(had);
        changed |= *event == Event::Moment || now == from;
        if !changed || now < from {
            continue;
        }
        let known = history(stage, entries, &orders, now);
        let shown = cutter.trees(model, |store, tree| {
            *count += 1;
            let seen: Rc<Seen> = store.seen(name, tree);
            promise::after_cut(&known, model == Model::InOrder, &seen)
                .map_err(|why| format!("{why}; after {now} events, on disk {}", store.describe(tree)))
        });
        shown?;
    }
    Ok(())
}
