//! One run of several processes, of which one at a time is let go on, by one call.

use crate::fault::{self, BEGIN, Outcome};
use crate::tracee::{Call, Event, Filter, Tracee};
use crate::tree::{self, Tree};
use libc::*;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

const END: u64 = 2;
const ENTER: u64 = 3;
const LEAVE: u64 = 4;

/// Nothing here takes nearly as long: something is stuck.
const WATCHDOG: Duration = Duration::from_secs(20);
const MOST_STEPS: usize = 20_000;

/// Calls by which no process tells another anything, in memory, where a sync does nothing: to stop before one is to stop
/// before the next that matters. They are not even asked for.
pub const PRIVATE: [&str; 26] = [
    "brk",
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "getpid",
    "gettid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigpending",
    "getrandom",
    "futex",
    "arch_prctl",
    "set_tid_address",
    "set_robust_list",
    "rseq",
    "prlimit64",
    "access",
    "chdir",
    "fsync",
    "fdatasync",
    "fstatfs",
];

/// Who is chosen among those that can go on. The first one is the natural choice; those from `free` on are preemptions: they
/// need not be tried.
pub trait Chooser {
    fn choose(&mut self, able: &[usize], free: usize) -> usize;
}

/// What is looked at after every step: the directory, and the numbers of those that hold the lock.
pub type Watch = fn(&Path, &[i32]) -> Result<(), String>;

pub struct Plan<'a> {
    pub filter: &'a Filter,
    pub program: &'a str,
    pub directory: &'a Path,
    pub before: &'a Tree,
    /// What each process does, and with which character.
    pub processes: &'a [(&'a str, &'a str)],
    pub watch: Option<Watch>,
    /// A mutant: every flock is answered with success and not made.
    pub no_flock: bool,
    /// A mutant: names cannot be exchanged.
    pub no_exchange: bool,
    /// Keep what was called.
    pub told: bool,
}

#[derive(Default)]
pub struct Done {
    pub outcomes: Vec<Option<Outcome>>,
    pub statuses: Vec<i32>,
    pub pids: Vec<i32>,
    pub steps: usize,
    pub choices: Vec<usize>,
    pub story: Vec<String>,
    pub after: Tree,
    pub broken: Option<String>,
}

enum Ready {
    Now,
    /// It sleeps for a time, which is over when the scheduler says so.
    Asleep,
    /// What it waits for has not come.
    Blocked,
}

struct Process {
    tracee: Tracee,
    status: Option<i32>,
    no_flock: bool,
    no_exchange: bool,
    pending: Option<Call>,
    begun: bool,
    ended: bool,
    inside: bool,
    /// The step at which it came to its pending call.
    since: usize,
}

impl Process {
    fn text(&self, call: &Call) -> String {
        let made = fault::look(&self.tracee, call);
        match (made.number, call.args[0]) {
            (SYS_sched_yield, END) => "ends".into(),
            (SYS_sched_yield, ENTER) => "is in".into(),
            (SYS_sched_yield, LEAVE) => "is out".into(),
            _ => crate::calls::name(&made),
        }
    }

    /// The same: files of /proc, opening a directory or making a file without a name (O_TMPFILE has the bit of
    /// O_DIRECTORY), closing what has no lock.
    fn is_private(&self, call: &Call) -> bool {
        let has_lock = || {
            let path = format!("/proc/{}/fdinfo/{}", self.tracee.pid, call.args[0] as i32);
            std::fs::read_to_string(path).is_ok_and(|text| text.contains("lock:"))
        };
        match call.number {
            SYS_openat if call.args[2] as i32 & O_DIRECTORY != 0 => true,
            SYS_openat | SYS_readlinkat => self.tracee.string(call.args[1]).starts_with("/proc/"),
            SYS_read => self.tracee.link(call.args[0]).starts_with("/proc/"),
            SYS_close => !has_lock(),
            _ => false,
        }
    }

    /// Lets its pending call be made, and waits for the next one that matters. False: it is stuck.
    fn advance(&mut self, deadline: Instant) -> bool {
        if let Some(call) = self.pending.take() {
            match call.number {
                SYS_sched_yield => match call.args[0] {
                    END => self.ended = true,
                    LEAVE => self.inside = false,
                    _ => {}
                },
                SYS_flock if self.no_flock => {
                    self.tracee.value(&call, 0);
                    return self.next(deadline);
                }
                SYS_renameat2 if self.no_exchange && call.args[4] & u64::from(RENAME_EXCHANGE) != 0 => {
                    self.tracee.fail(&call, EINVAL);
                    return self.next(deadline);
                }
                SYS_ppoll if matches!(self.ready(&call), Ready::Asleep) => {
                    for i in 0..call.args[1].min(8) {
                        self.tracee.write(call.args[0] + i * 8 + 6, &[0, 0]);
                    }
                    self.tracee.value(&call, 0);
                    return self.next(deadline);
                }
                SYS_nanosleep | SYS_clock_nanosleep => {
                    self.tracee.value(&call, 0);
                    return self.next(deadline);
                }
                _ => {}
            }
            self.tracee.proceed(&call);
        }
        self.next(deadline)
    }

    fn next(&mut self, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).as_millis() as i32;
            match self.tracee.next_within(left) {
                None => return false,
                Some(Event::Gone) => {
                    // Really: the listener is closed a little before those hear of it who watch the process.
                    self.status = Some(self.tracee.wait());
                    return true;
                }
                Some(Event::Call(call)) => {
                    let mark = (call.number == SYS_sched_yield).then_some(call.args[0]);
                    if mark == Some(BEGIN) {
                        self.begun = true;
                    } else if mark.is_some() || (self.begun && !self.ended && !self.is_private(&call)) {
                        self.inside |= mark == Some(ENTER);
                        self.pending = Some(call);
                        return true;
                    }
                    self.tracee.proceed(&call);
                }
            }
        }
    }

    fn descriptor(&self, fd: u64) -> Option<OwnedFd> {
        self.tracee.descriptor(fd as i32).ok()
    }

    /// Would the call be made at once? Asked of the kernel, by a descriptor of the same open file.
    fn ready(&self, call: &Call) -> Ready {
        let blocked = |blocked| if blocked { Ready::Blocked } else { Ready::Now };
        match call.number {
            SYS_nanosleep | SYS_clock_nanosleep => Ready::Asleep,
            SYS_flock if !self.no_flock && call.args[1] as i32 & (LOCK_NB | LOCK_UN) == 0 => {
                // Nobody here turns a shared lock into an exclusive one: it has none yet.
                let Some(fd) = self.descriptor(call.args[0]) else { return Ready::Now };
                let taken = unsafe { flock(fd.as_raw_fd(), call.args[1] as i32 | LOCK_NB) };
                let would_wait = taken != 0 && std::io::Error::last_os_error().raw_os_error() == Some(EWOULDBLOCK);
                if taken == 0 {
                    unsafe { flock(fd.as_raw_fd(), LOCK_UN) };
                }
                blocked(would_wait)
            }
            SYS_fcntl if call.args[1] as i32 == F_OFD_SETLKW => {
                let Some(fd) = self.descriptor(call.args[0]) else { return Ready::Now };
                let mut bytes = self.tracee.read(call.args[2], size_of::<libc::flock>());
                let asked = unsafe { fcntl(fd.as_raw_fd(), F_OFD_GETLK, bytes.as_mut_ptr()) };
                let kind = i16::from_ne_bytes([bytes[0], bytes[1]]);
                blocked(asked == 0 && kind != F_UNLCK as i16)
            }
            SYS_ppoll => self.poll(call),
            _ => Ready::Now,
        }
    }

    fn poll(&self, call: &Call) -> Ready {
        let time = (call.args[2] != 0).then(|| self.tracee.read(call.args[2], 16));
        if time.as_ref().is_some_and(|time| time.iter().all(|&byte| byte == 0)) {
            return Ready::Now;
        }
        let asked = self.tracee.read(call.args[0], call.args[1].min(8) as usize * 8);
        for each in asked.chunks_exact(8) {
            let number = i32::from_ne_bytes(each[..4].try_into().expect("four"));
            let Some(fd) = (number >= 0).then(|| self.descriptor(number as u64)).flatten() else { continue };
            let mut one = pollfd { fd: fd.as_raw_fd(), events: i16::from_ne_bytes([each[4], each[5]]), revents: 0 };
            if unsafe { libc::poll(&mut one, 1, 0) } > 0 {
                return Ready::Now;
            }
        }
        if time.is_some() { Ready::Asleep } else { Ready::Blocked }
    }
}

pub fn run(plan: &Plan, chooser: &mut dyn Chooser) -> Result<Done, String> {
    tree::put(plan.directory, plan.before, None);
    let path = plan.directory.to_str().expect("a path");
    let mut processes = Vec::new();
    for (operation, with) in plan.processes {
        let tracee = Tracee::spawn(plan.filter, &[plan.program, operation, path, with, "1"])?;
        processes.push(Process {
            tracee,
            status: None,
            no_flock: plan.no_flock,
            no_exchange: plan.no_exchange,
            pending: None,
            begun: false,
            ended: false,
            inside: false,
            since: 0,
        });
    }
    let mut done = Done { outcomes: vec![None; processes.len()], ..Done::default() };
    done.pids = processes.iter().map(|process| process.tracee.pid).collect();
    done.broken = interleave(plan, &mut processes, chooser, &mut done).err();
    if done.broken.is_some() {
        processes.iter().filter(|process| process.status.is_none()).for_each(|process| process.tracee.kill());
    }
    done.statuses = processes.iter_mut().map(|process| process.status.unwrap_or_else(|| process.tracee.wait())).collect();
    done.after = tree::take(plan.directory);
    Ok(done)
}

fn interleave(plan: &Plan, processes: &mut [Process], chooser: &mut dyn Chooser, done: &mut Done) -> Result<(), String> {
    let deadline = Instant::now() + WATCHDOG;
    let mut last = None;
    for process in processes.iter_mut() {
        if !process.advance(deadline) {
            return Err("it does not begin".into());
        }
    }
    loop {
        let mut able = Vec::new();
        let mut asleep: Vec<usize> = Vec::new();
        for (i, process) in processes.iter().enumerate() {
            let Some(call) = &process.pending else { continue };
            match process.ready(call) {
                Ready::Now => able.push(i),
                Ready::Asleep => asleep.push(i),
                Ready::Blocked => {}
            }
        }
        // Who went on goes on, unless he waits or has ended: then it is free to choose. Time passes for a sleeper with what
        // the others do, or when nothing else can happen; who sleeps longest wakes first.
        let free = if let Some(at) = able.iter().position(|&i| Some(i) == last) {
            able[..=at].rotate_right(1);
            1
        } else {
            able.len().max(1)
        };
        let nobody = able.is_empty();
        asleep.retain(|&i| nobody || processes[i].since < done.steps);
        asleep.sort_by_key(|&i| processes[i].since);
        able.extend(asleep);
        if able.is_empty() {
            let waiting: Vec<String> = (0..processes.len())
                .filter_map(|i| processes[i].pending.as_ref().map(|call| format!("P{i} {}", processes[i].text(call))))
                .collect();
            return if waiting.is_empty() { Ok(()) } else { Err(format!("nobody can go on: {}", waiting.join("; "))) };
        }
        let chosen = chooser.choose(&able, free);
        let process = &mut processes[chosen];
        let call = process.pending.clone().expect("it waits");
        if plan.told {
            done.story.push(format!("P{chosen} {}", process.text(&call)));
        }
        if call.number == SYS_sched_yield && call.args[0] == END {
            done.outcomes[chosen] = Some(fault::read_outcome(&process.tracee, call.args[1]));
        }
        done.choices.push(chosen);
        done.steps += 1;
        if done.steps > MOST_STEPS {
            return Err(format!("no end after {MOST_STEPS} steps"));
        }
        if !process.advance(deadline) {
            return Err(format!("P{chosen} is stuck in {}", process.text(&call)));
        }
        process.since = done.steps;
        last = Some(chosen);
        let inside: Vec<usize> = (0..processes.len()).filter(|&i| processes[i].inside).collect();
        if inside.len() > 1 {
            return Err(format!("two hold the lock: P{} and P{}", inside[0], inside[1]));
        }
        if let Some(watch) = plan.watch {
            let holders: Vec<i32> = inside.iter().map(|&i| processes[i].tracee.pid).collect();
            watch(plan.directory, &holders)?;
        }
    }
}
