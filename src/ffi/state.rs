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

/// How to save. Zero is the default of every member.
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
    /// With STEADFAST_SAVE_IF_GENERATION: the generation that must be there. 0 means that there must be neither PATH
    /// nor PATH.prev. Without the flag it must be 0.
    pub expected_generation: u64,
    /// How long to wait for other processes, in milliseconds: 0 means 10,000, a negative value no limit. A save waits
    /// for a lease on the file (fcntl(2)), and with IF_GENERATION for its flock, which savers of that kind hold. In a
    /// batch it is for each state.
    pub timeout_ms: i64,
}

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
    /// The longest payload to accept, in bytes. 0 means 1 GiB for steadfast_state_load, and no limit but `cap` for
    /// steadfast_state_load_into.
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

/// Saves `len` bytes at `path`: after a crash at any moment a reader finds the old state or the new one, whole.
///
/// The call writes a temporary file in the same directory, syncs it, renames it over `path` and syncs the directory. A
/// save of equal bytes is still a save.
///
///  - `context`: NULL for the default.
///  - `path`: its directory must be writable and readable.
///  - `data`, `len`: the payload, in bytes; (NULL, 0) is legal. It must not change during the call.
///  - `options`, `report`: NULL for the defaults.
///
/// Returns, and what a power cut then leaves (the report's on_disk):
///  - 0: the new state (NEW).
///  - STEADFAST_NOT_DURABLE: every reader finds the new state. The report's step and os_error name the sync that
///    failed; step 0 means that no sync was wanted or that the platform cannot sync a directory. After a failed sync of
///    the file the old state is kept as PATH.prev. A power cut leaves one of the two (EITHER), or perhaps no whole
///    state (UNKNOWN): if the old one could not be kept, or with NO_SYNC unless KEEP_PREVIOUS keeps a durable one.
///  - STEADFAST_E_SAVED_NOT_DURABLE: with STRICT, the same after a failed sync of the directory (EITHER).
///  - STEADFAST_E_INDETERMINATE: the rename failed, and it is unknown whether it took effect (EITHER, with NO_SYNC as
///    above). A load tells.
///  - Every other code below 0: the old state, untouched (OLD). PATH.prev is as it was as well.
///     - STEADFAST_E_NOT_SAVED_DURABLY: with STRICT, the state could not be made durable.
///     - STEADFAST_E_CONFLICT: with IF_GENERATION, another generation is there.
///     - STEADFAST_E_EMPTY, _E_TRUNCATED, _E_TRAILING, _E_DIGEST, _E_FORMAT, _E_NEWER: with IF_GENERATION, the file
///       that is there has no generation to compare with, and there is no verified PATH.prev either.
///     - STEADFAST_E_BUSY: another process kept the file busy for longer than timeout_ms.
///     - STEADFAST_E_SYMLINK, _E_NOT_REGULAR: what is at PATH is no regular file.
///     - STEADFAST_E_UNSUPPORTED: with IF_GENERATION, there is no flock here.
///     - STEADFAST_E_HOOK, _E_INTERNAL.
///     - -EBUSY: PATH is a mount point. -EFBIG: the file would exceed RLIMIT_FSIZE. -EOVERFLOW: the generation has
///       reached its last number. -ENAMETOOLONG: with KEEP_PREVIOUS, ".prev" does not fit behind the name. -EINVAL: an
///       argument is invalid.
///     - Another negated errno: of the call that the report's step names.
///
/// Permissions. A file that is replaced hands on its owner, group, mode and POSIX access ACL. Where one of them cannot
/// be kept, nobody may do more with the new file than with the old one: the group and the others lose what they would
/// gain, and a set-id bit goes with its owner or group. Other extended attributes and other hard links are not kept. If
/// the file system fixes modes, the result is 0 and the message says so; if the file would be open to more than the old
/// one, it is the errno of fchmod(2). The temporary file has mode 0600 until it has its permissions.
///
/// Generations. The report's generation is the number of the new state: 1 if there was neither PATH nor PATH.prev, 1
/// more than the verified one at PATH, and with KEEP_PREVIOUS or IF_GENERATION 1 more than the higher one of PATH and
/// PATH.prev. Over anything else (damage, a foreign file, only a PATH.prev) it is the clock in microseconds, or 1 more
/// than PATH.prev's if that is higher. So a number never comes again. Where PATH is missing or damaged, IF_GENERATION
/// compares with a verified PATH.prev, so that what STEADFAST_LOAD_RECOVER gave can be saved again.
///
/// Threads and processes may save to one path at the same time; the last rename wins. Such plain saves may be published
/// in another order than they were counted; saves with IF_GENERATION are not. Fork: parent and child may both go on.
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
        let mut session = Session::new(unsafe { context::borrow(context) }.start()?, request.timeout_ms);
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
            .and_then(|request| batch::save_batch(Session::new(start()?, request.timeout_ms), &mut entries, &request))
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
///  - -ENOENT: there is no state and no previous one.
///  - STEADFAST_E_LOST: there is no state, but a previous one.
///  - STEADFAST_E_EMPTY, _E_TRUNCATED, _E_TRAILING, _E_DIGEST: the state is damaged.
///  - STEADFAST_E_FORMAT: not a state file. _E_NEWER: intact, in a later format. _E_SCHEMA: intact, with another
///    schema.
///  - STEADFAST_E_TOO_LARGE: longer than max_len. No memory of that length was allocated.
///  - STEADFAST_E_NOT_REGULAR: no regular file. A device is read from once before the library finds that out.
///  - STEADFAST_E_BUSY: another process kept a lease on the file (fcntl(2)) for 10 seconds.
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
