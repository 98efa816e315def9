//! A second reader of state files, written from the description of the format, slowly and in its own way: what the library
//! says about any bytes must be what this says. It knows nothing of files.

use sha2::{Digest, Sha256};
use steadfast::status::*;

pub const HEADER: usize = 256;
pub const RECOVER: u32 = 1 << 0;
pub const REQUIRE_SCHEMA: u32 = 1 << 1;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct State {
    pub payload: Vec<u8>,
    pub generation: u64,
    pub saved_at_ns: i64,
    pub schema: u32,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub flags: u32,
    pub schema: u32,
    pub max_len: u64,
}

/// The first line that fits the rest.
pub fn digest_line(file: &[u8]) -> Vec<u8> {
    let mut line: String = Sha256::digest(&file[68..]).iter().map(|byte| format!("{byte:02x}")).collect();
    line.push_str("  -\n");
    line.into_bytes()
}

/// What a header says of one of the two files of an alternating state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    pub used: u64,
    pub pair: u64,
    pub grouped: bool,
    pub permissions: Option<u16>,
}

/// How long such a file is for a payload of `used` bytes.
pub fn slot_len(used: usize) -> usize {
    let len = used + HEADER;
    let step = (len / 16 / 4096 * 4096).clamp(4096, 65_536);
    len.div_ceil(step) * step
}

/// One of the two, of `len` bytes, as the library writes it.
pub fn slot_record(state: &State, slot: &Slot, len: usize) -> Vec<u8> {
    let mut content = state.payload.clone();
    content.resize(len - HEADER, b'\n');
    let grouped = if slot.grouped { " grouped=1" } else { "" };
    let permissions = slot.permissions.map_or(String::new(), |permissions| format!(" p={permissions:04x}"));
    written(state, &content, &format!("{grouped} !used={:020} !pair={:016x}{permissions}", slot.used, slot.pair))
}

/// A file as the library writes it.
pub fn record(state: &State, unsynced: bool) -> Vec<u8> {
    written(state, &state.payload, if unsynced { " unsynced=1" } else { "" })
}

fn written(state: &State, content: &[u8], mark: &str) -> Vec<u8> {
    let State { generation, saved_at_ns, schema, .. } = state;
    let len = content.len();
    let line = |check: &str| {
        let line = format!(
            "steadfast 1 len={len:020} gen={generation:020} time={saved_at_ns:020} schema={schema:010} head={check}{mark}"
        );
        format!("{line:187}\n")
    };
    let mut file = vec![b' '; 68];
    file.extend(line(&check_of(&line("00000000"))).bytes());
    file.extend(content);
    let first = digest_line(&file);
    file[..68].copy_from_slice(&first);
    file
}

/// The header's check of itself, of a second line whose own check is eight zeros.
fn check_of(line: &str) -> String {
    // A character is a byte here.
    let bytes: Vec<u8> = line.chars().map(|c| c as u8).collect();
    Sha256::digest(bytes)[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn looks_like_a_digest_line(line: &[u8]) -> bool {
    let (hex, end) = line.split_at(line.len().min(64));
    hex.iter().all(|byte| b"0123456789abcdef".contains(byte)) && b"  -\n".starts_with(end)
}

/// Decimal digits and nothing else.
fn decimal(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) { None } else { text.parse().ok() }
}

/// Bytes as text, one character each.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| byte as char).collect()
}

/// Version and length of the second line.
fn beginning(line: &str) -> Option<(u64, u64)> {
    let (version, rest) = line.strip_prefix("steadfast ")?.split_once(' ')?;
    let len = rest.strip_prefix("len=")?;
    if !len.is_char_boundary(20) || len.len() < 20 {
        return None;
    }
    Some((decimal(version)?, decimal(&len[..20])?))
}

/// What the second line says of an alternating state. Of a key that comes twice the last counts.
fn slot_in(line: &str) -> Option<Slot> {
    let digits = |key: &str, count: usize| line.rsplit_once(key)?.1.get(..count);
    let hexadecimal = |text: &str| {
        let all = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| all)
    };
    let permissions = digits(" p=", 4).and_then(hexadecimal).and_then(|number| u16::try_from(number).ok());
    Some(Slot {
        used: decimal(digits(" !used=", 20)?)?,
        pair: hexadecimal(digits(" !pair=", 16)?)?,
        grouped: line.contains(" grouped=1"),
        permissions,
    })
}

/// The same of a file.
pub fn slot(file: &[u8]) -> Option<Slot> {
    slot_in(&latin(file.get(68..HEADER)?))
}

/// Generation, time and schema. Of a key that comes twice the last counts.
fn fields(line: &str) -> Result<(u64, i64, u32), i32> {
    let (version, len) = beginning(line).ok_or(STEADFAST_E_FORMAT)?;
    if version != 1 {
        return Err(if version == 0 { STEADFAST_E_FORMAT } else { STEADFAST_E_NEWER });
    }
    let Some(body) = line.strip_suffix('\n') else { return Err(STEADFAST_E_FORMAT) };
    let (mut generation, mut time, mut schema) = (None, None, None);
    let mut turns = false;
    for token in body.split(' ').skip(2) {
        let (key, value) = token.split_once('=').unwrap_or((token, ""));
        let number = decimal(value);
        match key {
            "gen" => generation = number,
            "time" => time = number.and_then(|number| i64::try_from(number).ok()),
            "schema" => schema = number.and_then(|number| u32::try_from(number).ok()),
            _ if token.starts_with("!used=") || token.starts_with("!pair=") => turns = true,
            _ if key.starts_with('!') => return Err(STEADFAST_E_NEWER),
            _ => {}
        }
    }
    if turns && slot_in(line).is_none_or(|slot| slot.used > len) {
        return Err(STEADFAST_E_FORMAT);
    }
    match (generation, time, schema) {
        (Some(generation), Some(time), Some(schema)) => Ok((generation, time, schema)),
        _ => Err(STEADFAST_E_FORMAT),
    }
}

/// What can be said before the content is looked at.
fn check_len(file: &[u8]) -> Result<u64, i32> {
    if file.is_empty() {
        return Err(STEADFAST_E_EMPTY);
    }
    let zeros = file.iter().take(HEADER).all(|&byte| byte == 0);
    let first = looks_like_a_digest_line(&file[..file.len().min(68)]);
    if file.len() < HEADER {
        let second = file.get(68..).unwrap_or_default();
        let magic = second.iter().zip(b"steadfast ").all(|(a, b)| a == b);
        return Err(if zeros || first && magic { STEADFAST_E_TRUNCATED } else { STEADFAST_E_FORMAT });
    }
    match beginning(&latin(&file[68..HEADER])) {
        None if zeros || first || file[68..].starts_with(b"steadfast ") => Err(STEADFAST_E_DIGEST),
        None => Err(STEADFAST_E_FORMAT),
        Some((_, len)) if (file.len() - HEADER) as u64 > len => Err(STEADFAST_E_TRAILING),
        Some((_, len)) if ((file.len() - HEADER) as u64) < len => Err(STEADFAST_E_TRUNCATED),
        Some((_, len)) => Ok(len),
    }
}

/// Does the header fit the length of its file?
pub fn fits(file: &[u8]) -> bool {
    check_len(file).is_ok()
}

/// The generation that a save which does not read the payload goes on from: that of the header, if its check confirms it.
/// The first records had no check: theirs counts below 2^62.
pub fn header_generation(file: &[u8]) -> Option<u64> {
    check_len(file).ok()?;
    let line = latin(&file[68..HEADER]);
    let (generation, _, _) = fields(&line).ok()?;
    let Some((before, after)) = line.rsplit_once(" head=") else {
        return (generation < 1 << 62).then_some(generation);
    };
    let end = after.find([' ', '\n']).unwrap_or(after.len());
    let (check, rest) = after.split_at(end);
    (check == check_of(&format!("{before} head=00000000{rest}"))).then_some(generation)
}

/// Does the header say that the state was not synced?
pub fn says_unsynced(file: &[u8]) -> bool {
    let line = file.get(68..HEADER).map(latin).unwrap_or_default();
    line.trim_end_matches('\n').split(' ').any(|token| token == "unsynced=1")
}

/// How long the payload is by the header of a file, which has `len` bytes behind it.
fn payload_len(file: &[u8], len: u64) -> u64 {
    slot(file).map(|slot| slot.used).filter(|&used| used <= len).unwrap_or(len)
}

/// The same of a file whose header fits.
pub fn told_len(file: &[u8]) -> Option<usize> {
    check_len(file).ok().map(|len| payload_len(file, len) as usize)
}

/// One file.
pub fn read(file: &[u8], request: &Request) -> Result<State, i32> {
    let len = check_len(file)?;
    let max_len = if request.max_len == 0 { 1 << 30 } else { request.max_len };
    let used = payload_len(file, len);
    if used > max_len {
        return Err(STEADFAST_E_TOO_LARGE);
    }
    if file[..68] != digest_line(file)[..] {
        return Err(STEADFAST_E_DIGEST);
    }
    let (generation, saved_at_ns, schema) = fields(&latin(&file[68..HEADER]))?;
    if request.flags & REQUIRE_SCHEMA != 0 && schema != request.schema {
        return Err(STEADFAST_E_SCHEMA);
    }
    Ok(State { payload: file[HEADER..][..used as usize].to_vec(), generation, saved_at_ns, schema })
}

/// Any state at all.
pub const ANY: Request = Request { flags: 0, schema: 0, max_len: 0 };

/// Not even its header tells what it was.
fn is_damaged(file: &[u8]) -> bool {
    let says = || fields(&latin(&file[68..HEADER]));
    !matches!(check_len(file), Err(STEADFAST_E_FORMAT)) && slot(file).is_none() && (file.len() < HEADER || says().is_err())
}

/// PATH and PATH.prev, which is no newer: the code, and the state where there is one.
pub fn load(current: Option<&[u8]>, previous: Option<&[u8]>, request: &Request) -> (i32, Option<State>) {
    let damage = [STEADFAST_E_EMPTY, STEADFAST_E_TRUNCATED, STEADFAST_E_TRAILING, STEADFAST_E_DIGEST, STEADFAST_E_FORMAT];
    let recover = request.flags & RECOVER != 0;
    let error = match current.map(|file| read(file, request)) {
        // What is damaged beyond recognition may have been the newer one of the two.
        Some(Ok(state)) if current.and_then(slot).is_some() && previous.is_some_and(is_damaged) => {
            return (STEADFAST_RECOVERED, Some(state));
        }
        Some(Ok(state)) => return (0, Some(state)),
        Some(Err(code)) if !(recover && damage.contains(&code)) => return (code, None),
        Some(Err(code)) => Some(code),
        None => None,
    };
    match (previous, error) {
        (None, None) => (-libc::ENOENT, None),
        (Some(_), None) if !recover => (STEADFAST_E_LOST, None),
        (None, Some(code)) => (code, None),
        (Some(file), error) => match read(file, request) {
            Ok(state) => (STEADFAST_RECOVERED, Some(state)),
            // The one who asks can do something about that.
            Err(STEADFAST_E_TOO_LARGE) => (STEADFAST_E_TOO_LARGE, None),
            Err(code) => (error.unwrap_or(code), None),
        },
    }
}
