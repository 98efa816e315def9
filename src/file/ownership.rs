//! Owner, mode and access ACL of a file that replaces another one. Nobody may do more with it than with the old one.

use super::xattr;
use crate::hooks::*;
use crate::mem::Buffer;
use crate::mem::format::hash;
use core::ffi::CStr;

/// In the mode of a state that was not synced: the sticky bit, which means nothing on a regular file (inode(7)).
pub const UNSYNCED: u32 = 0o1000;

/// The POSIX access ACL, as the kernel hands it out (acl(5), linux/posix_acl_xattr.h).
const ACCESS: &CStr = c"system.posix_acl_access";

/// The file that is replaced.
#[derive(Clone, Copy)]
pub struct Replaced {
    /// Open, to read its ACL.
    pub fd: i32,
    pub stat: steadfast_stat,
}

/// The permission bits that the caller asks for.
#[derive(Clone, Copy)]
pub struct Asked {
    /// 0: 0600.
    pub mode: u32,
    /// Are they for a file that replaces another one, too?
    pub always: bool,
}

impl Asked {
    /// The mode.
    pub fn bits(self) -> u32 {
        if self.mode == 0 { 0o600 } else { self.mode }
    }
}

/// How it went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The mode is the one wanted.
    Set,
    /// The file system fixes modes. What it gave is not wider than what was there before.
    Fixed(Errno),
}

/// The permissions of the three classes, three bits each.
#[derive(Clone, Copy)]
struct Classes {
    owner: u32,
    group: u32,
    other: u32,
}

impl Classes {
    fn of(mode: u32) -> Classes {
        Classes { owner: mode >> 6 & 7, group: mode >> 3 & 7, other: mode & 7 }
    }

    fn mode(self) -> u32 {
        self.owner << 6 | self.group << 3 | self.other
    }

    /// For another owner or group than the old one: who was in a class may be in another one now.
    fn without(self, owner_kept: bool, group_kept: bool) -> Classes {
        let mut new = self;
        if !group_kept {
            // The old group counts as others now, and some of the others are the new group.
            new.group &= self.other;
            new.other &= self.group;
        }
        if !owner_kept {
            new.group &= self.owner;
            new.other &= self.owner;
        }
        new
    }
}

/// Gives `fd`, whose stat is `own`, owner, group, ACL and mode of the file that it replaces, or the mode that is asked for;
/// and `mark`, UNSYNCED or 0. Until then it is for its owner alone.
pub fn give(
    hooks: &Hooks,
    fd: i32,
    own: &steadfast_stat,
    replaced: Option<&Replaced>,
    asked: Asked,
    mark: u32,
) -> Result<Mode, Errno> {
    let Some(old) = replaced else {
        return set_mode(hooks, fd, own.mode, asked.bits() | mark, false);
    };
    let (owner_kept, group_kept) = set_owner(hooks, fd, own, &old.stat)?;
    let mut special = old.stat.mode & 0o7000 & !UNSYNCED;
    // A set-id bit goes with the owner or group that it stood for.
    if !owner_kept {
        special &= !0o4000;
    }
    if !group_kept {
        special &= !0o2000;
    }
    let mut now = own.mode & 0o7777;
    let mut permissions = Classes::of(old.stat.mode).without(owner_kept, group_kept);
    if asked.always {
        special = asked.bits() & 0o7000;
        permissions = Classes::of(asked.bits());
    }
    if let Some(mut acl) = Acl::read(hooks, old.fd)? {
        acl.restrict(owner_kept, group_kept);
        if asked.always {
            acl.set_classes(permissions);
        }
        let (classes, alone) = (acl.classes(), acl.classes_alone());
        // Closed, then opened by the mode: tmpfs and btrfs set the mode before the ACL, and whom the ACL forbids could open
        // the file in between.
        let closed = Classes { group: 0, other: 0, ..classes };
        acl.set_classes(closed);
        permissions = match hooks.fsetxattr(fd, ACCESS, acl.value.bytes()) {
            Ok(()) => {
                now = now & 0o7000 | closed.mode();
                classes
            }
            Err(e) if xattr::is_refused(e) => alone,
            Err(e) => return Err(e),
        };
    } else if Acl::read(hooks, fd)?.is_some() {
        // The directory's default ACL has given it one that the old file does not have.
        hooks.fsetxattr(fd, ACCESS, &Acl::minimal(permissions))?;
        now = now & 0o7000 | permissions.mode();
    }
    set_mode(hooks, fd, now, special | permissions.mode() | mark, true)
}

/// What stands for owner, group, mode and ACL of a file: the mode itself, and four bits for the rest.
pub fn fingerprint(hooks: &Hooks, file: &Replaced) -> Result<u16, Errno> {
    let acl = Acl::read(hooks, file.fd)?;
    Ok(fingerprint_of(&file.stat, file.stat.mode, acl.as_ref().map_or(&[], |acl| acl.value.bytes())))
}

/// The same of a file that has this owner, and will have this mode and no ACL.
pub fn fingerprint_without_acl(owner: &steadfast_stat, mode: u32) -> u16 {
    fingerprint_of(owner, mode, &[])
}

fn fingerprint_of(owner: &steadfast_stat, mode: u32, acl: &[u8]) -> u16 {
    let rest = hash(&owner.uid.to_le_bytes()) ^ hash(&owner.gid.to_le_bytes()).rotate_left(1) ^ hash(acl).rotate_left(2);
    let folded = rest ^ rest >> 32;
    let folded = folded ^ folded >> 16;
    let folded = folded ^ folded >> 8;
    ((mode & 0o6777) << 4) as u16 | (folded ^ folded >> 4) as u16 & 15
}

/// Do the two files have the same owner, group, mode and ACL?
pub fn are_equal(hooks: &Hooks, a: &Replaced, b: &Replaced) -> Result<bool, Errno> {
    let of = |file: &Replaced| (file.stat.uid, file.stat.gid, file.stat.mode & !UNSYNCED);
    if of(a) != of(b) {
        return Ok(false);
    }
    let (a, b) = (Acl::read(hooks, a.fd)?, Acl::read(hooks, b.fd)?);
    Ok(a.as_ref().map(|acl| acl.value.bytes()) == b.as_ref().map(|acl| acl.value.bytes()))
}

/// Owner and group of the old file: which of them the new one has now.
fn set_owner(hooks: &Hooks, fd: i32, own: &steadfast_stat, old: &steadfast_stat) -> Result<(bool, bool), Errno> {
    const KEEP: u32 = u32::MAX;
    let same = (old.uid == own.uid, old.gid == own.gid);
    if same == (true, true) {
        return Ok(same);
    }
    let refused = |e: Errno| e.is_one_of(&[EPERM, EACCES]) || e.unsupported();
    match hooks.fchown(fd, old.uid, old.gid) {
        Ok(()) => return Ok((true, true)),
        Err(e) if refused(e) => {}
        Err(e) => return Err(e),
    }
    // Only root may give a file away, but a member may give it to its group (chown(2)).
    if same.1 {
        return Ok(same);
    }
    match hooks.fchown(fd, KEEP, old.gid) {
        Ok(()) => Ok((same.0, true)),
        Err(e) if refused(e) => Ok(same),
        Err(e) => Err(e),
    }
}

/// Sets the mode, where it is not so already. A file system that fixes modes refuses; that is no error, unless the file
/// replaces another one (`replaces`) and is open to more than it should be.
fn set_mode(hooks: &Hooks, fd: i32, now: u32, wanted: u32, replaces: bool) -> Result<Mode, Errno> {
    if wanted == now & 0o7777 {
        return Ok(Mode::Set);
    }
    let error = match hooks.fchmod(fd, wanted) {
        Ok(()) => return Ok(Mode::Set),
        Err(e) => e,
    };
    if !error.is_one_of(&[EPERM, EACCES, ENOSYS, EOPNOTSUPP]) {
        return Err(error);
    }
    let wider = hooks.fstat(fd)?.mode & 0o777 & !wanted != 0;
    if replaces && wider { Err(error) } else { Ok(Mode::Fixed(error)) }
}

/// An access ACL: a version, then entries of a tag, permissions and an id, little-endian.
struct Acl {
    value: Buffer,
}

const VERSION: usize = 4;
const ENTRY: usize = 8;
const OWNER: u16 = 1;
const USER: u16 = 2;
const GROUP: u16 = 4;
const MASK: u16 = 16;
const OTHER: u16 = 32;

impl Acl {
    /// The ACL of a file; None when it has none or its file system knows none.
    fn read(hooks: &Hooks, fd: i32) -> Result<Option<Acl>, Errno> {
        let mut acl = Ok(None);
        let copied = |value: &[u8]| {
            let mut copy = Buffer::new(value.len())?;
            copy.append(value);
            Ok(Some(Acl { value: copy }))
        };
        match xattr::show(hooks, fd, ACCESS, &mut |value| acl = copied(value)) {
            Ok(()) => acl,
            Err(e) if e.is(ENODATA) || e.unsupported() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// What stands for no ACL beside the mode: the kernel then keeps none.
    fn minimal(classes: Classes) -> [u8; VERSION + 3 * ENTRY] {
        let mut out = [0xff; VERSION + 3 * ENTRY];
        let (version, entries) = out.split_at_mut(VERSION);
        version.copy_from_slice(&2u32.to_le_bytes());
        let given = [(OWNER, classes.owner), (GROUP, classes.group), (OTHER, classes.other)];
        for (entry, (tag, permissions)) in entries.chunks_exact_mut(ENTRY).zip(given) {
            put(entry, tag, permissions as u16);
        }
        out
    }

    /// Tag and permissions of each entry.
    fn entries(&self) -> impl Iterator<Item = (u16, u32)> {
        let entries = self.value.bytes().get(VERSION..).unwrap_or_default().chunks_exact(ENTRY);
        entries.filter_map(|entry| match entry {
            &[tag, more_tag, permissions, _, ..] => Some((u16::from_le_bytes([tag, more_tag]), u32::from(permissions) & 7)),
            _ => None,
        })
    }

    fn permissions(&self, wanted: u16) -> Option<u32> {
        self.entries().find(|&(tag, _)| tag == wanted).map(|(_, permissions)| permissions)
    }

    /// The permissions that stand in its file's mode: the mask takes the group's place.
    fn classes(&self) -> Classes {
        let part = |tag| self.permissions(tag).unwrap_or(0);
        let group = self.permissions(MASK).unwrap_or(part(GROUP));
        Classes { owner: part(OWNER), group, other: part(OTHER) }
    }

    /// Gives the file this mode, as chmod(2) does (acl(5)): the group's permissions are the mask's, where there is one.
    fn set_classes(&mut self, classes: Classes) {
        let mask = if self.permissions(MASK).is_some() { MASK } else { GROUP };
        for (wanted, permissions) in [(OWNER, classes.owner), (mask, classes.group), (OTHER, classes.other)] {
            self.put(wanted, permissions);
        }
    }

    fn put(&mut self, wanted: u16, permissions: u32) {
        for entry in self.value.bytes_mut().get_mut(VERSION..).unwrap_or_default().chunks_exact_mut(ENTRY) {
            if matches!(*entry, [tag, 0, ..] if u16::from(tag) == wanted) {
                put(entry, wanted, permissions as u16);
            }
        }
    }

    /// What the group's own entry grants, under the mask.
    fn group_alone(&self) -> u32 {
        self.permissions(GROUP).unwrap_or(0) & self.permissions(MASK).unwrap_or(7)
    }

    /// The permissions of a file that has only a mode in its place. A named user may be in the group, and whoever is named
    /// may be among the others: both lose what any of them lacked.
    fn classes_alone(&self) -> Classes {
        let mask = self.permissions(MASK).unwrap_or(7);
        let mut alone = Classes { group: self.group_alone(), ..self.classes() };
        for (tag, permissions) in self.entries().filter(|&(tag, _)| ![OWNER, GROUP, MASK, OTHER].contains(&tag)) {
            alone.other &= permissions & mask;
            if tag == USER {
                alone.group &= permissions & mask;
            }
        }
        alone
    }

    /// For another owner or group than the old one, as [`Classes::without`].
    fn restrict(&mut self, owner_kept: bool, group_kept: bool) {
        if owner_kept && group_kept {
            return;
        }
        let new = Classes { group: self.group_alone(), ..self.classes() }.without(owner_kept, group_kept);
        self.put(GROUP, new.group);
        self.put(OTHER, new.other);
    }
}

fn put(entry: &mut [u8], tag: u16, permissions: u16) {
    for (slot, byte) in entry.iter_mut().zip(tag.to_le_bytes().into_iter().chain(permissions.to_le_bytes())) {
        *slot = byte;
    }
}
