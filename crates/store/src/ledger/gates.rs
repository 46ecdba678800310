//! Gates: what each endpoint lets through. The rules are `domain::gate`.

use std::num::NonZeroU32;
use std::time::Duration;

use domain::gate::{Gate, Open};
use sqlx::{PgConnection, PgPool};

use super::{Moment, bounds};
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
    /// Whether somebody is told to stay; false as it is read.
    pub keeps_out: bool,
}

/// A delivery that is let in.
#[derive(Debug, Clone)]
pub struct LetIn {
    /// Which.
    pub delivery_id: String,
    /// Its claim.
    pub claim: i32,
    /// Where.
    pub endpoint_id: String,
}

/// A gate at which some stay, and nothing moves.
#[derive(Debug, Clone)]
pub struct StillGate {
    /// Of which endpoint.
    pub endpoint_id: String,
    /// Whether the endpoint takes anything: if not, whoever is let in is parked.
    pub is_enabled: bool,
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
        keeps_out: false,
    });
    Ok(gates.collect())
}

/// Stores gates that are locked; those that fail are to be disabled after so long. Answers the moment, which is later than
/// the one from which their times count.
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
                probe_at = k.now + k.probe_in_us * interval '1 us', probes = k.probes,
                kept_out_at = case when k.keeps_out then k.now else g.kept_out_at end
            from unnest($1::text[], $2::timestamptz[], $3::integer[], $4::bigint[], $5::integer[], $6::bigint[],
                $7::integer[], $9::boolean[])
                as k (endpoint_id, now, rate_limit, free_slot_in_us, failures, probe_in_us, probes, keeps_out)
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
        &gates.iter().map(|g| g.keeps_out).collect::<Vec<_>>(),
    )
    .fetch_one(connection)
    .await
    .map_err(Error::doing("storing the gates of endpoints"))?;
    Ok(now)
}

/// Lets in the first of those who stay at the gate of an endpoint, at most so many. They keep their claim, for nobody has it
/// in hand, and they stay until they have gone in: whoever is told of them may die. So each is let in once more if it is
/// still there after `on_the_way`.
///
/// Whoever was told to stay within `settled` may not be written yet: until that has passed, the gate counts as one at
/// which some stay.
///
/// # Errors
/// If a statement fails.
pub async fn let_in(
    connection: &mut PgConnection,
    endpoint_id: &str,
    most: i64,
    on_the_way: Duration,
    settled: Duration,
) -> Result<Vec<LetIn>, Error> {
    const DOING: &str = "letting deliveries in";
    sqlx::query!("select endpoint_id from gates where endpoint_id = $1 for update", endpoint_id)
        .fetch_optional(&mut *connection)
        .await
        .map_err(Error::doing(DOING))?;
    let first = sqlx::query_scalar!(
        r#"
        select delivery_id as "delivery_id!" from deliveries
        where endpoint_id = $1 and at_gate
            -- It is due in an hour, or was let in and did not come.
            and (due_at <= clock_timestamp() or due_at > clock_timestamp() + $3::bigint * interval '1 us')
        order by delivery_id
        limit $2
        for update skip locked
        "#,
        endpoint_id,
        most,
        micros(on_the_way),
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(Error::doing(DOING))?;
    let (lowest, highest) = bounds(&first);
    let let_in = sqlx::query_as!(
        LetIn,
        r#"
        update deliveries set due_at = clock_timestamp() + $4::bigint * interval '1 us'
        where delivery_id = any($1) and delivery_id >= $2 and delivery_id <= $3
        returning delivery_id as "delivery_id!", claim as "claim!", endpoint_id as "endpoint_id!"
        "#,
        &first,
        lowest,
        highest,
        micros(on_the_way),
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(Error::doing(DOING))?;
    sqlx::query!(
        "update gates
        set let_in_at = clock_timestamp(),
            kept_out_at = case
                when $2 and kept_out_at < clock_timestamp() - $3::bigint * interval '1 us'
                    and not exists (select from deliveries d where d.endpoint_id = $1 and d.at_gate) then null
                else kept_out_at end
        where endpoint_id = $1",
        endpoint_id,
        i64::try_from(first.len()).is_ok_and(|found| found < most),
        micros(settled),
    )
    .execute(connection)
    .await
    .map_err(Error::doing(DOING))?;
    Ok(let_in)
}

/// Gates at which some stay although somebody may go in, where nobody was let in for `still`; those that have waited longest
/// first.
///
/// # Errors
/// If the statement fails.
pub async fn still_gates(pool: &PgPool, still: Duration, most: i64) -> Result<Vec<StillGate>, Error> {
    sqlx::query_as!(
        StillGate,
        r#"
        select g.endpoint_id as "endpoint_id!", coalesce(p.state = 'enabled', false) as "is_enabled!"
        from gates g left join endpoints p on p.endpoint_id = g.endpoint_id
        where g.kept_out_at is not null
            and (p.state is distinct from 'enabled'
                or ((g.probe_at is null or g.probe_at <= clock_timestamp())
                    and (g.let_in_at is null or g.let_in_at < clock_timestamp() - $1::bigint * interval '1 us')))
        order by g.let_in_at nulls first, g.endpoint_id
        limit $2
        "#,
        micros(still),
        most,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("looking for gates at which nothing moves"))
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
