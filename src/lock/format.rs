//! What a lock file holds: the PID in decimal and a newline; beside it, in an extended attribute, what tells
//! a reused PID. Pure.

use crate::mem::copy;
use crate::mem::format::{Decimal, number};
use core::ffi::CStr;

/// The longest content looked at.
pub const MOST: usize = 64;
/// Our mark in the mode of a lock file: the sticky bit, which means nothing on a regular file (inode(7)), costs
/// no call and survives a power cut together with the name. An empty file with it is ours.
pub const MARK: u32 = 0o1000;
/// The attribute's name.
pub const ATTRIBUTE: &CStr = c"user.steadfast";
/// The attribute's length: small enough to stay inside an ext4 inode.
pub const ATTRIBUTE_LEN: usize = 40;

/// What the content says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    Pid(i32),
    /// Nothing, or only NUL bytes: what a power cut leaves of a record.
    Empty,
    Malformed,
}

/// Reads a content: a decimal number from 1 to 2^31 - 1 with white space around it.
pub fn parse(content: &[u8]) -> Content {
    if content.iter().all(|&byte| byte == 0) {
        return Content::Empty;
    }
    if content.len() > MOST {
        return Content::Malformed;
    }
    let digits = content.trim_ascii();
    if digits.is_empty() {
        return Content::Empty;
    }
    // A leading zero is octal to some readers.
    if digits.first() == Some(&b'0') {
        return Content::Malformed;
    }
    let value = number(digits).and_then(|value| i32::try_from(value).ok());
    value.map_or(Content::Malformed, Content::Pid)
}

/// A content.
pub struct Line {
    bytes: [u8; 24],
    len: usize,
}

impl Line {
    /// The content for `pid`.
    pub fn of(pid: i32) -> Line {
        let mut line = Line { bytes: [0; 24], len: 0 };
        let digits = Decimal::of(u64::from(pid.unsigned_abs()));
        for (slot, byte) in line.bytes.iter_mut().zip(digits.bytes().iter().chain(b"\n")) {
            *slot = *byte;
            line.len = line.len.saturating_add(1);
        }
        line
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.split_at_checked(self.len).map_or(&self.bytes, |(line, _)| line)
    }
}

/// Which process wrote a record, beyond its number. 0 stands for what could not be found out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attribute {
    /// The boot: half of its random id.
    pub boot: u64,
    /// When the process started, in clock ticks since that boot.
    pub start: u64,
    /// Its PID namespace.
    pub pid_namespace: u64,
    /// When the record was written. A content that was written at another time is somebody else's, and the attribute
    /// says nothing about it. Below 0: the record of the process -written_ns is about to be written.
    pub written_ns: i64,
    /// The inode of the process's pidfd: unique in a boot where pidfds have a file system of their own (Linux
    /// 6.9), and read without /proc.
    pub pidfd: u64,
}

impl Attribute {
    /// What stands for the time while the record of `pid` is still to be written.
    pub fn announced(pid: i32) -> i64 {
        i64::from(pid).saturating_neg()
    }

    /// Little-endian, in the order of the members.
    pub fn encode(&self) -> [u8; ATTRIBUTE_LEN] {
        let mut out = [0u8; ATTRIBUTE_LEN];
        let words = [self.boot, self.start, self.pid_namespace, self.written_ns.cast_unsigned(), self.pidfd];
        for (slot, word) in out.chunks_exact_mut(8).zip(words) {
            copy(slot, &word.to_le_bytes());
        }
        out
    }

    /// The reverse.
    pub fn decode(bytes: &[u8; ATTRIBUTE_LEN]) -> Attribute {
        let mut words = bytes.chunks_exact(8).map(|chunk| chunk.try_into().map_or(0, u64::from_le_bytes));
        let mut next = || words.next().unwrap_or(0);
        Attribute { boot: next(), start: next(), pid_namespace: next(), written_ns: next().cast_signed(), pidfd: next() }
    }

    /// Does it speak of a content that names `pid` (0: nobody) and has this time of change? File systems cut times: to
    /// 100 ns, a microsecond, a millisecond, one second or two.
    pub fn is_about(&self, pid: i32, mtime_ns: i64) -> bool {
        if self.written_ns < 0 {
            return pid == 0 || self.written_ns == Attribute::announced(pid);
        }
        const CUT_TO: [i64; 6] = [1, 100, 1_000, 1_000_000, 1_000_000_000, 2_000_000_000];
        CUT_TO.iter().any(|&unit| self.written_ns.saturating_sub(self.written_ns.rem_euclid(unit)) == mtime_ns)
    }
}
