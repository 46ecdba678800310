//! A paused endpoint gets nothing, and what becomes of its events is chosen when it is enabled again.

use domain::ledger::Order;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::answers::{attempt, later, waits};
use crate::lab::{Job, Lab, Wants};
use crate::service::{DELIVERED, FAILED};

const PAUSE: &str = "update endpoints set state = 'paused'";
const ENABLE: &str = "update endpoints set state = 'enabled'";

/// A paused endpoint, and the events of so many payments of three versions each, all parked.
async fn parked(lab: &Lab, payments: usize) -> (String, Vec<[domain::ids::EventId; 3]>) {
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, Wants::default()).await;
    lab.execute(PAUSE).await;
    let mut events = Vec::new();
    for _ in 0..payments {
        let payment = lab.payment(&merchant).await;
        let versions =
            [payment.event_id, lab.change(&payment, "processing").await, lab.change(&payment, "succeeded").await];
        for event_id in versions {
            assert!(waits(lab.service.open(event_id, "inv_1").await).is_empty());
        }
        events.push(versions);
    }
    (endpoint, events)
}

#[sqlx::test(migrations = "../../migrations")]
async fn its_events_are_parked_and_those_that_wait_are_parked_when_they_are_due(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let first = lab.service.open_one(lab.payment(&merchant).await.event_id, "inv_1").await;
    later(lab.service.record(&first, FAILED).await);
    lab.execute(PAUSE).await;
    let event_id = lab.payment(&merchant).await.event_id;
    assert!(waits(lab.service.open(event_id, "inv_2").await).is_empty());
    let row = lab.delivery(event_id).await;
    assert_eq!((row.state.as_str(), row.reason.as_deref()), ("parked", Some("endpoint_paused")));
    lab.execute("update deliveries set due_at = now() where state = 'pending'").await;
    crate::answers::stop(lab.service.next(first.delivery_id, 1, "inv_3").await);
    assert_eq!(lab.count("select count(*) from deliveries where reason = 'endpoint_paused'").await, 2);
    assert_eq!(lab.service.overdue_deliveries().await, [], "nothing goes on by itself");
    lab.execute(ENABLE).await;
    assert_eq!(lab.service.overdue_deliveries().await.len(), 2, "and all of it when the endpoint is enabled");
}

#[sqlx::test(migrations = "../../migrations")]
async fn all_of_it_is_sent(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (endpoint, _) = parked(&lab, 3).await;
    let job = lab.job(&endpoint, Job::Enable("all")).await;
    assert_eq!(lab.service.finish_jobs().await, [], "a job waits for its endpoint");
    lab.execute(ENABLE).await;
    assert_eq!(lab.service.overdue_deliveries().await, [], "it is the job's to do");
    let sent = lab.service.finish_jobs().await;
    assert_eq!((sent.len(), sent[0].claim), (9, 2));
    assert_eq!(lab.progress(&job).await, ("done".to_owned(), Some(9), 9, 0));
    attempt(lab.service.next(sent[0].delivery_id, 2, "inv_9").await);
}

#[sqlx::test(migrations = "../../migrations")]
async fn of_a_hundred_the_latest_of_each_object_is_sent(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (endpoint, events) = parked(&lab, 33).await;
    // Of one of them the last was given up before: what was parked before it is the latest that can be sent.
    let given_up = events.last().unwrap()[2].to_string();
    let sql = "update deliveries set state = 'exhausted', reason = 'schedule_used_up' where event_id = $1";
    sqlx::query(sql).bind(&given_up).execute(&lab.database).await.unwrap();
    let job = lab.job(&endpoint, Job::Enable("latest_per_object")).await;
    lab.execute(ENABLE).await;
    let sent = lab.service.finish_jobs().await;
    assert_eq!(sent.len(), 33, "one for each payment");
    assert_eq!(lab.progress(&job).await, ("done".to_owned(), Some(98), 98, 0));
    for [one, two, three] in events {
        let states = match three.to_string() == given_up {
            true => ["superseded", "pending", "exhausted"],
            false => ["superseded", "superseded", "pending"],
        };
        for (event_id, state) in [one, two, three].into_iter().zip(states) {
            assert_eq!(lab.delivery(event_id).await.state, state);
        }
    }
    assert_eq!(lab.service.overdue_deliveries().await, []);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_declined_stays_parked_until_somebody_has_it_resent(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (endpoint, events) = parked(&lab, 1).await;
    let job = lab.job(&endpoint, Job::Enable("none")).await;
    lab.execute(ENABLE).await;
    assert_eq!(lab.service.finish_jobs().await, []);
    assert_eq!(lab.progress(&job).await, ("done".to_owned(), Some(3), 3, 0));
    let row = lab.delivery(events[0][0]).await;
    assert_eq!((row.state.as_str(), row.reason.as_deref()), ("parked", Some("declined")));
    assert_eq!(lab.service.overdue_deliveries().await, [], "the sweep leaves it");
    lab.job(&endpoint, Job::Recover(&["parked"])).await;
    let sent = lab.service.finish_jobs().await;
    assert_eq!(sent.len(), 3);
    let again = attempt(lab.service.next(sent[0].delivery_id, sent[0].claim, "inv_9").await);
    lab.service.record(&again, DELIVERED).await;
    assert_eq!(lab.count("select count(*) from deliveries where state = 'delivered'").await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn where_the_latest_only_is_wanted_the_latest_of_what_was_parked_is_sent(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, Wants { order: Order::LatestOnly, ..Wants::default() }).await;
    lab.execute(PAUSE).await;
    let payment = lab.payment(&merchant).await;
    let later_one = lab.change(&payment, "processing").await;
    for event_id in [payment.event_id, later_one] {
        assert!(waits(lab.service.open(event_id, "inv_1").await).is_empty());
        assert_eq!(lab.delivery(event_id).await.state, "parked");
    }
    let job = lab.job(&endpoint, Job::Enable("all")).await;
    lab.execute(ENABLE).await;
    let sent = lab.service.finish_jobs().await;
    assert_eq!((sent.len(), lab.progress(&job).await), (1, ("done".to_owned(), Some(2), 2, 0)));
    assert_eq!(lab.delivery(payment.event_id).await.state, "superseded");
    let last = attempt(lab.service.next(sent[0].delivery_id, sent[0].claim, "inv_2").await);
    lab.service.record(&last, DELIVERED).await;
    assert_eq!(lab.delivery(later_one).await.state, "delivered");
    assert_eq!(lab.count("select count(*) from lines").await, 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn when_the_job_is_cancelled_the_rest_goes_on_by_itself(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (endpoint, _) = parked(&lab, 1).await;
    lab.job(&endpoint, Job::Enable("none")).await;
    lab.execute(ENABLE).await;
    lab.execute("update jobs set state = 'cancelled', ended_at = now()").await;
    assert_eq!(lab.service.finish_jobs().await, []);
    assert_eq!(lab.service.overdue_deliveries().await.len(), 3);
}
