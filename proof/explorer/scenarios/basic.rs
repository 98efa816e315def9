//! Takers, cleaners, waiters and other programs, on an ordinary file system.

use super::*;

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
