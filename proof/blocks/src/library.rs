//! The library, called as C calls it.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{null, null_mut};
use steadfast::ffi::batch::*;
pub use steadfast::ffi::context::{steadfast_context, steadfast_context_free, steadfast_context_new, steadfast_hooks_default};
use steadfast::ffi::load::*;
use steadfast::ffi::lock::*;
use steadfast::ffi::save::*;
use steadfast::ffi::status::steadfast_report;
use steadfast::ffi::writer::*;
pub use steadfast::hooks::steadfast_hooks;

/// Flags of a save, as in the header.
pub const KEEP_PREVIOUS: u32 = 2;
pub const IF_GENERATION: u32 = 4;
pub const CREATE_PARENTS: u32 = 16;
pub const ALTERNATE: u32 = 32;
pub const NO_SYNC: u32 = 64;
pub const SYNCFS: u32 = 128;
pub const PLAIN: u32 = 256;
pub const IN_PLACE: u32 = 2048;
const RECOVER: u32 = 1;
const LOAD_PLAIN: u32 = 4;
/// Results.
pub const OLD: i32 = 0;
pub const NEW: i32 = 1;
pub const RECOVERED: i32 = 17;
pub const LOCK_ABSENT: i32 = 0;
pub const LOCK_REMOVED: i32 = 1;
pub const LOCK_STALE: i32 = 6;

/// A context, or none.
pub struct Context(pub *mut steadfast_context);

impl Context {
    pub const NONE: Context = Context(null_mut());

    pub fn new(table: &steadfast_hooks) -> Context {
        let mut context = null_mut();
        assert_eq!(unsafe { steadfast_context_new(table, &mut context) }, 0, "context");
        Context(context)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        unsafe { steadfast_context_free(self.0) };
    }
}

pub fn real() -> &'static steadfast_hooks {
    unsafe { &*steadfast_hooks_default() }
}

pub fn empty_table() -> steadfast_hooks {
    let mut table: steadfast_hooks = unsafe { std::mem::zeroed() };
    table.size = size_of::<steadfast_hooks>();
    table
}

pub fn c(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

pub fn report() -> steadfast_report {
    let mut report: steadfast_report = unsafe { std::mem::zeroed() };
    report.size = size_of::<steadfast_report>();
    report
}

/// What a save came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saved {
    pub status: i32,
    pub on_disk: i32,
}

/// The bytes of version `version`: they tell which one they are, and no two versions are equally long.
pub fn payload(version: u64, base: usize) -> Vec<u8> {
    let len = base + (version % 16) as usize * 100;
    let mut out = version.to_le_bytes().to_vec();
    let mut x = version.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    while out.len() < len {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out.extend(x.to_le_bytes());
    }
    out.truncate(len);
    out
}

fn options(flags: u32, version: u64) -> steadfast_save_options {
    let mut options: steadfast_save_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_save_options>();
    options.flags = flags;
    if flags & IF_GENERATION != 0 {
        options.expected_generation = version - 1;
    }
    options
}

pub fn save(context: &Context, path: &Path, version: u64, len: usize, flags: u32) -> Saved {
    let data = payload(version, len);
    let mut report = report();
    let options = options(flags, version);
    let status =
        unsafe { steadfast_state_save(context.0, c(path).as_ptr(), data.as_ptr().cast(), data.len(), &options, &mut report) };
    Saved { status, on_disk: report.on_disk }
}

/// The same by a writer, in three pieces. `descriptor`: the caller asks for it, so the payload is read back.
pub fn stream(context: &Context, path: &Path, version: u64, len: usize, flags: u32, descriptor: bool) -> Saved {
    let data = payload(version, len);
    let mut report = report();
    let options = options(flags, version);
    let mut writer = null_mut();
    let status = unsafe { steadfast_writer_open(context.0, c(path).as_ptr(), &options, &mut writer, &mut report) };
    if status < 0 {
        return Saved { status, on_disk: report.on_disk };
    }
    for piece in data.chunks(data.len() / 3 + 1) {
        unsafe { steadfast_writer_write(writer, piece.as_ptr().cast(), piece.len(), null_mut()) };
    }
    let mut fd = -1;
    if descriptor {
        unsafe { steadfast_writer_fd(writer, &mut fd, null_mut()) };
    }
    let status = unsafe { steadfast_writer_commit(writer, &mut report) };
    Saved { status, on_disk: report.on_disk }
}

pub fn save_batch(context: &Context, paths: &[std::path::PathBuf], version: u64, len: usize, flags: u32) -> Vec<i32> {
    let data = payload(version, len);
    let names: Vec<CString> = paths.iter().map(|path| c(path)).collect();
    let mut entries: Vec<steadfast_save_entry> = names
        .iter()
        .map(|name| steadfast_save_entry {
            size: size_of::<steadfast_save_entry>(),
            path: name.as_ptr(),
            data: data.as_ptr().cast(),
            len: data.len(),
            status: 0,
            os_error: 0,
            generation: 0,
            step: 0,
            on_disk: 0,
        })
        .collect();
    let options = options(flags, version);
    let mut report = report();
    let worst = unsafe { steadfast_state_save_batch(context.0, entries.as_mut_ptr(), entries.len(), &options, &mut report) };
    assert!(worst == 0 || entries.iter().any(|entry| entry.status == worst), "the batch's result is no entry's");
    entries.iter().map(|entry| entry.status).collect()
}

/// What a load gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loaded {
    /// A version, byte for byte; `previous`: from PATH.prev.
    Version { version: u64, previous: bool },
    /// Bytes that were never saved, given out as good.
    Wrong,
    /// The code.
    Code(i32),
}

/// With RECOVER, of a state that was saved with `flags`.
pub fn load(context: &Context, path: &Path, base: usize, flags: u32) -> Loaded {
    // RECOVER prefers PATH.prev to an empty file that somebody is said to have changed.
    if flags & PLAIN != 0
        && let Loaded::Code(code) = load_as(context, path, base, LOAD_PLAIN)
        && code > 0
    {
        return Loaded::Code(code);
    }
    load_as(context, path, base, RECOVER | if flags & PLAIN != 0 { LOAD_PLAIN } else { 0 })
}

fn load_as(context: &Context, path: &Path, base: usize, flags: u32) -> Loaded {
    let mut options: steadfast_load_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_load_options>();
    options.flags = flags;
    let mut state: steadfast_state = unsafe { std::mem::zeroed() };
    state.size = size_of::<steadfast_state>();
    let status = unsafe { steadfast_state_load(context.0, c(path).as_ptr(), &options, &mut state, null_mut()) };
    // A plain file that its attribute does not confirm is handed out as well.
    if status != 0 && status != RECOVERED {
        unsafe { steadfast_state_free(&mut state) };
        return Loaded::Code(status);
    }
    let bytes = unsafe { std::slice::from_raw_parts(state.data.cast::<u8>(), state.len) }.to_vec();
    let previous = state.source == STEADFAST_SOURCE_PREVIOUS;
    unsafe { steadfast_state_free(&mut state) };
    let version = bytes.get(..8).map_or(0, |first| u64::from_le_bytes(first.try_into().unwrap()));
    if bytes != payload(version, base) || previous != (status == RECOVERED) {
        return Loaded::Wrong;
    }
    Loaded::Version { version, previous }
}

pub fn clean(context: &Context, path: &Path) -> i32 {
    unsafe { steadfast_lock_clean_stale(context.0, c(path).as_ptr(), null(), null_mut()) }
}

pub fn inspect(context: &Context, path: &Path) -> i32 {
    unsafe { steadfast_lock_inspect(context.0, c(path).as_ptr(), null(), null_mut()) }
}

/// A lock. Dropping it leaves it behind, as a process that dies does.
pub struct Lock(*mut steadfast_lock);

impl Lock {
    pub fn acquire(context: &Context, path: &Path) -> Result<Lock, i32> {
        let mut lock = null_mut();
        let status = unsafe { steadfast_lock_acquire(context.0, c(path).as_ptr(), 0, null(), &mut lock, null_mut()) };
        if status < 0 { Err(status) } else { Ok(Lock(lock)) }
    }

    pub fn release(self) -> i32 {
        unsafe { steadfast_lock_release(self.0, null_mut()) }
    }
}
