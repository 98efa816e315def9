//! A second file with the content of a state, and what verifies it.
#![forbid(unsafe_code)]

use super::existing::Existing;
use super::plain::{self, Attribute, Stored};
use crate::status::*;

const STEP: i32 = STEADFAST_STEP_KEEP_PREVIOUS;

/// Writes the content of `there` to the descriptor `to`, at its position, and the attribute that it has. With a `number` it
/// becomes a plain file of that generation: then it has to have an attribute.
pub fn fill(there: &Existing<'_>, to: i32, number: Option<u64>) -> Result<(), Outcome> {
    let hooks = there.hooks();
    let mut piece = [0u8; 8192];
    let mut len = 0u64;
    let mut hasher = plain::hasher();
    loop {
        let bytes = hooks.pread(there.fd(), &mut piece, len).at(STEP)?;
        if bytes.is_empty() {
            break;
        }
        hasher.update(bytes);
        hooks.write_all(to, &[bytes]).at(STEP)?;
        len = len.saturating_add(bytes.len() as u64);
    }
    let attribute = match number {
        Some(generation) => Attribute { sha256: hasher.finish(), generation, len, flags: 0, mtime_ns: 0, schema: 0 },
        None => match Stored::read(hooks, there.fd()).at(STEP)? {
            // One that somebody's change has made untrue says nothing of the copy.
            Stored::Ours(attribute) if attribute.fits(&there.stat) => attribute,
            _ => return Ok(()),
        },
    };
    let mtime_ns = hooks.fstat(to).at(STEP)?.mtime_ns;
    let stored = Attribute { mtime_ns, ..attribute }.write(hooks, to).at(STEP)?;
    match stored {
        Err(e) if number.is_some() => Err(Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::AttributeNeeded).caused_by(e, STEP)),
        _ => Ok(()),
    }
}
