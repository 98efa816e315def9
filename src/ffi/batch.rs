//! Saving many states.

use super::call::{borrow_path, reported};
use super::context::{self, steadfast_context};
use super::save::{borrow_data, save_request, steadfast_save_options};
use super::sized::read_sized;
use super::status::steadfast_report;
use crate::hooks::{ECANCELED, Errno};
use crate::state::batch;
use crate::state::options::*;
use crate::state::resolve::Session;
use crate::status::*;
use core::ffi::{CStr, c_char, c_void};

/// One state of steadfast_state_save_batch.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_save_entry {
    /// sizeof(steadfast_save_entry), the same in all entries of a call; at least up to, but not including, `step`.
    pub size: usize,
    /// Where to save it.
    pub path: *const c_char,
    /// What to save: `len` bytes.
    pub data: *const c_void,
    /// Length in bytes.
    pub len: usize,
    /// Set by the call: what steadfast_state_save would have returned, or -ECANCELED if the batch was refused whole.
    pub status: i32,
    /// Set by the call: errno of the call that failed, or 0.
    pub os_error: i32,
    /// Set by the call: the generation written, or with STEADFAST_E_CONFLICT the one that is there.
    pub generation: u64,
    /// Set by the call: STEADFAST_STEP_*, as in a report.
    pub step: i32,
    /// Set by the call: STEADFAST_ON_DISK_*, as in a report.
    pub on_disk: i32,
}

/// An entry without its later members.
const ENTRY_MINIMUM: usize = core::mem::offset_of!(steadfast_save_entry, step);

/// The entries of a caller, who may know a longer struct than we do.
struct Entries {
    first: *mut steadfast_save_entry,
    size: usize,
    count: usize,
}

impl Entries {
    fn at(&self, number: usize) -> *mut steadfast_save_entry {
        self.first.wrapping_byte_add(self.size.wrapping_mul(number))
    }
}

impl batch::Entries for Entries {
    fn count(&self) -> usize {
        self.count
    }

    fn get(&self, number: usize) -> Result<(&CStr, &[u8]), Outcome> {
        // Only up to ENTRY_MINIMUM the memory is known to be the caller's.
        let entry = self.at(number);
        unsafe {
            let (path, data, len) =
                ((&raw const (*entry).path).read(), (&raw const (*entry).data).read(), (&raw const (*entry).len).read());
            Ok((borrow_path(path), borrow_data(data, len)?))
        }
    }

    fn set(&mut self, number: usize, outcome: &Outcome) {
        let entry = self.at(number);
        unsafe {
            (*entry).status = outcome.status;
            (*entry).os_error = outcome.os_error;
            (*entry).generation = outcome.generation;
            if self.size >= size_of::<steadfast_save_entry>() {
                (*entry).step = i32::from(outcome.step);
                (*entry).on_disk = i32::from(outcome.on_disk);
            }
        }
    }
}

impl Entries {
    /// Every entry of a batch that is refused whole is -ECANCELED.
    fn refuse(&mut self) {
        let canceled = Outcome::new(Errno::of(ECANCELED).code());
        for number in 0..self.count {
            batch::Entries::set(self, number, &canceled);
        }
    }
}

/// Saves many states in one call, faster than one after the other.
///
/// Each state is atomic and durable by itself; there is no promise across them. All states of a group of 64 are written
/// before the first of them is synced. From 200 states on, the files of a group are synced at once. Each directory is
/// synced once. A path that comes twice is saved twice, in order. With IF_GENERATION the states are saved one after the
/// other. At most some 260 descriptors are open at once, and fewer where the limit is lower.
///
///  - `entries`, `count`: the states; each entry's result is stored in it. `size` must be the same in all of them.
///  - `options`: for all states.
///  - The others: as for steadfast_state_save.
///
/// Returns:
///  - 0: every entry has status 0.
///  - The first negative status of an entry or, if there is none, the first positive one. The report describes that
///    entry. A bad entry, with a NULL path for example, has its own status, and the others are saved.
///  - -EINVAL with the report's step ARGUMENTS, -ENOMEM with the step ALLOCATE, or an errno with the step
///    OPEN_DIRECTORY from opening the context's directory: nothing was saved, and every entry's status is -ECANCELED.
///    If `entries` is NULL, or the sizes are too small or differ, no entry is written to.
///
/// Threads and fork: as for steadfast_state_save.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_state_save_batch(
    context: *const steadfast_context,
    entries: *mut steadfast_save_entry,
    count: usize,
    options: *const steadfast_save_options,
    report: *mut steadfast_report,
) -> i32 {
    let mut name = c"";
    let mut call = || {
        if count == 0 {
            let options = unsafe { read_sized(options, 12) }?;
            return save_request(&[], options.as_ref(), SAVE_MANY).map(|_| Outcome::new(STEADFAST_OK));
        }
        if entries.is_null() {
            return Err(Outcome::invalid(Detail::NoData));
        }
        let mut entries = Entries { first: entries, size: unsafe { entries.cast::<usize>().read() }, count };
        let mut sizes = (0..count).map(|number| unsafe { entries.at(number).cast::<usize>().read() });
        let aligned = entries.size.is_multiple_of(align_of::<steadfast_save_entry>());
        if entries.size < ENTRY_MINIMUM || !aligned || !sizes.all(|size| size == entries.size) {
            return Err(Outcome::invalid(Detail::StructTooSmall));
        }
        let request = || save_request(&[], unsafe { read_sized(options, 12) }?.as_ref(), SAVE_MANY);
        let start = || unsafe { context::borrow(context) }.start();
        let saved = request()
            .and_then(|request| batch::save_batch(Session::new(start()?, request.timeout_ms), &mut entries, &request))
            .inspect_err(|_| entries.refuse());
        let (mut outcome, worst) = saved?;
        name = unsafe { borrow_path((*entries.at(worst)).path) };
        if i32::from(outcome.step) == STEADFAST_STEP_ARGUMENTS {
            // Only a batch that is refused whole has that step.
            outcome = outcome.with_step(STEADFAST_STEP_NONE);
        }
        Ok(outcome)
    };
    let outcome = call();
    unsafe { reported(name, report, || outcome) }
}
