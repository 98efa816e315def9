//! A second file with the content of a state, and what verifies it.
#![forbid(unsafe_code)]

use super::existing::Existing;
use super::plain::{self, Attribute, Stored};
use crate::file::entry::Entry;
use crate::file::ownership::{self, Asked};
use crate::file::temp::Temp;
use crate::hooks::*;
use crate::status::*;

const STEP: i32 = STEADFAST_STEP_KEEP_PREVIOUS;

/// A copy has the permissions of what it copies.
const AS_BEFORE: Asked = Asked { mode: 0, always: false };

/// What a content that nothing confirms becomes: a plain file of this generation.
#[derive(Clone, Copy)]
pub struct Adopted {
    pub generation: u64,
    /// Is a copy without the attribute for that of no use?
    pub needs_attribute: bool,
}

/// Writes the content of `there` to the descriptor `to`, at its position, and the attribute that it has or is to have.
pub fn fill(there: &Existing<'_>, to: i32, adopted: Option<Adopted>) -> Result<(), Outcome> {
    let hooks = there.hooks();
    let mut hasher = plain::hasher();
    let copied = there.pieces(|_, bytes| {
        hasher.update(bytes);
        hooks.write_all(to, &[bytes]).map(|()| true)
    });
    let len = copied.at(STEP)?;
    let attribute = match adopted {
        Some(Adopted { generation, .. }) => {
            Attribute { sha256: hasher.finish(), generation, len, flags: 0, mtime_ns: 0, schema: 0 }
        }
        None => match Stored::read(hooks, there.fd()).at(STEP)? {
            // One that somebody's change has made untrue says nothing of the copy.
            Stored::Ours(attribute) if attribute.fits(&there.stat) => attribute,
            _ => return Ok(()),
        },
    };
    let mtime_ns = hooks.fstat(to).at(STEP)?.mtime_ns;
    let attribute = Attribute { mtime_ns, ..attribute };
    match attribute.write(hooks, to).at(STEP)? {
        // Without it no load verifies the copy.
        Err(e) if adopted.is_none_or(|adopted| adopted.needs_attribute) => {
            Err(Outcome::because(STEADFAST_E_UNSUPPORTED, Detail::AttributeNeeded).caused_by(e, STEP))
        }
        _ => Ok(()),
    }
}

/// Gives the name `to` to a file with the content and the permissions of `there`: `copy`, a temporary one, synced if that is
/// wanted. The answer: its stat; None, and no copy, when it cannot be synced here.
pub fn publish(
    there: &Existing<'_>,
    copy: Temp<'_>,
    to: Entry<'_, '_>,
    adopted: Option<Adopted>,
    sync: bool,
) -> Result<Option<steadfast_stat>, Outcome> {
    let (hooks, fd, mut copy) = (there.hooks(), copy.fd.raw(), copy);
    fill(there, fd, adopted)?;
    let mark = there.stat.mode & ownership::UNSYNCED;
    ownership::give(hooks, fd, &copy.stat, Some(&there.replaced()), AS_BEFORE, mark).at(STEP)?;
    match if sync { hooks.fsync(fd) } else { Ok(()) } {
        Ok(()) => {}
        Err(e) if e.unsupported() => return Ok(None),
        Err(e) => return Err(Outcome::failed(e, STEP)),
    }
    copy.entry().rename_file_to(&to, &copy.stat, 0).at(STEP)?;
    copy.published();
    Ok(Some(copy.stat))
}
