//! Changing a state by what it is, and removing it.

use super::call::{borrow_path, reported};
use super::context::{self, steadfast_context};
use super::load::{load_request, state_of, steadfast_load_options, steadfast_state};
use super::save::{borrow_data, save_request, steadfast_save_options};
use super::sized::read_sized;
use super::status::steadfast_report;
use crate::file::path::{self, Path};
use crate::mem::Buffer;
use crate::state::options::*;
use crate::state::resolve::Session;
use crate::state::{remove, update};
use crate::status::*;
use core::ffi::{c_char, c_void};
use core::ptr::null;

/// Makes a new state of the old one, for steadfast_state_update.
///
///  - `user`: as it was given to that call.
///  - `old`: the verified state; NULL if there is none. It and its `data` are valid until its save is done: until the function
///    is called again, or the update returns.
///  - `data`, `len`: get the new payload, in bytes. They are NULL and 0 before, which saves an empty state. The payload must
///    stay valid until the update returns or the function is called again. It may be a part of `old`.
///
/// Returns 0 to save it, a value above 0 to leave the state as it is, and one below 0 (a negated errno) to give up with
/// that code.
#[allow(non_camel_case_types)]
pub type steadfast_update_fn = Option<
    unsafe extern "C" fn(user: *mut c_void, old: *const steadfast_state, data: *mut *const c_void, len: *mut usize) -> i32,
>;

/// Loads the state at `path`, calls `update` with it, and saves the result if nobody has replaced the state meanwhile.
/// Otherwise it loads the new state and calls `update` again. No change of another process that updates, or saves with
/// STEADFAST_SAVE_IF_GENERATION, is lost.
///
///  - `context`: NULL for the default.
///  - `path`: as for steadfast_state_save and steadfast_state_load.
///  - `load_options`: NULL for the defaults. With STEADFAST_LOAD_RECOVER the old state may be PATH.prev. PLAIN stands in
///    both options or in neither, otherwise the result is -EINVAL.
///  - `save_options`: NULL for the defaults. STEADFAST_SAVE_IF_GENERATION is implied, and among the flags it is -EINVAL.
///    After `timeout_ms` of conflicts the call stops trying and returns STEADFAST_E_CONFLICT. Its last save can wait as
///    long again, and while another process has a lease on the file, a load 10 seconds.
///  - `update`, `user`: called at least once if there is a whole state or none, on the calling thread. None is also what a
///    missing directory looks like.
///  - `report`: NULL for the default.
///
/// Returns:
///  - What steadfast_state_save returns, with the same on disk.
///  - 0 with the report's on_disk OLD: `update` returned a value above 0. The generation is that of the state.
///  - The code below 0 that `update` returned (OLD).
///  - What steadfast_state_load returns for damage, STEADFAST_E_LOST and other errors but -ENOENT (OLD): `update` is not
///    called. With STEADFAST_LOAD_RECOVER it gets PATH.prev where there is a whole one; only old->source tells.
///
/// Threads and processes may update one path at the same time. `update` may use the library, but not wait for another update
/// of the same state.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_state_update(
    context: *const steadfast_context,
    path: *const c_char,
    load_options: *const steadfast_load_options,
    save_options: *const steadfast_save_options,
    update: steadfast_update_fn,
    user: *mut c_void,
    report: *mut steadfast_report,
) -> i32 {
    let name = unsafe { borrow_path(path) };
    let call = || {
        let loading = load_request(unsafe { read_sized(load_options, 12) }?.as_ref())?;
        let options = unsafe { read_sized(save_options, 12) }?;
        let saving = save_request(&[], options.as_ref(), SAVE_UPDATE)?;
        let Some(update) = update else { return Err(Outcome::invalid(Detail::NoUpdate)) };
        path::check(name.to_bytes())?;
        let start = || unsafe { context::borrow(context) }.start();
        // What the function was given is its own until it is called again.
        let mut kept = Buffer::none();
        update::update(start, name, &loading, &saving, &mut |old| {
            let state = old.map(|(loaded, memory)| {
                kept = memory;
                unsafe { state_of(&loaded, kept.bytes_mut().as_mut_ptr(), size_of::<steadfast_state>()) }
            });
            let (mut data, mut len) = (null(), 0usize);
            let answer = unsafe { update(user, state.as_ref().map_or(null(), |state| state), &mut data, &mut len) };
            match answer {
                0 => unsafe { borrow_data(data, len) }.map(Some),
                1.. => Ok(None),
                _ => Err(Outcome::new(answer)),
            }
        })
    };
    unsafe { reported(name, report, call) }
}

/// Removes the state at `path` and PATH.prev, durably: at no moment of a crash does an older state come back.
///
///  - `context`: NULL for the default.
///  - `path`: its directory must be writable and readable. What is there need not be a whole state.
///  - `options`: NULL for the defaults. The flags STRICT, IF_GENERATION, FOLLOW_SYMLINK, NO_SYNC and PLAIN count, the others
///    are -EINVAL; `timeout_ms` and expected_generation as for a save.
///  - `report`: NULL for the default. Its generation is the one that was removed, if that is known.
///
/// Returns, and what a power cut then leaves (the report's on_disk):
///  - 0: nothing (NEW).
///  - STEADFAST_NOT_DURABLE: it is gone for every reader, but not known to be gone after a power cut; the report's step and
///    os_error name the sync that failed (EITHER). With STRICT it is STEADFAST_E_SAVED_NOT_DURABLE.
///  - -ENOENT: neither of the two is there.
///  - STEADFAST_E_CONFLICT: with IF_GENERATION, another generation is there (OLD).
///  - STEADFAST_E_BUSY, _E_SYMLINK, _E_NOT_REGULAR, _E_UNSUPPORTED, -EBUSY and damage with IF_GENERATION: as for
///    steadfast_state_save (OLD).
///  - Another negated errno: of the call that the report's step names (OLD). PATH is where it was, or at PATH.prev if it
///    could not be put back. An older PATH.prev may be gone, after STEADFAST_E_CONFLICT as well.
///
/// A load at the very moment may be STEADFAST_E_LOST. A state that is saved later begins at generation 1 again. Threads and fork: as for steadfast_state_save.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_state_remove(
    context: *const steadfast_context,
    path: *const c_char,
    options: *const steadfast_save_options,
    report: *mut steadfast_report,
) -> i32 {
    let name = unsafe { borrow_path(path) };
    let call = || {
        let request = save_request(&[], unsafe { read_sized(options, 12) }?.as_ref(), SAVE_REMOVAL)?;
        let request = SaveRequest { removes: true, ..request };
        let mut path = Path::empty();
        path.parse(name.to_bytes())?;
        let mut session = Session::new(unsafe { context::borrow(context) }.start()?, request.timeout_ms);
        remove::remove(&mut session, &mut path, &request)
    };
    unsafe { reported(name, report, call) }
}
