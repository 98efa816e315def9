//! Contexts: directories and hooks.

use super::place;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use steadfast::testing::Call;
use steadfast::{Context, ErrorKind, State, Step};

#[test]
fn paths_begin_in_a_directory_and_can_stay_in_it() {
    let (folder, path) = place();
    let context = Context::at(File::open(folder.path()).unwrap()).unwrap();
    context.state("state").save("data").unwrap().durable().unwrap();
    assert_eq!(&*State::new(&path).load().unwrap().unwrap(), b"data");
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    context.state("inner/../state").load().unwrap().unwrap();
    let jail = match Context::beneath(File::open(&inner).unwrap()) {
        Ok(jail) => jail,
        Err(error) if error.kind() == ErrorKind::Unsupported => return println!("SKIPPED: no openat2 here"),
        Err(error) => panic!("{error}"),
    };
    jail.state("own").save("data").unwrap().durable().unwrap();
    assert_eq!(jail.state("../state").load().unwrap_err().raw_os_error(), Some(libc::EXDEV));
    let lock = jail.lock().try_acquire("own.lock").unwrap().unwrap();
    drop(jail);
    lock.check().unwrap();
    lock.release().unwrap();
    assert!(!inner.join("own.lock").exists());
    let error = Context::builder().beneath(true).build().unwrap_err();
    assert_eq!((error.kind(), error.step()), (ErrorKind::InvalidInput, Some(Step::Arguments)));
}

#[test]
fn a_hook_sees_every_call_in_order() {
    let (_folder, path) = place();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let calls = seen.clone();
    let context = Context::builder()
        .hook(move |call| {
            calls.lock().unwrap().push(call);
            Ok(())
        })
        .build()
        .unwrap();
    context.state(&path).save("data").unwrap().durable().unwrap();
    let seen = seen.lock().unwrap();
    let at = |call| seen.iter().position(|&seen| seen == call).unwrap_or_else(|| panic!("no {call:?} in {seen:?}"));
    assert!(at(Call::Write) < at(Call::Fsync) && at(Call::Fsync) < at(Call::Renameat), "{seen:?}");
    assert_eq!(seen.iter().filter(|&&call| call == Call::Fsync).count(), 2, "of the file and of the directory: {seen:?}");
}

/// Every call of a save fails once, one after the other: the old state or the new one is there, and an error means the old one.
#[test]
fn every_call_can_fail() {
    let (_folder, path) = place();
    let state = State::new(&path);
    let mut failures = 0;
    for nth in 1.. {
        state.save("old").unwrap().durable().unwrap();
        let count = Arc::new(AtomicU32::new(0));
        let counted = count.clone();
        let hook = move |_| match counted.fetch_add(1, Ordering::Relaxed) + 1 {
            now if now == nth => Err(io::Error::from_raw_os_error(libc::EIO)),
            _ => Ok(()),
        };
        let context = Context::builder().hook(hook).build().unwrap();
        let saved = context.state(&path).save("new");
        let there = state.load().unwrap().unwrap().to_vec();
        match saved {
            Ok(_) => assert_eq!(there, b"new", "call {nth}"),
            Err(error) if error.kind() == ErrorKind::Indeterminate => {}
            Err(error) => assert_eq!(there, b"old", "call {nth}: {error}"),
        }
        if count.load(Ordering::Relaxed) < nth {
            break;
        }
        failures += 1;
    }
    assert!(failures > 10, "only {failures} calls were counted");
}

#[test]
fn an_error_without_a_number_is_eio() {
    let (_folder, path) = place();
    let context = Context::builder().hook(|_| Err(io::Error::other("no number"))).build().unwrap();
    assert_eq!(context.state(&path).save("").unwrap_err().raw_os_error(), Some(libc::EIO));
    let error = Context::builder().fail(None, 0, libc::EIO).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
fn io_uring_can_be_left_out() {
    let (_folder, path) = place();
    let large = vec![b'x'; 5 << 20];
    let calls = |allowed| {
        let tried = Arc::new(AtomicU32::new(0));
        let counter = tried.clone();
        let hook = move |call| {
            counter.fetch_add(u32::from(call == Call::Aio), Ordering::Relaxed);
            Ok(())
        };
        let context = Context::builder().io_uring(allowed).hook(hook).build().unwrap();
        context.state(&path).save(&large).unwrap().durable().unwrap();
        tried.load(Ordering::Relaxed)
    };
    assert_ne!(calls(true), calls(false), "a ring is set up by one call more, or that fails and there is one in all");
}
