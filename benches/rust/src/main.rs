//! Rust's ways to save a state; the protocol is in ../peers/worker.h. Arguments: tempfile|atomic-write-file DIRECTORY.

use std::io::{Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The recipe of tempfile's documentation, with a sync; the crate itself makes none.
fn with_tempfile(path: &Path, data: &[u8]) -> Result<()> {
    let dir = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(data)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn with_atomic_write_file(path: &Path, data: &[u8]) -> Result<()> {
    let mut file = atomic_write_file::AtomicWriteFile::open(path)?;
    file.write_all(data)?;
    file.commit()
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, way, directory] = &arguments[..] else { return Err(Error::other("rust-peer WAY DIRECTORY")) };
    let save = match way.as_str() {
        "tempfile" => with_tempfile,
        "atomic-write-file" => with_atomic_write_file,
        _ => return Err(Error::other("no such way")),
    };
    let path = PathBuf::from(directory).join(way);
    let (mut data, mut number) = (Vec::new(), 0u64);
    for line in std::io::stdin().lines() {
        let line = line?;
        if line == "check" {
            println!("{}", if std::fs::read(&path)? == data { "ok" } else { "what it reads back is not what it saved" });
            continue;
        }
        let numbers: Vec<usize> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [size, count] = numbers[..] else { return Err(Error::other("the command")) };
        if size != data.len() {
            data = (0..size).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        }
        let mut spent = Duration::ZERO;
        for _ in 0..count {
            number += 1;
            data[..8].copy_from_slice(&number.to_le_bytes());
            let start = Instant::now();
            save(&path, &data)?;
            spent += start.elapsed();
        }
        println!("{}", spent.as_nanos());
    }
    Ok(())
}
