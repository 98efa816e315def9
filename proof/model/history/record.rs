//! State files by the description of their format: what the saver of this test writes and reads.

use sha2::{Digest, Sha256};

const HEADER: usize = 256;
const COVERED: usize = 68;

/// A whole record.
pub struct Record {
    pub generation: u64,
    /// By its header.
    pub unsynced: bool,
    /// Of an alternating state.
    pub slot: Option<Slot>,
}

/// What the header says of one of an alternating state's two files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    pub used: usize,
    pub pair: u64,
    pub grouped: bool,
}

pub fn format(generation: u64, time_ns: i64, unsynced: bool, payload: &[u8]) -> Vec<u8> {
    seal(generation, time_ns, if unsynced { " unsynced=1" } else { "" }, payload)
}

/// One of an alternating state's two files, `capacity` bytes long.
pub fn format_slot(generation: u64, time_ns: i64, unsynced: bool, slot: Slot, capacity: usize, payload: &[u8]) -> Vec<u8> {
    let mark = if unsynced { " unsynced=1" } else { "" };
    let grouped = if slot.grouped { " grouped=1" } else { "" };
    let keys = format!("{mark}{grouped} !used={:020} !pair={:016x}", slot.used, slot.pair);
    let mut content = payload.to_vec();
    content.resize(capacity - HEADER, b'\n');
    seal(generation, time_ns, &keys, &content)
}

/// The length of a file for so many bytes.
pub fn capacity(used: usize) -> usize {
    (used + HEADER).next_multiple_of(4096)
}

fn seal(generation: u64, time_ns: i64, keys: &str, payload: &[u8]) -> Vec<u8> {
    let len = payload.len();
    let line = format!("steadfast 1 len={len:020} gen={generation:020} time={time_ns:020} schema={:010}{keys}", 0);
    let mut file = vec![b' '; COVERED];
    file.extend(format!("{line:187}\n").bytes());
    file.extend(payload);
    let digest = digest(&file);
    file[..COVERED].copy_from_slice(&digest);
    file
}

fn digest(file: &[u8]) -> Vec<u8> {
    let mut line: String = Sha256::digest(&file[COVERED..]).iter().map(|byte| format!("{byte:02x}")).collect();
    line.push_str("  -\n");
    line.into_bytes()
}

/// The value of a key in the header.
fn value<'a>(file: &'a [u8], key: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(file.get(COVERED..HEADER)?).ok()?;
    text.split(' ').find_map(|word| word.trim_end().strip_prefix(key))
}

fn number(file: &[u8], key: &str) -> Option<u64> {
    value(file, key)?.parse().ok()
}

/// What the header says of an alternating state, whether the file is whole or not.
pub fn slot(file: &[u8]) -> Option<Slot> {
    let pair = u64::from_str_radix(value(file, "!pair=")?, 16).ok()?;
    Some(Slot { used: number(file, "!used=")? as usize, pair, grouped: value(file, "grouped=") == Some("1") })
}

/// What the header says, whether the file is whole or not.
pub fn says(file: &[u8]) -> Option<Record> {
    let unsynced = value(file, "unsynced=") == Some("1");
    Some(Record { generation: number(file, "gen=")?, unsynced, slot: slot(file) })
}

/// None: damaged.
pub fn read(file: &[u8]) -> Option<Record> {
    let whole =
        file.len() >= HEADER && file[..COVERED] == digest(file)[..] && number(file, "len=")? == (file.len() - HEADER) as u64;
    says(file).filter(|_| whole)
}

/// What was saved, if its length can be right.
pub fn payload(file: &[u8]) -> Option<&[u8]> {
    let content = file.get(HEADER..)?;
    match slot(file) {
        Some(slot) => content.get(..slot.used),
        None => Some(content),
    }
}
