//! Numbers as text, without a panic and without memory.
#![forbid(unsafe_code)]

use super::text::copy;

/// A number in decimal.
pub struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    /// `number` in decimal.
    pub fn of(number: u64) -> Decimal {
        let mut digits = [b'0'; 20];
        put_decimal(&mut digits, number);
        let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
        Decimal { digits, start: zeros.min(19) }
    }

    /// Its digits.
    pub fn bytes(&self) -> &[u8] {
        self.digits.split_at_checked(self.start).map_or(&self.digits, |(_, digits)| digits)
    }
}

/// Fills `slots` with `number` in decimal, with leading zeros.
pub fn put_decimal(slots: &mut [u8], number: u64) {
    let mut rest = number;
    for slot in slots.iter_mut().rev() {
        *slot = b'0'.wrapping_add((rest % 10) as u8);
        rest /= 10;
    }
}

/// The reverse: None when there is anything but digits, or none, or too many.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    // Most of them are leading zeros: a multiplication is a chain, a comparison is not.
    digits.iter().skip_while(|&&digit| digit == b'0').try_fold(0u64, |value, &digit| {
        let digit = digit.checked_sub(b'0').filter(|&d| d <= 9)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Eight lowercase hexadecimal digits, all at once.
pub fn hex32(number: u32) -> [u8; 8] {
    // One digit in each byte, the first in the highest.
    let x = u64::from(number);
    let x = (x << 16 | x) & 0x0000_ffff_0000_ffff;
    let x = (x << 8 | x) & 0x00ff_00ff_00ff_00ff;
    let x = (x << 4 | x) & 0x0f0f_0f0f_0f0f_0f0f;
    let letters = (x.wrapping_add(0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    x.wrapping_add(0x3030_3030_3030_3030).wrapping_add(letters.wrapping_mul(0x27)).to_be_bytes()
}

/// Sixteen lowercase hexadecimal digits.
pub fn hex64(number: u64) -> [u8; 16] {
    let mut out = [0u8; 16];
    let (high, low) = out.split_at_mut(8);
    copy(high, &hex32((number >> 32) as u32));
    copy(low, &hex32(number as u32));
    out
}

/// FNV-1a.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
