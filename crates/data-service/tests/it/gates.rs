//! What an endpoint lets through: its rate, and what failures do to it.

use domain::ledger::Order;
use domain::protocol::{Attempt, Later, Open, Opened};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::answers::{attempt, later, stop, waits};
use crate::lab::{Job, Lab, Wants};
use crate::service::{DELIVERED, FAILED, opening};

/// A lab with an endpoint that takes so many a second.
async fn limited(pool: PgPoolOptions, connect: PgConnectOptions, rate_limit: i32, wants: Wants) -> (Lab, String) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, wants).await;
    limit(&lab, rate_limit).await;
    (lab, merchant)
}

async fn limit(lab: &Lab, rate_limit: i32) {
    sqlx::query("update endpoints set rate_limit = $1").bind(rate_limit).execute(&lab.database).await.unwrap();
}

pub fn parts(opened: Vec<Opened>) -> (Vec<Attempt>, Vec<Later>) {
    let mut all = (Vec::new(), Vec::new());
    for opened in opened {
        match opened {
            Opened::Deliveries { attempts, later } => {
                all.0.extend(attempts);
                all.1.extend(later);
            }
            other => panic!("{other:?}"),
        }
    }
    all
}

pub async fn openings(lab: &Lab, merchant: &str, count: usize) -> Vec<Open> {
    let mut items = Vec::new();
    for n in 0..count {
        items.push(opening(lab.payment(merchant).await.event_id, &format!("inv_{n}")));
    }
    items
}

/// Fails deliveries one after the other.
pub async fn fail(lab: &Lab, merchant: &str, count: usize) -> Vec<Attempt> {
    let mut failed = Vec::new();
    for item in openings(lab, merchant, count).await {
        let attempt = lab.service.open_one(item.event_id, &item.invocation_id).await;
        later(lab.service.record(&attempt, FAILED).await);
        failed.push(attempt);
    }
    failed
}

const SLOTS: &str = "select (extract(epoch from slot_at - now()) * 1000)::bigint from deliveries
    where slot_at is not null order by slot_at";

#[sqlx::test(migrations = "../../migrations")]
async fn each_has_a_slot_of_the_rate_whoever_asks(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (lab, merchant) = limited(pool, connect, 10, Wants::default()).await;
    let items = openings(&lab, &merchant, 40).await;
    // By two processes, as two consumers may ask.
    let other = lab.another().await;
    let (first, second) = items.split_at(20);
    let (begun, waiting) = parts([lab.service.open_all(first).await, other.open_all(second).await].concat());
    // One leaves now, and after a quarter of a second one every 107 ms; those of the next second and a half are told now.
    assert!((12..=20).contains(&begun.len()) && begun.len() + waiting.len() == 40, "{}", begun.len());
    assert!(begun.iter().all(|attempt| attempt.slot.unwrap().starts_in_ms <= 1_500), "{begun:?}");
    let slots: Vec<i64> = sqlx::query_scalar(SLOTS).fetch_all(&lab.database).await.unwrap();
    assert_eq!(slots.len(), waiting.len());
    // Each batch is stored a moment after its slots were reserved, so the seam of the two may be off by that.
    let off = slots.windows(2).filter(|pair| (pair[1] - pair[0] - 107).abs() > 20);
    assert!(off.count() <= 1 && slots.is_sorted(), "{slots:?}");

    // Who comes back before its time waits on; in its time it leaves in its slot, and takes no other one.
    let last = waiting.iter().max_by_key(|w| w.delay_ms).copied().unwrap();
    let again = later(lab.service.next(last.delivery_id, last.claim, "inv_30").await);
    assert!(again.delay_ms <= last.delay_ms, "{again:?}");
    let free = "select (extract(epoch from free_slot_at) * 1000)::bigint from gates";
    let before = lab.count(free).await;
    lab.execute(
        "update deliveries set due_at = now(), slot_at = clock_timestamp() + interval '600 ms'
        where slot_at is not null",
    )
    .await;
    let begun = attempt(lab.service.next(last.delivery_id, last.claim, "inv_31").await);
    assert!((300..=600).contains(&begun.slot.unwrap().starts_in_ms), "{begun:?}");
    assert_eq!(lab.count(free).await, before);

    // Whoever has missed its slot, or has one of another rate, gets a new one behind all others.
    lab.execute("update deliveries set due_at = now(), slot_at = now() - interval '1 ms' where slot_at is not null")
        .await;
    let missed = waiting.iter().min_by_key(|w| w.delay_ms).copied().unwrap();
    later(lab.service.next(missed.delivery_id, missed.claim, "inv_32").await);
    assert!(lab.count(free).await > before);
    limit(&lab, 1).await;
    lab.execute(
        "update deliveries set due_at = now(), slot_at = clock_timestamp() + interval '5 s' where slot_at is not null",
    )
    .await;
    let first = attempt(lab.service.next(missed.delivery_id, missed.claim, "inv_33").await);
    assert!(first.slot.unwrap().starts_in_ms <= 400, "the slots of another rate are void: {first:?}");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_retry_takes_a_slot_when_it_is_due(pool: PgPoolOptions, connect: PgConnectOptions) {
    let (lab, merchant) = limited(pool, connect, 1, Wants::default()).await;
    lab.service.open_one(lab.payment(&merchant).await.event_id, "inv_0").await;
    let first = lab.service.open_one(lab.payment(&merchant).await.event_id, "inv_1").await;
    later(lab.service.record(&first, FAILED).await);
    lab.execute("update deliveries set due_at = now()").await;
    let waits = later(lab.service.next(first.delivery_id, 1, "inv_2").await);
    assert!(waits.delay_ms <= 1_050, "half a second before its slot: {waits:?}");
    lab.execute("update deliveries set due_at = now()").await;
    lab.execute("update deliveries set slot_at = clock_timestamp() + interval '600 ms' where slot_at is not null")
        .await;
    assert_eq!(attempt(lab.service.next(first.delivery_id, 1, "inv_4").await).attempt, 2);
    assert_eq!(lab.count("select count(*) from deliveries where slot_at is not null").await, 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn in_a_line_whoever_is_first_takes_a_slot(pool: PgPoolOptions, connect: PgConnectOptions) {
    let wants = Wants { order: Order::PerObject, ..Wants::default() };
    let (lab, merchant) = limited(pool, connect, 1, wants).await;
    // So many that the next one's slot is far off.
    for item in openings(&lab, &merchant, 20).await {
        lab.service.open(item.event_id, &item.invocation_id).await;
    }
    let payment = lab.payment(&merchant).await;
    let waiting = waits(lab.service.open(payment.event_id, "inv_20").await);
    assert_eq!(waiting.len(), 1);
    let two = lab.change(&payment, "processing").await;
    assert_eq!(waits(lab.service.open(two, "inv_21").await), []);
    assert_eq!(lab.delivery(two).await.state, "held");
    lab.execute("update deliveries set due_at = now() - interval '1 hour' where state = 'held'").await;
    assert_eq!(lab.service.overdue_deliveries().await, [], "whoever waits at the gate has been told when to come back");
    lab.execute("update deliveries set due_at = now(), slot_at = clock_timestamp() + interval '900 ms' where slot_at is not null")
        .await;
    attempt(lab.service.next(waiting[0].delivery_id, waiting[0].claim, "inv_22").await);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_endpoint_that_fails_for_five_days_is_disabled_and_what_comes_is_parked(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let state = "select count(*) from endpoints where state = 'disabled' and disabled_reason = 'failing'";
    fail(&lab, &merchant, 1).await;
    lab.execute("update gates set failing_since = now() - interval '4 days 23 hours'").await;
    fail(&lab, &merchant, 1).await;
    assert_eq!(lab.count(state).await, 0);
    lab.execute("update gates set failing_since = now() - interval '5 days'").await;
    let item = openings(&lab, &merchant, 1).await.remove(0);
    let delivered = lab.service.open_one(item.event_id, "inv_30").await;
    lab.service.record(&delivered, DELIVERED).await;
    fail(&lab, &merchant, 1).await;
    assert_eq!(lab.count(state).await, 0, "a success between them");
    lab.execute("update gates set failing_since = now() - interval '5 days'").await;
    let failed = fail(&lab, &merchant, 1).await.remove(0);
    assert_eq!(lab.count(state).await, 1);
    lab.execute("update deliveries set due_at = now()").await;
    stop(lab.service.next(failed.delivery_id, 1, "inv_31").await);
    let parked = "select count(*) from deliveries where state = 'parked' and reason = 'endpoint_disabled'";
    assert_eq!(lab.count(parked).await, 1);

    lab.execute("update endpoints set state = 'enabled', disabled_reason = null").await;
    fail(&lab, &merchant, 1).await;
    assert_eq!(lab.count(state).await, 0, "what failed before it was enabled does not count");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_resend_tries_an_endpoint_whose_circuit_is_open(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, Wants::default()).await;
    fail(&lab, &merchant, 10).await;
    lab.execute("update deliveries set state = 'exhausted', reason = 'schedule_used_up' where attempts = 1").await;
    lab.job(&endpoint, Job::Recover(&["exhausted"])).await;
    let sent = lab.service.finish_jobs().await;
    assert_eq!(sent.len(), 10);
    attempt(lab.service.next(sent[0].delivery_id, sent[0].claim, "inv_20").await);
    stop(lab.service.next(sent[1].delivery_id, sent[1].claim, "inv_21").await);
    assert_eq!(lab.count("select count(*) from deliveries where at_gate").await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn delivered_without_a_2xx_heals_nothing(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, Wants { schedule_ms: Some(vec![0]), ..Wants::default() }).await;
    let item = openings(&lab, &merchant, 1).await.remove(0);
    let first = lab.service.open_one(item.event_id, "inv_30").await;
    stop(lab.service.record(&first, DELIVERED).await);
    lab.job(&endpoint, Job::Recover(&["delivered"])).await;
    let sent = lab.service.finish_jobs().await.remove(0);
    let again = attempt(lab.service.next(sent.delivery_id, sent.claim, "inv_31").await);
    stop(lab.service.record(&again, FAILED).await);
    assert_eq!(lab.delivery(item.event_id).await.state, "delivered");
    assert_eq!(lab.count("select coalesce(sum(failures), 0) from gates").await, 1);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_duplicate_reserves_no_slot(pool: PgPoolOptions, connect: PgConnectOptions) {
    for order in [Order::Any, Order::PerObject] {
        let lab = Lab::start(pool.clone(), connect.clone()).await;
        let merchant = lab.merchant().await;
        lab.endpoint(&merchant, Wants { order, ..Wants::default() }).await;
        limit(&lab, 1).await;
        let event_id = lab.payment(&merchant).await.event_id;
        lab.service.open_one(event_id, "inv_1").await;
        let free = "select (extract(epoch from free_slot_at) * 1000)::bigint from gates";
        let before = lab.count(free).await;
        for _ in 0..3 {
            let (attempts, later) = parts(vec![lab.service.open(event_id, "inv_2").await]);
            assert_eq!((attempts.len(), later.len()), (0, 0), "{order:?}");
        }
        assert_eq!(lab.count(free).await, before, "{order:?}");
        lab.execute("delete from gates").await;
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_result_that_is_recorded_twice_is_one_failure(pool: PgPoolOptions, connect: PgConnectOptions) {
    for order in [Order::Any, Order::PerObject] {
        let lab = Lab::start(pool.clone(), connect.clone()).await;
        let merchant = lab.merchant().await;
        lab.endpoint(&merchant, Wants { order, ..Wants::default() }).await;
        let failed = fail(&lab, &merchant, 1).await.remove(0);
        later(lab.service.record(&failed, FAILED).await);
        assert_eq!(lab.count("select coalesce(sum(failures), 0) from gates").await, 1, "{order:?}");
        lab.execute("delete from gates").await;
    }
}
