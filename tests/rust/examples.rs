//! The programs of `examples/`, run as a user would.

use super::place;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use steadfast::State;

/// Where cargo has put them.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_path_buf();
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "--examples", "--target-dir"]).arg(&target);
        assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success(), "cargo build --examples");
        target.join("debug/examples")
    })
}

fn run(name: &str, arguments: &[&str]) -> Output {
    let output = Command::new(built().join(name)).args(arguments).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn says(name: &str, arguments: &[&str]) -> String {
    String::from_utf8(run(name, arguments).stdout).unwrap().trim().to_string()
}

#[test]
fn counters_lose_nothing() {
    let (_folder, path) = place();
    let path = path.to_str().unwrap();
    let programs: Vec<_> =
        (0..8).map(|_| Command::new(built().join("counter")).arg(path).stdout(Stdio::null()).spawn().unwrap()).collect();
    for mut program in programs {
        assert!(program.wait().unwrap().success());
    }
    assert_eq!(says("counter", &[path]), "9");
}

#[test]
fn settings_see_an_edit() {
    let (_folder, path) = place();
    let file = path.to_str().unwrap();
    run("settings", &[file]);
    if State::plain(&path).require_verified(true).load().is_err() {
        return println!("SKIPPED: no extended attributes here");
    }
    assert_eq!(says("settings", &[file]), "as it was saved");
    std::fs::write(&path, "{\"starts\": 41}").unwrap();
    assert_eq!(says("settings", &[file]), "somebody has edited it");
    assert!(std::fs::read_to_string(&path).unwrap().contains("\"starts\": 42"));
}

#[test]
fn there_is_one_daemon_and_it_follows_its_configuration() {
    let (folder, path) = place();
    let lock = folder.path().join("daemon.lock");
    let config = State::new(&path);
    config.save("first").unwrap().durable().unwrap();
    let daemon = || Command::new(built().join("daemon")).args([&lock, &path]).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = daemon();
    let mut lines = BufReader::new(first.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    assert_eq!(line(), "generation 1: first");
    let second = String::from_utf8(daemon().wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(second.trim(), format!("runs already, as process {}", first.id()));
    config.save("second").unwrap().durable().unwrap();
    assert_eq!(line(), "generation 2: second");
    config.save("stop").unwrap().durable().unwrap();
    assert_eq!(line(), "generation 3: stop");
    assert!(first.wait().unwrap().success());
    assert!(!lock.exists());
}

#[test]
fn a_checkpoint_goes_on() {
    let (_folder, path) = place();
    let path = path.to_str().unwrap();
    assert_eq!(says("checkpoint", &[path, "1000"]), "168 primes up to 1000, 0 of them from the checkpoint");
    assert_eq!(says("checkpoint", &[path, "10000"]), "1229 primes up to 10000, 168 of them from the checkpoint");
}
