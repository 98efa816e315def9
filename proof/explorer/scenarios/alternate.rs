//! States whose two files take turns: savers of all kinds beside each other, and beside readers.

use super::super::ledger::{HEADER, Save};
use super::*;
use std::ops::Range;

/// The first line; then the header's numbers and a part of the payload; then the rest. So the header is torn, and then whole, before
/// the payload is.
pub(super) const PIECES: [Range<usize>; 3] = [0..128, 128..2048, 2048..4096];
/// The end first: the payload is torn under a header that is whole, the old one.
const BACKWARDS: [Range<usize>; 3] = [2048..4096, 128..2048, 0..128];

/// What was saved before: nothing; one file; two that are not written in place yet; then PATH.prev, and then PATH, is the newer.
const NOTHING: &[u32] = &[];
const ONE: &[u32] = &[TURNS; 1];
const TWO: &[u32] = &[TURNS; 2];
pub(super) const THREE: &[u32] = &[TURNS; 3];
pub(super) const FOUR: &[u32] = &[TURNS; 4];

/// Savers and a loader.
pub(super) const S: Body = alternating;
const S2: Body = alternating_twice;
const S3: Body = alternating_thrice;
const O: Body = ordinary;
const K: Body = keeping;
const X: Body = swapping;
pub(super) const Y: Body = swapping_in_turn;
pub(super) const L: Body = loading;
const L2: Body = loading_twice;

pub(super) fn state(bodies: &[Body], saves: &'static [u32], kills: u32, counts: bool) -> Scenario {
    let state = State { saves, counts, pieces: &PIECES, halves: false };
    Scenario { state: Some(state), ..Scenario::new(bodies, Plant::Nothing, kills) }
}

fn halved(scenario: Scenario) -> Scenario {
    Scenario { state: scenario.state.map(|state| State { halves: true, ..state }), ..scenario }
}

fn backwards(scenario: Scenario) -> Scenario {
    Scenario { state: scenario.state.map(|state| State { pieces: &BACKWARDS, ..state }), ..scenario }
}

#[test]
fn a_payload_is_in_every_piece() {
    let (one, other) = (Save { slot: 0, nth: 0 }.payload(), Save { slot: 1, nth: 0 }.payload());
    let last = PIECES.last().unwrap().start - HEADER;
    assert_ne!(one[last..], other[last..]);
}

/// One ordinary save.
const ORDINARY: &[u32] = &[0];

/// Files that are there already when it begins, and which of them is the newer.
const BEGUN: [(&str, &[u32]); 2] = [("PATH.prev newer", THREE), ("PATH newer", FOUR)];

#[test]
fn alternating_savers() {
    for (begun, saves) in BEGUN {
        clean(&format!("SS, {begun}, 2 kills"), state(&[S, S], saves, 2, true));
        clean(&format!("SS twice each, {begun}, 2 kills"), state(&[S2, S2], saves, 2, true));
        clean(&format!("SSS, {begun}, 2 kills"), state(&[S, S, S], saves, 2, true));
    }
}

/// Until two files are there, and while the first of them is made, they are ordinary savers.
#[test]
fn the_first_saves() {
    for (begun, saves) in [("nothing", NOTHING), ("one file", ONE), ("two that were not written in place", TWO)] {
        clean(&format!("SS, {begun}, 2 kills"), state(&[S, S], saves, 2, false));
        clean(&format!("SL, {begun}, 2 kills"), state(&[S, L], saves, 2, false));
        clean(&format!("YY, {begun}, 2 kills"), state(&[Y, Y], saves, 2, false));
    }
    clean("SS twice each, one file, 1 kill", state(&[S2, S2], ONE, 1, false));
}

/// A saver that has seen an ordinary state, and so waits for nobody, may be late: by then it alternates.
#[test]
fn a_late_ordinary_saver() {
    clean("OS three times, O late, 2 kills", state(&[late_ordinary, S3], ORDINARY, 2, false));
    clean("XS three times, an ordinary state, 1 kill", state(&[X, S3], ORDINARY, 1, false));
    if deep() {
        clean("OS three times, an ordinary state, 1 kill", state(&[O, S3], ORDINARY, 1, false));
        clean("KS twice, an ordinary state, 1 kill", state(&[K, S2], ORDINARY, 1, false));
    }
}

/// It must not take away what was written in place after it had looked.
#[test]
fn a_late_keeping_saver() {
    clean("KS three times, K late, 2 kills", state(&[late_keeping, S3], ORDINARY, 2, false));
}

#[test]
fn beside_a_reader() {
    for (begun, saves) in BEGUN {
        clean(&format!("SL, {begun}, 2 kills"), state(&[S, L], saves, 2, true));
        clean(&format!("SL, {begun}, 2 kills, read in halves"), halved(state(&[S, L], saves, 2, true)));
    }
    clean("SL, S twice, PATH newer, 2 kills", state(&[S2, L], FOUR, 2, true));
    clean("SL, L twice, PATH newer, 2 kills", state(&[S, L2], FOUR, 2, true));
    clean("SSL, PATH newer, 2 kills", state(&[S, S, L], FOUR, 2, true));
    if deep() {
        for (begun, saves) in BEGUN {
            clean(&format!("SL twice each, {begun}, 2 kills"), state(&[S2, L2], saves, 2, true));
        }
        clean("SSL, PATH.prev newer, 2 kills", state(&[S, S, L], THREE, 2, true));
        clean("SSL, PATH newer, 2 kills, read in halves", halved(state(&[S, S, L], FOUR, 2, true)));
    }
}

#[test]
fn beside_ordinary_savers() {
    for (name, other) in [("O", O), ("K", K)] {
        for (begun, saves) in BEGUN {
            clean(&format!("S{name}, {begun}, 2 kills"), state(&[S, other], saves, 2, false));
            clean(&format!("SS{name}, {begun}, 2 kills"), state(&[S, S, other], saves, 2, false));
        }
        clean(&format!("S{name}L, PATH newer, 2 kills"), state(&[S, other, L], FOUR, 2, false));
        if deep() {
            clean(&format!("S{name}L, PATH.prev newer, 2 kills"), state(&[S, other, L], THREE, 2, false));
        }
    }
}

#[test]
fn beside_compare_and_swap() {
    let pairs: [(&str, [Body; 2]); 5] = [("SX", [S, X]), ("SY", [S, Y]), ("XX", [X, X]), ("YY", [Y, Y]), ("XY", [X, Y])];
    for (begun, saves) in BEGUN {
        for (name, bodies) in pairs {
            clean(&format!("{name}, {begun}, 2 kills"), state(&bodies, saves, 2, true));
        }
    }
}

#[test]
fn the_payload_is_torn_first() {
    clean("SS, backwards, 2 kills", backwards(state(&[S, S], THREE, 2, true)));
    clean("SL, backwards, 2 kills", backwards(state(&[S, L], THREE, 2, true)));
    clean("SSO, backwards, 2 kills", backwards(state(&[S, S, O], THREE, 2, false)));
    if deep() {
        clean("SKL, backwards, 2 kills", backwards(state(&[S, K, L], THREE, 2, false)));
    }
}
