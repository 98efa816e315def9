//! Versions, names of codes, the report.

use super::sized::write_sized;
use crate::status::{self, Outcome};
use core::ffi::c_char;

/// The result of a call. The caller owns it; set `size` before each call and read the rest after it, whatever
/// the call returned.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_report {
    /// sizeof(steadfast_report); at least 40. A shorter report gets a shorter message.
    pub size: usize,
    /// The value returned.
    pub status: i32,
    /// errno of the call that failed, 0 when none did.
    pub os_error: i32,
    /// STEADFAST_STEP_*: the call that failed, 0 when none did.
    pub step: i32,
    /// STEADFAST_ON_DISK_*: what a power cut now would leave.
    pub on_disk: i32,
    /// Generation of the state written or read; with STEADFAST_E_CONFLICT of the state that is there.
    pub generation: u64,
    /// Lock calls: the process named in the lock, 0 when none.
    pub pid: i64,
    /// One English sentence naming the path, NUL-terminated, cut at a character.
    pub message: [c_char; 216],
}

const MESSAGE: usize = 216;
/// Everything but the message.
pub const REPORT_MINIMUM: usize = core::mem::offset_of!(steadfast_report, message);

/// # Safety
/// `report` points to as many writable bytes as its `size` says.
pub unsafe fn store(report: *mut steadfast_report, outcome: &Outcome, path: &[u8]) {
    let size = unsafe { report.cast::<usize>().read() };
    let mut value = steadfast_report {
        size,
        status: outcome.status,
        os_error: outcome.os_error,
        step: outcome.step,
        on_disk: outcome.on_disk,
        generation: outcome.generation,
        pid: i64::from(outcome.pid),
        message: [0; MESSAGE],
    };
    let room = size.saturating_sub(REPORT_MINIMUM).min(MESSAGE);
    // Bytes, whatever the sign of a char is.
    let text = unsafe { core::slice::from_raw_parts_mut(value.message.as_mut_ptr().cast::<u8>(), room) };
    status::sentence(outcome, path, text);
    unsafe { write_sized(report, value) };
}

/// The version of the library, "0.1.0". Static.
#[unsafe(no_mangle)]
pub extern "C" fn steadfast_version() -> *const c_char {
    c"0.1.0".as_ptr()
}

/// The number in the SONAME: it changes when a program must be compiled anew.
#[unsafe(no_mangle)]
pub extern "C" fn steadfast_abi_version() -> u32 {
    0
}

/// The name of a code: "STEADFAST_E_DIGEST", "ENOSPC"; "UNKNOWN" for a number that is no code. Static, never
/// NULL. 0 is both STEADFAST_OK and STEADFAST_LOCK_ABSENT, and named the former.
#[unsafe(no_mangle)]
pub extern "C" fn steadfast_status_name(status: i32) -> *const c_char {
    status::name(status).as_ptr()
}

/// What a code means, in a few English words. Static, never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn steadfast_status_message(status: i32) -> *const c_char {
    status::message(status).as_ptr()
}
