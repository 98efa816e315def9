//! flock(2), waited for in bounded time, and who holds it.

use super::deadline::Retry;
use super::proc_lines;
use crate::hooks::*;
use crate::mem::format::number;

/// Does this error say that there is no flock here? A security policy that denies it (EPERM) is no different from a
/// file system that has none.
pub fn is_missing(error: Errno) -> bool {
    error.unsupported() || error.is_one_of(&[ENOLCK, EPERM])
}

/// Takes the exclusive flock of `fd`, waiting as long as `retry` allows: false when it is still held then.
pub fn exclusive(hooks: &Hooks, fd: i32, retry: &mut Retry) -> Result<bool, Errno> {
    taken(hooks, fd, LOCK_EX, retry)
}

/// The same of either kind, LOCK_EX or LOCK_SH.
pub fn taken(hooks: &Hooks, fd: i32, kind: i32, retry: &mut Retry) -> Result<bool, Errno> {
    let taken = waited_for(hooks, retry, || hooks.flock(fd, kind | LOCK_NB))?;
    Ok(taken.is_some())
}

/// The same, given up when the answer is dropped; None when it is still held.
pub fn guarded<'h>(hooks: &'h Hooks, fd: i32, retry: &mut Retry) -> Result<Option<Flock<'h>>, Errno> {
    waited_for(hooks, retry, || hooks.lock(fd, LOCK_EX | LOCK_NB))
}

/// Has somebody an exclusive flock on it at this moment?
pub fn is_held(hooks: &Hooks, fd: i32) -> bool {
    hooks.lock(fd, LOCK_SH | LOCK_NB).is_err_and(|e| e.is(EAGAIN))
}

fn waited_for<T>(hooks: &Hooks, retry: &mut Retry, take: impl Fn() -> Result<T, Errno>) -> Result<Option<T>, Errno> {
    loop {
        match take() {
            Ok(taken) => return Ok(Some(taken)),
            Err(e) if e.is(EAGAIN) => {}
            Err(e) => return Err(e),
        }
        if !retry.sleep(hooks)? {
            return Ok(None);
        }
    }
}

/// A process that has a flock on this file, or a lease (proc_locks(5)); None when that is not known.
pub fn holder(hooks: &Hooks, stat: &steadfast_stat) -> Option<i32> {
    // A line is passed over when an earlier one goes away between two reads.
    const LOOKS: u32 = 3;
    (0..LOOKS).find_map(|_| proc_lines::find::<128, i32>(hooks, c"/proc/locks", |line| holder_in(line, stat)))
}

/// `N: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE START END`, the device's numbers in hexadecimal. A waiter has an arrow
/// before its kind.
fn holder_in(line: &[u8], stat: &steadfast_stat) -> Option<i32> {
    let mut words = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty());
    let kind = words.nth(1)?;
    if kind != b"FLOCK" && kind != b"LEASE" {
        return None;
    }
    let pid = number(words.nth(2)?)?;
    let mut file = words.next()?.split(|&byte| byte == b':');
    let device = (hexadecimal(file.next()?)?, hexadecimal(file.next()?)?);
    let same = device == proc_lines::device_numbers(stat.dev) && number(file.next()?)? == stat.ino;
    i32::try_from(pid).ok().filter(|&pid| same && pid > 0)
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, &digit| {
        let digit = char::from(digit).to_digit(16)?;
        value.checked_mul(16)?.checked_add(u64::from(digit))
    })
}
