//! The states that a power cut may leave, from the log of a run.
//!
//! Between two flushes the device may have written any subset of what it was given, and of each write any part of
//! its sectors. All subsets where there are few writes; else every prefix, all but one, only one, and random ones.

use crate::device::{Entry, Piece, SECTOR};

/// xorshift64*: the seed is printed, so a run can be repeated.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, limit: u32) -> u32 {
        (self.next() >> 33) as u32 % limit.max(1)
    }
}

pub struct State {
    /// All writes before this entry are on the disk.
    pub durable_to: usize,
    pub pieces: Vec<Piece>,
    /// It may be what a crash leaves at any time from the entry `low` to the entry `high`.
    pub low: usize,
    pub high: usize,
}

#[derive(Clone, Copy)]
pub struct Depth {
    /// Epochs of up to so many writes: all subsets.
    pub all_subsets: usize,
    pub random: u32,
    /// Torn variants of each write.
    pub torn: u32,
    /// So many of an epoch's writes, chosen at random, are lost, alone there, or torn. Its beginnings are all there.
    pub few: usize,
    /// Only prefixes.
    pub prefixes: bool,
    pub atom: u32,
}

fn whole(log: &[Entry], entry: usize) -> Piece {
    let Entry::Write { len, .. } = &log[entry] else { unreachable!("a write") };
    Piece { entry: entry as u32, first: 0, sectors: len.div_ceil(SECTOR as u32) }
}

/// `pieces`, the last of which is torn.
fn torn(pieces: &[Piece], atom: u32, random: &mut Random) -> Option<Vec<Piece>> {
    let (last, before) = pieces.split_last()?;
    let units = last.sectors / atom;
    if units < 2 {
        return None;
    }
    let mut out = before.to_vec();
    let cut = (1 + random.below(units - 1)) * atom;
    match random.below(3) {
        0 => out.push(Piece { sectors: cut, ..*last }),
        1 => out.push(Piece { first: cut, sectors: last.sectors - cut, ..*last }),
        _ => out.extend((0..units).filter(|_| random.below(2) == 0).map(|unit| Piece {
            first: unit * atom,
            sectors: atom,
            ..*last
        })),
    }
    Some(out)
}

pub fn of_log(log: &[Entry], depth: &Depth, random: &mut Random) -> Vec<State> {
    let mut out = vec![];
    let mut start = 0;
    while start <= log.len() {
        let end = (start..log.len()).find(|&at| matches!(log[at], Entry::Flush)).unwrap_or(log.len());
        let writes: Vec<usize> = (start..end).filter(|&at| matches!(log[at], Entry::Write { .. })).collect();
        of_epoch(log, start, end, &writes, depth, random, &mut out);
        start = end + 1;
    }
    out
}

fn of_epoch(log: &[Entry], start: usize, end: usize, writes: &[usize], depth: &Depth, random: &mut Random, out: &mut Vec<State>) {
    let count = writes.len();
    let mut sets: Vec<Vec<usize>> = (0..=count).map(|len| writes[..len].to_vec()).collect();
    if depth.prefixes {
    } else if count <= depth.all_subsets {
        sets = (0..1u32 << count).map(|bits| pick(writes, |n| bits >> n & 1 != 0)).collect();
    } else {
        for n in some(count, depth.few, random) {
            sets.push(pick(writes, |other| other != n));
            sets.push(vec![writes[n]]);
        }
        for _ in 0..depth.random {
            sets.push(pick(writes, |_| random.below(2) == 0));
        }
    }
    let mut push = |pieces: Vec<Piece>| {
        let low = pieces.last().map_or(start, |piece| piece.entry as usize);
        // A crash at `start` is one after the flush that ended the epoch before.
        out.push(State { durable_to: start.min(log.len()), pieces, low: low.max(start.saturating_sub(1)), high: end });
    };
    let pieces = |set: &[usize]| set.iter().map(|&entry| whole(log, entry)).collect::<Vec<_>>();
    for set in &sets {
        push(pieces(set));
    }
    if depth.prefixes {
        return;
    }
    for len in some(count, depth.few, random).into_iter().map(|n| n + 1) {
        // ext4 relies on its superblock, at 1024, being written whole.
        if matches!(log[writes[len - 1]], Entry::Write { offset: 0..=1024, .. }) {
            continue;
        }
        for _ in 0..depth.torn {
            if let Some(pieces) = torn(&pieces(&writes[..len]), depth.atom, random) {
                push(pieces);
            }
        }
    }
}

/// At most `few` of the numbers below `count`, in order.
fn some(count: usize, few: usize, random: &mut Random) -> Vec<usize> {
    let mut out: Vec<usize> = (0..count).collect();
    while out.len() > few {
        out.remove(random.below(out.len() as u32) as usize);
    }
    out
}

fn pick(writes: &[usize], keep: impl FnMut(usize) -> bool) -> Vec<usize> {
    let mut keep = keep;
    writes.iter().enumerate().filter(|(n, _)| keep(*n)).map(|(_, &entry)| entry).collect()
}
