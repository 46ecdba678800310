//! Connections that are kept in hand.

use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use store::kept::KeptConnections;

/// Four connections, of which two may be kept.
fn pool(connect: PgConnectOptions) -> PgPool {
    PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(2)).connect_lazy_with(connect)
}

async fn backend(connection: &mut PgConnection) -> i32 {
    sqlx::query_scalar("select pg_backend_pid()").fetch_one(connection).await.unwrap()
}

#[sqlx::test(migrations = false)]
async fn a_kept_connection_serves_the_next_statement(_: PgPoolOptions, connect: PgConnectOptions) {
    let pool = pool(connect);
    let kept = KeptConnections::of(pool.clone());
    let mut first = kept.take().await.unwrap();
    let pid = backend(&mut first).await;
    first.keep_after(&Ok::<_, ()>(pid));
    let mut second = kept.take().await.unwrap();
    assert_eq!(backend(&mut second).await, pid);
    assert_eq!(pool.num_idle(), 0, "the pool never had it back");
    drop(second);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while pool.num_idle() == 0 {
        assert!(tokio::time::Instant::now() < deadline, "dropped, it did not go back to the pool");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut third = pool.acquire().await.unwrap();
    assert_eq!(backend(&mut third).await, pid);
}

#[sqlx::test(migrations = false)]
async fn whoever_uses_the_pool_finds_a_connection_however_many_are_kept(_: PgPoolOptions, connect: PgConnectOptions) {
    let pool = pool(connect);
    let kept = KeptConnections::of(pool.clone());
    let (one, two) = (kept.take().await.unwrap(), kept.take().await.unwrap());
    let too_many = kept.take().await.map(|_| ()).unwrap_err();
    assert!(matches!(too_many.source, sqlx::Error::PoolTimedOut), "{too_many:?}");
    one.keep_after(&Ok::<_, ()>(()));
    two.keep_after(&Ok::<_, ()>(()));
    let both = (pool.acquire().await, pool.acquire().await);
    assert!(both.0.is_ok() && both.1.is_ok());
    kept.take().await.expect("the kept ones do not need the pool");
}

#[sqlx::test(migrations = false)]
async fn a_statement_that_was_given_up_spoils_no_connection(_: PgPoolOptions, connect: PgConnectOptions) {
    let kept = KeptConnections::of(pool(connect));
    for _ in 0..3 {
        let given_up = tokio::time::timeout(Duration::from_millis(20), async {
            let mut connection = kept.take().await.unwrap();
            let done = sqlx::query("select pg_sleep(0.2)").execute(&mut *connection).await;
            connection.keep_after(&done);
        });
        given_up.await.unwrap_err();
    }
    for number in 0..4 {
        let mut connection = kept.take().await.unwrap();
        let answer = sqlx::query_scalar::<_, i32>("select $1").bind(number).fetch_one(&mut *connection).await;
        connection.keep_after(&answer);
        assert_eq!(answer.unwrap(), number);
    }
}
