//! Reading parts of a state.

use super::call::{borrow_path, reported, set_null};
use super::context::{self, steadfast_context};
use super::load::{about as about_loaded, load_request, steadfast_load_options, steadfast_state};
use super::sized::{read_sized, write_sized};
use super::status::steadfast_report;
use crate::file::path::{self, PATH_MAX};
use crate::mem::{self, Buffer, Memory, Text};
use crate::state::reader::Reader;
use crate::status::*;
use core::ffi::{c_char, c_void};
use core::ptr::NonNull;

/// A verified state that is read in parts. One thread uses it at a time; another may go on with it.
#[allow(non_camel_case_types)]
pub struct steadfast_reader {
    /// It borrows from its context, which outlives it.
    reader: Reader<'static>,
    path: Text<PATH_MAX>,
}

/// Opens the state at `path` and verifies all of it, to read parts of it. The length does not matter: the reader needs less than
/// 1 MiB of memory, and 35 bytes for each MiB of the state.
///
/// The reader keeps the state that it has verified: a save meanwhile replaces the file and does not change this one.
///
///  - `context`: NULL for the default. It must live as long as the reader.
///  - `path`, `options`: as for steadfast_state_load, but that max_len 0 is no limit. With STEADFAST_LOAD_PLAIN a file that is
///    CHANGED or UNVERIFIED can be read as well, as it was when it was opened.
///  - `out`: gets the reader, which steadfast_reader_close frees; NULL after an error.
///  - `about`: NULL, or its `size` must be set. It gets what steadfast_state_load would say of the state; `data` is NULL. There is
///    nothing to free.
///  - `report`: NULL for the default.
///
/// Returns what steadfast_state_load returns: 0, STEADFAST_RECOVERED for PATH.prev, STEADFAST_UNVERIFIED or _CHANGED, or an
/// error. Nothing on disk changes.
///
/// Fork: a child may go on with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_reader_open(
    context: *const steadfast_context,
    path: *const c_char,
    options: *const steadfast_load_options,
    out: *mut *mut steadfast_reader,
    about: *mut steadfast_state,
    report: *mut steadfast_report,
) -> i32 {
    let name = unsafe { borrow_path(path) };
    unsafe { set_null(out) };
    let call = || {
        let request = load_request(unsafe { read_sized(options, 12) }?.as_ref())?;
        let minimum = core::mem::offset_of!(steadfast_state, generation);
        if out.is_null() || (!about.is_null() && unsafe { about.cast::<usize>().read() } < minimum) {
            return Err(Outcome::invalid(Detail::NoOut));
        }
        path::check(name.to_bytes())?;
        let path = Text::of(&[name.to_bytes()]).at(STEADFAST_STEP_ARGUMENTS)?;
        let memory = Buffer::new(size_of::<steadfast_reader>()).at(STEADFAST_STEP_ALLOCATE)?;
        let borrowed: &'static steadfast_context = unsafe { context::borrow(context) };
        let (reader, loaded, outcome) = Reader::open(&borrowed.start()?, name, &request)?;
        let made = memory.into_raw().cast::<steadfast_reader>();
        unsafe {
            made.write(steadfast_reader { reader, path });
            out.write(made);
            if !about.is_null() {
                write_sized(about, about_loaded(&loaded, 0));
            }
        }
        Ok(outcome)
    };
    unsafe { reported(name, report, call) }
}

/// Reads from the payload. Every byte that it gives is one that was hashed when the reader was opened, whoever writes into the
/// file meanwhile: the 960 KiB around it are read and hashed again, but for those that were read last.
///
///  - `offset`: in the payload, in bytes.
///  - `buf`, `cap`: `cap` bytes; `buf` may be NULL if `cap` is 0.
///  - `out_len`: gets how many bytes were read. It is less than `cap` at the end of the payload only, and 0 there and beyond.
///    Unchanged after an error; `buf` may then have the first of the bytes.
///  - `report`: NULL for the default.
///
/// Returns:
///  - 0.
///  - STEADFAST_E_DIGEST: the file was changed in place since.
///  - -EBADF: the program closed the reader's descriptor (closefrom).
///  - -EINVAL: an argument is invalid. Another negated errno: of the call that the report's step names.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_reader_read(
    reader: *mut steadfast_reader,
    offset: u64,
    buf: *mut c_void,
    cap: usize,
    out_len: *mut usize,
    report: *mut steadfast_report,
) -> i32 {
    let Some(steadfast_reader { reader, path }) = (unsafe { reader.as_mut() }) else {
        return unsafe { reported(c"(no reader)", report, || Err(Outcome::invalid(Detail::NoHandle))) };
    };
    let call = || {
        let memory = NonNull::new(buf.cast::<u8>()).or((cap == 0).then_some(NonNull::dangling()));
        let Some(memory) = memory.filter(|_| !out_len.is_null() && cap <= isize::MAX as usize) else {
            return Err(Outcome::invalid(Detail::NoOut));
        };
        let mut memory = unsafe { Memory::over(memory, cap) };
        let outcome = reader.read(offset, &mut memory)?;
        unsafe { out_len.write(memory.bytes().len()) };
        Ok(outcome)
    };
    unsafe { reported(path.c_str(), report, call) }
}

/// Closes a reader and frees it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_reader_close(reader: *mut steadfast_reader) {
    if !reader.is_null() {
        unsafe { mem::unboxed(reader) }.reader.close();
    }
}
