//! Versions, names of codes, the report.

use super::sized::write_sized;
use crate::status::{self, Outcome};
use core::ffi::c_char;

/// The result of a call, owned by the caller. Set `size` before each call. The call fills the rest, whatever it
/// returns, except that a `size` below 40 is -EINVAL and nothing is written.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_report {
    /// sizeof(steadfast_report); at least 40. A shorter report gets a shorter message.
    pub size: usize,
    /// The value returned.
    pub status: i32,
    /// errno of the call that failed, or 0.
    pub os_error: i32,
    /// STEADFAST_STEP_*: the call that failed, or STEADFAST_STEP_NONE. A reservation has the step of the call that led
    /// to it.
    pub step: i32,
    /// STEADFAST_ON_DISK_*: what a power cut at this moment would leave. 0 for calls that save nothing.
    pub on_disk: i32,
    /// Generation of the state that was saved or loaded; with STEADFAST_E_CONFLICT of the one that is there, 0 if there
    /// is none.
    pub generation: u64,
    /// Lock calls: the process that the lock names. STEADFAST_E_BUSY: the process that was waited for. 0 if none is
    /// known.
    pub pid: i64,
    /// One English sentence that names the path, NUL-terminated, cut at a character of UTF-8.
    pub message: [c_char; 216],
}

const MESSAGE: usize = 216;

impl steadfast_report {
    /// One of the library's own, about nothing yet.
    pub(super) const EMPTY: steadfast_report = steadfast_report {
        size: size_of::<steadfast_report>(),
        status: 0,
        os_error: 0,
        step: 0,
        on_disk: 0,
        generation: 0,
        pid: 0,
        message: [0; MESSAGE],
    };
}
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
        step: i32::from(outcome.step),
        on_disk: i32::from(outcome.on_disk),
        generation: outcome.generation,
        pid: i64::from(outcome.pid),
        ..steadfast_report::EMPTY
    };
    let room = size.saturating_sub(REPORT_MINIMUM).min(MESSAGE);
    // Bytes, whatever the sign of a char is.
    let text = unsafe { core::slice::from_raw_parts_mut(value.message.as_mut_ptr().cast::<u8>(), room) };
    status::sentence(outcome, path, text);
    unsafe { write_sized(report, value) };
}

/// The version of the library, such as "0.1.0". The string is static.
#[unsafe(no_mangle)]
pub extern "C" fn steadfast_version() -> *const c_char {
    c"0.1.0".as_ptr()
}

/// The number in the SONAME. It changes when programs must be recompiled.
#[unsafe(no_mangle)]
pub extern "C" fn steadfast_abi_version() -> u32 {
    0
}

/// The name of a code: "STEADFAST_E_DIGEST", "ENOSPC". "UNKNOWN" for a number that is no code. The string is static and
/// never NULL. Each number has one name; 0, which is also STEADFAST_LOCK_ABSENT, is "STEADFAST_OK".
#[unsafe(no_mangle)]
pub extern "C" fn steadfast_status_name(status: i32) -> *const c_char {
    status::name(status).as_ptr()
}

/// The meaning of a code, in a few English words. The string is static and never NULL. The report of a call says more,
/// and names the path.
#[unsafe(no_mangle)]
pub extern "C" fn steadfast_status_message(status: i32) -> *const c_char {
    status::message(status).as_ptr()
}
