//! What a power cut leaves of steadfast's files: every crash state on real file systems, block by block.

mod device;
mod faults;
mod filesystem;
mod instrument;
mod judge;
mod lab;
mod library;
mod mutants;
mod plan;
mod reboot;
mod report;
mod states;
mod workload;

use lab::Lab;
use report::Report;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const USAGE: &str = "blocks [--budget SECONDS] [--soak SECONDS] [--seed N] [--out FOLDER]";

struct Arguments {
    budget: u64,
    soak: u64,
    seed: u64,
    out: PathBuf,
}

fn arguments() -> Result<Arguments, String> {
    let mut all = Arguments { budget: 180, soak: 0, seed: 1, out: PathBuf::from(".") };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(USAGE)?;
        let number = || value.parse().map_err(|_| format!("{word} {value}: not a number"));
        match word.as_str() {
            "--budget" => all.budget = number()?,
            "--soak" => all.soak = number()?,
            "--seed" => all.seed = number()?,
            "--out" => all.out = PathBuf::from(&value),
            _ => return Err(USAGE.into()),
        }
    }
    Ok(all)
}

/// Why it cannot be run here.
fn lacking() -> Option<String> {
    if unsafe { libc::geteuid() } != 0 {
        return Some("needs root".into());
    }
    for device in ["/dev/fuse", "/dev/loop-control"] {
        if !Path::new(device).exists() {
            return Some(format!("needs {device}"));
        }
    }
    let tools = filesystem::missing_tools();
    if !tools.is_empty() {
        return Some(format!("needs {}", tools.join(", ")));
    }
    let private = unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(c"none".as_ptr(), c"/".as_ptr(), std::ptr::null(), libc::MS_REC | libc::MS_PRIVATE, std::ptr::null())
                == 0
    };
    if private { None } else { Some("needs a mount namespace of its own".into()) }
}

/// A folder that goes when we go.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Scratch> {
        let path = std::env::temp_dir().join(format!("steadfast-blocks.{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(arguments: &Arguments) -> io::Result<u32> {
    let begun = Instant::now();
    std::fs::create_dir_all(&arguments.out)?;
    let mut report = Report::new(&arguments.out.join("results.jsonl"), arguments.seed)?;
    let scratch = Scratch::new()?;
    let mut lab = Lab::new(&scratch.0, arguments.seed)?;
    println!("# seed {}, {}", arguments.seed, std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim());
    if arguments.soak > 0 {
        plan::soak(&mut lab, &mut report, Duration::from_secs(arguments.soak))?;
    } else {
        plan::standard(&mut lab, &mut report, Duration::from_secs(arguments.budget))?;
    }
    drop(lab);
    let total = &report.total;
    println!(
        "# all: {} recordings, {} states, {} mounts, {} of them went on, seed {}, {} s",
        total.recordings,
        total.states,
        total.mounts,
        total.writable,
        arguments.seed,
        begun.elapsed().as_secs()
    );
    println!("{} passed, {} failed", report.passed, report.failed);
    Ok(report.failed)
}

fn main() {
    let arguments = arguments().unwrap_or_else(|why| {
        eprintln!("{why}");
        std::process::exit(2);
    });
    if let Some(why) = lacking() {
        let must = std::env::var_os("CI").is_some() || std::env::var_os("STEADFAST_CI").is_some();
        println!("{}: {why}", if must { "not ok - cannot be run" } else { "SKIPPED" });
        println!("{}", if must { "0 passed, 1 failed" } else { "1 passed, 0 failed" });
        std::process::exit(i32::from(must));
    }
    let failed = run(&arguments).unwrap_or_else(|error| {
        println!("not ok - {error}\n0 passed, 1 failed");
        1
    });
    std::process::exit(i32::from(failed > 0));
}
