//! The ledger protocol in all its worlds: two versions of an object, one endpoint, Restate's invocations, a sweep, a
//! merchant, and a bounded number of mishaps in every order and at every moment. `domain::ledger` itself is run.
//!
//! What it found is in docs/architecture.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod effects;
mod offers;
mod planted;
mod progress;
mod properties;
mod protocol;
mod rules;
mod transactions;
mod world;

use std::time::Instant;

use properties::Example;
use protocol::{Kind, Protocol};
use rules::Rules;
use stateright::{Checker, HasDiscoveries, Model};

/// Two versions in order, with every kind of mishap.
fn ordered(mishaps: u8) -> Protocol {
    Protocol {
        rules: Rules::new(2),
        is_ordered: true,
        is_latest: false,
        versions: 2,
        mishaps,
        kinds: Kind::ALL.to_vec(),
        has_sweep: true,
        properties: properties::always(),
    }
}

/// Two versions of which the latest only is wanted, with every kind of mishap.
fn latest(mishaps: u8) -> Protocol {
    Protocol { is_latest: true, ..ordered(mishaps) }
}

/// As [`latest`], but only workers and connections fail.
fn latest_without_sweep(mishaps: u8) -> Protocol {
    Protocol { is_latest: true, ..without_sweep(mishaps) }
}

/// As [`ordered`] or [`latest`], where the endpoint's gate may keep an attempt waiting. Whoever waits there has begun
/// nothing, so an answer may tell of them once more: two invocations may have one claim, which costs a question.
fn gated(gate: Kind, is_latest: bool, mishaps: u8) -> Protocol {
    let mut protocol = Protocol { is_latest, ..ordered(mishaps) };
    protocol.kinds.push(gate);
    protocol.properties.retain(|property| property.name != properties::ONE_ANSWER);
    protocol
}

/// As [`ordered`], but only workers and connections fail: what is left must need no sweep.
fn without_sweep(mishaps: u8) -> Protocol {
    let mut protocol = Protocol { kinds: Kind::OF_WORKERS.to_vec(), has_sweep: false, ..ordered(mishaps) };
    protocol.properties.push(properties::one_owner());
    protocol
}

/// As [`ordered`], but only with what makes a delivery change hands.
fn around_the_sweep(mishaps: u8) -> Protocol {
    let kinds = vec![Kind::Crash, Kind::Split, Kind::Gone, Kind::TakeOver, Kind::Slow, Kind::Pause, Kind::Wipe];
    Protocol { kinds, ..ordered(mishaps) }
}

/// As [`ordered`], but only workers die and the power fails.
fn with_cuts(mishaps: u8) -> Protocol {
    let mut protocol = Protocol { kinds: vec![Kind::Crash, Kind::PowerCut], ..ordered(mishaps) };
    protocol.properties.push(properties::one_owner());
    protocol
}

/// One delivery on its own, as where no order is wanted.
fn alone(mishaps: u8) -> Protocol {
    Protocol { is_ordered: false, versions: 1, rules: Rules::new(3), ..ordered(mishaps) }
}

/// As [`alone`], but nothing is sent twice.
fn alone_and_once(mishaps: u8) -> Protocol {
    let mut protocol = alone(mishaps);
    protocol.kinds.retain(|kind| *kind != Kind::TwiceSent);
    protocol.properties.push(properties::one_owner());
    protocol
}

/// Goes through every world, and says how many there are.
fn explore(name: &str, mut protocol: Protocol, examples: &[Example]) {
    let shown = properties::sometimes().into_iter().filter(|(example, _)| examples.contains(example));
    protocol.properties.extend(shown.map(|(_, property)| property));
    let began = Instant::now();
    // Breadth first shows a short way to a failure.
    let checker = protocol.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    report(name, &checker, began);
}

fn report(name: &str, checker: &impl Checker<Protocol>, began: Instant) {
    let (states, steps) = (checker.unique_state_count(), checker.state_count());
    eprintln!("{name}: {states} states, {steps} steps, depth {}, {:?}", checker.max_depth(), began.elapsed());
    checker.assert_properties();
}

#[test]
fn two_versions_in_order_survive_any_two_mishaps() {
    let examples = [Example::TakenOver, Example::Resumed, Example::Exhausted, Example::Repeated, Example::Held];
    explore("two versions in order, two mishaps", ordered(2), &examples);
}

#[test]
fn where_only_workers_fail_nobody_needs_the_sweep() {
    let examples = [Example::Exhausted, Example::Repeated, Example::Held];
    explore("two versions in order, three failures of workers, no sweep", without_sweep(3), &examples);
}

#[test]
fn of_two_versions_the_latest_survives_any_two_mishaps() {
    let examples = [Example::TakenOver, Example::Resumed, Example::Exhausted, Example::Held, Example::Superseded];
    explore("two versions, the latest only, two mishaps", latest(2), &examples);
}

#[test]
fn where_only_workers_fail_the_latest_needs_no_sweep() {
    let examples = [Example::Held, Example::Superseded, Example::Repeated];
    explore("two versions, the latest only, three failures of workers, no sweep", latest_without_sweep(3), &examples);
}

#[test]
fn whoever_waits_at_the_endpoint_s_gate_survives_any_two_mishaps() {
    for (name, gate) in [("a gate", Kind::Gate), ("a gate that closes", Kind::ClosedGate)] {
        let (ordered, latest) = (gated(gate, false, 2), gated(gate, true, 2));
        explore(&format!("two versions in order, with {name}, two mishaps"), ordered, &[Example::Held]);
        explore(&format!("two versions, the latest only, with {name}, two mishaps"), latest, &[Example::Superseded]);
    }
}

#[test]
fn a_power_cut_makes_no_claim_forgotten() {
    explore(
        "two versions in order, four crashes and power cuts",
        with_cuts(4),
        &[Example::Exhausted, Example::Repeated],
    );
}

#[test]
fn a_delivery_alone_survives_any_three_mishaps() {
    let examples = [Example::TakenOver, Example::Resumed, Example::Exhausted, Example::Repeated, Example::Resent];
    explore("one delivery, three mishaps", alone(3), &examples);
}

#[test]
fn a_claim_has_one_invocation_unless_it_is_sent_twice() {
    explore("one delivery, three mishaps, nothing sent twice", alone_and_once(3), &[]);
}

#[test]
#[ignore = "22 million states: takes minutes"]
fn two_versions_in_order_survive_three_mishaps_around_the_sweep() {
    let began = Instant::now();
    // Depth first keeps few worlds in memory.
    let checker = around_the_sweep(3).checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
    report("two versions in order, three mishaps around the sweep", &checker, began);
}
