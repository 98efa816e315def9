//! What is explored, and what must be found.

mod alternate;
mod alternate_mutants;
mod basic;
mod by_name;
mod deeper;
mod families;
mod held;
mod lockstep;
mod mutants;

use super::bodies::*;
use super::explore::*;
use super::family::*;
use super::savers::*;
use super::world::Violation;
use std::time::Duration;
use steadfast::hooks::*;

const A: Body = acquirer;
const C: Body = cleaner;
const I: Body = inspector;
const F: Body = foreign;
const W: Body = waiter;
const R: Body = robbed;
const T: Body = taker;
/// Parents and children.
const P: Body = parent;
const K: Body = adopter;
const Q: Body = closer;
const X: Body = command;
const E: Body = execer;

/// No single scenario of the normal run comes near this.
const LIMIT: Duration = Duration::from_secs(600);

/// STEADFAST_DEEP=1: scenarios of minutes as well.
fn deep() -> bool {
    std::env::var_os("STEADFAST_DEEP").is_some()
}

/// Explores a mutant, and must find it out.
fn killed(label: &str, scenario: Scenario, by: Violation) {
    let found = report(&format!("mutant {label}"), scenario, LIMIT);
    let shown = found.trace.join("\n  ");
    assert_eq!(found.violation, Some(by), "{label} survives, or falls to something else:\n  {shown}");
    println!(
        "explorer: mutant killed: {label}, by {:?} after {} calls",
        found.violation.unwrap_or(Violation::Stuck),
        found.trace.len()
    );
}

fn report(label: &str, scenario: Scenario, limit: Duration) -> Found {
    let found = Explorer::new(scenario).exhaust(limit);
    println!(
        "explorer: {label:<44} {:>8} schedules {:>8} states {:>6} ends {:>7.2} s{}",
        found.schedules,
        found.states,
        found.ends,
        found.seconds,
        if found.cut { "  CUT BY BUDGET" } else { "" }
    );
    found
}

/// Explores to the end and finds nothing.
fn clean(label: &str, scenario: Scenario) -> u64 {
    let found = report(label, scenario, LIMIT);
    assert!(found.violation.is_none(), "{label}: {:?}\n  {}", found.violation, found.trace.join("\n  "));
    assert!(!found.cut, "{label}: not exhausted");
    found.states
}

const ABSENT: [(&str, u32); 4] = [
    ("no O_TMPFILE", STEADFAST_ABSENT_O_TMPFILE),
    ("no O_TMPFILE, renameat2", STEADFAST_ABSENT_O_TMPFILE | STEADFAST_ABSENT_RENAMEAT2),
    ("no pidfd", STEADFAST_ABSENT_PIDFD),
    ("no xattr, /proc", STEADFAST_ABSENT_XATTR | STEADFAST_ABSENT_PROC),
];
