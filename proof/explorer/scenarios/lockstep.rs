//! The fake file system beside a real one.

use super::alternate::state;
use super::*;

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
            assert!(found.violation.is_none(), "{:?}\n  {}", found.violation, found.trace.join("\n  "));
            compared += found.compared;
            schedules += found.schedules;
        }
    }
    assert!(compared > 10_000, "only {compared} results compared");
    println!("explorer: lock-step with a real directory: {schedules} schedules, {compared} results equal, seed {SEED:#x}");
}

#[test]
fn fake_and_real_state_in_lockstep() {
    const SEED: u64 = 0x5107;
    let mut compared = 0;
    let mut schedules = 0;
    let often: Body = alternating_thrice;
    let bodies: [&[Body]; 5] =
        [&[often, often], &[often, loading_twice], &[often, keeping], &[often, ordinary], &[often, swapping_in_turn]];
    for (tag, bodies) in bodies.into_iter().enumerate() {
        let found = Explorer::new(state(bodies, &[], 1, false)).lockstep(1000 + tag as u64, 60, SEED + tag as u64);
        assert!(found.violation.is_none(), "{:?}\n  {}", found.violation, found.trace.join("\n  "));
        compared += found.compared;
        schedules += found.schedules;
    }
    assert!(compared > 10_000, "only {compared} results compared");
    println!("explorer: a state in lock-step with a real one: {schedules} schedules, {compared} results equal, seed {SEED:#x}");
}
