//! The map of `src`: its floors from the ground up. An import goes down the floors, or stays on its own; between the files
//! of a folder none goes round in a circle. This reads the paths that begin with `crate::` or `super::`, in `use` lines and
//! elsewhere. And only some floors may have unsafe code.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::string_slice)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. Rooms on one floor do not know each other.
const FLOORS: [&[&str]; 7] = [&["sys"], &["mem"], &["status"], &["hooks"], &["file"], &["state", "lock"], &["ffi", "api"]];

/// The rooms that may have unsafe code.
const UNSAFE: [&str; 4] = ["sys", "mem", "hooks", "ffi"];

fn floor_of(folder: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&folder))
}

/// A file of `src` in a folder.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Room {
    folder: String,
    file: String,
}

/// The sources, without comments.
fn sources(root: &Path) -> BTreeMap<Room, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root).expect("src").map(|entry| entry.expect("an entry").path()) {
        let folder = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !entry.is_dir() {
            assert!(["lib.rs", "runtime.rs"].contains(&folder.as_str()), "{folder} is in no folder of src");
            continue;
        }
        assert!(floor_of(&folder).is_some(), "src/{folder} is on no floor: add it to FLOORS");
        for file in fs::read_dir(&entry).expect("a folder").map(|file| file.expect("an entry").path()) {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let code = fs::read_to_string(&file).expect("a source");
            let code: String =
                code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
            found.insert(Room { folder: folder.clone(), file: name }, code);
        }
    }
    found
}

/// The paths in `code` that begin with `start`, with the braces of `use` lines resolved.
fn paths(code: &str, start: &str) -> Vec<Vec<String>> {
    code.match_indices(start).flat_map(|(at, _)| branches(&code[at + start.len()..])).collect()
}

/// `a::{b, c::d}` is `a::b` and `a::c::d`.
fn branches(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(inside) = text.strip_prefix('{') {
        let (mut depth, mut begin, mut found) = (1, 0, Vec::new());
        for (at, c) in inside.char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth == 0 || (depth == 1 && c == ',') {
                found.extend(branches(&inside[begin..at]));
                begin = at + 1;
            }
            if depth == 0 {
                break;
            }
        }
        return found;
    }
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    if word.is_empty() {
        return vec![vec![]];
    }
    let rest = &text[word.len()..];
    let tails = rest.strip_prefix("::").map_or(vec![vec![]], branches);
    tails.into_iter().map(|tail| [vec![word.clone()], tail].concat()).collect()
}

/// Which file of a folder a path leads to: the one that it names, or the one that `mod.rs` names for it.
fn file_in(sources: &BTreeMap<Room, String>, folder: &str, path: &[String]) -> Option<Room> {
    let room = |file: &str| Some(Room { folder: folder.into(), file: file.into() }).filter(|room| sources.contains_key(room));
    let name = path.first()?;
    room(name).or_else(|| {
        let index = sources.get(&room("mod")?)?;
        let named = index.split("use ").skip(1).flat_map(branches).find(|path| path.len() == 2 && path[1] == *name)?;
        room(&named[0])
    })
}

fn imports(sources: &BTreeMap<Room, String>) -> BTreeMap<Room, BTreeSet<Room>> {
    let mut all = BTreeMap::new();
    for (room, code) in sources {
        let mut from = BTreeSet::new();
        for path in paths(code, "crate::").into_iter().filter(|path| path.len() > 1 && floor_of(&path[0]).is_some()) {
            let file = file_in(sources, &path[0], &path[1..]);
            from.insert(file.unwrap_or(Room { folder: path[0].clone(), file: "mod".into() }));
        }
        for path in paths(code, "super::") {
            from.extend(file_in(sources, &room.folder, &path));
        }
        from.remove(room);
        all.insert(room.clone(), from);
    }
    all
}

fn all() -> BTreeMap<Room, BTreeSet<Room>> {
    imports(&sources(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")))
}

/// The imports that do not go down, or stay in their own folder.
fn climbs(imports: &BTreeMap<Room, BTreeSet<Room>>) -> Vec<String> {
    let pairs = imports.iter().flat_map(|(room, from)| from.iter().map(move |other| (room, other)));
    pairs
        .filter(|(room, other)| room.folder != other.folder && floor_of(&other.folder) >= floor_of(&room.folder))
        .map(|(room, other)| format!("{}/{} imports {}/{}", room.folder, room.file, other.folder, other.file))
        .collect()
}

/// The files that can be reached from themselves. `mod.rs` only lists what there is, and belongs to no circle.
fn circles(imports: &BTreeMap<Room, BTreeSet<Room>>) -> Vec<String> {
    let reached = |start: &Room| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(room) = next.pop() {
            for other in imports.get(&room).into_iter().flatten().filter(|other| other.file != "mod") {
                if seen.insert(other.clone()) {
                    next.push(other.clone());
                }
            }
        }
        seen
    };
    let round = imports.keys().filter(|room| room.file != "mod" && reached(room).contains(room));
    round.map(|room| format!("{}/{} imports itself by way of others", room.folder, room.file)).collect()
}

#[test]
fn imports_go_down() {
    let climbs = climbs(&all());
    assert!(climbs.is_empty(), "{climbs:#?}");
}

#[test]
fn nothing_goes_round() {
    let circles = circles(&all());
    assert!(circles.is_empty(), "{circles:#?}");
}

/// A `mod.rs` holds no code: what it would hold could take part in a circle unseen.
#[test]
fn indexes_hold_no_code() {
    for (room, code) in sources(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let code_in = |code: &str| ["fn ", "struct ", "enum ", "static ", "impl "].iter().any(|word| code.contains(word));
        assert!(room.file != "mod" || !code_in(&code), "src/{}/mod.rs holds code", room.folder);
    }
}

/// What has unsafe code, or does not forbid it, and may not. The compiler refuses the code where the index forbids it, but it does
/// not see what is built elsewhere only.
fn unsafe_code(sources: &BTreeMap<Room, String>) -> Vec<String> {
    const FORBIDS: &str = "#![forbid(unsafe_code)]";
    let mut found = Vec::new();
    for (room, code) in sources.iter().filter(|(room, _)| !UNSAFE.contains(&room.folder.as_str())) {
        if code.replace(FORBIDS, "").contains("unsafe") {
            found.push(format!("src/{}/{} has unsafe code", room.folder, room.file));
        }
        if room.file == "mod" && !code.contains(FORBIDS) {
            found.push(format!("src/{}/mod.rs does not forbid unsafe code", room.folder));
        }
    }
    found
}

#[test]
fn few_floors_have_unsafe_code() {
    let found = unsafe_code(&sources(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")));
    assert!(found.is_empty(), "{found:#?}");
}

/// The reader sees what is there, and what it is to find is found.
#[test]
fn faults_are_seen() {
    let found = all();
    let count: usize = found.values().map(BTreeSet::len).sum();
    assert!(count > 100, "only {count} imports were read");
    let room = |folder: &str, file: &str| Room { folder: folder.into(), file: file.into() };
    assert!(found[&room("state", "batch")].contains(&room("state", "saving")), "a `use super::` was not read");
    assert!(found[&room("lock", "acquire")].contains(&room("file", "base")), "a `use crate::` was not read");
    assert!(found[&room("hooks", "guard")].contains(&room("hooks", "installed")), "a file beside was not found");

    let code = |text: &str| text.to_string();
    let mut mutant = BTreeMap::from([
        (room("file", "a"), code("use crate::state::b::B;")),
        (room("state", "b"), code("use super::c::{self, C};")),
        (room("state", "c"), code("fn f() { super::b::g() }")),
        (room("lock", "d"), code("use crate::{file::a, state::b};")),
    ]);
    assert_eq!(climbs(&imports(&mutant)).len(), 2, "an import that climbs, and one from room to room");
    assert_eq!(circles(&imports(&mutant)).len(), 2, "both files of a circle");
    mutant.insert(room("state", "c"), code(""));
    assert_eq!(circles(&imports(&mutant)).len(), 0, "no circle any more");

    let mutant = BTreeMap::from([
        (room("api", "mod"), code("mod a;")),
        (room("api", "a"), code("#![allow(unsafe_code)]")),
        (room("file", "mod"), code("#![forbid(unsafe_code)]")),
        (room("file", "b"), code("fn f() { unsafe { g() } }")),
        (room("ffi", "c"), code("fn f() { unsafe { g() } }")),
    ]);
    assert_eq!(unsafe_code(&mutant).len(), 3, "an index that forbids nothing, a file that allows it, and one that has it");
}
