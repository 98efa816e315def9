//! What a save must leave and say, judged from the files before and after it. Written from docs/design/contract.md, not from
//! the library.

use super::api::Told;
use super::reader::{self, ANY, State};
use steadfast::status::*;

pub const STRICT: u32 = 1 << 0;
pub const KEEP_PREVIOUS: u32 = 1 << 1;
pub const IF_GENERATION: u32 = 1 << 2;
pub const NO_SYNC: u32 = 1 << 6;
pub const SYNCFS: u32 = 1 << 7;

#[derive(PartialEq, Clone)]
pub struct File {
    pub bytes: Vec<u8>,
    /// The mark of an unsynced state in its mode; the other one is in its header.
    pub sticky: bool,
}

impl File {
    fn state(&self) -> Result<State, i32> {
        reader::read(&self.bytes, &ANY)
    }

    /// A state, perhaps one of a later format.
    fn is_whole(&self) -> bool {
        matches!(self.state(), Ok(_) | Err(STEADFAST_E_NEWER))
    }

    fn is_durable(&self) -> bool {
        self.is_whole() && !self.sticky && !reader::says_unsynced(&self.bytes)
    }
}

fn is_durable(file: &Option<File>) -> bool {
    file.as_ref().is_some_and(File::is_durable)
}

fn is_whole(file: &Option<File>) -> bool {
    file.as_ref().is_some_and(File::is_whole)
}

fn same_bytes(a: &Option<File>, b: &Option<File>) -> bool {
    a.as_ref().map(|file| &file.bytes) == b.as_ref().map(|file| &file.bytes)
}

/// PATH and PATH.prev.
#[derive(PartialEq, Clone)]
pub struct Files {
    pub current: Option<File>,
    pub previous: Option<File>,
}

impl Files {
    /// What IF_GENERATION compares with: the generation of the current state, or of the previous one where that is missing
    /// or damaged.
    pub fn compared(&self) -> Option<u64> {
        let verified = |file: &Option<File>| file.as_ref()?.state().ok().map(|state| state.generation);
        verified(&self.current).or(verified(&self.previous))
    }
}

/// A save.
pub struct Save<'a> {
    pub flags: u32,
    pub payload: &'a [u8],
    pub schema: u32,
    pub expected: u64,
    pub before: Files,
    pub after: Files,
    /// The clock before and after it.
    pub clock: (i64, i64),
}

/// How it went.
#[derive(Clone, Copy)]
pub struct Course {
    /// A call has failed, or will never be made.
    pub disturbed: bool,
    /// All calls after it failed too.
    pub for_ever: bool,
    /// A sync has failed.
    pub sync_failed: bool,
    /// There are no hard links, or making one has failed.
    pub unlinkable: bool,
}

impl Save<'_> {
    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// The generation to write; None: the last one has been written. `clock` is the time in the record.
    fn next(&self, clock: i64) -> Option<u64> {
        let thorough = self.has(IF_GENERATION | KEEP_PREVIOUS);
        let verified = |file: &File| file.state().ok().map(|state| state.generation);
        let looked_at = |file: &File| reader::header_generation(&file.bytes);
        let Files { current, previous } = &self.before;
        let number = current.as_ref().and_then(|file| if thorough { verified(file) } else { looked_at(file) });
        let read = self.has(IF_GENERATION) && number.is_none();
        let before = previous.as_ref().and_then(|file| if read { verified(file) } else { looked_at(file) });
        let before = before.filter(|_| thorough || number.is_none());
        match number.max(before) {
            Some(last) if number.is_some() => last.checked_add(1),
            _ if current.is_none() && previous.is_none() => Some(1),
            last => last.map_or(Some(0), |last| last.checked_add(1)).map(|next| next.max(clock as u64 / 1000)),
        }
    }

    /// The code that it must return when nothing disturbs it.
    fn undisturbed(&self) -> i32 {
        let Files { current, previous } = &self.before;
        let damage = |file: &Option<File>| file.as_ref().and_then(|file| file.state().err());
        if self.has(NO_SYNC) && self.has(STRICT | SYNCFS) {
            return -libc::EINVAL;
        }
        if self.has(IF_GENERATION) {
            let refused = match (self.before.compared(), damage(current)) {
                (_, Some(STEADFAST_E_NEWER)) => Some(STEADFAST_E_NEWER),
                (Some(there), _) => (there != self.expected || there == 0).then_some(STEADFAST_E_CONFLICT),
                (None, Some(damage)) => Some(damage),
                (None, None) if self.expected != 0 => Some(damage(previous).unwrap_or(STEADFAST_E_CONFLICT)),
                (None, None) => previous.is_some().then_some(STEADFAST_E_CONFLICT),
            };
            if let Some(code) = refused {
                return code;
            }
        }
        match self.next(self.clock.1) {
            None => -libc::EOVERFLOW,
            Some(_) if self.has(NO_SYNC) => STEADFAST_NOT_DURABLE,
            Some(_) => STEADFAST_OK,
        }
    }

    /// What is there, whatever happened: old or new, whole; and nothing in PATH.prev that does not belong there.
    pub fn check_files(&self, course: Course, code: Option<i32>) {
        let Save { before, after, .. } = self;
        if !same_bytes(&after.current, &before.current) || code.is_some_and(|code| code >= 0) {
            let state = after.current.as_ref().map(File::state);
            let Some(Ok(State { payload, generation, schema, saved_at_ns })) = state else {
                panic!("neither old nor new: {state:?}")
            };
            assert!(payload == self.payload && schema == self.schema, "another payload");
            assert!((self.clock.0..=self.clock.1).contains(&saved_at_ns), "the time {saved_at_ns}");
            assert_eq!(Some(generation), self.next(saved_at_ns), "the generation");
        }
        assert!(is_durable(&after.previous) || !is_durable(&before.previous), "a durable previous generation is gone");
        if same_bytes(&after.previous, &before.previous) {
            return;
        }
        assert!(same_bytes(&after.previous, &before.current), "a previous generation from nowhere");
        assert!(self.has(KEEP_PREVIOUS) || course.sync_failed, "kept as previous, unasked");
        if is_whole(&before.current) {
            assert!(is_durable(&before.current) || !is_durable(&before.previous), "an unsynced state displaced a durable one");
        } else {
            assert!(self.has(KEEP_PREVIOUS) && before.previous.is_none(), "kept as previous: damaged");
        }
    }

    /// What it said.
    pub fn check(&self, course: Course, told: Told) {
        let Save { before, after, .. } = self;
        let code = told.code;
        self.check_files(course, Some(code));
        if !course.disturbed {
            assert_eq!(code, self.undisturbed(), "without any trouble");
        }
        if code == STEADFAST_E_CONFLICT && !course.disturbed {
            assert_eq!(told.generation, before.compared().unwrap_or(0), "the generation that is there");
        }
        let is_done = code >= 0 || code == STEADFAST_E_SAVED_NOT_DURABLE;
        if !is_done && code != STEADFAST_E_INDETERMINATE {
            assert!(after.current == before.current, "{code}, but the state was replaced");
            // What fails for ever cannot be undone.
            assert!(course.for_ever || after.previous == before.previous, "{code}, but PATH.prev is another");
            assert_eq!(told.on_disk, STEADFAST_ON_DISK_OLD, "on_disk of {code}");
            return;
        }
        let synced = !self.has(NO_SYNC) && is_durable(&after.current);
        let wanted = self.on_disk(course, code, synced);
        assert!(wanted.contains(&told.on_disk), "on_disk {} and not {wanted:?}, {code}, flags {:#x}", told.on_disk, self.flags);
        if !is_done {
            return;
        }
        let file = after.current.as_ref().expect("the state");
        assert_eq!(file.sticky, reader::says_unsynced(&file.bytes), "one mark without the other");
        assert!(synced != file.sticky, "the marks of a state that was not synced");
        if code >= 0 {
            assert_eq!(Some(told.generation), file.state().ok().map(|state| state.generation), "the report's generation");
            assert!(code == 0 || !self.has(STRICT), "STRICT has reservations");
            assert!(code == 0 || self.has(NO_SYNC) || course.sync_failed, "NOT_DURABLE without a failed sync");
            assert!(code != 0 || synced, "durable without a sync");
        }
        self.check_kept(course, synced);
    }

    /// What must be at PATH.prev when it is done.
    fn check_kept(&self, course: Course, synced: bool) {
        let Files { current, previous } = &self.before;
        // A copy that is not synced is not kept.
        if course.unlinkable && (self.has(NO_SYNC) || course.sync_failed) {
            return;
        }
        let must = if is_whole(current) {
            (self.has(KEEP_PREVIOUS) || !synced && !self.has(NO_SYNC)) && (is_durable(current) || !is_durable(previous))
        } else {
            self.has(KEEP_PREVIOUS) && current.is_some() && previous.is_none()
        };
        assert!(!must || same_bytes(&self.after.previous, current), "the previous generation was not kept");
    }

    /// What a power cut may leave of a state that is there for every reader. Where the contract has two answers, the one that
    /// promises less comes second.
    fn on_disk(&self, course: Course, code: i32, synced: bool) -> &'static [i32] {
        const EITHER: &[i32] = &[STEADFAST_ON_DISK_EITHER];
        const UNKNOWN: &[i32] = &[STEADFAST_ON_DISK_UNKNOWN];
        const EITHER_OR_UNKNOWN: &[i32] = &[STEADFAST_ON_DISK_EITHER, STEADFAST_ON_DISK_UNKNOWN];
        let Save { before, after, .. } = self;
        // Is the state from before, or the durable one that is left where that was none, at PATH.prev?
        let kept = is_durable(&after.previous) && (!is_durable(&before.current) || same_bytes(&after.previous, &before.current));
        let safe = !is_whole(&before.current) || kept;
        // A plain save takes what has a header that fits for a whole state.
        let looks_whole = !self.has(IF_GENERATION | KEEP_PREVIOUS)
            && before.current.as_ref().is_some_and(|file| reader::fits(&file.bytes) && !file.is_whole());
        match code {
            STEADFAST_OK => &[STEADFAST_ON_DISK_NEW],
            _ if self.has(NO_SYNC) && !(self.has(KEEP_PREVIOUS) && kept) => UNKNOWN,
            // It keeps what is at PATH; that there is a durable PATH.prev it need not look at.
            _ if self.has(NO_SYNC) && before.current.is_none() => EITHER_OR_UNKNOWN,
            _ if self.has(NO_SYNC) => EITHER,
            // Whether it has replaced anything is not known; nor, where every call fails, whether a durable state is at PATH.prev.
            STEADFAST_E_INDETERMINATE if course.sync_failed && (course.for_ever || !safe || looks_whole && !kept) => {
                EITHER_OR_UNKNOWN
            }
            STEADFAST_E_INDETERMINATE => EITHER,
            _ if synced => EITHER,
            _ if looks_whole && !kept => EITHER_OR_UNKNOWN,
            _ if safe => EITHER,
            _ => UNKNOWN,
        }
    }
}
