//! Calls about the files of a state: written in place, piece by piece, and read meanwhile.

use super::super::ledger::HEADER;
use super::*;
use libc::EBADF;
use std::ops::Range;

/// Writes to a file that others know, in pieces: a reader may come between two of them, and so may death.
pub(super) unsafe fn write_in_place(user: User, fd: i32, data: &[u8], offset: usize) -> i64 {
    let pieces = unsafe { look(user) }.0.pieces;
    assert_eq!(pieces.iter().map(Range::len).sum::<usize>(), data.len(), "the pieces of another length");
    let mut target = None;
    for piece in pieces {
        let Some(c) = (unsafe { begin(user, SHARED) }) else { return GONE.into() };
        c.p.writing = true;
        let found = c.node(fd).map(|node| written(&c, node));
        let Ok(node) = found.map(|node| *target.get_or_insert(node)) else {
            return c.told("write", || fd.to_string(), Err(EBADF));
        };
        if c.w.lies(Lie::Intended) {
            let mut whole = c.w.fs.file(node).content.clone();
            whole.write(offset, data);
            c.w.fs.file_mut(node).intended = Some(whole);
        }
        let (part, at) = (&data[piece.clone()], offset + piece.start);
        c.w.fs.write(c.p.slot, node, at, part);
        c.w.touch(c.p.slot);
        if let Some(mirror) = &mut c.w.mirror {
            mirror.write(c.p.slot, fd, part, Some(at as u64), Ok(part.len() as i64));
        }
        c.w.note(c.p.slot, || format!("writes {} bytes at {at} of {fd}", part.len()));
        c.p.history = mix(c.p.history, at as u64);
    }
    let p = unsafe { &mut *caller(user) };
    p.writing = false;
    data.len() as i64
}

/// The file that is written to.
fn written(c: &Call<'_>, node: usize) -> usize {
    match c.w.in_turn() {
        Some([newer, older]) if node == older && c.w.lies(Lie::NewerWritten) => newer,
        _ => node,
    }
}

/// The first half of a state's file, where others may write before the second is read; None when the process is gone.
pub(super) unsafe fn first_half(user: User, fd: i32, len: usize, offset: u64) -> Option<Vec<u8>> {
    let (w, p) = unsafe { look(user) };
    if !(w.halves && p.loading && len > HEADER && offset == 0 && node_of(w, p, fd).is_some_and(|node| is_state(w, node))) {
        return Some(Vec::new());
    }
    let c = unsafe { begin(user, SHARED) }?;
    let Ok(node) = c.node(fd) else { return Some(Vec::new()) };
    let file = c.w.fs.file(node);
    c.p.history = mix(c.p.history, file.content.hash());
    Some(file.bytes()[..file.len() / 2].to_vec())
}

/// What a kernel that lies shows of a file; None: what it holds.
pub(super) fn shown(c: &mut Call<'_>, node: usize, offset: u64, len: usize) -> Option<Vec<u8>> {
    if c.p.loading && c.w.lies(Lie::Unchanging) {
        let seen = |seen: &&(usize, u64, usize, Vec<u8>)| (seen.0, seen.1, seen.2) == (node, offset, len);
        if let Some((_, _, _, bytes)) = c.p.seen.iter().find(seen) {
            return Some(bytes.clone());
        }
        let bytes = c.w.fs.file(node).bytes();
        let bytes = bytes.get(offset as usize..).unwrap_or_default();
        let bytes = bytes[..bytes.len().min(len)].to_vec();
        c.p.seen.push((node, offset, len, bytes));
    }
    let verifies = !c.p.loading && len > HEADER && c.w.lies(Lie::Intended);
    let intended = c.w.fs.file(node).intended.as_ref().filter(|_| verifies)?;
    Some(intended.bytes().get(offset as usize..).unwrap_or_default().to_vec())
}

/// The node on which the flock of a state's file hangs.
pub(super) fn flocked(w: &World, node: usize) -> usize {
    match w.in_turn() {
        Some([newer, older]) if node == newer && w.lies(Lie::OlderFlocked) => older,
        _ => node,
    }
}

/// Is it the state, or the one before it?
pub(super) fn is_state(w: &World, node: usize) -> bool {
    w.fs.holds_states && !w.fs.file(node).fresh
}
