//! A long computation that goes on where it stopped: its checkpoint is written and read piece by piece.
//!
//!     cargo run --example checkpoint -- primes.state 1000000
#![allow(clippy::arithmetic_side_effects)]

use std::error::Error;
use std::io::{BufReader, BufWriter, Read, Write};
use steadfast::State;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let state = State::new(arguments.next().unwrap_or_else(|| "primes.state".into())).keep_previous(true).recover(true);
    let until: u64 = arguments.next().map_or(Ok(100_000), |number| number.parse())?;

    // Every byte of it is verified, also if it is longer than the memory.
    let mut primes = Vec::new();
    if let Some(reader) = state.reader()? {
        let mut reader = BufReader::new(reader);
        let mut number = [0; 8];
        while reader.read_exact(&mut number).is_ok() {
            primes.push(u64::from_le_bytes(number));
        }
    }
    let known = primes.len();
    let first = primes.last().map_or(2, |last| last + 1);
    for number in first..=until {
        if primes.iter().take_while(|&&prime| prime * prime <= number).all(|prime| number % prime != 0) {
            primes.push(number);
        }
    }

    // Nothing is seen of it before the commit. A process that is killed on the way leaves the old checkpoint.
    let mut writer = BufWriter::with_capacity(1 << 16, state.writer()?);
    for prime in &primes {
        writer.write_all(&prime.to_le_bytes())?;
    }
    writer.into_inner().map_err(|error| error.into_error())?.commit()?.durable()?;
    println!("{} primes up to {until}, {known} of them from the checkpoint", primes.len());
    Ok(())
}
