//! May the next attempt be made? An attempt, a wait, or a stop with its reason.

use std::time::Duration;

use domain::ledger::Stop;
use domain::protocol::{Answer, Ask, Attempt};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::answers::{attempt, is_about, later, stop};
use crate::lab::{Lab, Wants};
use crate::service::{DELIVERED, FAILED};

/// A delivery whose first attempt has failed and is recorded.
async fn failed_once(lab: &Lab) -> Attempt {
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let event_id = lab.payment(&merchant).await.event_id;
    let attempt = lab.service.open_one(event_id, "inv_1").await;
    later(lab.service.record(&attempt, FAILED).await);
    attempt
}

#[sqlx::test(migrations = "../../migrations")]
async fn before_its_time_a_delivery_waits_and_then_it_is_attempted(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let first = failed_once(&lab).await;
    let wait = later(lab.service.next(first.delivery_id, 1, "inv_2").await);
    assert_eq!((wait.delivery_id, wait.claim), (first.delivery_id, 1));
    assert!(wait.delay_ms > 3_000 && wait.delay_ms <= 5_500, "{wait:?}");
    lab.execute("update deliveries set due_at = clock_timestamp() + interval '90 ms'").await;
    let shortest = later(lab.service.next(first.delivery_id, 1, "inv_2").await);
    assert_eq!(shortest.delay_ms, 100);
    lab.execute("update deliveries set due_at = now()").await;
    let second = attempt(lab.service.next(first.delivery_id, 1, "inv_2").await);
    assert_eq!((second.delivery_id, second.claim, second.attempt), (first.delivery_id, 1, 2));
    assert_ne!(second.attempt_id, first.attempt_id);
    assert_eq!(second.request.headers[2], first.request.headers[2], "the webhook-id stays");
}

#[sqlx::test(migrations = "../../migrations")]
async fn there_is_a_reason_for_each_stop(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let unknown = "dlv_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap();
    assert_eq!(stop(lab.service.next(unknown, 1, "inv_2").await), Stop::Unknown);

    let delivery_id = failed_once(&lab).await.delivery_id;
    lab.execute("update deliveries set due_at = now()").await;
    for wrong in [0, 2, u32::MAX] {
        assert_eq!(stop(lab.service.next(delivery_id, wrong, "inv_2").await), Stop::StaleClaim);
    }
    for state in [
        "update deliveries set state = 'held', reason = null",
        "update deliveries set state = 'parked', reason = 'no_secret'",
        "update deliveries set state = 'exhausted', reason = 'schedule_used_up'",
        "update deliveries set state = 'superseded', reason = null",
        "update deliveries set state = 'delivered', reason = null",
    ] {
        lab.execute(state).await;
        assert_eq!(stop(lab.service.next(delivery_id, 1, "inv_2").await), Stop::Ended, "{state}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn while_an_attempt_is_under_way_another_invocation_waits_for_its_lease(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let delivery_id = failed_once(&lab).await.delivery_id;
    lab.execute("update deliveries set due_at = now()").await;
    attempt(lab.service.next(delivery_id, 1, "inv_2").await);
    let wait = later(lab.service.next(delivery_id, 1, "inv_3").await);
    // 15 s for the whole POST, and 5 s beyond.
    assert!(wait.delay_ms > 15_000 && wait.delay_ms <= 20_000, "{wait:?}");
    assert_eq!(lab.log(delivery_id).await.len(), 1, "nothing was closed");

    lab.execute("update deliveries set lease_until = now()").await;
    let third = attempt(lab.service.next(delivery_id, 1, "inv_3").await);
    assert_eq!(third.attempt, 3);
    let log = lab.log(delivery_id).await;
    assert_eq!((log[1].number, log[1].outcome.as_str()), (2, "unknown"));
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_attempt_that_dies_again_and_again_uses_the_schedule_up(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants { schedule_ms: Some(vec![0, 0, 60_000]), ..Wants::default() }).await;
    let event_id = lab.payment(&merchant).await.event_id;
    let delivery_id = lab.service.open_one(event_id, "inv_1").await.delivery_id;
    assert_eq!(attempt(lab.service.next(delivery_id, 1, "inv_1").await).attempt, 2);
    let wait = later(lab.service.next(delivery_id, 1, "inv_1").await);
    assert!(is_about(wait.delay_ms, Duration::from_secs(60)), "{wait:?}");
    lab.execute("update deliveries set due_at = now()").await;
    assert_eq!(attempt(lab.service.next(delivery_id, 1, "inv_1").await).attempt, 3);
    assert_eq!(stop(lab.service.next(delivery_id, 1, "inv_1").await), Stop::Ended);
    let row = lab.delivery(event_id).await;
    assert_eq!((row.state.as_str(), row.reason.as_deref()), ("exhausted", Some("schedule_used_up")));
    assert_eq!(lab.log(delivery_id).await.len(), 3);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_disabled_endpoint_parks_what_was_to_be_attempted(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let delivery_id = failed_once(&lab).await.delivery_id;
    lab.execute("update deliveries set due_at = now()").await;
    lab.execute("update endpoints set state = 'disabled', disabled_reason = 'by its owner'").await;
    assert_eq!(stop(lab.service.next(delivery_id, 1, "inv_2").await), Stop::Ended);
    let parked = "select count(*) from deliveries where state = 'parked' and reason = 'endpoint_disabled'
        and attempts = 1 and claim = 1";
    assert_eq!(lab.count(parked).await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_batch_with_the_same_delivery_twice_begins_it_once(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let delivery_id = failed_once(&lab).await.delivery_id;
    lab.execute("update deliveries set due_at = now()").await;
    let ask = |invocation: &str| Ask { delivery_id, claim: 1, invocation_id: invocation.to_owned(), busy: Vec::new() };
    let answers = lab.service.next_all(&[ask("inv_2"), ask("inv_3")]).await;
    let begun = answers.iter().filter(|answer| matches!(answer, Answer::Attempt(_))).count();
    assert_eq!((answers.len(), begun), (2, 1), "{answers:?}");
    assert_eq!(lab.count("select attempts::bigint from deliveries").await, 2);
}

/// From two processes at once: a delivery is begun by one of them.
#[sqlx::test(migrations = "../../migrations")]
async fn of_two_processes_exactly_one_begins_an_attempt(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let other = lab.another().await;
    for _ in 0..20 {
        let delivery_id = failed_once(&lab).await.delivery_id;
        lab.execute("update deliveries set due_at = now()").await;
        let (a, b) =
            futures_util::future::join(lab.service.next(delivery_id, 1, "inv_2"), other.next(delivery_id, 1, "inv_3"))
                .await;
        let begun = [&a, &b].iter().filter(|answer| matches!(answer, Answer::Attempt(_))).count();
        assert_eq!(begun, 1, "{a:?} and {b:?}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_delivered_one_is_never_begun_again(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let first = failed_once(&lab).await;
    lab.service.record(&first, DELIVERED).await;
    lab.execute("update deliveries set due_at = now()").await;
    assert_eq!(stop(lab.service.next(first.delivery_id, 1, "inv_2").await), Stop::Ended);
}
