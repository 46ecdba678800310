//! A test event goes to its endpoint alone, signed as all are, whatever the endpoint wants and in no line.

use domain::ids::EventId;
use domain::ledger::Order;
use domain::test_event;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::answers::{attempt, attempts, later, stop};
use crate::lab::{Lab, Wants, header, secret, signed_by};
use crate::service::{DELIVERED, FAILED};

impl Lab {
    /// As the portal writes it.
    async fn test_event(&self, endpoint_id: &str) -> EventId {
        let event_id: String = sqlx::query_scalar("select write_test_event($1)")
            .bind(endpoint_id)
            .fetch_one(&self.database)
            .await
            .unwrap();
        event_id.parse().unwrap()
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_test_goes_to_its_endpoint_alone_whatever_that_wants(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let tested = lab.endpoint(&merchant, Wants { event_types: &["refund.created"], ..Wants::default() }).await;
    lab.endpoint(&lab.merchant().await, Wants::default()).await;
    let event_id = lab.test_event(&tested).await;

    let made = lab.service.open_one(event_id, "inv_1").await;
    assert_eq!((made.delivery_id, made.in_line), (test_event::delivery_id(event_id), false));
    assert!(signed_by(&[secret().key()], &made.request));
    assert_eq!(header(&made.request, "webhook-id"), event_id.to_string());
    let mut body: Value = serde_json::from_str(&made.request.body).unwrap();
    for moment in ["timestamp", "observed_at"] {
        assert_eq!(body.as_object_mut().unwrap().remove(moment).unwrap().as_str().unwrap().len(), 27);
    }
    let expected = json!({
        "type": "everhook.test", "event_id": event_id, "event_version": 1, "object_version": 1,
        "data": {"endpoint_id": tested, "merchant_id": merchant},
    });
    assert_eq!(body, expected);
    let row = lab.delivery(event_id).await;
    assert_eq!((row.endpoint_id, row.state.as_str()), (tested, "pending"));

    assert_eq!(attempts(lab.service.open(event_id, "inv_2").await).len(), 0, "a duplicate ends as all do");
    lab.service.record(&made, DELIVERED).await;
    assert_eq!(lab.delivery(event_id).await.state, "delivered");
}

#[sqlx::test(migrations = "../../migrations")]
async fn tests_wait_for_nobody_and_supersede_nobody(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    for order in [Order::PerObject, Order::LatestOnly] {
        let tested = lab.endpoint(&merchant, Wants { order, ..Wants::default() }).await;
        let first = lab.service.open_one(lab.test_event(&tested).await, "inv_1").await;
        let second = lab.service.open_one(lab.test_event(&tested).await, "inv_2").await;
        later(lab.service.record(&first, FAILED).await);
        assert_eq!(stop(lab.service.record(&second, DELIVERED).await), domain::ledger::Stop::Ended);
        lab.execute("update deliveries set due_at = now()").await;
        let again = attempt(lab.service.next(first.delivery_id, 1, "inv_3").await);
        assert_eq!((again.attempt, again.in_line), (2, false));
        assert_eq!(lab.count("select count(*) from lines").await, 0);
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_test_whose_endpoint_is_gone_is_filtered(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let tested = lab.endpoint(&merchant, Wants { event_types: &["refund.created"], ..Wants::default() }).await;
    let event_id = lab.test_event(&tested).await;
    lab.execute(
        "update endpoints set state = 'disabled', disabled_reason = 'deleted', deleted_at = now()
         where event_types = '{refund.created}'",
    )
    .await;
    assert_eq!(attempts(lab.service.open(event_id, "inv_1").await).len(), 0);
    assert_eq!(lab.fan_out(event_id).await, Some(0));
}
