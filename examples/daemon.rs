//! A daemon of which there is one: it holds a lock, applies each new configuration, and ends when the lock is taken away.
//!
//!     cargo run --example daemon -- daemon.lock config.state

use std::error::Error;
use std::io::Write;
use std::time::Duration;
use steadfast::{ErrorKind, Lock, State};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let lock = arguments.next().unwrap_or_else(|| "daemon.lock".into());
    let config = State::new(arguments.next().unwrap_or_else(|| "config.state".into()));
    // A second one gives up after a second. If this one is killed, the next one takes the lock over.
    let lock = match Lock::acquire(lock, Some(Duration::from_secs(1))) {
        Ok(lock) => lock,
        Err(error) if error.kind() == ErrorKind::Locked => {
            println!("runs already, as process {}", error.pid().unwrap_or_default());
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let mut watch = config.watch()?;
    loop {
        if let Some(generation) = watch.wait(Some(Duration::from_secs(10)))? {
            let text = config.load()?.map(|loaded| String::from_utf8_lossy(&loaded).into_owned());
            println!("generation {generation}: {}", text.as_deref().unwrap_or("no configuration"));
            std::io::stdout().flush()?;
            if text.as_deref() == Some("stop") {
                break;
            }
        }
        lock.check()?;
    }
    lock.release()?;
    Ok(())
}
