//! What is known to be wrong must be found out: the shipped routines on a kernel that takes a step of an alternating save away.

use super::super::world::Lie;
use super::alternate::{FOUR, L, S, THREE, Y, state};
use super::*;
use steadfast::status::{STEADFAST_E_DIGEST, STEADFAST_RECOVERED};

#[test]
fn alternating_mutants_are_killed() {
    let lying = |label: &str, bodies: &[Body], saves, kills, lie: &'static [Lie], by: Violation| {
        let only = (by == Violation::WonTwice).then(|| by.clone());
        let scenario = Scenario { lies: lie, only, ..state(bodies, saves, kills, true) };
        killed(&format!("alternating, {label}"), scenario, by);
    };
    let recovered = Violation::WrongAnswer(format!("load returned {STEADFAST_RECOVERED}"));
    let damaged = Violation::WrongAnswer(format!("load returned {STEADFAST_E_DIGEST}"));
    lying("the flock on the older file instead of PATH", &[S, S], THREE, 0, &[Lie::OlderFlocked], Violation::Older);
    lying("no flock", &[Y, Y], THREE, 0, &[Lie::Flock], Violation::WonTwice);
    lying("the newer file overwritten", &[S, L], THREE, 1, &[Lie::NewerWritten], Violation::Older);
    lying("the newest not verified", &[S, S], FOUR, 2, &[Lie::Intended], damaged);
    lying("a reader that does not look again", &[S, L], THREE, 0, &[Lie::Unchanging, Lie::Idle], recovered.clone());
    lying("a reader that does not ask whether a saver is at work", &[S, L], THREE, 0, &[Lie::Idle], recovered);
}
