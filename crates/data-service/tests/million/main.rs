//! What the ledger's age costs: the same calls beside each other on an empty ledger and on one with a million deliveries.
//!
//! A binary of its own, so that no other test runs meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../it/answers.rs"]
#[allow(dead_code, reason = "the other tests need more of it")]
mod answers;
mod cost;
mod generated;
#[path = "../it/lab.rs"]
#[allow(dead_code, reason = "the other tests need more of it")]
mod lab;
#[path = "../it/service.rs"]
#[allow(dead_code, reason = "the other tests need more of it")]
mod service;

use std::cell::Cell;
use std::time::{Duration, Instant};

use data_service::retention::drop_old_days;
use domain::ledger::Order;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use store::retention::{Ages, old_days};
use time::OffsetDateTime;

use answers::{attempt, later, stop};
use cost::{Side, Work, measure};
use lab::{Lab, Wants};
use service::{DELIVERED, FAILED};

/// Of each kind of call.
const CALLS: usize = 300;
const IN_ORDER: usize = 100;

/// So many that no endpoint has its share under way.
const MERCHANTS: usize = 4;

/// The most pages that a call may touch on the full ledger, of those that it touches on the empty one. In the evening each
/// index of the day's partition has one level more than the empty one's: 1.32 has been seen of the audit, whose pages are
/// nearly all look-ups. One that looked at all days would touch thirty times as many.
const MOST_PAGES: f64 = 1.5;

/// The same of its time: on a busy machine, half as much again has been seen where pages were the same.
const MOST_TIME: f64 = 3.0;

#[sqlx::test(migrations = "../../migrations")]
#[ignore = "makes a million deliveries, half a minute: scripts/run-tests.sh e2e"]
async fn a_million_deliveries_cost_a_call_nothing_and_a_day_of_them_is_dropped_within_a_second(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let full = generated::database_beside(&connect).await;
    let mut sides = [side(&pool, &connect).await, side(&pool, &full).await];
    generated::fill(&sides[1].lab.database, &full).await;
    generated::settle(&sides[0].lab.database).await;

    let mut costs = Vec::new();
    costs.push(
        measure("open", &mut sides, CALLS, async |doors, work, call| {
            let attempt = doors.service.open_one(work.events[call], &format!("inv_{call}")).await;
            work.attempts.push(attempt);
        })
        .await,
    );
    costs.push(
        measure("record a failure", &mut sides, CALLS, async |doors, work, call| {
            later(doors.service.record(&work.attempts[call], FAILED).await);
        })
        .await,
    );
    for side in &sides {
        // So many failures have opened the circuit.
        side.lab.execute("delete from gates").await;
        side.lab
            .execute(
                "update deliveries set due_at = now() where state = 'pending' and due_at < now() + interval '1 hour'",
            )
            .await;
    }
    costs.push(
        measure("next", &mut sides, CALLS, async |doors, work, call| {
            let before = &work.attempts[call];
            work.attempts[call] = attempt(doors.service.next(before.delivery_id, 1, "inv_next").await);
        })
        .await,
    );
    costs.push(
        measure("record a 2xx", &mut sides, CALLS, async |doors, work, call| {
            stop(doors.service.record(&work.attempts[call], DELIVERED).await);
        })
        .await,
    );
    costs.push(
        measure("audit of the last hour", &mut sides, 100, async |doors, _, _| {
            let now = OffsetDateTime::now_utc();
            let account =
                store::audit::account(&doors.portal, now - Duration::from_secs(3600), now, 600).await.unwrap();
            assert_eq!(account.delivered, i64::try_from(CALLS).unwrap(), "{account:?}");
        })
        .await,
    );
    for side in &mut sides {
        side.work = second_versions(&side.lab).await;
    }
    costs.push(
        measure("open in order", &mut sides, IN_ORDER, async |doors, work, call| {
            let attempt = doors.service.open_one(work.events[call], &format!("inv_{call}")).await;
            assert!(attempt.in_line);
            work.attempts.push(attempt);
        })
        .await,
    );
    costs.push(
        measure("record in order", &mut sides, IN_ORDER, async |doors, work, call| {
            stop(doors.service.record(&work.attempts[call], DELIVERED).await);
        })
        .await,
    );
    for cost in &costs {
        eprintln!("{cost}");
    }
    for cost in &costs {
        let (pages, time) = cost.ratios();
        assert!(pages <= MOST_PAGES && time <= MOST_TIME, "the ledger's age costs too much: {cost}");
    }
    drop_half(&sides[1].lab).await;
    drop(sides);
    generated::drop_database(&full).await;
}

/// Payments of a merchant who wants order, whose first version is delivered and whose second one waits to be opened.
async fn second_versions(lab: &Lab) -> Work {
    let merchant = lab.merchant().await;
    lab.endpoint(&merchant, Wants { order: Order::PerObject, ..Wants::default() }).await;
    let (service, mut work) = (lab.another().await, Work::default());
    for _ in 0..IN_ORDER {
        let payment = lab.payment(&merchant).await;
        let first = service.open_one(payment.event_id, "inv_first").await;
        stop(service.record(&first, DELIVERED).await);
        work.events.push(lab.change(&payment, "succeeded").await);
    }
    work
}

/// A ledger with a few merchants, whose events wait to be opened.
async fn side(pool: &PgPoolOptions, connect: &PgConnectOptions) -> Side {
    // One connection, so that what it does is known when it says so.
    let lab = Lab::start(pool.clone().max_connections(1), connect.clone()).await;
    lab.execute("select ensure_partitions(60)").await;
    let mut merchants = Vec::new();
    for _ in 0..MERCHANTS {
        let merchant = lab.merchant().await;
        lab.endpoint(&merchant, Wants::default()).await;
        merchants.push(merchant);
    }
    let mut side = Side::new(lab, connect.clone());
    for merchant in merchants.iter().cycle().take(CALLS) {
        side.work.events.push(side.lab.payment(merchant).await.event_id);
    }
    side
}

/// Drops the older half of the days, and pays meanwhile.
async fn drop_half(lab: &Lab) {
    let (app, merchant) = (lab.app(), lab.merchant().await);
    let half = Duration::from_secs(15 * 24 * 3600);
    let ages = Ages { events: half, ledger: half };
    let days = async || old_days(&lab.database, ages).await.unwrap();
    let (before, ended) = (days().await, Cell::new(false));
    let dropping = async {
        // A day that somebody uses at that moment is left for the next run.
        let mut whole = false;
        for _ in 0..5 {
            whole = whole || drop_old_days(&app, ages).await;
        }
        ended.set(true);
        whole
    };
    let paying = async {
        let mut waits = Vec::new();
        while !ended.get() {
            let began = Instant::now();
            lab.payment(&merchant).await;
            waits.push(began.elapsed());
        }
        waits
    };
    let began = Instant::now();
    let (whole, waits) = futures_util::future::join(dropping, paying).await;
    let took = began.elapsed();
    assert!(whole && days().await.is_empty(), "these are left: {:?}", days().await);
    let dropped = u32::try_from(before.iter().filter(|day| day.table == "domain_events").count()).unwrap();
    let longest = waits.iter().max().unwrap();
    eprintln!(
        "{dropped} days dropped in {took:?}, {:?} each; the longest of {} payments meanwhile took {longest:?}",
        took / dropped,
        waits.len()
    );
    assert!(dropped >= 14, "{before:?}");
    assert!(took / dropped < Duration::from_secs(1), "dropping a day takes {:?}", took / dropped);
    assert!(*longest < Duration::from_secs(1), "a payment waited for {longest:?}");
}
