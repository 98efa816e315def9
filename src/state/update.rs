//! Changing a state by what it is: load, change, and save if nobody has saved meanwhile; otherwise again.

use super::load;
use super::loaded::{Loaded, Room};
use super::options::*;
use super::resolve::Session;
use super::sequence;
use crate::file::base::Start;
use crate::file::deadline::Retry;
use crate::file::path::Path;
use crate::hooks::*;
use crate::status::*;
use core::ffi::CStr;

/// Makes the new payload of the old state and of the memory that has its record. None leaves the state as it is.
pub type Change<'c, D> = dyn FnMut(Option<(Loaded, Buffer)>) -> Result<Option<D>, Outcome> + 'c;

/// Loads the state at `path`, calls `change` with it, and saves what that returns, unless another process has saved meanwhile:
/// then it does so again. `start` says where a relative path begins.
pub fn update<'h, D: AsRef<[u8]>>(
    start: impl Fn() -> Result<Start<'h>, Outcome>,
    whole: &CStr,
    loading: &LoadRequest,
    saving: &SaveRequest<'_>,
    change: &mut Change<'_, D>,
) -> Result<Outcome, Outcome> {
    if (loading.kind() == Kind::Plain) != (saving.kind() == Kind::Plain) {
        return Err(Outcome::invalid(Detail::PlainAlone));
    }
    let mut retry = Retry::new(saving.timeout_ms);
    loop {
        let mut room = Room { memory: Buffer::none(), given: false, needed: 0 };
        let old = match load::load(&start()?, whole, loading, &mut room) {
            Ok((loaded, _)) => Some(loaded),
            Err(e) if e.status == Errno::of(ENOENT).code() => None,
            Err(e) => return Err(e),
        };
        let generation = old.as_ref().map_or(0, |old| old.fields.generation);
        if old.is_some() && generation == 0 {
            // It cannot be told from none.
            return Err(Outcome::new(STEADFAST_E_FORMAT));
        }
        let sha256 = old.as_ref().map(|old| old.sha256);
        let changed = change(old.map(|old| (old, room.memory))).map_err(|outcome| outcome.with_generation(generation))?;
        let Some(data) = changed else { return Ok(Outcome::new(STEADFAST_OK).with_generation(generation)) };
        let flags = saving.flags | STEADFAST_SAVE_IF_GENERATION;
        let request =
            SaveRequest { data: data.as_ref(), flags, expected_generation: generation, expected_sha256: sha256, ..*saving };
        let mut path = Path::empty();
        path.parse(whole.to_bytes())?;
        request.check_name(path.name())?;
        let start = start()?;
        let hooks = start.hooks();
        let saved = sequence::save(&mut Session::new(start, saving.timeout_ms), &mut path, &request);
        let moved = saved.is_err_and(|outcome| outcome.status == STEADFAST_E_CONFLICT);
        if !moved || !retry.sleep(hooks).at(STEADFAST_STEP_WAIT)? {
            return saved;
        }
    }
}
