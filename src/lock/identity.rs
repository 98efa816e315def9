//! Who this process is: boot, PID namespace, start time. Found out once in a context, then shared.
#![forbid(unsafe_code)]

use crate::hooks::*;
use crate::path::number;
use core::ffi::CStr;
use core::num::NonZeroUsize;
use once_cell::race::OnceNonZeroUsize;

/// What never changes in the life of a process; asked when first needed.
pub struct Identity {
    boot: OnceNonZeroUsize,
    /// The process for which the others were found out: a forked child is another one.
    pid: OnceNonZeroUsize,
    first_namespace: OnceNonZeroUsize,
    pid_namespace: OnceNonZeroUsize,
    start: OnceNonZeroUsize,
    pidfd: OnceNonZeroUsize,
}

impl Identity {
    /// Nothing known yet.
    pub const fn new() -> Identity {
        Identity {
            boot: OnceNonZeroUsize::new(),
            pid: OnceNonZeroUsize::new(),
            first_namespace: OnceNonZeroUsize::new(),
            pid_namespace: OnceNonZeroUsize::new(),
            start: OnceNonZeroUsize::new(),
            pidfd: OnceNonZeroUsize::new(),
        }
    }

    /// This boot; 0 when the system does not tell.
    pub fn boot(&self, hooks: &Hooks) -> u64 {
        cached(&self.boot, || read_boot(hooks))
    }

    /// The PID namespace of process `own`, which is this one; 0 when the system does not tell.
    pub fn pid_namespace(&self, hooks: &Hooks, own: i32) -> u64 {
        self.of_process(hooks, &self.pid_namespace, own, || pid_namespace_now(hooks))
    }

    /// When process `own`, which is this one, started; 0 when the system does not tell, when the /proc that is
    /// mounted is another PID namespace's, or when the times in it are shifted.
    pub fn start(&self, hooks: &Hooks, own: i32) -> u64 {
        self.of_process(hooks, &self.start, own, || read_start(hooks, own))
    }

    /// The inode of a pidfd of process `own`, which is this one; 0 where all pidfds share one.
    pub fn pidfd(&self, hooks: &Hooks, own: i32) -> u64 {
        self.of_process(hooks, &self.pidfd, own, || read_pidfd(hooks, own))
    }

    fn of_process(&self, hooks: &Hooks, cell: &OnceNonZeroUsize, own: i32, ask: impl FnOnce() -> u64) -> u64 {
        let number = own.unsigned_abs() as usize;
        let first = NonZeroUsize::new(number).map_or(0, |number| self.pid.get_or_init(|| number).get());
        // 1 is a number that a forked child in a namespace of its own may have as well.
        let same = first == number
            && (own != 1 || cached(&self.first_namespace, || pid_namespace_now(hooks)) == pid_namespace_now(hooks));
        if same { cached(cell, ask) } else { ask() }
    }
}

/// The PID namespace, asked anew.
pub fn pid_namespace_now(hooks: &Hooks) -> u64 {
    read_namespace(hooks, c"/proc/self/ns/pid")
}

/// An answer that is not 0 is kept. (On a 32-bit system, its low half: it is only ever compared.)
fn cached(cell: &OnceNonZeroUsize, ask: impl FnOnce() -> u64) -> u64 {
    match cell.get_or_try_init(|| NonZeroUsize::new(ask() as usize).ok_or(())) {
        Ok(value) => value.get() as u64,
        Err(()) => 0,
    }
}

/// Reads a small file of /proc: as much of it as `buf` has room for.
fn read_proc<'b>(hooks: &Hooks, path: &CStr, buf: &'b mut [u8]) -> Option<&'b [u8]> {
    if hooks.absent(STEADFAST_ABSENT_PROC) {
        return None;
    }
    let fd = hooks.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0).ok()?;
    let len = hooks.read(fd.raw(), buf).ok()?;
    buf.get(..len)
}

/// The first half of the boot id: 60 random bits of a version 4 UUID (random(4)).
fn read_boot(hooks: &Hooks) -> u64 {
    let mut buf = [0u8; 64];
    let Some(text) = read_proc(hooks, c"/proc/sys/kernel/random/boot_id", &mut buf) else { return 0 };
    let digits = text.iter().filter_map(|&byte| (byte as char).to_digit(16)).take(16);
    digits.fold(0u64, |value, digit| (value << 4) | u64::from(digit))
}

/// The inode of a namespace file (namespaces(7)); 0 when there is none.
fn read_namespace(hooks: &Hooks, path: &CStr) -> u64 {
    if hooks.absent(STEADFAST_ABSENT_PROC) {
        return 0;
    }
    let mut buf = [0u8; 64];
    let link = hooks.readlink(AT_FDCWD, path, &mut buf).unwrap_or_default();
    let digits = link.iter().filter(|byte| byte.is_ascii_digit());
    digits.fold(0u64, |value, digit| value.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0'))))
}

/// Start times are shown shifted in a time namespace (time_namespaces(7)): they only compare in the first one,
/// whose number is PROC_TIME_INIT_INO.
fn read_start(hooks: &Hooks, own: i32) -> u64 {
    const FIRST_TIME_NAMESPACE: u64 = 4_026_531_834;
    if ![0, FIRST_TIME_NAMESPACE].contains(&read_namespace(hooks, c"/proc/self/ns/time")) {
        return 0;
    }
    read_stat(hooks, c"/proc/self/stat").filter(|stat| stat.pid == own).map_or(0, |stat| stat.start)
}

/// The file system of pidfds has its own magic number (linux/magic.h).
fn read_pidfd(hooks: &Hooks, own: i32) -> u64 {
    const PID_FS_MAGIC: i64 = 0x5049_4446;
    let Ok(fd) = hooks.pidfd_open(own) else { return 0 };
    if hooks.filesystem(fd.raw()) != Ok(PID_FS_MAGIC) {
        return 0;
    }
    let mut stat = steadfast_stat::default();
    hooks.fstat(fd.raw(), &mut stat).map_or(0, |()| stat.ino)
}

/// What /proc/PID/stat says (proc_pid_stat(5)).
pub struct Stat {
    pub pid: i32,
    pub state: u8,
    pub threads: u64,
    pub start: u64,
}

/// Reads a /proc/PID/stat.
pub fn read_stat(hooks: &Hooks, path: &CStr) -> Option<Stat> {
    let mut buf = [0u8; 512];
    parse_stat(read_proc(hooks, path, &mut buf)?)
}

fn parse_stat(text: &[u8]) -> Option<Stat> {
    let pid = number(text.split(|&byte| byte == b' ').next()?)?;
    // The command may hold anything, ')' and blanks included: the last ')' ends it.
    let after = text.iter().rposition(|&byte| byte == b')')?.saturating_add(2);
    let mut fields = text.get(after..)?.split(|&byte| byte == b' ');
    let state = *fields.next()?.first()?;
    // Fields 20 and 22; the state was field 3.
    let threads = number(fields.nth(16)?)?;
    let start = number(fields.nth(1)?)?;
    Some(Stat { pid: i32::try_from(pid).ok()?, state, threads, start })
}
