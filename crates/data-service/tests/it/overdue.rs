//! What nobody seems to own any more: handed to one process at a time, under a new claim.

use std::collections::HashSet;

use data_service::app::Patience;
use domain::ledger::Stop;
use domain::protocol::Attempt;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::answers::{attempt, later, stop};
use crate::lab::{Lab, PATIENCE, Wants};
use crate::service::{DELIVERED, FAILED};

async fn begun(lab: &Lab) -> Attempt {
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let event_id = lab.payment(&merchant).await.event_id;
    lab.service.open_one(event_id, "inv_1").await
}

#[sqlx::test(migrations = "../../migrations")]
async fn only_the_holder_of_the_lease_is_answered(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    begun(&lab).await;
    lab.execute("update deliveries set due_at = now() - interval '1 hour'").await;
    let merchant = lab.merchant().await;
    let payment = lab.payment(&merchant).await;
    lab.old_event(&payment, 3600.0).await;
    let other = lab.another().await;

    let first = lab.service.overdue_for("a").await;
    assert_eq!((first.leads, first.events.len(), first.deliveries.len()), (true, 1, 1));
    lab.execute("update deliveries set due_at = now() - interval '1 hour'").await;
    let second = other.overdue_for("b").await;
    assert_eq!((second.leads, second.events.len(), second.deliveries.len(), second.more), (false, 0, 0, false));
    assert!(other.overdue_for("a").await.leads, "the lease is the holder's, whichever process it asks");
    lab.execute("update leases set until = now() - interval '1 ms'").await;
    assert!(lab.service.overdue_for("b").await.leads, "it has lapsed");
    assert!(!lab.service.overdue_for("a").await.leads);
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_overdue_delivery_gets_a_new_claim_and_each_time_twice_as_long(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let first = begun(&lab).await;
    later(lab.service.record(&first, FAILED).await);
    for (ago, claim) in [
        ("update deliveries set due_at = now() - interval '4 min'", None),
        ("update deliveries set due_at = now() - interval '6 min'", Some(2)),
        ("update deliveries set due_at = now() - interval '9 min'", None),
        ("update deliveries set due_at = now() - interval '11 min'", Some(3)),
        ("update deliveries set due_at = now() - interval '19 min'", None),
        ("update deliveries set due_at = now() - interval '21 min', claim = 3", Some(4)),
        ("update deliveries set due_at = now() - interval '8 days', claim = 40", Some(41)),
    ] {
        lab.execute(ago).await;
        let found = lab.service.overdue_deliveries().await;
        assert_eq!(found.iter().map(|later| later.claim).collect::<Vec<_>>(), Vec::from_iter(claim), "{ago}");
        if claim.is_some() {
            assert_eq!(lab.service.overdue_deliveries().await, [], "it has just been handed out");
        }
    }
    assert_eq!(stop(lab.service.next(first.delivery_id, 1, "inv_2").await), Stop::StaleClaim);
    assert_eq!(attempt(lab.service.next(first.delivery_id, 41, "inv_2").await).attempt, 2);
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_take_over_waits_for_the_attempt_under_way(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let first = begun(&lab).await;
    lab.execute("update deliveries set due_at = now() - interval '6 min'").await;
    let taken = lab.service.overdue_deliveries().await;
    assert_eq!((taken.len(), taken[0].claim), (1, 2));
    let wait = later(lab.service.next(first.delivery_id, 2, "inv_2").await);
    assert!(wait.delay_ms > 10_000 && wait.delay_ms <= 20_000, "{wait:?}");
    assert_eq!(stop(lab.service.record(&first, FAILED).await), Stop::StaleClaim);
    assert_eq!(stop(lab.service.record(&first, DELIVERED).await), Stop::Ended, "a 2xx is kept");
    assert_eq!(stop(lab.service.next(first.delivery_id, 2, "inv_2").await), Stop::Ended);
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_has_ended_or_is_not_due_is_not_overdue(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    lab.service.record(&begun(&lab).await, DELIVERED).await;
    lab.service.record(&begun(&lab).await, domain::outcome::Outcome::Aborted).await;
    lab.execute("update deliveries set due_at = now() - interval '1 day'").await;
    lab.service.record(&begun(&lab).await, FAILED).await;
    assert_eq!(lab.service.overdue_deliveries().await, []);
}

#[sqlx::test(migrations = "../../migrations")]
async fn one_look_hands_out_so_many_and_says_whether_there_is_more(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start_with(pool, connect, Patience { sweep_limit: 3, ..PATIENCE }).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(begun(&lab).await.delivery_id);
    }
    // The last one made is the oldest.
    lab.execute(
        "update deliveries d set due_at = now() - interval '10 min' - interval '1 min' * o.n
         from (select delivery_id, row_number() over (order by delivery_id) as n from deliveries) as o
         where o.delivery_id = d.delivery_id and d.claim = 1",
    )
    .await;
    let first = lab.service.overdue().await;
    assert!(first.more);
    let handed: HashSet<_> = first.deliveries.iter().map(|later| later.delivery_id).collect();
    assert_eq!(handed, made[2..].iter().copied().collect(), "the oldest first");
    let second = lab.service.overdue().await;
    assert!(!second.more);
    let handed: HashSet<_> = second.deliveries.iter().map(|later| later.delivery_id).collect();
    assert_eq!(handed, made[..2].iter().copied().collect());
}

#[sqlx::test(migrations = "../../migrations")]
async fn parked_deliveries_go_on_when_their_endpoint_is_enabled_again(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start_with(pool, connect, Patience { sweep_limit: 2, ..PATIENCE }).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants { enabled: false, ..Wants::default() }).await;
    let mut events = Vec::new();
    for number in 0..3 {
        let event_id = lab.payment(&merchant).await.event_id;
        lab.service.open(event_id, &format!("inv_{number}")).await;
        events.push(event_id);
    }
    assert_eq!(lab.service.overdue_deliveries().await, []);
    lab.execute("update endpoints set state = 'enabled', disabled_reason = null").await;
    let first = lab.service.overdue().await;
    assert_eq!((first.deliveries.len(), first.more), (2, true));
    let second = lab.service.overdue().await;
    assert_eq!((second.deliveries.len(), second.more), (1, false));
    for event_id in events {
        let row = lab.delivery(event_id).await;
        assert_eq!((row.state.as_str(), row.reason, row.claim, row.attempts), ("pending", None, 2, 0));
        let delivery_id = row.delivery_id.parse().unwrap();
        assert_eq!(stop(lab.service.next(delivery_id, 1, "inv_9").await), Stop::StaleClaim);
        assert_eq!(attempt(lab.service.next(delivery_id, 2, "inv_9").await).attempt, 1);
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn parked_deliveries_go_on_when_their_endpoint_has_a_secret(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, Wants { has_secret: false, ..Wants::default() }).await;
    let event_id = lab.payment(&merchant).await.event_id;
    lab.service.open(event_id, "inv_1").await;
    assert_eq!(lab.service.overdue_deliveries().await, []);
    lab.give_secret(&endpoint).await;
    let resumed = lab.service.overdue_deliveries().await;
    assert_eq!((resumed.len(), resumed[0].claim), (1, 2));
    attempt(lab.service.next(resumed[0].delivery_id, 2, "inv_2").await);
}

/// Resumed, they would only be parked again, under ever higher claims, in front of those that can go on.
#[sqlx::test(migrations = "../../migrations")]
async fn a_secret_that_can_t_be_used_resumes_nothing_and_keeps_nobody_waiting(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start_with(pool, connect, Patience { sweep_limit: 1, ..PATIENCE }).await;
    for spoil in [
        "update endpoint_secrets set ciphertext = '\\x00'",
        "update endpoint_secrets set ciphertext = set_byte(ciphertext, 40, 255 - get_byte(ciphertext, 40))
         where octet_length(ciphertext) > 40",
        "update endpoint_secrets set key_id = 'deadbeef'",
        "update endpoint_secrets set expires_at = now()",
    ] {
        let merchant = lab.merchant().await;
        lab.endpoint(&merchant, Wants::default()).await;
        lab.execute(spoil).await;
        let event_id = lab.payment(&merchant).await.event_id;
        lab.service.open(event_id, "inv_1").await;
        assert_eq!(lab.service.overdue_deliveries().await, [], "{spoil}");
    }
    let merchant = lab.merchant().await;
    let endpoint = lab.endpoint(&merchant, Wants { has_secret: false, ..Wants::default() }).await;
    let event_id = lab.payment(&merchant).await.event_id;
    lab.service.open(event_id, "inv_1").await;
    lab.give_secret(&endpoint).await;
    assert_eq!(lab.service.overdue_deliveries().await.len(), 1);
}
