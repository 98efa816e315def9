//! What /proc says about processes.

use crate::hooks::*;
use crate::mem::Text;
use crate::mem::format::{Decimal, number};
use core::ffi::CStr;

/// Reads a small file of /proc: as much of it as `buf` has room for.
pub fn read<'b>(hooks: &Hooks, path: &CStr, buf: &'b mut [u8]) -> Option<&'b [u8]> {
    if hooks.absent(STEADFAST_ABSENT_PROC) {
        return None;
    }
    let fd = hooks.openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0).ok()?;
    hooks.read(fd.raw(), buf).ok()
}

/// What /proc/PID/stat says (proc_pid_stat(5)).
pub struct Stat {
    pub pid: i32,
    pub state: u8,
    pub threads: u64,
    pub start: u64,
}

/// Reads a /proc/PID/stat.
pub fn stat(hooks: &Hooks, path: &CStr) -> Option<Stat> {
    let mut buf = [0u8; 512];
    parse_stat(read(hooks, path, &mut buf)?)
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

fn path_of(pid: i32, file: &[u8]) -> Option<Text<64>> {
    Text::of(&[b"/proc/", Decimal::of(u64::from(pid.unsigned_abs())).bytes(), file]).ok()
}

/// What /proc says about a process.
pub fn stat_of(hooks: &Hooks, pid: i32) -> Option<Stat> {
    // A /proc that does not know us by our number is another PID namespace's, and speaks of other processes.
    let own = hooks.getpid().ok()?;
    stat(hooks, c"/proc/self/stat").filter(|stat| stat.pid == own)?;
    let path = path_of(pid, b"/stat")?;
    stat(hooks, path.c_str()).filter(|stat| stat.pid == pid)
}

/// Is the number the id of a thread that is not its process's first? /proc/PID answers for it too; Tgid in status says whose
/// it is.
pub fn is_thread(hooks: &Hooks, pid: i32) -> bool {
    let leader = || {
        let mut buf = [0u8; 512];
        let text = read(hooks, path_of(pid, b"/status")?.c_str(), &mut buf)?;
        let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Tgid:"))?;
        number(line.trim_ascii())
    };
    leader().is_some_and(|leader| leader != u64::from(pid.unsigned_abs()))
}

/// When a process started, by the clock of now. Ticks are hundredths of a second for every user program on Linux (time(7)).
pub fn started_ns(hooks: &Hooks, pid: i32) -> Option<i64> {
    const TICK_NS: i64 = 10_000_000;
    let start = i64::try_from(stat_of(hooks, pid)?.start).ok()?.checked_mul(TICK_NS)?;
    let mut buf = [0u8; 64];
    let mut words = read(hooks, c"/proc/uptime", &mut buf)?.split(|&byte| byte == b'.' || byte == b' ');
    let (seconds, hundredths) = (number(words.next()?)?, number(words.next()?)?);
    let ticks = i64::try_from(seconds.checked_mul(100)?.checked_add(hundredths)?).ok()?;
    let now = hooks.clock(STEADFAST_CLOCK_REALTIME).ok()?;
    now.checked_sub(ticks.checked_mul(TICK_NS)?)?.checked_add(start)
}
