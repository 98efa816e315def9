//! What a power cut can leave. Only what was forced is sure; of the rest, changes of files persist or not,
//! each for itself, and changes of directories either each for itself too (all that POSIX promises) or in
//! their order (what journals do).

use super::trace::{Event, Node, Recorder, is_of_plain};
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Model {
    AnySubset,
    InOrder,
}

#[derive(Clone, Default, Hash, PartialEq, Debug)]
pub struct File {
    pub mode: u32,
    pub content: Vec<u8>,
    pub xattr: Option<Vec<u8>>,
    pub mtime: (i64, i64),
}

/// Paths below the root; None is a directory.
pub type Tree = BTreeMap<Vec<u8>, Option<File>>;

pub struct State {
    pub tree: Tree,
    /// The last save asked for, the last one acknowledged.
    pub begun: u64,
    pub acknowledged: u64,
    /// What is there may be damaged: only RECOVER is sure to find something.
    pub reserved: bool,
}

/// Calls `check` with every different state after every prefix of the trace; stops at the first error.
pub fn each(r: &Recorder, model: Model, mut check: impl FnMut(&State) -> Result<(), String>) -> (u64, Result<(), String>) {
    let mut seen = HashSet::new();
    let mut count = 0;
    for end in 0..=r.events.len() {
        let events = &r.events[..end];
        let last = |wanted: fn(&Event) -> Option<u64>| events.iter().rev().find_map(wanted).unwrap_or(0);
        let begun = last(|e| if let Event::Begun(n) = e { Some(*n) } else { None });
        let acknowledged = last(|e| if let Event::Acknowledged(n) = e { Some(*n) } else { None });
        let reserved = events.contains(&Event::Reserved);
        let forced = |at: usize, e: &Event| {
            events[at..].iter().any(|later| match (e, later) {
                (Event::Names { dir, .. }, Event::SyncDirectory(synced)) => dir == synced,
                (
                    Event::Size { file, .. } | Event::Part { file, .. } | Event::Xattr { file, .. } | Event::Mode { file, .. },
                    Event::SyncFile(synced),
                ) => file == synced,
                _ => false,
            })
        };
        let open: Vec<usize> = (0..end)
            .filter(|&at| {
                // A journal keeps it in order with the renames.
                let journalled = matches!(&events[at], Event::Xattr { value, .. } if is_of_plain(value));
                if model == Model::InOrder && journalled {
                    return false;
                }
                let change = !matches!(
                    events[at],
                    Event::SyncFile(_)
                        | Event::SyncDirectory(_)
                        | Event::Lost(_)
                        | Event::Begun(_)
                        | Event::Acknowledged(_)
                        | Event::Reserved
                        | Event::Moment
                );
                change && !forced(at, &events[at])
            })
            .collect();
        assert!(open.len() <= 24, "{} open changes are too many to enumerate", open.len());
        'subset: for bits in 0..1u32 << open.len() {
            let lost = |at: usize| open.iter().position(|&o| o == at).is_some_and(|o| bits & (1 << o) == 0);
            if model == Model::InOrder {
                let mut gap = false;
                for &at in open.iter().filter(|&&at| matches!(events[at], Event::Names { .. })) {
                    if lost(at) {
                        gap = true;
                    } else if gap {
                        continue 'subset;
                    }
                }
            }
            let tree = tree(r, events, lost);
            let mut hasher = DefaultHasher::new();
            (&tree, begun, acknowledged).hash(&mut hasher);
            if seen.insert(hasher.finish()) {
                count += 1;
                if let Err(text) = check(&State { tree, begun, acknowledged, reserved }) {
                    return (count, Err(format!("after {end} events: {text}")));
                }
            }
        }
    }
    (count, Ok(()))
}

fn tree(r: &Recorder, events: &[Event], lost: impl Fn(usize) -> bool) -> Tree {
    let mut files: Vec<File> = r.modes.iter().map(|&mode| File { mode, ..File::default() }).collect();
    let mut sizes = vec![0usize; files.len()];
    let mut names: BTreeMap<(usize, Vec<u8>), Node> = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        if lost(at) {
            continue;
        }
        match event {
            Event::Names { dir, set } => {
                for (name, node) in set {
                    match node {
                        Some(node) => drop(names.insert((*dir, name.clone()), *node)),
                        None => drop(names.remove(&(*dir, name.clone()))),
                    }
                }
            }
            // Parts that are not there read as zeros.
            Event::Size { file, len } => {
                sizes[*file] = *len;
                // What is written after the attribute has another time.
                files[*file].mtime.0 += i64::from(files[*file].xattr.is_some());
            }
            Event::Part { file, at, bytes } => {
                let content = &mut files[*file].content;
                content.resize(content.len().max(at + bytes.len()), 0);
                content[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Event::Xattr { file, value, mtime } => {
                files[*file].xattr = Some(value.clone());
                files[*file].mtime = *mtime;
            }
            Event::Mode { file, mode } => files[*file].mode = *mode,
            _ => {}
        }
    }
    for (file, size) in files.iter_mut().zip(sizes) {
        file.content.resize(size, 0);
    }
    let mut out = Tree::new();
    let mut todo = vec![(0usize, Vec::new())];
    while let Some((dir, path)) = todo.pop() {
        for ((_, name), node) in names.iter().filter(|((d, _), _)| *d == dir) {
            let mut whole: Vec<u8> = path.clone();
            if !whole.is_empty() {
                whole.push(b'/');
            }
            whole.extend_from_slice(name);
            match node {
                Node::File(file) => drop(out.insert(whole, Some(files[*file].clone()))),
                Node::Directory(d) => {
                    out.insert(whole.clone(), None);
                    todo.push((*d, whole));
                }
            }
        }
    }
    out
}
