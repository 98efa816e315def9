//! Locks.

use super::place;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;
use steadfast::{ErrorKind, Lock, Verdict, clean_stale, inspect};

fn dead() -> u32 {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn a_lock_goes_with_its_value() {
    let (_folder, path) = place();
    let lock = Lock::acquire(&path, None).unwrap();
    assert_eq!((lock.path(), lock.was_taken_over(), lock.is_on_network()), (path.as_path(), false, false));
    lock.check().unwrap();
    let error = Lock::acquire(&path, Some(Duration::from_millis(1))).unwrap_err();
    assert_eq!((error.kind(), error.pid()), (ErrorKind::Locked, Some(std::process::id())));
    assert!(Lock::try_acquire(&path).unwrap().is_none());
    assert_eq!(inspect(&path).unwrap().verdict(), Verdict::Held);
    assert_eq!(inspect(&path).unwrap().pid(), Some(std::process::id()));
    drop(lock);
    assert!(!path.exists());
    assert_eq!(inspect(&path).unwrap().verdict(), Verdict::Absent);
}

#[test]
fn a_waiter_gets_it_from_another_thread() {
    let (_folder, path) = place();
    let lock = Lock::acquire(&path, None).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| Lock::acquire(&path, None).unwrap().release().unwrap());
        scope.spawn(move || lock.release().unwrap()).join().unwrap();
        waiter.join().unwrap();
    });
}

#[test]
fn a_stale_lock_is_taken_over_or_cleaned_once() {
    let (_folder, path) = place();
    std::fs::write(&path, format!("{}\n", dead())).unwrap();
    let judged = inspect(&path).unwrap();
    assert_eq!(judged.verdict(), Verdict::Stale);
    assert!(judged.reason().starts_with("stale: "), "{}", judged.reason());
    let lock = Lock::try_acquire(&path).unwrap().unwrap();
    assert!(lock.was_taken_over());
    lock.release().unwrap();
    std::fs::write(&path, format!("{}\n", dead())).unwrap();
    assert_eq!(clean_stale(&path).unwrap().verdict(), Verdict::Removed);
    assert_eq!(clean_stale(&path).unwrap().verdict(), Verdict::Absent);
    std::fs::write(&path, "").unwrap();
    assert_eq!(clean_stale(&path).unwrap().verdict(), Verdict::Undecided);
    std::fs::File::open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(Lock::options().empty_grace(Duration::from_secs(1)).clean_stale(&path).unwrap().verdict(), Verdict::Removed);
    std::fs::write(&path, "").unwrap();
    std::fs::File::open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(Lock::options().empty_grace(Duration::ZERO).clean_stale(&path).unwrap().verdict(), Verdict::Removed);
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    assert_eq!(clean_stale(&path).unwrap().verdict(), Verdict::Ignored);
    assert_eq!(Lock::try_acquire(&path).unwrap_err().kind(), ErrorKind::Symlink, "held is one thing, impossible another");
}

#[test]
fn a_lock_that_was_taken_away_is_told() {
    let (_folder, path) = place();
    let lock = Lock::acquire(&path, None).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(lock.check().unwrap_err().kind(), ErrorKind::LockLost);
    let error = lock.release().unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::LockLost, path.as_path()));
}

#[test]
fn a_descriptor_ends_the_wait() {
    let (_folder, path) = place();
    let _lock = Lock::acquire(&path, None).unwrap();
    let (end, mut begin) = std::io::pipe().unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| Lock::options().cancel_on(end.as_fd()).acquire(&path, None));
        begin.write_all(b"x").unwrap();
        assert_eq!(waiter.join().unwrap().unwrap_err().kind(), ErrorKind::Canceled);
    });
}

#[test]
fn a_lock_that_is_not_inherited_is_not_adopted() {
    let (_folder, path) = place();
    let mut lock = Lock::acquire(&path, None).unwrap();
    assert_eq!(lock.adopt().unwrap_err().kind(), ErrorKind::InvalidInput);
    drop(lock);
    let mut lock = Lock::options().inherit(true).acquire(&path, None).unwrap();
    lock.adopt().unwrap();
}

/// In a child its parent's handles only close what is theirs; an inherited lock it can adopt.
#[test]
fn a_forked_child_adopts_or_leaves() {
    let (folder, path) = place();
    let own = folder.path().join("own.lock");
    let lock = Lock::acquire(&own, None).unwrap();
    let mut inherited = Lock::options().inherit(true).acquire(&path, None).unwrap();
    let state = steadfast::State::new(folder.path().join("saved"));
    let mut writer = state.writer().unwrap();
    writer.write_all(b"data").unwrap();
    // SAFETY: the child calls only what works between fork and exit: the API allocates, which glibc allows after fork.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let wrong = lock.check().unwrap_err().kind() == ErrorKind::WrongProcess;
        let released = lock.release().unwrap_err().kind() == ErrorKind::WrongProcess;
        let adopted = inherited.adopt().is_ok() && inherited.check().is_ok();
        let committed = writer.commit().unwrap_err().kind() == ErrorKind::WrongProcess;
        let code = i32::from(!(wrong && released && adopted && committed));
        std::mem::forget(inherited);
        // SAFETY: no handler of the parent is to run.
        unsafe { libc::_exit(code) }
    }
    let mut status = 1;
    // SAFETY: a number to write to.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child saw something else");
    lock.check().unwrap();
    lock.release().unwrap();
    assert_eq!(inherited.check().unwrap_err().kind(), ErrorKind::WrongProcess, "the child has adopted it");
    writer.commit().unwrap().durable().unwrap();
}

#[test]
fn options_reach_the_lock() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, path) = place();
    let lock = Lock::options().mode(0o600).try_acquire(&path).unwrap().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let interrupted = steadfast::Context::builder()
        .hook(|call| match call {
            steadfast::testing::Call::Poll => Err(std::io::Error::from_raw_os_error(libc::EINTR)),
            _ => Ok(()),
        })
        .build()
        .unwrap();
    let error = interrupted.lock().interruptible(true).acquire(&path, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    lock.release().unwrap();

    // A lock of before this process was started.
    std::fs::write(&path, format!("{}\n", std::process::id())).unwrap();
    std::fs::File::open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(inspect(&path).unwrap().verdict(), Verdict::Held);
    assert_eq!(Lock::options().trust_start_time(true).inspect(&path).unwrap().verdict(), Verdict::Stale);
    assert_eq!(Lock::options().mode(0o1000).try_acquire(&path).unwrap_err().kind(), ErrorKind::InvalidInput);
}
