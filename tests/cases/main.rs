//! The cases of ctests/cases.def, by the Rust API. ctests/cases.c runs the same by the C functions.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};
use steadfast::{Condition, Durability, Error, State};

/// The name of a status, the generation of the report, and the data that a load gave.
type Outcome = (String, Option<u64>, Option<Vec<u8>>);

fn failed(error: Error) -> Outcome {
    (error.code_name().into(), Some(error.generation().unwrap_or(0)), None)
}

fn missing() -> Outcome {
    ("ENOENT".into(), None, None)
}

fn done(durability: Durability, generation: u64) -> Outcome {
    let status = match durability {
        Durability::Durable => "STEADFAST_OK",
        Durability::Unverified => "STEADFAST_UNVERIFIED",
        _ => "STEADFAST_NOT_DURABLE",
    };
    (status.into(), Some(generation), None)
}

fn gave(condition: Condition, generation: u64, data: &[u8]) -> Outcome {
    let status = match condition {
        Condition::Verified => "STEADFAST_OK",
        Condition::Recovered => "STEADFAST_RECOVERED",
        Condition::Changed => "STEADFAST_CHANGED",
        _ => "STEADFAST_UNVERIFIED",
    };
    (status.into(), Some(generation), Some(data.to_vec()))
}

fn spoil(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn prepare(path: &Path, before: &str) {
    let save = |path: &Path, data: &str| State::new(path).keep_previous(true).save(data).unwrap().durable().unwrap();
    let flip = |bytes: &mut Vec<u8>| *bytes.last_mut().unwrap() ^= 1;
    match before {
        "NOTHING" => {}
        "SAVED" => drop(save(path, "old")),
        "TWICE" | "LOST" | "DAMAGED" => {
            save(path, "older");
            save(path, "old");
            match before {
                "LOST" => fs::remove_file(path).unwrap(),
                "DAMAGED" => spoil(path, flip),
                _ => {}
            }
        }
        "EMPTY" => fs::write(path, "").unwrap(),
        "FOREIGN" => fs::write(path, "by hand").unwrap(),
        "CUT" | "LONGER" | "FLIPPED" => {
            save(path, "old");
            spoil(path, |bytes| match before {
                "CUT" => drop(bytes.pop()),
                "LONGER" => bytes.push(b'x'),
                _ => flip(bytes),
            });
        }
        "DIRECTORY" => fs::create_dir(path).unwrap(),
        "LINK" => {
            save(&path.with_file_name("target"), "old");
            symlink("target", path).unwrap();
        }
        "PLAIN" | "EDITED" => {
            State::plain(path).save("old").unwrap().durable().unwrap();
            if before == "EDITED" {
                fs::write(path, "edited").unwrap();
                File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
            }
        }
        _ => panic!("cases.def: nothing prepares {before}"),
    }
}

fn with_options(path: &Path, options: &str) -> State {
    let plain = options.split('|').any(|option| option == "PLAIN");
    let state = if plain { State::plain(path) } else { State::new(path) };
    options.split('|').filter(|option| !["", "PLAIN"].contains(option)).fold(state, |state, option| match option {
        "STRICT" => state.strict(true),
        "KEEP_PREVIOUS" => state.keep_previous(true),
        "FOLLOW_SYMLINK" => state.follow_symlink(true),
        "NO_SYNC" => state.no_sync(true),
        "IN_PLACE" => state.in_place(true),
        "RECOVER" => state.recover(true),
        "REQUIRE_VERIFIED" => state.require_verified(true),
        _ => panic!("cases.def: no option {option}"),
    })
}

fn make(state: &State, call: &str) -> Result<Outcome, Error> {
    let (call, number) = call.split_once(' ').unwrap_or((call, "0"));
    let number: u64 = number.parse().expect("a number");
    let saved = match call {
        "SAVE" => state.save("new")?,
        "SAVE_IF" => state.save_if(number, "new")?,
        "UPDATE" => state.update(|old| [old.map(|old| old.to_vec()).unwrap_or_default(), b"+".to_vec()].concat())?,
        "WRITER" | "WRITER_IF" => {
            let mut writer = if call == "WRITER" { state.writer()? } else { state.writer_if(number)? };
            writer.write_all(b"ne").unwrap();
            writer.write_all(b"w").unwrap();
            writer.commit()?
        }
        "REMOVE" | "REMOVE_IF" => {
            let removed = if call == "REMOVE" { state.remove()? } else { state.remove_if(number)? };
            return Ok(removed.map_or_else(missing, |removed| done(removed.durability(), removed.generation())));
        }
        "LOAD" => {
            return Ok(state.load()?.map_or_else(missing, |loaded| gave(loaded.condition(), loaded.generation(), &loaded)));
        }
        "LOAD_INTO" => {
            let mut memory = vec![0; number as usize];
            let about = state.load_into(&mut memory)?;
            return Ok(about.map_or_else(missing, |about| gave(about.condition(), about.generation(), &memory[..about.len()])));
        }
        "READER" => {
            let Some(mut reader) = state.reader()? else { return Ok(missing()) };
            let mut data = Vec::new();
            reader.read_to_end(&mut data).unwrap();
            return Ok(gave(reader.about().condition(), reader.about().generation(), &data));
        }
        _ => panic!("cases.def: no call {call}"),
    };
    Ok(done(saved.durability(), saved.generation()))
}

#[test]
fn every_case() {
    let cases: Vec<Vec<&str>> = include_str!("../../ctests/cases.def")
        .lines()
        .filter_map(|line| line.strip_prefix("CASE(\"")?.strip_suffix("\")"))
        .map(|case| case.split("\", \"").collect())
        .collect();
    assert!(cases.len() > 60, "only {} cases were read", cases.len());
    let probe = tempfile::tempdir().unwrap();
    let attributes =
        State::plain(probe.path().join("state")).save("").is_ok_and(|saved| saved.durability() == Durability::Durable);
    let mut wrong = Vec::new();
    for case in &cases {
        let [before, call, options, status, generation, data] = case[..] else { panic!("cases.def: {case:?}") };
        if options.contains("PLAIN") && !attributes {
            println!("SKIPPED: no extended attributes here: {before} {call} {options}");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        prepare(&path, before);
        let state = with_options(&path, options);
        let (told, number, mut given) = make(&state, call).unwrap_or_else(failed);
        if !call.starts_with("LOAD") && call != "READER" {
            given = state.recover(true).load().ok().flatten().map(|loaded| loaded.to_vec());
        }
        let given = given.map_or("-".into(), |given| String::from_utf8(given).unwrap());
        let numbered = generation == "-" || number == Some(generation.parse().expect("a generation"));
        if told != status || !numbered || given != data {
            wrong.push(format!(
                "{before}: {call} {options}: {told}, {number:?}, {given}; expected {status}, {generation}, {data}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
