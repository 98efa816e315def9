//! What a file system can be relied on for, by its magic number (statfs(2), linux/magic.h).

use super::proc_lines;
use crate::hooks::*;
use crate::mem::format::number;

const FUSE: i64 = 0x6573_5546;
const OVERLAY: i64 = 0x794c_7630;

/// File systems that more than one machine may see: NFS, SMB and CIFS, 9p, Ceph, AFS, OCFS2, GFS2, Lustre, vboxsf.
const SHARED: [i64; 12] = [
    0x6969,
    0x517b,
    0xff53_4d42,
    0xfe53_4d42,
    0x0102_1997,
    0x00c3_6400,
    0x5346_414f,
    0x6b41_4653,
    0x7461_636f,
    0x0116_1970,
    0x0bd0_0bd0,
    0x786f_4256,
];

/// FUSE file systems over files of this machine, by the type of their mount.
const LOCAL_FUSE: [&[u8]; 12] = [
    b"fuseblk",
    b"fuse.bindfs",
    b"fuse.mergerfs",
    b"fuse.ntfs-3g",
    b"fuse.gocryptfs",
    b"fuse.encfs",
    b"fuse.cryfs",
    b"fuse.fuse-overlayfs",
    b"fuse.unionfs",
    b"fuse.unionfs-fuse",
    b"fuse.exfat",
    b"fuse.portal",
];

/// FUSE file systems on which the kernel may have two inodes for one file, since the server uses a number again: a flock
/// that is held can then look free.
const TWO_INODES: [&[u8]; 1] = [b"fuse.gocryptfs"];

/// May a flock on this file be held although another descriptor of it finds it free?
pub fn has_unreliable_flock(hooks: &Hooks, fd: i32) -> bool {
    hooks.filesystem(fd).is_ok_and(|magic| magic == FUSE) && is_mounted_as(hooks, fd, &TWO_INODES)
}

/// May another machine see this file? Unknown FUSE file systems may be on a network.
pub fn shared_between_machines(hooks: &Hooks, fd: i32) -> bool {
    hooks.filesystem(fd).is_ok_and(|magic| SHARED.contains(&magic) || (magic == FUSE && !is_mounted_as(hooks, fd, &LOCAL_FUSE)))
}

/// Is its mount of one of these types (proc_pid_mountinfo(5))? `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS ... - TYPE SOURCE ...`.
fn is_mounted_as(hooks: &Hooks, fd: i32, types: &[&[u8]]) -> bool {
    let Ok(stat) = hooks.fstat(fd) else { return false };
    let device = proc_lines::device_numbers(stat.dev);
    let kind = |line: &[u8]| {
        let mut words = line.split(|&byte| byte == b' ');
        let mut numbers = words.nth(2)?.split(|&byte| byte == b':');
        if (number(numbers.next()?)?, number(numbers.next()?)?) != device {
            return None;
        }
        words.find(|&word| word == b"-")?;
        let kind = words.next()?;
        Some(types.contains(&kind))
    };
    proc_lines::find::<4608, bool>(hooks, c"/proc/self/mountinfo", kind).unwrap_or(false)
}

/// What a lock in a directory has to know of its file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// FUSE: a hard link may be another inode for the kernel, with another flock, even if it shows the same number.
    Fuse,
    /// Overlayfs: a mapping holds the file of the lower file system, and not the flock of this one.
    Overlay,
    /// A hard link is the same inode, and a mapping keeps its flock.
    Ordinary,
}

/// What the directory is on.
pub fn kind(dir: &Fd<'_>) -> Kind {
    match dir.hooks().filesystem(dir.raw()) {
        Ok(FUSE) => Kind::Fuse,
        Ok(OVERLAY) => Kind::Overlay,
        _ => Kind::Ordinary,
    }
}

/// May a name in this directory change without a word to inotify, because the change is made below the mount?
pub fn changes_unseen(hooks: &Hooks, fd: i32) -> bool {
    hooks.filesystem(fd).is_ok_and(|magic| SHARED.contains(&magic) || magic == FUSE)
}

/// Does syncfs make a file of this file system durable, and report when it could not? On FUSE, overlays and network file
/// systems it may reach nothing; before Linux 5.8 it kept errors to itself (syncfs(2), "Versions").
pub fn syncfs_reaches_device(hooks: &Hooks, fd: i32) -> bool {
    is_well_known(hooks, fd) && kernel(hooks).is_some_and(|kernel| kernel >= (5, 8))
}

/// Does it sync what it says it synced, and report what it could not? ext2, ext3 and ext4; xfs, btrfs, f2fs, bcachefs, tmpfs.
pub fn is_well_known(hooks: &Hooks, fd: i32) -> bool {
    well_known(hooks, fd) == Ok(true)
}

/// The same for who has to be careful there: what cannot be asked may be one.
pub fn may_be_well_known(hooks: &Hooks, fd: i32) -> bool {
    well_known(hooks, fd) != Ok(false)
}

fn well_known(hooks: &Hooks, fd: i32) -> Result<bool, Errno> {
    const MAGIC: [i64; 6] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0xca45_1a4e, 0x0102_1994];
    hooks.filesystem(fd).map(|magic| MAGIC.contains(&magic))
}

/// Has a name that was changed after a syncfs to be synced by another one, and not by fsync of its directory? On btrfs (seen on Linux
/// 6.18) that answers 0, and a power cut may lose the name, where two processes change it at the same time. A program without the
/// library shows it: syncfs, rename, fsync of the directory.
pub fn loses_names_after_syncfs(hooks: &Hooks, fd: i32) -> bool {
    const BTRFS: i64 = 0x9123_683e;
    hooks.filesystem(fd) == Ok(BTRFS) && syncfs_reaches_device(hooks, fd)
}

/// The first two numbers of the kernel's release.
fn kernel(hooks: &Hooks) -> Option<(u64, u64)> {
    if hooks.absent(STEADFAST_ABSENT_PROC) {
        return None;
    }
    let mut buf = [0u8; 64];
    let fd = hooks.openat(AT_FDCWD, c"/proc/sys/kernel/osrelease", O_RDONLY | O_CLOEXEC | O_NOCTTY, 0).ok()?;
    let release = hooks.read(fd.raw(), &mut buf).ok()?;
    let mut numbers = release.split(|byte| !byte.is_ascii_digit());
    Some((number(numbers.next()?)?, number(numbers.next()?)?))
}
