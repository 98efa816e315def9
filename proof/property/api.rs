//! The library's functions, called as C calls them, on the machine.

use super::machine::Machine;
use super::reader::{Request, State};
use std::ffi::CStr;
use std::ptr::null_mut;
use steadfast::ffi::batch::*;
use steadfast::ffi::load::*;
use steadfast::ffi::lock::*;
use steadfast::ffi::save::*;
use steadfast::ffi::status::steadfast_report;
use steadfast::status::STEADFAST_E_BUSY;

pub const STATE: &CStr = c"/d/state";
pub const LOCK: &CStr = c"/d/lock";

pub fn report() -> steadfast_report {
    let mut report: steadfast_report = unsafe { std::mem::zeroed() };
    report.size = size_of::<steadfast_report>();
    report
}

/// What holds for every report: the same status, a text that ends.
fn check_report(report: &steadfast_report, code: i32) {
    assert_eq!(report.status, code, "the report's status");
    assert!(report.message.contains(&0), "the message has no end");
    assert!(report.message[0] != 0, "no message for {code}");
    assert!((0..=3).contains(&report.on_disk), "on_disk {}", report.on_disk);
    if code >= 0 {
        return;
    }
    // STEADFAST_E_INTERNAL cannot occur.
    let known = (-4095..0).contains(&code) || (STEADFAST_E_BUSY..=-10000).contains(&code);
    assert!(known, "a code that is none: {code}");
}

/// The code, and the state where there is one.
pub fn load(m: &mut Machine, request: &Request) -> (i32, Option<(State, u32)>) {
    let mut options: steadfast_load_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_load_options>();
    options.flags = request.flags;
    options.schema = request.schema;
    options.max_len = request.max_len;
    let mut out: steadfast_state = unsafe { std::mem::zeroed() };
    out.size = size_of::<steadfast_state>();
    let mut told = report();
    let code = unsafe { steadfast_state_load(m.context, STATE.as_ptr(), &options, &mut out, &mut told) };
    check_report(&told, code);
    if code < 0 {
        assert!(out.data.is_null(), "a failed load wrote its answer");
        return (code, None);
    }
    let data = out.data.cast::<u8>();
    assert_eq!(data.addr() % 16, 0, "alignment of the payload");
    assert_eq!(unsafe { *data.add(out.len) }, 0, "the NUL after the payload");
    let payload = unsafe { std::slice::from_raw_parts(data, out.len) }.to_vec();
    let state = State { payload, generation: out.generation, saved_at_ns: out.saved_at_ns, schema: out.schema };
    let source = out.source;
    unsafe { steadfast_state_free(&mut out) };
    (code, Some((state, source)))
}

/// The same into memory of the caller's, `cap` bytes: the code, the length told, and the memory.
pub fn load_into(m: &mut Machine, request: &Request, cap: usize) -> (i32, usize, Vec<u8>) {
    let mut options: steadfast_load_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_load_options>();
    options.flags = request.flags;
    options.schema = request.schema;
    options.max_len = request.max_len;
    let mut told = report();
    let mut memory = vec![0u8; cap];
    let mut len = usize::MAX;
    let buf = memory.as_mut_ptr().cast();
    let code = unsafe { steadfast_state_load_into(m.context, STATE.as_ptr(), &options, buf, cap, &mut len, &mut told) };
    check_report(&told, code);
    (code, len, memory)
}

/// What a save said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    pub code: i32,
    pub on_disk: i32,
    pub generation: u64,
}

/// Two states in one call: what is said of each.
pub fn save_batch(m: &mut Machine, payload: &[u8], flags: u32, schema: u32, expected: u64) -> [Told; 2] {
    let mut options: steadfast_save_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_save_options>();
    options.flags = flags;
    options.schema = schema;
    options.expected_generation = expected;
    let mut told = report();
    let mut entries = [STATE, c"/d/other"].map(|path| {
        let mut entry: steadfast_save_entry = unsafe { std::mem::zeroed() };
        entry.size = size_of::<steadfast_save_entry>();
        entry.path = path.as_ptr();
        entry.data = payload.as_ptr().cast();
        entry.len = payload.len();
        entry.status = i32::MIN;
        entry
    });
    let code = unsafe { steadfast_state_save_batch(m.context, entries.as_mut_ptr(), 2, &options, &mut told) };
    check_report(&told, code);
    let codes = entries.map(|entry| entry.status);
    if codes == [-libc::ECANCELED; 2] {
        assert!(code < 0, "nothing done, and {code}");
        return entries.map(|entry| Told { code, on_disk: entry.on_disk, generation: entry.generation });
    }
    let worst = codes.iter().copied().find(|&code| code < 0).or(codes.iter().copied().find(|&code| code > 0)).unwrap_or(0);
    // In the order in which they were settled: of several that are bad, any.
    assert!(code == worst || codes.contains(&code) && code.signum() == worst.signum(), "{code} for {codes:?}");
    entries.map(|entry| Told { code: entry.status, on_disk: entry.on_disk, generation: entry.generation })
}

pub fn save(m: &mut Machine, payload: &[u8], flags: u32, schema: u32, expected: u64) -> Told {
    let mut options: steadfast_save_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_save_options>();
    options.flags = flags;
    options.schema = schema;
    options.expected_generation = expected;
    let mut told = report();
    let data = payload.as_ptr().cast();
    let code = unsafe { steadfast_state_save(m.context, STATE.as_ptr(), data, payload.len(), &options, &mut told) };
    check_report(&told, code);
    Told { code, on_disk: told.on_disk, generation: told.generation }
}

fn lock_options(flags: u32, empty_grace_ms: i64) -> steadfast_lock_options {
    let mut options: steadfast_lock_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_lock_options>();
    options.flags = flags;
    options.empty_grace_ms = empty_grace_ms;
    options
}

pub fn clean(m: &mut Machine, remove: bool, flags: u32, empty_grace_ms: i64) -> i32 {
    let options = lock_options(flags, empty_grace_ms);
    let call = if remove { steadfast_lock_clean_stale } else { steadfast_lock_inspect };
    let mut told = report();
    let code = unsafe { call(m.context, LOCK.as_ptr(), &options, &mut told) };
    check_report(&told, code);
    code
}

pub fn acquire(m: &mut Machine, timeout_ms: i64) -> Result<*mut steadfast_lock, i32> {
    let mut lock = null_mut();
    let mut told = report();
    let code = unsafe { steadfast_lock_acquire(m.context, LOCK.as_ptr(), timeout_ms, &lock_options(0, 0), &mut lock, &mut told) };
    check_report(&told, code);
    assert_eq!(lock.is_null(), code != 0, "a lock without success, or success without a lock");
    if code == 0 { Ok(lock) } else { Err(code) }
}

pub fn release(lock: *mut steadfast_lock) -> i32 {
    let mut told = report();
    let code = unsafe { steadfast_lock_release(lock, &mut told) };
    check_report(&told, code);
    code
}
