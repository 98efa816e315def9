//! A directory as the kernel sees it: names, files, and what a flock hangs on.
//!
//! Everything that a process can observe is a function of the calls made so far, and numbers are given out
//! so that equal states look equal: a file is (its creator, the first free one of the creator's numbers), a time likewise.

use super::content::Content;
use super::open::Description;
use libc::{EEXIST, ENODATA, ENOENT, RENAME_EXCHANGE, RENAME_NOREPLACE};

/// A file name, padded with NULs.
pub type Name = [u8; 32];

/// `bytes` as a [`Name`].
pub fn name(bytes: &[u8]) -> Name {
    let mut out = [0u8; 32];
    out[..bytes.len()].copy_from_slice(bytes);
    out
}

/// Is it a name as the library gives it to files on their way?
fn is_temporary(name: &Name) -> bool {
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    name[..end].ends_with(b".tmp")
}

/// What a hard link is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Links {
    /// Another name of the same node.
    #[default]
    Together,
    /// A node of its own, with a flock of its own, over the same content: mergerfs, sshfs. `same_number`: stat shows the
    /// number of the first one all the same.
    Apart { same_number: bool },
}

/// What a name means and a flock hangs on.
#[derive(Clone, Copy)]
pub struct Node {
    /// Tells it from every other.
    pub id: u64,
    /// The inode number that stat shows.
    pub ino: u64,
    pub file: usize,
}

/// Content and attributes.
#[derive(Clone)]
pub struct File {
    pub id: u64,
    pub creator: usize,
    /// Whose lock it is: the creator's, or that of the child that adopted it.
    pub owner: usize,
    pub mode: u32,
    pub nlink: u32,
    /// Open descriptions of its nodes.
    pub opens: u32,
    /// Made by O_TMPFILE and never linked: the only kind of nameless file that may be linked.
    pub linkable: bool,
    pub content: Content,
    pub mtime: i64,
    /// When it was made, which no two files have in common; 0 where nobody asks.
    pub btime: i64,
    /// It has had none but temporary names: nobody but its maker reads or writes it.
    pub fresh: bool,
    /// What the last write to it in place was to make of it, the whole of it.
    pub intended: Option<Content>,
    pub xattr: Option<Vec<u8>>,
    /// The time in it, which a later write must not have.
    pub described: i64,
    /// Nobody but a child that adopts it will change content, attribute or mode any more.
    pub settled: bool,
    /// Forked children have its descriptor.
    pub inherited: bool,
    /// A child has made it its own.
    pub adopted: bool,
    /// Another program's.
    pub foreign: bool,
}

impl File {
    pub fn bytes(&self) -> &[u8] {
        self.content.bytes()
    }

    pub fn len(&self) -> usize {
        self.bytes().len()
    }

    fn freed(&self) -> bool {
        self.nlink == 0 && self.opens == 0
    }
}

#[derive(Clone, Default)]
pub struct Fs {
    pub files: Vec<File>,
    pub nodes: Vec<Node>,
    pub names: Vec<(Name, usize)>,
    pub opened: Vec<Description>,
    /// Give out the lowest free inode number, as ext4 does: a number can then come back in another process's file.
    pub reuse_numbers: bool,
    pub links: Links,
    /// It holds states, whose files are written to again when they have their name, and not locks.
    pub holds_states: bool,
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
    /// The node that has this name.
    pub fn lookup(&self, name: &Name) -> Option<usize> {
        self.names.iter().find(|(n, _)| n == name).map(|&(_, node)| node)
    }

    pub fn file(&self, node: usize) -> &File {
        &self.files[self.nodes[node].file]
    }

    pub fn file_mut(&mut self, node: usize) -> &mut File {
        &mut self.files[self.nodes[node].file]
    }

    /// Does this name mean a file whose lock is `slot`'s?
    pub fn is_owned(&self, name: &Name, slot: usize) -> bool {
        self.lookup(name).is_some_and(|node| self.file(node).owner == slot)
    }

    /// A number that no file has: of the process's own, or of all when they are given out as ext4 does.
    fn number(&self, slot: usize) -> u64 {
        let first = if self.reuse_numbers { 100 } else { (slot as u64 + 1) * 1000 + 1 };
        let used = |number: u64| self.nodes.iter().any(|n| n.id == number && !self.files[n.file].freed());
        (first..).find(|&number| !used(number)).unwrap_or(0)
    }

    /// A moment at which no file that is still there was written.
    fn tick(&self, slot: usize) -> i64 {
        let first = (slot as i64 + 1) * 1_000_000 + 1;
        let used = |time: i64| self.files.iter().any(|f| (f.mtime == time || f.described == time) && !f.freed());
        (first..).find(|&time| !used(time)).unwrap_or(0)
    }

    /// A moment at which no other file was made.
    fn birth(&self, slot: usize) -> i64 {
        let made = self.files.iter().filter(|f| f.creator == slot).count();
        (slot as i64 + 1) * 1_000_000 + made as i64
    }

    /// Nobody looks at the time of a state's file.
    fn written(&mut self, slot: usize, node: usize) {
        if !self.holds_states {
            self.file_mut(node).mtime = self.tick(slot);
        }
    }

    fn add_node(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// A new file. Without a name it is one of O_TMPFILE.
    pub fn create(&mut self, slot: usize, mode: u32, named: Option<Name>) -> Result<usize, i32> {
        if named.is_some_and(|n| self.lookup(&n).is_some()) {
            return Err(EEXIST);
        }
        let id = self.number(slot);
        let (mtime, btime) = if self.holds_states { (0, self.birth(slot)) } else { (self.tick(slot), 0) };
        self.files.push(File {
            id,
            creator: slot,
            owner: slot,
            mode: 0o100_000 | (mode & 0o7777 & !0o022),
            nlink: u32::from(named.is_some()),
            opens: 0,
            linkable: named.is_none(),
            content: Content::default(),
            mtime,
            btime,
            fresh: named.is_some_and(|n| is_temporary(&n)),
            intended: None,
            xattr: None,
            described: 0,
            settled: false,
            inherited: false,
            adopted: false,
            foreign: false,
        });
        let node = self.add_node(Node { id, ino: id, file: self.files.len() - 1 });
        if let Some(n) = named {
            self.names.push((n, node));
        }
        Ok(node)
    }

    pub fn write(&mut self, slot: usize, node: usize, at: usize, bytes: &[u8]) {
        self.written(slot, node);
        self.file_mut(node).content.write(at, bytes);
    }

    pub fn truncate(&mut self, slot: usize, node: usize, len: usize) {
        self.written(slot, node);
        self.file_mut(node).content.truncate(len);
    }

    pub fn link(&mut self, by: usize, node: usize, to: Name) -> Result<(), i32> {
        if self.lookup(&to).is_some() {
            return Err(EEXIST);
        }
        let holds_states = self.holds_states;
        let file = self.file_mut(node);
        if file.nlink == 0 && !file.linkable {
            return Err(ENOENT);
        }
        file.linkable = false;
        file.settled = file.creator == by && !holds_states;
        file.fresh &= is_temporary(&to);
        file.nlink += 1;
        let node = match self.links {
            Links::Together => node,
            Links::Apart { same_number } => {
                let (id, linked) = (self.number(by), self.nodes[node]);
                self.add_node(Node { id, ino: if same_number { linked.ino } else { id }, file: linked.file })
            }
        };
        self.names.push((to, node));
        Ok(())
    }

    pub fn unlink(&mut self, name: &Name) -> Result<usize, i32> {
        let at = self.names.iter().position(|(n, _)| n == name).ok_or(ENOENT)?;
        let (_, node) = self.names.swap_remove(at);
        self.file_mut(node).nlink -= 1;
        Ok(node)
    }

    /// `flags`: 0, RENAME_NOREPLACE or RENAME_EXCHANGE.
    pub fn rename(&mut self, by: usize, from: &Name, to: Name, flags: u32) -> Result<(), i32> {
        let node = self.lookup(from).ok_or(ENOENT)?;
        if flags == RENAME_EXCHANGE {
            return self.exchange((*from, node), (to, self.lookup(&to).ok_or(ENOENT)?));
        }
        match self.lookup(&to) {
            Some(_) if flags == RENAME_NOREPLACE => return Err(EEXIST),
            // Two names of one file: nothing happens (rename(2)).
            Some(target) if target == node => return Ok(()),
            Some(_) => drop(self.unlink(&to)),
            None => {}
        }
        let settles = !self.holds_states;
        let file = self.file_mut(node);
        file.settled |= file.creator == by && settles;
        file.fresh &= is_temporary(&to);
        for entry in &mut self.names {
            if entry.0 == *from {
                entry.0 = to;
            }
        }
        Ok(())
    }

    fn exchange(&mut self, one: (Name, usize), other: (Name, usize)) -> Result<(), i32> {
        for (name, node) in &mut self.names {
            if *name == one.0 {
                *node = other.1;
            } else if *name == other.0 {
                *node = one.1;
            }
        }
        for (node, to) in [(one.1, other.0), (other.1, one.0)] {
            self.file_mut(node).fresh &= is_temporary(&to);
        }
        Ok(())
    }

    pub fn xattr(&self, node: usize) -> Result<&[u8], i32> {
        self.file(node).xattr.as_deref().ok_or(ENODATA)
    }

    /// Does not depend on the order in which names, files and descriptions came to be.
    pub fn hash(&self) -> u64 {
        let mut sum = 0u64;
        for (n, node) in &self.names {
            sum = sum.wrapping_add(mix(mix_bytes(1, n), self.nodes[*node].id));
        }
        for file in self.files.iter().filter(|i| !i.freed()) {
            let mut h = mix(2, file.id);
            h = mix(h, (file.creator as u64) << 32 | file.owner as u64);
            let flags = u64::from(file.linkable) | u64::from(file.inherited) << 1 | u64::from(file.adopted) << 2;
            h = mix(h, u64::from(file.mode) << 32 | u64::from(file.nlink) << 8 | flags);
            h = mix(h, file.content.hash());
            h = mix(mix(h, file.mtime.cast_unsigned()), file.btime.cast_unsigned());
            if let Some(value) = &file.xattr {
                h = mix_bytes(h, value);
            }
            sum = sum.wrapping_add(h);
        }
        self.opened.iter().filter(|d| d.is_locked()).fold(sum, |sum, d| sum.wrapping_add(mix(d.hash(), self.nodes[d.flocked].id)))
    }
}
