//! Old days are dropped whole, and none of which something is still to be done.

use std::time::{Duration, Instant};

use data_service::retention::drop_old_days;
use domain::protocol::Opened;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection};
use store::retention::{Ages, Day, Fate, Why, drop_day, old_days};

use crate::lab::{Lab, Wants};

const DAY: Duration = Duration::from_secs(24 * 3600);
const AGES: Ages = Ages { events: Duration::from_secs(10 * 24 * 3600), ledger: Duration::from_secs(20 * 24 * 3600) };

/// The noon of so many days ago.
const NOON: &str = "date_trunc('day', now(), 'UTC') + interval '12 hours' - $1 * interval '1 day'";

/// An event of that day with one delivery in that state, which had one attempt.
async fn one_of(lab: &Lab, age: i32, state: &str, endpoint_id: &str) -> String {
    let sql = format!(
        "with event as (
            insert into domain_events
                (event_id, event_type, object_type, object_id, object_version, merchant_id, occurred_at, xid)
            values (new_id('evt_', {NOON}), 'payment.created', 'payment', 'pay_1', 1, 'mer_1', {NOON}, '3')
            returning event_id
         ), delivery as (
            insert into deliveries (delivery_id, event_id, endpoint_id, state, reason, claim, attempts, due_at)
            select new_id('dlv_', {NOON}), event_id, $3, $2,
                case when $2 in ('parked', 'exhausted') then 'x' end, 1, 1, {NOON} from event
            returning delivery_id, event_id
         ), routed as (
            insert into routed_events (event_id, invocation_id, from_cdc, fan_out, delivery_ids, handled_at)
            select event_id, 'inv_old', true, 1, array[delivery_id], {NOON} from delivery
         )
         insert into attempts (attempt_id, delivery_id, claim, number, began_at, outcome)
         select new_id('att_', {NOON}), delivery_id, 1, 1, {NOON}, 'timeout' from delivery
         returning delivery_id"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(age)
        .bind(state)
        .bind(endpoint_id)
        .fetch_one(&lab.database)
        .await
        .unwrap()
}

/// A ledger whose days have partitions and are swept.
async fn settled(lab: &Lab) {
    lab.execute("select ensure_partitions(1)").await;
    lab.execute("update sweep set routed_through = lowest_id('evt_', now())").await;
}

/// How many days old the partitions of a table are, today's and later ones left out.
async fn ages(lab: &Lab, table: &str) -> Vec<i32> {
    sqlx::query_scalar(
        "select (now() at time zone 'UTC')::date - to_date(right(c.relname, 8), 'YYYYMMDD') as age
         from pg_inherits join pg_class c on c.oid = inhrelid
         where inhparent = to_regclass($1) and relname ~ '[0-9]{8}$'
            and to_date(right(c.relname, 8), 'YYYYMMDD') < (now() at time zone 'UTC')::date
         order by 1 desc",
    )
    .bind(table)
    .fetch_all(&lab.database)
    .await
    .unwrap()
}

#[sqlx::test(migrations = "../../migrations")]
async fn what_is_done_goes_and_what_is_not_stays_with_all_that_belongs_to_it(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    let merchant = lab.merchant().await;
    let disabled = lab.endpoint(&merchant, Wants { enabled: false, ..Wants::default() }).await;
    let deleted = lab.endpoint(&merchant, Wants { enabled: false, ..Wants::default() }).await;
    sqlx::query("update endpoints set deleted_at = now() where endpoint_id = $1")
        .bind(&deleted)
        .execute(&lab.database)
        .await
        .unwrap();
    for (age, state) in [(60, "delivered"), (55, "exhausted"), (50, "superseded"), (45, "pending"), (40, "held")] {
        one_of(&lab, age, state, &disabled).await;
    }
    one_of(&lab, 35, "parked", &disabled).await;
    one_of(&lab, 34, "delivered", &disabled).await;
    one_of(&lab, 30, "parked", &deleted).await;
    one_of(&lab, 15, "delivered", &disabled).await;
    one_of(&lab, 5, "delivered", &disabled).await;
    // The one that is pending has been attempted on another day, too; so was the one that is delivered.
    for state in ["pending", "delivered"] {
        sqlx::query(
            "insert into attempts (attempt_id, delivery_id, claim, number, began_at, outcome)
             select new_id('att_', now() - case state when 'pending' then interval '42 days' else interval '43 days' end),
                delivery_id, 1, 2, now(), 'timeout'
             from deliveries where state = $1 order by delivery_id limit 1",
        )
        .bind(state)
        .execute(&lab.database)
        .await
        .unwrap();
    }
    settled(&lab).await;
    assert!(drop_old_days(&lab.app(), AGES).await);
    assert_eq!(ages(&lab, "domain_events").await, [45, 40, 35, 5]);
    assert_eq!(ages(&lab, "routed_events").await, [45, 40, 35, 15, 5]);
    // Of a day beside one that is kept, events may have deliveries there.
    assert_eq!(ages(&lab, "deliveries").await, [45, 40, 35, 34, 15, 5]);
    assert_eq!(ages(&lab, "attempts").await, [45, 42, 40, 35, 34, 15, 5]);
    let horizon = "select count(*) from horizon
        where event_id = lowest_id('evt_', date_trunc('day', now(), 'UTC') - interval '10 days')";
    assert_eq!(lab.count(horizon).await, 1);

    // The ones that were kept go once they are done.
    lab.execute(
        "update deliveries set state = 'delivered', reason = null where state in ('pending', 'held', 'parked')",
    )
    .await;
    assert!(drop_old_days(&lab.app(), AGES).await);
    for table in ["domain_events", "routed_events", "deliveries", "attempts"] {
        let left = if table == "domain_events" { vec![5] } else { vec![15, 5] };
        assert_eq!(ages(&lab, table).await, left, "{table}");
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn an_event_that_nobody_has_routed_is_never_dropped(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    one_of(&lab, 40, "delivered", "ep_1").await;
    one_of(&lab, 30, "delivered", "ep_1").await;
    lab.execute("delete from routed_events where event_id > lowest_id('evt_', now() - interval '35 days')").await;
    lab.execute("select ensure_partitions(1)").await;
    let days = async || old_days(&lab.database, AGES).await.unwrap();
    let fate = async |index: usize| drop_day(&lab.database, &days().await[index], AGES).await.unwrap();

    // Nothing is known to be routed.
    assert!(drop_old_days(&lab.app(), AGES).await);
    assert_eq!(ages(&lab, "domain_events").await, [40, 30]);
    assert_eq!(fate(0).await, Some(Fate::Kept(Why::AboveHorizon)));

    // The sweep has come as far as the event.
    lab.execute("update sweep set routed_through = lowest_id('evt_', now() - interval '35 days')").await;
    assert!(drop_old_days(&lab.app(), AGES).await);
    assert_eq!(ages(&lab, "domain_events").await, [30]);
    assert_eq!(fate(0).await, Some(Fate::Kept(Why::AboveHorizon)));

    // The sweep has passed it, as it does where a clock was set back.
    lab.execute("update sweep set routed_through = lowest_id('evt_', now())").await;
    assert!(drop_old_days(&lab.app(), AGES).await);
    assert_eq!(ages(&lab, "domain_events").await, [30]);
    assert_eq!(fate(0).await, Some(Fate::Kept(Why::Unrouted)));
}

#[sqlx::test(migrations = "../../migrations")]
async fn nothing_younger_than_kafka_s_retention_is_dropped(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect).await;
    one_of(&lab, 5, "delivered", "ep_1").await;
    settled(&lab).await;
    let ages_too_low = Ages { events: DAY, ledger: DAY };
    assert!(!drop_old_days(&lab.app(), ages_too_low).await, "the schema refuses");
    for day in old_days(&lab.database, ages_too_low).await.unwrap() {
        assert_eq!(drop_day(&lab.database, &day, ages_too_low).await.unwrap(), None);
    }
    assert_eq!(ages(&lab, "domain_events").await, [5]);
    let strange =
        Day { table: "payments".to_owned(), ..old_days(&lab.database, ages_too_low).await.unwrap().remove(0) };
    drop_day(&lab.database, &strange, AGES).await.unwrap_err();
}

/// Whoever reads the topic again from its beginning brings events that are gone.
#[sqlx::test(migrations = "../../migrations")]
async fn an_event_that_was_dropped_is_before_the_horizon_and_not_unknown(
    pool: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let lab = Lab::start(pool, connect).await;
    one_of(&lab, 40, "delivered", "ep_1").await;
    one_of(&lab, 15, "delivered", "ep_1").await;
    settled(&lab).await;
    let events: Vec<String> =
        sqlx::query_scalar("select event_id from domain_events order by 1").fetch_all(&lab.database).await.unwrap();
    assert!(drop_old_days(&lab.app(), AGES).await);
    assert_eq!(ages(&lab, "domain_events").await, [0; 0]);
    let gone = lab.service.open(events[0].parse().unwrap(), "inv_2").await;
    assert!(matches!(gone, Opened::BeforeHorizon), "{gone:?}");
    // Its ledger is kept longer: it is known to have been routed.
    let routed = lab.service.open(events[1].parse().unwrap(), "inv_2").await;
    assert!(
        matches!(&routed, Opened::Deliveries { attempts, later } if attempts.is_empty() && later.is_empty()),
        "{routed:?}"
    );
    let unknown = lab.service.open("evt_ffffffffffff7f00a1b2c3d4e5f60718".parse().unwrap(), "inv_3").await;
    assert!(matches!(unknown, Opened::UnknownEvent), "{unknown:?}");
}

/// Somebody is in the middle of a payment for an hour. Its table can't be had, and no other payment waits for that.
#[sqlx::test(migrations = "../../migrations")]
async fn an_open_payment_puts_the_dropping_off_and_payments_go_on(pool: PgPoolOptions, connect: PgConnectOptions) {
    let lab = Lab::start(pool, connect.clone()).await;
    let merchant = lab.merchant().await;
    for age in [40, 39, 38] {
        one_of(&lab, age, "delivered", "ep_1").await;
    }
    settled(&lab).await;
    let mut payer = PgConnection::connect_with(&connect).await.unwrap();
    let mut open = payer.begin().await.unwrap();
    sqlx::query(
        "insert into payments (payment_id, merchant_id, amount, currency)
         select new_id('pay_', now()), $1, 1000, 'USD'",
    )
    .bind(&merchant)
    .execute(&mut *open)
    .await
    .unwrap();
    let (app, ended) = (lab.app(), std::cell::Cell::new(false));
    let dropping = async {
        let whole = drop_old_days(&app, AGES).await;
        ended.set(true);
        whole
    };
    let paying = async {
        let (mut longest, mut payments) = (Duration::ZERO, 0);
        while !ended.get() || payments < 20 {
            let began = Instant::now();
            lab.payment(&merchant).await;
            longest = longest.max(began.elapsed());
            payments += 1;
        }
        longest
    };
    let (whole, longest) = futures_util::future::join(dropping, paying).await;
    assert!(!whole, "what is left is tried again soon");
    assert!(longest < Duration::from_secs(1), "a payment took {longest:?}");
    assert_eq!(ages(&lab, "domain_events").await, [40, 39, 38]);
    open.commit().await.unwrap();
    assert!(drop_old_days(&app, AGES).await);
    assert_eq!(ages(&lab, "domain_events").await, [0; 0]);
}
