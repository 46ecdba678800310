//! The start of the sweep never moves past a transaction that may still commit.

use sqlx::PgPool;
use store::ledger::{advance_sweep, read_sweep};

async fn advance(pool: &PgPool) -> String {
    let sweep = read_sweep(pool).await.unwrap();
    advance_sweep(pool, &sweep, 0).await.unwrap();
    read_sweep(pool).await.unwrap().from
}

/// A snapshot's xmax is the number after the last one that has *completed*: a transaction that began since has that
/// number or a higher one, although its ids are older. Other tests complete transactions of the same cluster meanwhile,
/// so this is tried often.
#[sqlx::test(migrations = "../../migrations")]
async fn a_transaction_without_a_later_one_completed_is_not_passed(pool: PgPool) {
    sqlx::query("insert into merchants (merchant_id, name) values (new_id('mer_', now()), 'Bakery')")
        .execute(&pool)
        .await
        .unwrap();
    for round in 0..30 {
        let mut open = pool.begin().await.unwrap();
        sqlx::query(
            "insert into payments (payment_id, merchant_id, amount, currency)
             select new_id('pay_', now()), merchant_id, 1000, 'USD' from merchants",
        )
        .execute(&mut *open)
        .await
        .unwrap();
        let event: String =
            sqlx::query_scalar("select max(event_id) from domain_events").fetch_one(&mut *open).await.unwrap();
        for _ in 0..3 {
            let start = advance(&pool).await;
            assert!(start <= event, "round {round}: {start} is past {event}, which may still commit");
        }
        open.rollback().await.unwrap();
    }
}

/// The database was dumped and restored into another cluster, whose transactions have lower numbers.
#[sqlx::test(migrations = "../../migrations")]
async fn a_candidate_from_another_cluster_is_made_anew(pool: PgPool) {
    sqlx::query("update sweep set candidate_xid = '1000000000000', candidate_at = now() + interval '1 hour'")
        .execute(&pool)
        .await
        .unwrap();
    let before = read_sweep(&pool).await.unwrap();
    assert_eq!(advance(&pool).await, before.from, "a foreign candidate says nothing");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while advance(&pool).await == before.from {
        assert!(tokio::time::Instant::now() < deadline, "the start does not move any more");
    }
    let ahead: bool = sqlx::query_scalar("select routed_through > lowest_id('evt_', now()) from sweep")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(!ahead, "the foreign moment was not used");
}

/// Set back by less than the margin, the clock makes ids that the sweep has not passed.
#[sqlx::test(migrations = "../../migrations")]
async fn the_start_stays_behind_by_its_margin(pool: PgPool) {
    let settled = "select candidate_at < now() - interval '599 s' from sweep";
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while !sqlx::query_scalar::<_, bool>(settled).fetch_one(&pool).await.unwrap() {
        assert!(tokio::time::Instant::now() < deadline, "the candidate stays younger than the margin");
        let sweep = read_sweep(&pool).await.unwrap();
        advance_sweep(&pool, &sweep, 600_000).await.unwrap();
    }
}
