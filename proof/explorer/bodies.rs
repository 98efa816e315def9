//! What each simulated process does. The routines of the library are called as a C program calls them.

use super::hooks::pause;
use super::world::*;
use std::ptr::null_mut;
use steadfast::ffi::lock::*;
use steadfast::status::*;

/// One kind of process. A mutant is another function of this kind.
pub type Body = fn(*mut Proc);

pub unsafe fn world<'a>(p: *mut Proc) -> &'a mut World {
    unsafe { &mut *(*p).world }
}

pub unsafe fn gone(p: *mut Proc) -> bool {
    unsafe { (*p).draining }
}

pub unsafe fn wrong(p: *mut Proc, text: String) {
    unsafe {
        if !gone(p) {
            world(p).violate(Violation::WrongAnswer(text));
        }
    }
}

/// Lets time pass while it holds the lock.
pub unsafe fn stay(p: *mut Proc) -> bool {
    unsafe {
        (*p).between = true;
        let alive = pause(p);
        (*p).between = false;
        alive
    }
}

/// Holds the lock for a while, then is about to give it up.
pub unsafe fn hold(p: *mut Proc) -> bool {
    unsafe {
        let slot = (*p).slot;
        world(p).enter(slot);
        let alive = stay(p);
        if alive {
            world(p).give_up(slot);
        }
        alive
    }
}

/// Lives on for a moment after its last call: others may still see it alive.
pub unsafe fn linger(p: *mut Proc) {
    unsafe { pause(p) };
}

pub unsafe fn acquire(p: *mut Proc, timeout_ms: i64, flags: u32) -> Option<*mut steadfast_lock> {
    unsafe {
        let mut lock = null_mut();
        let mut options: steadfast_lock_options = std::mem::zeroed();
        (options.size, options.flags) = (size_of::<steadfast_lock_options>(), flags);
        let code = steadfast_lock_acquire((*p).context, PATH.as_ptr(), timeout_ms, &options, &mut lock, null_mut());
        if code == 0 && gone(p) {
            steadfast_lock_release(lock, null_mut());
        }
        if gone(p) {
            return None;
        }
        let expected = code == 0 || timeout_ms == 0 && code == STEADFAST_E_LOCKED;
        if !expected {
            wrong(p, format!("acquire returned {code}"));
        }
        (code == 0).then_some(lock)
    }
}

/// What a call about a lock answers must be one of these.
pub unsafe fn expect(p: *mut Proc, call: &str, code: i32, expected: &[i32]) {
    unsafe {
        if !expected.contains(&code) {
            wrong(p, format!("{call} returned {code}"));
        }
    }
}

pub unsafe fn check(p: *mut Proc, lock: *mut steadfast_lock, expected: &[i32]) {
    unsafe {
        if !(*p).checks {
            return;
        }
        let code = steadfast_lock_check(lock, null_mut());
        expect(p, "check", code, expected);
    }
}

/// Gives up what it has of the lock. Of one that is gone it frees the memory.
pub unsafe fn release(p: *mut Proc, lock: *mut steadfast_lock, expected: &[i32]) -> i32 {
    unsafe {
        if !gone(p) {
            world(p).give_up((*p).slot);
        }
        (*p).releasing = true;
        let code = steadfast_lock_release(lock, null_mut());
        (*p).releasing = false;
        expect(p, "release", code, expected);
        code
    }
}

/// Holds a lock that it has taken, and releases it.
unsafe fn use_lock(p: *mut Proc, lock: *mut steadfast_lock) {
    unsafe {
        let slot = (*p).slot;
        world(p).enter(slot);
        if stay(p) {
            check(p, lock, &[0]);
        }
        release(p, lock, &[0]);
    }
}

/// Takes the lock if it is free or stale, holds it, releases it.
pub fn acquirer(p: *mut Proc) {
    unsafe {
        if let Some(lock) = acquire(p, 0, 0) {
            use_lock(p, lock);
        }
        linger(p);
    }
}

/// Alone with whatever is there, it must get the lock.
pub fn taker(p: *mut Proc) {
    unsafe {
        match acquire(p, 0, 0) {
            Some(lock) => use_lock(p, lock),
            None => wrong(p, "a lock that nobody holds could not be taken".into()),
        }
    }
}

/// Waits for the lock for ever.
pub fn waiter(p: *mut Proc) {
    unsafe {
        if let Some(lock) = acquire(p, -1, 0) {
            use_lock(p, lock);
        }
        linger(p);
    }
}

/// An administrator removes the lock file of a live holder by hand, who then finds it out and releases it.
pub fn robbed(p: *mut Proc) {
    unsafe {
        if let Some(lock) = acquire(p, 0, 0) {
            hold(p);
            super::mutants::unlink(p, super::mutants::L);
            check(p, lock, &[STEADFAST_E_LOCK_LOST]);
            release(p, lock, &[STEADFAST_E_LOCK_LOST]);
        }
        linger(p);
    }
}

/// Cleans once: REMOVED is told exactly to the one who removed it.
pub fn cleaner(p: *mut Proc) {
    unsafe {
        let before = (*p).removed;
        let code = steadfast_lock_clean_stale((*p).context, PATH.as_ptr(), std::ptr::null(), null_mut());
        if gone(p) {
            return;
        }
        let removed = (*p).removed - before;
        let known = [
            STEADFAST_LOCK_ABSENT,
            STEADFAST_LOCK_REMOVED,
            STEADFAST_LOCK_HELD,
            STEADFAST_LOCK_UNDECIDED,
            STEADFAST_LOCK_CHANGED,
        ];
        if !known.contains(&code) || (code == STEADFAST_LOCK_REMOVED) != (removed == 1) || removed > 1 {
            wrong(p, format!("clean_stale returned {code} after removing {removed} files"));
        }
    }
}

/// Looks once, and changes nothing. Who held the lock when it looked, and does so ever since, is not stale.
pub fn inspector(p: *mut Proc) {
    unsafe {
        (*p).inspects = true;
        let code = steadfast_lock_inspect((*p).context, PATH.as_ptr(), std::ptr::null(), null_mut());
        (*p).inspects = false;
        let known =
            [STEADFAST_LOCK_ABSENT, STEADFAST_LOCK_STALE, STEADFAST_LOCK_HELD, STEADFAST_LOCK_UNDECIDED, STEADFAST_LOCK_CHANGED];
        if !known.contains(&code) || (*p).removed != 0 {
            wrong(p, format!("inspect returned {code}, {} files removed", (*p).removed));
        }
        if code == STEADFAST_LOCK_STALE && !gone(p) && world(p).has_seen_holder((*p).slot) {
            world(p).violate(Violation::CalledStale);
        }
    }
}

/// Another program's lock: created with O_EXCL, then written, held without a flock, unlinked.
pub fn foreign(p: *mut Proc) {
    unsafe {
        if let Ok(fd) = super::mutants::create(p, super::mutants::L) {
            let slot = (*p).slot;
            world(p).enter(slot);
            super::mutants::write_pid(p, fd);
            if pause(p) {
                world(p).give_up(slot);
                super::mutants::unlink(p, super::mutants::L);
            }
            super::mutants::close(p, fd);
        }
        linger(p);
    }
}
