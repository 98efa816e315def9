//! What makes a file durable, read off the calls that were made.

use crate::exempt::unsupported;
use crate::fault::{Made, Run};
use crate::scenario::Scenario;
use libc::*;

/// Is the file of `ino` on the disk under this name, for all that its calls say?
pub fn durable(run: &Run, name: &str, ino: u64) -> Result<(), String> {
    let of = |made: &Made| made.file.is_some_and(|(file, _)| file == ino);
    let failed = |made: &Made| made.failed.is_some_and(|errno| errno != EINTR);
    let is = |made: &Made, numbers: &[i64]| numbers.contains(&made.number);
    let base = name.rsplit('/').next().expect("a name");
    let calls = &run.calls;
    let sync = |made: &Made| is(made, &[SYS_fsync, SYS_fdatasync, SYS_syncfs]);
    if calls.iter().any(|made| is(made, &[SYS_fsync, SYS_fdatasync]) && of(made) && failed(made)) {
        return Err("a file whose fsync failed was published as durable".into());
    }
    // What is not to be had there has synced nothing, and harmed nothing: another sync has to come.
    let broke = |made: &Made| failed(made) && !made.failed.is_some_and(unsupported);
    let waited = |made: &Made| is(made, &[SYS_sync_file_range]) && made.args[3] != u64::from(SYNC_FILE_RANGE_WRITE) && of(made);
    if let Some(at) = calls.iter().position(|made| broke(made) && (is(made, &[SYS_syncfs]) || waited(made)))
        && calls[..at].iter().any(|made| is(made, &[SYS_write]) && of(made))
    {
        return Err("a file that was there when a common sync failed was published as durable".into());
    }
    let changes = [SYS_write, SYS_pwrite64, SYS_ftruncate, SYS_fallocate, SYS_fchmod, SYS_fchown];
    let written = calls.iter().rposition(|made| is(made, &changes) && of(made) && made.failed.is_none());
    let written = written.ok_or("the file there was not written by this call")?;
    let covers = |made: &Made| sync(made) && made.failed.is_none() && (of(made) || made.number == SYS_syncfs);
    let synced = calls.iter().skip(written).position(covers).ok_or("not synced after its last change")? + written;
    let named = |made: &Made| {
        is(made, &[SYS_renameat, SYS_renameat2, SYS_linkat])
            && made.failed.is_none()
            && (made.second == base || made.second == name)
    };
    let renamed = calls.iter().rposition(named).ok_or("never renamed")?;
    if renamed < synced {
        return Err("renamed before it was synced".into());
    }
    let directory =
        |made: &&Made| sync(made) && (made.number == SYS_syncfs || made.file.is_some_and(|(_, kind)| kind == S_IFDIR));
    let after: Vec<&Made> = calls.iter().skip(renamed).filter(directory).collect();
    if after.is_empty() || after.iter().any(|made| failed(made)) {
        return Err("the directory was not synced after the rename".into());
    }
    let made = calls.iter().filter(|made| made.number == SYS_mkdirat && made.failed.is_none()).count();
    let parents = calls.iter().take(renamed).filter(directory).filter(|made| made.failed.is_none()).count();
    if made > 0 && parents < 2 {
        return Err("a parent directory was not synced".into());
    }
    Ok(())
}

/// Was the file of `ino` written in place so that a crash left it or the copy at PATH.prev, and is it on the disk now?
pub fn durable_in_place(scenario: &Scenario, run: &Run, ino: u64) -> Result<(), String> {
    let calls = &run.calls;
    let of = |made: &Made, ino: u64| made.file.is_some_and(|(file, _)| file == ino);
    let done = |made: &Made, numbers: &[i64]| numbers.contains(&made.number) && made.done();
    let content = [SYS_write, SYS_pwrite64, SYS_ftruncate];
    let changes = [SYS_write, SYS_pwrite64, SYS_ftruncate, SYS_fchmod, SYS_fchown, SYS_fsetxattr];
    let synced = |made: &Made, ino: u64| made.number == SYS_fsync && made.failed.is_none() && of(made, ino);
    let first = calls.iter().position(|made| done(made, &content) && of(made, ino)).ok_or("the file was not written")?;
    let before = &calls[..first];
    let copy = run.at_end.get("state.prev").map_or(0, |file| file.ino);
    let copied = before.iter().rposition(|made| done(made, &changes) && of(made, copy)).ok_or("no copy was made before")?;
    let kept = before.iter().skip(copied).position(|made| synced(made, copy)).ok_or("the copy was not synced before")? + copied;
    // PATH.prev is written in place as well where no other file can get its name.
    let opened = |made: &Made| done(made, &[SYS_openat]) && made.path.ends_with(".prev") && made.args[2] as i32 & O_RDWR != 0;
    if !before.iter().any(opened) {
        let named = |made: &Made| done(made, &[SYS_renameat]) && made.second.ends_with(".prev");
        let named = before.iter().skip(kept).position(named).ok_or("the copy was not named after its sync")? + kept;
        let directory = |made: &Made| done(made, &[SYS_fsync]) && made.file.is_some_and(|(_, kind)| kind == S_IFDIR);
        before.iter().skip(named).find(|made| directory(made)).ok_or("the copy's name was not synced before")?;
    }
    if scenario.plain() {
        let marked = |made: &Made| done(made, &[SYS_fsetxattr]) && of(made, ino);
        let marked = before.iter().position(marked).ok_or("the file was not marked before")?;
        before.iter().skip(marked).find(|made| synced(made, ino)).ok_or("the mark was not synced before")?;
    }
    let last = calls.iter().rposition(|made| done(made, &changes) && of(made, ino)).unwrap_or(first);
    calls.iter().skip(last).find(|made| synced(made, ino)).ok_or("not synced after its last change")?;
    Ok(())
}
