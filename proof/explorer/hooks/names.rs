//! Calls about names.

use super::super::fs::{Links, Name, mix, mix_bytes, name};
use super::files::stat_of;
use super::processes::{is_own_text, proc_file};
use super::*;
use libc::*;
use steadfast::hooks::steadfast_stat;

pub(super) unsafe extern "C" fn openat(user: User, dirfd: i32, path: *const c_char, flags: i32, mode: u32) -> i32 {
    let path = unsafe { bytes(path) };
    let path = path.strip_prefix(b"/d/").unwrap_or(path);
    if path == b"/d" || path == b"." {
        return unsafe { open_directory(user, dirfd, path, flags, mode) };
    }
    let text = String::from_utf8_lossy(path);
    if text.starts_with("/proc/") {
        return unsafe { open_proc(user, &text, flags) };
    }
    let named = name(path);
    // Over FUSE the lock's name is taken by a file that is not there yet: a look of our own routine begins.
    if flags & (O_CREAT | O_RDWR) == O_CREAT | O_RDWR && path == LOCK {
        unsafe { forget(user, &name(b"by name")) };
    }
    let Some(mut c) = (unsafe { begin(user, may_be_taken(user, &named)) }) else { return GONE };
    c.check_directory(dirfd);
    if c.p.inspects {
        c.p.witness = c.w.holder();
    }
    let there = c.w.fs.lookup(&named);
    let node = if flags & O_CREAT != 0 && (flags & O_EXCL != 0 || there.is_none()) {
        let marked = if c.w.lies(Lie::Mark) { 0o1000 } else { 0 };
        let made = c.w.fs.create(c.p.slot, mode | marked, Some(named));
        if let Ok(node) = made {
            c.w.fs.file_mut(node).foreign = flags & O_RDWR == 0;
            let number = c.w.fs.nodes[node].ino;
            c.w.mirror.iter_mut().for_each(|mirror| mirror.made(number));
            c.w.touch(c.p.slot);
        }
        made
    } else {
        there.ok_or(ENOENT)
    };
    let result = node.map(|node| open_node(&mut c, node, flags));
    if let Some(mirror) = &mut c.w.mirror {
        mirror.open(c.p.slot, path, flags, mode, result);
    }
    c.told("openat", || format!("{text}, {flags:o}"), result.map(i64::from)) as i32
}

fn open_node(c: &mut Call<'_>, node: usize, flags: i32) -> i32 {
    let description = c.w.fs.open(node, flags & (O_WRONLY | O_RDWR) != 0);
    let fd = c.p.open(Handle::File(description), flags & O_CLOEXEC != 0);
    c.w.fs.opened[description].keepers.push((c.p.slot, fd.into()));
    fd
}

/// The directory itself, or a nameless file in it.
unsafe fn open_directory(user: User, dirfd: i32, path: &[u8], flags: i32, mode: u32) -> i32 {
    let Some(mut c) = (unsafe { begin(user, PRIVATE) }) else { return GONE };
    if path == b"." {
        c.check_directory(dirfd);
    }
    let nameless = flags & O_TMPFILE == O_TMPFILE;
    if nameless && c.w.fs.links != Links::Together {
        return -EOPNOTSUPP;
    }
    let fd = if nameless {
        let node = c.w.fs.create(c.p.slot, mode, None).unwrap_or(0);
        let number = c.w.fs.nodes[node].ino;
        c.w.mirror.iter_mut().for_each(|mirror| mirror.made(number));
        open_node(&mut c, node, flags)
    } else {
        c.p.open(Handle::Directory, flags & O_CLOEXEC != 0)
    };
    if let Some(mirror) = &mut c.w.mirror {
        mirror.open(c.p.slot, path, flags, mode, Ok(fd));
    }
    c.told("openat", || String::from_utf8_lossy(path).into(), Ok(fd.into())) as i32
}

unsafe fn open_proc(user: User, text: &str, flags: i32) -> i32 {
    let own = is_own_text(text);
    let Some(c) = (unsafe { begin(user, !own) }) else { return GONE };
    let found = proc_file(c.w, c.p, text);
    let result = found.map(|handle| c.p.open(handle, flags & O_CLOEXEC != 0)).ok_or(ENOENT);
    // What a process learns of itself is always the same, and asked only once: no part of its history.
    if own { result.unwrap_or_else(|e| -e) } else { c.told("openat", || text.into(), result.map(i64::from)) as i32 }
}

pub(super) unsafe extern "C" fn fstatat(user: User, dirfd: i32, path: *const c_char, out: *mut steadfast_stat) -> i32 {
    let named = name(unsafe { bytes(path) });
    let Some(mut c) = (unsafe { begin(user, may_be_taken(user, &named)) }) else { return GONE };
    c.check_directory(dirfd);
    let opened = c.p.fds.iter().flatten().rev().find_map(|d| if let Handle::File(at) = d.handle { Some(at) } else { None });
    let opened = opened.map(|description| c.w.fs.opened[description].node);
    let lied = opened.filter(|&node| c.w.lies(Lie::Name) && c.w.fs.file(node).creator != c.p.slot);
    let result = lied.or(c.w.fs.lookup(&named)).ok_or(ENOENT).map(|node| stat_of(&mut c, node));
    if let Ok(stat) = result {
        unsafe { out.write(stat) };
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.fstatat(&named, result);
    }
    c.told("fstatat", || show(&named), result.map(|_| 0)) as i32
}

pub(super) unsafe extern "C" fn renameat(
    user: User,
    dirfd: i32,
    from: *const c_char,
    _: i32,
    to: *const c_char,
    flags: u32,
) -> i32 {
    if unsafe { look(user) }.0.fs.links != Links::Together && flags != 0 {
        return -EINVAL;
    }
    let (from, to) = unsafe { (name(bytes(from)), name(bytes(to))) };
    unsafe { begin_look(user, &from, &to) };
    unsafe { is_late_no_more(user) };
    let Some(mut c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    c.check_directory(dirfd);
    for replaced in [&from, &to] {
        if c.w.fs.lookup(replaced).is_some() && (*replaced == from || flags & RENAME_NOREPLACE == 0) {
            c.w.check_removal(c.p.slot, replaced);
        }
    }
    let result = c.w.fs.rename(c.p.slot, &from, to, flags);
    if result.is_ok() {
        c.w.touch(c.p.slot);
        c.w.tell_watchers();
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.rename(&from, &to, flags, result);
    }
    c.told("renameat", || format!("{}, {}", show(&from), show(&to)), result.map(|()| 0)) as i32
}

pub(super) unsafe extern "C" fn unlinkat(user: User, dirfd: i32, path: *const c_char, _: i32) -> i32 {
    let named = unsafe { bytes(path) };
    // The names beside a state: no lock has them.
    let beside = named.ends_with(b".prev.tmp") || named.ends_with(b".past.tmp");
    let never_there = beside && !unsafe { look(user) }.0.fs.holds_states;
    let Some(mut c) = (unsafe { begin(user, !never_there) }) else { return GONE };
    c.check_directory(dirfd);
    let named = name(named);
    c.w.check_removal(c.p.slot, &named);
    let result = c.w.fs.unlink(&named);
    if result.is_ok() {
        c.w.touch(c.p.slot);
        c.w.tell_watchers();
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.unlink(&named, result.map(|_| ()));
    }
    c.told("unlinkat", || show(&named), result.map(|_| 0)) as i32
}

/// The first argument is the directory, or with AT_EMPTY_PATH the file.
pub(super) unsafe extern "C" fn linkat(user: User, od: i32, from: *const c_char, nd: i32, to: *const c_char, flags: i32) -> i32 {
    let (from, to) = unsafe { (name(bytes(from)), name(bytes(to))) };
    let fd = (flags & AT_EMPTY_PATH != 0).then_some(od);
    unsafe { begin_look(user, &from, &to) };
    let Some(mut c) = (unsafe { begin(user, SHARED) }) else { return GONE };
    c.check_directory(nd);
    let node = match fd {
        Some(fd) => c.node(fd),
        None => c.w.fs.lookup(&from).ok_or(ENOENT),
    };
    let result = node.and_then(|node| c.w.fs.link(c.p.slot, node, to));
    if result.is_ok() {
        c.w.touch(c.p.slot);
    }
    if let Some(mirror) = &mut c.w.mirror {
        mirror.link(c.p.slot, &from, &to, fd, result);
    }
    c.told("linkat", || format!("{fd:?} {}, {}", show(&from), show(&to)), result.map(|()| 0)) as i32
}

unsafe fn is_late_no_more(user: User) {
    let p = unsafe { &mut *caller(user) };
    if p.late {
        (p.late, p.solo) = (false, false);
    }
}

/// Here the routine of taking a lock begins a new look: of the looks before it keeps its candidate, its
/// descriptors and how often it slept, nothing else. What it forgets need not be told apart (checked by
/// exploring two processes both ways).
unsafe fn begin_look(user: User, candidate: &Name, to: &Name) {
    if *to == name(LOCK) {
        unsafe { forget(user, candidate) };
    }
}

unsafe fn forget(user: User, candidate: &Name) {
    let p = unsafe { &mut *caller(user) };
    // One that waits also knows whether it has tried to set up a watch: a look without a sleep, and without a
    // descriptor where there is no inotify.
    let slept = p.sleeps > p.told_at || !p.waits || p.watches;
    // One that queues has, once it waits, patience to lose.
    if p.forgets && slept && !(p.queues && p.watched) {
        p.told_at = p.sleeps;
        let open = p.fds.iter().flatten().count() as u64;
        p.history = mix(mix(mix_bytes(0, candidate), p.sleeps), open);
    }
}
