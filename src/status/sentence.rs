//! The report's message.
#![forbid(unsafe_code)]

use super::detail::Detail;
use super::outcome::Outcome;
use super::texts::{self, message, name};
use crate::mem::copy;
use crate::mem::format::Decimal;

/// A sentence being put together in a fixed buffer; what does not fit is dropped.
struct Sentence<'b> {
    buf: &'b mut [u8],
    len: usize,
}

impl Sentence<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        let room = self.buf.get_mut(self.len..).unwrap_or_default();
        self.len = self.len.saturating_add(bytes.len().min(room.len()));
        copy(room, bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.bytes(Decimal::of(number).bytes());
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// Writes the sentence of `outcome` into `buf`, which is all NUL, and leaves one at its end: it names `path`, or as much of
/// the end of it as fits.
pub fn sentence(outcome: &Outcome, path: &[u8], buf: &mut [u8]) {
    let Some(room) = buf.len().checked_sub(1) else { return };
    let mut out = Sentence { buf: buf.get_mut(..room).unwrap_or_default(), len: 0 };
    out.bytes(if outcome.detail == Detail::None { message(outcome.status) } else { outcome.detail.text() }.to_bytes());
    if outcome.pid > 0 {
        out.text(" (PID ");
        out.number(u64::from(outcome.pid.unsigned_abs()));
        out.text(")");
    }
    if let Some(step) = texts::step(i32::from(outcome.step)) {
        out.text(if outcome.status < 0 { ", at " } else { "; the failed step was " });
        out.bytes(step.to_bytes());
    }
    let os_error = outcome.os_error;
    if os_error > 0 && (outcome.status.wrapping_neg() != os_error || outcome.detail != Detail::None) {
        out.text(": ");
        out.bytes(name(os_error.wrapping_neg()).to_bytes());
    }
    out.text(": ");
    let left = room.saturating_sub(out.len);
    if path.len() <= left {
        out.bytes(path);
        return;
    }
    out.text("...");
    let left = left.saturating_sub(3);
    let mut tail = path.get(path.len().saturating_sub(left)..).unwrap_or_default();
    while let Some((first, rest)) = tail.split_first().filter(|(first, _)| is_continuation(**first)) {
        let _ = first;
        tail = rest;
    }
    out.bytes(tail);
}
