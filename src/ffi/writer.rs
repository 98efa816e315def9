//! Writing a state piece by piece.

use super::call::{borrow_path, reported, set_null};
use super::context::{self, steadfast_context};
use super::save::{borrow_data, save_request, steadfast_save_options};
use super::sized::read_sized;
use super::status::steadfast_report;
use crate::file::path::{PATH_MAX, Path};
use crate::mem::{self, Buffer, Text};
use crate::state::options::*;
use crate::state::resolve::Session;
use crate::state::writer::Writer;
use crate::status::*;
use core::ffi::{CStr, c_char, c_void};

/// A state that is being written piece by piece. One thread uses it at a time; another may go on with it. It belongs to the
/// process that opened it.
#[allow(non_camel_case_types)]
pub struct steadfast_writer {
    /// It borrows from its context, which outlives it.
    writer: Writer<'static>,
    path: Text<PATH_MAX>,
}

/// Without a writer there is no path to name.
const NO_WRITER: &CStr = c"(no writer)";

/// Begins to save a state of any length at `path`, piece by piece. Nothing is seen at PATH before the commit.
///
/// The pieces go to a temporary file in the same directory. The writer needs less than 1 MiB of memory, whatever the length.
///
///  - `context`: NULL for the default. It must live as long as the writer.
///  - `path`: as for steadfast_state_save. It is followed now, links at its end included: the commit saves in the directory that
///    is found now, also when that is renamed meanwhile or the working directory changes.
///  - `options`: NULL for the defaults. The flags are those of steadfast_state_save, but for STEADFAST_SAVE_IN_PLACE, which is
///    -EINVAL as SYNCFS is. With STEADFAST_SAVE_IF_GENERATION the commit compares, and `timeout_ms` is for each of the two calls.
///  - `out`: gets the writer, which steadfast_writer_commit or steadfast_writer_abort frees; NULL after an error.
///  - `report`: NULL for the default.
///
/// Returns 0, or an error of steadfast_state_save. Nothing at PATH changes, but directories of
/// STEADFAST_SAVE_CREATE_PARENTS stay.
///
/// If the process dies, the next save at PATH removes the temporary file. Fork: the writer stays the parent's. In a
/// child every call is STEADFAST_E_WRONG_PROCESS; steadfast_writer_commit and steadfast_writer_abort free its memory and close its
/// descriptors there, and leave the parent's as they are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_writer_open(
    context: *const steadfast_context,
    path: *const c_char,
    options: *const steadfast_save_options,
    out: *mut *mut steadfast_writer,
    report: *mut steadfast_report,
) -> i32 {
    let name = unsafe { borrow_path(path) };
    unsafe { set_null(out) };
    let call = || {
        let request = save_request(&[], unsafe { read_sized(options, 12) }?.as_ref(), SAVE_PIECES)?;
        if out.is_null() {
            return Err(Outcome::invalid(Detail::NoOut));
        }
        let mut path = Path::empty();
        path.parse(name.to_bytes())?;
        request.check_name(path.name())?;
        let memory = Buffer::new(size_of::<steadfast_writer>()).at(STEADFAST_STEP_ALLOCATE)?;
        let borrowed: &'static steadfast_context = unsafe { context::borrow(context) };
        let mut session = Session::new(borrowed.start()?, request.timeout_ms);
        let writer = Writer::open(&mut session, &mut path, request)?;
        let path = Text::of(&[name.to_bytes()]).at(STEADFAST_STEP_ARGUMENTS)?;
        let made = memory.into_raw().cast::<steadfast_writer>();
        unsafe {
            made.write(steadfast_writer { writer, path });
            out.write(made);
        }
        Ok(Outcome::new(STEADFAST_OK))
    };
    unsafe { reported(name, report, call) }
}

/// Appends `len` bytes to the payload.
///
///  - `data`, `len`: in bytes; (NULL, 0) is legal.
///  - `report`: NULL for the default.
///
/// Returns 0, or below 0 an error that every later call has as well, the commit too: a program may write without looking, and
/// ask the commit.
///  - -ENOSPC, -EDQUOT, -EIO or another negated errno of write(2). -EFBIG: the file would exceed RLIMIT_FSIZE.
///  - -EBADF: the program closed a descriptor of the writer's (closefrom). No other file was written to.
///  - -EINVAL: an argument is invalid. If `writer` is NULL, nothing keeps the error.
///  - STEADFAST_E_WRONG_PROCESS: this is a forked child. The parent's writer does not get this error.
///
/// Nothing at PATH changes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_writer_write(
    writer: *mut steadfast_writer,
    data: *const c_void,
    len: usize,
    report: *mut steadfast_report,
) -> i32 {
    let Some(writer) = (unsafe { writer.as_mut() }) else { return unsafe { no_writer(report) } };
    let steadfast_writer { writer, path } = writer;
    let call = || {
        let data = unsafe { borrow_data(data, len) }.map_err(|outcome| writer.fail(outcome))?;
        writer.write(data)
    };
    unsafe { reported(path.c_str(), report, call) }
}

/// The writer's descriptor, to write to it with other means: write(2), splice(2), sendfile(2), fdopen(3) of a dup(2).
///
/// Its position is the end of what was written, and it is shared: steadfast_writer_write goes on where the caller ended. At
/// the commit, the payload is what the file has after its first 256 bytes, which are the library's; with
/// STEADFAST_SAVE_PLAIN it is the whole file. The descriptor has no O_APPEND, which splice(2) refuses. It is close-on-exec and
/// never 0, 1 or 2.
///
///  - `out`: gets the descriptor. It belongs to the writer: do not close it. Do not sync it either: a failed sync would be told
///    once only. It cannot be used after the commit, and nobody may write to it any more when the commit begins: flush a FILE
///    before.
///  - `report`: NULL for the default.
///
/// Returns 0, -EINVAL, an earlier error, or STEADFAST_E_WRONG_PROCESS. A writer whose descriptor was asked for is not saved if
/// the sync of the file fails: see steadfast_writer_commit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_writer_fd(writer: *mut steadfast_writer, out: *mut i32, report: *mut steadfast_report) -> i32 {
    let Some(writer) = (unsafe { writer.as_mut() }) else { return unsafe { no_writer(report) } };
    let steadfast_writer { writer, path } = writer;
    let call = || {
        if out.is_null() {
            return Err(Outcome::invalid(Detail::NoOut));
        }
        unsafe { out.write(writer.descriptor()?.raw()) };
        Ok(Outcome::new(STEADFAST_OK))
    };
    unsafe { reported(path.c_str(), report, call) }
}

/// Saves what was written, as steadfast_state_save would, and frees the writer in any case.
///
/// The payload is hashed now, by reading it back from the file while the device writes it. With STEADFAST_SAVE_PLAIN it was
/// hashed while it was written, and is read back only after steadfast_writer_fd.
///
///  - `writer`: not to be used any more.
///  - `report`: NULL for the default. It is as for steadfast_state_save.
///
/// Returns what steadfast_state_save returns, with the same on disk. After every error below 0 but the two that admit it
/// (STEADFAST_E_SAVED_NOT_DURABLE and _E_INDETERMINATE) the old state is untouched, and the temporary file is removed. Besides:
///  - The error of an earlier call (OLD).
///  - STEADFAST_E_CONFLICT: with IF_GENERATION, another generation is there by now (OLD).
///  - STEADFAST_E_SYMLINK: a link was put in the place of the state after the writer was opened, whatever the flags (OLD).
///  - STEADFAST_E_DIGEST: after a failed sync, for a record also with NO_SYNC, the file does not hold what was written (OLD).
///  - STEADFAST_E_TRAILING, _E_TRUNCATED: the file is longer or shorter than what was written: somebody else wrote to it, or
///    somebody wrote to the descriptor while the payload was hashed (OLD).
///  - STEADFAST_E_NOT_SAVED_DURABLY: also without STRICT, if the sync of the file failed after steadfast_writer_fd: nobody knows
///    whether the file still holds what was written to its descriptor (OLD).
///  - -EBADF: the program closed a descriptor of the writer's (closefrom). The temporary file is left for the next save (OLD).
///  - STEADFAST_E_WRONG_PROCESS: this is a forked child. The parent's writer and its file are untouched (OLD).
///  - -EINVAL: `writer` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_writer_commit(writer: *mut steadfast_writer, report: *mut steadfast_report) -> i32 {
    if writer.is_null() {
        return unsafe { no_writer(report) };
    }
    // Its path stays where it is: it is large.
    let path = unsafe { &(*writer).path };
    let mut left = Some(unsafe { (&raw const (*writer).writer).read() });
    let status = unsafe { reported(path.c_str(), report, || left.take().ok_or(Outcome::internal())?.commit()) };
    // A report that is no report: nothing was done.
    left.into_iter().for_each(Writer::abort);
    unsafe { mem::free(writer.cast()) };
    status
}

/// Gives a writer up and frees it: the temporary file is removed, and PATH is as it was. NULL is allowed. If the program closed a
/// descriptor of the writer's (closefrom), the temporary file is left for the next save.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_writer_abort(writer: *mut steadfast_writer) {
    if !writer.is_null() {
        unsafe { mem::unboxed(writer) }.writer.abort();
    }
}

/// # Safety
/// `report` is NULL or the caller's.
unsafe fn no_writer(report: *mut steadfast_report) -> i32 {
    unsafe { reported(NO_WRITER, report, || Err(Outcome::invalid(Detail::NoHandle))) }
}
