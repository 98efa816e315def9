//! State files by the description of their format: what the saver of this test writes and reads.

use sha2::{Digest, Sha256};

const HEADER: usize = 256;
const COVERED: usize = 68;

/// A whole record.
pub struct Record {
    pub generation: u64,
    /// By its header.
    pub unsynced: bool,
}

pub fn format(generation: u64, time_ns: i64, unsynced: bool, payload: &[u8]) -> Vec<u8> {
    let mark = if unsynced { " unsynced=1" } else { "" };
    let len = payload.len();
    let line = format!("steadfast 1 len={len:020} gen={generation:020} time={time_ns:020} schema={:010}{mark}", 0);
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

/// None: damaged.
pub fn read(file: &[u8]) -> Option<Record> {
    let text = std::str::from_utf8(file.get(COVERED..HEADER)?).ok()?;
    let value = |key: &str| text.split(' ').find_map(|word| word.trim_end().strip_prefix(key));
    let number = |key: &str| value(key)?.parse::<u64>().ok();
    let whole = file[..COVERED] == digest(file)[..] && number("len=")? == (file.len() - HEADER) as u64;
    whole.then_some(Record { generation: number("gen=")?, unsynced: value("unsynced=") == Some("1") })
}
