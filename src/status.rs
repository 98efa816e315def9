//! Codes, steps and the report.
#![forbid(unsafe_code)]

use crate::hooks::{Errno, c_str};
use core::ffi::CStr;
use core::num::NonZeroU64;

mod detail;
mod errno;

pub use detail::Detail;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $value:expr, $text:literal;)*) => {
        /// The codes of ours, and in the same order the name and the message of each, NUL-terminated: one text
        /// instead of an array of pointers, which the loader would have to relocate.
        const STATUSES: &[i32] = &[$($value),*];
        const STATUS_TEXTS: &str = concat!($(stringify!($name), "\0", $text, "\0"),*);
    };
}

/// Done; for a save: durable.
pub const STEADFAST_OK: i32 = 0;
/// steadfast_state_save: saved, but a sync failed or was not possible. The report says which and why.
pub const STEADFAST_NOT_DURABLE: i32 = 16;
/// steadfast_state_load: loaded, but from the previous generation; the current one is damaged or missing.
pub const STEADFAST_RECOVERED: i32 = 17;

/// Verdict: there is no lock file.
pub const STEADFAST_LOCK_ABSENT: i32 = 0;
/// Verdict: it was stale and this call removed it.
pub const STEADFAST_LOCK_REMOVED: i32 = 1;
/// Verdict: its owner is alive.
pub const STEADFAST_LOCK_HELD: i32 = 2;
/// Verdict: it cannot be known (empty, malformed, another host, no permission); kept.
pub const STEADFAST_LOCK_UNDECIDED: i32 = 3;
/// Verdict: a symbolic link or not a regular file; not followed, not touched.
pub const STEADFAST_LOCK_IGNORED: i32 = 4;
/// Verdict: someone else replaced it meanwhile; nothing was done.
pub const STEADFAST_LOCK_CHANGED: i32 = 5;
/// Verdict of steadfast_lock_inspect: steadfast_lock_clean_stale would remove it.
pub const STEADFAST_LOCK_STALE: i32 = 6;

/// The state file is empty.
pub const STEADFAST_E_EMPTY: i32 = -10000;
/// The state file is shorter than it says it is.
pub const STEADFAST_E_TRUNCATED: i32 = -10001;
/// The state file is longer than it says it is.
pub const STEADFAST_E_TRAILING: i32 = -10002;
/// The SHA-256 does not match.
pub const STEADFAST_E_DIGEST: i32 = -10003;
/// Not a steadfast state file.
pub const STEADFAST_E_FORMAT: i32 = -10004;
/// Intact, but written in a later format.
pub const STEADFAST_E_NEWER: i32 = -10005;
/// Intact, but of another schema than was asked for.
pub const STEADFAST_E_SCHEMA: i32 = -10006;
/// No current file, but a previous generation is there: load it with STEADFAST_LOAD_RECOVER.
pub const STEADFAST_E_LOST: i32 = -10007;
/// Larger than the caller allows.
pub const STEADFAST_E_TOO_LARGE: i32 = -10008;
/// IF_GENERATION: the state there has another generation.
pub const STEADFAST_E_CONFLICT: i32 = -10009;
/// The path is a symbolic link.
pub const STEADFAST_E_SYMLINK: i32 = -10010;
/// The path is a directory, a device, a FIFO or a socket.
pub const STEADFAST_E_NOT_REGULAR: i32 = -10011;
/// STRICT: it could not be made durable; nothing was replaced.
pub const STEADFAST_E_NOT_SAVED_DURABLY: i32 = -10012;
/// STRICT: it was replaced, but the directory could not be synced.
pub const STEADFAST_E_SAVED_NOT_DURABLE: i32 = -10013;
/// Whether it was done cannot be found out.
pub const STEADFAST_E_INDETERMINATE: i32 = -10014;
/// The lock is held.
pub const STEADFAST_E_LOCKED: i32 = -10015;
/// The lock file was no longer ours at release.
pub const STEADFAST_E_LOCK_LOST: i32 = -10016;
/// A forked child released the lock of its parent: only its descriptors were closed.
pub const STEADFAST_E_WRONG_PROCESS: i32 = -10017;
/// A hook returned what it cannot have meant.
pub const STEADFAST_E_HOOK: i32 = -10018;
/// The platform or the file system lacks what this needs.
pub const STEADFAST_E_UNSUPPORTED: i32 = -10019;

statuses! {
    STEADFAST_OK = STEADFAST_OK, "done";
    STEADFAST_LOCK_REMOVED = STEADFAST_LOCK_REMOVED, "the lock was stale and has been removed";
    STEADFAST_LOCK_HELD = STEADFAST_LOCK_HELD, "the owner of the lock is alive";
    STEADFAST_LOCK_UNDECIDED = STEADFAST_LOCK_UNDECIDED, "whether the lock is stale cannot be known; kept";
    STEADFAST_LOCK_IGNORED = STEADFAST_LOCK_IGNORED, "not a regular file; not touched";
    STEADFAST_LOCK_CHANGED = STEADFAST_LOCK_CHANGED, "someone else replaced the lock meanwhile; nothing done";
    STEADFAST_LOCK_STALE = STEADFAST_LOCK_STALE, "the lock is stale";
    STEADFAST_NOT_DURABLE = STEADFAST_NOT_DURABLE, "saved, but not known to survive a power cut";
    STEADFAST_RECOVERED = STEADFAST_RECOVERED, "loaded from the previous generation";
    STEADFAST_E_EMPTY = STEADFAST_E_EMPTY, "the state file is empty";
    STEADFAST_E_TRUNCATED = STEADFAST_E_TRUNCATED, "the state file is truncated";
    STEADFAST_E_TRAILING = STEADFAST_E_TRAILING, "the state file has bytes after its end";
    STEADFAST_E_DIGEST = STEADFAST_E_DIGEST, "the state file is damaged: its SHA-256 does not match";
    STEADFAST_E_FORMAT = STEADFAST_E_FORMAT, "not a steadfast state file";
    STEADFAST_E_NEWER = STEADFAST_E_NEWER, "the state file is intact but of a later format";
    STEADFAST_E_SCHEMA = STEADFAST_E_SCHEMA, "the state has another schema";
    STEADFAST_E_LOST = STEADFAST_E_LOST, "the state file is missing but a previous generation exists";
    STEADFAST_E_TOO_LARGE = STEADFAST_E_TOO_LARGE, "the state is larger than allowed";
    STEADFAST_E_CONFLICT = STEADFAST_E_CONFLICT, "the state there has another generation";
    STEADFAST_E_SYMLINK = STEADFAST_E_SYMLINK, "the path is a symbolic link";
    STEADFAST_E_NOT_REGULAR = STEADFAST_E_NOT_REGULAR, "the path is not a regular file";
    STEADFAST_E_NOT_SAVED_DURABLY = STEADFAST_E_NOT_SAVED_DURABLY, "could not be made durable; nothing was replaced";
    STEADFAST_E_SAVED_NOT_DURABLE = STEADFAST_E_SAVED_NOT_DURABLE, "replaced, but not known to survive a power cut";
    STEADFAST_E_INDETERMINATE = STEADFAST_E_INDETERMINATE, "whether it was replaced cannot be found out";
    STEADFAST_E_LOCKED = STEADFAST_E_LOCKED, "the lock is held";
    STEADFAST_E_LOCK_LOST = STEADFAST_E_LOCK_LOST, "the lock file was taken away or replaced";
    STEADFAST_E_WRONG_PROCESS = STEADFAST_E_WRONG_PROCESS, "the lock belongs to the parent process";
    STEADFAST_E_HOOK = STEADFAST_E_HOOK, "a hook returned an impossible value";
    STEADFAST_E_UNSUPPORTED = STEADFAST_E_UNSUPPORTED, "not supported by this platform or file system";
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        /// The steps, and in the same order what each does, in words.
        const STEPS: &[i32] = &[$($name),*];
        const STEP_TEXTS: &str = concat!($($text, "\0"),*);
    };
}

/// No call failed.
pub const STEADFAST_STEP_NONE: i32 = 0;
/// Saving, 1: opening the directory.
pub const STEADFAST_STEP_OPEN_DIRECTORY: i32 = 1;
/// Saving, 2: looking at the target.
pub const STEADFAST_STEP_INSPECT_TARGET: i32 = 2;
/// Saving, 3: reading what is there.
pub const STEADFAST_STEP_READ_CURRENT: i32 = 3;
/// Saving, 4: creating and locking the temporary file.
pub const STEADFAST_STEP_CREATE_TEMP: i32 = 4;
/// Saving, 5: writing.
pub const STEADFAST_STEP_WRITE: i32 = 5;
/// Saving, 6: mode and owner.
pub const STEADFAST_STEP_SET_MODE: i32 = 6;
/// Saving, 7: syncing the file.
pub const STEADFAST_STEP_SYNC_FILE: i32 = 7;
/// Saving, 8: keeping the previous generation.
pub const STEADFAST_STEP_KEEP_PREVIOUS: i32 = 8;
/// Saving, 9: the rename.
pub const STEADFAST_STEP_RENAME: i32 = 9;
/// Saving, 10: syncing the directory.
pub const STEADFAST_STEP_SYNC_DIRECTORY: i32 = 10;
/// Saving: making or syncing a parent directory.
pub const STEADFAST_STEP_MAKE_PARENT: i32 = 11;
/// Saving: reading a symbolic link.
pub const STEADFAST_STEP_READ_LINK: i32 = 12;
/// Opening the file.
pub const STEADFAST_STEP_OPEN_FILE: i32 = 13;
/// Reading the file.
pub const STEADFAST_STEP_READ_FILE: i32 = 14;
/// Getting memory.
pub const STEADFAST_STEP_ALLOCATE: i32 = 15;
/// Reading the clock.
pub const STEADFAST_STEP_CLOCK: i32 = 16;
/// Locks: finding out whether the owner lives.
pub const STEADFAST_STEP_CHECK_OWNER: i32 = 17;
/// Locks: flock of the lock file.
pub const STEADFAST_STEP_LOCK_FILE: i32 = 18;
/// Locks: comparing the name with the open file.
pub const STEADFAST_STEP_COMPARE: i32 = 19;
/// Locks: removing the name.
pub const STEADFAST_STEP_UNLINK: i32 = 20;
/// Locks: creating the record.
pub const STEADFAST_STEP_CREATE_LOCK: i32 = 21;
/// Locks: giving the record its name.
pub const STEADFAST_STEP_LINK: i32 = 22;
/// Locks: waiting.
pub const STEADFAST_STEP_WAIT: i32 = 23;
/// The arguments, before any call.
pub const STEADFAST_STEP_ARGUMENTS: i32 = 24;

steps! {
    STEADFAST_STEP_OPEN_DIRECTORY = 1, "opening the directory";
    STEADFAST_STEP_INSPECT_TARGET = 2, "looking at the target";
    STEADFAST_STEP_READ_CURRENT = 3, "reading the current state";
    STEADFAST_STEP_CREATE_TEMP = 4, "creating the temporary file";
    STEADFAST_STEP_WRITE = 5, "writing";
    STEADFAST_STEP_SET_MODE = 6, "setting mode and owner";
    STEADFAST_STEP_SYNC_FILE = 7, "syncing the file";
    STEADFAST_STEP_KEEP_PREVIOUS = 8, "keeping the previous generation";
    STEADFAST_STEP_RENAME = 9, "the rename";
    STEADFAST_STEP_SYNC_DIRECTORY = 10, "syncing the directory";
    STEADFAST_STEP_MAKE_PARENT = 11, "making a parent directory";
    STEADFAST_STEP_READ_LINK = 12, "reading the symbolic link";
    STEADFAST_STEP_OPEN_FILE = 13, "opening the file";
    STEADFAST_STEP_READ_FILE = 14, "reading the file";
    STEADFAST_STEP_ALLOCATE = 15, "getting memory";
    STEADFAST_STEP_CLOCK = 16, "reading the clock";
    STEADFAST_STEP_CHECK_OWNER = 17, "checking the owner";
    STEADFAST_STEP_LOCK_FILE = 18, "flock of the lock file";
    STEADFAST_STEP_COMPARE = 19, "comparing name and file";
    STEADFAST_STEP_UNLINK = 20, "removing the lock file";
    STEADFAST_STEP_CREATE_LOCK = 21, "creating the lock record";
    STEADFAST_STEP_LINK = 22, "linking the lock file";
    STEADFAST_STEP_WAIT = 23, "waiting";
    STEADFAST_STEP_ARGUMENTS = 24, "checking the arguments";
}

/// A power cut now would leave what was there before.
pub const STEADFAST_ON_DISK_OLD: i32 = 0;
/// A power cut now would leave the new state.
pub const STEADFAST_ON_DISK_NEW: i32 = 1;
/// A power cut now would leave either.
pub const STEADFAST_ON_DISK_EITHER: i32 = 2;

/// What a call came to: the report without its size and message. Two words, of which one holds all that is
/// small: every function that can fail hands one on, and should do so in registers.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The generation, or the PID: no call has both.
    number: u64,
    code: NonZeroU64,
}

/// A member of `Outcome::code`: its lowest bit and its width.
type Bits = (u32, u32);
const STATUS: Bits = (0, 32);
const OS_ERROR: Bits = (32, 12);
const STEP: Bits = (44, 8);
const DETAIL: Bits = (52, 8);
const ON_DISK: Bits = (60, 2);
const IS_PID: Bits = (62, 1);
/// Always set.
const ALIVE: Bits = (63, 1);

const fn mask(bits: Bits) -> u64 {
    (1u64 << bits.1).wrapping_sub(1) << bits.0
}

impl Outcome {
    /// `status`, with nothing changed on disk.
    pub const fn new(status: i32) -> Outcome {
        Outcome { number: 0, code: NonZeroU64::MIN }.with(ALIVE, 1).with(STATUS, status as u64)
    }

    /// `status` because of `detail`.
    pub const fn because(status: i32, detail: Detail) -> Outcome {
        Outcome::new(status).with_detail(detail)
    }

    /// The call of `step` failed: `status` is its errno.
    #[cold]
    #[inline(never)]
    pub fn failed(error: Errno, step: i32) -> Outcome {
        Outcome::new(error.code()).caused_by(error, step)
    }

    /// The same, with the failed call that led to it.
    #[cold]
    #[inline(never)]
    pub fn caused_by(self, error: Errno, step: i32) -> Outcome {
        let os_error = if error.code() >= -4095 { u64::from(error.code().unsigned_abs()) } else { 0 };
        self.with(OS_ERROR, os_error).with_step(step)
    }

    /// The same, with the failed call of `first`, which led to it.
    pub const fn after(self, first: Outcome) -> Outcome {
        self.with(OS_ERROR, first.get(OS_ERROR)).with(STEP, first.get(STEP))
    }

    /// The same, with another status.
    pub const fn with_status(self, status: i32) -> Outcome {
        self.with(STATUS, status as u64)
    }

    /// The same, at `step`.
    pub const fn with_step(self, step: i32) -> Outcome {
        self.with(STEP, step as u64)
    }

    /// The same, because of `detail`.
    pub const fn with_detail(self, detail: Detail) -> Outcome {
        self.with(DETAIL, detail.0 as u64)
    }

    /// The same, with one of STEADFAST_ON_DISK_*.
    pub const fn with_on_disk(self, on_disk: i32) -> Outcome {
        self.with(ON_DISK, on_disk as u64)
    }

    /// The same, about a state of this generation.
    pub const fn with_generation(self, generation: u64) -> Outcome {
        Outcome { number: generation, ..self.with(IS_PID, 0) }
    }

    /// The same, about a lock that names this process.
    pub const fn with_pid(self, pid: i32) -> Outcome {
        Outcome { number: pid as u64, ..self.with(IS_PID, 1) }
    }

    /// The code.
    pub const fn status(self) -> i32 {
        self.get(STATUS) as i32
    }

    /// errno of the call that failed, or 0.
    pub const fn os_error(self) -> i32 {
        self.get(OS_ERROR) as i32
    }

    /// The call that failed, or 0.
    pub const fn step(self) -> i32 {
        self.get(STEP) as i32
    }

    /// One of STEADFAST_ON_DISK_*.
    pub const fn on_disk(self) -> i32 {
        self.get(ON_DISK) as i32
    }

    /// The reason.
    pub const fn detail(self) -> Detail {
        Detail(self.get(DETAIL) as u8)
    }

    /// The generation of a state, or 0.
    pub const fn generation(self) -> u64 {
        if self.get(IS_PID) == 0 { self.number } else { 0 }
    }

    /// The process that a lock names, or 0.
    pub const fn pid(self) -> i32 {
        if self.get(IS_PID) == 0 { 0 } else { self.number as i32 }
    }

    const fn get(self, bits: Bits) -> u64 {
        (self.code.get() & mask(bits)) >> bits.0
    }

    const fn with(self, bits: Bits, value: u64) -> Outcome {
        let code = (self.code.get() & !mask(bits)) | (value << bits.0 & mask(bits));
        match NonZeroU64::new(code) {
            Some(code) => Outcome { code, ..self },
            None => self,
        }
    }
}

/// Names the step at which a call failed.
pub trait At<T> {
    /// `Err` becomes an outcome with this step.
    fn at(self, step: i32) -> Result<T, Outcome>;
}

impl<T> At<T> for Result<T, Errno> {
    fn at(self, step: i32) -> Result<T, Outcome> {
        self.map_err(|error| Outcome::failed(error, step))
    }
}

/// Text number `index` of a list of NUL-terminated ones.
fn text(list: &'static str, index: usize) -> &'static CStr {
    let mut rest = list.as_bytes();
    for _ in 0..index {
        let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
        rest = rest.get(end.saturating_add(1)..).unwrap_or_default();
    }
    c_str(rest)
}

/// Text number `offset` of the `stride` texts that belong to `key`.
fn look_up(keys: &[i32], texts: &'static str, key: i32, stride: usize, offset: usize) -> Option<&'static CStr> {
    let index = keys.iter().position(|&each| each == key)?;
    Some(text(texts, index.saturating_mul(stride).saturating_add(offset)))
}

fn entry(status: i32, offset: usize) -> Option<&'static CStr> {
    if (-4095..0).contains(&status) {
        return look_up(errno::ERRNOS, errno::TEXTS, status.wrapping_neg(), 2, offset);
    }
    look_up(STATUSES, STATUS_TEXTS, status, 2, offset)
}

/// The name of a code, "STEADFAST_E_DIGEST" or "ENOSPC".
pub fn name(status: i32) -> &'static CStr {
    entry(status, 0).unwrap_or(c"UNKNOWN")
}

/// What a code means.
pub fn message(status: i32) -> &'static CStr {
    entry(status, 1).unwrap_or(c"unknown code")
}

/// A sentence being put together in a fixed buffer; what does not fit is dropped.
struct Sentence<'b> {
    buf: &'b mut [u8],
    len: usize,
}

impl Sentence<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        for (slot, byte) in self.buf.iter_mut().skip(self.len).zip(bytes) {
            *slot = *byte;
            self.len = self.len.saturating_add(1);
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        let mut digits = [0u8; 20];
        self.bytes(crate::path::decimal(number, &mut digits));
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// Writes the sentence of `outcome` into `buf`, NUL-terminated, naming `path`, or as much of the end of it
/// as fits.
pub fn sentence(outcome: &Outcome, path: &[u8], buf: &mut [u8]) {
    let Some(room) = buf.len().checked_sub(1) else { return };
    buf.fill(0);
    let mut out = Sentence { buf: buf.get_mut(..room).unwrap_or_default(), len: 0 };
    out.bytes(if outcome.detail() == Detail::NONE { message(outcome.status()) } else { outcome.detail().text() }.to_bytes());
    if outcome.pid() > 0 {
        out.text(" (PID ");
        out.number(u64::from(outcome.pid().unsigned_abs()));
        out.text(")");
    }
    if let Some(step) = look_up(STEPS, STEP_TEXTS, outcome.step(), 1, 0) {
        out.text(if outcome.status() < 0 { ", at " } else { "; failed was " });
        out.bytes(step.to_bytes());
    }
    let os_error = outcome.os_error();
    if os_error > 0 && (outcome.status().wrapping_neg() != os_error || outcome.detail() != Detail::NONE) {
        out.text(": ");
        out.bytes(name(os_error.wrapping_neg()).to_bytes());
    }
    out.text(": ");
    let left = room.saturating_sub(out.len);
    if path.len() <= left {
        out.bytes(path);
        return;
    }
    out.text("...");
    let left = left.saturating_sub(3);
    let mut tail = path.get(path.len().saturating_sub(left)..).unwrap_or_default();
    while let Some((first, rest)) = tail.split_first().filter(|(first, _)| is_continuation(**first)) {
        let _ = first;
        tail = rest;
    }
    out.bytes(tail);
}
