//! The record: 256 bytes of header, then the payload. Pure.
//!
//! Line 1 is what `sha256sum` prints for everything after it. Line 2 names format, length, generation, time and schema,
//! then a check of the header itself, and is padded with spaces to byte 255.

use crate::mem::format::{hex32, hex64, number, put_decimal};
use crate::mem::{copy, prefetch};
use crate::status::*;
use core::ops::Range;
use sha2::{Digest, Sha256};

/// Length of the header.
pub const HEADER: usize = 256;
/// Where the digest's cover begins.
pub const COVERED: usize = 68;
const MAGIC: &[u8] = b"steadfast ";

/// What a header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pub generation: u64,
    pub saved_at_ns: i64,
    pub schema: u32,
}

/// Line 2 of version 1, its numbers still to be filled in; spaces follow up to the end of the header.
const BLANK: &[u8] =
    b"steadfast 1 len=00000000000000000000 gen=00000000000000000000 time=00000000000000000000 schema=0000000000 head=00000000";
const LEN: Range<usize> = 84..104;
const GENERATION: Range<usize> = 109..129;
const TIME: Range<usize> = 135..155;
const SCHEMA: Range<usize> = 163..173;
/// The first 32 bits of SHA-256 of the header's line 2, with these digits as zeros.
const HEAD: Range<usize> = 179..187;
const HEAD_KEY: &[u8] = b" head=";
/// Marks a state that was saved without a sync: some file systems drop the mark in the mode.
const UNSYNCED: Range<usize> = 187..198;
const UNSYNCED_KEY: &[u8] = b" unsynced=1";

/// One of the two files of an alternating state. An older version of this library does not understand them: E_NEWER.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Length of the payload; newlines follow it up to the end of the file.
    pub used: u64,
    /// Which two files are known to have their names on the disk; 0: that is not known.
    pub pair: u64,
    /// Was it written by one call and synced by another? Then a saver that was killed may have left it unsynced.
    pub grouped: bool,
    /// What stands for the permissions that the file had when it was written. With others by now, somebody may have it open who
    /// may not read what is saved next.
    pub permissions: Option<u16>,
}

const USED_KEY: &[u8] = b" !used=";
const PAIR_KEY: &[u8] = b" !pair=";
const GROUPED_KEY: &[u8] = b" grouped=1";
const PERMISSIONS_KEY: &[u8] = b" p=";
/// What follows the check, or the mark of an unsynced or grouped state.
const SLOT_BLANK: &[u8] = b" !used=00000000000000000000 !pair=0000000000000000 p=0000";

impl Slot {
    /// What divides the length of a file.
    pub const STEP: u64 = 4096;

    /// The length of a file for a payload of `used` bytes: it is not to change with every save. In steps of 4 KiB, of a 16th
    /// where that is more, and of 64 KiB at most.
    pub fn capacity(used: u64) -> u64 {
        const STEP: u64 = Slot::STEP;
        const LONGEST: u64 = 16 * STEP;
        let len = used.saturating_add(HEADER as u64);
        let step = (len / 16 / STEP).saturating_mul(STEP).clamp(STEP, LONGEST);
        len.checked_next_multiple_of(step).unwrap_or(u64::MAX)
    }
}

/// The digits of a record without the check count when its generation is below this.
const UNCHECKED_LIMIT: u64 = 1 << 62;

/// The header of a payload of `len` bytes, but for its first line. Of a slot `len` counts what fills it up, too.
pub fn header(fields: &Fields, len: u64, unsynced: bool, slot: Option<&Slot>) -> [u8; HEADER] {
    let mut out = [b' '; HEADER];
    put(&mut out, COVERED..HEADER, |slots| copy(slots, BLANK));
    put(&mut out, HEADER - 1..HEADER, |slots| copy(slots, b"\n"));
    put(&mut out, LEN, |slots| put_decimal(slots, len));
    put(&mut out, GENERATION, |slots| put_decimal(slots, fields.generation));
    put(&mut out, TIME, |slots| put_decimal(slots, fields.saved_at_ns.max(0).unsigned_abs()));
    put(&mut out, SCHEMA, |slots| put_decimal(slots, u64::from(fields.schema)));
    let mut end = HEAD.end;
    if unsynced {
        put(&mut out, UNSYNCED, |slots| copy(slots, UNSYNCED_KEY));
        end = UNSYNCED.end;
    }
    if let Some(slot) = slot {
        put_slot(&mut out, end, slot);
    }
    let check = head(&out, HEAD);
    put(&mut out, HEAD, |slots| copy(slots, &check));
    out
}

/// What a slot has from `at` on.
fn put_slot(header: &mut [u8; HEADER], at: usize, slot: &Slot) {
    let mut line = [b' '; GROUPED_KEY.len() + SLOT_BLANK.len()];
    let (grouped, rest) = line.split_at_mut(if slot.grouped { GROUPED_KEY.len() } else { 0 });
    copy(grouped, GROUPED_KEY);
    copy(rest, SLOT_BLANK);
    const USED: Range<usize> = USED_KEY.len()..USED_KEY.len() + 20;
    const PAIR: Range<usize> = USED.end + PAIR_KEY.len()..USED.end + PAIR_KEY.len() + 16;
    const PERMISSIONS: Range<usize> = PAIR.end + PERMISSIONS_KEY.len()..PAIR.end + PERMISSIONS_KEY.len() + 4;
    put_decimal(rest.get_mut(USED).unwrap_or_default(), slot.used);
    copy(rest.get_mut(PAIR).unwrap_or_default(), &hex64(slot.pair));
    let permissions = hex32(u32::from(slot.permissions.unwrap_or(0)));
    copy(rest.get_mut(PERMISSIONS).unwrap_or_default(), permissions.get(4..).unwrap_or_default());
    put(header, at..HEADER - 1, |slots| copy(slots, &line));
}

/// What a header says of an alternating state, whether it is damaged or not.
pub fn slot(header: &[u8; HEADER]) -> Option<Slot> {
    if let Some(marks) = marks(header) {
        return marks.slot;
    }
    let digits = |key, len| header.get(after_key(header, key, len)?);
    let grouped = after_key(header, GROUPED_KEY, 0).is_some();
    let permissions = digits(PERMISSIONS_KEY, 4).and_then(hexadecimal).map(|permissions| permissions as u16);
    Some(Slot { used: number(digits(USED_KEY, 20)?)?, pair: hexadecimal(digits(PAIR_KEY, 16)?)?, grouped, permissions })
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0u64, |value, &digit| Some(value << 4 | u64::from(char::from(digit).to_digit(16)?)))
}

/// Fills a part of the header. The ranges are constants inside it.
fn put(header: &mut [u8; HEADER], range: Range<usize>, fill: impl FnOnce(&mut [u8])) {
    debug_assert!(header.get(range.clone()).is_some());
    if let Some(slots) = header.get_mut(range) {
        fill(slots);
    }
}

/// The check of a header whose digits of it are at `digits`.
fn head(header: &[u8; HEADER], digits: Range<usize>) -> [u8; 8] {
    let mut zeroed = *header;
    put(&mut zeroed, digits, |slots| slots.fill(b'0'));
    let covered = zeroed.split_at_checked(COVERED).map_or(&zeroed[..], |(_, covered)| covered);
    let mut hasher = Hasher::new(&[]);
    hasher.update(covered);
    let [a, b, c, d, ..] = hasher.finish();
    hex32(u32::from_be_bytes([a, b, c, d]))
}

/// The generation in a header that has not been read with its payload: only one that the header's own check confirms.
pub fn checked_generation(header: &[u8; HEADER]) -> Option<u64> {
    let generation = fields(header).ok()?.generation;
    let digits = if marks(header).is_some() { Some(HEAD) } else { after_key(header, HEAD_KEY, HEAD.len()) };
    match digits {
        Some(digits) => (header.get(digits.clone())? == head(header, digits)).then_some(generation),
        None => Some(generation).filter(|&generation| generation < UNCHECKED_LIMIT),
    }
}

/// Does the header say that the state was saved without a sync?
pub fn says_unsynced(header: &[u8; HEADER]) -> bool {
    marks(header).map_or_else(|| after_key(header, UNSYNCED_KEY, 0).is_some(), |marks| marks.unsynced)
}

/// Where the `len` bytes after the last `key` in line 2 are.
fn after_key(header: &[u8; HEADER], key: &[u8], len: usize) -> Option<Range<usize>> {
    let at = header.get(COVERED..)?.windows(key.len()).rposition(|window| window == key)?;
    let start = at.checked_add(COVERED)?.checked_add(key.len())?;
    Some(start..start.checked_add(len)?).filter(|range| range.end <= HEADER)
}

/// Fills in the first line.
pub fn seal(header: &mut [u8; HEADER], hasher: Hasher) {
    put(header, 0..COVERED, |slots| copy(slots, &first_line(&hasher.finish())));
}

/// SHA-256 of a record: its header first, then its payload, in pieces as they come. Seven places hash: inlined in each of them its
/// functions take 2.6 KB more.
pub struct Hasher(Sha256);

impl Hasher {
    /// Begins with what is covered of `header`; more than a header may be given.
    #[inline(never)]
    pub fn new(header: &[u8]) -> Hasher {
        let mut hasher = Hasher(Sha256::new());
        hasher.update(header.get(COVERED..).unwrap_or_default());
        hasher
    }

    /// The next bytes of the payload. Beyond the cache SHA-256 waits for memory: asked for ahead, it does not.
    #[inline(never)]
    pub fn update(&mut self, bytes: &[u8]) {
        const STEP: usize = 1024;
        let mut ahead = bytes.get(2 * STEP..).unwrap_or_default().chunks(STEP);
        if bytes.len() <= 8 * STEP {
            return self.0.update(bytes);
        }
        for piece in bytes.chunks(STEP) {
            prefetch(ahead.next().unwrap_or_default());
            self.0.update(piece);
        }
    }

    /// The digest.
    #[inline(never)]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// A first line for this digest.
fn first_line(digest: &[u8; 32]) -> [u8; COVERED] {
    let mut line = [b' '; COVERED];
    for (slot, word) in line.chunks_exact_mut(8).zip(digest.chunks_exact(4)) {
        copy(slot, &hex32(word.try_into().map_or(0, u32::from_be_bytes)));
    }
    for (slot, byte) in line.iter_mut().skip(64).zip(b"  -\n") {
        *slot = *byte;
    }
    line
}

/// Does it look like a first line, or the beginning of one?
fn is_first_line(line: &[u8]) -> bool {
    line.iter().take(64).all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        && line.iter().skip(64).zip(b"  -\n").all(|(a, b)| a == b)
}

/// Version and length of line 2: they stay in their places in every version.
fn version_and_len(second_line: &[u8]) -> Option<(u64, u64)> {
    let rest = second_line.strip_prefix(MAGIC)?;
    let at = rest.iter().position(|&byte| byte == b' ')?;
    let (version, rest) = rest.split_at(at);
    let len = rest.strip_prefix(b" len=")?.get(..20)?;
    Some((number(version)?, number(len)?))
}

/// Checks the header against the length of its file, before anything of that length is allocated: the
/// length of the payload, or a code.
pub fn expected_len(header: &[u8], file_size: u64) -> Result<u64, i32> {
    if file_size == 0 {
        return Err(STEADFAST_E_EMPTY);
    }
    if header.len() < HEADER {
        // Shorter than any header: ours, as far as it goes?
        let magic = header.get(COVERED..).unwrap_or_default();
        let ours = is_first_line(header) && magic.iter().zip(MAGIC).all(|(a, b)| a == b);
        let zeroed = header.iter().all(|&byte| byte == 0);
        return Err(if ours || zeroed { STEADFAST_E_TRUNCATED } else { STEADFAST_E_FORMAT });
    }
    let Some((_, len)) = version_and_len(header.get(COVERED..).unwrap_or_default()) else {
        // One damaged line does not make it a stranger's.
        let zeroed = header.iter().all(|&byte| byte == 0);
        let ours = is_first_line(header.get(..COVERED).unwrap_or_default())
            || header.get(COVERED..).unwrap_or_default().starts_with(MAGIC);
        return Err(if zeroed || ours { STEADFAST_E_DIGEST } else { STEADFAST_E_FORMAT });
    };
    match file_size.saturating_sub(HEADER as u64).cmp(&len) {
        core::cmp::Ordering::Less => Err(STEADFAST_E_TRUNCATED),
        core::cmp::Ordering::Greater => Err(STEADFAST_E_TRAILING),
        core::cmp::Ordering::Equal => Ok(len),
    }
}

/// Checks a record whose bytes have all been hashed. The digest comes first, and then what the header says, so that
/// "intact but newer" is not "damaged".
pub fn check(header: &[u8], hasher: Hasher) -> Result<(Fields, [u8; 32]), i32> {
    check_digest(header, hasher.finish())
}

/// The same with the digest of all bytes.
pub fn check_digest(header: &[u8], computed: [u8; 32]) -> Result<(Fields, [u8; 32]), i32> {
    if header.get(..COVERED) != Some(&first_line(&computed)[..]) {
        return Err(STEADFAST_E_DIGEST);
    }
    Ok((fields(header)?, computed))
}

/// What follows the check in a header.
struct Marks {
    unsynced: bool,
    slot: Option<Slot>,
}

/// The marks of a header that is laid out as we write it, BLANK but for its digits: nothing has to be searched for in it.
fn marks(header: &[u8]) -> Option<Marks> {
    const BETWEEN: [Range<usize>; 5] = [0..16, 36..41, 61..67, 87..95, 105..111];
    let line = header.get(COVERED..)?;
    if !BETWEEN.iter().all(|between| line.get(between.clone()) == BLANK.get(between.clone())) {
        return None;
    }
    let mut rest = line.get(BLANK.len()..)?.strip_suffix(b"\n")?;
    let unsynced = rest.strip_prefix(UNSYNCED_KEY);
    rest = unsynced.unwrap_or(rest);
    let grouped = rest.strip_prefix(GROUPED_KEY);
    rest = grouped.unwrap_or(rest);
    let slot = match rest.strip_prefix(USED_KEY) {
        None => None,
        Some(behind) => {
            let (used, behind) = behind.split_at_checked(20)?;
            let (pair, behind) = behind.strip_prefix(PAIR_KEY)?.split_at_checked(16)?;
            let permissions = behind.strip_prefix(PERMISSIONS_KEY).and_then(|behind| behind.split_at_checked(4));
            rest = permissions.map_or(behind, |(_, behind)| behind);
            let permissions = permissions.and_then(|(digits, _)| hexadecimal(digits)).map(|permissions| permissions as u16);
            Some(Slot { used: number(used)?, pair: hexadecimal(pair)?, grouped: grouped.is_some(), permissions })
        }
    };
    // Nothing but spaces: the first is one, and each is as the one before.
    let blank = rest.starts_with(b" ") && rest.get(1..) == rest.split_last().map(|(_, but_last)| but_last);
    blank.then_some(Marks { unsynced: unsynced.is_some(), slot })
}

/// The number after the last `key`.
fn value(line: &[u8], key: &[u8]) -> Option<u64> {
    let at = line.windows(key.len()).rposition(|each| each == key)?;
    let rest = line.get(at.saturating_add(key.len())..)?;
    number(rest.split(|&byte| byte == b' ').next()?)
}

fn whole(generation: Option<u64>, time: Option<u64>, schema: Option<u64>) -> Result<Fields, i32> {
    let time = time.and_then(|ns| i64::try_from(ns).ok());
    let schema = schema.and_then(|schema| u32::try_from(schema).ok());
    match (generation, time, schema) {
        (Some(generation), Some(saved_at_ns), Some(schema)) => Ok(Fields { generation, saved_at_ns, schema }),
        _ => Err(STEADFAST_E_FORMAT),
    }
}

/// Of the keys that must be understood only those of a slot are known.
fn understood(header: &[u8], body: &[u8]) -> Result<(), i32> {
    let mut keys = (0..body.len()).filter_map(|at| body.get(at..)).filter(|key| key.starts_with(b" !"));
    if !keys.all(|key| key.starts_with(USED_KEY) || key.starts_with(PAIR_KEY)) {
        return Err(STEADFAST_E_NEWER);
    }
    let (_, len) = version_and_len(body).ok_or(STEADFAST_E_FORMAT)?;
    let slot = header.first_chunk().and_then(slot).ok_or(STEADFAST_E_FORMAT)?;
    if slot.used <= len { Ok(()) } else { Err(STEADFAST_E_FORMAT) }
}

/// The fields of a header. Unknown keys are passed over, but one that begins with '!' must be understood.
pub fn fields(header: &[u8]) -> Result<Fields, i32> {
    if let Some(marks) = marks(header) {
        let at = |field| header.get(field).and_then(number);
        let fits = marks.slot.is_none_or(|slot| at(LEN).is_some_and(|len| slot.used <= len));
        return if fits { whole(at(GENERATION), at(TIME), at(SCHEMA)) } else { Err(STEADFAST_E_FORMAT) };
    }
    let line = header.get(COVERED..HEADER).unwrap_or_default();
    let (version, _) = version_and_len(line).ok_or(STEADFAST_E_FORMAT)?;
    if version != 1 {
        return Err(if version > 1 { STEADFAST_E_NEWER } else { STEADFAST_E_FORMAT });
    }
    let body = line.strip_suffix(b"\n").ok_or(STEADFAST_E_FORMAT)?;
    if body.windows(2).any(|pair| pair == b" !") {
        understood(header, body)?;
    }
    whole(value(body, b" gen="), value(body, b" time="), value(body, b" schema="))
}
