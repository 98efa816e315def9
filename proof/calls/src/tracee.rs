//! A process whose system calls are asked for (seccomp user notification, seccomp_unotify(2)): each one waits until
//! it is told to go on, or is answered instead of being made.

use libseccomp::{ScmpAction, ScmpFilterContext, ScmpNotifReq, ScmpNotifResp, ScmpNotifRespFlags, ScmpSyscall};
use std::ffi::CString;
use std::io::{self, Read, Seek};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

/// Calls that are not asked for: those by which the process ends, and sendto, by which it tells us its listener. None
/// of them is the library's. (execve is: it would close the listener before we have it.)
const FREE: [&str; 4] = ["exit_group", "exit", "rt_sigreturn", "sendto"];
/// Call numbers known to the kernel are below this.
const NUMBERS: i32 = 470;
/// Something is badly wrong when a process asks for nothing for so long.
const STUCK_MS: i32 = 60_000;

/// The filter, compiled: what is between its being loaded and execve must not ask for anything, memory neither.
pub type Filter = Vec<libc::sock_filter>;

/// Asks for every call but those in FREE and in `more`.
pub fn filter(more: &[&str]) -> Result<Filter, String> {
    let error = |e: libseccomp::error::SeccompError| e.to_string();
    let free: Vec<i32> = FREE.iter().chain(more).filter_map(|name| ScmpSyscall::from_name(name).ok()).map(i32::from).collect();
    let mut filter = ScmpFilterContext::new(ScmpAction::Allow).map_err(error)?;
    for number in (0..NUMBERS).filter(|number| !free.contains(number)) {
        filter.add_rule(ScmpAction::Notify, ScmpSyscall::from(number)).map_err(error)?;
    }
    // A binary tree instead of a list: there are many rules.
    filter.set_ctl_optimize(2).map_err(error)?;
    let mut file = unsafe { std::fs::File::from_raw_fd(libc::memfd_create(c"filter".as_ptr(), libc::MFD_CLOEXEC)) };
    filter.export_bpf(&file).map_err(error)?;
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).map_err(|e| e.to_string())?;
    let instruction = |b: &[u8]| libc::sock_filter {
        code: u16::from_ne_bytes([b[0], b[1]]),
        jt: b[2],
        jf: b[3],
        k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
    };
    Ok(bytes.chunks_exact(8).map(instruction).collect())
}

/// A call that waits for its answer.
#[derive(Clone, Debug)]
pub struct Call {
    id: u64,
    pub number: i64,
    pub args: [u64; 6],
}

pub enum Event {
    Call(Call),
    Gone,
}

pub struct Tracee {
    pub pid: i32,
    listener: OwnedFd,
    pidfd: OwnedFd,
    reaped: bool,
}

fn check(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn descriptor(result: i64) -> io::Result<OwnedFd> {
    check(result).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

impl Tracee {
    pub fn spawn(filter: &Filter, arguments: &[&str]) -> Result<Tracee, String> {
        let owned: Vec<CString> = arguments.iter().map(|a| CString::new(*a).expect("an argument")).collect();
        let mut argv: Vec<*const libc::c_char> = owned.iter().map(|a| a.as_ptr()).collect();
        argv.push(std::ptr::null());
        let environment = [std::ptr::null()];
        let mut pair = [0i32; 2];
        let text = |e: io::Error| e.to_string();
        check(unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, pair.as_mut_ptr()) }.into())
            .map_err(text)?;
        let [ours, theirs] = pair.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        let pid = check(unsafe { libc::fork() }.into()).map_err(text)? as i32;
        if pid == 0 {
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
                let loaded = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program);
                let number: i32 = if loaded < 0 { -*libc::__errno_location() } else { loaded as i32 };
                libc::send(theirs.as_raw_fd(), (&raw const number).cast(), 4, 0);
                if number >= 0 {
                    libc::execve(argv[0], argv.as_ptr(), environment.as_ptr());
                }
                libc::_exit(127);
            }
        }
        drop(theirs);
        let mut number = 0i32;
        let got = unsafe { libc::recv(ours.as_raw_fd(), (&raw mut number).cast(), 4, 0) };
        let attach = || {
            if got != 4 || number < 0 {
                return Err(io::Error::from_raw_os_error(if got == 4 { -number } else { libc::ECHILD }));
            }
            let pidfd = descriptor(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
            let listener = descriptor(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) })?;
            Ok((pidfd, listener))
        };
        match attach() {
            Ok((pidfd, listener)) => Ok(Tracee { pid, listener, pidfd, reaped: false }),
            Err(e) => {
                unsafe {
                    libc::kill(pid, libc::SIGKILL);
                    libc::waitpid(pid, std::ptr::null_mut(), 0);
                }
                Err(format!("no seccomp user notification: {e}"))
            }
        }
    }

    /// The next call that it asks for.
    pub fn next(&self) -> Event {
        let event = self.next_within(STUCK_MS);
        event.unwrap_or_else(|| panic!("process {} is stuck in a call that was let through", self.pid))
    }

    /// The same, if there is one in time.
    pub fn next_within(&self, milliseconds: i32) -> Option<Event> {
        loop {
            let mut poll = libc::pollfd { fd: self.listener.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            let ready = unsafe { libc::poll(&mut poll, 1, milliseconds) };
            if ready == 0 {
                return None;
            }
            if ready > 0 && poll.revents & libc::POLLIN == 0 {
                return Some(Event::Gone);
            }
            // An error: it was interrupted or has ended between the two calls.
            if let Ok(request) = ScmpNotifReq::receive(self.listener.as_raw_fd()) {
                let number = i64::from(i32::from(request.data.syscall));
                return Some(Event::Call(Call { id: request.id, number, args: request.data.args }));
            }
        }
    }

    fn answer(&self, answer: ScmpNotifResp) {
        // It may have been killed meanwhile; then the next event says so.
        let _ = answer.respond(self.listener.as_raw_fd());
    }

    pub fn proceed(&self, call: &Call) {
        self.answer(ScmpNotifResp::new_continue(call.id, ScmpNotifRespFlags::empty()));
    }

    pub fn fail(&self, call: &Call, errno: i32) {
        self.answer(ScmpNotifResp::new_error(call.id, -errno, ScmpNotifRespFlags::empty()));
    }

    pub fn value(&self, call: &Call, value: i64) {
        self.answer(ScmpNotifResp::new_val(call.id, value, ScmpNotifRespFlags::empty()));
    }

    pub fn kill(&self) {
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    /// Waits for its end: the status of waitpid(2).
    pub fn wait(&mut self) -> i32 {
        let mut status = 0;
        unsafe { libc::waitpid(self.pid, &mut status, 0) };
        self.reaped = true;
        status
    }

    /// A descriptor of its own, which shares its open file.
    pub fn descriptor(&self, fd: i32) -> io::Result<OwnedFd> {
        descriptor(unsafe { libc::syscall(libc::SYS_pidfd_getfd, self.pidfd.as_raw_fd(), fd, 0) })
    }

    pub fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0u8; len];
        let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: len };
        let remote = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: len };
        let got = unsafe { libc::process_vm_readv(self.pid, &local, 1, &remote, 1, 0) };
        bytes.truncate(got.max(0) as usize);
        bytes
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let remote = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: bytes.len() };
        unsafe { libc::process_vm_writev(self.pid, &local, 1, &remote, 1, 0) };
    }

    /// The string there: paths here are short.
    pub fn string(&self, at: u64) -> String {
        // Up to the end of the page, beyond which there may be nothing.
        let room = 4096 - (at % 4096) as usize;
        let mut bytes = self.read(at, room.min(512));
        if !bytes.contains(&0) {
            bytes.extend(self.read(at + bytes.len() as u64, 256));
        }
        let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    /// What its descriptor leads to: the inode's number, and is it a directory, or a regular file?
    pub fn file(&self, fd: u64) -> Option<(u64, u32)> {
        use std::os::unix::fs::MetadataExt;
        let meta = std::fs::metadata(format!("/proc/{}/fd/{}", self.pid, fd as i32)).ok()?;
        Some((meta.ino(), meta.mode() & libc::S_IFMT))
    }

    /// What its descriptor was opened with.
    pub fn flags(&self, fd: u64) -> i32 {
        let about = std::fs::read_to_string(format!("/proc/{}/fdinfo/{}", self.pid, fd as i32)).unwrap_or_default();
        let octal = about.lines().find_map(|line| line.strip_prefix("flags:"));
        octal.and_then(|octal| i32::from_str_radix(octal.trim(), 8).ok()).unwrap_or(0)
    }

    pub fn link(&self, fd: u64) -> PathBuf {
        std::fs::read_link(format!("/proc/{}/fd/{}", self.pid, fd as i32)).unwrap_or_default()
    }

    /// How many descriptors it has.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid)).map_or(0, Iterator::count)
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill();
            self.wait();
        }
    }
}
