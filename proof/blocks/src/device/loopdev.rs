//! A loop device with direct I/O on the FUSE file.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

// linux/loop.h
const LOOP_CLR_FD: libc::c_ulong = 0x4C01;
const LOOP_GET_STATUS64: libc::c_ulong = 0x4C05;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LO_FLAGS_DIRECT_IO: u32 = 16;

#[repr(C)]
#[derive(Clone, Copy)]
struct Info64 {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

#[repr(C)]
struct Config {
    fd: u32,
    block_size: u32,
    info: Info64,
    reserved: [u64; 8],
}

pub struct Loop {
    pub path: PathBuf,
}

fn ioctl(file: &File, request: libc::c_ulong, argument: usize) -> io::Result<i32> {
    match unsafe { libc::ioctl(file.as_raw_fd(), request as _, argument) } {
        -1 => Err(io::Error::last_os_error()),
        value => Ok(value),
    }
}

impl Loop {
    pub fn attach(backing: &Path, block_size: u32) -> io::Result<Loop> {
        let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
        let backing = OpenOptions::new().read(true).write(true).open(backing)?;
        // Others take loop devices too: the free one may be gone before we have it.
        for _ in 0..100 {
            let number = ioctl(&control, LOOP_CTL_GET_FREE, 0)?;
            let path = PathBuf::from(format!("/dev/loop{number}"));
            if !path.exists() {
                let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
                unsafe { libc::mknod(name.as_ptr(), libc::S_IFBLK | 0o600, libc::makedev(7, number as u32)) };
            }
            let device = OpenOptions::new().read(true).write(true).open(&path)?;
            let mut config: Config = unsafe { std::mem::zeroed() };
            config.fd = backing.as_raw_fd() as u32;
            config.block_size = block_size;
            config.info.flags = LO_FLAGS_DIRECT_IO;
            match ioctl(&device, LOOP_CONFIGURE, &raw const config as usize) {
                Ok(_) => {}
                Err(e) if e.raw_os_error() == Some(libc::EBUSY) => continue,
                Err(e) => return Err(e),
            }
            let attached = Loop { path };
            // What all of this rests on; silently dropped, it would be a page cache between us and the flushes.
            let mut info: Info64 = unsafe { std::mem::zeroed() };
            ioctl(&device, LOOP_GET_STATUS64, &raw mut info as usize)?;
            let cache = std::fs::read_to_string(format!("/sys/block/loop{number}/queue/write_cache"))?;
            if info.flags & LO_FLAGS_DIRECT_IO == 0 || cache.trim() != "write back" {
                return Err(io::Error::other(format!("loop{number}: no direct I/O, or no flushes ({})", cache.trim())));
            }
            return Ok(attached);
        }
        Err(io::Error::other("no free loop device"))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if let Ok(device) = File::open(&self.path) {
            let _ = ioctl(&device, LOOP_CLR_FD, 0);
        }
    }
}

/// Detaches the loop devices on a file of ours whose server is dead (killed with its parent): they answer ENOTCONN.
pub fn detach_dead() {
    for entry in std::fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        // Only those that are attached have it. In a mount namespace that is gone, our file is "/disk".
        let backing = std::fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        if !backing.trim_end().ends_with("/disk") {
            continue;
        }
        let Ok(device) = File::open(Path::new("/dev").join(entry.file_name())) else { continue };
        let mut info: Info64 = unsafe { std::mem::zeroed() };
        let asked = ioctl(&device, LOOP_GET_STATUS64, &raw mut info as usize);
        if asked.is_err_and(|e| e.raw_os_error() == Some(libc::ENOTCONN)) {
            let _ = ioctl(&device, LOOP_CLR_FD, 0);
        }
    }
}
