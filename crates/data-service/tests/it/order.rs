//! An endpoint that wants the events of a payment in the order of its versions: nobody overtakes, nobody is forgotten.

use std::time::Duration;

use domain::ids::EventId;
use domain::ledger::Order;
use domain::outcome::Outcome;
use domain::protocol::Attempt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::answers::{attempt, attempts, later, stop, successors};
use crate::lab::{Lab, PATIENCE, Payment, Wants};
use crate::service::{DELIVERED, FAILED};

const LINES: &str = "select count(*) from lines";

/// A payment of a merchant with one such endpoint, in three versions.
async fn three_versions(lab: &Lab) -> (Payment, [EventId; 3]) {
    versions_for(lab, in_order()).await
}

async fn versions_for(lab: &Lab, wants: Wants) -> (Payment, [EventId; 3]) {
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, wants).await;
    let payment = lab.payment(&merchant).await;
    let events = [payment.event_id, lab.change(&payment, "processing").await, lab.change(&payment, "succeeded").await];
    (payment, events)
}

fn latest_only() -> Wants {
    Wants { order: Order::LatestOnly, ..Wants::default() }
}

fn in_order() -> Wants {
    Wants { order: Order::PerObject, ..Wants::default() }
}

async fn state(lab: &Lab, event_id: EventId) -> (String, i32, i32) {
    let row = lab.delivery(event_id).await;
    (row.state, row.claim, row.attempts)
}

/// What a successor was told: it asks, and gets its attempt.
async fn go_on(lab: &Lab, told: Vec<domain::protocol::Later>, invocation_id: &str) -> Attempt {
    let [told] = told.try_into().expect("one successor");
    attempt(lab.service.next(told.delivery_id, told.claim, invocation_id).await)
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_later_version_waits_until_the_earlier_one_has_ended(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (_, [one, two, three]) = three_versions(&lab).await;
    let first = lab.service.open_one(one, "inv_1").await;
    assert!(first.in_line);
    for (event_id, invocation) in [(two, "inv_2"), (three, "inv_3")] {
        assert!(attempts(lab.service.open(event_id, invocation).await).is_empty(), "it would overtake");
        assert_eq!(state(&lab, event_id).await, ("held".to_owned(), 1, 0));
    }
    assert_eq!(lab.count("select cardinality(delivery_ids)::bigint from lines").await, 3);

    later(lab.service.record(&first, FAILED).await);
    assert_eq!(state(&lab, two).await.0, "held", "a failed attempt is no end");
    lab.execute("update deliveries set due_at = now() where state = 'pending'").await;
    let again = attempt(lab.service.next(first.delivery_id, 1, "inv_4").await);
    let told = successors(lab.service.record(&again, DELIVERED).await);
    assert_eq!(state(&lab, two).await, ("pending".to_owned(), 2, 0));
    assert_eq!(state(&lab, three).await.0, "held");

    let second = go_on(&lab, told, "inv_5").await;
    let third = go_on(&lab, successors(lab.service.record(&second, DELIVERED).await), "inv_6").await;
    assert_eq!(stop(lab.service.record(&third, DELIVERED).await), domain::ledger::Stop::Ended);
    assert_eq!(lab.count(LINES).await, 0, "a line goes with the last who stands in it");
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_that_comes_first_brings_the_earlier_ones_along(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (_, [one, two, three]) = three_versions(&lab).await;
    let first = lab.service.open_one(three, "inv_3").await;
    assert_eq!(lab.delivery(one).await.delivery_id, first.delivery_id.to_string());
    assert_eq!((state(&lab, two).await.0, state(&lab, three).await.0), ("held".to_owned(), "held".to_owned()));
    assert!(attempts(lab.service.open(one, "inv_1").await).is_empty(), "somebody else has it");

    // The invocation dies before its POST, and asks again: it gets what it has begun, whichever event that is of.
    let again = lab.service.open_one(three, "inv_3").await;
    assert_eq!((again.delivery_id, again.attempt), (first.delivery_id, 2));
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_answer_that_is_lost_tells_of_the_successor_again(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (_, [one, two, _]) = three_versions(&lab).await;
    let first = lab.service.open_one(one, "inv_1").await;
    lab.service.open(two, "inv_2").await;
    let told = successors(lab.service.record(&first, DELIVERED).await);
    assert_eq!(successors(lab.service.record(&first, DELIVERED).await), told, "the same claim, so that both may go");
    assert_eq!(successors(lab.service.next(first.delivery_id, 1, "inv_1").await), told);
    let second = go_on(&lab, told, "inv_4").await;
    assert_eq!(stop(lab.service.record(&first, DELIVERED).await), domain::ledger::Stop::Ended, "it goes already");
    successors(lab.service.record(&second, DELIVERED).await);
}

#[sqlx::test(migrations = "../../migrations")]
async fn whatever_ends_a_delivery_lets_the_next_one_go(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (_, [one, two, three]) = three_versions(&lab).await;
    let first = lab.service.open_one(one, "inv_1").await;
    lab.service.open(two, "inv_2").await;
    lab.service.open(three, "inv_3").await;
    let second = go_on(&lab, successors(lab.service.record(&first, Outcome::Aborted).await), "inv_4").await;
    assert_eq!(state(&lab, one).await.0, "exhausted");
    // 410 disables the endpoint: the delivery is parked, and so is each that is told it may go.
    let told = successors(lab.service.record(&second, Outcome::Gone).await);
    assert_eq!(state(&lab, two).await.0, "parked");
    assert_eq!(stop(lab.service.next(told[0].delivery_id, told[0].claim, "inv_5").await), domain::ledger::Stop::Ended);
    assert_eq!(state(&lab, three).await.0, "parked");
    assert_eq!(lab.count(LINES).await, 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_that_is_resumed_takes_its_place_again(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (_, [one, two, _]) = three_versions(&lab).await;
    lab.execute("update endpoints set state = 'disabled', disabled_reason = 'by the test'").await;
    assert!(attempts(lab.service.open(one, "inv_1").await).is_empty());
    assert_eq!(state(&lab, one).await.0, "parked");
    lab.execute("update endpoints set state = 'enabled', disabled_reason = null").await;
    // Version 2 goes, since version 1 is parked; then version 1 is resumed, and version 2 fails.
    let second = lab.service.open_one(two, "inv_2").await;
    let resumed = lab.service.overdue_deliveries().await;
    assert_eq!(resumed.len(), 1);
    later(lab.service.record(&second, FAILED).await);
    lab.execute("update deliveries set due_at = now()").await;
    assert!(successors(lab.service.next(second.delivery_id, 1, "inv_3").await).is_empty());
    assert_eq!(state(&lab, two).await.0, "held", "version 1 has its place before it");
    let first = go_on(&lab, resumed, "inv_4").await;
    let told = successors(lab.service.record(&first, DELIVERED).await);
    assert_eq!(go_on(&lab, told, "inv_5").await.delivery_id, second.delivery_id);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_held_one_that_nobody_has_told_is_found_by_the_sweep(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start_with(pool, connect, crate::lab::PATIENCE).await;
    assert_eq!(PATIENCE.overdue, Duration::from_secs(300));
    let (_, [one, two, _]) = three_versions(&lab).await;
    let first = lab.service.open_one(one, "inv_1").await;
    lab.service.open(two, "inv_2").await;
    lab.execute("update deliveries set due_at = now() - interval '301 s' where state = 'held'").await;
    assert!(lab.service.overdue_deliveries().await.is_empty(), "somebody is before it");
    assert!(lab.delivery(two).await.due_in_s > -5.0, "it is not looked at with each sweep");
    // A row that ends behind the line's back, as a consumer of another version would record it.
    lab.execute(
        "update deliveries set state = 'delivered', owner = null, begun_at = null, lease_until = null
        where state = 'pending'",
    )
    .await;
    lab.execute("update deliveries set due_at = now() - interval '301 s' where state = 'held'").await;
    let told = lab.service.overdue_deliveries().await;
    assert_eq!(go_on(&lab, told, "inv_3").await.attempt, 1);
    assert_eq!(state(&lab, two).await, ("pending".to_owned(), 2, 1));
    assert_eq!(first.attempt, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn other_payments_and_other_endpoints_are_not_held_up(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (payment, [one, two, _]) = three_versions(&lab).await;
    let merchant: String = sqlx::query_scalar("select merchant_id from payments where payment_id = $1")
        .bind(&payment.payment_id)
        .fetch_one(&lab.database)
        .await
        .unwrap();
    lab.endpoint(&merchant, Wants::default()).await;
    assert_eq!(attempts(lab.service.open(one, "inv_1").await).len(), 2);
    assert_eq!(attempts(lab.service.open(two, "inv_2").await).len(), 1, "the endpoint without order takes it at once");
    let other = lab.payment(&merchant).await;
    assert_eq!(attempts(lab.service.open(other.event_id, "inv_3").await).len(), 2);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_that_the_endpoint_does_not_want_holds_up_nobody(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants { event_types: &["payment.succeeded"], ..in_order() }).await;
    let payment = lab.payment(&merchant).await;
    lab.change(&payment, "processing").await;
    let three = lab.change(&payment, "succeeded").await;
    lab.service.open_one(three, "inv_3").await;
    assert_eq!(lab.fan_out(payment.event_id).await, Some(0), "routed along, and filtered");
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_latest_waits_for_what_is_under_way_and_replaces_what_waits(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let (_, [one, two, three]) = versions_for(&lab, latest_only()).await;
    let first = lab.service.open_one(one, "inv_1").await;
    lab.service.open(two, "inv_2").await;
    assert_eq!((state(&lab, one).await.0, state(&lab, two).await.0), ("pending".to_owned(), "held".to_owned()));
    lab.service.open(three, "inv_3").await;
    assert_eq!((state(&lab, two).await.0, state(&lab, three).await.0), ("superseded".to_owned(), "held".to_owned()));
    assert!(lab.delivery(two).await.has_ended_at);

    let told = successors(lab.service.record(&first, FAILED).await);
    assert_eq!(state(&lab, one).await.0, "superseded", "it is not tried again: a later one is there");
    let third = go_on(&lab, told, "inv_4").await;
    later(lab.service.record(&third, FAILED).await);
    lab.execute("update deliveries set due_at = now()").await;
    let again = attempt(lab.service.next(third.delivery_id, third.claim, "inv_5").await);
    successors(lab.service.record(&again, DELIVERED).await);
    assert_eq!(state(&lab, three).await.0, "delivered");
    assert_eq!(lab.count(LINES).await, 0);
    let told = successors(lab.service.record(&first, DELIVERED).await);
    assert!(told.is_empty());
    assert_eq!(state(&lab, one).await.0, "delivered", "a 2xx is kept from any state");
}

/// Of two versions, the first is begun, its invocation asks once more, and that attempt fails: whoever made the first attempt
/// may still be at it. The second attempt.
async fn one_in_doubt(lab: &Lab, one: EventId, two: EventId) -> Attempt {
    lab.service.open_one(one, "inv_1").await;
    lab.service.open(two, "inv_2").await;
    let again = lab.service.open_one(one, "inv_1").await;
    assert_eq!(again.attempt, 2, "it is sent again before the later one, for its first POST may still arrive");
    later(lab.service.record(&again, FAILED).await);
    assert_eq!((state(lab, one).await.0, state(lab, two).await.0), ("pending".to_owned(), "held".to_owned()));
    again
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_latest_does_not_replace_what_may_still_arrive(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (_, [one, two, three]) = versions_for(&lab, latest_only()).await;
    let in_doubt = one_in_doubt(&lab, one, two).await;
    lab.service.open(three, "inv_3").await;
    assert_eq!(state(&lab, one).await.0, "pending");
    assert_eq!((state(&lab, two).await.0, state(&lab, three).await.0), ("superseded".to_owned(), "held".to_owned()));
    lab.execute("update deliveries set due_at = now() where state = 'pending'").await;
    let again = attempt(lab.service.next(in_doubt.delivery_id, in_doubt.claim, "inv_4").await);
    let third = go_on(&lab, successors(lab.service.record(&again, DELIVERED).await), "inv_5").await;
    assert_eq!(third.delivery_id.to_string(), lab.delivery(three).await.delivery_id);
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_latest_replaces_what_can_t_arrive_any_more(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (_, [one, two, three]) = versions_for(&lab, latest_only()).await;
    one_in_doubt(&lab, one, two).await;
    lab.execute("update deliveries set due_at = now() + interval '1 h' where state = 'pending'").await;
    lab.execute("update deliveries set due_at = now() - interval '301 s' where state = 'held'").await;
    assert!(lab.service.overdue_deliveries().await.is_empty(), "it is still in doubt");
    lab.execute("update deliveries set doubt_until = doubt_until - interval '2 minutes'").await;
    lab.execute("update deliveries set due_at = now() - interval '301 s' where state = 'held'").await;
    let told = lab.service.overdue_deliveries().await;
    assert_eq!(state(&lab, one).await.0, "superseded", "the later one does not wait until it is due");
    let second = go_on(&lab, told, "inv_4").await;
    later(lab.service.record(&second, FAILED).await);
    lab.service.open(three, "inv_3").await;
    assert_eq!(state(&lab, two).await.0, "superseded");
}

#[sqlx::test(migrations = "../../migrations")]
async fn of_events_that_come_late_only_the_latest_is_sent(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (_, [one, two, three]) = versions_for(&lab, latest_only()).await;
    let third = lab.service.open_one(three, "inv_3").await;
    assert_eq!(lab.delivery(three).await.delivery_id, third.delivery_id.to_string());
    for event_id in [one, two] {
        assert_eq!(state(&lab, event_id).await, ("superseded".to_owned(), 1, 0));
        assert!(attempts(lab.service.open(event_id, "inv_1").await).is_empty());
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_was_parked_is_superseded_when_it_would_come_late(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (_, [one, two, three]) = versions_for(&lab, latest_only()).await;
    lab.execute("update endpoints set state = 'disabled', disabled_reason = 'by the test'").await;
    lab.service.open(one, "inv_1").await;
    lab.service.open(two, "inv_2").await;
    lab.execute("update endpoints set state = 'enabled', disabled_reason = null").await;
    let third = lab.service.open_one(three, "inv_3").await;
    successors(lab.service.record(&third, DELIVERED).await);
    assert!(lab.service.overdue_deliveries().await.is_empty(), "neither is resumed");
    for event_id in [one, two] {
        assert_eq!(state(&lab, event_id).await.0, "superseded");
    }
}
