//! The record: 256 bytes of header, then the payload. Pure.
//!
//! Line 1 is what `sha256sum` prints for everything after it; line 2 names format, length, generation, time
//! and schema, padded with spaces to byte 255.
#![forbid(unsafe_code)]

use crate::path::hex;
use crate::status::*;
use sha2::{Digest, Sha256};

/// Length of the header.
pub const HEADER: usize = 256;
/// Where the digest's cover begins.
const COVERED: usize = 68;
const MAGIC: &[u8] = b"steadfast ";

/// What a header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pub generation: u64,
    pub saved_at_ns: i64,
    pub schema: u32,
}

/// The header of `payload`.
pub fn header(fields: &Fields, payload: &[u8]) -> [u8; HEADER] {
    let mut out = [b' '; HEADER];
    let mut at = COVERED;
    let mut put = |bytes: &[u8]| {
        for (slot, byte) in out.iter_mut().skip(at).zip(bytes) {
            *slot = *byte;
        }
        at = at.saturating_add(bytes.len());
    };
    put(b"steadfast 1 len=");
    put(&padded::<20>(payload.len() as u64));
    put(b" gen=");
    put(&padded::<20>(fields.generation));
    put(b" time=");
    put(&padded::<20>(fields.saved_at_ns.max(0).unsigned_abs()));
    put(b" schema=");
    put(&padded::<10>(u64::from(fields.schema)));
    if let Some(last) = out.last_mut() {
        *last = b'\n';
    }
    let mut hasher = Sha256::new();
    hasher.update(out.get(COVERED..).unwrap_or_default());
    hasher.update(payload);
    let digest: [u8; 32] = hasher.finalize().into();
    for (slot, byte) in out.chunks_exact_mut(2).zip(digest) {
        slot.copy_from_slice(&hex(byte));
    }
    for (slot, byte) in out.iter_mut().skip(64).zip(b"  -\n") {
        *slot = *byte;
    }
    out
}

/// `number` in N decimal digits.
fn padded<const N: usize>(number: u64) -> [u8; N] {
    let mut out = [b'0'; N];
    let mut rest = number;
    for slot in out.iter_mut().rev() {
        *slot = b'0'.wrapping_add((rest % 10) as u8);
        rest /= 10;
    }
    out
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &digit| {
        let digit = digit.checked_sub(b'0').filter(|&d| d <= 9)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// The 32 bytes that line 1 gives.
fn digest(first_line: &[u8]) -> Option<[u8; 32]> {
    let mut out = [0u8; 32];
    if first_line.get(64..COVERED)? != b"  -\n" {
        return None;
    }
    for (slot, pair) in out.iter_mut().zip(first_line.chunks_exact(2)) {
        let mut value = 0u8;
        for &digit in pair {
            let digit = match digit {
                b'0'..=b'9' => digit.wrapping_sub(b'0'),
                b'a'..=b'f' => digit.wrapping_sub(b'a').wrapping_add(10),
                _ => return None,
            };
            value = (value << 4) | digit;
        }
        *slot = value;
    }
    Some(out)
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
        let ours = header.iter().all(|&byte| byte == 0)
            || (header.iter().take(64).all(|byte| byte.is_ascii_hexdigit())
                && header.iter().skip(64).zip(b"  -\n").all(|(a, b)| a == b)
                && magic.iter().zip(MAGIC).all(|(a, b)| a == b));
        return Err(if ours { STEADFAST_E_TRUNCATED } else { STEADFAST_E_FORMAT });
    }
    let Some((_, len)) = version_and_len(header.get(COVERED..).unwrap_or_default()) else {
        // One damaged line does not make it a stranger's.
        let zeroed = header.iter().all(|&byte| byte == 0);
        let ours = digest(header).is_some() || header.get(COVERED..).unwrap_or_default().starts_with(MAGIC);
        return Err(if zeroed || ours { STEADFAST_E_DIGEST } else { STEADFAST_E_FORMAT });
    };
    match file_size.saturating_sub(HEADER as u64).cmp(&len) {
        core::cmp::Ordering::Less => Err(STEADFAST_E_TRUNCATED),
        core::cmp::Ordering::Greater => Err(STEADFAST_E_TRAILING),
        core::cmp::Ordering::Equal => Ok(len),
    }
}

/// Reads a record piece by piece: the header first, then the payload.
pub struct Verifier {
    hasher: Sha256,
    header: [u8; HEADER],
}

impl Verifier {
    /// For a record with this header.
    pub fn new(header: &[u8]) -> Option<Verifier> {
        let header: [u8; HEADER] = header.get(..HEADER)?.try_into().ok()?;
        let mut hasher = Sha256::new();
        hasher.update(header.get(COVERED..)?);
        Some(Verifier { hasher, header })
    }

    /// The next piece of the payload.
    pub fn update(&mut self, piece: &[u8]) {
        self.hasher.update(piece);
    }

    /// The digest, and then what the header says: the digest is checked before the version, so that "intact
    /// but newer" is not "damaged".
    pub fn finish(self) -> Result<(Fields, [u8; 32]), i32> {
        let computed: [u8; 32] = self.hasher.finalize().into();
        match digest(&self.header) {
            Some(stored) if stored == computed => Ok((fields(&self.header)?, stored)),
            _ => Err(STEADFAST_E_DIGEST),
        }
    }
}

/// The fields of a header. Unknown keys are passed over, but one that begins with '!' must be understood.
pub fn fields(header: &[u8]) -> Result<Fields, i32> {
    let line = header.get(COVERED..HEADER).unwrap_or_default();
    let (version, _) = version_and_len(line).ok_or(STEADFAST_E_FORMAT)?;
    if version != 1 {
        return Err(if version > 1 { STEADFAST_E_NEWER } else { STEADFAST_E_FORMAT });
    }
    let (mut generation, mut time, mut schema) = (None, None, None);
    let body = line.strip_suffix(b"\n").ok_or(STEADFAST_E_FORMAT)?;
    for token in body.split(|&byte| byte == b' ').skip(2).filter(|token| !token.is_empty()) {
        let at = token.iter().position(|&byte| byte == b'=').unwrap_or(token.len());
        let (key, value) = token.split_at(at);
        let value = number(value.get(1..).unwrap_or_default());
        match key {
            b"len" => {}
            b"gen" => generation = value,
            b"time" => time = value.and_then(|ns| i64::try_from(ns).ok()),
            b"schema" => schema = value.and_then(|schema| u32::try_from(schema).ok()),
            [b'!', ..] => return Err(STEADFAST_E_NEWER),
            _ => {}
        }
    }
    match (generation, time, schema) {
        (Some(generation), Some(saved_at_ns), Some(schema)) => Ok(Fields { generation, saved_at_ns, schema }),
        _ => Err(STEADFAST_E_FORMAT),
    }
}
