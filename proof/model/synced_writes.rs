//! Writes in place: through a descriptor that was opened with O_DSYNC write and sync are one call, which nobody can be killed
//! within. Through any other they are two moments.

use super::trace::{Event, Mutant, Recorder, identity, real, recorder};
use std::ffi::c_void;
use std::ops::Range;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
/// So many of them are tried in any order.
const MOST_PIECES: usize = 5;

/// How a write through O_DSYNC fails.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Failure {
    /// Everything is written, and the sync fails.
    Sync,
    /// No more than the first sector is written.
    Torn,
}

impl Recorder {
    /// A descriptor is new.
    pub fn opened(&mut self, fd: i32, flags: i32) {
        self.in_place.remove(&fd);
        if flags & libc::O_DSYNC != 0 {
            self.in_place.insert(fd, false);
        }
    }

    /// Is what is written to it synced by the same call?
    pub fn syncs_writes(&self, fd: i32) -> bool {
        self.in_place.contains_key(&fd)
    }

    /// Has somebody opened a file to write it in place, and not written yet?
    pub fn is_about_to_write_in_place(&self) -> bool {
        self.in_place.values().any(|written| !written)
    }

    /// The sync that a mutant makes by another call.
    pub fn sync_what_was_written(&mut self) {
        self.events.extend(self.unsynced.take().map(Event::SyncFile));
    }

    /// A file of `old` is overwritten by `new`.
    fn overwrote(&mut self, file: usize, old: &[u8], new: &[u8]) {
        if new.len() > old.len() {
            self.events.push(Event::Size { file, len: new.len() });
        }
        let part = |piece: Range<usize>| Event::Part { file, at: piece.start, bytes: new[piece].to_vec() };
        self.events.extend(pieces(old, new).into_iter().map(part));
    }

    /// Shows the file as it is when `new` has been written in part: with its first sector, and with all but its first.
    pub fn read_torn(&self, fd: i32, new: &[u8], look: impl Fn()) {
        let old = content(fd);
        for piece in [0..new.len().min(SECTOR), new.len().min(SECTOR)..new.len()] {
            put(fd, &new[piece.clone()], piece.start);
            look();
            put(fd, &old, 0);
            assert_eq!(unsafe { libc::ftruncate(fd, old.len() as i64) }, 0, "a truncation of the recording");
        }
    }

    /// A write through O_DSYNC that fails: what is there is not known to be on the disk, whatever a later sync answers.
    pub fn fail_in_place(&mut self, fd: i32, bytes: &[u8], failure: Failure) {
        let Some(file) = self.file(fd) else { return };
        self.in_place.insert(fd, true);
        let bytes = if failure == Failure::Torn { &bytes[..bytes.len().min(SECTOR)] } else { bytes };
        let old = content(fd);
        put(fd, bytes, 0);
        self.overwrote(file, &old, bytes);
        self.events.push(Event::Lost(file));
    }
}

/// What persists by itself: each sector, but those together that stay the same; of many the ones in the middle together, since
/// all subsets of them are tried.
fn pieces(old: &[u8], new: &[u8]) -> Vec<Range<usize>> {
    let stays = |piece: &Range<usize>| old.get(piece.clone()) == Some(&new[piece.clone()]);
    let mut pieces: Vec<Range<usize>> = vec![];
    for at in (0..new.len()).step_by(SECTOR) {
        let sector = at..new.len().min(at + SECTOR);
        match pieces.last_mut() {
            Some(last) if stays(last) && stays(&sector) => last.end = sector.end,
            _ => pieces.push(sector),
        }
    }
    if pieces.len() > MOST_PIECES {
        let (first, last) = (2, pieces.len() - 2);
        let middle = pieces[first].start..pieces[last - 1].end;
        pieces.splice(first..last, [middle]);
    }
    pieces
}

fn put(fd: i32, bytes: &[u8], at: usize) {
    let written = unsafe { libc::pwrite(fd, bytes.as_ptr().cast(), bytes.len(), at as i64) };
    assert_eq!(written, bytes.len() as isize, "a write of the recording");
}

fn content(fd: i32) -> Vec<u8> {
    let mut content = vec![0u8; identity(fd).0.st_size as usize];
    let got = unsafe { libc::pread(fd, content.as_mut_ptr().cast(), content.len(), 0) };
    assert_eq!(got, content.len() as isize, "a read of the recording");
    content
}

pub unsafe extern "C" fn pwrite(user: *mut c_void, fd: i32, buf: *const c_void, len: usize, offset: u64) -> i64 {
    let r = unsafe { recorder(user) };
    let (Some(file), true, 0) = (r.file(fd), r.syncs_writes(fd), offset) else {
        let written = unsafe { (real().pwrite.unwrap())(user, fd, buf, len, offset) };
        unsafe { r.wrote_to(fd, offset as usize, buf, written) };
        return written;
    };
    let bytes = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
    if r.failing > 0 {
        r.failing -= 1;
        r.fail_in_place(fd, bytes, Failure::Sync);
        return -i64::from(libc::EIO);
    }
    let old = content(fd);
    let written = unsafe { (real().pwrite.unwrap())(user, fd, buf, len, offset) };
    assert_eq!(written, len as i64, "a write of the recording");
    r.in_place.insert(fd, true);
    r.overwrote(file, &old, bytes);
    match r.mutant {
        Mutant::WriteThenSync => r.unsynced = Some(file),
        Mutant::NoFileSync => {}
        _ => r.events.push(Event::SyncFile(file)),
    }
    written
}
