//! Contexts: hooks, and what has been found out about this process.

use crate::hooks::call::LAST;
use crate::hooks::{ABSENT_ALL, Fault, Hooks, REAL_TABLE, memory, steadfast_hooks};
use crate::lock::identity::Identity;
use crate::status::Outcome;

/// Hooks, and nothing else of the caller's. Immutable: threads may share it without a lock.
#[allow(non_camel_case_types)]
pub struct steadfast_context {
    pub(super) hooks: Hooks,
    pub(super) identity: Identity,
}

static DEFAULT: steadfast_context = steadfast_context { hooks: Hooks::REAL, identity: Identity::new() };

/// # Safety
/// `context` is NULL or a live context.
pub(super) unsafe fn borrow<'a>(context: *const steadfast_context) -> &'a steadfast_context {
    unsafe { context.as_ref() }.unwrap_or(&DEFAULT)
}

/// The table of the real calls, for hooks that chain to them. Static; its `user` is NULL and not looked at.
#[unsafe(no_mangle)]
pub extern "C" fn steadfast_hooks_default() -> *const steadfast_hooks {
    &raw const REAL_TABLE
}

/// Makes a context from a hook table, which is copied; NULL means the real calls.
///
/// `*out` is the caller's, to be freed with steadfast_context_free; it is written on success only.
/// Returns 0, -EINVAL (`out` NULL, a size that is too small, an unknown `absent` bit, a set member that this
/// version does not know) or -ENOMEM.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_context_new(hooks: *const steadfast_hooks, out: *mut *mut steadfast_context) -> i32 {
    unsafe { create(hooks, None, out) }
}

/// The same, with one fault to inject: for tests in languages that have no callbacks.
///
/// Counts the calls of hook `call` (STEADFAST_CALL_*; 0 counts every call) made with this context, by all
/// threads together, and lets number `nth` (1 is the first) fail with errno `error` instead of being made;
/// with `for_ever` 1 instead of 0 also every one after it. A lock taken with the context goes on counting in a copy.
/// Returns as steadfast_context_new, and -EINVAL for an unknown `call`, `nth` 0 or an `error` outside 1..4095.
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
        return super::INVALID.code();
    }
    unsafe { create(hooks, Some(Fault::new(call, nth, error, for_ever != 0)), out) }
}

/// # Safety
/// As the functions above.
unsafe fn create(hooks: *const steadfast_hooks, fault: Option<Fault>, out: *mut *mut steadfast_context) -> i32 {
    let table = match unsafe { super::read_sized(hooks, core::mem::offset_of!(steadfast_hooks, openat)) } {
        Ok(table) => table.unwrap_or(REAL_TABLE),
        Err(outcome) => return outcome.status(),
    };
    // A table ends after a hook, not in one.
    let whole = table.size.is_multiple_of(size_of::<usize>());
    if out.is_null() || !whole || table.absent & !ABSENT_ALL != 0 || table.reserved != 0 {
        return super::INVALID.code();
    }
    match memory::boxed(steadfast_context { hooks: Hooks::new(table, fault), identity: Identity::new() }) {
        Ok(context) => unsafe {
            out.write(context);
            0
        },
        Err(error) => Outcome::failed(error, 0).status(),
    }
}

/// Frees a context. Locks taken with it go on. NULL is fine. No other thread may still be in a call with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn steadfast_context_free(context: *mut steadfast_context) {
    if !context.is_null() {
        unsafe { memory::unboxed(context) };
    }
}
