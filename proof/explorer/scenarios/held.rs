//! The flock of a holder outlives its descriptors, and is all that protects it from other PID namespaces.

use super::*;

/// A program that closes all its descriptors, at any moment in which no call of the library runs, keeps its lock, and
/// releases it; nothing of the program's own is touched, whatever has the numbers now.
#[test]
fn closing_all_descriptors_loses_nothing() {
    for (name, bodies) in [("AA", [A, A]), ("AC", [A, C]), ("AI", [A, I]), ("AF", [A, F]), ("EA", [E, A])] {
        for (numbers, refills) in [("closed", false), ("reused", true)] {
            for (lack, absent) in [("all there", 0), ("no mapping", STEADFAST_ABSENT_MAP), ABSENT[0], ABSENT[2]] {
                let scenario = Scenario { closes: 2, refills, absent, forgets: true, ..Scenario::new(&bodies, Plant::Ours, 1) };
                clean(&format!("{name} Ours, 1 kill, 2 closes, {numbers}, {lack}"), scenario);
            }
        }
    }
    let three = Scenario { closes: 1, refills: true, forgets: true, ..Scenario::new(&[A, A, C], Plant::Bare, 1) };
    clean("AAC Bare, 1 kill, 1 close, reused", three);
}

/// Processes of two PID namespaces, whose numbers mean nothing to each other, or somebody else.
#[test]
fn namespaces_see_the_flock_alone() {
    for (numbers, pids) in [("own numbers", &[][..]), ("the same numbers", &[101, 101, 101])] {
        for (name, bodies) in [("AA", [A, A]), ("AC", [A, C]), ("AI", [A, I])] {
            for plant in [Plant::Nothing, Plant::Bare, Plant::Ours, Plant::Emptied] {
                for (lack, absent) in [("all there", 0), ("no mapping", STEADFAST_ABSENT_MAP), ABSENT[0]] {
                    // Without a mapping the descriptor is the flock.
                    let closes = u32::from(absent & STEADFAST_ABSENT_MAP == 0);
                    // A minute for each of these.
                    if lack == ABSENT[0].0 && name == "AA" && !matches!(plant, Plant::Nothing) && !deep() {
                        continue;
                    }
                    let scenario =
                        Scenario { closes, absent, namespaces: &[1, 2], numbers: pids, ..Scenario::new(&bodies, plant, 2) };
                    clean(&format!("{name} {plant:?}, namespaces, {numbers}, 2 kills, {lack}"), scenario);
                }
            }
        }
        for (name, bodies) in [("AAC", [A, A, C]), ("ACI", [A, C, I])] {
            let scenario = Scenario {
                closes: 1,
                namespaces: &[1, 2, 0],
                numbers: pids,
                forgets: true,
                ..Scenario::new(&bodies, Plant::Ours, 1)
            };
            clean(&format!("{name} Ours, namespaces, {numbers}, 1 kill, 1 close"), scenario);
        }
    }
}
