//! Lock files.

use super::call::{borrow_path, reported, set_null};
use super::context::{self, steadfast_context};
use super::sized::read_sized;
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

/// How to take or judge a lock. Zero is the default of every member.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_lock_options {
    /// sizeof(steadfast_lock_options); at least up to and including `flags`.
    pub size: usize,
    /// STEADFAST_LOCK_*.
    pub flags: u32,
    /// Permission bits of the lock file, less the umask; 0 means 0644.
    pub mode: u32,
    /// Treat an empty lock file of another program as stale when it has been empty for this many milliseconds. 0 means
    /// never: its creator may be about to write its PID.
    pub empty_grace_ms: i64,
    /// A descriptor (a pipe, an eventfd, a signalfd) that ends the wait of steadfast_lock_acquire with -ECANCELED when
    /// it becomes readable, without a race; 0 means none, and a negative value is -EINVAL. The library only polls it.
    pub cancel_fd: i32,
    /// 0.
    pub reserved: i32,
}

/// A lock that this process holds. One thread uses it at a time; another may go on with it.
#[allow(non_camel_case_types)]
pub struct steadfast_lock {
    hooks: Hooks,
    identity: Identity,
    held: Held,
    /// The end of the path: the name that is to be removed, and what the report of the release shows.
    shown: Text<SHOWN>,
}

/// Where the one pointer of a lock is, that to the path of its directory: a test copies a lock as a fork does.
///
/// cbindgen:ignore
#[cfg(feature = "__internals")]
pub const POINTER_OF_LOCK: usize = core::mem::offset_of!(steadfast_lock, held.place.path) + Buffer::POINTER;

/// As much of the path as a report shows.
const SHOWN: usize = 256;

/// # Safety
/// `options` is NULL or points to as many readable bytes as its size says.
unsafe fn settings(options: *const steadfast_lock_options) -> Result<Settings, Outcome> {
    let Some(options) = (unsafe { read_sized(options, 12) })? else { return Ok(Settings::default()) };
    if options.reserved != 0 {
        return Err(Outcome::invalid(Detail::BadLockOptions));
    }
    let mode = if options.mode == 0 { 0o644 } else { options.mode };
    let cancel_fd = (options.cancel_fd != 0).then_some(options.cancel_fd);
    Settings { flags: options.flags, mode, empty_grace_ms: options.empty_grace_ms, cancel_fd }.check()
}

/// Removes the lock file at `path` if its owner is provably dead; never takes it from a live one, unless the options allow
/// a guess.
///
///  - `context`, `options`, `report`: NULL for the defaults. The report's message says why, its pid is the process that
///    the lock names.
///
/// Returns a verdict; only _REMOVED has changed anything:
///  - STEADFAST_LOCK_ABSENT, _REMOVED, _HELD, _UNDECIDED, _IGNORED, _CHANGED.
///
/// Or, with nothing changed:
///  - STEADFAST_E_UNSUPPORTED: the lock is stale, but there is no flock here under which it could be removed.
///  - -EACCES, -EPERM, -EROFS: it is stale, but its directory may not be written. -ENOENT: there is no such directory.
///  - STEADFAST_E_HOOK, _E_INTERNAL, -EINVAL, or a negated errno of the call that the report's step names.
///
/// It is safe among any number of cleaners and takers that use this library, and beside any program that creates its
/// lock with O_EXCL or link and does not itself remove stale locks. It waits for nobody. Threads: no restriction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_lock_clean_stale(
    context: *const steadfast_context,
    path: *const c_char,
    options: *const steadfast_lock_options,
    report: *mut steadfast_report,
) -> i32 {
    unsafe { examine(context, path, options, report, true) }
}

/// Says what steadfast_lock_clean_stale would do, with STEADFAST_LOCK_STALE instead of _REMOVED. Changes nothing.
///
/// Otherwise it returns as that does. It may take a shared flock for a moment, to see whether the lock is held.
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
        path.parse(name.to_bytes())?;
        examine::at_path(&context.start()?, &context.identity, &path, &settings, remove)
    };
    unsafe { reported(name, report, call) }
}

/// Takes the lock at `path`. A stale lock is removed on the way, as steadfast_lock_clean_stale does.
///
/// The file appears complete: the PID in decimal and a newline. The holder keeps a flock on it for as long as it lives,
/// so that a reused PID or another PID namespace cannot make it look dead. The lock is taken only if that flock is seen
/// by whoever opens the file by its name.
///
///  - `context`: NULL for the default. It may be freed while the lock is held.
///  - `timeout_ms`: 0 tries once and does not queue, a negative value waits without limit, also for a lock of this very
///    process. A waiter sleeps until the holder releases or dies. Waiters usually get the lock in the order in which they
///    came.
///  - `options`, `report`: NULL for the defaults.
///  - `out`: gets the lock, which steadfast_lock_release frees; NULL after an error.
///
/// Returns:
///  - 0. The report says if a stale lock was taken over, and warns of a network file system.
///  - STEADFAST_E_LOCKED: not free in time. The report's pid holds it, and the message says if that is this very
///    process. Or it is not known whether the owner lives; then the message says why.
///  - STEADFAST_E_SYMLINK, _E_NOT_REGULAR: what is at PATH is no lock file. It was not touched.
///  - STEADFAST_E_UNSUPPORTED: there is no flock here, or one that nobody sees but its holder.
///  - -EINTR: a signal, with STEADFAST_LOCK_EINTR_RETURNS. -ECANCELED: cancel_fd. -EBADF at step WAIT: cancel_fd is not
///    open.
///  - STEADFAST_E_HOOK, _E_INTERNAL, -ENOMEM, -EINVAL, or a negated errno of the call that the report's step names.
///
/// Unless it returns 0, no lock file of this call is left.
///
/// Descriptors. On Linux a mapping of the file keeps the flock, so that no descriptor of it stays open, and a program
/// that closes all its descriptors (closefrom) still holds the lock. With STEADFAST_LOCK_INHERIT, and on overlayfs and
/// FUSE, a descriptor keeps it. The directory's descriptor stays open in any case, and after a wait an inotify descriptor; if the program
/// closes them, the library opens the directory anew when it needs it. A process that executes another program gives the
/// flock up, but the file names it as long as it lives.
///
/// Threads: two threads of one process exclude each other like two processes. Fork: a child does not own the lock.
/// Where a descriptor keeps the flock, a child that does not exec keeps the lock held until it ends or releases it.
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
            return Err(Outcome::invalid(Detail::NoOut));
        }
        let mut parsed = Path::empty();
        parsed.parse(name.to_bytes())?;
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

/// Says whether a lock is still this process's. Nothing changes.
///
/// Returns:
///  - 0: it is.
///  - STEADFAST_E_LOCK_LOST: its file was removed or replaced.
///  - STEADFAST_E_WRONG_PROCESS: this is a forked child that has not adopted it, or a child of this process has adopted
///    it.
///  - -EINVAL: `lock` is NULL.
///  - STEADFAST_E_HOOK, _E_INTERNAL, or a negated errno of the call that the report's step names.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_lock_check(lock: *const steadfast_lock, report: *mut steadfast_report) -> i32 {
    let Some(lock) = (unsafe { lock.as_ref() }) else {
        return unsafe { reported(c"(no lock)", report, || Err(Outcome::invalid(Detail::NoHandle))) };
    };
    let name = lock.shown.c_str();
    unsafe { reported(name, report, || release::check(&lock.hooks, &lock.held, path::name_of(name))) }
}

/// Makes an inherited lock the calling process's own: for a child that goes on when its parent ends, such as a daemon.
///
/// The file then names this process, and only this process releases it: in the parent steadfast_lock_check and
/// steadfast_lock_release return STEADFAST_E_WRONG_PROCESS. While the file is being rewritten others may find it
/// malformed; they keep such a lock.
///
/// Returns:
///  - 0: it is this process's, perhaps already before.
///  - STEADFAST_E_LOCK_LOST: its file was removed or replaced.
///  - STEADFAST_E_WRONG_PROCESS: another child, which lives, has adopted it.
///  - STEADFAST_E_BUSY: another child was adopting it, or the parent was releasing it, for 10 seconds.
///  - -EINVAL: the lock was taken without STEADFAST_LOCK_INHERIT, or `lock` is NULL.
///  - STEADFAST_E_HOOK, _E_INTERNAL, or a negated errno of the call that the report's step names.
///
/// Unless it returns 0, the lock is not this process's. After a failed write the old record is there again; if that
/// failed as well, the file is malformed, others keep it, and parent and children can still adopt or release the lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_lock_adopt(lock: *mut steadfast_lock, report: *mut steadfast_report) -> i32 {
    let Some(lock) = (unsafe { lock.as_mut() }) else {
        return unsafe { reported(c"(no lock)", report, || Err(Outcome::invalid(Detail::NoHandle))) };
    };
    let steadfast_lock { hooks, identity, held, shown } = lock;
    let name = shown.c_str();
    unsafe { reported(name, report, || adopt::adopt(hooks, identity, held, path::name_of(name))) }
}

/// Releases a lock: removes its file if it is still this lock's, then gives up the flock. Frees `lock` in every case.
/// NULL is allowed.
///
/// Returns:
///  - 0: the file was removed.
///  - STEADFAST_E_LOCK_LOST: the file had been removed or replaced. What is there now was not touched.
///  - STEADFAST_E_WRONG_PROCESS: this is a forked child, or a child has adopted the lock. Only this process's
///    descriptors were closed; the lock goes on.
///  - Another code below 0: the file could not be removed and still names this process. Others take it for held until this
///    process ends. STEADFAST_E_BUSY: a child was adopting the lock for 10 seconds.
///
/// A report whose size is too small is ignored.
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
