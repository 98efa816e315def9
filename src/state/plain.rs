//! Plain files: they hold the caller's own bytes. What a record's header would say stands in an extended attribute.
#![forbid(unsafe_code)]

use super::format::Hasher;
use crate::file::xattr;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

/// The name of the attribute.
pub const NAME: &CStr = c"user.steadfast";
/// The length of what we write. On ext4 with inodes of 256 bytes it fits beside the inode.
const LEN: usize = 60;
const VERSION: u8 = 1;
/// From this version on the attribute says something else.
const OTHER_VERSION: u8 = 128;
/// The content is being written in place.
pub const IN_PLACE: u8 = 1 << 0;
const UNSYNCED: u8 = 1 << 1;
/// Saved by comparing and swapping. Beside its place such a file was never acknowledged, or has been replaced: those savers take
/// turns.
pub const SWAPPED: u8 = 1 << 2;

/// The first content tag. Every generation is below it.
pub const TAGS: u64 = 1 << 63;

/// What the attribute says: 60 bytes, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub sha256: [u8; 32],
    /// Below [`TAGS`].
    pub generation: u64,
    /// Of the content, in bytes: 48 bits.
    pub len: u64,
    pub flags: u8,
    /// Of the file, after the last write.
    pub mtime_ns: i64,
    pub schema: u32,
}

/// What a file has for an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// None that is ours.
    None,
    Ours(Attribute),
    /// One of a later format.
    Newer,
}

/// What a plain file is, by its attribute, its modification time and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The content is the one that was saved.
    Verified(Attribute),
    /// It was saved by us, and somebody has changed it since.
    Changed,
    /// There is nothing to verify it by.
    Unverified,
    /// One of the codes for damage, or STEADFAST_E_NEWER.
    Damaged(i32),
}

impl Attribute {
    /// As it is stored; None when the length has no room in it.
    fn to_bytes(self) -> Option<[u8; LEN]> {
        const ROOM: u64 = 1 << 48;
        if self.len >= ROOM {
            return None;
        }
        // Length, version and flags make one number of 8 bytes.
        let middle = self.len | u64::from(VERSION) << 48 | u64::from(self.flags) << 56;
        let mut out = [0; LEN];
        let (sha256, rest) = out.split_first_chunk_mut()?;
        let (generation, rest) = rest.split_first_chunk_mut()?;
        let (len, rest) = rest.split_first_chunk_mut()?;
        let (mtime, rest) = rest.split_first_chunk_mut()?;
        *sha256 = self.sha256;
        *generation = self.generation.to_le_bytes();
        *len = middle.to_le_bytes();
        *mtime = self.mtime_ns.to_le_bytes();
        *rest.first_chunk_mut()? = self.schema.to_le_bytes();
        Some(out)
    }

    /// Marked as one that was not synced.
    pub fn unsynced(self) -> Attribute {
        Attribute { flags: self.flags | UNSYNCED, ..self }
    }

    /// Was it saved by comparing and swapping?
    pub fn is_swapped(&self) -> bool {
        self.flags & SWAPPED != 0
    }

    /// Was its content not synced?
    pub fn is_unsynced(&self) -> bool {
        self.flags & UNSYNCED != 0
    }

    /// Is it, as far as can be seen without reading, about the file with this stat?
    pub fn fits(&self, stat: &steadfast_stat) -> bool {
        self.flags & IN_PLACE == 0 && self.len == stat.size && same_time(self.mtime_ns, stat.mtime_ns)
    }

    /// Stores it. The inner error: the file cannot have it here.
    pub fn write(self, hooks: &Hooks, fd: i32) -> Result<Result<(), Errno>, Errno> {
        let Some(bytes) = self.to_bytes() else { return Ok(Err(Errno::of(E2BIG))) };
        match hooks.fsetxattr(fd, NAME, &bytes) {
            Err(e) if !xattr::is_refused(e) => Err(e),
            stored => Ok(stored),
        }
    }
}

impl Stored {
    /// Reads the attribute of a file. One that may not be read may be there: for a save that is an error.
    pub fn read(hooks: &Hooks, fd: i32) -> Result<Stored, Errno> {
        let mut stored = Stored::None;
        match xattr::show(hooks, fd, NAME, &mut |value| stored = Stored::of(value)) {
            Ok(()) => Ok(stored),
            Err(e) if e.is(ENODATA) || e.unsupported() => Ok(Stored::None),
            Err(e) => Err(e),
        }
    }

    fn of(value: &[u8]) -> Stored {
        Stored::parse(value).unwrap_or(Stored::None)
    }

    fn parse(value: &[u8]) -> Option<Stored> {
        let (sha256, rest) = value.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (middle, rest) = rest.split_first_chunk()?;
        let (mtime_ns, rest) = rest.split_first_chunk()?;
        let schema = rest.first_chunk()?;
        let (generation, middle) = (u64::from_le_bytes(*generation), u64::from_le_bytes(*middle));
        let (len, version, flags) = (middle & 0xffff_ffff_ffff, (middle >> 48) as u8, (middle >> 56) as u8);
        if version >= OTHER_VERSION {
            return Some(Stored::Newer);
        }
        let (mtime_ns, schema) = (i64::from_le_bytes(*mtime_ns), u32::from_le_bytes(*schema));
        let attribute = Attribute { sha256: *sha256, generation, len, flags, mtime_ns, schema };
        (version >= VERSION && (1..TAGS).contains(&generation)).then_some(Stored::Ours(attribute))
    }

    /// Judges a file with `len` bytes of content, all of which have been hashed.
    pub fn judge(&self, len: u64, mtime_ns: i64, sha256: &[u8; 32]) -> Verdict {
        let attribute = match self {
            Stored::None => return Verdict::Unverified,
            Stored::Newer => return Verdict::Damaged(STEADFAST_E_NEWER),
            Stored::Ours(attribute) => attribute,
        };
        if attribute.flags & IN_PLACE != 0 {
            return Verdict::Damaged(STEADFAST_E_DIGEST);
        }
        if attribute.len == len && attribute.sha256 == *sha256 {
            return Verdict::Verified(*attribute);
        }
        // What was not synced may have been lost with the time of its last write.
        if !attribute.is_unsynced() && !same_time(attribute.mtime_ns, mtime_ns) {
            return Verdict::Changed;
        }
        Verdict::Damaged(match len {
            0 => STEADFAST_E_EMPTY,
            _ if len < attribute.len => STEADFAST_E_TRUNCATED,
            _ if len > attribute.len => STEADFAST_E_TRAILING,
            _ => STEADFAST_E_DIGEST,
        })
    }
}

/// The same time, as far as a file system keeps it? A restored or copied file may have lost the end of it.
fn same_time(stored: i64, found: i64) -> bool {
    const STEPS: [i64; 5] = [100, 1_000, 1_000_000, 1_000_000_000, 2_000_000_000];
    stored == found || STEPS.iter().any(|&step| stored.div_euclid(step).checked_mul(step) == Some(found))
}

/// The generation of a content that has no number.
pub fn tag(sha256: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *sha256;
    TAGS | u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1
}

/// A hasher for a whole file.
pub fn hasher() -> Hasher {
    Hasher::new(&[])
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    const ATTRIBUTE: Attribute = Attribute {
        sha256: [7; 32],
        generation: 3,
        len: 0x0102_0304_0506,
        flags: 0,
        mtime_ns: 1_234_567_891_234_567_891,
        schema: 9,
    };

    #[test]
    fn is_what_the_manual_says() {
        let bytes = ATTRIBUTE.to_bytes().unwrap();
        assert_eq!(bytes[..32], [7; 32]);
        assert_eq!(bytes[32..48], [3, 0, 0, 0, 0, 0, 0, 0, 6, 5, 4, 3, 2, 1, 1, 0]);
        assert_eq!(bytes[48..56], 1_234_567_891_234_567_891i64.to_le_bytes());
        assert_eq!(bytes[56..], [9, 0, 0, 0]);
        assert_eq!(Stored::of(&bytes), Stored::Ours(ATTRIBUTE));
        assert_eq!(Attribute { len: 1 << 48, ..ATTRIBUTE }.to_bytes(), None);
    }

    #[test]
    fn other_attributes_are_not_ours_or_later() {
        let mut bytes = ATTRIBUTE.to_bytes().unwrap().to_vec();
        assert_eq!(Stored::of(&bytes[..59]), Stored::None);
        assert_eq!(Stored::of(&[]), Stored::None);
        bytes.push(0);
        assert_eq!(Stored::of(&bytes), Stored::Ours(ATTRIBUTE));
        for (version, stored) in [(0, Stored::None), (127, Stored::Ours(ATTRIBUTE)), (128, Stored::Newer), (255, Stored::Newer)] {
            bytes[46] = version;
            assert_eq!(Stored::of(&bytes), stored);
        }
        bytes[46] = 1;
        bytes[39] = 0x80;
        assert_eq!(Stored::of(&bytes), Stored::None);
        bytes[32..40].fill(0);
        assert_eq!(Stored::of(&bytes), Stored::None);
    }

    #[test]
    fn every_row_of_the_table() {
        let ours = Stored::Ours(Attribute { len: 10, ..ATTRIBUTE });
        let (time, later, other) = (ATTRIBUTE.mtime_ns, ATTRIBUTE.mtime_ns + 1, [8; 32]);
        assert!(matches!(ours.judge(10, time, &[7; 32]), Verdict::Verified(_)));
        assert!(matches!(ours.judge(10, later, &[7; 32]), Verdict::Verified(_)));
        assert_eq!(ours.judge(10, later, &other), Verdict::Changed);
        assert_eq!(ours.judge(10, time, &other), Verdict::Damaged(STEADFAST_E_DIGEST));
        assert_eq!(ours.judge(9, time, &other), Verdict::Damaged(STEADFAST_E_TRUNCATED));
        assert_eq!(ours.judge(11, time, &other), Verdict::Damaged(STEADFAST_E_TRAILING));
        assert_eq!(ours.judge(0, time, &other), Verdict::Damaged(STEADFAST_E_EMPTY));
        assert_eq!(Stored::None.judge(10, time, &other), Verdict::Unverified);
        assert_eq!(Stored::Newer.judge(10, time, &other), Verdict::Damaged(STEADFAST_E_NEWER));
        let unsynced = Stored::Ours(Attribute { len: 10, flags: UNSYNCED, ..ATTRIBUTE });
        assert!(matches!(unsynced.judge(10, later, &[7; 32]), Verdict::Verified(_)));
        assert_eq!(unsynced.judge(10, later, &other), Verdict::Damaged(STEADFAST_E_DIGEST));
        assert_eq!(unsynced.judge(0, later, &other), Verdict::Damaged(STEADFAST_E_EMPTY));
        let written = Stored::Ours(Attribute { len: 10, flags: IN_PLACE, ..ATTRIBUTE });
        assert_eq!(written.judge(10, later, &other), Verdict::Damaged(STEADFAST_E_DIGEST));
        assert_eq!(written.judge(10, time, &[7; 32]), Verdict::Damaged(STEADFAST_E_DIGEST));
    }

    #[test]
    fn a_time_may_have_lost_its_end() {
        let time = 1_234_567_891_234_567_891;
        for cut in [1_234_567_891_234_567_800, 1_234_567_891_234_567_000, 1_234_567_891_234_000_000] {
            assert!(same_time(time, cut));
        }
        assert!(same_time(time, 1_234_567_891_000_000_000) && same_time(time, 1_234_567_890_000_000_000));
        assert!(
            !same_time(time, time + 1)
                && !same_time(time, 1_234_567_891_234_567_890)
                && !same_time(time, 1_234_567_880_000_000_000)
        );
    }

    #[test]
    fn a_tag_is_no_generation() {
        assert_eq!(tag(&[0; 32]), 1 << 63);
        assert_eq!(tag(&[0xff; 32]), u64::MAX);
        let mut digest = [0; 32];
        digest[0] = 0x80;
        digest[7] = 3;
        assert_eq!(tag(&digest), 0xC000_0000_0000_0001);
    }
}
