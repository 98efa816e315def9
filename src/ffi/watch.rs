//! Watching a state.

use super::call::{borrow_path, reported, set_null};
use super::context::{self, steadfast_context};
use super::load::{load_request, steadfast_load_options};
use super::sized::read_sized;
use super::status::steadfast_report;
use crate::file::deadline::Deadline;
use crate::file::path::{self, PATH_MAX};
use crate::hooks::Unguarded;
use crate::mem::{self, Buffer, Text};
use crate::state::options::*;
use crate::state::watch::Watch;
use crate::status::*;
use core::ffi::c_char;

/// A watch of a state. One thread uses it at a time; another may go on with it.
#[allow(non_camel_case_types)]
pub struct steadfast_watch {
    context: *const steadfast_context,
    request: LoadRequest,
    watch: Watch,
    path: Text<PATH_MAX>,
}

/// Begins to watch the state at `path`: for a generation other than the one that the caller knows.
///
/// The directories on the way are watched, and never the file. So a state that is renamed into place, a link that is pointed
/// elsewhere (Kubernetes' ConfigMaps) and a directory that is replaced, or made later, are all seen. A change in
/// place is seen when the file is closed after it; truncate(2) and stores into a mapping close nothing. There need not be
/// anything at PATH.
///
///  - `context`: NULL for the default. It must live as long as the watch.
///  - `path`: symbolic links are followed.
///  - `options`: NULL for the defaults. Of the flags, STEADFAST_LOAD_RECOVER lets PATH.prev stand for a PATH that is damaged
///    or missing. A plain file is watched with STEADFAST_LOAD_PLAIN; a content tag counts as its generation.
///    STEADFAST_LOAD_REQUIRE_SCHEMA is -EINVAL.
///  - `out`: gets the watch, which steadfast_watch_close frees; NULL after an error.
///  - `report`: NULL for the default.
///
/// Returns 0, -EINVAL, -ENOMEM, or another error for a path that cannot be one. Nothing on disk changes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_watch_open(
    context: *const steadfast_context,
    path: *const c_char,
    options: *const steadfast_load_options,
    out: *mut *mut steadfast_watch,
    report: *mut steadfast_report,
) -> i32 {
    let name = unsafe { borrow_path(path) };
    unsafe { set_null(out) };
    let call = || {
        let request = load_request(unsafe { read_sized(options, 12) }?.as_ref())?.check(LOAD_WATCH)?;
        if out.is_null() {
            return Err(Outcome::invalid(Detail::NoOut));
        }
        path::check(name.to_bytes())?;
        let path = Text::of(&[name.to_bytes()]).at(STEADFAST_STEP_ARGUMENTS)?;
        let memory = Buffer::new(size_of::<steadfast_watch>()).at(STEADFAST_STEP_ALLOCATE)?;
        let start = unsafe { context::borrow(context) }.start()?;
        let mut watch = Watch::new(start.hooks());
        // What happens from now on is told by the descriptor.
        watch.begin(&start, path.c_str(), &request);
        let made = memory.into_raw().cast::<steadfast_watch>();
        unsafe {
            made.write(steadfast_watch { context, request, watch, path });
            out.write(made);
        }
        Ok(Outcome::new(STEADFAST_OK))
    };
    unsafe { reported(name, report, call) }
}

/// Waits until the state has another generation than `known`, and returns at once if it has one already.
///
///  - `known`: the generation that the caller knows; 0: no state.
///  - `timeout_ms`: in milliseconds; 0 looks once, a negative value waits without limit.
///  - `report`: NULL for the default. Its generation is the one that is there.
///
/// Returns:
///  - 0: another generation is there, whole. 0 in the report: none is there any more.
///  - -ETIMEDOUT: it is still the known one.
///  - -EINTR: a signal was handled.
///  - STEADFAST_E_EMPTY, _E_TRUNCATED, _E_TRAILING, _E_DIGEST, _E_FORMAT, _E_NEWER, _E_NOT_REGULAR: the state is damaged,
///    or none. This is told once for each change.
///  - -EINVAL: `watch` is NULL. STEADFAST_E_HOOK, _E_INTERNAL, or a negated errno of the call that the report's step names.
///
/// Changes that follow one another fast may be told as one. A state is read and verified once after each. It sleeps until
/// something happens in a directory on the way. Without inotify, for a file that is a mount point, and on network file systems
/// and FUSE, it looks once a second.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_watch_wait(
    watch: *mut steadfast_watch,
    known: u64,
    timeout_ms: i64,
    report: *mut steadfast_report,
) -> i32 {
    let Some(watch) = (unsafe { watch.as_mut() }) else {
        return unsafe { reported(c"(no watch)", report, || Err(Outcome::invalid(Detail::NoHandle))) };
    };
    let steadfast_watch { context, request, watch, path } = watch;
    let call = || {
        let start = unsafe { context::borrow(*context) }.start()?;
        let deadline = Deadline::after(start.hooks(), timeout_ms).at(STEADFAST_STEP_CLOCK)?;
        watch.wait(&start, path.c_str(), request, known, deadline)
    };
    unsafe { reported(path.c_str(), report, call) }
}

/// The watch's descriptor, for poll, epoll, asyncio or libuv. When it is readable, call steadfast_watch_wait with the known
/// generation and a timeout of 0. Something else in a directory on the way makes it readable as well: then that call is
/// -ETIMEDOUT. -1: there is none that tells of every change (no inotify, a file that is a mount point, a network file system, FUSE; or
/// `watch` is NULL); call it once a second instead. It belongs to the watch: do not read or close it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_watch_fd(watch: *const steadfast_watch) -> i32 {
    unsafe { watch.as_ref() }.and_then(|watch| watch.watch.descriptor()).map_or(-1, Unguarded::raw)
}

/// Ends a watch and frees it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_watch_close(watch: *mut steadfast_watch) {
    if watch.is_null() {
        return;
    }
    let mut watch = unsafe { mem::unboxed(watch) };
    watch.watch.close(&unsafe { context::borrow(watch.context) }.hooks);
}
