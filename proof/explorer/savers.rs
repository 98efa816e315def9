//! What processes do that save and load a state. The routines of the library are called as a C program calls them.

use super::bodies::*;
use super::ledger::{STATE_PATH, Save};
use super::world::*;
use std::ptr::null;
use steadfast::ffi::load::*;
use steadfast::ffi::save::*;
use steadfast::ffi::status::steadfast_report;
use steadfast::status::*;

/// STEADFAST_SAVE_KEEP_PREVIOUS, _IF_GENERATION and _ALTERNATE.
const KEEP: u32 = 1 << 1;
const SWAP: u32 = 1 << 2;
pub const TURNS: u32 = 1 << 5;

const MISSING: i32 = -libc::ENOENT;

fn report() -> steadfast_report {
    let mut report: steadfast_report = unsafe { std::mem::zeroed() };
    report.size = size_of::<steadfast_report>();
    report
}

/// Saves for the `nth` time.
pub unsafe fn save(p: *mut Proc, nth: usize, flags: u32, expected: u64) {
    unsafe {
        let save = Save { slot: (*p).slot, nth };
        let payload = save.payload();
        let mut options: steadfast_save_options = std::mem::zeroed();
        (options.size, options.flags) = (size_of::<steadfast_save_options>(), flags);
        options.expected_generation = expected;
        let mut report = report();
        world(p).note(save.slot, || format!("SAVES, flags {flags:#x}"));
        world(p).ledger.begin_save(save);
        let (data, len) = (payload.as_ptr().cast(), payload.len());
        let code = steadfast_state_save((*p).context, STATE_PATH.as_ptr(), data, len, &options, &mut report);
        if gone(p) {
            return;
        }
        world(p).note(save.slot, || format!("WAS TOLD {code}, generation {}", report.generation));
        let swaps = flags & SWAP != 0;
        if code == STEADFAST_OK {
            let judged = world(p).ledger.saved(save.slot, report.generation, swaps.then_some(expected));
            return world(p).judge(judged);
        }
        world(p).ledger.refused(save.slot);
        if !(swaps && code == STEADFAST_E_CONFLICT) {
            wrong(p, format!("save returned {code}"));
        }
    }
}

/// Loads: the generation; 0 if nothing was there.
pub unsafe fn load(p: *mut Proc) -> Option<u64> {
    unsafe {
        let slot = (*p).slot;
        let mut state: steadfast_state = std::mem::zeroed();
        state.size = size_of::<steadfast_state>();
        world(p).note(slot, || "LOADS".into());
        world(p).ledger.begin_load(slot);
        (*p).loading = true;
        (*p).seen.clear();
        let code = steadfast_state_load((*p).context, STATE_PATH.as_ptr(), null(), &mut state, std::ptr::null_mut());
        (*p).loading = false;
        let loaded = (code == STEADFAST_OK || code == STEADFAST_RECOVERED).then_some(state.generation);
        if !gone(p) {
            world(p).note(slot, || format!("WAS GIVEN {code}, generation {}", state.generation));
            if loaded.is_some() {
                let payload = std::slice::from_raw_parts(state.data.cast::<u8>(), state.len);
                let judged = world(p).ledger.loaded(slot, state.generation, payload);
                world(p).judge(judged);
            }
            let ledger = &world(p).ledger;
            let expected = match code {
                STEADFAST_OK => true,
                STEADFAST_RECOVERED => ledger.may_recover(slot),
                _ => code == MISSING && ledger.may_miss(slot),
            };
            if !expected {
                wrong(p, format!("load returned {code}"));
            }
        }
        steadfast_state_free(&mut state);
        loaded.or((code == MISSING).then_some(0)).filter(|_| !gone(p))
    }
}

/// Saves in turn.
pub fn alternating(p: *mut Proc) {
    unsafe { save(p, 0, TURNS, 0) };
}

pub fn alternating_twice(p: *mut Proc) {
    alternating(p);
    if !unsafe { gone(p) } {
        unsafe { save(p, 1, TURNS, 0) };
    }
}

/// Enough to make two files and to write one of them in place.
pub fn alternating_thrice(p: *mut Proc) {
    for nth in 0..3 {
        if !unsafe { gone(p) } {
            unsafe { save(p, nth, TURNS, 0) };
        }
    }
}

/// Saves without a flag.
pub fn ordinary(p: *mut Proc) {
    unsafe { save(p, 0, 0, 0) };
}

/// Saves, and keeps the previous generation.
pub fn keeping(p: *mut Proc) {
    unsafe { save(p, 0, KEEP, 0) };
}

/// Has done all but its renames before anybody else begins.
unsafe fn late(p: *mut Proc, save: Body) {
    unsafe { ((*p).solo, (*p).late) = (true, true) };
    save(p);
}

pub fn late_ordinary(p: *mut Proc) {
    unsafe { late(p, ordinary) };
}

pub fn late_keeping(p: *mut Proc) {
    unsafe { late(p, keeping) };
}

/// Loads, and saves if nobody has saved since.
unsafe fn swap(p: *mut Proc, flags: u32) {
    unsafe {
        if let Some(there) = load(p) {
            save(p, 0, SWAP | flags, there);
        }
    }
}

pub fn swapping(p: *mut Proc) {
    unsafe { swap(p, 0) };
}

pub fn swapping_in_turn(p: *mut Proc) {
    unsafe { swap(p, TURNS) };
}

pub fn loading(p: *mut Proc) {
    unsafe { load(p) };
}

pub fn loading_twice(p: *mut Proc) {
    unsafe {
        if load(p).is_some() {
            load(p);
        }
    }
}
