//! One run of the program with one fault, and what was seen of it.

use crate::tracee::{Call, Event, Filter, Tracee};
use crate::tree::{self, Tree};
use std::path::Path;

pub const BEGIN: u64 = 1;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    None,
    /// Call `k` is answered with this errno instead of being made; `sticky`: and every later one of its kind.
    Error {
        k: usize,
        errno: i32,
        sticky: bool,
    },
    /// Call `k`, a write or a pread, is really made, by us, for so many bytes only.
    Short {
        k: usize,
        len: usize,
    },
    /// SIGKILL before call `k`, and so after call `k` - 1.
    Kill {
        k: usize,
    },
}

/// A call that the library made.
#[derive(Clone, Debug)]
pub struct Made {
    pub number: i64,
    pub args: [u64; 6],
    pub path: String,
    pub second: String,
    /// The file of its descriptor: inode and kind.
    pub file: Option<(u64, u32)>,
    /// A descriptor of /proc or another place that is not a file of the test.
    pub foreign: bool,
    /// By a fault.
    pub failed: Option<i32>,
    /// As it always is there.
    pub refused: bool,
    /// A write that was made for fewer bytes than it was asked for.
    pub short: bool,
    /// A write that syncs as well: the descriptor was opened with O_DSYNC.
    pub durable: bool,
}

impl Made {
    pub fn done(&self) -> bool {
        self.failed.is_none() && !self.refused
    }
}

/// What is refused to a save in place: a mounted file gives its name to no other one, and in a closed directory none can be made.
fn refused(operation: &str, made: &Made) -> Option<i32> {
    let closed = operation.ends_with("-closed");
    let renames = made.number == libc::SYS_renameat && made.second == "state";
    let creates = made.number == libc::SYS_openat && made.args[2] as i32 & libc::O_CREAT != 0;
    match (operation.contains("in-place"), closed) {
        (true, true) if creates => Some(libc::EROFS),
        (true, false) if renames => Some(libc::EBUSY),
        _ => None,
    }
}

#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub status: i32,
    pub content: i32,
    pub generation: i64,
    pub os_error: i32,
    pub step: i32,
    pub on_disk: i32,
    pub message: String,
}

pub struct Run {
    pub calls: Vec<Made>,
    pub outcome: Option<Outcome>,
    pub at_end: Tree,
    pub descriptors: (usize, usize),
    pub status: i32,
    pub after: Tree,
    pub pid: i32,
}

/// Which arguments are paths, and which is a descriptor, by call.
fn shape(number: i64) -> (Option<usize>, Option<usize>, Option<usize>) {
    match number {
        libc::SYS_openat | libc::SYS_mkdirat | libc::SYS_unlinkat | libc::SYS_readlinkat => (Some(1), None, None),
        libc::SYS_statx | libc::SYS_newfstatat => (Some(1), None, Some(0)),
        libc::SYS_renameat | libc::SYS_renameat2 | libc::SYS_linkat => (Some(1), Some(3), Some(0)),
        libc::SYS_fgetxattr | libc::SYS_fsetxattr => (Some(1), None, Some(0)),
        libc::SYS_write
        | libc::SYS_pwrite64
        | libc::SYS_read
        | libc::SYS_pread64
        | libc::SYS_fsync
        | libc::SYS_fdatasync
        | libc::SYS_fchmod
        | libc::SYS_fchown
        | libc::SYS_flock
        | libc::SYS_close
        | libc::SYS_ftruncate
        | libc::SYS_syncfs
        | libc::SYS_sync_file_range
        | libc::SYS_fcntl
        | libc::SYS_fallocate => (None, None, Some(0)),
        _ => (None, None, None),
    }
}

pub fn look(tracee: &Tracee, call: &Call) -> Made {
    let (path, second, fd) = shape(call.number);
    let string = |at: Option<usize>| at.map_or(String::new(), |at| tracee.string(call.args[at]));
    let file = fd.and_then(|at| tracee.file(call.args[at]));
    let foreign = matches!(call.number, libc::SYS_read | libc::SYS_close)
        && fd.is_some_and(|at| tracee.link(call.args[at]).starts_with("/proc"));
    let durable = call.number == libc::SYS_pwrite64 && tracee.flags(call.args[0]) & libc::O_DSYNC != 0;
    Made {
        number: call.number,
        args: call.args,
        path: string(path),
        second: string(second),
        file,
        foreign,
        failed: None,
        refused: false,
        short: false,
        durable,
    }
}

pub fn read_outcome(tracee: &Tracee, at: u64) -> Outcome {
    let bytes = tracee.read(at, 16 + 256);
    let int = |at: usize| i32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four"));
    let message = &bytes[16 + 40..];
    let end = message.iter().position(|&b| b == 0).unwrap_or(message.len());
    Outcome {
        status: int(0),
        content: int(4),
        generation: i64::from_ne_bytes(bytes[8..16].try_into().expect("eight")),
        os_error: int(16 + 12),
        step: int(16 + 16),
        on_disk: int(16 + 20),
        message: String::from_utf8_lossy(&message[..end]).into_owned(),
    }
}

fn short(tracee: &Tracee, call: &Call, len: usize) {
    let fd = tracee.descriptor(call.args[0] as i32).expect("its descriptor");
    let raw = std::os::fd::AsRawFd::as_raw_fd(&fd);
    let offset = call.args[3] as i64;
    let done = match call.number {
        libc::SYS_pread64 => {
            let mut bytes = vec![0u8; len];
            let got = unsafe { libc::pread(raw, bytes.as_mut_ptr().cast(), len, offset) };
            tracee.write(call.args[1], &bytes[..got.max(0) as usize]);
            got
        }
        number => {
            let bytes = tracee.read(call.args[1], len);
            let from = bytes.as_ptr().cast();
            unsafe {
                if number == libc::SYS_pwrite64 {
                    libc::pwrite(raw, from, bytes.len(), offset)
                } else {
                    libc::write(raw, from, bytes.len())
                }
            }
        }
    };
    tracee.value(call, done as i64);
}

pub fn run(filter: &Filter, program: &str, operation: &str, directory: &Path, fault: Fault) -> Result<Run, String> {
    let text = directory.to_str().expect("a directory");
    run_with(filter, &[program, operation, text, "n"], directory, fault)
}

/// The same with these arguments, of which the second one is the operation.
pub fn run_with(filter: &Filter, arguments: &[&str], directory: &Path, fault: Fault) -> Result<Run, String> {
    let operation = arguments[1];
    let mut tracee = Tracee::spawn(filter, arguments)?;
    let mut run = Run {
        calls: Vec::new(),
        outcome: None,
        at_end: Tree::new(),
        descriptors: (0, 0),
        status: 0,
        after: Tree::new(),
        pid: tracee.pid,
    };
    let mut inside = false;
    let mut sticky = None;
    while let Event::Call(call) = tracee.next() {
        if call.number == libc::SYS_sched_yield {
            inside = call.args[0] == BEGIN;
            if inside {
                run.descriptors.0 = tracee.descriptors();
            } else {
                run.descriptors.1 = tracee.descriptors();
                run.outcome = Some(read_outcome(&tracee, call.args[1]));
                run.at_end = tree::take(directory);
            }
            tracee.proceed(&call);
            continue;
        }
        if !inside {
            tracee.proceed(&call);
            continue;
        }
        let k = run.calls.len();
        let mut made = look(&tracee, &call);
        let mut errno = sticky.filter(|&(number, _)| number == call.number).map(|(_, errno)| errno);
        match fault {
            Fault::Error { k: at, errno: which, sticky: ever } if at == k => {
                errno = Some(which);
                sticky = ever.then_some((call.number, which));
            }
            Fault::Kill { k: at } if at == k => {
                tracee.kill();
                break;
            }
            Fault::Short { k: at, len } if at == k => {
                made.short = true;
                run.calls.push(made);
                short(&tracee, &call, len);
                continue;
            }
            _ => {}
        }
        made.failed = errno;
        let refused = refused(operation, &made).filter(|_| errno.is_none());
        made.refused = refused.is_some();
        run.calls.push(made);
        match errno.or(refused) {
            Some(errno) => tracee.fail(&call, errno),
            // A sleep of nothing but time need not be slept, but where the time is what is waited for.
            None if call.number == libc::SYS_ppoll && call.args[1] == 0 && !operation.contains("wait") => tracee.value(&call, 0),
            None => tracee.proceed(&call),
        }
    }
    run.status = tracee.wait();
    run.after = tree::take(directory);
    Ok(run)
}
