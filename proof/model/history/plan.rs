//! Which histories there are: beginnings, kinds of saves, and what may happen to one.

use super::fault::Fault;
use super::record;
use super::stage::{Kind, Left, NEVER, Stage, Step, Trouble, Who};
use super::words::*;
use crate::judge::payload;
use crate::trace::Mutant;

const fn kind(name: &'static str, flags: u32) -> Kind {
    Kind { name, flags, batch: false, long: false }
}

const fn batch(name: &'static str, flags: u32) -> Kind {
    Kind { name, flags, batch: true, long: false }
}

pub const PLAIN: Kind = kind("plain", 0);
pub const KEEP: Kind = kind("KEEP_PREVIOUS", KEEP_PREVIOUS);
pub const UNSYNCED: Kind = kind("NO_SYNC", NO_SYNC);

pub const KINDS: [Kind; 11] = [
    PLAIN,
    kind("STRICT", STRICT),
    KEEP,
    kind("IF_GENERATION", IF_GENERATION),
    kind("IF_GENERATION, KEEP_PREVIOUS", IF_GENERATION | KEEP_PREVIOUS),
    UNSYNCED,
    kind("NO_SYNC, KEEP_PREVIOUS", NO_SYNC | KEEP_PREVIOUS),
    kind("STRICT, KEEP_PREVIOUS", STRICT | KEEP_PREVIOUS),
    batch("batch", 0),
    batch("batch, SYNCFS", SYNCFS),
    batch("batch, KEEP_PREVIOUS", KEEP_PREVIOUS),
];

const PLAIN_KEEP: Kind = kind("PLAIN, KEEP_PREVIOUS", PLAIN_FILE | KEEP_PREVIOUS);

/// Plain files: the library's, since the saver of this test has none.
pub const PLAIN_KINDS: [Kind; 7] = [
    kind("PLAIN", PLAIN_FILE),
    PLAIN_KEEP,
    kind("PLAIN, IF_GENERATION", PLAIN_FILE | IF_GENERATION),
    kind("PLAIN, IF_GENERATION, KEEP_PREVIOUS", PLAIN_FILE | IF_GENERATION | KEEP_PREVIOUS),
    kind("PLAIN, NO_SYNC", PLAIN_FILE | NO_SYNC),
    kind("PLAIN, NO_SYNC, KEEP_PREVIOUS", PLAIN_FILE | NO_SYNC | KEEP_PREVIOUS),
    batch("PLAIN, batch", PLAIN_FILE | KEEP_PREVIOUS),
];

pub const PLAIN_BEGINNINGS: [(&str, Beginning); 4] = [
    ("nothing", Beginning::Saved(&[])),
    ("one plain file", Beginning::Saved(&[PLAIN_KINDS[0]])),
    ("a plain file and its previous one", Beginning::Saved(&[PLAIN_KEEP, PLAIN_KEEP])),
    ("a NO_SYNC plain file beside a durable PATH.prev", Beginning::Saved(&[PLAIN_KEEP, PLAIN_KEEP, PLAIN_KINDS[4]])),
];

pub const ALTERNATING: Kind = kind("ALTERNATE", ALTERNATE);

/// Alternating states, and what else may be saved over them.
pub const ALTERNATING_KINDS: [Kind; 11] = [
    ALTERNATING,
    Kind { long: true, ..kind("ALTERNATE, long", ALTERNATE) },
    kind("ALTERNATE, STRICT", ALTERNATE | STRICT),
    kind("ALTERNATE, IF_GENERATION", ALTERNATE | IF_GENERATION),
    kind("ALTERNATE, NO_SYNC", ALTERNATE | NO_SYNC),
    batch("batch, ALTERNATE", ALTERNATE),
    batch("batch, ALTERNATE, SYNCFS", ALTERNATE | SYNCFS),
    PLAIN,
    KEEP,
    UNSYNCED,
    kind("IF_GENERATION, KEEP_PREVIOUS", IF_GENERATION | KEEP_PREVIOUS),
];

/// The same for the saver of this test, which knows alternating states alone.
pub const SAVERS_ALTERNATING_KINDS: [Kind; 5] = [
    ALTERNATING,
    Kind { long: true, ..kind("ALTERNATE, long", ALTERNATE) },
    kind("ALTERNATE, STRICT", ALTERNATE | STRICT),
    kind("ALTERNATE, IF_GENERATION", ALTERNATE | IF_GENERATION),
    kind("ALTERNATE, write and sync", ALTERNATE | GROUPED),
];

/// So many of the beginnings are the saver's of this test, too.
pub const OF_SAVER: usize = 6;

pub const ALTERNATING_BEGINNINGS: [(&str, Beginning); 8] = [
    ("one alternating state", Beginning::Saved(&[ALTERNATING])),
    ("two alternating states", Beginning::Saved(&[ALTERNATING; 2])),
    ("an alternating state at PATH.prev", Beginning::Saved(&[ALTERNATING; 3])),
    ("an alternating state at PATH", Beginning::Saved(&[ALTERNATING; 4])),
    (
        "an alternating state whose newer file is damaged",
        Beginning::Left(|| vec![slot("state", 20, false), damaged_slot("state.prev", 30)]),
    ),
    (
        "an alternating state written by a batch that was killed before its syncs",
        Beginning::Left(|| vec![Left { synced: false, ..slot("state", 20, true) }, slot("state.prev", 10, false)]),
    ),
    ("an alternating state, and a plain save over it", Beginning::Saved(&[ALTERNATING, ALTERNATING, ALTERNATING, PLAIN])),
    ("a NO_SYNC state saved over an alternating one", Beginning::Saved(&[ALTERNATING, ALTERNATING, ALTERNATING, UNSYNCED])),
];

/// Only the saver of this test has it.
pub const RECYCLED: Kind = kind("RECYCLE", RECYCLE | KEEP_PREVIOUS);

/// How a history begins.
#[derive(Clone, Copy)]
pub enum Beginning {
    /// What was saved, one after the other.
    Saved(&'static [Kind]),
    /// What a power cut, or a person, has left.
    Left(fn() -> Vec<Left>),
}

pub const BEGINNINGS: [(&str, Beginning); 10] = [
    ("nothing", Beginning::Saved(&[])),
    ("one state", Beginning::Saved(&[PLAIN])),
    ("a state and its previous one", Beginning::Saved(&[KEEP, KEEP])),
    ("a NO_SYNC state beside a durable PATH.prev", Beginning::Saved(&[KEEP, KEEP, UNSYNCED])),
    ("a damaged state and a whole PATH.prev", Beginning::Left(|| vec![damaged("state", 20), whole("state.prev", 10)])),
    (
        "an unsynced state that came through, and a PATH.prev",
        Beginning::Left(|| vec![unsynced("state", 20), whole("state.prev", 10)]),
    ),
    ("a damaged state alone", Beginning::Left(|| vec![damaged("state", 20)])),
    ("a PATH.prev alone", Beginning::Left(|| vec![whole("state.prev", 10)])),
    ("a foreign file", Beginning::Left(|| vec![foreign("state")])),
    (
        "a state, a damaged PATH.prev, and what a killed saver left",
        Beginning::Left(|| {
            vec![whole("state", 20), damaged("state.prev", 10), damaged(".state.0.tmp", 30), whole(".state.0.prev.tmp", 20)]
        }),
    ),
];

/// Of versions 10, 20 and 30 generation 1, 2 and 3.
fn whole(name: &'static str, version: u64) -> Left {
    Left { name, content: record::format(version / 10, 0, false, &payload(version)), marked: false, synced: true }
}

fn unsynced(name: &'static str, version: u64) -> Left {
    Left { name, content: record::format(version / 10, 0, true, &payload(version)), marked: true, synced: true }
}

/// Its second half has not reached the disk.
fn damaged(name: &'static str, version: u64) -> Left {
    let mut left = whole(name, version);
    left.content[512..].fill(0);
    left
}

/// One of an alternating state's two files.
fn slot(name: &'static str, version: u64, grouped: bool) -> Left {
    let payload = payload(version);
    let slot = record::Slot { used: payload.len(), pair: 1 << 32 | 1, grouped };
    let content = record::format_slot(version / 10, 0, false, slot, record::capacity(payload.len()), &payload);
    Left { name, content, marked: false, synced: true }
}

fn damaged_slot(name: &'static str, version: u64) -> Left {
    let mut left = slot(name, version, false);
    left.content[512..].fill(0);
    left
}

fn foreign(name: &'static str) -> Left {
    Left { name, content: b"somebody's own\n".to_vec(), marked: false, synced: true }
}

pub fn kinds(who: Who) -> Vec<Kind> {
    let recycled = matches!(who, Who::Saver(Fault::Recycle)).then_some(RECYCLED);
    KINDS.into_iter().chain(recycled).collect()
}

pub fn begin(who: Who, mutant: Mutant, beginning: Beginning) -> Box<Stage> {
    match beginning {
        Beginning::Left(left) => Stage::with(who, mutant, &left()),
        Beginning::Saved(kinds) => {
            let mut stage = Stage::new(who, mutant);
            for &kind in kinds {
                stage.run(Step { kind, trouble: Trouble::None }, None);
            }
            stage
        }
    }
}

/// EIO for any call; the others are what a call that only looks may meet.
pub const ERRORS: [i32; 5] = [libc::EIO, libc::EMFILE, libc::ENOLCK, libc::EACCES, libc::EPERM];

/// Everything that may happen to a save that makes so many calls, when nothing happens.
pub fn troubles(calls: u32) -> Vec<Trouble> {
    let mut all = vec![Trouble::None, Trouble::FileSyncs, Trouble::DirectorySyncs, Trouble::Killed { call: NEVER }];
    all.extend((0..calls).map(|call| Trouble::Killed { call }));
    all.extend(ERRORS.into_iter().flat_map(|errno| (0..calls).map(move |call| Trouble::Fails { call, errno })));
    all
}
