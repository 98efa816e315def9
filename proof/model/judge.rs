//! Each crash state made real, then read by the real loader and cleaned by the real cleaner; then the next
//! save and the next lock must succeed.

use super::states::{State, Tree};
use super::trace::Context;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use steadfast::ffi::context::steadfast_context;
use steadfast::ffi::load::*;
use steadfast::ffi::lock::*;
use steadfast::ffi::save::*;
use steadfast::status::{STEADFAST_CHANGED, STEADFAST_LOCK_HELD, STEADFAST_RECOVERED};

/// Half of what a call waits for others: where nobody is there, none does.
const TOO_LONG: Duration = Duration::from_secs(5);

pub const RECOVER: u32 = 1 << 0;
pub const LOAD_PLAIN: u32 = 1 << 2;

/// A directory of its own, on tmpfs if there is one, removed when dropped.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let base = if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
        let path = base.join(format!("steadfast-model-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// From here on the contents are longer, for a thousand numbers.
pub const LONG: u64 = 1000;

/// The content of save number `n`: longer than the first part of its write.
pub fn payload(n: u64) -> Vec<u8> {
    // The longest are so long that a file of that length is not overwritten by a short one.
    let times = match n / LONG % 4 {
        1 => 400,
        3 => 1200,
        _ => 64,
    };
    format!("version {n} ").into_bytes().repeat(times)
}

pub fn version(data: &[u8]) -> Option<u64> {
    let n = std::str::from_utf8(data).ok()?.split(' ').nth(1)?.parse().ok()?;
    (payload(n) == data).then_some(n)
}

pub fn save(context: *const steadfast_context, path: &Path, n: u64, flags: u32, generation: u64) -> i32 {
    let data = payload(n);
    let mut options: steadfast_save_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_save_options>();
    options.flags = flags;
    options.expected_generation = generation;
    unsafe { steadfast_state_save(context, c_path(path).as_ptr(), data.as_ptr().cast(), data.len(), &options, null_mut()) }
}

/// The version and generation that a load gives, or the code.
pub fn load(path: &Path, flags: u32) -> Result<(u64, u64), i32> {
    load_with_status(path, flags).1
}

/// The same, and the status.
pub fn load_with_status(path: &Path, flags: u32) -> (i32, Result<(u64, u64), i32>) {
    load_by(null(), path, flags)
}

/// The same with a context.
pub fn load_by(context: *const steadfast_context, path: &Path, flags: u32) -> (i32, Result<(u64, u64), i32>) {
    let mut options: steadfast_load_options = unsafe { std::mem::zeroed() };
    options.size = size_of::<steadfast_load_options>();
    options.flags = flags;
    let mut state: steadfast_state = unsafe { std::mem::zeroed() };
    state.size = size_of::<steadfast_state>();
    let code = unsafe { steadfast_state_load(context, c_path(path).as_ptr(), &options, &mut state, null_mut()) };
    if code < 0 {
        return (code, Err(code));
    }
    // What nothing confirms is handed out as well.
    if code != 0 && code != STEADFAST_RECOVERED {
        unsafe { steadfast_state_free(&mut state) };
        return (code, Err(code));
    }
    let data = unsafe { std::slice::from_raw_parts(state.data.cast::<u8>(), state.len) };
    let found = version(data).ok_or(i32::MIN);
    let generation = state.generation;
    unsafe { steadfast_state_free(&mut state) };
    (code, found.map(|n| (n, generation)))
}

/// Makes the files of a crash state.
pub fn materialize(root: &Path, tree: &Tree) {
    for (name, file) in tree {
        let path = root.join(std::ffi::OsStr::from_bytes(name));
        let Some(file) = file else {
            std::fs::create_dir(&path).unwrap();
            continue;
        };
        std::fs::write(&path, &file.content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(file.mode)).unwrap();
        if let Some(value) = &file.xattr {
            set_attribute(&path, value, file.mtime);
        }
    }
}

fn set_attribute(path: &Path, value: &[u8], mtime: (i64, i64)) {
    let path = c_path(path);
    let time = libc::timespec { tv_sec: mtime.0, tv_nsec: mtime.1 };
    unsafe {
        libc::setxattr(path.as_ptr(), c"user.steadfast".as_ptr(), value.as_ptr().cast(), value.len(), 0);
        libc::utimensat(libc::AT_FDCWD, path.as_ptr(), [time, time].as_ptr(), 0);
    }
}

/// The attribute of a plain file, whose last write was at `seconds`.
pub fn put_attribute(path: &Path, value: &[u8], seconds: i64) {
    set_attribute(path, value, (seconds, 0));
}

fn names(root: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// After the power cut: not older than what was acknowledged, whole, readable; and life goes on.
pub fn check_state(state: &State, below: &str, flags: u32, absent: u32) -> Result<(), String> {
    let scratch = Scratch::new();
    materialize(&scratch.0, &state.tree);
    let path = scratch.0.join(below);
    let shown = || {
        format!(
            "{:?}, acknowledged {}",
            state.tree.keys().map(|k| String::from_utf8_lossy(k)).collect::<Vec<_>>(),
            state.acknowledged
        )
    };
    let begun = Instant::now();
    let mut generation = 0;
    let kind = if flags & super::PLAIN != 0 { LOAD_PLAIN } else { 0 };
    for recover in [0, RECOVER] {
        match load(&path, recover | kind) {
            Ok((n, g)) if n >= state.acknowledged && n <= state.begun => generation = g,
            Ok((n, _)) => return Err(format!("load (flags {recover}) gives version {n}: {}", shown())),
            Err(code) if code == -libc::ENOENT && state.acknowledged == 0 => {}
            // Nobody has changed it.
            Err(STEADFAST_CHANGED) => return Err(format!("load (flags {recover}) says CHANGED: {}", shown())),
            Err(_) if state.reserved && (recover == 0 || state.acknowledged == 0) => {}
            Err(code) => return Err(format!("load (flags {recover}) returns {code}: {}", shown())),
        }
    }
    let next = state.begun + 1;
    let context = Context::real(absent);
    let code = save(context.0, &path, next, flags, if flags & super::IF_GENERATION != 0 { generation } else { 0 });
    if code != 0 {
        return Err(format!("the next save returns {code}: {}", shown()));
    }
    if begun.elapsed() > TOO_LONG {
        return Err(format!("nobody is there, and a load or a save waits: {}", shown()));
    }
    // Beside what may have been the newer one of an alternating state's two files the clock counts.
    let may_jump = state.reserved || flags & super::ALTERNATE != 0;
    match load(&path, kind) {
        Ok((n, g)) if n == next && (g == generation + 1 || may_jump && g > generation) => {}
        other => return Err(format!("after the next save, load gives {other:?}: {}", shown())),
    }
    let litter = || names(path.parent().unwrap()).into_iter().find(|n| n != "state" && n != "state.prev");
    let alternates = flags & super::ALTERNATE != 0;
    match litter() {
        None => return Ok(()),
        // A save in place has no need of the names that a killed one left.
        Some(_) if alternates => {}
        // The name by which the previous generation was on its way, when the disk lost the temporary file that it
        // goes with: the next save that finds a whole state to keep removes it.
        Some(other) if other.ends_with(".prev.tmp") => {}
        Some(other) => return Err(format!("{other} is left after the next save: {}", shown())),
    }
    // Where PATH.prev is the state, a first ordinary save leaves it there, and only a second one makes another.
    let ordinary = if alternates { vec![super::KEEP_PREVIOUS; 2] } else { vec![flags & !super::IF_GENERATION] };
    for flags in ordinary {
        save(context.0, &path, next + 1, flags, 0);
    }
    match litter() {
        None => Ok(()),
        Some(other) => Err(format!("{other} is left after two more saves: {}", shown())),
    }
}

/// After the power cut everyone who held a lock is dead: whatever is there must be cleaned or be gone.
pub fn check_lock(state: &State, absent: u32) -> Result<(), String> {
    let scratch = Scratch::new();
    materialize(&scratch.0, &state.tree);
    let path = c_path(&scratch.0.join("lock"));
    let context = Context::real(absent);
    let shown = || format!("{:?}", state.tree.iter().map(|(k, f)| (String::from_utf8_lossy(k), f)).collect::<Vec<_>>());
    let cleaned = unsafe { steadfast_lock_clean_stale(context.0, path.as_ptr(), null(), null_mut()) };
    if !(0..STEADFAST_LOCK_HELD).contains(&cleaned) {
        return Err(format!("clean_stale returns {cleaned}: {}", shown()));
    }
    let _ = std::fs::remove_file(scratch.0.join("lock"));
    materialize(&scratch.0, &state.tree);
    let mut lock = null_mut();
    let taken = unsafe { steadfast_lock_acquire(context.0, path.as_ptr(), 0, null(), &mut lock, null_mut()) };
    if taken != 0 {
        return Err(format!("the next acquire returns {taken}: {}", shown()));
    }
    let released = unsafe { steadfast_lock_release(lock, null_mut()) };
    if released != 0 {
        return Err(format!("the next release returns {released}: {}", shown()));
    }
    match names(&scratch.0).first() {
        Some(other) => Err(format!("{other} is left after the next release: {}", shown())),
        None => Ok(()),
    }
}
