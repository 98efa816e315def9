//! What a power cut leaves of steadfast's files: every crash state on real file systems, block by block.

mod contract;
mod device;
mod faults;
mod filesystem;
mod histories;
mod history;
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
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const USAGE: &str = "blocks [--budget SECONDS] [--histories SECONDS] [--soak SECONDS] [--seed N] [--out FOLDER] [--part NAME]";

/// Before the number of the process: our folder.
const LABEL: &str = "steadfast-blocks.";

struct Arguments {
    budget: u64,
    /// For the histories, after all others.
    histories: u64,
    soak: u64,
    seed: u64,
    out: PathBuf,
    part: Option<String>,
}

impl Arguments {
    fn name(&self) -> &str {
        self.part.as_deref().unwrap_or("soak")
    }
}

fn arguments() -> Result<Arguments, String> {
    let mut all = Arguments { budget: 180, histories: 85, soak: 0, seed: 0, out: PathBuf::from("."), part: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(USAGE)?;
        let number = || value.parse().map_err(|_| format!("{word} {value}: not a number"));
        match word.as_str() {
            "--budget" => all.budget = number()?,
            "--histories" => all.histories = number()?,
            "--soak" => all.soak = number()?,
            "--seed" => all.seed = number()?,
            "--part" => all.part = Some(value),
            "--out" => all.out = PathBuf::from(value),
            _ => return Err(USAGE.into()),
        }
    }
    // The same run every time in CI, another one in every soak.
    if all.seed == 0 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |time| time.as_secs());
        all.seed = if all.soak > 0 { now } else { 1 };
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

/// Clears away what a run left that was killed: its loop devices and its folder. Never anybody else's.
fn sweep() {
    let dead = |pid: &str| pid.parse::<i32>().is_ok_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    device::loopdev::detach_dead();
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().and_then(|name| name.strip_prefix(LABEL)).is_some_and(dead) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A folder that goes when we go.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> io::Result<Scratch> {
        let path = std::env::temp_dir().join(format!("{LABEL}{}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// All parts, side by side, each in a process of its own. Prints what they printed, one after the other.
fn run_parts(arguments: &Arguments) -> io::Result<(u32, u32)> {
    std::fs::create_dir_all(&arguments.out)?;
    let begun = Instant::now();
    let start = |part: &'static str| -> io::Result<_> {
        let left = arguments.budget.saturating_sub(begun.elapsed().as_secs());
        let budget = if plan::HISTORIES.contains(&part) { arguments.histories } else { left };
        let log = arguments.out.join(format!("{part}.log"));
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--part", part, "--budget", &budget.to_string(), "--seed", &arguments.seed.to_string()]);
        command.arg("--out").arg(&arguments.out).stdout(File::create(&log)?);
        // When we are killed, they go too.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        Ok((part, log, command.spawn()?))
    };
    let mut running = plan::PARTS.into_iter().map(start).collect::<io::Result<VecDeque<_>>>()?;
    let (mut last, mut histories) = (Some(plan::LAST), Some(plan::HISTORIES));
    let (mut passed, mut failed, mut results) = (0, 0, vec![]);
    let mut totals = vec![];
    while let Some((part, log, mut child)) = running.pop_front() {
        let good = child.wait()?.success();
        if running.len() == 1
            && let Some(last) = last.take()
        {
            running.push_back(start(last)?);
        } else if running.is_empty()
            && let Some(histories) = histories.take()
        {
            for part in histories {
                running.push_back(start(part)?);
            }
        }
        let text = std::fs::read_to_string(&log)?;
        let (lines, counts) = text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
        println!("{lines}");
        totals.extend(lines.lines().last().map(str::to_string));
        let words: Vec<u32> = counts.split(' ').filter_map(|word| word.parse().ok()).collect();
        match words[..] {
            [good, bad] => (passed, failed) = (passed + good, failed + bad),
            _ => println!("not ok - {part} said at the end: {counts}"),
        }
        if !good && !matches!(words[..], [_, bad] if bad > 0) {
            failed += 1;
        }
        results.extend(std::fs::read(arguments.out.join(format!("{part}.jsonl")))?);
    }
    std::fs::write(arguments.out.join("results.jsonl"), results)?;
    println!("# In short:\n{}", totals.join("\n"));
    Ok((passed, failed))
}

/// One part, or the soak.
fn run(arguments: &Arguments) -> io::Result<(u32, u32)> {
    let begun = Instant::now();
    std::fs::create_dir_all(&arguments.out)?;
    let mut report = Report::new(&arguments.out.join(format!("{}.jsonl", arguments.name())), arguments.seed)?;
    let scratch = Scratch::new()?;
    let mut lab = Lab::new(&scratch.0, arguments.seed)?;
    println!("# seed {}, {}", arguments.seed, std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim());
    if arguments.soak > 0 {
        plan::soak(&mut lab, &mut report, Duration::from_secs(arguments.soak))?;
    } else {
        plan::part(&mut lab, &mut report, arguments.name(), Duration::from_secs(arguments.budget))?;
    }
    drop(lab);
    let total = &report.total;
    println!(
        "# {}: {} recordings, {} states, {} mounts ({} went on), {} violations, {} s",
        arguments.name(),
        total.recordings,
        total.states,
        total.mounts,
        total.writable,
        total.violations,
        begun.elapsed().as_secs()
    );
    Ok((report.passed, report.failed))
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
    sweep();
    let begun = Instant::now();
    let whole = arguments.part.is_none() && arguments.soak == 0;
    let (passed, failed) = if whole { run_parts(&arguments) } else { run(&arguments) }.unwrap_or_else(|error| {
        println!("not ok - {error}");
        (0, 1)
    });
    if whole {
        println!("# seed {}, {} s; the results are in {}", arguments.seed, begun.elapsed().as_secs(), arguments.out.display());
    }
    println!("{passed} passed, {failed} failed");
    std::process::exit(i32::from(failed > 0));
}
