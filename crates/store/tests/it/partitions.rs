//! Daily partitions: made ahead of time and beside the payments; a missing one costs nobody anything.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};

const TABLES: [&str; 4] = ["domain_events", "routed_events", "deliveries", "attempts"];

async fn execute(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

async fn count(pool: &PgPool, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(pool).await.unwrap()
}

async fn merchant(pool: &PgPool) {
    execute(pool, "insert into merchants (merchant_id, name) values (new_id('mer_', now()), 'Bakery')").await;
}

const PAYMENT: &str = "insert into payments (payment_id, merchant_id, amount, currency)
    select new_id('pay_', now()), merchant_id, 1000, 'USD' from merchants limit 1";

async fn ensure(pool: &PgPool, days_ahead: i32) -> i32 {
    sqlx::query_scalar("select ensure_partitions($1)").bind(days_ahead).fetch_one(pool).await.unwrap()
}

/// Drops all partitions but the default ones, as if nobody had made any for months.
async fn drop_partitions(pool: &PgPool) {
    execute(
        pool,
        "do $$ declare partition regclass; begin
            for partition in select inhrelid::regclass from pg_inherits
                join pg_partitioned_table p on p.partrelid = inhparent
                where inhrelid <> p.partdefid
            loop execute format('drop table %s', partition); end loop;
         end $$",
    )
    .await;
}

/// One row in each table, of the moment that the SQL expression gives.
async fn one_row_in_each(pool: &PgPool, moment: &str) {
    execute(
        pool,
        &format!(
            "insert into domain_events
                (event_id, event_type, object_type, object_id, object_version, merchant_id, occurred_at, xid)
             values (new_id('evt_', {moment}), 'payment.created', 'payment', 'pay_1', 1, 'mer_1', {moment}, '3');
             insert into routed_events (event_id, invocation_id, from_cdc, fan_out, delivery_ids, handled_at)
             values (new_id('evt_', {moment}), 'inv_1', true, 0, '{{}}', {moment});
             insert into deliveries (delivery_id, event_id, endpoint_id, state, claim, attempts, due_at)
             values (new_id('dlv_', {moment}), 'evt_1', 'ep_1', 'pending', 1, 0, {moment});
             insert into attempts (attempt_id, delivery_id, claim, number, began_at, outcome)
             values (new_id('att_', {moment}), 'dlv_1', 1, 1, {moment}, 'timeout');"
        ),
    )
    .await;
}

#[sqlx::test(migrations = "../../migrations")]
async fn a_payment_whose_event_falls_in_no_partition_commits(pool: PgPool) {
    merchant(&pool).await;
    drop_partitions(&pool).await;
    execute(&pool, PAYMENT).await;
    assert_eq!(count(&pool, "select count(*) from domain_events_default").await, 1);
    ensure(&pool, 0).await;
    assert_eq!(count(&pool, "select count(*) from domain_events_default").await, 0);
    assert_eq!(count(&pool, "select count(*) from domain_events").await, 1);
    execute(&pool, PAYMENT).await;
    assert_eq!(count(&pool, "select count(*) from domain_events_default").await, 0);
}

#[sqlx::test(migrations = "../../migrations")]
async fn strays_move_into_their_partition_and_stay_as_they_are(pool: PgPool) {
    drop_partitions(&pool).await;
    for moment in ["now()", "now() + interval '1 day'", "now() - interval '3 days'", "now() - interval '1 year'"] {
        one_row_in_each(&pool, moment).await;
    }
    let whole = async |table: &str| {
        let sql = format!("select coalesce(jsonb_agg(to_jsonb(t) order by to_jsonb(t)), '[]')::text from {table} t");
        sqlx::query_scalar::<_, String>(AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap()
    };
    let mut before = Vec::new();
    for table in TABLES {
        before.push(whole(table).await);
    }
    // Today, two days ahead, and the one day past that has strays.
    assert_eq!(ensure(&pool, 2).await, 4 * 4);
    for (table, before) in TABLES.iter().zip(before) {
        assert_eq!(whole(table).await, before);
        let left = count(&pool, &format!("select count(*) from {table}_default")).await;
        assert_eq!(left, 1, "what is older than 90 days stays in {table}_default");
    }
    assert_eq!(ensure(&pool, 2).await, 0, "nothing is left to be made");
}

/// What is attached must have all that the table has, or the ledger would be slow or wrong from some day on.
#[sqlx::test(migrations = "../../migrations")]
async fn a_partition_has_the_constraints_and_indexes_of_its_table(pool: PgPool) {
    ensure(&pool, 3).await;
    for table in TABLES {
        let like = format!("'^{table}_[0-9]{{8}}$'");
        let partitions =
            count(&pool, &format!("select count(*) from pg_class where relkind = 'r' and relname ~ {like}")).await;
        assert_eq!(partitions, 4, "{table}");
        let indexes =
            async |name: &str| count(&pool, &format!("select count(*) from pg_indexes where tablename ~ {name}")).await;
        assert_eq!(indexes(&like).await, 4 * indexes(&format!("'^{table}$'")).await, "{table}");
        let unattached = format!(
            "select count(*) from pg_index i join pg_class c on c.oid = i.indrelid
             where c.relname ~ {like} and not exists (select from pg_inherits where inhrelid = i.indexrelid)"
        );
        assert_eq!(count(&pool, &unattached).await, 0, "each index of a partition of {table} belongs to the table's");
        let constraints = async |name: &str| {
            let sql = format!(
                "select string_agg(conname || ' ' || pg_get_constraintdef(o.oid), '; ' order by conname)
                 from pg_constraint o join pg_class c on c.oid = conrelid
                 where contype = 'c' and relname = '{name}'"
            );
            sqlx::query_scalar::<_, Option<String>>(AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap()
        };
        let day: String =
            sqlx::query_scalar("select to_char(now() at time zone 'utc', 'YYYYMMDD')").fetch_one(&pool).await.unwrap();
        assert_eq!(constraints(&format!("{table}_{day}")).await, constraints(table).await);
    }
}

#[sqlx::test(migrations = "../../migrations")]
async fn two_processes_make_partitions_at_once(pool: PgPool) {
    drop_partitions(&pool).await;
    one_row_in_each(&pool, "now()").await;
    one_row_in_each(&pool, "now() - interval '2 days'").await;
    let (a, b) = futures_util::future::join(ensure(&pool, 10), ensure(&pool, 10)).await;
    assert_eq!(a + b, 4 * 12, "each is made by one of them");
}

/// An hour-long transaction holds its locks on the events' table. Whoever makes partitions must not wait for it, or
/// every other payment would wait behind.
#[sqlx::test(migrations = "../../migrations")]
async fn partitions_are_made_beside_an_open_payment(pool: PgPool) {
    merchant(&pool).await;
    let mut open = pool.begin().await.unwrap();
    sqlx::query(PAYMENT).execute(&mut *open).await.unwrap();
    assert_eq!(ensure(&pool, 5).await, 4 * 4, "today and tomorrow were there");
    execute(&pool, PAYMENT).await;
    open.commit().await.unwrap();
    assert_eq!(count(&pool, "select count(*) from domain_events").await, 2);
}

/// Whoever reads every partition holds up the attaching, and is waited for a short time only.
#[sqlx::test(migrations = "../../migrations")]
async fn a_long_reader_is_not_waited_for_long_and_payments_go_on(pool: PgPoolOptions, connect: PgConnectOptions) {
    let pool = pool.max_connections(5).connect_with(connect.clone()).await.unwrap();
    merchant(&pool).await;
    let mut reader = PgConnection::connect_with(&connect).await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    sqlx::query("select count(*) from domain_events").fetch_one(&mut *reading).await.unwrap();
    let began = std::time::Instant::now();
    let making = sqlx::query("select ensure_partitions(5)").execute(&pool);
    let paying = async {
        for _ in 0..20 {
            execute(&pool, PAYMENT).await;
        }
        began.elapsed()
    };
    let (made, paid_within) = futures_util::future::join(making, paying).await;
    let code = made.unwrap_err().as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    assert_eq!(code.as_deref(), Some("55P03"), "the lock is given up");
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(paid_within < Duration::from_millis(2500), "payments waited for {paid_within:?}");
    reading.rollback().await.unwrap();
    assert_eq!(ensure(&pool, 5).await, 4 * 4);
}

/// CDC has told of them already when they were written.
#[sqlx::test(migrations = "../../migrations")]
async fn a_new_partition_is_published_through_its_table(pool: PgPool) {
    ensure(&pool, 2).await;
    let published = count(&pool, "select count(*) from pg_publication_tables where pubname = 'everhook_events'").await;
    let root =
        "select count(*) from pg_publication_tables where pubname = 'everhook_events' and tablename = 'domain_events'";
    assert_eq!((published, count(&pool, root).await), (1, 1));
}
