//! This process, told from others.

use crate::hooks::*;
use core::ffi::CStr;

/// The process that made something.
pub struct Process {
    pub pid: i32,
    /// Of the first process of a PID namespace, whose number is also that of the first one of another; else 0.
    pid_namespace: u64,
}

impl Process {
    /// This one.
    pub fn this(hooks: &Hooks) -> Result<Process, Errno> {
        let pid = hooks.getpid()?;
        Ok(Process { pid, pid_namespace: if pid == 1 { pid_namespace(hooks) } else { 0 } })
    }

    /// Is it this one, and not a forked child?
    pub fn is_this(&self, hooks: &Hooks) -> Result<bool, Errno> {
        let this = Process::this(hooks)?;
        Ok((this.pid, this.pid_namespace) == (self.pid, self.pid_namespace))
    }
}

/// The PID namespace of this process, asked anew; 0 when the system does not tell.
pub fn pid_namespace(hooks: &Hooks) -> u64 {
    namespace(hooks, c"/proc/self/ns/pid")
}

/// The inode of a namespace file (namespaces(7)); 0 when there is none.
pub fn namespace(hooks: &Hooks, path: &CStr) -> u64 {
    if hooks.absent(STEADFAST_ABSENT_PROC) {
        return 0;
    }
    let mut buf = [0u8; 64];
    let link = hooks.readlink(AT_FDCWD, path, &mut buf).unwrap_or_default();
    let digits = link.iter().filter(|byte| byte.is_ascii_digit());
    digits.fold(0u64, |value, digit| value.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0'))))
}
