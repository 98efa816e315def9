//! flock, byte locks, and the mapping that keeps a flock.

use super::super::fs::{mix, name};
use super::super::open::{ADDRESSES, Kind};
use super::*;
use libc::*;
use steadfast::hooks::{STEADFAST_OFDLOCK_EXCLUSIVE, STEADFAST_OFDLOCK_SET, STEADFAST_OFDLOCK_TEST, STEADFAST_OFDLOCK_UNLOCK};

fn kind_of(operation: i32) -> Option<Kind> {
    match operation & !LOCK_NB {
        LOCK_EX => Some(Kind::Exclusive),
        LOCK_SH => Some(Kind::Shared),
        _ => None,
    }
}

/// Is the answer a refusal, whatever others do? So it is when the flock in the way is the caller's own.
unsafe fn is_refused_anyway(user: User, fd: i32, operation: i32) -> bool {
    let (w, p) = unsafe { look(user) };
    let (Ok(description), Some(kind)) = (p.file(fd), kind_of(operation)) else { return false };
    w.mirror.is_none() && w.fs.conflicting(description, kind).any(|d| d.is_only_of(p.slot))
}

/// Has the file no name yet, so that nobody else can open it?
unsafe fn is_nameless(user: User, fd: i32) -> bool {
    let (w, p) = unsafe { look(user) };
    node_of(w, p, fd).is_some_and(|node| w.fs.file(node).linkable)
}

/// Is it the flock of a state, which a saver waits for?
unsafe fn waits_for_state(user: User, fd: i32, operation: i32) -> bool {
    let (w, p) = unsafe { look(user) };
    operation == LOCK_EX | LOCK_NB && node_of(w, p, fd).is_some_and(|node| slots::is_state(w, node))
}

pub(super) unsafe extern "C" fn flock(user: User, fd: i32, operation: i32) -> i32 {
    let waits = unsafe { waits_for_state(user, fd, operation) };
    if waits {
        unsafe { prepare_for_turn(user) };
    }
    let private = unsafe { is_nameless(user, fd) || is_refused_anyway(user, fd, operation) };
    let Some(mut c) = (unsafe { begin(user, !private) }) else { return GONE };
    c.check_own(fd, "flock");
    if waits {
        begin_turn(&mut c);
    }
    let slot = c.p.slot;
    let is_own = |node: usize| c.w.fs.lookup(&name(LOCK)) == Some(node) && c.w.fs.file(node).owner == slot;
    let probes = operation == LOCK_SH | LOCK_NB && c.node(fd).is_ok_and(is_own);
    let result = c.p.file(fd).and_then(|description| match kind_of(operation) {
        _ if probes && c.w.lies(Lie::Probe) => Err(EAGAIN),
        _ if c.w.lies(Lie::Flock) || c.p.loading && c.w.lies(Lie::Idle) => Ok(()),
        None => {
            if c.w.fs.unflock(description) {
                c.w.touch(slot);
            }
            Ok(())
        }
        Some(kind) => {
            c.w.fs.opened[description].flocked = slots::flocked(c.w, c.w.fs.opened[description].node);
            let taken = c.w.fs.flock(description, kind);
            c.p.refused = taken.is_err();
            // A turn that a lock does not give, a flock on another file does.
            c.p.turning = if waits { taken.is_err() } else { c.p.turning && taken.is_err() };
            if !c.w.fs.file(c.w.fs.opened[description].node).linkable {
                c.p.changed();
            }
            taken
        }
    });
    if let Some(mirror) = &mut c.w.mirror {
        mirror.flock(slot, fd, operation, result);
    }
    c.told("flock", || format!("{fd}, {operation}"), result.map(|()| 0)) as i32
}

pub(super) unsafe extern "C" fn ofdlock(user: User, fd: i32, operation: i32, start: i64, len: i64, found: *mut i64) -> i32 {
    if operation == STEADFAST_OFDLOCK_EXCLUSIVE {
        return unsafe { wait_for_turn(user, fd, start, len) };
    }
    if operation == STEADFAST_OFDLOCK_UNLOCK {
        let Some(c) = (unsafe { begin(user, SHARED) }) else { return GONE };
        return give_turn_up(c, fd, (start, len));
    }
    if operation == STEADFAST_OFDLOCK_SET && unsafe { look(user) }.1.file(fd).is_ok() {
        let Some(c) = (unsafe { begin(user, SHARED) }) else { return GONE };
        return take_turn(c, fd, Kind::Shared, start, len);
    }
    let Some(mut c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    c.check_own(fd, "ofdlock");
    let slot = c.p.slot;
    if operation == STEADFAST_OFDLOCK_SET {
        c.w.tickets.push(Ticket { slot, fd, at: start, len });
        c.w.touch(slot);
        if let Some(mirror) = &mut c.w.mirror {
            mirror.take_ticket(slot, fd, start, len);
        }
        return c.told("ofdlock", || format!("set {start}"), Ok(0)) as i32;
    }
    debug_assert_eq!(operation, STEADFAST_OFDLOCK_TEST);
    let other = |t: &&Ticket| (t.slot, t.fd) != (slot, fd) && t.meets(start, len);
    let first = c.w.tickets.iter().find(other).map(|t| (t.at, t.len));
    if let Some((at, len)) = first {
        unsafe {
            found.write(at);
            found.add(1).write(len);
        }
        c.p.history = mix(mix(c.p.history, at.cast_unsigned()), len.cast_unsigned());
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.find_ticket(slot, fd, start, len, first);
    }
    c.told("ofdlock", || format!("test {start}, {len}: {first:?}"), Ok(first.is_some().into())) as i32
}

/// Who is refused sleeps, and tries again when somebody has changed something: ten seconds are never over.
unsafe fn wait_for_turn(user: User, fd: i32, start: i64, len: i64) -> i32 {
    unsafe { prepare_for_turn(user) };
    let Some(mut c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    begin_turn(&mut c);
    take_turn(c, fd, Kind::Exclusive, start, len)
}

unsafe fn prepare_for_turn(user: User) {
    let p = unsafe { &mut *caller(user) };
    if p.turning {
        p.history = mix(p.before_turn, 1);
        p.pending = Pending::Turn;
    } else {
        p.before_turn = p.history;
    }
}

/// How often it waited makes no difference afterwards.
fn begin_turn(c: &mut Call<'_>) {
    c.p.history = c.p.before_turn;
    (c.p.pending, c.p.dirty) = (Pending::Step, false);
}

fn take_turn(mut c: Call<'_>, fd: i32, kind: Kind, start: i64, len: i64) -> i32 {
    c.check_own(fd, "ofdlock");
    let (slot, always) = (c.p.slot, c.w.lies(Lie::Turn));
    let result = c.p.file(fd).and_then(|description| c.w.fs.take_turn(description, kind, always));
    if result.is_ok() {
        c.p.changed();
    }
    c.p.turning = result == Err(EAGAIN);
    if let Some(mirror) = &mut c.w.mirror {
        mirror.take_turn(slot, fd, kind == Kind::Exclusive, (start, len), result);
    }
    c.told("ofdlock", || format!("{fd}, {kind:?}"), result.map(|()| 0)) as i32
}

fn give_turn_up(c: Call<'_>, fd: i32, range: (i64, i64)) -> i32 {
    let slot = c.p.slot;
    let result = c.p.file(fd).map(|description| c.w.fs.opened[description].turn.take().is_some());
    if result == Ok(true) {
        c.w.touch(slot);
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.give_turn_up(slot, fd, range, result.map(|_| ()));
    }
    c.told("ofdlock", || format!("{fd}, unlock"), result.map(|_| 0)) as i32
}

/// Nobody sees it: the descriptor is still there.
pub(super) unsafe extern "C" fn map(user: User, fd: i32) -> i64 {
    let Some(mut c) = (unsafe { begin(user, PRIVATE) }) else { return GONE.into() };
    c.check_own(fd, "map");
    let slot = c.p.slot;
    let result = c.p.file(fd).map(|description| {
        let address = c.p.map(description);
        c.w.fs.opened[description].keepers.push((slot, address));
        if c.w.lies(Lie::Map) {
            c.p.unmap(address);
            c.w.fs.give_up(description, (slot, address));
        }
        address
    });
    if let Some(mirror) = &mut c.w.mirror {
        mirror.map(slot, fd, result);
    }
    c.told("map", || fd.to_string(), result)
}

pub(super) unsafe extern "C" fn unmap(user: User, address: u64) -> i32 {
    let address = address.cast_signed();
    let noticed = {
        let (w, p) = unsafe { look(user) };
        let mapped = usize::try_from((address - ADDRESSES) >> 12).ok().and_then(|at| p.maps.get(at).copied().flatten());
        mapped.is_some_and(|description| {
            let file = w.fs.file(w.fs.opened[description].node);
            w.fs.ends_with(description) && (w.fs.opened[description].is_locked() || w.fs.reuse_numbers && file.nlink == 0)
        })
    };
    let Some(c) = (unsafe { begin(user, noticed) }) else { return GONE };
    if c.w.unmap(c.p.slot, address) {
        c.w.touch(c.p.slot);
    }
    c.told("unmap", String::new, Ok(0)) as i32
}
