//! States: updates, streams, watches, batches.

use super::{names, place};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::time::Duration;
use steadfast::{Batch, Condition, Error, ErrorKind, OnDisk, State};

#[test]
fn options_reach_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, path) = place();
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    let state = State::new(&path).mode(0o640).schema(7);
    state.save("data").unwrap().durable().unwrap();
    assert_eq!(mode(), 0o640);
    state.clone().mode(0o644).replace_mode(true).save("data").unwrap().durable().unwrap();
    assert_eq!(mode(), 0o644);
    assert_eq!(state.load().unwrap().unwrap().about().schema(), 7);
    let other = state.clone().require_schema(8);
    assert_eq!(other.load().unwrap_err().kind(), ErrorKind::Schema);
    assert_eq!(state.clone().max_len(3).load().unwrap_err().kind(), ErrorKind::TooLarge);
    let deep = folder.path().join("a/b/state");
    State::new(&deep).create_parents(true).save("data").unwrap().durable().unwrap();
    assert!(deep.exists());
}

#[test]
fn two_files_take_turns() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    let (_folder, path) = place();
    let state = State::new(&path).alternate(true);
    for data in ["one", "two"] {
        state.save(data).unwrap().durable().unwrap();
    }
    let previous = path.with_file_name(format!("{}.prev", path.file_name().unwrap().to_str().unwrap()));
    let inodes = || [&path, &previous].map(|file| std::fs::metadata(file).unwrap().ino());
    let before = inodes();
    for (number, data) in ["three", "four", "five"].iter().enumerate() {
        state.save(data).unwrap().durable().unwrap();
        let loaded = State::new(&path).load().unwrap().unwrap();
        assert_eq!((loaded.to_vec(), loaded.about().generation()), (data.as_bytes().to_vec(), number as u64 + 3));
        // The newer file may be either of the two.
        assert_eq!(loaded.condition(), Condition::Verified, "{data}");
        assert_eq!(State::new(&path).reader().unwrap().unwrap().about().condition(), Condition::Verified, "{data}");
    }
    assert_eq!(inodes(), before);
    let newer = |file: &&std::path::PathBuf| std::fs::read(file).unwrap()[256..].starts_with(b"five");
    let newer = [&path, &previous].into_iter().find(newer).unwrap();
    std::fs::OpenOptions::new().write(true).open(newer).unwrap().write_at(b"F", 256).unwrap();
    let loaded = State::new(&path).load().unwrap().unwrap();
    assert_eq!((loaded.to_vec(), loaded.condition()), (b"four".to_vec(), Condition::Recovered));
    assert_eq!(State::plain(&path).alternate(true).save("six").unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_loaded_state_says_what_it_is() {
    let (_folder, path) = place();
    State::new(&path).save("data").unwrap().durable().unwrap();
    let loaded = State::new(&path).load().unwrap().unwrap();
    let about = loaded.about();
    assert_eq!((about.len(), about.is_empty(), loaded.to_vec()), (4, false, b"data".to_vec()));
    let age = about.saved_at().elapsed().unwrap();
    assert!(age < Duration::from_secs(600), "{age:?}");
    let first = std::fs::read(&path).unwrap()[..64].to_vec();
    let hex: String = about.sha256().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex.as_bytes(), first);
}

#[test]
fn memory_that_is_too_short_keeps_no_byte() {
    let (_folder, path) = place();
    State::new(&path).save("data").unwrap().durable().unwrap();
    let mut memory = *b"xxxxxxxx";
    assert_eq!(State::new(&path).load_into(&mut memory).unwrap().unwrap().len(), 4);
    assert_eq!(&memory[..4], b"data");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(State::new(&path).load_into(&mut memory).unwrap_err().kind(), ErrorKind::Digest);
    assert_eq!(&memory[..4], [0; 4]);
}

#[test]
fn no_update_is_lost() {
    let (_folder, path) = place();
    let state = State::new(&path).timeout(None);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let add =
                        |old: Option<&steadfast::Loaded>| [old.map(|old| old.to_vec()).unwrap_or_default(), vec![b'+']].concat();
                    state.update(add).unwrap().durable().unwrap();
                }
            });
        }
    });
    let loaded = state.load().unwrap().unwrap();
    assert_eq!((loaded.len(), loaded.generation()), (100, 100));
}

#[test]
fn an_update_can_leave_the_state_or_fail() {
    #[derive(Debug)]
    enum Own {
        Steadfast(#[allow(dead_code)] Error),
        Full,
    }
    impl From<Error> for Own {
        fn from(error: Error) -> Own {
            Own::Steadfast(error)
        }
    }
    let (_folder, path) = place();
    let state = State::new(&path);
    state.save("data").unwrap().durable().unwrap();
    assert!(state.try_update(|_| Ok::<Option<Vec<u8>>, Own>(None)).unwrap().is_none());
    assert!(matches!(state.try_update(|_| Err::<Option<Vec<u8>>, _>(Own::Full)), Err(Own::Full)));
    assert_eq!(state.load().unwrap().unwrap().generation(), 1, "nothing was saved");
    let saved = state.try_update(|_| Ok::<_, Own>(Some("more"))).unwrap().unwrap();
    assert_eq!(saved.durable().unwrap(), 2);
    std::fs::write(&path, "").unwrap();
    assert!(matches!(state.try_update(|_| Ok::<_, Own>(Some("more"))), Err(Own::Steadfast(_))));
}

#[test]
fn a_writer_that_is_dropped_saves_nothing() {
    let (folder, path) = place();
    let state = State::new(&path);
    state.save("old").unwrap().durable().unwrap();
    for abort in [false, true] {
        let mut writer = state.writer().unwrap();
        writer.write_all(b"new").unwrap();
        assert_eq!(names(&folder).len(), 2, "a temporary file");
        if abort {
            writer.abort()
        } else {
            drop(writer)
        }
        assert_eq!(names(&folder), ["state"]);
    }
    assert_eq!(&*state.load().unwrap().unwrap(), b"old");
}

#[test]
fn a_writer_takes_what_goes_through_its_descriptor() {
    let (_folder, path) = place();
    let state = State::new(&path);
    let mut writer = state.writer().unwrap();
    writer.write_all(b"one ").unwrap();
    let mut file = std::fs::File::from(writer.descriptor().unwrap().try_clone_to_owned().unwrap());
    file.write_all(b"two").unwrap();
    writer.write_all(b" three").unwrap();
    writer.commit().unwrap().durable().unwrap();
    assert_eq!(&*state.load().unwrap().unwrap(), b"one two three");
}

#[test]
fn a_reader_seeks_and_sees_damage() {
    let (_folder, path) = place();
    let state = State::new(&path);
    let long: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    state.save(&long).unwrap().durable().unwrap();
    let mut reader = state.reader().unwrap().unwrap();
    let mut piece = [0; 5];
    assert_eq!(reader.read_at(&mut piece, 2_999_997).unwrap(), 3, "short at the end");
    assert_eq!(piece[..3], long[2_999_997..]);
    assert_eq!(reader.seek(SeekFrom::End(-2)).unwrap(), 2_999_998);
    let mut end = Vec::new();
    reader.read_to_end(&mut end).unwrap();
    assert_eq!(end, long[2_999_998..]);
    assert_eq!(reader.seek(SeekFrom::Current(-3_000_000)).unwrap(), 0);
    assert!(reader.seek(SeekFrom::Current(-1)).is_err());

    // A save replaces the file, which the reader keeps.
    state.save("other").unwrap().durable().unwrap();
    reader.read_exact(&mut piece).unwrap();
    assert_eq!(piece, long[..5]);

    let mut reader = state.reader().unwrap().unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(256)).unwrap();
    file.write_all(b"O").unwrap();
    assert_eq!(reader.read_at(&mut piece, 0).unwrap_err().kind(), ErrorKind::Digest);
}

#[test]
fn a_watch_gives_each_generation_and_the_end() {
    let (_folder, path) = place();
    let state = State::new(&path);
    let mut watch = state.watch().unwrap();
    assert_eq!(watch.wait(Some(Duration::ZERO)).unwrap(), None, "there is no state, and none was known");
    state.save("one").unwrap().durable().unwrap();
    if let Some(fd) = watch.fd() {
        let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one struct, which lives longer than the call.
        assert_eq!(unsafe { libc::poll(&mut poll, 1, 10_000) }, 1, "the descriptor tells of it");
    }
    assert_eq!(watch.wait(None).unwrap(), Some(1));
    std::thread::scope(|scope| {
        scope.spawn(|| state.save("two").unwrap().durable().unwrap());
        assert_eq!(watch.next().unwrap().unwrap(), 2);
    });
    std::fs::write(&path, "").unwrap();
    assert_eq!(watch.next().unwrap().unwrap_err().kind(), ErrorKind::Empty);
    state.remove().unwrap().unwrap().durable().unwrap();
    assert_eq!(watch.next().unwrap().unwrap(), 0, "no state any more");
    state.save("again").unwrap().durable().unwrap();
    assert_eq!(state.watch().unwrap().since(1).wait(Some(Duration::ZERO)).unwrap(), None, "it is known");
}

#[test]
fn a_batch_tells_of_each_state() {
    let (folder, path) = place();
    let mut batch = Batch::new().plain(false).syncfs(true);
    batch.add(&path, b"one").add("a\0b", b"none").add(folder.path(), b"none").add(folder.path().join("two"), b"two".to_vec());
    let results = batch.save().unwrap();
    assert_eq!(results.len(), 4);
    assert_eq!(results[1].as_ref().unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(results[2].as_ref().unwrap_err().kind(), ErrorKind::NotRegular);
    assert_eq!(results[2].as_ref().unwrap_err().path(), folder.path());
    assert_eq!(results[3].as_ref().unwrap().on_disk(), OnDisk::New);
    assert_eq!(results.durable().unwrap_err().kind(), ErrorKind::InvalidInput, "the first error");
    assert_eq!(&*State::new(&path).load().unwrap().unwrap(), b"one");
    assert!(Batch::new().save().unwrap().is_empty());
    let refused = batch.no_sync(true).save().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput, "NO_SYNC contradicts SYNCFS: refused whole");
}

#[test]
fn a_wait_for_others_ends() {
    let (_folder, path) = place();
    let state = State::new(&path).timeout(Some(Duration::from_millis(1)));
    state.save("old").unwrap().durable().unwrap();
    let file = std::fs::File::open(&path).unwrap();
    // SAFETY: a number, and an open descriptor.
    let flock = |operation| assert_eq!(unsafe { libc::flock(file.as_raw_fd(), operation) }, 0);
    flock(libc::LOCK_EX);
    assert_eq!(state.save_if(1, "new").unwrap_err().kind(), ErrorKind::Busy);
    flock(libc::LOCK_UN);
    assert_eq!(state.save_if(1, "new").unwrap().durable().unwrap(), 2);
}

#[test]
fn attributes_stay_where_it_is_asked_for() {
    let (_folder, path) = place();
    let c_path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let (name, mut value) = (c"user.test", [0u8; 1]);
    // SAFETY: strings that end with a NUL, and one byte of memory.
    let set = || unsafe { libc::setxattr(c_path.as_ptr(), name.as_ptr(), b"x".as_ptr().cast(), 1, 0) };
    // SAFETY: as above.
    let mut is_there = || unsafe { libc::getxattr(c_path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), 1) == 1 };
    let state = State::new(&path);
    state.save("data").unwrap().durable().unwrap();
    if set() != 0 {
        return println!("SKIPPED: no extended attributes here");
    }
    state.clone().keep_attributes(true).save("data").unwrap().durable().unwrap();
    assert!(is_there());
    state.save("data").unwrap().durable().unwrap();
    assert!(!is_there());
}
