//! Routing: once for each event, whoever asks, however often, and from however many processes.

use std::time::Duration;

use domain::ledger::Stop;
use domain::protocol::Opened;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::answers::{attempts, is_about, stop, waits};
use crate::lab::{Lab, Logged, Wants};
use crate::service::{DELIVERED, FAILED, opening};

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_that_nobody_wants_is_on_the_ledger_as_filtered(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let payment = lab.payment(&merchant).await;
    assert_eq!(attempts(lab.service.open(payment.event_id, "inv_1").await).len(), 0);
    assert_eq!(lab.fan_out(payment.event_id).await, Some(0));
    lab.endpoint(&merchant, Wants::default()).await;
    assert_eq!(attempts(lab.service.open(payment.event_id, "inv_1").await).len(), 0, "it was filtered then");
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_has_one_delivery_for_each_endpoint_that_wants_its_type(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let (merchant, other) = (lab.merchant().await, lab.merchant().await);
    let mut wanting = Vec::new();
    for event_types in [&["*"][..], &["payment.*"], &["refund.*", "payment.created"]] {
        wanting.push(lab.endpoint(&merchant, Wants { event_types, ..Wants::default() }).await);
    }
    for event_types in [&["payment.succeeded"][..], &["payments.*"], &["refund.created"]] {
        lab.endpoint(&merchant, Wants { event_types, ..Wants::default() }).await;
    }
    lab.endpoint(&other, Wants::default()).await;
    let payment = lab.payment(&merchant).await;

    let made = attempts(lab.service.open(payment.event_id, "inv_1").await);
    assert_eq!(made.len(), 3);
    assert!(made.iter().all(|a| (a.claim, a.attempt, a.timeout_ms) == (1, 1, 15_000)), "{made:?}");
    assert_eq!(lab.fan_out(payment.event_id).await, Some(3));
    let rows = lab.deliveries(payment.event_id).await;
    wanting.sort();
    assert_eq!(rows.iter().map(|row| row.endpoint_id.clone()).collect::<Vec<_>>(), wanting);
    for row in rows {
        assert!(made.iter().any(|a| a.delivery_id.to_string() == row.delivery_id));
        assert_eq!((row.state.as_str(), row.claim, row.attempts), ("pending", 1, 1));
        assert_eq!(row.owner.as_deref(), Some("inv_1"));
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_filter_that_can_t_be_read_lets_everything_pass(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants { event_types: &["Payment..*"], ..Wants::default() }).await;
    let payment = lab.payment(&merchant).await;
    lab.service.open_one(payment.event_id, "inv_1").await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_unknown_event_and_one_below_the_horizon_are_told_apart(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let payment = lab.payment(&merchant).await;
    let unknown = "evt_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap();
    assert!(matches!(lab.service.open(unknown, "inv_1").await, Opened::UnknownEvent));

    let routed_before = lab.payment(&merchant).await;
    lab.service.open_one(routed_before.event_id, "inv_2").await;
    lab.execute("update horizon set event_id = lowest_id('evt_', now() + interval '1 hour')").await;
    assert!(matches!(lab.service.open(payment.event_id, "inv_3").await, Opened::BeforeHorizon));
    assert_eq!(lab.fan_out(payment.event_id).await, None);
    assert_eq!(attempts(lab.service.open(routed_before.event_id, "inv_2").await).len(), 1, "it is routed");
}

#[sqlx::test(migrations = "../../migrations")]
async fn the_same_invocation_gets_its_own_again_at_once_and_then_by_the_schedule(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let event_id = lab.payment(&merchant).await.event_id;
    let first = lab.service.open_one(event_id, "inv_1").await;
    let second = lab.service.open_one(event_id, "inv_1").await;
    assert_eq!((second.delivery_id, second.claim, second.attempt), (first.delivery_id, 1, 2));
    assert_ne!(second.attempt_id, first.attempt_id);
    let unknown = |number| Logged { number, claim: 1, outcome: "unknown".to_owned(), status: None };
    assert_eq!(lab.log(first.delivery_id).await, [unknown(1)]);

    let later = waits(lab.service.open(event_id, "inv_1").await);
    assert_eq!((later.len(), later[0].delivery_id, later[0].claim), (1, first.delivery_id, 1));
    assert!(is_about(later[0].delay_ms, Duration::from_secs(300)), "{later:?}");
    assert_eq!(lab.log(first.delivery_id).await, [unknown(1), unknown(2)]);
    let row = lab.delivery(event_id).await;
    assert_eq!((row.state.as_str(), row.attempts, row.unknowns, row.owner), ("pending", 2, 2, None));
    assert!(row.due_in_s > 250.0, "{}", row.due_in_s);

    let again = waits(lab.service.open(event_id, "inv_1").await);
    assert!(again[0].delay_ms <= later[0].delay_ms, "a wait that was answered is not made longer: {again:?}");
    assert_eq!(lab.log(first.delivery_id).await.len(), 2);
}

#[sqlx::test(migrations = "../../migrations")]
async fn another_invocation_gets_nothing_and_changes_nothing(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let event_id = lab.payment(&merchant).await.event_id;
    lab.service.open_one(event_id, "inv_1").await;
    let before = lab.delivery(event_id).await;
    assert_eq!(attempts(lab.service.open(event_id, "inv_2").await).len(), 0);
    let after = lab.delivery(event_id).await;
    assert_eq!((after.attempts, after.owner), (before.attempts, before.owner));
}

#[sqlx::test(migrations = "../../migrations")]
async fn asking_again_gives_only_what_is_left(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    for _ in 0..3 {
        lab.endpoint(&merchant, Wants::default()).await;
    }
    let event_id = lab.payment(&merchant).await.event_id;
    let made = attempts(lab.service.open(event_id, "inv_1").await);
    assert_eq!(stop(lab.service.record(&made[0], DELIVERED).await), Stop::Ended);
    lab.service.record(&made[1], FAILED).await;
    match lab.service.open(event_id, "inv_1").await {
        Opened::Deliveries { attempts, later } => {
            assert_eq!(attempts.iter().map(|a| a.delivery_id).collect::<Vec<_>>(), [made[2].delivery_id]);
            assert_eq!(later.iter().map(|l| l.delivery_id).collect::<Vec<_>>(), [made[1].delivery_id]);
        }
        other => panic!("{other:?}"),
    }
}

/// Opens an event of three endpoints again, when one of its deliveries can't be answered.
#[sqlx::test(migrations = "../../migrations")]
async fn one_delivery_that_can_t_be_answered_does_not_begin_the_others_twice(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    for _ in 0..3 {
        lab.endpoint(&merchant, Wants::default()).await;
    }
    let event_id = lab.payment(&merchant).await.event_id;
    let made = attempts(lab.service.open(event_id, "inv_1").await);
    sqlx::query("update deliveries set endpoint_id = 'ep_gone' where delivery_id = $1")
        .bind(made[0].delivery_id.to_string())
        .execute(&lab.database)
        .await
        .unwrap();
    match lab.service.open(event_id, "inv_1").await {
        Opened::Deliveries { attempts, later } => {
            assert_eq!(attempts.len(), 2);
            assert_eq!(later.iter().map(|l| l.delivery_id).collect::<Vec<_>>(), [made[0].delivery_id]);
        }
        other => panic!("{other:?}"),
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_batch_with_the_same_event_twice_routes_it_once(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    let (a, b) = (lab.payment(&merchant).await.event_id, lab.payment(&merchant).await.event_id);
    let items = [opening(a, "inv_1"), opening(b, "inv_2"), opening(a, "inv_3"), opening(a, "inv_1")];
    let answers = lab.service.open_all(&items).await;
    assert_eq!(answers.len(), 4);
    let mut begun = 0;
    for (item, answer) in items.iter().zip(answers) {
        begun += match answer {
            // Its twin was in the same batch: the caller comes again.
            Opened::Failed => 0,
            answer => attempts(answer).iter().filter(|attempt| attempt.attempt == 1).count(),
        };
        assert_eq!(lab.deliveries(item.event_id).await.len(), 1);
    }
    assert_eq!(begun, 2);
}

/// Opens 40 events at once, from two processes, in opposite orders, each until it is answered.
#[sqlx::test(migrations = "../../migrations")]
async fn of_two_processes_exactly_one_routes_an_event(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let other = lab.another().await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    lab.endpoint(&merchant, Wants::default()).await;
    let mut events = Vec::new();
    for _ in 0..40 {
        events.push(lab.payment(&merchant).await.event_id);
    }
    let open_all = async |service: &crate::service::Service, name: &str, reverse: bool| {
        let mut left = events.clone();
        if reverse {
            left.reverse();
        }
        let mut begun = 0;
        let mut rounds = 0;
        while !left.is_empty() {
            rounds += 1;
            assert!(rounds < 20, "{left:?} are still not answered");
            let items: Vec<_> = left.iter().map(|&id| opening(id, &format!("{name}_{id}"))).collect();
            left.clear();
            for (item, answer) in items.iter().zip(service.open_all(&items).await) {
                match answer {
                    Opened::Failed => left.push(item.event_id),
                    answer => begun += attempts(answer).len(),
                }
            }
        }
        begun
    };
    let (a, b) = futures_util::future::join(open_all(&lab.service, "a", false), open_all(&other, "b", true)).await;
    assert_eq!(a + b, 80, "each delivery is begun by one of the two: {a} and {b}");
    assert_eq!(lab.count("select count(*) from deliveries").await, 80);
    assert_eq!(lab.count("select count(*) from routed_events where fan_out = 2").await, 40);
    assert_eq!(lab.count("select count(*) from attempts").await, 0, "no attempt was taken for dead");
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_delivery_to_a_disabled_endpoint_or_without_a_secret_is_parked_with_the_reason(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    for (wants, reason) in [
        (Wants { enabled: false, ..Wants::default() }, "endpoint_disabled"),
        (Wants { has_secret: false, ..Wants::default() }, "no_secret"),
    ] {
        let merchant = lab.merchant().await;
        lab.endpoint(&merchant, wants).await;
        let event_id = lab.payment(&merchant).await.event_id;
        assert_eq!(attempts(lab.service.open(event_id, "inv_1").await).len(), 0);
        assert_eq!(lab.fan_out(event_id).await, Some(1));
        let row = lab.delivery(event_id).await;
        assert_eq!((row.state.as_str(), row.reason.as_deref(), row.attempts), ("parked", Some(reason), 0));
        assert_eq!(attempts(lab.service.open(event_id, "inv_1").await).len(), 0);
        assert_eq!(lab.delivery(event_id).await.state, "parked");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_secret_that_can_t_be_opened_or_has_expired_is_as_none(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    for spoil in [
        "update endpoint_secrets set ciphertext = set_byte(ciphertext, 40, 255 - get_byte(ciphertext, 40))",
        "update endpoint_secrets set key_id = 'deadbeef'",
        "update endpoint_secrets set expires_at = now()",
    ] {
        let merchant = lab.merchant().await;
        lab.endpoint(&merchant, Wants::default()).await;
        lab.execute(spoil).await;
        let event_id = lab.payment(&merchant).await.event_id;
        assert_eq!(attempts(lab.service.open(event_id, "inv_1").await).len(), 0, "{spoil}");
        assert_eq!(lab.delivery(event_id).await.reason.as_deref(), Some("no_secret"), "{spoil}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_deleted_endpoint_gets_nothing_new(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants::default()).await;
    lab.execute("update endpoints set state = 'disabled', disabled_reason = 'deleted', deleted_at = now()").await;
    let event_id = lab.payment(&merchant).await.event_id;
    lab.service.post("/internal/open", &[opening(event_id, "inv_1")]).await;
    assert_eq!(lab.count("select count(*) from deliveries").await, 0);
    assert_eq!(lab.count("select count(*) from routed_events where fan_out = 0").await, 1, "it is filtered");
}
