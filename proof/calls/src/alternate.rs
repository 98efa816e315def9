//! What must hold of a save of an alternating state: PATH and PATH.prev take turns, and the newer one is the state.

use crate::durable;
use crate::exempt::unsupported;
use crate::fault::{Made, Run};
use crate::scenario::Scenario;
use crate::tree::{self, File, Tree};
use libc::*;

/// Is the new state there? The one that was there is there still, byte for byte, at one of the two names.
pub fn is_new(scenario: &Scenario, run: &Run, after: &Tree) -> Result<bool, String> {
    let before = &scenario.before;
    let name = tree::newest(before, scenario.target);
    let Some(old) = before.get(&name) else { return Ok(after.contains_key(scenario.target)) };
    let previous = format!("{}.prev", scenario.target);
    let mut both = [scenario.target, &previous].into_iter().filter_map(|name| after.get(name));
    // What a first save of the same process has put into its place is as good.
    let again = scenario.operation.ends_with("again");
    let is_there = both.any(|file| file.bytes == old.bytes || again && tree::content(file) == Some((8, b'7')));
    if !is_there && !is_denied(run) {
        return Err("the state that was there is gone".into());
    }
    let number = |file: &File| tree::content(file).map_or(0, |(number, _)| number);
    let last = if again { 8 } else { number(old) };
    let now = after.get(&tree::newest(after, scenario.target)).and_then(tree::content);
    match now {
        Some((number, b'n')) if number == last + 1 => Ok(true),
        Some((number, b'n')) if number > last && is_denied(run) => Ok(true),
        Some((number, _)) if number == last => Ok(false),
        other => Err(format!("neither the old state nor the new one: {other:?}")),
    }
}

/// Has the kernel said that one of the two files is not there? Then it has been taken for a missing one.
pub fn is_denied(run: &Run) -> bool {
    let denied = |made: &Made| [SYS_openat, SYS_statx].contains(&made.number) && made.failed == Some(ENOENT);
    run.calls.iter().any(|made| denied(made) && (made.path.starts_with("state") || made.path == "."))
}

/// Is the file of `ino`, which has the name `name`, on the disk with it? By one write that is synced by the same call, after a sync of
/// the directory if these are not known to be the two; or in the ordinary way.
pub fn durable(scenario: &Scenario, run: &Run, name: &str, ino: u64) -> Result<(), String> {
    let of = |made: &Made| made.file.is_some_and(|(file, _)| file == ino);
    let is = |made: &Made, numbers: &[i64]| numbers.contains(&made.number) && of(made);
    let calls = &run.calls;
    let broken = |made: &Made| made.short && made.durable || made.failed.is_some_and(|errno| errno != EINTR || made.durable);
    if calls.iter().any(|made| is(made, &[SYS_pwrite64, SYS_fsync, SYS_fdatasync]) && broken(made)) {
        return Err("a file was published as durable whose write or sync had failed".into());
    }
    let writes = |made: &Made| is(made, &[SYS_write, SYS_pwrite64]);
    let written = calls.iter().rposition(writes).ok_or("the file there was not written by this call")?;
    let moved = |made: &Made| [SYS_renameat, SYS_renameat2].contains(&made.number) && made.second.starts_with("state");
    if calls[written..].iter().any(|made| moved(made) && made.second == name) {
        return durable::durable(run, name, ino);
    }
    // Of a batch write and sync are two calls, which its header says.
    let later = |made: &Made| is(made, &[SYS_fsync, SYS_fdatasync]) || made.number == SYS_syncfs && made.failed.is_none();
    if !(calls[written].durable || scenario.batch() && calls[written..].iter().any(later)) {
        return Err("written in place, and not synced".into());
    }
    let synced = |made: &Made| made.number == SYS_fsync && made.file.is_some_and(|(_, kind)| kind == S_IFDIR);
    let named = calls[..written].iter().any(|made| synced(made) && made.failed.is_none());
    if !named && !scenario.operation.ends_with("again") {
        return Err("written in place, and nothing says that the names of the two are on the disk".into());
    }
    if calls[written..].iter().any(moved) {
        return Err("written in place, and then replaced".into());
    }
    if calls.iter().filter(|made| writes(made)).count() > 1 && calls[written].durable {
        return Err("written in place by more than one call".into());
    }
    Ok(())
}

/// Which failed calls need not be told: the save is then an ordinary one, or has another file.
pub fn goes_on(made: &Made) -> bool {
    let directory = made.file.is_some_and(|(_, kind)| kind == S_IFDIR);
    match made.number {
        // The slot may not be opened for writing; the file is spent, and another one takes its name.
        SYS_openat => made.args[2] as i32 & (O_ACCMODE | O_CREAT) == O_RDWR,
        SYS_pwrite64 | SYS_fdatasync => true,
        // The names may not be on the disk.
        SYS_fsync => directory,
        // Is the file system known to do it well?
        SYS_fstatfs => true,
        SYS_fgetxattr => made.failed.is_some_and(unsupported),
        _ => false,
    }
}
