//! A directory as the kernel sees it: names, inodes, open file descriptions, flock.
//!
//! Everything that a process can observe is a function of the calls made so far, and numbers are given out
//! so that equal states look equal: an inode is (its creator, the creator's count), a time likewise.

use libc::{EAGAIN, EEXIST, ENODATA, ENOENT};

/// A file name, padded with NULs.
pub type Name = [u8; 24];

/// `bytes` as a [`Name`].
pub fn name(bytes: &[u8]) -> Name {
    let mut out = [0u8; 24];
    out[..bytes.len()].copy_from_slice(bytes);
    out
}

/// One lock on an inode, by whom through which descriptor.
#[derive(Clone, Copy, PartialEq)]
pub struct Flock {
    pub slot: usize,
    pub fd: i32,
    pub exclusive: bool,
}

#[derive(Clone)]
pub struct Inode {
    pub ino: u64,
    pub creator: usize,
    pub mode: u32,
    pub nlink: u32,
    pub opens: u32,
    /// Made by O_TMPFILE and never linked: the only kind of nameless file that may be linked.
    pub linkable: bool,
    pub content: [u8; 24],
    pub len: usize,
    pub mtime: i64,
    pub xattr: Option<Vec<u8>>,
    /// Nobody will change content, attribute or mode any more.
    pub settled: bool,
    pub flocks: Vec<Flock>,
}

impl Inode {
    pub fn bytes(&self) -> &[u8] {
        &self.content[..self.len]
    }

    fn freed(&self) -> bool {
        self.nlink == 0 && self.opens == 0
    }
}

#[derive(Clone, Default)]
pub struct Fs {
    pub inodes: Vec<Inode>,
    pub names: Vec<(Name, usize)>,
    /// By slot: files made, writes done.
    pub made: [u16; 8],
    pub written: [u16; 8],
    /// Give out the lowest free inode number, as ext4 does: a number can then come back in another file.
    pub reuse_numbers: bool,
}

/// Mixes `value` into `hash` (the finalizer of MurmurHash3: every bit reaches every bit).
pub fn mix(hash: u64, value: u64) -> u64 {
    let mut h = hash.rotate_left(23) ^ value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^= h >> 33;
    h = h.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ (h >> 33)
}

/// The same for bytes.
pub fn mix_bytes(hash: u64, bytes: &[u8]) -> u64 {
    let mut h = mix(hash, bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        h = mix(h, u64::from_le_bytes(word));
    }
    h
}

impl Fs {
    pub fn lookup(&self, name: &Name) -> Option<usize> {
        self.names.iter().find(|(n, _)| n == name).map(|&(_, inode)| inode)
    }

    fn number(&mut self, slot: usize) -> u64 {
        self.made[slot] += 1;
        if self.reuse_numbers {
            return (100..).find(|n| !self.inodes.iter().any(|i| i.ino == *n && !i.freed())).unwrap_or(0);
        }
        (slot as u64 + 1) * 1000 + u64::from(self.made[slot])
    }

    fn tick(&mut self, slot: usize) -> i64 {
        self.written[slot] += 1;
        (slot as i64 + 1) * 1_000_000 + i64::from(self.written[slot])
    }

    /// A new file, open once. Without a name it is one of O_TMPFILE.
    pub fn create(&mut self, slot: usize, mode: u32, named: Option<Name>) -> Result<usize, i32> {
        if named.is_some_and(|n| self.lookup(&n).is_some()) {
            return Err(EEXIST);
        }
        let (ino, mtime) = (self.number(slot), self.tick(slot));
        let inode = Inode {
            ino,
            creator: slot,
            mode: 0o100_000 | (mode & 0o7777 & !0o022),
            nlink: u32::from(named.is_some()),
            opens: 1,
            linkable: named.is_none(),
            content: [0; 24],
            len: 0,
            mtime,
            xattr: None,
            settled: false,
            flocks: Vec::new(),
        };
        self.inodes.push(inode);
        let inode = self.inodes.len() - 1;
        if let Some(n) = named {
            self.names.push((n, inode));
        }
        Ok(inode)
    }

    pub fn write(&mut self, slot: usize, inode: usize, bytes: &[u8]) {
        let mtime = self.tick(slot);
        let inode = &mut self.inodes[inode];
        inode.content[inode.len..inode.len + bytes.len()].copy_from_slice(bytes);
        inode.len += bytes.len();
        inode.mtime = mtime;
    }

    pub fn link(&mut self, by: usize, inode: usize, to: Name) -> Result<(), i32> {
        if self.lookup(&to).is_some() {
            return Err(EEXIST);
        }
        let node = &mut self.inodes[inode];
        if node.nlink == 0 && !node.linkable {
            return Err(ENOENT);
        }
        node.linkable = false;
        node.settled = node.creator == by;
        node.nlink += 1;
        self.names.push((to, inode));
        Ok(())
    }

    pub fn unlink(&mut self, name: &Name) -> Result<usize, i32> {
        let at = self.names.iter().position(|(n, _)| n == name).ok_or(ENOENT)?;
        let (_, inode) = self.names.swap_remove(at);
        self.inodes[inode].nlink -= 1;
        Ok(inode)
    }

    pub fn rename(&mut self, by: usize, from: &Name, to: Name, no_replace: bool) -> Result<(), i32> {
        let inode = self.lookup(from).ok_or(ENOENT)?;
        match self.lookup(&to) {
            Some(_) if no_replace => return Err(EEXIST),
            // Two names of one file: nothing happens (rename(2)).
            Some(target) if target == inode => return Ok(()),
            Some(_) => drop(self.unlink(&to)),
            None => {}
        }
        self.inodes[inode].settled |= self.inodes[inode].creator == by;
        for entry in &mut self.names {
            if entry.0 == *from {
                entry.0 = to;
            }
        }
        Ok(())
    }

    pub fn flock(&mut self, inode: usize, wanted: Flock) -> Result<(), i32> {
        let flocks = &mut self.inodes[inode].flocks;
        let others = |f: &&Flock| (f.slot, f.fd) != (wanted.slot, wanted.fd);
        if flocks.iter().filter(others).any(|f| f.exclusive || wanted.exclusive) {
            return Err(EAGAIN);
        }
        flocks.retain(|f| (f.slot, f.fd) != (wanted.slot, wanted.fd));
        flocks.push(wanted);
        Ok(())
    }

    /// True when there was a lock to give up.
    pub fn unflock(&mut self, inode: usize, slot: usize, fd: i32) -> bool {
        let flocks = &mut self.inodes[inode].flocks;
        let before = flocks.len();
        flocks.retain(|f| (f.slot, f.fd) != (slot, fd));
        flocks.len() != before
    }

    /// The last close of a description drops its flock.
    pub fn close(&mut self, inode: usize, slot: usize, fd: i32) -> bool {
        self.inodes[inode].opens -= 1;
        self.unflock(inode, slot, fd)
    }

    pub fn xattr(&self, inode: usize) -> Result<&[u8], i32> {
        self.inodes[inode].xattr.as_deref().ok_or(ENODATA)
    }

    /// Does not depend on the order in which names and inodes came to be.
    pub fn hash(&self) -> u64 {
        let mut sum = 0u64;
        for (n, inode) in &self.names {
            sum = sum.wrapping_add(mix(mix_bytes(1, n), self.inodes[*inode].ino));
        }
        for inode in self.inodes.iter().filter(|i| !i.freed()) {
            let mut h = mix(2, inode.ino);
            h = mix(h, inode.creator as u64);
            h = mix(h, u64::from(inode.mode) << 32 | u64::from(inode.nlink) << 8 | u64::from(inode.linkable));
            h = mix_bytes(h, inode.bytes());
            h = mix(h, inode.mtime.cast_unsigned());
            if let Some(value) = &inode.xattr {
                h = mix_bytes(h, value);
            }
            let locks = inode.flocks.iter().map(|f| mix(mix(3, f.slot as u64), (f.fd as u64) << 1 | u64::from(f.exclusive)));
            sum = sum.wrapping_add(mix(h, locks.fold(0, u64::wrapping_add)));
        }
        sum
    }
}
