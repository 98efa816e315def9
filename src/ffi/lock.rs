//! Lock files.

use super::context::{self, steadfast_context};
use super::status::{REPORT_MINIMUM, steadfast_report};
use super::{borrow_path, invalid, parse_path, read_sized, reported};
use crate::hooks::{Hooks, memory};
use crate::lock::acquire::{self, Held};
use crate::lock::clean::{self, Settings};
use crate::path::{self, Path, Text};
use crate::status::*;
use core::ffi::c_char;

/// How to treat a lock. Zero, or NULL instead of the struct, is the default everywhere.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_lock_options {
    /// sizeof(steadfast_lock_options).
    pub size: usize,
    /// STEADFAST_LOCK_TRUST_START_TIME, STEADFAST_LOCK_EINTR_RETURNS.
    pub flags: u32,
    /// Permission bits of the lock file, less the umask; 0 means 0644.
    pub mode: u32,
    /// An empty lock file of another program is stale when it has been so for this many milliseconds; 0: never.
    pub empty_grace_ms: i64,
}

/// A lock held by this process. It belongs to the thread that uses it: hand it over, do not share it.
#[allow(non_camel_case_types)]
pub struct steadfast_lock {
    hooks: Hooks,
    held: Held,
    /// The end of the path: the name that is to be removed, and what the report of the release shows.
    shown: Text<SHOWN>,
}

/// As much of the path as a report shows.
const SHOWN: usize = 256;

/// # Safety
/// `options` is NULL or points to as many readable bytes as its size says.
unsafe fn settings(options: *const steadfast_lock_options) -> Result<Settings, Outcome> {
    let Some(options) = (unsafe { read_sized(options, 12) })? else { return Ok(Settings::default()) };
    if options.flags & !clean::LOCK_ALL != 0 {
        return Err(invalid(Detail::UNKNOWN_FLAG));
    }
    if options.mode & !0o777 != 0 || options.empty_grace_ms < 0 {
        return Err(invalid(Detail::BAD_LOCK_OPTIONS));
    }
    let mode = if options.mode == 0 { 0o644 } else { options.mode };
    Ok(Settings { flags: options.flags, mode, empty_grace_ms: options.empty_grace_ms })
}

/// Removes the lock file at `path` if its owner is provably dead; never takes it from a live one.
///
/// Returns a verdict: STEADFAST_LOCK_ABSENT (no lock file), _REMOVED (it was stale and this call removed it:
/// told to exactly one caller), _HELD, _UNDECIDED, _IGNORED, _CHANGED; only _REMOVED has changed anything. The
/// report's message says why, its pid whom the lock names. Or, with nothing changed, a negated errno of the
/// call that the step names (a stale lock in a directory that may not be written: -EACCES, -EPERM, -EROFS; no
/// such directory: -ENOENT), STEADFAST_E_UNSUPPORTED (no flock here), STEADFAST_E_HOOK.
///
/// Safe against any number of cleaners and takers that use this library, and against any program that creates
/// its lock with O_EXCL or link and does not itself remove stale locks. Threads: no restriction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_lock_clean_stale(
    context: *const steadfast_context,
    path: *const c_char,
    options: *const steadfast_lock_options,
    report: *mut steadfast_report,
) -> i32 {
    unsafe { examine(context, path, options, report, true) }
}

/// Says what steadfast_lock_clean_stale would do: STEADFAST_LOCK_STALE instead of _REMOVED. Changes nothing.
///
/// Otherwise returns as that does. To see whether a lock of a dead owner is still held through a forked child,
/// its flock is taken, shared, for a moment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_lock_inspect(
    context: *const steadfast_context,
    path: *const c_char,
    options: *const steadfast_lock_options,
    report: *mut steadfast_report,
) -> i32 {
    unsafe { examine(context, path, options, report, false) }
}

/// # Safety
/// As the two functions above.
unsafe fn examine(
    context: *const steadfast_context,
    path: *const c_char,
    options: *const steadfast_lock_options,
    report: *mut steadfast_report,
    remove: bool,
) -> i32 {
    let name = unsafe { borrow_path(path) };
    let call = || {
        let settings = unsafe { settings(options) }?;
        let context = unsafe { context::borrow(context) };
        let mut path = Path::empty();
        parse_path(&mut path, name.to_bytes())?;
        clean::at_path(&context.hooks, &context.identity, &path, &settings, remove)
    };
    unsafe { reported(name, report, call) }
}

/// Takes the lock at `path`, cleaning a stale one on the way.
///
/// The file appears complete: the PID in decimal and a newline. The holder keeps a flock on it for life, so
/// that a reused PID or another PID namespace cannot make it look dead.
///
/// `timeout_ms`: 0 tries once, a negative one waits for ever. Waits sleep until the holder releases or dies.
/// A signal ends the wait with -EINTR when STEADFAST_LOCK_EINTR_RETURNS is set.
///
/// Returns 0, and `*out` is to be given to steadfast_lock_release (the report says when a stale lock was taken
/// over, and warns of a network file system); STEADFAST_E_LOCKED: the report's pid holds it;
/// STEADFAST_E_SYMLINK, _E_NOT_REGULAR: what is there is no lock; STEADFAST_E_UNSUPPORTED: no flock here;
/// -EINTR; -EINVAL; -ENOMEM; or a negated errno. Unless it returns 0, no lock file of ours is left.
///
/// Threads: two of one process exclude each other like two processes. Fork: a child does not own the lock, but
/// keeps it held while it lives, unless it calls exec or steadfast_lock_release. The context may be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_lock_acquire(
    context: *const steadfast_context,
    path: *const c_char,
    timeout_ms: i64,
    options: *const steadfast_lock_options,
    out: *mut *mut steadfast_lock,
    report: *mut steadfast_report,
) -> i32 {
    let name = unsafe { borrow_path(path) };
    let call = || {
        let settings = unsafe { settings(options) }?;
        if out.is_null() {
            return Err(invalid(Detail::NO_OUT));
        }
        let mut parsed = Path::empty();
        parse_path(&mut parsed, name.to_bytes())?;
        let context = unsafe { context::borrow(context) };
        // Memory first: nothing can fail once the lock is taken.
        let memory = memory::Buffer::new(size_of::<steadfast_lock>()).at(STEADFAST_STEP_ALLOCATE)?;
        let (held, outcome) =
            acquire::acquire(&context.hooks, &context.identity, &parsed, timeout_ms, &settings, !report.is_null())?;
        let whole = name.to_bytes();
        let lock = memory.into_raw().cast::<steadfast_lock>();
        unsafe {
            lock.write(steadfast_lock { hooks: context.hooks.clone(), held, shown: Text::empty() });
            // It fits, as the name does that it ends with.
            let _ = (*lock).shown.set(&[whole.get(whole.len().saturating_sub(SHOWN - 1)..).unwrap_or_default()]);
            out.write(lock);
        }
        Ok(outcome)
    };
    unsafe { reported(name, report, call) }
}

/// Releases a lock: removes its file, if it is still ours, then gives up the flock. Frees `lock` always; NULL
/// is fine.
///
/// Returns 0; STEADFAST_E_LOCK_LOST: the file was taken away or replaced, and what is there now was not touched;
/// STEADFAST_E_WRONG_PROCESS: this is a forked child, only its descriptors were closed, the parent still holds
/// the lock; or a negated errno: the file could not be removed and goes on naming this process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_lock_release(lock: *mut steadfast_lock, report: *mut steadfast_report) -> i32 {
    if lock.is_null() {
        return unsafe { reported(c"(no lock)", report, || Ok(Outcome::new(STEADFAST_OK))) };
    }
    let held = unsafe { &*lock };
    // Too small a report is not told of: what became of the lock is the news.
    let small = !report.is_null() && unsafe { report.cast::<usize>().read() } < REPORT_MINIMUM;
    let report = if small { core::ptr::null_mut() } else { report };
    let outcome = acquire::release(&held.hooks, &held.held, path::name_of(held.shown.c_str()));
    let status = unsafe { reported(held.shown.c_str(), report, || outcome) };
    unsafe { memory::unboxed(lock) };
    status
}
