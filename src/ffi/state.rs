//! State files.

use super::call::{bad_path, borrow_path, parse_path, reported};
use super::context::{self, steadfast_context};
use super::sized::{invalid, read_sized, write_sized};
use super::status::steadfast_report;
use crate::file::path::{self, Path};
use crate::hooks::{ECANCELED, Errno};
use crate::mem::{self, Buffer};
use crate::state::format::HEADER;
use crate::state::options::*;
use crate::state::resolve::Session;
use crate::state::{batch, load, sequence};
use crate::status::*;
use core::ffi::{CStr, c_char, c_void};
use core::ptr::NonNull;

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
    /// With STEADFAST_SAVE_IF_GENERATION; 0 means "no state there yet, and no previous one".
    pub expected_generation: u64,
    /// How long to wait for other savers of the same state, and for whoever holds its flock or a lease on it, in
    /// milliseconds; 0 means 10,000, a negative one waits for ever.
    pub timeout_ms: i64,
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
    /// The longest payload accepted, in bytes; 0 means 1 GiB for steadfast_state_load and no limit but the caller's memory
    /// for steadfast_state_load_into.
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
        let data = unsafe { borrow_data(data, len) }?;
        let request = save_request(data, options.as_ref(), SAVE_ALL & !STEADFAST_SAVE_SYNCFS)?;
        let mut path = Path::empty();
        parse_path(&mut path, name.to_bytes())?;
        request.check_name(path.name())?;
        let mut session = Session::new(unsafe { context::borrow(context) }.start()?);
        sequence::save(&mut session, &mut path, &request)
    };
    unsafe { reported(name, report, call) }
}

/// # Safety
/// `data` is NULL or readable for `len` bytes as long as the answer lives.
unsafe fn borrow_data<'a>(data: *const c_void, len: usize) -> Result<&'a [u8], Outcome> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() || len > isize::MAX as usize {
        return Err(invalid(Detail::NoData));
    }
    Ok(unsafe { core::slice::from_raw_parts(data.cast::<u8>(), len) })
}

fn save_request<'a>(data: &'a [u8], options: Option<&steadfast_save_options>, known: u32) -> Result<SaveRequest<'a>, Outcome> {
    let mut request = SaveRequest { data, flags: 0, mode: 0, schema: 0, expected_generation: 0, timeout_ms: DEFAULT_TIMEOUT_MS };
    let Some(options) = options else { return Ok(request) };
    request.flags = options.flags;
    request.mode = options.mode;
    request.schema = options.schema;
    request.expected_generation = options.expected_generation;
    if options.timeout_ms != 0 {
        request.timeout_ms = options.timeout_ms;
    }
    if request.flags & !known != 0 {
        return Err(invalid(Detail::UnknownFlag));
    }
    if request.skips_sync() && request.has(STEADFAST_SAVE_STRICT | STEADFAST_SAVE_SYNCFS) {
        return Err(invalid(Detail::Contradiction));
    }
    if options.reserved != 0 || request.mode & !0o6777 != 0 {
        return Err(invalid(Detail::BadMember));
    }
    if request.expected_generation != 0 && !request.swaps() {
        return Err(invalid(Detail::ExpectedAlone));
    }
    Ok(request)
}

/// One state of steadfast_state_save_batch.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_save_entry {
    /// sizeof(steadfast_save_entry), the same in all entries of a call; at least up to and without `step`.
    pub size: usize,
    /// Where to save it.
    pub path: *const c_char,
    /// What to save: `len` bytes.
    pub data: *const c_void,
    /// Length in bytes.
    pub len: usize,
    /// Set by the call: what steadfast_state_save would have returned for it.
    pub status: i32,
    /// Set by the call: errno of the call that failed, 0 when none did.
    pub os_error: i32,
    /// Set by the call: the generation written, or with STEADFAST_E_CONFLICT the one that is there.
    pub generation: u64,
    /// Set by the call: STEADFAST_STEP_*.
    pub step: i32,
    /// Set by the call: STEADFAST_ON_DISK_*.
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
        let entry = unsafe { &*self.at(number) };
        unsafe { Ok((borrow_path(entry.path), borrow_data(entry.data, entry.len)?)) }
    }

    fn set(&mut self, number: usize, outcome: &Outcome) {
        let entry = self.at(number);
        unsafe {
            (*entry).status = outcome.status;
            (*entry).os_error = outcome.os_error;
            (*entry).generation = outcome.generation;
            if self.size >= size_of::<steadfast_save_entry>() {
                (*entry).step = outcome.step;
                (*entry).on_disk = outcome.on_disk;
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

/// Saves many states in one call, faster than one after the other: all are written before the first is synced, from 200
/// on those of a group are synced at once, and each directory is synced once. Each is atomic and durable for itself;
/// there is no promise across them.
///
/// `options` are those of all. With STEADFAST_SAVE_SYNCFS one syncfs(2) for each file system takes the place of one
/// fsync for each file: faster for many, but it also flushes what others have written there. A path that comes twice is
/// saved twice, in order. At most some 260 descriptors are open at once, and fewer where the limit is lower.
///
/// Every entry gets its own `status`, `os_error`, `generation`, `step` and `on_disk`, with the meanings of
/// steadfast_state_save; a bad entry alone is that entry's own status, and the others go on. Returns 0 if every entry has
/// status 0. Otherwise returns the first negative status or, if there is none, the first positive one; the report describes
/// that entry.
///
/// A batch that is refused whole saves nothing, and sets every entry's status to -ECANCELED: -EINVAL with the report's step
/// STEADFAST_STEP_ARGUMENTS (options; entries that are NULL, or whose sizes are too small or differ: these cannot be
/// written to), -ENOMEM with STEADFAST_STEP_ALLOCATE.
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
            return save_request(&[], options.as_ref(), SAVE_ALL).map(|_| Outcome::new(STEADFAST_OK));
        }
        if entries.is_null() {
            return Err(invalid(Detail::NoData));
        }
        let mut entries = Entries { first: entries, size: unsafe { entries.cast::<usize>().read() }, count };
        let mut sizes = (0..count).map(|number| unsafe { entries.at(number).cast::<usize>().read() });
        if entries.size < ENTRY_MINIMUM || !sizes.all(|size| size == entries.size) {
            return Err(invalid(Detail::StructTooSmall));
        }
        let request = || save_request(&[], unsafe { read_sized(options, 12) }?.as_ref(), SAVE_ALL);
        let start = || unsafe { context::borrow(context) }.start();
        let saved = request()
            .and_then(|request| batch::save_batch(Session::new(start()?), &mut entries, &request))
            .inspect_err(|_| entries.refuse());
        let (mut outcome, worst) = saved?;
        name = unsafe { borrow_path((*entries.at(worst)).path) };
        if outcome.step == STEADFAST_STEP_ARGUMENTS {
            // Only a batch that is refused whole has that step.
            outcome.step = STEADFAST_STEP_NONE;
        }
        Ok(outcome)
    };
    let outcome = call();
    unsafe { reported(name, report, || outcome) }
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
/// format; _E_SCHEMA; _E_TOO_LARGE: longer than max_len, found before memory is taken; _E_NOT_REGULAR (a
/// device is read from once before that is found);
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
        if out.is_null() || unsafe { out.cast::<usize>().read() } < core::mem::offset_of!(steadfast_state, generation) {
            return Err(invalid(Detail::NoOut));
        }
        let mut room = load::Room { memory: Buffer::none(), given: false, needed: 0 };
        let (loaded, outcome) = unsafe { load(context, name, options, &mut room) }?;
        let record = room.memory.into_raw();
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

/// Loads the state at `path` into memory of the caller's: `cap` bytes at `buf`. Nothing is allocated.
///
/// Otherwise it behaves like steadfast_state_load, except that no NUL is appended, the generation is available only in the
/// report, and without max_len there is no limit but `cap`. `*out_len` gets the length of the payload; when that is more than `cap` (or max_len) allows, the
/// call returns STEADFAST_E_TOO_LARGE and `*out_len` is the length needed. A call with `cap` 0 asks for it. After any
/// other error `*out_len` is as it was, and no byte of an unverified payload stays in `buf`: what was written to is zeroed.
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
            return Err(invalid(Detail::NoOut));
        };
        if out_len.is_null() || cap > isize::MAX as usize {
            return Err(invalid(Detail::NoOut));
        }
        let mut room = load::Room { memory: unsafe { Buffer::over(memory, cap) }, given: true, needed: 0 };
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
    room: &mut load::Room,
) -> Result<(load::Loaded, Outcome), Outcome> {
    let mut request = LoadRequest { flags: 0, schema: 0, max_len: 0 };
    if let Some(options) = unsafe { read_sized(options, 12) }? {
        request = LoadRequest { flags: options.flags, schema: options.schema, max_len: options.max_len };
    }
    if request.flags & !LOAD_ALL != 0 {
        return Err(invalid(Detail::UnknownFlag));
    }
    path::split(path.to_bytes()).map_err(bad_path)?;
    load::load(&unsafe { context::borrow(context) }.start()?, path, &request, room)
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
            mem::free(data.sub(HEADER));
        }
        let size = state.cast::<usize>().read().min(size_of::<steadfast_state>());
        let keep = size_of::<usize>();
        core::ptr::write_bytes(state.cast::<u8>().add(keep), 0, size.saturating_sub(keep));
    }
}
