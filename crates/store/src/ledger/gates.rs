//! Gates: what each endpoint lets through. The rules are `domain::gate`.

use std::num::NonZeroU32;
use std::time::Duration;

use domain::gate::{Gate, Open};
use sqlx::PgConnection;

use super::Moment;
use crate::Error;

/// A gate that is locked until the transaction ends.
#[derive(Debug, Clone)]
pub struct LockedGate {
    /// Of which endpoint.
    pub endpoint_id: String,
    /// The moment from which its times count.
    pub now: Moment,
    /// As it is; its rate is the one for which its slots were given.
    pub gate: Gate,
}

/// Locks the gates of these endpoints, in the order of the ids; those that are missing are made. No id may be in
/// `endpoint_ids` twice.
///
/// # Errors
/// If a statement fails.
pub async fn lock_gates(connection: &mut PgConnection, endpoint_ids: &[String]) -> Result<Vec<LockedGate>, Error> {
    let locked = locked(connection, endpoint_ids).await?;
    if locked.len() == endpoint_ids.len() {
        return Ok(locked);
    }
    sqlx::query!(
        "insert into gates (endpoint_id) select unnest($1::text[]) order by 1 on conflict do nothing",
        endpoint_ids
    )
    .execute(&mut *connection)
    .await
    .map_err(Error::doing("making the gates of endpoints"))?;
    self::locked(connection, endpoint_ids).await
}

async fn locked(connection: &mut PgConnection, endpoint_ids: &[String]) -> Result<Vec<LockedGate>, Error> {
    let rows = sqlx::query!(
        r#"
        select endpoint_id as "endpoint_id!", now as "now!", rate_limit as "rate_limit?", failures as "failures!",
            probes as "probes!",
            case when free_slot_at > now then (extract(epoch from free_slot_at - now) * 1000000)::bigint else 0 end
                as "free_slot_in_us!",
            (extract(epoch from now - failing_since) * 1000000)::bigint as "failing_for_us?",
            (extract(epoch from probe_at - now) * 1000000)::bigint as "probe_in_us?"
        from (select * from gates where endpoint_id = any($1) order by endpoint_id for update) gates,
            lateral (select clock_timestamp() as now) clock
        "#,
        endpoint_ids,
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("locking the gates of endpoints"))?;
    let gates = rows.into_iter().map(|row| LockedGate {
        endpoint_id: row.endpoint_id,
        now: row.now,
        gate: Gate {
            rate: row.rate_limit.and_then(|rate| NonZeroU32::new(rate.unsigned_abs())),
            free_slot_in: duration(row.free_slot_in_us),
            failures: row.failures.unsigned_abs(),
            failing_for: row.failing_for_us.map(duration).unwrap_or_default(),
            circuit: row
                .probe_in_us
                .map(|probe_in| Open { probe_in: duration(probe_in), probes: row.probes.unsigned_abs() }),
        },
    });
    Ok(gates.collect())
}

/// Stores gates that are locked; those that fail are to be disabled after so long. Answers the moment, which is later than the one from which their times count.
///
/// # Errors
/// If the statement fails; then nothing is stored.
pub async fn keep_gates(
    connection: &mut PgConnection,
    gates: &[LockedGate],
    disabled_after: Option<Duration>,
) -> Result<Moment, Error> {
    let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let circuit = |gate: &LockedGate| gate.gate.circuit;
    let now = sqlx::query_scalar!(
        r#"
        with kept as (
            update gates g
            set rate_limit = k.rate_limit, free_slot_at = k.now + k.free_slot_in_us * interval '1 us',
                failures = k.failures,
                failing_since = case when k.failures > 0 then coalesce(g.failing_since, k.now) end,
                disable_at = case when k.failures > 0 then coalesce(g.failing_since, k.now) + $8::bigint * interval '1 us' end,
                probe_at = k.now + k.probe_in_us * interval '1 us', probes = k.probes
            from unnest($1::text[], $2::timestamptz[], $3::integer[], $4::bigint[], $5::integer[], $6::bigint[],
                $7::integer[]) as k (endpoint_id, now, rate_limit, free_slot_in_us, failures, probe_in_us, probes)
            where g.endpoint_id = k.endpoint_id
        )
        select clock_timestamp() as "now!"
        "#,
        &gates.iter().map(|g| g.endpoint_id.clone()).collect::<Vec<_>>(),
        &gates.iter().map(|g| g.now).collect::<Vec<_>>(),
        &gates.iter().map(|g| g.gate.rate.map(|rate| count(rate.get()))).collect::<Vec<_>>() as &[Option<i32>],
        &gates.iter().map(|g| micros(g.gate.free_slot_in)).collect::<Vec<_>>(),
        &gates.iter().map(|g| count(g.gate.failures)).collect::<Vec<_>>(),
        &gates.iter().map(|g| circuit(g).map(|open| micros(open.probe_in))).collect::<Vec<_>>() as &[Option<i64>],
        &gates.iter().map(|g| circuit(g).map_or(0, |open| count(open.probes))).collect::<Vec<_>>(),
        disabled_after.map(micros) as Option<i64>,
    )
    .fetch_one(connection)
    .await
    .map_err(Error::doing("storing the gates of endpoints"))?;
    Ok(now)
}

/// Has the next attempt at the endpoint try it at once, if its circuit is open.
///
/// # Errors
/// If the statement fails.
pub async fn try_circuit(connection: &mut PgConnection, endpoint_id: &str) -> Result<(), Error> {
    sqlx::query!(
        "update gates set probe_at = clock_timestamp() where endpoint_id = $1 and probe_at > clock_timestamp()",
        endpoint_id
    )
    .execute(connection)
    .await
    .map_err(Error::doing("having an endpoint tried at once"))?;
    Ok(())
}

/// None of a moment that has passed.
fn duration(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or(0))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
