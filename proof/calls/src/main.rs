//! The release library seen from outside: every fault at every system call, and processes of which one at a time is
//! let go on. See run.sh.

mod alternate;
mod calls;
mod durable;
mod exempt;
mod fault;
mod looks;
mod looks_scenario;
mod named;
mod oracle;
mod scenario;
mod schedule;
mod schedule_choice;
mod schedule_run;
mod schedule_scenario;
mod tracee;
mod tree;

use std::path::PathBuf;

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// In memory where that can be had: what is asked here is not the disk's business.
fn scratch() -> Scratch {
    let base =
        if std::fs::metadata("/dev/shm").is_ok_and(|meta| meta.is_dir()) { "/dev/shm".into() } else { std::env::temp_dir() };
    let path = base.join(format!("steadfast-calls.{}", std::process::id()));
    std::fs::create_dir(&path).expect("a directory of our own");
    Scratch(path)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |key: &str| arguments.iter().position(|a| a == key).and_then(|at| arguments.get(at + 1)).map(String::as_str);
    let has = |key: &str| arguments.iter().any(|a| a == key);
    let programs = PathBuf::from(value("--programs").expect("--programs DIRECTORY"));
    let scratch = scratch();
    let directory = scratch.0.join("d");
    std::fs::create_dir(&directory).expect("a directory");
    unsafe { libc::umask(0o022) };
    let schedules = arguments.first().is_some_and(|mode| mode == "schedules");
    let result = tracee::filter(if schedules { &schedule_run::PRIVATE } else { &[] }).and_then(|filter| {
        let probe = programs.join("subject");
        let args = [probe.to_str().expect("a path"), "save", directory.to_str().expect("a path"), "n", "only"];
        tracee::Tracee::spawn(&filter, &args).map(|_| filter)
    });
    let filter = match result {
        Ok(filter) => filter,
        Err(why) => {
            let ci = std::env::var_os("CI").is_some() || std::env::var_os("STEADFAST_CI").is_some();
            println!("{}: {why}", if ci { "not ok" } else { "SKIPPED" });
            println!("{} passed, {} failed", u32::from(!ci), u32::from(ci));
            drop(scratch);
            std::process::exit(ci.into());
        }
    };
    let done = match arguments.first().map(String::as_str) {
        Some("calls") => calls::run(&filter, &directory, &programs, has("--batch"), has("--deep"), value("--only")),
        Some("looks") => looks::run(&filter, &directory, &programs, has("--deep"), value("--only")),
        Some("schedules") => {
            let number = |key: &str| value(key).map(|text| text.parse::<u64>().expect("a number"));
            let soak = number("--soak");
            let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
            let settings = schedule::Settings {
                seconds: soak.or(number("--budget")).unwrap_or(45),
                seed: number("--seed").unwrap_or(if soak.is_some() { since << 32 } else { 1 }),
                soak: soak.is_some(),
                only: value("--only"),
                schedule: value("--schedule"),
            };
            schedule::run(&filter, &directory, &programs, &settings)
        }
        _ => Err("there are calls, looks and schedules".into()),
    };
    let (passed, failed) = done.unwrap_or_else(|why| {
        println!("not ok {why}");
        (0, 1)
    });
    drop(scratch);
    println!("{passed} passed, {failed} failed");
    std::process::exit((failed > 0).into());
}
