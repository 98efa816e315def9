//! What every C function does: borrow its arguments, make the call, store its result.

use super::status::{self, steadfast_report};
use crate::hooks::{EINVAL, Errno};
use crate::status::*;
use core::ffi::{CStr, c_char};

/// A C path; "" for NULL.
///
/// # Safety
/// `path` is NULL or a NUL-terminated string that outlives the call.
pub(super) unsafe fn borrow_path<'a>(path: *const c_char) -> &'a CStr {
    if path.is_null() { c"" } else { unsafe { CStr::from_ptr(path) } }
}

/// Runs `call`, and stores its result in the report.
///
/// # Safety
/// `report` is NULL or a steadfast_report of the caller's.
pub(super) unsafe fn reported(
    path: &CStr,
    report: *mut steadfast_report,
    call: impl FnOnce() -> Result<Outcome, Outcome>,
) -> i32 {
    if !report.is_null() && unsafe { report.cast::<usize>().read() } < status::REPORT_MINIMUM {
        return Errno::of(EINVAL).code();
    }
    let outcome = match call() {
        Ok(outcome) | Err(outcome) => outcome,
    };
    if !report.is_null() {
        unsafe { status::store(report, &outcome, path.to_bytes()) };
    }
    outcome.status
}

/// Every call that fails leaves NULL in `*out`.
///
/// # Safety
/// `out` is NULL or writable.
pub(super) unsafe fn set_null<T>(out: *mut *mut T) {
    if !out.is_null() {
        unsafe { out.write(core::ptr::null_mut()) };
    }
}
