//! The ledger's look-ups are planned once and still touch the partitions of their keys alone.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use store::kept::KeptConnections;
use store::ledger;
use store::{Durability, Statements};

/// Counts how often each partition's primary key was scanned, by a statement that is asked for one key.
#[sqlx::test(migrations = "../../migrations")]
async fn a_look_up_scans_one_partition_of_many(pool: PgPoolOptions, connect: PgConnectOptions) {
    let database = pool.connect_with(connect.clone()).await.unwrap();
    sqlx::query("select ensure_partitions(20)").execute(&database).await.unwrap();
    let ids = |prefix: &str| vec![format!("{prefix}{:012x}7000800000000000000000", now_ms())];
    let (events, deliveries) = (ids("evt_"), ids("dlv_"));
    let scans = async || {
        // The service's session tells its counts when it ends.
        let kept =
            KeptConnections::all_of(store::connect_with(connect.clone(), 1, Durability::Fast, Statements::Lookups));
        // More often than PostgreSQL would try plans for the values at hand.
        for _ in 0..10 {
            ledger::events(&kept, &events).await.unwrap();
            ledger::routed(&kept, &events).await.unwrap();
            ledger::deliveries(&kept, &deliveries).await.unwrap();
        }
    };
    let scanned = async || {
        let sql = "select relname::text, idx_scan from pg_stat_user_tables
            where relname ~ '^(domain_events|routed_events|deliveries)_' and idx_scan + seq_scan > 0 order by 1";
        sqlx::query_as::<_, (String, i64)>(sql).fetch_all(&database).await.unwrap()
    };
    let before = scanned().await;
    scans().await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    let new = loop {
        let after = scanned().await;
        let new: Vec<_> = after.into_iter().filter(|row| !before.contains(row)).map(|(name, _)| name).collect();
        if new.len() >= 3 {
            break new;
        }
        assert!(tokio::time::Instant::now() < deadline, "only {new:?} were scanned");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(new.len(), 3, "one partition of each table, but these were scanned: {new:?}");
}

fn now_ms() -> u128 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()
}
