//! Processes that fork, adopt and run other programs while they have a lock.

use super::bodies::*;
use super::copy;
use super::world::*;
use steadfast::ffi::lock::*;
use steadfast::status::*;

/// STEADFAST_LOCK_INHERIT.
const INHERIT: u32 = 1 << 2;

/// Forks all its children. Those who inherit the lock guard it.
unsafe fn fork(p: *mut Proc, lock: *mut steadfast_lock, guarding: bool) {
    unsafe {
        let (w, slot) = (world(p), (*p).slot);
        for child in 0..w.procs.len() {
            if w.procs[child].parent == Some(slot) {
                w.fork(slot, child, guarding);
                w.procs[child].inherited = copy::of_lock(lock);
            }
        }
    }
}

/// Another program replaces this one: what it had in memory is gone.
unsafe fn exec(p: *mut Proc, lock: *mut steadfast_lock) {
    unsafe {
        if !gone(p) {
            world(p).exec((*p).slot);
        }
        // The memory is this test's.
        let draining = std::mem::replace(&mut (*p).draining, true);
        steadfast_lock_release(lock, std::ptr::null_mut());
        (*p).draining = draining;
    }
}

/// Takes an inherited lock, holds it, forks, and releases it: not what a child has adopted meanwhile.
pub fn parent(p: *mut Proc) {
    unsafe {
        if let Some(lock) = acquire(p, 0, INHERIT) {
            let slot = (*p).slot;
            world(p).enter(slot);
            if stay(p) {
                fork(p, lock, true);
                stay(p);
            }
            // A child may have adopted it, and released it as well; and it may have died on the way, so that it is the parent's again.
            let known = [0, STEADFAST_E_WRONG_PROCESS, STEADFAST_E_LOCK_LOST];
            check(p, lock, &known);
            release(p, lock, &known);
        }
        linger(p);
    }
}

/// The same, ended by exec: another program goes on with the number and the descriptor.
pub fn execer(p: *mut Proc) {
    unsafe {
        if let Some(lock) = acquire(p, 0, INHERIT) {
            let slot = (*p).slot;
            world(p).enter(slot);
            stay(p);
            exec(p, lock);
            stay(p);
        }
    }
}

/// The same without the descriptor: its number still protects it.
pub fn execer_alone(p: *mut Proc) {
    unsafe {
        if let Some(lock) = acquire(p, 0, 0) {
            let slot = (*p).slot;
            world(p).enter(slot);
            stay(p);
            exec(p, lock);
            stay(p);
        }
    }
}

/// A child that makes the lock its own, if it still can.
pub fn adopter(p: *mut Proc) {
    unsafe {
        let lock = (*p).inherited;
        let (slot, not_mine) = ((*p).slot, [STEADFAST_E_WRONG_PROCESS]);
        if (*p).closes {
            stay(p);
        }
        check(p, lock, &not_mine);
        // The parent may have released it, and a sister may have been first.
        let code = steadfast_lock_adopt(lock, std::ptr::null_mut());
        // Nor can it be adopted by who has closed its descriptor, as long as the parent has it.
        let known = [0, STEADFAST_E_LOCK_LOST, STEADFAST_E_WRONG_PROCESS, -libc::EBADF];
        expect(p, "adopt", code, if (*p).closes { &known } else { &known[..3] });
        if code != 0 || gone(p) {
            release(p, lock, &not_mine);
            return;
        }
        world(p).enter(slot);
        if stay(p) {
            check(p, lock, &[0]);
        }
        release(p, lock, &[0]);
        linger(p);
    }
}

/// A child that has nothing to do with it: it guards the lock until it closes its copy.
pub fn closer(p: *mut Proc) {
    unsafe {
        stay(p);
        release(p, (*p).inherited, &[STEADFAST_E_WRONG_PROCESS]);
    }
}

/// A child that runs another program, which has the descriptor.
pub fn command(p: *mut Proc) {
    unsafe {
        exec(p, (*p).inherited);
        stay(p);
    }
}

/// Takes a lock that is not inherited, and forks.
pub fn parent_alone(p: *mut Proc) {
    unsafe {
        if let Some(lock) = acquire(p, 0, 0) {
            let slot = (*p).slot;
            world(p).enter(slot);
            if stay(p) {
                fork(p, lock, false);
                stay(p);
            }
            check(p, lock, &[0]);
            release(p, lock, &[0]);
        }
        linger(p);
    }
}

/// A child that does not prolong the lock: once its parent is dead, it gets it itself.
pub fn heir(p: *mut Proc) {
    unsafe {
        let inherited = (*p).inherited;
        check(p, inherited, &[STEADFAST_E_WRONG_PROCESS]);
        expect(p, "adopt", steadfast_lock_adopt(inherited, std::ptr::null_mut()), &[-libc::EINVAL]);
        super::hooks::pause(p);
        let free = world(p).procs.iter().all(|other| other.slot == (*p).slot || other.life != Life::Alive);
        let own = acquire(p, 0, 0);
        if let Some(lock) = own {
            world(p).enter((*p).slot);
            stay(p);
            release(p, lock, &[0]);
        } else if free {
            wrong(p, "the lock of a dead process was not free beside its child".into());
        }
        release(p, inherited, &[STEADFAST_E_WRONG_PROCESS]);
    }
}
