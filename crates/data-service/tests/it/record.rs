//! Results: a 2xx is kept whatever happened meanwhile, anything else only from the claim that made the attempt.

use std::time::Duration;

use domain::ledger::Stop;
use domain::outcome::{Failure, Outcome};
use domain::protocol::{Answer, Attempt, Exchange, Recorded};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::answers::{attempt, attempts, is_about, later, stop};
use crate::lab::{Lab, Logged, Row, Wants};
use crate::service::{DELIVERED, FAILED, result, strange_attempt};

/// An event for one endpoint, with its first attempt begun.
async fn begun(lab: &Lab) -> Attempt {
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let event_id = lab.payment(&merchant).await.event_id;
    lab.service.open_one(event_id, "inv_1").await
}

async fn row(lab: &Lab, attempt: &Attempt) -> Row {
    let event_id: String = sqlx::query_scalar("select event_id from deliveries where delivery_id = $1")
        .bind(attempt.delivery_id.to_string())
        .fetch_one(&lab.database)
        .await
        .unwrap();
    lab.delivery(event_id.parse().unwrap()).await
}

fn logged(number: i32, claim: i32, outcome: &str, status: i16) -> Logged {
    Logged { number, claim, outcome: outcome.to_owned(), status: Some(status) }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_2xx_ends_the_delivery_and_is_logged_once_however_often_it_comes(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let attempt = begun(&lab).await;
    assert_eq!(stop(lab.service.record(&attempt, DELIVERED).await), Stop::Ended);
    let ended_at = "select (extract(epoch from ended_at) * 1000000)::bigint from deliveries";
    let first = lab.count(ended_at).await;
    assert_eq!(stop(lab.service.record(&attempt, DELIVERED).await), Stop::Ended);
    assert_eq!(lab.count(ended_at).await, first, "it ended when it first was delivered");
    let row = row(&lab, &attempt).await;
    assert_eq!((row.state.as_str(), row.reason, row.owner, row.has_ended_at), ("delivered", None, None, true));
    assert_eq!(lab.log(attempt.delivery_id).await, [logged(1, 1, "delivered", 204)]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_2xx_is_kept_from_any_claim_and_in_any_state(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    for (claim, change) in [
        (1, "update deliveries set state = 'held' where state = 'pending'"),
        (1, "update deliveries set state = 'parked', reason = 'endpoint_disabled' where state = 'pending'"),
        (
            1,
            "update deliveries set state = 'exhausted', reason = 'schedule_used_up', ended_at = now()
             where state = 'pending'",
        ),
        (1, "update deliveries set state = 'superseded', ended_at = now() where state = 'pending'"),
        (
            1,
            "update deliveries set claim = 7, owner = null, begun_at = null, lease_until = null
             where state = 'pending'",
        ),
        (9, "update deliveries set claim = 7, attempts = 4, owner = 'inv_9' where state = 'pending'"),
    ] {
        let attempt = Attempt { claim, ..begun(&lab).await };
        assert_eq!(lab.execute(change).await, 1, "{change}");
        assert_eq!(stop(lab.service.record(&attempt, DELIVERED).await), Stop::Ended, "{change}");
        let row = row(&lab, &attempt).await;
        assert_eq!((row.state.as_str(), row.reason, row.owner, row.has_ended_at), ("delivered", None, None, true));
        assert_eq!(lab.log(attempt.delivery_id).await.len(), 1, "{change}");
        let after = lab.service.record(&attempt, FAILED).await;
        assert_eq!(stop(after), Stop::Ended, "{change}");
        assert_eq!(self::row(&lab, &attempt).await.state, "delivered", "{change}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_failed_attempt_is_tried_again_by_the_schedule_until_it_is_used_up(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let schedule_ms = Some(vec![0, 60_000, 3_600_000]);
    lab.endpoint(&merchant, Wants { schedule_ms, ..Wants::default() }).await;
    let event_id = lab.payment(&merchant).await.event_id;
    let mut made = lab.service.open_one(event_id, "inv_1").await;
    for (number, wait) in [(1, 60), (2, 3600)] {
        assert_eq!(made.attempt, number);
        let back = later(lab.service.record(&made, FAILED).await);
        assert_eq!((back.delivery_id, back.claim), (made.delivery_id, 1));
        assert!(is_about(back.delay_ms, Duration::from_secs(wait)), "{back:?}");
        let row = lab.delivery(event_id).await;
        assert_eq!((row.state.as_str(), row.owner), ("pending", None));
        #[expect(clippy::cast_precision_loss, reason = "an hour")]
        let due_in = back.delay_ms as f64 / 1000.0;
        assert!((row.due_in_s - due_in).abs() < 5.0, "due in {} s, answered {due_in} s", row.due_in_s);
        lab.execute("update deliveries set due_at = now()").await;
        made = attempt(lab.service.next(made.delivery_id, 1, "inv_2").await);
    }
    assert_eq!(stop(lab.service.record(&made, FAILED).await), Stop::Ended);
    let row = lab.delivery(event_id).await;
    assert_eq!((row.state.as_str(), row.reason.as_deref()), ("exhausted", Some("schedule_used_up")));
    assert!(row.has_ended_at && row.owner.is_none());
    let log: Vec<_> = (1..=3).map(|number| logged(number, 1, "status", 500)).collect();
    assert_eq!(lab.log(made.delivery_id).await, log);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_failure_that_comes_twice_is_logged_once_and_waits_on(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let attempt = begun(&lab).await;
    later(lab.service.record(&attempt, FAILED).await);
    let due = row(&lab, &attempt).await.due_in_s;
    let again = later(lab.service.record(&attempt, FAILED).await);
    // Whoever comes back early is told how long to wait: the schedule is not begun anew.
    assert_eq!(again.delay_ms, 100);
    assert!(row(&lab, &attempt).await.due_in_s <= due);
    assert_eq!(lab.log(attempt.delivery_id).await, [logged(1, 1, "status", 500)]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn retry_after_is_obeyed(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let attempt = begun(&lab).await;
    let busy = Outcome::Failed { reason: Failure::Busy, retry_after_ms: Some(7_200_000) };
    assert_eq!(later(lab.service.record(&attempt, busy).await).delay_ms, 7_200_000);
    assert!(row(&lab, &attempt).await.due_in_s > 7_000.0);
    assert_eq!(lab.log(attempt.delivery_id).await, [logged(1, 1, "busy", 500)]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_receiver_that_is_gone_disables_its_endpoint_and_parks_the_delivery(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let attempt = begun(&lab).await;
    assert_eq!(stop(lab.service.record(&attempt, Outcome::Gone).await), Stop::Ended);
    let row = row(&lab, &attempt).await;
    assert_eq!((row.state.as_str(), row.reason.as_deref()), ("parked", Some("endpoint_disabled")));
    assert_eq!(lab.log(attempt.delivery_id).await, [logged(1, 1, "gone", 410)]);
    let endpoint: (String, String) =
        sqlx::query_as("select state, disabled_reason from endpoints").fetch_one(&lab.database).await.unwrap();
    assert_eq!(endpoint, ("disabled".to_owned(), "disabled_by_receiver".to_owned()));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_receiver_may_take_an_event_and_want_no_further_one(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let attempt = begun(&lab).await;
    assert_eq!(stop(lab.service.record(&attempt, Outcome::Delivered { disable: true }).await), Stop::Ended);
    assert_eq!(row(&lab, &attempt).await.state, "delivered");
    assert_eq!(lab.count("select count(*) from endpoints where state = 'disabled'").await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_reason_that_somebody_gave_for_disabling_is_kept(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let attempt = begun(&lab).await;
    lab.execute("update endpoints set state = 'disabled', disabled_reason = 'by its owner'").await;
    lab.service.record(&attempt, Outcome::Gone).await;
    assert_eq!(lab.count("select count(*) from endpoints where disabled_reason = 'by its owner'").await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_receiver_may_refuse_one_message_for_good(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let attempt = begun(&lab).await;
    assert_eq!(stop(lab.service.record(&attempt, Outcome::Aborted).await), Stop::Ended);
    let row = row(&lab, &attempt).await;
    assert_eq!((row.state.as_str(), row.reason.as_deref()), ("exhausted", Some("aborted_by_receiver")));
    assert_eq!(lab.count("select count(*) from endpoints where state = 'enabled'").await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_result_of_an_unknown_delivery_is_answered_and_not_stored(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let nobody = strange_attempt("dlv_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap());
    for outcome in [DELIVERED, Outcome::Delivered { disable: true }, FAILED, Outcome::Gone, Outcome::Aborted] {
        assert_eq!(stop(lab.service.record(&nobody, outcome).await), Stop::Unknown);
    }
    assert_eq!(lab.count("select count(*) from attempts").await, 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_stale_claim_s_failure_changes_nothing(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let attempt = begun(&lab).await;
    lab.execute("update deliveries set claim = 2").await;
    let before = row(&lab, &attempt).await;
    for outcome in [FAILED, Outcome::Aborted] {
        assert_eq!(stop(lab.service.record(&attempt, outcome).await), Stop::StaleClaim);
    }
    let after = row(&lab, &attempt).await;
    assert_eq!(Row { due_in_s: before.due_in_s, ..after }, before);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_earlier_attempt_s_late_failure_does_not_end_the_later_one(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let first = begun(&lab).await;
    let second = attempt(lab.service.next(first.delivery_id, 1, "inv_1").await);
    assert_eq!(second.attempt, 2);
    assert_eq!(later(lab.service.record(&first, FAILED).await).delay_ms, 100);
    let row = row(&lab, &first).await;
    assert_eq!((row.attempts, row.owner.as_deref()), (2, Some("inv_1")));
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_batch_may_hold_several_results_of_one_delivery(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let (a, b) = (begun(&lab).await, begun(&lab).await);
    let mut left = vec![result(&a, FAILED), result(&b, FAILED), result(&a, DELIVERED), result(&a, DELIVERED)];
    let mut rounds = 0;
    while !left.is_empty() {
        rounds += 1;
        assert!(rounds < 10, "{left:?} are still not answered");
        let answers = lab.service.record_all(&left).await;
        assert_eq!(answers.len(), left.len());
        let mut answers = answers.into_iter();
        left.retain(|_| matches!(answers.next(), Some(Answer::Failed)));
    }
    assert_eq!(row(&lab, &a).await.state, "delivered");
    assert_eq!(row(&lab, &b).await.state, "pending");
    assert_eq!(lab.log(b.delivery_id).await, [logged(1, 1, "status", 500)]);
}

/// While 30 deliveries are taken over again and again, their results arrive.
#[sqlx::test(migrations = "../../migrations")]
async fn a_take_over_and_a_result_at_the_same_time_lose_nothing(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let mut made = Vec::new();
    for _ in 0..30 {
        let event_id = lab.payment(&merchant).await.event_id;
        made.extend(attempts(lab.service.open(event_id, "inv_1").await));
    }
    lab.execute("update deliveries set due_at = now() - interval '1 day'").await;
    let (to_deliver, to_fail) = made.split_at(15);
    let other = lab.another().await;
    let take_over = async {
        for _ in 0..5 {
            other.overdue().await;
            lab.execute("update deliveries set due_at = now() - interval '1 day' where state = 'pending'").await;
        }
    };
    let record = async |results: &[Attempt], outcome: domain::outcome::Outcome| {
        let mut left: Vec<_> = results.iter().map(|attempt| result(attempt, outcome.clone())).collect();
        let mut rounds = 0;
        while !left.is_empty() {
            rounds += 1;
            assert!(rounds < 100, "{left:?} are still not answered");
            let mut answers = lab.service.record_all(&left).await.into_iter();
            left.retain(|_| matches!(answers.next(), Some(Answer::Failed)));
        }
    };
    futures_util::future::join3(take_over, record(to_deliver, DELIVERED), record(to_fail, FAILED)).await;
    let delivered = "select count(*) from deliveries where state = 'delivered' and owner is null";
    assert_eq!(lab.count(delivered).await, 15);
    assert_eq!(lab.count("select count(*) from deliveries where state = 'pending'").await, 15);
    assert_eq!(lab.count("select count(*) from attempts where outcome = 'delivered'").await, 15);
}

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Seen {
    address: Option<String>,
    connect_ms: Option<i32>,
    first_byte_ms: Option<i32>,
    response_headers: Option<String>,
    response_body: Option<Vec<u8>>,
    /// Whether the next attempt is written down as due when it is due.
    next_is_due: Option<bool>,
}

async fn seen(lab: &Lab) -> Vec<Seen> {
    sqlx::query_as(
        "select a.address, a.connect_ms, a.first_byte_ms, a.response_headers, a.response_body,
            a.next_at = d.due_at as next_is_due
         from attempts a join deliveries d using (delivery_id) order by a.number, a.recorded_at",
    )
    .fetch_all(&lab.database)
    .await
    .unwrap()
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_was_seen_of_an_attempt_is_logged_with_the_time_of_the_next(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let first = begun(&lab).await;
    let exchange = Exchange {
        address: Some("2001:db8::7".parse().unwrap()),
        connect_ms: Some(12),
        first_byte_ms: Some(34),
        response_headers: Some("content-type: text/html\nx: \0\n".to_owned()),
        response_body: b"<h1>\0\xff".to_vec(),
    };
    let failed = Recorded { exchange, ..result(&first, FAILED) };
    later(lab.service.record_all(&[failed]).await.remove(0));
    let expected = Seen {
        address: Some("2001:db8::7".to_owned()),
        connect_ms: Some(12),
        first_byte_ms: Some(34),
        response_headers: Some("content-type: text/html\nx: \u{fffd}\n".to_owned()),
        response_body: Some(b"<h1>\0\xff".to_vec()),
        next_is_due: Some(true),
    };
    assert_eq!(seen(&lab).await, [expected]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_record_of_an_older_consumer_is_logged_without_what_it_does_not_say(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let first = begun(&lab).await;
    let mut older = serde_json::to_value(result(&first, DELIVERED)).unwrap();
    older.as_object_mut().unwrap().remove("exchange").unwrap();
    let reply = lab.service.post("/internal/record", &[older]).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let nothing = Seen {
        address: None,
        connect_ms: None,
        first_byte_ms: None,
        response_headers: None,
        response_body: None,
        next_is_due: None,
    };
    assert_eq!(seen(&lab).await, [nothing]);
}
