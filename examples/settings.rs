//! A JSON file that people edit as well: it is loaded with serde, changed, and saved only over the content that was loaded.
//!
//!     cargo run --example settings -- settings.json

use serde::{Deserialize, Serialize};
use std::error::Error;
use steadfast::{Condition, State};

#[derive(Serialize, Deserialize, Default)]
struct Settings {
    starts: u64,
    #[serde(default)]
    names: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "settings.json".into());
    // Other programs read the file: it has no header. `keep_previous` and `recover` survive its damage.
    let file = State::plain(path).mode(0o644).keep_previous(true).recover(true);
    let mut edited = false;
    let saved = file.try_update(|old| {
        let mut settings: Settings = old.map_or_else(|| Ok(Settings::default()), |old| serde_json::from_slice(old))?;
        edited = old.is_some_and(|old| matches!(old.condition(), Condition::Changed | Condition::Unverified));
        settings.starts = settings.starts.saturating_add(1);
        Ok::<_, Box<dyn Error>>(Some(serde_json::to_string_pretty(&settings)? + "\n"))
    })?;
    saved.map(|saved| saved.durable()).transpose()?;
    println!("{}", if edited { "somebody has edited it" } else { "as it was saved" });
    Ok(())
}
