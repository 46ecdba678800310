//! An endpoint that wants the object as it was committed with the event, beside one that wants it as it is now.

use domain::ids::EventId;
use domain::protocol::Attempt;
use domain::time::Timestamp;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::answers::{attempt, attempts, later};
use crate::lab::{Lab, Payment, Wants};
use crate::service::FAILED;

/// Two endpoints of one merchant, the second of which wants payments as committed, and a payment.
async fn start(pool: PgPoolOptions, connect: PgConnectOptions) -> (Lab, Payment) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let payment = lab.payment(&merchant).await;
    lab.endpoint(&merchant, Wants { schedule_ms: Some(vec![0, 0]), ..Wants::default() }).await;
    let change =
        "update endpoints set payload = 'as_committed', url = url || '-committed' where schedule_ms is not null";
    assert_eq!(lab.execute(change).await, 1);
    (lab, payment)
}

/// The attempts at the first and at the second endpoint.
async fn open(lab: &Lab, event_id: EventId) -> [Attempt; 2] {
    let mut made = attempts(lab.service.open(event_id, "inv_1").await);
    made.sort_by_key(|attempt| attempt.request.url.ends_with("-committed"));
    made.try_into().unwrap()
}

async fn bodies(lab: &Lab, event_id: EventId) -> [Value; 2] {
    open(lab, event_id).await.map(|attempt| body(&attempt))
}

fn body(attempt: &Attempt) -> Value {
    serde_json::from_str(&attempt.request.body).unwrap()
}

fn versions(body: &Value) -> (&Value, &Value, &Value, &Value) {
    (&body["event_version"], &body["object_version"], &body["data"]["version"], &body["data"]["status"])
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_old_event_shows_the_object_as_it_is_or_as_it_was(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (lab, payment) = start(pool, connect).await;
    lab.change(&payment, "processing").await;
    let last = lab.change(&payment, "succeeded").await;

    let [fresh, committed] = bodies(&lab, payment.event_id).await;
    assert_eq!(versions(&fresh), (&json!(1), &json!(3), &json!(3), &json!("succeeded")));
    assert_eq!(versions(&committed), (&json!(1), &json!(1), &json!(1), &json!("pending")));
    assert_eq!((fresh.get("payload"), &committed["payload"]), (None, &json!("as_committed")));
    let names = |body: &Value| body["data"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&committed), names(&fresh), "the object has one form");
    assert_eq!(committed["observed_at"], committed["timestamp"], "it was so when it was committed");
    for moment in ["created_at", "updated_at"] {
        assert_eq!(committed["data"][moment].as_str().unwrap().parse::<Timestamp>().unwrap().to_string().len(), 27);
    }
    let [fresh, committed] = bodies(&lab, last).await;
    assert_eq!(versions(&fresh), versions(&committed), "nothing has changed since");
    assert_eq!(fresh["data"], committed["data"]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_later_attempt_still_shows_it_as_it_was(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (lab, payment) = start(pool, connect).await;
    let [_, first] = open(&lab, payment.event_id).await;
    lab.change(&payment, "processing").await;
    later(lab.service.record(&first, FAILED).await);
    lab.execute("update deliveries set due_at = now()").await;
    let second = attempt(lab.service.next(first.delivery_id, 1, "inv_2").await);
    assert_eq!((second.attempt, body(&second)), (2, body(&first)));
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_was_too_large_to_be_kept_is_sent_fresh_and_the_body_says_so(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let (lab, payment) = start(pool, connect).await;
    lab.execute("update domain_events set snapshot = null").await;
    lab.change(&payment, "processing").await;
    let [fresh, committed] = bodies(&lab, payment.event_id).await;
    assert_eq!(versions(&committed), versions(&fresh));
    assert_eq!((fresh.get("payload"), &committed["payload"]), (None, &json!("fresh")));
    assert_eq!(committed["data"], fresh["data"]);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_payment_that_is_deleted_since_is_shown_as_it_was(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (lab, payment) = start(pool, connect).await;
    lab.execute("delete from payments").await;
    let [fresh, committed] = bodies(&lab, payment.event_id).await;
    assert_eq!((&fresh["data"]["deleted"], committed["data"].get("deleted")), (&json!(true), None));
    assert_eq!((&committed["data"]["version"], &committed["payload"]), (&json!(1), &json!("as_committed")));
}
