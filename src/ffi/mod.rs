//! The C ABI: check, borrow, call, store. The only `extern "C"` functions.
#![allow(unsafe_code)]

pub mod context;
pub mod lock;
pub mod state;
pub mod status;

use crate::file::path::Path;
use crate::hooks::{EINVAL, Errno};
use crate::status::*;
use core::ffi::{CStr, c_char};
use status::steadfast_report;

/// -EINVAL.
const INVALID: Errno = Errno::of(EINVAL);

fn invalid(detail: Detail) -> Outcome {
    Outcome::because(INVALID.code(), detail).with_step(STEADFAST_STEP_ARGUMENTS)
}

/// A struct that the caller filled: `size` first. A missing tail reads as zero, a longer one must be zero.
///
/// # Safety
/// `pointer` is NULL or points to as many readable bytes as its first member says; T is plain old data for
/// which zero bytes are a value.
unsafe fn read_sized<T: Copy>(pointer: *const T, minimum: usize) -> Result<Option<T>, Outcome> {
    let mut value = core::mem::MaybeUninit::<T>::zeroed();
    unsafe {
        let there = read_bytes(pointer.cast(), value.as_mut_ptr().cast(), size_of::<T>(), minimum)?;
        Ok(there.then_some(value.assume_init()))
    }
}

/// # Safety
/// As [`read_sized`]; `out` is writable for `known` bytes.
unsafe fn read_bytes(pointer: *const u8, out: *mut u8, known: usize, minimum: usize) -> Result<bool, Outcome> {
    if pointer.is_null() {
        return Ok(false);
    }
    let size = unsafe { pointer.cast::<usize>().read() };
    if size < minimum {
        return Err(invalid(Detail::StructTooSmall));
    }
    if size > 1 << 16 {
        return Err(invalid(Detail::StructTooLarge));
    }
    let bytes = unsafe { core::slice::from_raw_parts(pointer, size) };
    if bytes.iter().skip(known).any(|&byte| byte != 0) {
        return Err(invalid(Detail::StructUnknown));
    }
    unsafe { core::ptr::copy_nonoverlapping(pointer, out, known.min(size)) };
    Ok(true)
}

/// Writes `value` to a struct of the library's: as much as the caller's `size` has room for.
///
/// # Safety
/// `pointer` points to as many writable bytes as its first member says.
unsafe fn write_sized<T: Copy>(pointer: *mut T, value: T) {
    unsafe {
        let size = pointer.cast::<usize>().read();
        let skip = size_of::<usize>();
        let count = size.min(size_of::<T>()).saturating_sub(skip);
        let from = (&raw const value).cast::<u8>().add(skip);
        core::ptr::copy_nonoverlapping(from, pointer.cast::<u8>().add(skip), count);
    }
}

/// A C path; "" for NULL.
///
/// # Safety
/// `path` is NULL or a NUL-terminated string that outlives the call.
unsafe fn borrow_path<'a>(path: *const c_char) -> &'a CStr {
    if path.is_null() { c"" } else { unsafe { CStr::from_ptr(path) } }
}

fn parse_path(path: &mut Path, bytes: &[u8]) -> Result<(), Outcome> {
    path.set(bytes).map_err(bad_path)
}

fn bad_path(error: Errno) -> Outcome {
    let detail = if error == INVALID { Detail::NoPath } else { Detail::None };
    Outcome::failed(error, STEADFAST_STEP_ARGUMENTS).with_detail(detail)
}

/// Runs `call`, and stores its result in the report.
///
/// # Safety
/// `report` is NULL or a steadfast_report of the caller's.
unsafe fn reported(path: &CStr, report: *mut steadfast_report, call: impl FnOnce() -> Result<Outcome, Outcome>) -> i32 {
    if !report.is_null() && unsafe { report.cast::<usize>().read() } < status::REPORT_MINIMUM {
        return INVALID.code();
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
unsafe fn set_null<T>(out: *mut *mut T) {
    if !out.is_null() {
        unsafe { out.write(core::ptr::null_mut()) };
    }
}
