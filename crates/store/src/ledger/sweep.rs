//! Events that nobody has routed: who may look for them, from where on, and up to where.

use sqlx::PgPool;

use super::Moment;
use crate::Error;
use crate::kept::KeptConnections;

/// Where the sweep stands.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Every event below is routed, or below the horizon.
    pub from: String,
    /// The database's clock.
    pub now: Moment,
}

/// Takes or renews the named lease for a holder; false if another holds it.
///
/// # Errors
/// If the statement fails.
pub async fn take_lease(pool: &PgPool, name: &str, holder: &str, ms: i64) -> Result<bool, Error> {
    let taken = sqlx::query_scalar!(
        r#"
        insert into leases (name, holder, until)
        values ($1, $2, clock_timestamp() + $3 * interval '1 ms')
        on conflict (name) do update set holder = excluded.holder, until = excluded.until
            where leases.holder = excluded.holder or leases.until < clock_timestamp()
        returning true as "taken!"
        "#,
        name,
        holder,
        f64_of(ms),
    )
    .fetch_optional(pool)
    .await
    .map_err(Error::doing("taking a lease"))?;
    Ok(taken.is_some())
}

/// Reads where the sweep stands.
///
/// # Errors
/// If the statement fails.
pub async fn read_sweep(pool: &PgPool) -> Result<Sweep, Error> {
    sqlx::query_as!(
        Sweep,
        r#"
        select greatest(s.routed_through, h.event_id) as "from!", clock_timestamp() as "now!"
        from sweep s, horizon h
        "#,
    )
    .fetch_one(pool)
    .await
    .map_err(Error::doing("reading where the sweep stands"))
}

/// The id below which events may be gone.
///
/// # Errors
/// If the statement fails.
pub async fn read_horizon(connections: &KeptConnections) -> Result<String, Error> {
    let mut connection = connections.take().await?;
    let done = sqlx::query_scalar!("select event_id from horizon").fetch_one(&mut *connection).await;
    connection.keep_after(&done);
    done.map_err(Error::doing("reading the horizon"))
}

/// Unrouted events from `from` on, oldest first: those older than `any_ms`, and those older than `overtaken_ms` if
/// CDC has routed a newer one, so that it has passed them over.
///
/// # Errors
/// If a statement fails.
pub async fn unrouted(
    pool: &PgPool,
    sweep: &Sweep,
    overtaken_ms: i64,
    any_ms: i64,
    limit: i64,
) -> Result<Vec<String>, Error> {
    let found = sqlx::query!(
        r#"
        select event_id as "event_id!",
            event_id < lowest_id('evt_', $2::timestamptz - $4::float8 * interval '1 ms') as "old!"
        from unrouted_events($1, lowest_id('evt_', $2::timestamptz - $3::float8 * interval '1 ms'), $5) as event_id
        order by event_id collate "C"
        "#,
        sweep.from,
        sweep.now,
        f64_of(overtaken_ms.min(any_ms)),
        f64_of(any_ms),
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("looking for unrouted events"))?;
    let Some(young) = found.iter().find(|event| !event.old) else {
        return Ok(found.into_iter().map(|event| event.event_id).collect());
    };
    let newest_by_cdc = sqlx::query_scalar!(
        r#"select max(event_id) as "newest?" from routed_events where event_id > $1 and from_cdc"#,
        young.event_id,
    )
    .fetch_one(pool)
    .await
    .map_err(Error::doing("looking for the newest event that CDC has brought"))?;
    let overtaken = |event_id: &str| newest_by_cdc.as_deref().is_some_and(|newest| event_id < newest);
    Ok(found.into_iter().filter(|e| e.old || overtaken(&e.event_id)).map(|e| e.event_id).collect())
}

/// Moves the sweep's start up to its candidate, if no transaction from before the candidate can still commit and
/// everything below it is routed; then the moment before `margin_ms` is the next candidate: by so much may the clock be
/// set back, or a standby's be late, that takes over.
///
/// # Errors
/// If the statement fails.
pub async fn advance_sweep(pool: &PgPool, sweep: &Sweep, margin_ms: i64) -> Result<(), Error> {
    // Invariant: candidate_at is at most the start of this transaction, before it has its number, candidate_xid.
    // Whoever gets a later number makes only ids that are later than candidate_at. Nothing that a snapshot tells would
    // do: its xmax is below the numbers of transactions that are under way, if none after them has completed.
    sqlx::query!(
        r#"
        update sweep
        set routed_through = case
                when candidate_xid > pg_snapshot_xmax(pg_current_snapshot()) then routed_through
                else greatest(routed_through, lowest_id('evt_', candidate_at))
            end,
            candidate_at = now() - $2 * interval '1 ms',
            candidate_xid = pg_current_xact_id()
        where candidate_xid > pg_snapshot_xmax(pg_current_snapshot())
            or (pg_snapshot_xmin(pg_current_snapshot()) >= candidate_xid
                and not exists (select from unrouted_events($1, lowest_id('evt_', candidate_at), 1)))
        "#,
        sweep.from,
        f64_of(margin_ms),
    )
    .execute(pool)
    .await
    .map_err(Error::doing("moving the sweep's start"))?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a configured duration are far below 2^53")]
fn f64_of(ms: i64) -> f64 {
    ms as f64
}
