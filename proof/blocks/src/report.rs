//! What was done and found: for people on the standard output, for programs as JSON, one object a line.

use crate::device::Entry;
use crate::lab::{Dot, Tally, direct, is_direct};
use crate::workload::Workload;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

pub struct Report {
    out: File,
    pub passed: u32,
    pub failed: u32,
    pub total: Tally,
    seed: u64,
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if (c as u32) < 32 => out.push(' '),
            c => out.push(c),
        }
    }
    out + "\""
}

impl Report {
    pub fn new(path: &Path, seed: u64) -> io::Result<Report> {
        Ok(Report { out: File::create(path)?, passed: 0, failed: 0, total: Tally::default(), seed })
    }

    fn verdict(&mut self, good: bool, text: &str) {
        if good {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        println!("{} - {text}", if good { "ok" } else { "not ok" });
    }

    fn line(&mut self, kind: &str, fields: &[(&str, String)]) {
        let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
        if let Err(e) = writeln!(self.out, "{{\"kind\":{},\"seed\":{},{}}}", quoted(kind), self.seed, fields.join(",")) {
            eprintln!("results: {e}");
            self.failed += 1;
        }
    }

    fn tally(&mut self, kind: &str, flavor: &str, name: &str, tally: &Tally, cut: u64, time: Duration) {
        self.total.add(tally);
        self.line(
            kind,
            &[
                ("file_system", quoted(flavor)),
                ("name", quoted(name)),
                ("recordings", tally.recordings.to_string()),
                ("states", tally.states.to_string()),
                ("mounts", tally.mounts.to_string()),
                ("writable", tally.writable.to_string()),
                ("errors", tally.errors.to_string()),
                ("violations", tally.violations.to_string()),
                ("cut", cut.to_string()),
                ("seconds", format!("{:.2}", time.as_secs_f64())),
                ("first", tally.first.as_deref().map_or("null".into(), quoted)),
            ],
        );
    }

    /// The states of a right routine: none may be bad.
    pub fn explored(&mut self, flavor: &str, name: &str, tally: &Tally, cut: u64, time: Duration) {
        self.tally("explored", flavor, name, tally, cut, time);
        self.verdict(
            tally.violations == 0 && tally.states > 0,
            &format!(
                "{flavor}: {name}: {} recordings, {} states, {} mounts ({} went on), {} violations, {:.1} s",
                tally.recordings,
                tally.states,
                tally.mounts,
                tally.writable,
                tally.violations,
                time.as_secs_f64()
            ),
        );
        self.explain(tally);
    }

    /// Was it saved in the way that is meant to be looked at?
    pub fn way(&mut self, flavor: &str, workload: &Workload, log: &[Entry]) {
        if !workload.direct() {
            return;
        }
        // Written past the page cache, all of it has reached the device when the sync begins.
        let reached = direct(log);
        if reached.is_empty() && !crate::instrument::has_io_uring() {
            println!("# {flavor}: {}: no io_uring, no direct writes: by early writeback", workload.name);
            return;
        }
        let text = format!("{flavor}: {}: direct writes reached the device before the sync: {reached:?} bytes", workload.name);
        self.verdict(is_direct(workload, log), &text);
    }

    fn explain(&self, tally: &Tally) {
        if tally.left_out > 0 {
            println!("# left out of large recordings, at random: {} states", tally.left_out);
        }
        if let Some(first) = &tally.first {
            println!("#   {first}");
        }
    }

    pub fn faults(&mut self, flavor: &str, name: &str, tally: &Tally, claims: [u64; 3], cut: u64, time: Duration) {
        let [old, new, either] = claims;
        self.tally("faults", flavor, name, tally, cut, time);
        self.verdict(
            tally.violations == 0 && tally.errors > 0,
            &format!(
                "{flavor}: failing device, {name}: {} runs, {} saves told an error (on_disk OLD {old}, NEW {new}, EITHER {either}), {} states, {} violations, {:.1} s",
                tally.recordings,
                tally.errors,
                tally.states,
                tally.violations,
                time.as_secs_f64()
            ),
        );
        if cut > 0 {
            println!("# WARNING: cut by the budget: {cut} faults");
        }
        self.explain(tally);
    }

    pub fn mutant_run(&mut self, name: &str, flavor: &str, tally: &Tally, time: Duration) {
        // Its violations are wanted: not part of the total.
        let counted = Tally { violations: 0, first: None, ..tally.clone() };
        self.total.add(&counted);
        self.tally_of_mutant(name, flavor, tally, time);
    }

    fn tally_of_mutant(&mut self, name: &str, flavor: &str, tally: &Tally, time: Duration) {
        self.line(
            "mutant",
            &[
                ("file_system", quoted(flavor)),
                ("name", quoted(name)),
                ("states", tally.states.to_string()),
                ("violations", tally.violations.to_string()),
                ("seconds", format!("{:.2}", time.as_secs_f64())),
                ("first", tally.first.as_deref().map_or("null".into(), quoted)),
            ],
        );
    }

    pub fn mutant(&mut self, name: &str, caught: &[String], control: bool) {
        if control {
            self.verdict(caught.is_empty(), &format!("control, must not be caught: {name}: {}", caught.join(", ")));
        } else {
            let text = if caught.is_empty() { "LIVES".into() } else { caught.join(", ") };
            self.verdict(!caught.is_empty(), &format!("mutant: {name}: {text}"));
        }
    }

    pub fn dots(&mut self, flavor: &str, name: &str, calls: &[String], dots: &[Dot]) {
        let calls: Vec<String> = calls.iter().map(|call| quoted(call)).collect();
        let dots: Vec<String> = dots.iter().map(|dot| format!("[{},{}]", dot.calls, quoted(dot.verdict))).collect();
        self.line(
            "picture",
            &[
                ("file_system", quoted(flavor)),
                ("name", quoted(name)),
                ("calls", format!("[{}]", calls.join(","))),
                ("states", format!("[{}]", dots.join(","))),
            ],
        );
    }
}
