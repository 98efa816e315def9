//! Lock files.

use super::call::{borrow_path, parse_path, reported, set_null};
use super::context::{self, steadfast_context};
use super::sized::{invalid, read_sized};
use super::status::{REPORT_MINIMUM, steadfast_report};
use crate::file::path::{self, Path};
use crate::hooks::Hooks;
use crate::lock::held::Held;
use crate::lock::identity::Identity;
use crate::lock::options::*;
use crate::lock::{acquire, adopt, examine, release};
use crate::mem::{self, Buffer, Text};
use crate::status::*;
use core::ffi::{CStr, c_char};

/// How to treat a lock. Zero, or NULL instead of the struct, is the default everywhere.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_lock_options {
    /// sizeof(steadfast_lock_options).
    pub size: usize,
    /// STEADFAST_LOCK_*.
    pub flags: u32,
    /// Permission bits of the lock file, less the umask; 0 means 0644.
    pub mode: u32,
    /// An empty lock file of another program is stale when it has been so for this many milliseconds; 0: never.
    pub empty_grace_ms: i64,
    /// A descriptor that ends the wait of steadfast_lock_acquire with -ECANCELED when it becomes readable (a pipe, an eventfd,
    /// a signalfd); 0: none. It is only polled.
    pub cancel_fd: i32,
    /// 0.
    pub reserved: i32,
}

/// A lock held by this process. It belongs to the thread that uses it: hand it over, do not share it.
#[allow(non_camel_case_types)]
pub struct steadfast_lock {
    hooks: Hooks,
    identity: Identity,
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
    if options.flags & !LOCK_ALL != 0 {
        return Err(invalid(Detail::UnknownFlag));
    }
    if options.mode & !0o777 != 0 || options.empty_grace_ms < 0 || options.cancel_fd < 0 || options.reserved != 0 {
        return Err(invalid(Detail::BadLockOptions));
    }
    let mode = if options.mode == 0 { 0o644 } else { options.mode };
    let cancel_fd = (options.cancel_fd != 0).then_some(options.cancel_fd);
    Ok(Settings { flags: options.flags, mode, empty_grace_ms: options.empty_grace_ms, cancel_fd })
}

/// Removes the lock file at `path` if its owner is provably dead; never takes it from a live one.
///
/// Returns a verdict: STEADFAST_LOCK_ABSENT (no lock file), _REMOVED (it was stale and this call removed it:
/// exactly one caller gets this answer), _HELD, _UNDECIDED, _IGNORED, _CHANGED; only _REMOVED has changed anything. The
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
/// Otherwise returns as that does. It may take a shared flock for a moment, to see whether the lock is held.
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
        examine::at_path(&context.start()?, &context.identity, &path, &settings, remove)
    };
    unsafe { reported(name, report, call) }
}

/// Takes the lock at `path`, cleaning a stale one on the way.
///
/// The file appears complete: the PID in decimal and a newline. The holder keeps a flock on it for life, so
/// that a reused PID or another PID namespace cannot make it look dead. Where a mapping keeps the flock (Linux, but for
/// overlayfs) no descriptor of the file stays open: closing all descriptors does not drop the lock.
///
/// `timeout_ms`: 0 tries once, a negative one waits for ever. Waits sleep until the holder releases or dies.
/// A signal ends the wait with -EINTR when STEADFAST_LOCK_EINTR_RETURNS is set, `cancel_fd` with -ECANCELED.
///
/// Returns 0, and `*out` is to be given to steadfast_lock_release (the report says when a stale lock was taken
/// over, and warns of a network file system). After an error `*out` is NULL: STEADFAST_E_LOCKED: the report's pid holds it,
/// and the message says when that is this very process;
/// STEADFAST_E_SYMLINK, _E_NOT_REGULAR: what is there is no lock; STEADFAST_E_UNSUPPORTED: no flock here, or one that
/// others do not see; -EINTR; -ECANCELED; -EINVAL; -ENOMEM; or a negated errno. Unless it returns 0, no lock file of ours is
/// left.
///
/// Threads: two of one process exclude each other like two processes. Fork: a child does not own the lock. It
/// prolongs it only where a descriptor keeps the flock: with STEADFAST_LOCK_INHERIT, or where no mapping does. The context
/// may be freed.
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
    unsafe { set_null(out) };
    let call = || {
        let settings = unsafe { settings(options) }?;
        if out.is_null() {
            return Err(invalid(Detail::NoOut));
        }
        let mut parsed = Path::empty();
        parse_path(&mut parsed, name.to_bytes())?;
        let context = unsafe { context::borrow(context) };
        // Memory first: nothing can fail once the lock is taken.
        let memory = Buffer::new(size_of::<steadfast_lock>()).at(STEADFAST_STEP_ALLOCATE)?;
        let whole = name.to_bytes();
        let tail = whole.get(whole.len().saturating_sub(SHOWN - 1)..).ok_or(Outcome::internal())?;
        let shown = Text::of(&[tail]).at(STEADFAST_STEP_ARGUMENTS)?;
        let request =
            acquire::Request { identity: &context.identity, settings: &settings, timeout_ms, reported: !report.is_null() };
        let (held, outcome) = acquire::acquire(&context.start()?, &parsed, &request)?;
        let lock = memory.into_raw().cast::<steadfast_lock>();
        unsafe {
            lock.write(steadfast_lock { hooks: context.hooks.clone(), identity: Identity::new(), held, shown });
            out.write(lock);
        }
        Ok(outcome)
    };
    unsafe { reported(name, report, call) }
}

/// Says whether a lock is still this process's.
///
/// Returns 0: it is; STEADFAST_E_LOCK_LOST: its file was removed or replaced; STEADFAST_E_WRONG_PROCESS: this is a forked
/// child that has not adopted it, or a child has adopted it; -EINVAL: `lock` is NULL; or a negated errno. Nothing changes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_lock_check(lock: *const steadfast_lock, report: *mut steadfast_report) -> i32 {
    let Some(lock) = (unsafe { lock.as_ref() }) else {
        return unsafe { reported(c"(no lock)", report, || Err(invalid(Detail::NoOut))) };
    };
    let name = lock.shown.c_str();
    unsafe { reported(name, report, || release::check(&lock.hooks, &lock.held, path::name_of(name))) }
}

/// Makes an inherited lock the calling process's own: for a child that goes on when its parent ends, such as a daemon.
///
/// The file then names this process, and only this process releases it; in the parent, steadfast_lock_check and
/// steadfast_lock_release answer STEADFAST_E_WRONG_PROCESS. While the file is being written it may look malformed to others,
/// who keep such a lock.
///
/// Returns 0, also when it is this process's already; STEADFAST_E_LOCK_LOST: the file was removed or replaced;
/// STEADFAST_E_WRONG_PROCESS: another child has adopted it; STEADFAST_E_BUSY; -EINVAL: the lock was taken without
/// STEADFAST_LOCK_INHERIT, or is NULL; or a negated errno. Unless it returns 0, nothing has changed, but for a write that
/// failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_lock_adopt(lock: *mut steadfast_lock, report: *mut steadfast_report) -> i32 {
    let Some(lock) = (unsafe { lock.as_mut() }) else {
        return unsafe { reported(c"(no lock)", report, || Err(invalid(Detail::NoOut))) };
    };
    let steadfast_lock { hooks, identity, held, shown } = lock;
    let name = shown.c_str();
    unsafe { reported(name, report, || adopt::adopt(hooks, identity, held, path::name_of(name))) }
}

/// Releases a lock: removes its file, if it is still ours, then gives up the flock. Frees `lock` always; NULL
/// is fine.
///
/// Returns 0; STEADFAST_E_LOCK_LOST: the file was removed or replaced, and what is there now was not touched;
/// STEADFAST_E_WRONG_PROCESS: this is a forked child, or a child has adopted the lock: only this process's descriptors were
/// closed, the lock goes on; or a negated errno: the file could not be removed and still names this process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_lock_release(lock: *mut steadfast_lock, report: *mut steadfast_report) -> i32 {
    if lock.is_null() {
        return unsafe { reported(c"(no lock)", report, || Ok(Outcome::new(STEADFAST_OK))) };
    }
    let lock = unsafe { mem::unboxed(lock) };
    // A report that is too small is ignored here: the result of the release matters more.
    let small = !report.is_null() && unsafe { report.cast::<usize>().read() } < REPORT_MINIMUM;
    let report = if small { core::ptr::null_mut() } else { report };
    let shown: &CStr = lock.shown.c_str();
    unsafe { reported(shown, report, || release::release(&lock.hooks, &lock.held, path::name_of(shown))) }
}
