//! Errors, and what a save says of durability.

use super::place;
use std::io;
use steadfast::testing::Call;
use steadfast::{Batch, Context, Durability, Error, ErrorKind, Lock, OnDisk, Reader, State, Step, Watch, Writer};

#[test]
fn handles_go_to_other_threads() {
    fn sent<T: Send>() {}
    fn shared<T: Send + Sync + 'static>() {}
    sent::<Writer<'_>>();
    sent::<Reader<'_>>();
    shared::<State>();
    shared::<Batch<'static>>();
    shared::<Context>();
    shared::<Lock>();
    shared::<Watch>();
    shared::<Error>();
}

#[test]
fn an_error_says_what_failed_where_and_what_is_there() {
    let (_folder, path) = place();
    let context = Context::builder().fail(Some(Call::Renameat), 1, libc::ENOSPC).build().unwrap();
    let error = context.state(&path).save("new").unwrap_err();
    assert_eq!((error.kind(), error.step(), error.on_disk()), (ErrorKind::Os, Some(Step::Rename), OnDisk::Old));
    assert_eq!((error.raw_os_error(), error.code_name(), error.path()), (Some(libc::ENOSPC), "ENOSPC", path.as_path()));
    let text = error.to_string();
    assert!(text.ends_with(path.to_str().unwrap()), "{text}");

    let error = State::new("").save("").unwrap_err();
    assert_eq!((error.kind(), error.step()), (ErrorKind::InvalidInput, Some(Step::Arguments)));
    let error = State::new("a\0b").load().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "a path with a NUL is refused, and not cut");
    let error = State::new(path.join("deeper")).mode(0o12345).save("").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_long_path_is_in_the_message_as_a_whole() {
    let path = format!("/nowhere/{}/state", "d".repeat(240));
    let error = State::new(&path).save("").unwrap_err();
    assert!(error.to_string().ends_with(&path), "{error}");
}

#[test]
fn an_error_becomes_an_io_error_and_stays_inside() {
    let (_folder, path) = place();
    std::fs::write(&path, "").unwrap();
    let kinds = [
        (State::new(&path).load().map(drop).unwrap_err(), io::ErrorKind::InvalidData),
        (Context::builder().fail(None, 1, libc::EACCES).build().unwrap().state(&path).save("").map(drop).unwrap_err(), {
            io::ErrorKind::PermissionDenied
        }),
        (State::new(path.parent().unwrap()).save("").map(drop).unwrap_err(), io::ErrorKind::InvalidInput),
    ];
    for (error, kind) in kinds {
        let (inside, text) = (error.kind(), error.to_string());
        let outside = io::Error::from(error);
        assert_eq!((outside.kind(), outside.to_string()), (kind, text));
        assert_eq!(outside.get_ref().unwrap().downcast_ref::<Error>().unwrap().kind(), inside);
    }
}

#[test]
fn a_reservation_is_an_error_only_where_it_is_asked_for() {
    let (_folder, path) = place();
    let context = Context::builder().hook(no_sync).build().unwrap();
    let saved = context.state(&path).save("new").unwrap();
    assert_eq!((saved.generation(), saved.durability()), (1, Durability::NotDurable));
    assert_eq!((saved.step(), saved.raw_os_error()), (Some(Step::SyncFile), Some(libc::EIO)));
    assert!(saved.note().unwrap().contains("EIO"));
    let on_disk = saved.on_disk();
    let error = saved.durable().unwrap_err();
    assert_eq!((error.kind(), error.on_disk()), (ErrorKind::NotDurable, on_disk));
    assert_eq!(&*State::new(&path).load().unwrap().unwrap(), b"new", "every reader finds it");

    let saved = State::new(&path).save("quiet").unwrap();
    assert_eq!((saved.durability(), saved.on_disk(), saved.note()), (Durability::Durable, OnDisk::New, None));
}

fn no_sync(call: Call) -> io::Result<()> {
    if call == Call::Fsync { Err(io::Error::from_raw_os_error(libc::EIO)) } else { Ok(()) }
}
