//! What each simulated process does. The routines of the library are called as a C program calls them.

use super::hooks::pause;
use super::world::*;
use core::ffi::c_void;
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

/// Holds the lock for a while, then is about to give it up.
pub unsafe fn hold(p: *mut Proc) -> bool {
    unsafe {
        let slot = (*p).slot;
        world(p).enter(slot);
        let alive = pause(p.cast::<c_void>());
        (*p).holding = false;
        alive
    }
}

/// Lives on for a moment after its last call: others may still see it alive.
pub unsafe fn linger(p: *mut Proc) {
    unsafe { pause(p.cast()) };
}

unsafe fn acquire(p: *mut Proc, timeout_ms: i64) -> Option<*mut steadfast_lock> {
    unsafe {
        let mut lock = null_mut();
        let removed = (*p).removed;
        let code = steadfast_lock_acquire((*p).context, PATH.as_ptr(), timeout_ms, std::ptr::null(), &mut lock, null_mut());
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
        if code == 0 && (*p).removed - removed > 2 {
            wrong(p, "acquire removed more files than there were".into());
        }
        (code == 0).then_some(lock)
    }
}

/// Takes the lock if it can be had, holds it, releases it.
pub fn acquirer(p: *mut Proc) {
    unsafe {
        if let Some(lock) = acquire(p, 0) {
            hold(p);
            let code = steadfast_lock_release(lock, null_mut());
            if code != 0 {
                wrong(p, format!("release returned {code}"));
            }
        }
        linger(p);
    }
}

/// Alone with whatever is there, it must get the lock.
pub fn taker(p: *mut Proc) {
    unsafe {
        match acquire(p, 0) {
            Some(lock) => {
                hold(p);
                steadfast_lock_release(lock, null_mut());
            }
            None => wrong(p, "a lock that nobody holds was not to be had".into()),
        }
    }
}

/// Became a daemon with closefrom(): alive, but its flock is gone. It still holds the lock.
pub fn daemon(p: *mut Proc) {
    unsafe {
        if let Some(lock) = acquire(p, 0) {
            let slot = (*p).slot;
            world(p).enter(slot);
            if pause(p.cast::<c_void>()) {
                for node in &mut world(p).fs.inodes {
                    node.flocks.retain(|f| f.slot != slot);
                }
                world(p).touch(slot);
            }
            hold(p);
            let code = steadfast_lock_release(lock, null_mut());
            if code != 0 {
                wrong(p, format!("release returned {code}"));
            }
        }
        linger(p);
    }
}

/// Waits for the lock for ever.
pub fn waiter(p: *mut Proc) {
    unsafe {
        if let Some(lock) = acquire(p, -1) {
            hold(p);
            let code = steadfast_lock_release(lock, null_mut());
            if code != 0 {
                wrong(p, format!("release returned {code}"));
            }
        }
        linger(p);
    }
}

/// An administrator removes the lock file of a live holder by hand, who then releases it.
pub fn robbed(p: *mut Proc) {
    unsafe {
        if let Some(lock) = acquire(p, 0) {
            hold(p);
            super::mutants::unlink(p, super::mutants::L);
            let code = steadfast_lock_release(lock, null_mut());
            if code != STEADFAST_E_LOCK_LOST {
                wrong(p, format!("release of a lost lock returned {code}"));
            }
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

/// Looks once, and changes nothing.
pub fn inspector(p: *mut Proc) {
    unsafe {
        let code = steadfast_lock_inspect((*p).context, PATH.as_ptr(), std::ptr::null(), null_mut());
        let known =
            [STEADFAST_LOCK_ABSENT, STEADFAST_LOCK_STALE, STEADFAST_LOCK_HELD, STEADFAST_LOCK_UNDECIDED, STEADFAST_LOCK_CHANGED];
        if !known.contains(&code) || (*p).removed != 0 {
            wrong(p, format!("inspect returned {code}, {} files removed", (*p).removed));
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
            if hold(p) {
                super::mutants::unlink(p, super::mutants::L);
            }
            super::mutants::close(p, fd);
        }
        linger(p);
    }
}
