//! A transaction that is given up while it begins: its caller went away, or its time was over.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use sqlx::Row as _;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use store::kept::KeptConnections;
use store::transaction::{begin, begin_on, commit};
use store::{Durability, Statements, connect_with};

/// One connection, so that whoever comes next gets what the one before has left.
fn one(connect: PgConnectOptions) -> PgPool {
    connect_with(connect, 1, Durability::Durable, Statements::Any)
}

async fn table(connect: &PgConnectOptions) -> PgPool {
    let other = one(connect.clone());
    sqlx::query("create table said (word text)").execute(&other).await.unwrap();
    other
}

async fn said(other: &PgPool) -> Vec<String> {
    sqlx::query_scalar("select word from said").fetch_all(other).await.unwrap()
}

/// Begins, and is dropped as soon as the statement is on its way; whether the answer was not there yet.
fn give_up<F: Future>(begins: F) -> bool {
    pin!(begins).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[sqlx::test(migrations = false)]
async fn what_the_next_one_stores_on_a_kept_connection_is_committed(_: PgPoolOptions, connect: PgConnectOptions) {
    let other = table(&connect).await;
    let kept = KeptConnections::all_of(one(connect));
    for n in 0..5 {
        // The answer is there at once where the server is given the processor before us.
        let gave_up = async || give_up(begin(&mut kept.take().await.unwrap()));
        let mut tries = 1;
        while !gave_up().await {
            assert!(tries < 100, "it is always too quick to be given up");
            tries += 1;
        }
        let mut connection = kept.take().await.unwrap();
        let done = sqlx::query("insert into said values ($1)").bind(n.to_string()).execute(&mut *connection).await;
        connection.keep_after(&done);
        done.unwrap();
        assert_eq!(said(&other).await.len(), n + 1, "somebody was told that it is stored, and it is not");
    }
}

#[sqlx::test(migrations = false)]
async fn what_the_next_one_stores_on_the_pool_is_committed(_: PgPoolOptions, connect: PgConnectOptions) {
    let other = table(&connect).await;
    let pool = one(connect);
    // The connection stands: what is given up is the beginning of the transaction, not the connection.
    sqlx::query("select 1").execute(&pool).await.unwrap();
    for n in 0..5 {
        let mut begins = Box::pin(begin_on(&pool));
        let _ = tokio::time::timeout(Duration::from_micros(n * 100), &mut begins).await;
        drop(begins);
        sqlx::query("insert into said values ($1)").bind(n.to_string()).execute(&pool).await.unwrap();
        assert_eq!(said(&other).await.len(), usize::try_from(n).unwrap() + 1);
    }
}

#[sqlx::test(migrations = false)]
async fn a_connection_that_comes_back_as_it_should_is_used_again(_: PgPoolOptions, connect: PgConnectOptions) {
    let pool = one(connect);
    let backend = async || sqlx::query("select pg_backend_pid()").fetch_one(&pool).await.unwrap().get::<i32, _>(0);
    let first = backend().await;
    let mut transaction = begin_on(&pool).await.unwrap();
    sqlx::query("select 1").execute(&mut *transaction).await.unwrap();
    commit(transaction).await.unwrap();
    let mut rolled_back = begin_on(&pool).await.unwrap();
    sqlx::query("select 1").execute(&mut *rolled_back).await.unwrap();
    drop(rolled_back);
    let mut failed = begin_on(&pool).await.unwrap();
    sqlx::query("select 1 / 0").execute(&mut *failed).await.unwrap_err();
    drop(failed);
    assert_eq!(backend().await, first);
}
