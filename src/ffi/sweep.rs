//! Sweeping a directory.

use super::call::{borrow_path, reported};
use super::context::{self, steadfast_context};
use super::status::{self, steadfast_report};
use crate::lock::sweep::{SWEEP_ALL, Sweep};
use crate::status::*;
use core::ffi::{CStr, c_char, c_void};

/// Gets each name that steadfast_directory_sweep has looked at as a temporary file or a lock.
///
///  - `user`: as it was given to that call.
///  - `name`: in the directory.
///  - `about`: its status is a verdict: STEADFAST_LOCK_REMOVED (_STALE with DRY_RUN), _HELD, _UNDECIDED, _IGNORED or _CHANGED.
///    If the file could not be removed, the status is the negated errno of the call that the step names. The message gives the reason.
///
/// Returns 0 to continue. A value above 0 ends the sweep with 0, one below 0 (a negated errno) with that code.
#[allow(non_camel_case_types)]
pub type steadfast_sweep_fn =
    Option<unsafe extern "C" fn(user: *mut c_void, name: *const c_char, about: *const steadfast_report) -> i32>;

/// Removes the temporary files that killed writers have left in a directory and, if the flags ask for it, stale locks. The next
/// save or the next steadfast_lock_acquire of a name does the same for that name; this function is for names that are not used again.
///
/// A temporary file is removed only if it belongs to this user or, for root, to the owner of its state, and if its flock shows
/// that its writer is dead. So on a network file system none is removed. The function does not enter subdirectories.
///
///  - `context`: NULL for the default.
///  - `flags`: STEADFAST_SWEEP_*.
///  - `callback`: NULL if no results are wanted.
///  - `report`: NULL for the default. It is about the directory.
///
/// Returns:
///  - 0: all names were looked at, or the callback ended the sweep. Only the callback learns of files that could not be removed.
///  - STEADFAST_E_BUSY: after 16,777,216 names there were still more.
///  - STEADFAST_E_HOOK, _E_INTERNAL, -EINVAL, or a negated errno of the call that the report's step names.
///
/// The function may or may not see names that appear or disappear while it runs. It waits for nobody. It is safe while any number
/// of other processes save, take locks or sweep. Threads: no restriction.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_directory_sweep(
    context: *const steadfast_context,
    directory: *const c_char,
    flags: u32,
    callback: steadfast_sweep_fn,
    user: *mut c_void,
    report: *mut steadfast_report,
) -> i32 {
    let path = unsafe { borrow_path(directory) };
    let call = || {
        if flags & !SWEEP_ALL != 0 {
            return Err(Outcome::invalid(Detail::UnknownFlag));
        }
        if path.is_empty() {
            return Err(Outcome::invalid(Detail::NoPath));
        }
        let context = unsafe { context::borrow(context) };
        let start = context.start()?;
        let dir = start.open_directory(path, 0).at(STEADFAST_STEP_OPEN_DIRECTORY)?;
        let tell = |name: &CStr, outcome: &Outcome| {
            let Some(callback) = callback else { return 0 };
            let mut about = steadfast_report::EMPTY;
            unsafe {
                status::store(&raw mut about, outcome, name.to_bytes());
                callback(user, name.as_ptr(), &raw const about)
            }
        };
        Sweep { dir: &dir, identity: &context.identity, flags }.run(tell)
    };
    unsafe { reported(path, report, call) }
}
