//! Contexts: hooks, where relative paths begin, and what is known about this process.

use super::call::set_null;
use super::sized::read_sized;
use crate::file::base::{Base, Start};
use crate::hooks::*;
use crate::lock::identity::Identity;
use crate::mem::{boxed, unboxed};
use crate::status::*;

/// Relative paths begin at `dirfd`. The context keeps its own descriptor of that directory.
pub const STEADFAST_CONTEXT_AT: u32 = 1 << 0;
/// No path leaves that directory: an absolute path, and a link or a ".." that leads outside, are -EXDEV. Only with
/// STEADFAST_CONTEXT_AT, otherwise -EINVAL. Needs openat2(2), Linux 5.6.
pub const STEADFAST_CONTEXT_BENEATH: u32 = 1 << 1;
/// Do not use io_uring: for a process whose seccomp filter kills instead of returning an error. Large states are then
/// written through the page cache.
pub const STEADFAST_CONTEXT_NO_IO_URING: u32 = 1 << 2;
/// All bits above.
const CONTEXT_ALL: u32 = STEADFAST_CONTEXT_AT | STEADFAST_CONTEXT_BENEATH | STEADFAST_CONTEXT_NO_IO_URING;

/// How to make a context. Zero is the default of every member.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(non_camel_case_types)]
pub struct steadfast_context_options {
    /// sizeof(steadfast_context_options); at least up to and including `flags`.
    pub size: usize,
    /// STEADFAST_CONTEXT_*.
    pub flags: u32,
    /// With STEADFAST_CONTEXT_AT: an open directory, or AT_FDCWD for what is now the working directory.
    pub dirfd: i32,
    /// Copied; NULL means the real calls.
    pub hooks: *const steadfast_hooks,
}

/// Where relative paths begin, and which system calls are used (section 6). It does not change, so threads may share
/// it.
#[allow(non_camel_case_types)]
pub struct steadfast_context {
    pub(super) hooks: Hooks,
    pub(super) identity: Identity,
    base: Base,
}

static DEFAULT: steadfast_context = steadfast_context { hooks: Hooks::REAL, identity: Identity::new(), base: Base::WORKING };

impl Drop for steadfast_context {
    fn drop(&mut self) {
        self.base.close(&self.hooks);
    }
}

impl steadfast_context {
    /// Where the relative paths of a call begin.
    pub(super) fn start(&self) -> Result<Start<'_>, Outcome> {
        self.base.start(&self.hooks).at(STEADFAST_STEP_OPEN_DIRECTORY)
    }
}

/// # Safety
/// `context` is NULL or a live context.
pub(super) unsafe fn borrow<'a>(context: *const steadfast_context) -> &'a steadfast_context {
    unsafe { context.as_ref() }.unwrap_or(&DEFAULT)
}

/// The table of the real calls, for hooks that call them. It is static. Its `user` is NULL and is not used.
#[unsafe(no_mangle)]
pub extern "C" fn steadfast_hooks_default() -> *const steadfast_hooks {
    &raw const REAL_TABLE
}

/// Makes a context from a hook table.
///
///  - `hooks`: copied; NULL means the real calls. Its `user` and functions must live as long as the context, and as
///    long as every lock that is taken with it.
///  - `out`: gets the context, which steadfast_context_free frees; NULL after an error.
///
/// Returns:
///  - 0.
///  - -EINVAL: `out` is NULL; the table's size is too small or ends inside a hook; an `absent` bit is unknown; or a
///    member is set that this version does not know.
///  - -ENOMEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_context_new(hooks: *const steadfast_hooks, out: *mut *mut steadfast_context) -> i32 {
    unsafe { create(hooks, None, None, out) }
}

/// Makes a context from options: where relative paths begin, and hooks.
///
///  - `options`: NULL means the defaults. `dirfd` may be closed when the call has returned.
///  - `out`: gets the context, which steadfast_context_free frees; NULL after an error.
///
/// If the program closes the context's own descriptor (closefrom), the next call opens the directory anew, by the path
/// that it had when the context was made. If another directory is there by then, that call is -EBADF. The library never
/// closes a descriptor that is not its own.
///
/// Returns:
///  - 0.
///  - -EINVAL: as steadfast_context_new; a flag is unknown; or BENEATH is set without AT.
///  - STEADFAST_E_UNSUPPORTED: BENEATH, and there is no openat2.
///  - -ENOMEM.
///  - Another negated errno, from opening `dirfd`: -EBADF, -ENOTDIR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_context_new_with(
    options: *const steadfast_context_options,
    out: *mut *mut steadfast_context,
) -> i32 {
    match unsafe { read_sized(options, 12) } {
        Ok(None) => unsafe { create(core::ptr::null(), None, None, out) },
        Ok(Some(options)) => unsafe { create(options.hooks, None, Some(options), out) },
        Err(outcome) => {
            unsafe { set_null(out) };
            outcome.status
        }
    }
}

/// Makes a context that injects one fault, for tests in languages without callbacks.
///
/// It counts the calls of one hook that all threads make with this context, and makes the `nth` such call (counting
/// from 1) fail with `error` instead of being executed. If `for_ever` is 1, all later calls fail as well. What gives
/// something back is done nevertheless: close, unmap, the aio hook's CLOSE, and the end of fsync_many's queue. A lock
/// that is taken with the context continues with a copy of the counter.
///
///  - `hooks`, `out`: as for steadfast_context_new.
///  - `call`: STEADFAST_CALL_*.
///  - `nth`: 1 or more.
///  - `error`: an errno, from 1 to 4095.
///  - `for_ever`: 0 or 1.
///
/// Returns as steadfast_context_new does; an argument outside these bounds is -EINVAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_context_new_failing(
    hooks: *const steadfast_hooks,
    call: u32,
    nth: u64,
    error: i32,
    for_ever: u32,
    out: *mut *mut steadfast_context,
) -> i32 {
    if call > LAST || nth == 0 || !(1..=4095).contains(&error) || for_ever > 1 {
        unsafe { set_null(out) };
        return Errno::of(EINVAL).code();
    }
    unsafe { create(hooks, Some(Fault::new(call, nth, error, for_ever != 0)), None, out) }
}

/// # Safety
/// As the functions above.
unsafe fn create(
    hooks: *const steadfast_hooks,
    fault: Option<Fault>,
    options: Option<steadfast_context_options>,
    out: *mut *mut steadfast_context,
) -> i32 {
    unsafe { set_null(out) };
    if out.is_null() {
        return Errno::of(EINVAL).code();
    }
    match unsafe { new(hooks, fault, options) }.and_then(|context| boxed(context).at(STEADFAST_STEP_ALLOCATE)) {
        Ok(context) => {
            unsafe { out.write(context) };
            STEADFAST_OK
        }
        Err(outcome) => outcome.status,
    }
}

/// # Safety
/// As the functions above.
unsafe fn new(
    hooks: *const steadfast_hooks,
    fault: Option<Fault>,
    options: Option<steadfast_context_options>,
) -> Result<steadfast_context, Outcome> {
    let table = unsafe { read_sized(hooks, core::mem::offset_of!(steadfast_hooks, openat)) }?.unwrap_or(REAL_TABLE);
    // A table ends after a hook, not in one.
    let whole = table.size.is_multiple_of(size_of::<usize>());
    let (flags, dirfd) = options.map_or((0, 0), |options| (options.flags, options.dirfd));
    let beneath = flags & STEADFAST_CONTEXT_BENEATH != 0;
    let at = flags & STEADFAST_CONTEXT_AT != 0;
    if !whole || table.absent & !ABSENT_ALL != 0 || table.reserved != 0 || flags & !CONTEXT_ALL != 0 || (beneath && !at) {
        return Err(Outcome::invalid(Detail::UnknownFlag));
    }
    let mut hooks = Hooks::new(&table, fault);
    if flags & STEADFAST_CONTEXT_NO_IO_URING != 0 {
        hooks = hooks.without_io_uring();
    }
    let mut base = Base::WORKING;
    if at {
        base = Base::at(&hooks, dirfd, beneath)?;
    }
    Ok(steadfast_context { hooks, identity: Identity::new(), base })
}

/// Frees a context and closes its directory. NULL is allowed. No other thread may be in a call with it. Locks that were
/// taken with it go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_context_free(context: *mut steadfast_context) {
    if !context.is_null() {
        drop(unsafe { unboxed(context) });
    }
}
