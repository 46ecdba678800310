//! A ledger with a million deliveries of the last thirty days, made by SQL, in a database of its own.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};

/// Events; each goes to two endpoints.
const EVENTS: i64 = 500_000;

/// An empty database beside that of the test, with the schema.
pub async fn database_beside(connect: &PgConnectOptions) -> PgConnectOptions {
    // The test's own name fills the 63 bytes that PostgreSQL looks at.
    let own: String = connect.get_database().unwrap().chars().take(50).collect();
    let name = format!("{own}_full");
    let mut connection = PgConnection::connect_with(&connect.clone().database("postgres")).await.unwrap();
    for statement in [format!("drop database if exists \"{name}\" with (force)"), format!("create database \"{name}\"")]
    {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    let connect = connect.clone().database(&name);
    let pool = PgPool::connect_with(connect.clone()).await.unwrap();
    store::schema::migrate(&pool).await.unwrap();
    pool.close().await;
    connect
}

/// Nobody needs it any more.
pub async fn drop_database(connect: &PgConnectOptions) {
    let mut connection = PgConnection::connect_with(&connect.clone().database("postgres")).await.unwrap();
    let name = connect.get_database().unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("drop database \"{name}\" with (force)")))
        .execute(&mut connection)
        .await
        .unwrap();
}

/// Makes the merchants, payments, events, routes, deliveries and attempts of thirty days, up to an hour ago.
pub async fn fill(database: &PgPool, connect: &PgConnectOptions) {
    let run = async |sql: &str| {
        let mut connection = PgConnection::connect_with(connect).await.unwrap();
        // What the triggers of payments would do is done here.
        let sql = format!(
            "set synchronous_commit = off; set session_replication_role = replica; {}",
            sql.replace(":events", &EVENTS.to_string())
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    };
    run(include_str!("prepare.sql")).await;
    futures_util::future::join(run(include_str!("events.sql")), run(include_str!("deliveries.sql"))).await;
    run("drop table old, old_endpoints").await;
    run("update sweep set routed_through = lowest_id('evt_', now() - interval '1 hour')").await;
    settle(database).await;
    let deliveries: i64 = sqlx::query_scalar("select count(*) from deliveries").fetch_one(database).await.unwrap();
    assert_eq!(deliveries, 2 * EVENTS);
}

/// As after some quiet time: analyzed, and nobody comes to do that while it is measured.
pub async fn settle(database: &PgPool) {
    sqlx::raw_sql("vacuum analyze").execute(database).await.unwrap();
    sqlx::raw_sql(
        "do $$ declare t regclass; begin
            for t in select oid from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
            loop execute format('alter table %s set (autovacuum_enabled = false)', t); end loop;
         end $$",
    )
    .execute(database)
    .await
    .unwrap();
}
