//! Saving one state.

use super::call::{borrow_path, reported};
use super::context::{self, steadfast_context};
use super::sized::read_sized;
use super::status::steadfast_report;
use crate::file::path::Path;
use crate::state::options::*;
use crate::state::resolve::Session;
use crate::state::sequence;
use crate::status::*;
use core::ffi::{c_char, c_void};

/// How to save. Zero is the default of every member.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_save_options {
    /// sizeof(steadfast_save_options).
    pub size: usize,
    /// STEADFAST_SAVE_*.
    pub flags: u32,
    /// Permission bits of a new file, whatever the umask; 0 means 0600. An existing file keeps its own, unless
    /// STEADFAST_SAVE_SET_MODE is among the flags.
    pub mode: u32,
    /// The caller's own format number, stored and handed back.
    pub schema: u32,
    /// 0.
    pub reserved: u32,
    /// With STEADFAST_SAVE_IF_GENERATION: the generation that must be there. 0 means that there must be neither PATH
    /// nor PATH.prev. Without the flag it must be 0.
    pub expected_generation: u64,
    /// How long to wait for other processes, in milliseconds: 0 means 10,000, a negative value no limit. A save waits
    /// for a lease on the file (fcntl(2)). It waits for the file's flock with IF_GENERATION, KEEP_PREVIOUS or ALTERNATE,
    /// and at a state that alternates; savers hold it with IF_GENERATION and ALTERNATE. So does a removal, and a save
    /// whose sync has failed. In a batch the time is for the whole call, from the first wait on.
    pub timeout_ms: i64,
}

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
///  - STEADFAST_UNVERIFIED: with PLAIN, the new content, durable (NEW); its attribute could not be stored, so no load can verify it.
///    The report's generation is the content tag that a load gives.
///  - STEADFAST_E_SAVED_NOT_DURABLE: with STRICT, the same as NOT_DURABLE after a failed sync of the directory (EITHER).
///  - STEADFAST_E_INDETERMINATE: the rename failed, and it is unknown whether it took effect (EITHER; after a failed
///    sync of the file and with NO_SYNC as above). A load tells.
///  - Every other code below 0: the old state, untouched (OLD). PATH.prev is as it was as well.
///     - STEADFAST_E_NOT_SAVED_DURABLY: with STRICT, the state could not be made durable.
///     - STEADFAST_E_CONFLICT: with IF_GENERATION, another generation is there; with IN_PLACE, another process has replaced the
///       file while it was written: PATH is what that process has saved, and PATH.prev may be a copy of what was there before.
///     - STEADFAST_E_EMPTY, _E_TRUNCATED, _E_TRAILING, _E_DIGEST, _E_FORMAT, _E_NEWER: with IF_GENERATION, the file
///       that is there has no generation to compare with, and there is no verified PATH.prev either.
///     - STEADFAST_E_BUSY: another process kept the file busy for longer than timeout_ms.
///     - STEADFAST_E_SYMLINK, _E_NOT_REGULAR: what is at PATH is no regular file.
///     - STEADFAST_E_UNSUPPORTED: with IF_GENERATION, there is no flock here, or with PLAIN none that all machines see; with
///       PLAIN and STRICT, the attribute cannot be stored; with IN_PLACE, no PATH.prev can be made.
///     - STEADFAST_E_HOOK, _E_INTERNAL.
///     - -EBUSY: PATH is a mount point. -EFBIG: the file would exceed RLIMIT_FSIZE. -EOVERFLOW: the generation has
///       reached its last number. -ENAMETOOLONG: with KEEP_PREVIOUS, ".prev" does not fit behind the name. -EINVAL: an
///       argument is invalid.
///     - Another negated errno: of the call that the report's step names.
///
/// Plain files. With PLAIN the file holds `data` and nothing else. Other programs may write it as well, so IF_GENERATION takes
/// the directory's flock, exchanges the names of the new file and the old one, and looks at what came out: if it is not the
/// file that was compared with, it goes back, and the result is STEADFAST_E_CONFLICT. For that moment a reader may see the
/// refused content. An edit in place, without a rename, can still be lost; so can any edit where names cannot be exchanged
/// (renameat2(2)). A saver that is killed may leave somebody's edit beside the file, as `.NAME.N.edit`; the next save of this kind
/// says so in its message, and leaves it. The number of a record counts for a plain file that replaces it, and the other
/// way round.
///
/// Permissions. A file that is replaced hands on its owner, group, mode and POSIX access ACL. Where one of them cannot
/// be kept, nobody may do more with the new file than with the old one, unless STEADFAST_SAVE_SET_MODE says so: the
/// group and the others lose what they would gain. Without the owner or the group the set-user-ID or set-group-ID bit is
/// removed. Other extended attributes are kept with STEADFAST_SAVE_KEEP_ATTRIBUTES, other hard links are not. If the file
/// system ignores chmod(2), the result is 0 and the message says so; if the file would be open to more than the old one, it is
/// the errno of fchmod(2). The temporary file has mode 0600 until it has its permissions.
///
/// Generations. The report's generation is the number of the new state: 1 if there was neither PATH nor PATH.prev, 1
/// more than the verified one at PATH, and with KEEP_PREVIOUS or IF_GENERATION 1 more than the higher one of PATH and
/// PATH.prev. Over anything else (damage, a foreign file, only a PATH.prev) it is the clock in microseconds, or 1 more
/// than PATH.prev's if that is higher. So a number does not come again after damage or loss. It can after
/// steadfast_state_remove, and after a power cut that took an unsynced save back. Where PATH is missing or damaged, IF_GENERATION
/// compares with a verified PATH.prev, so that what STEADFAST_LOAD_RECOVER gave can be saved again.
///
/// Threads and processes may save to one path at the same time; the last rename wins. Without IF_GENERATION two of them may
/// get the same number, and one with a lower number may replace one with a higher one. Fork: parent and child may both go on.
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
        let request = save_request(data, options.as_ref(), SAVE_ONE)?;
        let mut path = Path::empty();
        path.parse(name.to_bytes())?;
        request.check_name(path.name())?;
        let mut session = Session::new(unsafe { context::borrow(context) }.start()?, request.timeout_ms);
        sequence::save(&mut session, &mut path, &request)
    };
    unsafe { reported(name, report, call) }
}

/// # Safety
/// `data` is NULL or readable for `len` bytes as long as the answer lives.
pub(super) unsafe fn borrow_data<'a>(data: *const c_void, len: usize) -> Result<&'a [u8], Outcome> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() || len > isize::MAX as usize {
        return Err(Outcome::invalid(Detail::NoData));
    }
    Ok(unsafe { core::slice::from_raw_parts(data.cast::<u8>(), len) })
}

/// What the options ask for; bits that are not `known` are refused.
pub(super) fn save_request<'a>(
    data: &'a [u8],
    options: Option<&steadfast_save_options>,
    known: u32,
) -> Result<SaveRequest<'a>, Outcome> {
    let mut request = SaveRequest::new(data);
    if let Some(options) = options {
        request.flags = options.flags;
        request.mode = options.mode;
        request.schema = options.schema;
        request.expected_generation = options.expected_generation;
        if options.timeout_ms != 0 {
            request.timeout_ms = options.timeout_ms;
        }
        if options.reserved != 0 {
            return Err(Outcome::invalid(Detail::BadMember));
        }
    }
    request.check(known)
}
