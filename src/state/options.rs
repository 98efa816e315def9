//! What to save and load, and how.

use crate::file::names;
use crate::file::ownership::Asked;
use crate::status::*;
use core::ffi::CStr;

/// Failing to make the file or its directory durable is an error instead of STEADFAST_NOT_DURABLE.
pub const STEADFAST_SAVE_STRICT: u32 = 1 << 0;
/// The previous generation, verified, stays as PATH.prev. A damaged or unsynced state never replaces a durable
/// PATH.prev. If PATH holds no whole state and there is no PATH.prev, it becomes PATH.prev: a person can read it, a load of
/// it is STEADFAST_E_FORMAT. The result is then 0 as well, and the message says what was kept. Without hard links the
/// library copies the state and syncs the copy. Without a sync it leaves PATH.prev unchanged there.
pub const STEADFAST_SAVE_KEEP_PREVIOUS: u32 = 1 << 1;
/// Compare and swap: the save is STEADFAST_E_CONFLICT unless the state there has expected_generation. Of several savers
/// that expect the same generation, in any processes, exactly one succeeds. Needs flock(2).
pub const STEADFAST_SAVE_IF_GENERATION: u32 = 1 << 2;
/// Save to what the link at PATH points to; without this flag a link is refused. In a sticky directory that others may
/// write, a link is followed only if it belongs to the caller or to the directory's owner, otherwise it is -EACCES: the
/// kernel's own rule (proc_sys_fs(5), protected_symlinks), whatever its setting.
pub const STEADFAST_SAVE_FOLLOW_SYMLINK: u32 = 1 << 3;
/// Create missing parent directories, durably, with mode 0777 less the umask. They stay if the save then fails.
pub const STEADFAST_SAVE_CREATE_PARENTS: u32 = 1 << 4;
/// A durable save with one flush of the device instead of two to four, for states that are saved often. PATH and PATH.prev take
/// turns: the save overwrites the older file with one write that is synced by the same call, and the newer file is the state.
/// So PATH alone is not the state: to copy the state, load it. Every load and save of this library knows both files; older
/// versions answer STEADFAST_E_NEWER. A save without the flag ends the alternation. The flag implies KEEP_PREVIOUS. Newlines fill
/// each file up to a multiple of 4 KiB. The first two saves are ordinary ones and make the two files. A save with NO_SYNC, one of
/// 4 MiB or more, the commit of a writer, and a save on a file system that is not known to support this well are ordinary ones,
/// too. Known are ext2 to ext4, xfs, btrfs, f2fs, bcachefs and tmpfs. With PLAIN it is -EINVAL. steadfast_state(5) lists the
/// drawbacks.
pub const STEADFAST_SAVE_ALTERNATE: u32 = 1 << 5;
/// Atomic and verified, but without any fsync: the result is STEADFAST_NOT_DURABLE. The state is marked, so that it
/// never replaces a durable PATH.prev. on_disk is EITHER if KEEP_PREVIOUS has a durable state to keep, otherwise
/// UNKNOWN. With STRICT or SYNCFS it is -EINVAL.
pub const STEADFAST_SAVE_NO_SYNC: u32 = 1 << 6;
/// steadfast_state_save_batch only: one syncfs(2) for each file system instead of one fsync for each file. It also
/// flushes what others have written there. Where syncfs is not known to reach the device and to report its errors, each
/// file is synced by itself. It is known on ext2 to ext4, xfs, btrfs, f2fs, bcachefs and tmpfs, from Linux 5.8 on
/// (syncfs(2)). On btrfs another one takes the place of the directories' syncs.
pub const STEADFAST_SAVE_SYNCFS: u32 = 1 << 7;
/// PATH holds exactly `data`, and what a record's header would say stands in its extended attribute user.steadfast. The
/// layout is in steadfast_state(5). Such a file is loaded with STEADFAST_LOAD_PLAIN. Where the attribute cannot be kept the
/// result is STEADFAST_UNVERIFIED, with STRICT STEADFAST_E_UNSUPPORTED.
pub const STEADFAST_SAVE_PLAIN: u32 = 1 << 8;
/// The file that is replaced also hands on its attributes user.* and its SELinux and SMACK labels; never capabilities, ima or
/// evm, which stand for the old content. If one of them cannot be stored the result is what it would be without, and the
/// message says so.
pub const STEADFAST_SAVE_KEEP_ATTRIBUTES: u32 = 1 << 9;
/// The mode of the options is also given to a file that is there already, and may open it to more. If the file has an
/// access ACL, the group bits of the mode become the ACL's mask.
pub const STEADFAST_SAVE_SET_MODE: u32 = 1 << 10;
/// Where PATH cannot be replaced, write it in place: a single file that is mounted into a container, or a directory that may
/// not be written. A durable copy of the old content comes first, as PATH.prev; where none can be made the result is
/// STEADFAST_E_UNSUPPORTED. What a crash in between leaves is damage, and STEADFAST_LOAD_RECOVER gives the old content; so
/// does an error after the first byte, which is STEADFAST_E_INDETERMINATE (EITHER). Readers may see damage for a moment. Meanwhile
/// nobody who may replace the file should save it with KEEP_PREVIOUS: PATH.prev would be the file that is being written. In a batch or a
/// writer it is -EINVAL.
pub const STEADFAST_SAVE_IN_PLACE: u32 = 1 << 11;
/// All bits above.
pub const SAVE_ALL: u32 = STEADFAST_SAVE_STRICT
    | STEADFAST_SAVE_KEEP_PREVIOUS
    | STEADFAST_SAVE_IF_GENERATION
    | STEADFAST_SAVE_FOLLOW_SYMLINK
    | STEADFAST_SAVE_CREATE_PARENTS
    | STEADFAST_SAVE_ALTERNATE
    | STEADFAST_SAVE_NO_SYNC
    | STEADFAST_SAVE_SYNCFS
    | STEADFAST_SAVE_PLAIN
    | STEADFAST_SAVE_KEEP_ATTRIBUTES
    | STEADFAST_SAVE_SET_MODE
    | STEADFAST_SAVE_IN_PLACE;

/// Load PATH.prev if PATH is missing, or if its load is STEADFAST_E_EMPTY, _E_TRUNCATED, _E_TRAILING, _E_DIGEST,
/// _E_FORMAT, -EIO, -EBADMSG or -EUCLEAN.
pub const STEADFAST_LOAD_RECOVER: u32 = 1 << 0;
/// The state must have the schema of the options.
pub const STEADFAST_LOAD_REQUIRE_SCHEMA: u32 = 1 << 1;
/// PATH is a file as STEADFAST_SAVE_PLAIN makes it, or anybody's: the data is its whole content. If its attribute does not
/// confirm it the result is STEADFAST_UNVERIFIED or STEADFAST_CHANGED, and the generation is a content tag: 2^63 plus the
/// first 63 bits of the content's SHA-256. STEADFAST_SAVE_IF_GENERATION takes a tag as well. RECOVER takes only a verified
/// PATH.prev, and takes it also if PATH is empty and not verified.
pub const STEADFAST_LOAD_PLAIN: u32 = 1 << 2;
/// With PLAIN: STEADFAST_UNVERIFIED and STEADFAST_CHANGED are STEADFAST_E_UNVERIFIED.
pub const STEADFAST_LOAD_REQUIRE_VERIFIED: u32 = 1 << 3;
/// All bits above.
pub const LOAD_ALL: u32 =
    STEADFAST_LOAD_RECOVER | STEADFAST_LOAD_REQUIRE_SCHEMA | STEADFAST_LOAD_PLAIN | STEADFAST_LOAD_REQUIRE_VERIFIED;

/// The flags of a watch.
pub const LOAD_WATCH: u32 = LOAD_ALL & !STEADFAST_LOAD_REQUIRE_SCHEMA;

/// How long a save waits for other processes when it is not told: 10 s.
pub const DEFAULT_TIMEOUT_MS: i64 = 10_000;

/// How a file holds a state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A header, then the payload.
    Record,
    /// The payload alone.
    Plain,
}

/// What to save, and how.
#[derive(Clone, Copy, Debug)]
pub struct SaveRequest<'a> {
    pub data: &'a [u8],
    pub flags: u32,
    pub mode: u32,
    pub schema: u32,
    pub expected_generation: u64,
    /// The digest that must be there as well, since a number may come again.
    pub expected_sha256: Option<[u8; 32]>,
    /// Is the state to be removed?
    pub removes: bool,
    /// Negative: for ever.
    pub timeout_ms: i64,
}

/// The flags of a save of one state.
pub const SAVE_ONE: u32 = SAVE_ALL & !STEADFAST_SAVE_SYNCFS;
/// Of a save of many.
pub const SAVE_MANY: u32 = SAVE_ALL & !STEADFAST_SAVE_IN_PLACE;
/// Of a state that is written piece by piece.
pub const SAVE_PIECES: u32 = SAVE_ONE & !STEADFAST_SAVE_IN_PLACE;
/// Of an update, which compares and swaps in any case.
pub const SAVE_UPDATE: u32 = SAVE_ONE & !STEADFAST_SAVE_IF_GENERATION;
/// Of a removal.
pub const SAVE_REMOVAL: u32 = STEADFAST_SAVE_STRICT
    | STEADFAST_SAVE_IF_GENERATION
    | STEADFAST_SAVE_FOLLOW_SYMLINK
    | STEADFAST_SAVE_NO_SYNC
    | STEADFAST_SAVE_PLAIN;

impl<'a> SaveRequest<'a> {
    /// `data`, by the defaults.
    pub const fn new(data: &'a [u8]) -> SaveRequest<'a> {
        SaveRequest {
            data,
            flags: 0,
            mode: 0,
            schema: 0,
            expected_generation: 0,
            expected_sha256: None,
            removes: false,
            timeout_ms: DEFAULT_TIMEOUT_MS,
        }
    }

    /// The same; flags that are not `known`, and what contradicts them, are refused.
    pub fn check(self, known: u32) -> Result<SaveRequest<'a>, Outcome> {
        if self.flags & !known != 0 {
            return Err(Outcome::invalid(Detail::UnknownFlag));
        }
        if self.skips_sync() && self.has(STEADFAST_SAVE_STRICT | STEADFAST_SAVE_SYNCFS) {
            return Err(Outcome::invalid(Detail::Contradiction));
        }
        if self.has(STEADFAST_SAVE_ALTERNATE) && self.kind() == Kind::Plain {
            return Err(Outcome::invalid(Detail::AlternatesPlain));
        }
        if self.mode & !0o6777 != 0 {
            return Err(Outcome::invalid(Detail::BadMember));
        }
        if self.expected_generation != 0 && !self.swaps() {
            return Err(Outcome::invalid(Detail::ExpectedAlone));
        }
        Ok(self)
    }
    /// Is one of these flags set?
    pub fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    /// Sets a flag, or clears it.
    pub fn set(&mut self, flag: u32, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }

    /// How the file is to hold the state.
    pub fn kind(&self) -> Kind {
        if self.has(STEADFAST_SAVE_PLAIN) { Kind::Plain } else { Kind::Record }
    }

    /// Does it compare and swap?
    pub fn swaps(&self) -> bool {
        self.has(STEADFAST_SAVE_IF_GENERATION)
    }

    /// Does it swap a plain file, which anybody may write?
    pub fn exchanges(&self) -> bool {
        self.swaps() && self.kind() == Kind::Plain && !self.removes
    }

    /// Is the previous generation to be kept?
    pub fn keeps_previous(&self) -> bool {
        self.has(STEADFAST_SAVE_KEEP_PREVIOUS | STEADFAST_SAVE_ALTERNATE)
    }

    /// Are two files to take turns?
    pub fn alternates(&self) -> bool {
        self.has(STEADFAST_SAVE_ALTERNATE) && !self.skips_sync()
    }

    /// Is nothing synced?
    pub fn skips_sync(&self) -> bool {
        self.has(STEADFAST_SAVE_NO_SYNC)
    }

    /// The mode of the new file.
    pub fn asked(&self) -> Asked {
        Asked { mode: self.mode, always: self.has(STEADFAST_SAVE_SET_MODE) }
    }

    /// Is NAME.prev too long a name? KEEP_PREVIOUS then fails before anything is written.
    pub fn check_name(&self, name: &CStr) -> Result<(), Outcome> {
        if self.keeps_previous() { names::previous(name).at(STEADFAST_STEP_ARGUMENTS).map(drop) } else { Ok(()) }
    }
}

/// What to load, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadRequest {
    pub flags: u32,
    pub schema: u32,
    /// The longest payload; 0: the default.
    pub max_len: u64,
}

impl LoadRequest {
    /// The same; flags that are not `known` are refused.
    pub fn check(self, known: u32) -> Result<LoadRequest, Outcome> {
        if self.flags & !known != 0 { Err(Outcome::invalid(Detail::UnknownFlag)) } else { Ok(self) }
    }

    /// How the file holds the state.
    pub fn kind(&self) -> Kind {
        if self.has(STEADFAST_LOAD_PLAIN) { Kind::Plain } else { Kind::Record }
    }

    /// Is this flag set?
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// Sets a flag, or clears it.
    pub fn set(&mut self, flag: u32, on: bool) {
        self.flags = if on { self.flags | flag } else { self.flags & !flag };
    }
}
