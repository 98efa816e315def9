//! Where to save: the directory, and what is under the name.
#![forbid(unsafe_code)]

use super::current::Current;
use super::save::*;
use crate::hooks::*;
use crate::path::{PATH_MAX, Path, Text};
use crate::status::*;

/// The longest chain of links followed, as in the kernel (path_resolution(7)).
const LINKS: u32 = 40;

/// Steps 1 and 2: the directory first, then what is there. The answer: why a parent directory that we made is not
/// durable.
pub fn open<'h>(
    dir: &mut Fd<'h>,
    current: &mut Current<'h>,
    path: &mut Path,
    request: &Request<'_>,
) -> Result<Option<Errno>, Outcome> {
    let hooks = dir.hooks();
    let mut unsynced_parent = None;
    for _ in 0..LINKS {
        let opened = match open_directory(hooks, path) {
            Err(e) if e.is(ENOENT) && request.has(STEADFAST_SAVE_CREATE_PARENTS) => {
                unsynced_parent = make_parents(hooks, path, request)?;
                open_directory(hooks, path)
            }
            other => other,
        };
        *dir = opened.at(STEADFAST_STEP_OPEN_DIRECTORY)?;
        match current.open(dir.raw(), path.name()) {
            Err(outcome) if outcome.status() == STEADFAST_E_SYMLINK && request.has(STEADFAST_SAVE_FOLLOW_SYMLINK) => {
                follow(hooks, dir.raw(), path)?;
            }
            opened => return opened.map(|()| unsynced_parent),
        }
    }
    Err(Outcome::failed(Errno::of(ELOOP), STEADFAST_STEP_READ_LINK))
}

/// Goes where the symbolic link at `path` leads.
pub fn follow(hooks: &Hooks, dir: i32, path: &mut Path) -> Result<(), Outcome> {
    let mut buf = [0u8; PATH_MAX];
    let link = hooks.readlink(dir, path.name(), &mut buf).at(STEADFAST_STEP_READ_LINK)?;
    path.follow(link).at(STEADFAST_STEP_READ_LINK)
}

fn open_directory<'h>(hooks: &'h Hooks, path: &Path) -> Result<Fd<'h>, Errno> {
    hooks.open_directory(path.directory(), 0)
}

/// Makes every missing directory on the way, syncing the parent of each. An unsynced parent is a reservation,
/// with STRICT an error.
fn make_parents(hooks: &Hooks, path: &Path, request: &Request<'_>) -> Result<Option<Errno>, Outcome> {
    const STEP: i32 = STEADFAST_STEP_MAKE_PARENT;
    let whole = path.directory().to_bytes();
    let mut unsynced = None;
    let ends = whole.iter().enumerate().filter(|&(at, &byte)| byte == b'/' && at > 0).map(|(at, _)| at).chain([whole.len()]);
    for end in ends {
        let mut directory = Text::<PATH_MAX>::empty();
        directory.set(&[whole.get(..end).unwrap_or_default()]).at(STEP)?;
        match hooks.mkdir(directory.c_str(), 0o777) {
            Ok(()) => {}
            Err(e) if e.is(EEXIST) || e.is(EISDIR) => continue,
            // A parent that we may not write to, on the way: mkdir says so before it says that it is there.
            Err(e)
                if (e.is(EACCES) || e.is(EROFS))
                    && hooks.fstatat(AT_FDCWD, directory.c_str(), &mut steadfast_stat::default()).is_ok() =>
            {
                continue;
            }
            Err(e) => return Err(Outcome::failed(e, STEP)),
        }
        if request.has(STEADFAST_SAVE_NO_SYNC) || hooks.absent(STEADFAST_ABSENT_DIR_FSYNC) {
            continue;
        }
        let mut made = Path::empty();
        let synced = made.set(directory.bytes()).and_then(|()| {
            let parent = hooks.openat(AT_FDCWD, made.directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0)?;
            hooks.fsync(parent.raw())
        });
        if let Err(e) = synced {
            if request.has(STEADFAST_SAVE_STRICT) {
                return Err(Outcome::new(STEADFAST_E_NOT_SAVED_DURABLY).caused_by(e, STEP));
            }
            unsynced = Some(e);
        }
    }
    Ok(unsynced)
}
