//! Any content, attribute and mode of a lock file: the verdict must be that of a second judge, and only REMOVED removes.

use super::api;
use super::machine::processes::{BOOT, PID_NAMESPACE};
use super::machine::{Kind, Life, Machine, NFS, UPTIME};
use steadfast::status::*;

const MARK: u32 = 0o1000;
const TRUST_START_TIME: u32 = 1 << 0;
/// Numbers that are somebody's.
const ALIVE: i32 = 77;
const ZOMBIE: i32 = 78;
const THREAD: i32 = 79;
const PROTECTED: i32 = 80;

enum Content {
    Pid(i32),
    Empty,
    Malformed,
}

fn content(bytes: &[u8]) -> Content {
    let looked_at = &bytes[..bytes.len().min(65)];
    if looked_at.iter().all(|&byte| byte == 0) {
        return Content::Empty;
    }
    let text: String = looked_at.iter().map(|&byte| byte as char).collect();
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0c']);
    match text.parse::<u32>() {
        _ if looked_at.len() > 64 => Content::Malformed,
        _ if text.is_empty() => Content::Empty,
        Ok(pid @ 1..=0x7fff_ffff) if !text.starts_with(['0', '+']) => Content::Pid(pid as i32),
        _ => Content::Malformed,
    }
}

/// The words of an attribute that speaks of the content: the file has not been written since. A file system may have cut its
/// time to 100 ns, 1 us, 1 ms, 1 s or 2 s.
fn attribute(m: &Machine) -> Option<[u64; 5]> {
    let inode = m.named("lock")?;
    let bytes: &[u8; 40] = inode.xattr.as_deref()?.try_into().ok()?;
    let mut words = [0u64; 5];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks(8)) {
        *word = u64::from_le_bytes(chunk.try_into().unwrap());
    }
    let units = [1, 100, 1_000, 1_000_000, 1_000_000_000, 2_000_000_000];
    units.iter().any(|unit| words[3] / unit * unit == inode.mtime as u64).then_some(words)
}

/// None: dead, provably; else the verdict.
fn owner(m: &Machine, pid: i32, flags: u32) -> Option<i32> {
    let attribute = attribute(m);
    let shared = m.magic == NFS;
    let Some(process) = m.process(pid).filter(|p| matches!(p.life, Life::Alive | Life::Protected)) else {
        let written_here = attribute.is_some_and(|words| words[0] == BOOT);
        return (shared && !written_here).then_some(STEADFAST_LOCK_UNDECIDED);
    };
    let Some([boot, start, namespace, _, pidfd]) = attribute else {
        let ticks_ns = 10_000_000;
        // The two clocks of the judgement are read one after the other.
        let booted = m.now + 1 - UPTIME * 100 * ticks_ns;
        let started = booted + process.start as i64 * ticks_ns;
        let later = started > m.named("lock").map_or(0, |inode| inode.mtime) + 1_000_000_000;
        return (flags & TRUST_START_TIME == 0 || !later).then_some(STEADFAST_LOCK_HELD);
    };
    if boot != 0 && boot != BOOT {
        return shared.then_some(STEADFAST_LOCK_UNDECIDED);
    }
    if namespace != 0 && namespace != PID_NAMESPACE {
        return None;
    }
    let same = if pidfd != 0 { pidfd == process.inode } else { start == 0 || start == process.start };
    same.then_some(STEADFAST_LOCK_HELD)
}

/// What cleaning (`remove`) or inspecting the lock of this machine must answer.
pub fn expected(m: &Machine, remove: bool, flags: u32, empty_grace_ms: i64) -> i32 {
    let Some(inode) = m.named("lock") else { return STEADFAST_LOCK_ABSENT };
    if inode.kind != Kind::File {
        return STEADFAST_LOCK_IGNORED;
    }
    let marked = inode.mode & MARK != 0;
    let verdict = match content(&inode.bytes) {
        // Of our own locks the kernel is asked first.
        Content::Pid(_) if !remove && marked && m.is_flocked("lock") => return STEADFAST_LOCK_HELD,
        Content::Pid(pid) => owner(m, pid, flags),
        Content::Malformed => Some(STEADFAST_LOCK_UNDECIDED),
        Content::Empty if attribute(m).is_some() || marked && inode.xattr.is_none() => None,
        Content::Empty => {
            let age = m.now + 1 - inode.mtime;
            (empty_grace_ms <= 0 || age < empty_grace_ms * 1_000_000).then_some(STEADFAST_LOCK_UNDECIDED)
        }
    };
    let names_nobody = !matches!(content(&inode.bytes), Content::Pid(_));
    match verdict {
        // Whoever has the flock of such a file lives.
        Some(STEADFAST_LOCK_UNDECIDED) if names_nobody && m.is_flocked("lock") => STEADFAST_LOCK_HELD,
        Some(kept) => kept,
        None if m.is_flocked("lock") => STEADFAST_LOCK_HELD,
        None if remove => STEADFAST_LOCK_REMOVED,
        None => STEADFAST_LOCK_STALE,
    }
}

/// The first six bytes choose platform, options and attribute; the rest is the content.
pub fn check(input: &[u8]) {
    let Some((&[how, kind, words, more, options, raw], content)) = input.split_first_chunk::<6>() else { return };
    let mut m = Machine::new(0);
    for (pid, life) in
        [(ALIVE, Life::Alive), (ZOMBIE, Life::Zombie), (THREAD, Life::Thread), (PROTECTED, Life::Protected), (1, Life::Alive)]
    {
        m.add_process(pid, life);
    }
    m.magic = if how & 1 != 0 { NFS } else { m.magic };
    m.short = if how & 2 != 0 { 3 } else { 0 };
    let kinds = [Kind::File, Kind::File, Kind::File, Kind::File, Kind::Link, Kind::Directory, Kind::Fifo];
    if let Some(&kind) = kinds.get(usize::from(kind & 7)) {
        m.put("lock", kind, content, if how & 4 != 0 { 0o644 | MARK } else { 0o644 });
    }
    let named = content_pid(content).and_then(|pid| m.process(pid).copied());
    let now = m.now;
    // Older than any start, or newer.
    let written = if how & 8 != 0 { now - 6_000_000_000_000 } else { now };
    if let Some(inode) = m.named_mut("lock") {
        inode.mtime = written;
        inode.locked_elsewhere = how & 16 != 0;
        let odd = u64::from(raw);
        let choose = |bits: u8, right: u64| [right, 0, right ^ 1, odd][usize::from(bits & 3)];
        let (start, pidfd) = named.map_or((odd, odd), |p| (p.start, p.inode));
        let value = [
            choose(words, BOOT),
            choose(words >> 2, start),
            choose(words >> 4, PID_NAMESPACE),
            choose(more, written as u64),
            choose(words >> 6, pidfd),
        ];
        let mut bytes: Vec<u8> = value.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.resize([40, 40, 39, 41][usize::from(more >> 2 & 3)], 0);
        inode.xattr = (how & 32 != 0).then_some(bytes);
    }
    let flags = u32::from(options & 1);
    let grace = [0, 1, 100_000_000, 1_000][usize::from(options >> 1 & 3)];
    let before = (m.named("lock").cloned(), m.listing());
    for remove in [false, true] {
        let wanted = expected(&m, remove, flags, grace);
        let verdict = api::clean(&mut m, remove, flags, grace);
        assert_eq!(verdict, wanted, "remove {remove}, how {how:#x}, {:?}", m.named("lock"));
        if verdict == STEADFAST_LOCK_REMOVED {
            assert!(m.named("lock").is_none(), "REMOVED, and still there");
        } else {
            assert_eq!((m.named("lock").cloned(), m.listing()), before, "{verdict} changed something");
        }
        assert_eq!(m.open_descriptors(), 0, "descriptors left open");
    }
}

fn content_pid(bytes: &[u8]) -> Option<i32> {
    if let Content::Pid(pid) = content(bytes) { Some(pid) } else { None }
}
