//! Loading.

use super::call::{borrow_path, reported};
use super::context::{self, steadfast_context};
use super::sized::{read_sized, write_sized};
use super::status::steadfast_report;
use crate::file::path;
use crate::mem::{self, Buffer, Memory};
use crate::state::format::HEADER;
use crate::state::options::*;
use crate::state::{load, loaded};
use crate::status::*;
use core::ffi::{CStr, c_char, c_void};
use core::ptr::NonNull;

/// How to load. Zero is the default of every member.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_load_options {
    /// sizeof(steadfast_load_options).
    pub size: usize,
    /// STEADFAST_LOAD_*.
    pub flags: u32,
    /// With STEADFAST_LOAD_REQUIRE_SCHEMA.
    pub schema: u32,
    /// The longest payload to accept, in bytes. 0 means 1 GiB for steadfast_state_load, no limit but `cap` for
    /// steadfast_state_load_into, and none for steadfast_reader_open.
    pub max_len: u64,
}

/// A loaded state. Set `size` before the call, and pass the struct to steadfast_state_free afterwards.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_state {
    /// sizeof(steadfast_state); at least up to and including `len`.
    pub size: usize,
    /// The payload: `len` bytes and then a NUL, aligned to 16. The library owns it: do not free(3) it.
    pub data: *mut c_void,
    /// Length in bytes.
    pub len: usize,
    /// Its number, which counts the saves.
    pub generation: u64,
    /// When it was saved, in nanoseconds since the Unix epoch, by the saver's clock.
    pub saved_at_ns: i64,
    /// The caller's own format number.
    pub schema: u32,
    /// STEADFAST_SOURCE_*.
    pub source: u32,
    /// SHA-256 of the record, as its first line has it.
    pub sha256: [u8; 32],
}

/// PATH itself.
pub const STEADFAST_SOURCE_CURRENT: u32 = 0;
/// PATH.prev, the previous generation.
pub const STEADFAST_SOURCE_PREVIOUS: u32 = 1;

/// Loads the state at `path` and verifies it: `out` gets exactly the bytes that were saved, or nothing.
///
///  - `context`: NULL for the default.
///  - `path`: symbolic links are followed.
///  - `options`, `report`: NULL for the defaults.
///  - `out`: its `size` must be set. The rest is written on success only, and then belongs to steadfast_state_free.
///
/// Returns:
///  - 0: the current state.
///  - STEADFAST_RECOVERED: with STEADFAST_LOAD_RECOVER, PATH.prev, because the current state is damaged, missing or
///    unreadable (-EIO, -EBADMSG, -EUCLEAN). The report keeps the step and errno of that failure.
///  - STEADFAST_UNVERIFIED: with PLAIN, the file has no attribute that verifies it. STEADFAST_CHANGED: it was saved by the library,
///    and somebody has changed it since. The data is what the file holds, `generation` a content tag, `saved_at_ns` its
///    modification time, `schema` 0. With REQUIRE_VERIFIED both are STEADFAST_E_UNVERIFIED, and there is no data; so is a missing
///    state with RECOVER whose PATH.prev nothing verifies.
///  - -ENOENT: there is no state and no previous one.
///  - STEADFAST_E_LOST: there is no state, but a previous one.
///  - STEADFAST_E_EMPTY, _E_TRUNCATED, _E_TRAILING, _E_DIGEST: the state is damaged.
///  - STEADFAST_E_FORMAT: not a state file. _E_NEWER: intact, in a later format. _E_SCHEMA: intact, with another
///    schema.
///  - STEADFAST_E_TOO_LARGE: longer than max_len. No memory of that length was allocated.
///  - STEADFAST_E_NOT_REGULAR: no regular file. A device is read from once before the library finds that out.
///  - STEADFAST_E_BUSY: for 10 seconds another process kept a lease on the file (fcntl(2)), or with PLAIN went on changing it.
///  - STEADFAST_E_HOOK, _E_INTERNAL, -ENOMEM, -EINVAL, or a negated errno of the call that the report's step names.
///
/// Damage is never reported as an I/O error, and an I/O error is never reported as damage. Nothing on disk changes.
///
/// Threads: no restriction. A load at the same time as saves gets the state from before or after each of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_state_load(
    context: *const steadfast_context,
    path: *const c_char,
    options: *const steadfast_load_options,
    out: *mut steadfast_state,
    report: *mut steadfast_report,
) -> i32 {
    let name = unsafe { borrow_path(path) };
    let call = || {
        if out.is_null() || unsafe { out.cast::<usize>().read() } < core::mem::offset_of!(steadfast_state, generation) {
            return Err(Outcome::invalid(Detail::NoOut));
        }
        let mut room = loaded::Room { memory: Buffer::none(), given: false, needed: 0 };
        let (loaded, outcome) = unsafe { load(context, name, options, &mut room) }?;
        unsafe { write_sized(out, state_of(&loaded, room.memory.into_raw(), 0)) };
        Ok(outcome)
    };
    unsafe { reported(name, report, call) }
}

/// Loads the state at `path` into the caller's memory. Nothing is allocated.
///
///  - `buf`, `cap`: `cap` bytes; `buf` may be NULL if `cap` is 0.
///  - `out_len`: gets the length of the payload, in bytes.
///  - The others: as for steadfast_state_load.
///
/// Otherwise it behaves like steadfast_state_load, except that no NUL is appended and the generation is available only
/// in the report. If the payload is longer than `cap` or max_len allows, the call is STEADFAST_E_TOO_LARGE and
/// `*out_len` is the length needed; so a call with `cap` 0 asks for it. After any other error `*out_len` is unchanged.
/// After every error what the call wrote to `buf` is zeroed, so that no unverified byte stays there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_state_load_into(
    context: *const steadfast_context,
    path: *const c_char,
    options: *const steadfast_load_options,
    buf: *mut c_void,
    cap: usize,
    out_len: *mut usize,
    report: *mut steadfast_report,
) -> i32 {
    let name = unsafe { borrow_path(path) };
    let call = || {
        let Some(memory) = NonNull::new(buf.cast::<u8>()).or((cap == 0).then_some(NonNull::dangling())) else {
            return Err(Outcome::invalid(Detail::NoOut));
        };
        if out_len.is_null() || cap > isize::MAX as usize {
            return Err(Outcome::invalid(Detail::NoOut));
        }
        let mut room = loaded::Room { memory: unsafe { Memory::over(memory, cap) }, given: true, needed: 0 };
        let loaded = unsafe { load(context, name, options, &mut room) };
        let len = match &loaded {
            Ok((loaded, _)) => loaded.len,
            Err(outcome) if outcome.status == STEADFAST_E_TOO_LARGE => usize::try_from(room.needed).unwrap_or(usize::MAX),
            Err(outcome) => return Err(*outcome),
        };
        unsafe { out_len.write(len) };
        loaded.map(|(_, outcome)| outcome)
    };
    unsafe { reported(name, report, call) }
}

/// # Safety
/// `context` and `options` are NULL or the caller's.
unsafe fn load(
    context: *const steadfast_context,
    path: &CStr,
    options: *const steadfast_load_options,
    room: &mut loaded::Room<'_>,
) -> Result<(loaded::Loaded, Outcome), Outcome> {
    let request = load_request(unsafe { read_sized(options, 12) }?.as_ref())?;
    path::check(path.to_bytes())?;
    let start = unsafe { context::borrow(context) }.start()?;
    // A state that was verified may be refused afterwards, for its schema.
    load::load(&start, path, &request, room).inspect_err(|_| room.memory.clear())
}

/// What the options ask for.
pub(super) fn load_request(options: Option<&steadfast_load_options>) -> Result<LoadRequest, Outcome> {
    let Some(options) = options else { return Ok(LoadRequest::default()) };
    LoadRequest { flags: options.flags, schema: options.schema, max_len: options.max_len }.check(LOAD_ALL)
}

/// A loaded state for C.
///
/// # Safety
/// `record` is the whole record.
pub(super) unsafe fn state_of(loaded: &loaded::Loaded, record: *mut u8, size: usize) -> steadfast_state {
    steadfast_state { data: unsafe { record.add(HEADER) }.cast(), ..about(loaded, size) }
}

/// What there is to say about a loaded state, without its payload.
pub(super) fn about(loaded: &loaded::Loaded, size: usize) -> steadfast_state {
    steadfast_state {
        size,
        data: core::ptr::null_mut(),
        len: loaded.len,
        generation: loaded.fields.generation,
        saved_at_ns: loaded.fields.saved_at_ns,
        schema: loaded.fields.schema,
        source: if loaded.previous { STEADFAST_SOURCE_PREVIOUS } else { STEADFAST_SOURCE_CURRENT },
        sha256: loaded.sha256,
    }
}

/// Frees what steadfast_state_load put into `state` and zeroes the struct except for its size. NULL is allowed, and so
/// is a struct that was freed or zeroed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_state_free(state: *mut steadfast_state) {
    if state.is_null() {
        return;
    }
    unsafe {
        if state.cast::<usize>().read() < core::mem::offset_of!(steadfast_state, len) {
            return;
        }
        let data = (*state).data.cast::<u8>();
        if !data.is_null() {
            mem::free(data.sub(HEADER));
        }
        let size = state.cast::<usize>().read().min(size_of::<steadfast_state>());
        let keep = size_of::<usize>();
        core::ptr::write_bytes(state.cast::<u8>().add(keep), 0, size.saturating_sub(keep));
    }
}
