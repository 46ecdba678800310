//! How things stand, in numbers, for whoever watches over them.

use sqlx::PgPool;

use crate::Error;

/// What waits, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overview {
    /// Events that nobody has routed, above the horizon.
    pub unrouted: i64,
    /// The age of the oldest of them, in seconds; zero if there is none.
    pub unrouted_s: f64,
    /// Deliveries in this state.
    pub pending: i64,
    /// Deliveries in this state.
    pub held: i64,
    /// Deliveries in this state, without those that somebody has declined.
    pub parked: i64,
    /// Of the pending ones, those that have failed and whose next attempt is not due yet.
    pub retries: i64,
    /// For how long a pending delivery has been neither attempted nor waiting for its time, at most, in seconds.
    pub overdue_s: f64,
    /// Endpoints whose circuit is open.
    pub circuits: i64,
    /// Records that name no event that the ledger knows.
    pub parked_records: i64,
}

/// A logical replication slot of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Whether somebody reads it.
    pub active: bool,
    /// Whether PostgreSQL has given it up, and removed log that it needs.
    pub lost: bool,
    /// The end of the log, in bytes.
    pub end: i64,
    /// Up to where its reader has confirmed, in bytes; none if the slot is lost.
    pub confirmed: Option<i64>,
    /// Log that is kept for it, in bytes.
    pub retained: Option<i64>,
    /// How much log may still be written until it is given up, in bytes; none if it never is.
    pub left: Option<i64>,
}

/// Looks at all of it. The pool is one for [`crate::Statements::Scans`].
///
/// # Errors
/// If the statement fails.
pub async fn overview(pool: &PgPool) -> Result<Overview, Error> {
    sqlx::query_as!(
        Overview,
        r#"
        with unrouted as (
            select count(*) as events, min(e.id collate "C") as oldest
            from sweep s, horizon h, unrouted_events(greatest(s.routed_through, h.event_id), 'evt_~', null) as e (id)
        ), pending as (
            select count(*) as deliveries,
                count(*) filter (where attempts > schedule_from and due_at > clock_timestamp() and owner is null and not at_gate)
                    as retries,
                min(greatest(due_at, lease_until)) as in_order_until
            from deliveries
            where state = 'pending'
        )
        select u.events as "unrouted!",
            coalesce(greatest(0, extract(epoch from clock_timestamp() - (
                select occurred_at from domain_events where event_id = u.oldest))), 0)::float8 as "unrouted_s!",
            p.deliveries as "pending!",
            (select count(*) from deliveries where state = 'held') as "held!",
            (select count(*) from deliveries where state = 'parked' and reason <> 'declined') as "parked!",
            p.retries as "retries!",
            coalesce(greatest(0, extract(epoch from clock_timestamp() - p.in_order_until)), 0)::float8 as "overdue_s!",
            (select count(*) from gates g join endpoints e using (endpoint_id)
                where g.probe_at is not null and e.state = 'enabled') as "circuits!",
            (select count(*) from parked_records where resolved_at is null) as "parked_records!"
        from unrouted u, pending p
        "#,
    )
    .fetch_one(pool)
    .await
    .map_err(Error::doing("looking how things stand"))
}

/// The logical replication slots of this database.
///
/// # Errors
/// If the statement fails.
pub async fn slots(pool: &PgPool) -> Result<Vec<Slot>, Error> {
    sqlx::query_as!(
        Slot,
        r#"
        select slot_name::text as "name!", active as "active!", wal_status is not distinct from 'lost' as "lost!",
            pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint as "end!",
            pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')::bigint as "confirmed",
            pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint as "retained",
            safe_wal_size as "left"
        from pg_replication_slots
        where slot_type = 'logical' and database = current_database()
        order by slot_name
        "#,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("looking at the replication slots"))
}
