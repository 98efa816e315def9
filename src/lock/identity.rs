//! Who this process is: boot, PID namespace, start time. Asked once in a context, then shared.

use super::proc;
use crate::file::process::{self, pid_namespace};
use crate::hooks::*;
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
        self.of_process(hooks, &self.pid_namespace, own, || pid_namespace(hooks))
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
        let same =
            first == number && (own != 1 || cached(&self.first_namespace, || pid_namespace(hooks)) == pid_namespace(hooks));
        if same { cached(cell, ask) } else { ask() }
    }
}

/// An answer that is not 0 is kept. (On a 32-bit system, its low half: it is only ever compared.)
fn cached(cell: &OnceNonZeroUsize, ask: impl FnOnce() -> u64) -> u64 {
    match cell.get_or_try_init(|| NonZeroUsize::new(ask() as usize).ok_or(())) {
        Ok(value) => value.get() as u64,
        Err(()) => 0,
    }
}

/// The first half of the boot id: 60 random bits of a version 4 UUID (random(4)).
fn read_boot(hooks: &Hooks) -> u64 {
    let mut buf = [0u8; 64];
    let Some(text) = proc::read(hooks, c"/proc/sys/kernel/random/boot_id", &mut buf) else { return 0 };
    let digits = text.iter().filter_map(|&byte| (byte as char).to_digit(16)).take(16);
    digits.fold(0u64, |value, digit| (value << 4) | u64::from(digit))
}

/// Start times are shown shifted in a time namespace (time_namespaces(7)): they only compare in the first one,
/// whose number is PROC_TIME_INIT_INO.
fn read_start(hooks: &Hooks, own: i32) -> u64 {
    const FIRST_TIME_NAMESPACE: u64 = 4_026_531_834;
    if ![0, FIRST_TIME_NAMESPACE].contains(&process::namespace(hooks, c"/proc/self/ns/time")) {
        return 0;
    }
    proc::stat(hooks, c"/proc/self/stat").filter(|stat| stat.pid == own).map_or(0, |stat| stat.start)
}

/// The file system of pidfds has its own magic number (linux/magic.h).
fn read_pidfd(hooks: &Hooks, own: i32) -> u64 {
    const PID_FS_MAGIC: i64 = 0x5049_4446;
    let Ok(fd) = hooks.pidfd_open(own) else { return 0 };
    if hooks.filesystem(fd.raw()) != Ok(PID_FS_MAGIC) {
        return 0;
    }
    hooks.fstat(fd.raw()).map_or(0, |stat| stat.ino)
}
