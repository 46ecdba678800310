//! Whoever waits for the share of an endpoint, or for its circuit, stays on the ledger until somebody lets it in.

use std::time::Duration;

use domain::ledger::{Order, Stop};
use domain::outcome::Outcome;
use domain::protocol::{Answer, Attempt, Busy, Open, Recorded};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::answers::{attempt, is_about, later, stop, successors};
use crate::gates::{fail, openings, parts};
use crate::lab::{Job, Lab, Wants};
use crate::service::{DELIVERED, FAILED, result};

/// Those who stay, and nobody was told of.
const AT_GATE: &str = "select count(*) from deliveries where at_gate and due_at > now() + interval '1 min'";
const KEPT_OUT: &str = "select count(*) from gates where kept_out_at is not null";
const NOTHING_MOVES: &str = "update gates set let_in_at = now() - interval '3 s'";

/// Opens so many, of which all stay that are above the share: the consumer says that it has `busy` in flight.
async fn above_the_share(lab: &Lab, merchant: &str, endpoint: &str, busy: u32, count: usize) -> Vec<Attempt> {
    let busy = vec![Busy { endpoint_id: endpoint.parse().unwrap(), attempts: busy }];
    let items: Vec<Open> =
        openings(lab, merchant, count).await.into_iter().map(|item| Open { busy: busy.clone(), ..item }).collect();
    let (begun, waiting) = parts(lab.service.open_all(&items).await);
    assert_eq!(waiting, [], "nobody has a time to come back at");
    begun
}

async fn record_beside(lab: &Lab, attempt: &Attempt, outcome: Outcome, in_flight: u32) -> Answer {
    lab.service.record_all(&[Recorded { in_flight, ..result(attempt, outcome) }]).await.remove(0)
}

#[sqlx::test(migrations = "../../migrations")]
async fn above_the_share_they_stay_and_each_success_lets_one_or_two_in(pool: PgPoolOptions, connect: PgConnectOptions) {
    for order in [Order::Any, Order::PerObject] {
        let lab = Lab::start(pool.clone(), connect.clone()).await;
        let merchant = lab.merchant().await;
        let endpoint = lab.endpoint(&merchant, Wants { order, ..Wants::default() }).await;
        let begun = above_the_share(&lab, &merchant, &endpoint, 94, 20).await;
        // Those in lines come to the gate one by one, and what the consumer says of itself is all that is known of it.
        let expected = if order == Order::Any { 6 } else { 20 };
        assert_eq!(begun.len(), expected, "{order:?}: the share is 100");
        if order == Order::PerObject {
            lab.execute("truncate gates").await;
            above_the_share(&lab, &merchant, &endpoint, 100, 14).await;
        }
        assert_eq!((lab.count(AT_GATE).await, lab.count(KEPT_OUT).await), (14, 1), "{order:?}");

        let mut let_in = Vec::new();
        for ((number, in_flight), room) in [100, 99, 98, 5].into_iter().enumerate().zip([0, 1, 2, 2]) {
            let answer = record_beside(&lab, &begun[number], DELIVERED, in_flight).await;
            let more = successors(answer);
            assert_eq!(more.len(), room, "{order:?}, beside {in_flight}");
            let_in.extend(more);
        }
        assert_eq!(lab.count(AT_GATE).await, 9, "{order:?}");
        let oldest = "select count(*) from deliveries where at_gate
            and delivery_id < (select max(delivery_id) from deliveries where attempts = 0 and not at_gate)";
        assert_eq!(lab.count(oldest).await, 0, "{order:?}: those who have waited longest go first");
        for (number, one) in let_in.iter().enumerate() {
            assert_eq!((one.claim, one.delay_ms), (1, 0), "nobody else has the claim");
            let attempt = attempt(lab.service.next(one.delivery_id, 1, &format!("inv_{}", 40 + number)).await);
            assert_eq!(attempt.attempt, 1, "it has used up nothing of its schedule");
        }
        let [own, next] = successors(record_beside(&lab, &begun[5], FAILED, 5).await)[..] else {
            panic!("one is let in")
        };
        assert_eq!(
            (own.delivery_id, next.delay_ms),
            (begun[5].delivery_id, 0),
            "{order:?}: a failure frees its own place"
        );
        assert!(is_about(own.delay_ms, Duration::from_secs(5)), "{own:?}");
        assert_eq!(lab.count(AT_GATE).await, 8, "{order:?}");
        lab.execute("update deliveries set at_gate = false").await;
        lab.execute("truncate gates").await;
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_asked_for_all_at_once_keeps_to_the_share(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let items = openings(&lab, &merchant, 150).await;
    let mut begun = Vec::new();
    for half in items.chunks(75) {
        // The consumer has none of them in flight yet, and says so.
        begun.extend(parts(lab.service.open_all(half).await).0);
    }
    assert_eq!((begun.len(), lab.count(AT_GATE).await), (100, 50));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_circuit_is_tried_by_one_at_a_time_and_a_success_lets_the_others_in(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    fail(&lab, &merchant, 10).await;
    let items = openings(&lab, &merchant, 4).await;
    let (begun, waiting) = parts(lab.service.open_all(&items).await);
    assert_eq!((begun.len(), waiting.len(), lab.count(AT_GATE).await), (0, 0, 4));
    let delivery = lab.delivery(items[0].event_id).await;
    assert_eq!((delivery.state.as_str(), delivery.attempts), ("pending", 0), "no attempt of its schedule is used");
    assert_eq!(lab.service.finish_jobs().await, [], "it is not the time to try");

    for outcome in [FAILED, DELIVERED] {
        lab.execute("update gates set probe_at = now()").await;
        lab.execute(NOTHING_MOVES).await;
        let tries = lab.service.finish_jobs().await;
        assert_eq!(tries.len(), 1, "the reconciler sends one");
        let probe = attempt(lab.service.next(tries[0].delivery_id, tries[0].claim, "inv_20").await);
        lab.execute(NOTHING_MOVES).await;
        assert_eq!(lab.service.finish_jobs().await, [], "the probe's answer is waited for");
        let answer = record_beside(&lab, &probe, outcome.clone(), 0).await;
        match outcome {
            Outcome::Delivered { .. } => assert_eq!(successors(answer).len(), 2),
            _ => drop(later(answer)),
        }
    }
    let healed = "select count(*) from gates where failures = 0 and failing_since is null and probe_at is null";
    assert_eq!((lab.count(healed).await, lab.count(AT_GATE).await), (1, 0));
}

#[sqlx::test(migrations = "../../migrations")]
async fn where_nothing_moves_the_reconciler_lets_one_in_until_nobody_is_left(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, Wants::default()).await;
    above_the_share(&lab, &merchant, &endpoint, 100, 2).await;
    for left in [1, 0] {
        lab.execute(NOTHING_MOVES).await;
        assert_eq!(lab.service.finish_jobs().await.len(), 1);
        assert_eq!(lab.service.finish_jobs().await, [], "it has just let one in");
        assert_eq!(lab.count(AT_GATE).await, left);
    }
    lab.execute(NOTHING_MOVES).await;
    lab.service.finish_jobs().await;
    assert_eq!(lab.count(KEPT_OUT).await, 1, "somebody may have been told to stay who is not written yet");
    lab.execute("update gates set kept_out_at = now() - interval '11 s', let_in_at = now() - interval '3 s'").await;
    // As if they had been let in just now, however long the lines above took.
    lab.execute("update deliveries set due_at = now() + interval '3 s'").await;
    assert_eq!(lab.service.finish_jobs().await, [], "both are on their way");
    assert_eq!(lab.count(KEPT_OUT).await, 1);
    lab.execute("update deliveries set due_at = now()").await;
    lab.execute(NOTHING_MOVES).await;
    assert_eq!(lab.service.finish_jobs().await.len(), 1, "one has not come: whoever was told of it has died");
    lab.execute("update deliveries set at_gate = false").await;
    lab.execute(NOTHING_MOVES).await;
    lab.service.finish_jobs().await;
    assert_eq!(lab.count(KEPT_OUT).await, 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn whoever_stays_may_ask_again_and_is_overdue_in_the_end(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, Wants::default()).await;
    let busy = vec![Busy { endpoint_id: endpoint.parse().unwrap(), attempts: 100 }];
    let item = openings(&lab, &merchant, 1).await.remove(0);
    lab.service.open_all(&[Open { busy: busy.clone(), ..item.clone() }]).await;
    assert_eq!(lab.count("select (extract(epoch from due_at - now()) / 60)::bigint from deliveries").await, 60);
    // The same invocation, which died before it had the answer.
    let (begun, waiting) = parts(lab.service.open_all(&[Open { busy, ..item.clone() }]).await);
    assert_eq!((begun.len(), waiting.len(), lab.count(AT_GATE).await), (1, 0, 0), "there is room by now");
    assert_eq!(stop(lab.service.record(&begun[0], DELIVERED).await), Stop::Ended);

    above_the_share(&lab, &merchant, &endpoint, 100, 1).await;
    assert_eq!(lab.service.overdue_deliveries().await, []);
    lab.execute("update deliveries set due_at = now() - interval '6 min'").await;
    let taken = lab.service.overdue_deliveries().await;
    assert_eq!((taken.len(), taken[0].claim, lab.count(AT_GATE).await), (1, 2, 0));
}

#[sqlx::test(migrations = "../../migrations")]
async fn whoever_stays_at_an_endpoint_that_takes_nothing_any_more_is_parked(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, Wants::default()).await;
    above_the_share(&lab, &merchant, &endpoint, 100, 3).await;
    lab.execute("update endpoints set state = 'paused'").await;
    let sent = lab.service.finish_jobs().await;
    assert_eq!(sent.len(), 3);
    for one in &sent {
        assert_eq!(stop(lab.service.next(one.delivery_id, one.claim, "inv_20").await), Stop::Ended);
    }
    let parked = "select count(*) from deliveries where state = 'parked' and reason = 'endpoint_paused'";
    assert_eq!(lab.count(parked).await, 3);
    lab.execute("update endpoints set state = 'enabled'").await;
    lab.job(&endpoint, Job::Recover(&["parked"])).await;
    assert_eq!(lab.service.finish_jobs().await.len(), 3, "nothing of them is lost");
}
