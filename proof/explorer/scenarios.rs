//! What is explored, and what must come of it.

use super::bodies::*;
use super::explore::*;
use super::mutants::*;
use super::world::{Lie, Violation};
use std::time::Duration;
use steadfast::hooks::*;

const A: Body = acquirer;
const C: Body = cleaner;
const I: Body = inspector;
const F: Body = foreign;
const W: Body = waiter;
const R: Body = robbed;
const D: Body = daemon;
const T: Body = taker;

/// No single scenario of the normal run comes near this.
const LIMIT: Duration = Duration::from_secs(60);

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

const PLANTS: [Plant; 5] = [Plant::Nothing, Plant::Bare, Plant::Ours, Plant::Emptied, Plant::EmptiedKept];

#[test]
fn two_processes_two_kills() {
    let pairs: [(&str, [Body; 2]); 9] = [
        ("AA", [A, A]),
        ("AC", [A, C]),
        ("CC", [C, C]),
        ("AI", [A, I]),
        ("CI", [C, I]),
        ("AF", [A, F]),
        ("CF", [C, F]),
        ("IF", [I, F]),
        ("FF", [F, F]),
    ];
    for plant in PLANTS {
        for (name, bodies) in pairs {
            clean(&format!("{name} {plant:?}, 2 kills"), Scenario::new(&bodies, plant, 2));
        }
    }
}

/// What a process may forget (hooks::begin_look) makes no difference: the same ends, from fewer states.
#[test]
fn forgetting_loses_nothing() {
    for (lack, absent) in [("all there", 0), ABSENT[0], ABSENT[1]] {
        let scenario = Scenario { absent, ..Scenario::new(&[A, A], Plant::Ours, 1) };
        let whole = report(&format!("AA Ours, 1 kill, {lack}, all kept"), scenario.clone(), LIMIT);
        let forgetful = report(&format!("AA Ours, 1 kill, {lack}, forgetful"), Scenario { forgets: true, ..scenario }, LIMIT);
        assert_eq!((whole.violation, forgetful.violation), (None, None));
        assert_eq!(whole.end_states, forgetful.end_states, "{lack}: other ends");
        assert!(forgetful.states < whole.states);
    }
}

#[test]
fn platforms_that_lack_something() {
    for (lack, absent) in ABSENT {
        for plant in [Plant::Bare, Plant::Ours, Plant::Emptied] {
            for (name, bodies) in [("AA", [A, A]), ("AC", [A, C]), ("AF", [A, F])] {
                clean(
                    &format!("{name} {plant:?}, 1 kill, {lack}"),
                    Scenario { absent, forgets: true, ..Scenario::new(&bodies, plant, 1) },
                );
            }
        }
    }
}

#[test]
fn three_processes() {
    let triples: [(&str, [Body; 3]); 8] = [
        ("CCC", [C, C, C]),
        ("ACC", [A, C, C]),
        ("AAC", [A, A, C]),
        ("AAA", [A, A, A]),
        ("ACF", [A, C, F]),
        ("AAF", [A, A, F]),
        ("CFF", [C, F, F]),
        ("ACI", [A, C, I]),
    ];
    for (name, bodies) in triples {
        clean(&format!("{name} Bare, 2 kills"), Scenario { forgets: true, ..Scenario::new(&bodies, Plant::Bare, 2) });
    }
    for plant in [Plant::Ours, Plant::Emptied] {
        for (name, bodies) in [("AAC", [A, A, C]), ("ACF", [A, C, F])] {
            clean(&format!("{name} {plant:?}, 1 kill"), Scenario { forgets: true, ..Scenario::new(&bodies, plant, 1) });
        }
    }
}

#[test]
fn reused_numbers() {
    for plant in [Plant::Bare, Plant::Ours, Plant::Nothing] {
        for (name, bodies) in [("AA", [A, A]), ("AC", [A, C]), ("AF", [A, F])] {
            let scenario = Scenario::new(&bodies, plant, 1);
            clean(&format!("{name} {plant:?}, 1 kill, PID reused"), Scenario { reuses: 1, ..scenario.clone() });
            clean(&format!("{name} {plant:?}, 1 kill, inode numbers reused"), Scenario { reuse_numbers: true, ..scenario });
        }
    }
}

#[test]
fn a_waiter_always_gets_in() {
    let (unordered, unnoted) = (STEADFAST_ABSENT_OFDLOCK, STEADFAST_ABSENT_OFDLOCK | STEADFAST_ABSENT_INOTIFY);
    let lacks = [
        ("all there", 0),
        ("no queue", unordered),
        ("no queue, inotify", unnoted),
        ("no queue, inotify, pidfd", unnoted | STEADFAST_ABSENT_PIDFD),
    ];
    for (lack, absent) in lacks {
        let pairs: [(&str, [Body; 2], Plant); 4] = [
            ("WA", [W, A], Plant::Bare),
            ("WF", [W, F], Plant::Nothing),
            ("WC", [W, C], Plant::Ours),
            ("WW", [W, W], Plant::Bare),
        ];
        for (name, bodies, plant) in pairs {
            // Two that poll have many states.
            let kills = if name == "WW" && absent & STEADFAST_ABSENT_INOTIFY != 0 { 0 } else { 1 };
            let scenario = Scenario { absent, forgets: true, ..Scenario::new(&bodies, plant, kills) };
            clean(&format!("{name} {plant:?}, kills: {kills}, {lack}"), scenario);
        }
    }
}

/// An owner without its flock is an owner as long as it lives.
#[test]
fn a_daemon_that_closed_everything_is_not_robbed() {
    for (name, bodies) in [("DA", [D, A]), ("DC", [D, C]), ("DI", [D, I])] {
        for (lack, absent) in [("all there", 0), ABSENT[0], ABSENT[2]] {
            let scenario = Scenario { absent, forgets: true, ..Scenario::new(&bodies, Plant::Nothing, 2) };
            clean(&format!("{name} Nothing, 2 kills, {lack}"), scenario);
        }
    }
    clean("DAC Ours, 1 kill", Scenario { forgets: true, ..Scenario::new(&[D, A, C], Plant::Ours, 1) });
}

/// Alone with a stale lock, one gets it: also when the number in it has become one's own.
#[test]
fn a_stale_lock_is_taken_at_once() {
    for plant in PLANTS {
        for (lack, absent) in [("all there", 0), ABSENT[0], ABSENT[1], ABSENT[2], ABSENT[3]] {
            clean(&format!("T {plant:?}, {lack}"), Scenario { absent, ..Scenario::new(&[T], plant, 1) });
            // Without the attribute, and in a foreign record, nothing tells that the number is another's.
            if plant != Plant::Bare && (plant == Plant::Nothing || absent & STEADFAST_ABSENT_XATTR == 0) {
                let scenario = Scenario { absent, own_number: true, ..Scenario::new(&[T], plant, 1) };
                clean(&format!("T {plant:?}, own number, {lack}"), scenario);
            }
        }
    }
}

#[test]
fn a_lost_lock_is_not_released() {
    clean("RA Nothing, lock removed by hand", Scenario::new(&[R, A], Plant::Nothing, 1));
    clean("RAA Nothing, lock removed by hand", Scenario { forgets: true, ..Scenario::new(&[R, A, A], Plant::Nothing, 0) });
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

#[test]
fn mutants_are_killed() {
    use Violation::{Robbed, TwoHolders};
    let two = |label: &str, bodies: &[Body], plant, kills| {
        let scenario = Scenario::new(bodies, plant, kills);
        killed(label, Scenario { only: Some(TwoHolders), ..scenario }, TwoHolders);
    };
    two("check and unlink", &[take_check_unlink, take_check_unlink], Plant::Bare, 0);
    two("rename and unlink (the seed's)", &[take_rename_unlink, take_rename_unlink], Plant::Bare, 0);
    two("rename, verify, put back", &[take_put_back, take_put_back, take_put_back], Plant::Bare, 0);
    two("identity checked before liveness", &[clean_identity_first, F, F, F], Plant::Nothing, 0);
    two("no flock while cleaning", &[clean_without_flock, C, A, A], Plant::Bare, 0);
    two("flock given up before the removal", &[clean_unlocks_early, C, A, A], Plant::Bare, 0);
    two("an empty file taken for stale", &[clean_empty, F, F], Plant::Nothing, 0);
    two("release without comparing", &[release_blindly, A, A], Plant::Nothing, 0);
    let robbed = |label: &str, bodies: &[Body], plant| {
        killed(label, Scenario { only: Some(Robbed), ..Scenario::new(bodies, plant, 0) }, Robbed);
    };
    robbed("check and unlink against ours", &[clean_check_unlink, A, C], Plant::Bare);
    robbed("rename and unlink against ours", &[clean_rename_unlink, A, C], Plant::Bare);
    robbed("identity checked before liveness", &[clean_identity_first, F, A], Plant::Nothing);
    // The shipped routines, on a kernel that takes one of their steps away.
    let lying = |label: &str, bodies: &[Body], plant, lie, by: Violation| {
        let absent = if lie == Lie::Deaf { STEADFAST_ABSENT_OFDLOCK } else { 0 };
        let forgets = lie == Lie::Deaf;
        let scenario = Scenario { lie: Some(lie), absent, forgets, only: Some(by.clone()), ..Scenario::new(bodies, plant, 0) };
        killed(&format!("ours, {label}"), scenario, by);
    };
    lying("its flock without effect", &[C, A, A], Plant::Bare, Lie::Flock, TwoHolders);
    lying("its comparison without effect", &[C, C, A, A], Plant::Bare, Lie::Name, TwoHolders);
    lying("its comparison without effect", &[C, C, A], Plant::Bare, Lie::Name, Robbed);
    lying("its check of the owner without effect", &[C, F], Plant::Nothing, Lie::Dead, Robbed);
    lying("its check of the owner without effect", &[A, F], Plant::Nothing, Lie::Dead, TwoHolders);
    lying("its watch and pidfd without effect", &[W, A], Plant::Nothing, Lie::Deaf, Violation::Stuck);
    println!("explorer: 17 of 17 mutants killed");
}

#[test]
fn fake_and_real_directory_in_lockstep() {
    const SEED: u64 = 0x5eed;
    let mut compared = 0;
    let mut schedules = 0;
    let pairs: [[Body; 2]; 5] = [[A, A], [A, C], [A, F], [C, F], [R, A]];
    for (tag, bodies) in pairs.iter().enumerate() {
        for absent in [0, STEADFAST_ABSENT_O_TMPFILE, STEADFAST_ABSENT_O_TMPFILE | STEADFAST_ABSENT_RENAMEAT2] {
            let scenario = Scenario { absent, ..Scenario::new(bodies, Plant::Nothing, 2) };
            let found = Explorer::new(scenario).lockstep(tag as u64 * 16 + u64::from(absent), 60, SEED + tag as u64);
            assert!(found.violation.is_none(), "{:?}", found.violation);
            compared += found.compared;
            schedules += found.schedules;
        }
    }
    assert!(compared > 10_000, "only {compared} results compared");
    println!("explorer: lock-step with a real directory: {schedules} schedules, {compared} results equal, seed {SEED:#x}");
}

/// STEADFAST_SOAK=SECONDS: bounds that take too long for every run, as deep as the time allows.
#[test]
fn deeper_when_asked() {
    let Some(seconds) = std::env::var("STEADFAST_SOAK").ok().and_then(|text| text.parse::<u64>().ok()) else {
        println!("SKIPPED: deeper bounds of the explorer, set STEADFAST_SOAK=SECONDS");
        return;
    };
    let end = std::time::Instant::now() + Duration::from_secs(seconds);
    let shallow: [(&str, &[Body], u32, u32); 8] = [
        ("AAF", &[A, A, F], 2, 0),
        ("ACF", &[A, C, F], 2, 1),
        ("AAC", &[A, A, C], 2, 0),
        ("AAF", &[A, A, F], 2, 1),
        ("AACF", &[A, A, C, F], 1, 0),
        ("WAF", &[W, A, F], 1, 0),
        ("AAA", &[A, A, A], 1, 1),
        ("AAAC", &[A, A, A, C], 1, 0),
    ];
    for (name, bodies, kills, reuses) in shallow {
        for plant in [Plant::Bare, Plant::Ours] {
            let left = end.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                println!("explorer: {name} {plant:?}, {kills} kills, {reuses} reuses: NOT BEGUN, the time is over");
                continue;
            }
            let scenario = Scenario { forgets: true, reuses, ..Scenario::new(bodies, plant, kills) };
            let found = report(&format!("{name} {plant:?}, {kills} kills, {reuses} reuses"), scenario, left);
            assert!(found.violation.is_none(), "{name}: {:?}\n  {}", found.violation, found.trace.join("\n  "));
        }
    }
}
