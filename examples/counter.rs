//! A counter that several processes raise at once, without a lock: none of them is lost.
//!
//!     cargo run --example counter -- counter.state

use std::error::Error;
use steadfast::State;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "counter.state".into());
    let mut count = 0;
    let saved = State::new(path).try_update(|old| {
        let old = old.map_or(Ok("0"), |old| std::str::from_utf8(old))?;
        count = old.parse::<u64>()?.checked_add(1).ok_or("the counter is full")?;
        Ok::<_, Box<dyn Error>>(Some(count.to_string()))
    })?;
    saved.map(|saved| saved.durable()).transpose()?;
    println!("{count}");
    Ok(())
}
