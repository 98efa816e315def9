//! What is known to be wrong must be found out.

use super::super::mutants::*;
use super::super::world::Lie;
use super::*;

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
    let lying = |label: &str, bodies: &[Body], plant, lies: &'static [Lie], by: Violation| {
        let absent = if lies == [Lie::Deaf] { STEADFAST_ABSENT_OFDLOCK } else { 0 };
        let forgets = lies == [Lie::Deaf];
        let scenario = Scenario { lies, absent, forgets, only: Some(by.clone()), ..Scenario::new(bodies, plant, 0) };
        killed(&format!("ours, {label}"), scenario, by);
    };
    lying("its flock without effect", &[C, A, A], Plant::Bare, &[Lie::Flock, Lie::Probe], TwoHolders);
    lying("its comparison without effect", &[C, C, A, A], Plant::Bare, &[Lie::Name], TwoHolders);
    lying("its comparison without effect", &[C, C, A], Plant::Bare, &[Lie::Name], Robbed);
    lying("its check of the owner without effect", &[C, F], Plant::Nothing, &[Lie::Dead], Robbed);
    lying("its check of the owner without effect", &[A, F], Plant::Nothing, &[Lie::Dead], TwoHolders);
    lying("its watch and pidfd without effect", &[W, A], Plant::Nothing, &[Lie::Deaf], Violation::Stuck);
    println!("explorer: 17 of 17 mutants killed");
}
