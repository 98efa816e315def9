//! A disk that remembers: a FUSE file under a loop device, with a log of its writes, flushes and markers.

pub mod client;
pub mod loopdev;
pub mod pages;
pub mod server;

/// An entry of the log, as the client sees it.
#[derive(Clone, Debug)]
pub enum Entry {
    Write { offset: u64, len: u32 },
    Flush,
    Mark(Vec<u8>),
}

/// A part of a logged write: `sectors` sectors from sector `first` on.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    pub entry: u32,
    pub first: u32,
    pub sectors: u32,
}

/// Sectors as the loop device has them.
pub const SECTOR: u64 = 512;
