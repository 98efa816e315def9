//! State files.

use super::context::{self, steadfast_context};
use super::status::steadfast_report;
use super::{bad_path, borrow_path, invalid, parse_path, read_sized, reported, write_sized};
use crate::hooks::memory;
use crate::path::{self, Path};
use crate::state::record::HEADER;
use crate::state::{load, save};
use crate::status::{Detail, Outcome};
use core::ffi::{c_char, c_void};

/// How to save. Zero, or NULL instead of the struct, is the default everywhere.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_save_options {
    /// sizeof(steadfast_save_options).
    pub size: usize,
    /// STEADFAST_SAVE_*.
    pub flags: u32,
    /// Permission bits of a new file, whatever the umask; 0 means 0600. An existing file keeps its own.
    pub mode: u32,
    /// The caller's own format number, stored and handed back.
    pub schema: u32,
    /// 0.
    pub reserved: u32,
    /// With STEADFAST_SAVE_IF_GENERATION; 0 means "no state there yet".
    pub expected_generation: u64,
}

/// How to load. Zero, or NULL instead of the struct, is the default everywhere.
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
    /// The longest payload accepted, in bytes; 0 means 1 GiB.
    pub max_len: u64,
}

/// A loaded state. Set `size` before the call; give it to steadfast_state_free afterwards.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_state {
    /// sizeof(steadfast_state); at least up to and with `len`.
    pub size: usize,
    /// `len` bytes and one NUL after them, aligned to 16. Owned by the library: do not free(3) it.
    pub data: *mut c_void,
    /// Length in bytes.
    pub len: usize,
    /// Counts the saves.
    pub generation: u64,
    /// When it was saved: nanoseconds since the Unix epoch, by the clock of then.
    pub saved_at_ns: i64,
    /// The caller's own format number.
    pub schema: u32,
    /// STEADFAST_SOURCE_*.
    pub source: u32,
    /// SHA-256 of the record, as its first line gives it.
    pub sha256: [u8; 32],
}

/// steadfast_state.source: PATH itself.
pub const STEADFAST_SOURCE_CURRENT: u32 = 0;
/// steadfast_state.source: PATH.prev.
pub const STEADFAST_SOURCE_PREVIOUS: u32 = 1;

/// Saves `len` bytes at `path`: after a crash at any moment a reader finds the old state or the new one, whole.
///
/// Writes a temporary file in the same directory, syncs it, renames it over `path`, syncs the directory.
/// (NULL, 0) is legal data. A save of equal bytes is still a save. The directory must be writable and
/// readable. An existing file keeps its mode and, where allowed, its owner; its ACLs, other extended
/// attributes and other hard links are not carried over.
///
/// Returns, and what is then on disk:
///  - 0: the new state, durable.
///  - STEADFAST_NOT_DURABLE: the new state is there for every reader; after a power cut either. The report
///    says which sync failed (step, os_error), or that the platform has none.
///  - STEADFAST_E_SAVED_NOT_DURABLE: the same for the directory's sync, with STRICT.
///  - STEADFAST_E_INDETERMINATE: the rename failed and whether it happened cannot be seen: either.
///  - every other code below 0: the old state, untouched. A negated errno of the call that the report's step
///    names; STEADFAST_E_NOT_SAVED_DURABLY (STRICT), _E_CONFLICT and the codes of damage (IF_GENERATION),
///    _E_SYMLINK, _E_NOT_REGULAR, _E_UNSUPPORTED (no flock for IF_GENERATION), _E_HOOK. -EBUSY: the file is a
///    mount point. -EFBIG: RLIMIT_FSIZE; never a signal. -EOVERFLOW: the generation is at its last number.
///    -EINVAL: the arguments.
///
/// Threads may save to one path at once, also through several processes; the last rename wins. With
/// IF_GENERATION exactly one of those that expect the same generation does. After fork both processes go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_state_save(
    context: *const steadfast_context,
    path: *const c_char,
    data: *const c_void,
    len: usize,
    options: *const steadfast_save_options,
    report: *mut steadfast_report,
) -> i32 {
    let name = unsafe { borrow_path(path) };
    let call = || {
        let options = unsafe { read_sized(options, 12) }?;
        let request = save_request(data, len, options.as_ref())?;
        let mut path = Path::EMPTY;
        parse_path(&mut path, name.to_bytes())?;
        save::check_previous_name(path.name(), &request)?;
        save::save(&unsafe { context::borrow(context) }.hooks, &mut path, &request)
    };
    unsafe { reported(name, report, call) }
}

fn save_request<'a>(
    data: *const c_void,
    len: usize,
    options: Option<&steadfast_save_options>,
) -> Result<save::Request<'a>, Outcome> {
    let mut request = save::Request { data: &[], flags: 0, mode: 0, schema: 0, expected_generation: 0 };
    if let Some(options) = options {
        request.flags = options.flags;
        request.mode = options.mode;
        request.schema = options.schema;
        request.expected_generation = options.expected_generation;
        let contradiction = save::STEADFAST_SAVE_STRICT | save::STEADFAST_SAVE_NO_SYNC;
        if request.flags & !save::SAVE_ALL != 0 {
            return Err(invalid(Detail::UNKNOWN_FLAG));
        }
        if request.flags & contradiction == contradiction {
            return Err(invalid(Detail::CONTRADICTION));
        }
        if options.reserved != 0 || request.mode & !0o6777 != 0 {
            return Err(invalid(Detail::BAD_MEMBER));
        }
        if request.expected_generation != 0 && request.flags & save::STEADFAST_SAVE_IF_GENERATION == 0 {
            return Err(invalid(Detail::EXPECTED_ALONE));
        }
    }
    if len > 0 {
        if data.is_null() || len > isize::MAX as usize {
            return Err(invalid(Detail::NO_DATA));
        }
        request.data = unsafe { core::slice::from_raw_parts(data.cast::<u8>(), len) };
    }
    Ok(request)
}

/// Loads the state at `path` and verifies it: what `out` gets is what was saved, to the bit, or nothing.
///
/// `out->size` must be set; the rest is written on success only, and is to be given to steadfast_state_free.
/// Symbolic links are followed. Nothing on disk changes.
///
/// Returns 0; STEADFAST_RECOVERED with STEADFAST_LOAD_RECOVER when the current state is damaged, unreadable
/// (-EIO) or missing and PATH.prev is whole (the report keeps the step and errno that made it necessary);
/// -ENOENT: no state, and no previous one; STEADFAST_E_LOST: no state, but a previous one; _E_EMPTY,
/// _E_TRUNCATED, _E_TRAILING, _E_DIGEST: damaged; _E_FORMAT: not a state file; _E_NEWER: intact, but of a later
/// format; _E_SCHEMA; _E_TOO_LARGE: longer than max_len, found before memory is taken; _E_NOT_REGULAR;
/// -ENOMEM; -EINVAL; or a negated errno.
///
/// Threads: no restriction. A load beside saves gets a state of before or after each of them.
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
        let mut request = load::Request { flags: 0, schema: 0, max_len: 0 };
        if let Some(options) = unsafe { read_sized(options, 12) }? {
            request = load::Request { flags: options.flags, schema: options.schema, max_len: options.max_len };
        }
        if request.flags & !load::LOAD_ALL != 0 {
            return Err(invalid(Detail::UNKNOWN_FLAG));
        }
        if out.is_null() || unsafe { out.cast::<usize>().read() } < core::mem::offset_of!(steadfast_state, generation) {
            return Err(invalid(Detail::NO_OUT));
        }
        path::split(name.to_bytes()).map_err(bad_path)?;
        let (loaded, outcome) = load::load(&unsafe { context::borrow(context) }.hooks, name, &request)?;
        let record = loaded.record.into_raw();
        let state = steadfast_state {
            size: 0,
            data: unsafe { record.add(HEADER) }.cast(),
            len: loaded.len,
            generation: loaded.fields.generation,
            saved_at_ns: loaded.fields.saved_at_ns,
            schema: loaded.fields.schema,
            source: if loaded.previous { STEADFAST_SOURCE_PREVIOUS } else { STEADFAST_SOURCE_CURRENT },
            sha256: loaded.sha256,
        };
        unsafe { write_sized(out, state) };
        Ok(outcome)
    };
    unsafe { reported(name, report, call) }
}

/// Frees what steadfast_state_load put into `state` and zeroes the struct, but for its size. NULL is fine, and
/// so is a struct that was freed or zeroed.
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
            memory::free(data.sub(HEADER));
        }
        let size = state.cast::<usize>().read().min(size_of::<steadfast_state>());
        let keep = size_of::<usize>();
        core::ptr::write_bytes(state.cast::<u8>().add(keep), 0, size.saturating_sub(keep));
    }
}
