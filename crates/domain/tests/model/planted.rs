//! Each bug is planted alone, and the model must name the rule that it breaks.

use std::collections::BTreeSet;

use stateright::{Checker, HasDiscoveries, Model};

use crate::properties::{
    ARRIVES_IN_ORDER, FINISHED, IN_ORDER, IN_TIME, KEPT, LATEST, NO_STALE_END, NOT_TWICE, ONE_AT_A_TIME, ONE_OWNER,
    RESENT, SCHEDULED, SOMEBODY, SUPERSEDED, WHOLE_SCHEDULE,
};
use crate::protocol::{Kind, Protocol};
use crate::rules::Bug;
use crate::{alone, alone_and_once, gated, latest, latest_without_sweep, ordered, with_cuts, without_sweep};

fn breaks(bug: Bug, mut protocol: Protocol, rule: &'static str) {
    protocol.rules.bug = Some(bug);
    let broken = HasDiscoveries::AnyOf(BTreeSet::from([rule]));
    let checker = protocol.checker().finish_when(broken).spawn_bfs().join();
    let path = checker.assert_any_discovery(rule);
    eprintln!("{bug:?} breaks \"{rule}\": {:?}", path.into_actions());
}

#[test]
fn a_stale_claim_that_records_is_found() {
    breaks(Bug::StaleClaimRecords, ordered(2), NO_STALE_END);
}

#[test]
fn a_2xx_that_is_dropped_because_the_delivery_is_parked_is_found() {
    breaks(Bug::ParkedDropsA2xx, ordered(2), KEPT);
}

#[test]
fn a_sweep_that_is_off_is_found() {
    breaks(Bug::SweepIsOff, ordered(1), SOMEBODY);
    breaks(Bug::SweepIsOff, ordered(1), FINISHED);
}

#[test]
fn an_attempt_that_is_begun_after_its_post_is_found() {
    breaks(Bug::BeginsAfterThePost, ordered(1), NOT_TWICE);
}

#[test]
fn a_repeated_answer_without_the_successor_is_found() {
    breaks(Bug::ReplayCarriesNoSuccessor, without_sweep(1), FINISHED);
}

#[test]
fn a_repeated_answer_that_raises_the_successor_s_claim_is_found() {
    breaks(Bug::ReplayRaisesTheClaim, without_sweep(2), FINISHED);
}

#[test]
fn a_release_under_the_old_claim_is_found() {
    breaks(Bug::ReleaseKeepsTheClaim, without_sweep(1), ONE_OWNER);
}

#[test]
fn a_take_over_under_the_old_claim_is_found() {
    breaks(Bug::TakeOverKeepsTheClaim, alone_and_once(1), ONE_OWNER);
}

#[test]
fn an_attempt_that_overtakes_a_resumed_one_is_found() {
    breaks(Bug::NextForgetsTheOrder, ordered(1), IN_ORDER);
}

#[test]
fn a_parked_delivery_that_a_power_cut_makes_forgotten_is_found() {
    breaks(Bug::OnlyRecordIsDurable, ordered(2), ARRIVES_IN_ORDER);
}

#[test]
fn a_claim_that_a_power_cut_makes_forgotten_is_found() {
    breaks(Bug::OnlyRecordIsDurable, with_cuts(3), ONE_OWNER);
}

#[test]
fn a_poisonous_answer_that_is_asked_for_again_and_again_is_found() {
    breaks(Bug::PoisonIsRepeated, alone(4), SCHEDULED);
}

#[test]
fn an_attempt_during_another_s_lease_is_found() {
    breaks(Bug::LeaseIsIgnored, alone(1), IN_TIME);
}

#[test]
fn an_attempt_before_it_is_due_is_found() {
    breaks(Bug::DueTimeIsIgnored, alone(1), IN_TIME);
}

#[test]
fn a_version_that_takes_the_place_of_one_under_way_is_found() {
    breaks(Bug::SupersedesWhatIsUnderWay, latest(1), ONE_AT_A_TIME);
}

#[test]
fn a_version_that_takes_the_place_of_one_that_may_be_under_way_is_found() {
    breaks(Bug::DoubtIsForgotten, latest(1), SUPERSEDED);
    breaks(Bug::DoubtIsForgotten, latest_without_sweep(1), SUPERSEDED);
}

#[test]
fn a_latest_version_that_gives_way_is_found() {
    breaks(Bug::TheLatestGivesWay, latest(1), LATEST);
}

#[test]
fn an_old_2xx_that_ends_a_resend_is_found() {
    breaks(Bug::OldNewsEndsTheResend, alone(2), RESENT);
}

#[test]
fn a_resend_that_forgets_the_2xx_is_found() {
    breaks(Bug::ResendForgetsThe2xx, alone(1), KEPT);
}

#[test]
fn a_resend_under_the_old_claim_is_found() {
    breaks(Bug::ResendKeepsTheClaim, alone_and_once(2), ONE_OWNER);
}

#[test]
fn a_resend_that_goes_on_with_the_old_schedule_is_found() {
    breaks(Bug::ResendKeepsTheSchedule, alone(1), WHOLE_SCHEDULE);
}

#[test]
fn a_gate_that_nobody_looks_after_is_found() {
    breaks(Bug::NobodyIsLetIn, gated(Kind::ClosedGate, false, 1), SOMEBODY);
}
