//! Who owns it now, what it waits for, and the next moment.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Lab;
use crate::ledger::{delivery, payment};

#[sqlx::test(migrations = "../../migrations")]
async fn a_payment_tells_of_its_events_their_deliveries_and_their_attempts(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let created = lab.pay(1).await;
    lab.route(&created, &[1, 2]).await;
    lab.deliver(1, &created, "delivered", None, 9).await;
    lab.deliver(2, &created, "pending", None, 9).await;
    lab.execute(
        "insert into attempts (attempt_id, delivery_id, claim, number, began_at, duration_ms, outcome, status, detail)
         values ('att_00000000000000000000000000000001', 'dlv_00000000000000000000000000000001', 1, 1, now(), 12,
                 'delivered', 204, null),
             ('att_00000000000000000000000000000002', 'dlv_00000000000000000000000000000002', 1, 1, now(), null,
                 'connect_refused', null, 'connection refused');
         update attempts set address = '203.0.113.7', next_at = now() + interval '5 s' where outcome = 'connect_refused';
         update deliveries set attempts = 2 where delivery_id = 'dlv_00000000000000000000000000000002';
         update payments set status = 'processing'",
    )
    .await;
    lab.begin(2, 20).await;
    insta::assert_json_snapshot!("why_payment", lab.get(&format!("/why/{}", payment(1))).await.shown());
    insta::assert_json_snapshot!("why_event", lab.get(&format!("/why/{created}")).await.shown());
    insta::assert_json_snapshot!("why_delivery", lab.get(&format!("/why/{}", delivery(1))).await.shown());
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_parked_delivery_says_why_its_endpoint_is_disabled(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await.with_endpoint().await;
    let event = lab.pay(1).await;
    lab.route(&event, &[1]).await;
    lab.deliver(1, &event, "parked", Some("endpoint_disabled"), 9).await;
    lab.execute("update endpoints set state = 'disabled', disabled_reason = 'disabled_by_receiver'").await;
    let why = lab.get(&format!("/why/{}", delivery(1))).await;
    assert_eq!(
        why.text("answer"),
        "delivery dlv_00000000000000000000000000000001 is parked: endpoint ep_00000000000000000000000000000001 is \
         disabled (disabled_by_receiver); enable the endpoint and the delivery goes on"
    );
    assert_eq!(
        why.body["events"][0]["deliveries"][0]["waits_for"],
        "ep_00000000000000000000000000000001 to be enabled"
    );
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_that_only_a_parked_record_names_is_known_as_such(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    lab.execute(
        "insert into parked_records (parked_id, reason, value, event_id)
         values ('prk_00000000000000000000000000000001', 'unknown_event', 'x', 'evt_00000000000000000000000000000001')",
    )
    .await;
    insta::assert_json_snapshot!("why_unknown", lab.get("/why/evt_00000000000000000000000000000001").await.shown());
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_unknown_id_is_not_found(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let mut shown = Vec::new();
    for id in ["pay", "evt", "dlv", "mer"] {
        shown.push(lab.get(&format!("/why/{id}_00000000000000000000000000000001")).await.shown());
    }
    shown.push(lab.get("/why/7").await.shown());
    insta::assert_json_snapshot!("why_not_found", shown);
}
