//! Our side of the disk: starts the server in a process of its own, and gives it commands.

use super::loopdev::Loop;
use super::server::{Server, command};
use super::{Entry, Piece};
use fuser::{MountOption, Session};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub struct Disk {
    ctl: File,
    server: libc::pid_t,
    pub folder: PathBuf,
    device: Option<Loop>,
}

impl Disk {
    /// Starts the server, with its files at `folder`. A process of its own: when it dies, the connection aborts by
    /// itself and nobody hangs in the kernel; it dies when we do.
    pub fn start(folder: &Path) -> io::Result<Disk> {
        std::fs::create_dir_all(folder)?;
        let parent = unsafe { libc::getpid() };
        let server = unsafe { libc::fork() };
        if server == 0 {
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            if unsafe { libc::getppid() } == parent {
                let options = [MountOption::FSName("steadfast-blocks".into()), MountOption::AllowOther];
                if let Err(e) = Session::new(Server::default(), folder, &options).and_then(|mut session| session.run()) {
                    eprintln!("FUSE server: {e}");
                }
            }
            unsafe { libc::_exit(1) };
        }
        // It is there when its file is.
        let ctl = loop {
            match OpenOptions::new().read(true).write(true).open(folder.join("ctl")) {
                Ok(ctl) => break ctl,
                Err(_) if unsafe { libc::waitpid(server, std::ptr::null_mut(), libc::WNOHANG) } == 0 => {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                Err(e) => return Err(e),
            }
        };
        Ok(Disk { ctl, server, folder: folder.to_path_buf(), device: None })
    }

    fn tell(&self, what: u8, rest: &[u8]) -> io::Result<()> {
        let mut text = vec![what];
        text.extend(rest);
        self.ctl.write_all_at(&text, 0)
    }

    fn ask(&self, what: u8, rest: &[u8]) -> io::Result<Vec<u8>> {
        self.tell(what, rest)?;
        let mut out = vec![];
        let mut piece = vec![0; 1 << 16];
        loop {
            let len = self.ctl.read_at(&mut piece, out.len() as u64)?;
            if len == 0 {
                return Ok(out);
            }
            out.extend_from_slice(&piece[..len]);
        }
    }

    /// Another disk, with the content of `image`.
    pub fn load(&mut self, image: &Path, block_size: u32) -> io::Result<()> {
        self.device = None;
        self.tell(command::LOAD, image.to_str().unwrap().as_bytes())?;
        self.device = Some(Loop::attach(&self.folder.join("disk"), block_size)?);
        Ok(())
    }

    pub fn device(&self) -> &Path {
        &self.device.as_ref().expect("a disk is loaded").path
    }

    pub fn ctl_fd(&self) -> RawFd {
        self.ctl.as_raw_fd()
    }

    pub fn snapshot(&self) -> io::Result<()> {
        self.tell(command::SNAPSHOT, &[])
    }

    pub fn reset(&self) -> io::Result<()> {
        self.tell(command::RESET, &[])
    }

    pub fn begin(&self) -> io::Result<()> {
        self.tell(command::BEGIN, &[])
    }

    pub fn end(&self) -> io::Result<Vec<Entry>> {
        self.tell(command::END, &[])?;
        Ok(parse(&self.ask(command::LOG, &[])?))
    }

    pub fn delay(&self, ms: u8) -> io::Result<()> {
        self.tell(command::DELAY, &[ms])
    }

    /// Before `begin`: number `number` of the writes (w) or flushes (f) fails.
    pub fn fault(&self, kind: u8, number: u32, sticky: bool, errno: i32) -> io::Result<()> {
        let mut text = vec![kind];
        text.extend(number.to_le_bytes());
        text.push(u8::from(sticky));
        text.extend(errno.to_le_bytes());
        self.tell(command::FAULT, &text)
    }

    pub fn rewind(&self) -> io::Result<()> {
        self.tell(command::REWIND, &[])
    }

    pub fn durable(&self, to: usize) -> io::Result<()> {
        self.tell(command::DURABLE, &(to as u32).to_le_bytes())
    }

    /// The disk as a power cut may leave it; its hash.
    pub fn state(&self, pieces: &[Piece]) -> io::Result<u128> {
        let bytes: Vec<u8> = pieces.iter().flat_map(|p| [p.entry, p.first, p.sectors]).flat_map(u32::to_le_bytes).collect();
        let answer = self.ask(command::STATE, &bytes)?;
        Ok(u128::from_le_bytes(answer.try_into().map_err(|_| io::Error::other("no hash"))?))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.device = None;
        super::super::filesystem::unmount(&self.folder);
        unsafe {
            libc::kill(self.server, libc::SIGKILL);
            libc::waitpid(self.server, std::ptr::null_mut(), 0);
        }
    }
}

/// A marker from whatever process has the descriptor.
pub fn mark(ctl: RawFd, text: &str) {
    let mut bytes = vec![command::MARK];
    bytes.extend(text.as_bytes());
    let written = unsafe { libc::pwrite(ctl, bytes.as_ptr().cast(), bytes.len(), 0) };
    assert_eq!(written, bytes.len() as isize, "marker");
}

fn parse(bytes: &[u8]) -> Vec<Entry> {
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut at, mut out) = (0, vec![]);
    while at < bytes.len() {
        match bytes[at] {
            b'w' => {
                let offset = u64::from_le_bytes(bytes[at + 1..at + 9].try_into().unwrap());
                out.push(Entry::Write { offset, len: u32_at(at + 9) });
                at += 13;
            }
            b'm' => {
                let len = u32_at(at + 1) as usize;
                out.push(Entry::Mark(bytes[at + 5..at + 5 + len].to_vec()));
                at += 5 + len;
            }
            _ => {
                out.push(Entry::Flush);
                at += 1;
            }
        }
    }
    out
}
