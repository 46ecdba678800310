//! Reading deliveries for a transition, and storing what the transition answered.

use domain::ledger::State;
use sqlx::PgConnection;

use super::{Moment, bounds};
use crate::Error;
use crate::kept::KeptConnections;

/// A delivery as it was read; times are the database's.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its id.
    pub delivery_id: String,
    /// Its event.
    pub event_id: String,
    /// Its endpoint.
    pub endpoint_id: String,
    /// Its state.
    pub state: State,
    /// Its claim.
    pub claim: i32,
    /// Attempts begun.
    pub attempts: i32,
    /// Attempts closed as unknown.
    pub unknowns: i32,
    /// Whether one of these was closed so lately that its POST may still be under way.
    pub in_doubt: bool,
    /// Milliseconds until it is due; negative when past.
    pub due_in_ms: i64,
    /// The invocation that makes the attempt under way, and the milliseconds that are left of its lease.
    pub in_flight: Option<(String, i64)>,
    /// When the attempt under way began.
    pub begun_at: Option<Moment>,
    /// The object and its version, where the endpoint wants order.
    pub in_line: Option<(String, i64)>,
    /// The slot that it waits for in the endpoint's rate: in so many milliseconds, negative when past, and the rate.
    pub slot: Option<(i64, i32)>,
    /// Whether it stays at the gate of its endpoint: then it may try whenever somebody asks for it.
    pub at_gate: bool,
    /// How many attempts it had when it was last resent.
    pub schedule_from: i32,
    /// Whether it was delivered before it was last resent.
    pub accepted: bool,
    /// Whether it is parked because somebody has declined it.
    pub declined: bool,
}

/// Whether a write happens only if the delivery is still as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Written only if state, claim, attempts and in-flight are as they were seen.
    AsSeen {
        /// Seen.
        state: State,
        /// Seen.
        claim: i32,
        /// Seen.
        attempts: i32,
        /// Seen.
        in_flight: bool,
    },
    /// Written over whatever is there, but for a delivery that has been resent since: only for a 2xx.
    Any {
        /// The claim that brings it.
        claim: i32,
    },
}

/// A delivery as it is to be stored.
#[derive(Debug, Clone)]
pub struct StepRow {
    /// Which.
    pub delivery_id: String,
    /// Its guard.
    pub guard: Guard,
    /// New.
    pub state: State,
    /// New; only for parked and exhausted.
    pub reason: Option<&'static str>,
    /// New.
    pub claim: i32,
    /// New.
    pub attempts: i32,
    /// New; none leaves it.
    pub unknowns: Option<i32>,
    /// The new due time, in milliseconds from now; none leaves it.
    pub due_in_ms: Option<i64>,
    /// The slot that it waits for from now on in the endpoint's rate: in so many milliseconds, and the rate.
    pub slot: Option<(i64, i32)>,
    /// The invocation that begins an attempt with this write, and its lease in milliseconds.
    pub begins: Option<(String, i64)>,
    /// Whether it stays at the gate of its endpoint until it is let in.
    pub at_gate: bool,
    /// Whether an attempt under way stays so; otherwise it is closed with this write.
    pub keeps_in_flight: bool,
    /// The attempts that have ended with this write.
    pub ended: Vec<LoggedAttempt>,
}

/// An attempt that has ended.
#[derive(Debug, Clone)]
pub struct LoggedAttempt {
    /// Its id.
    pub attempt_id: String,
    /// Under which claim.
    pub claim: i32,
    /// From 1.
    pub number: i32,
    /// When it began.
    pub began_at: Moment,
    /// In milliseconds, if it is known.
    pub duration_ms: Option<i64>,
    /// `domain::outcome::Outcome::as_str`, or `unknown`.
    pub outcome: String,
    /// The HTTP status.
    pub status: Option<i16>,
    /// In words.
    pub detail: Option<String>,
    /// What was seen on the way.
    pub exchange: Exchange,
}

/// What was seen of an attempt on its way; nothing is known of one that was closed as `unknown`.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// The IP address that the connection was with, or was to be with.
    pub address: Option<String>,
    /// Look-up, connection and TLS; none where a connection was used again.
    pub connect_ms: Option<i32>,
    /// Until the head of the answer.
    pub first_byte_ms: Option<i32>,
    /// Of the answer, as lines `name: value`.
    pub response_headers: Option<String>,
    /// The beginning of the answer's body.
    pub response_body: Option<Vec<u8>>,
}

/// The deliveries of these ids that exist.
///
/// # Errors
/// If the statement fails.
pub async fn deliveries(connections: &KeptConnections, delivery_ids: &[String]) -> Result<Vec<Seen>, Error> {
    let mut connection = connections.take().await?;
    let done = deliveries_on(&mut connection, delivery_ids).await;
    connection.keep_after(&done);
    done
}

/// As [`deliveries`], on a connection that may be in a transaction.
///
/// # Errors
/// If the statement fails.
pub async fn deliveries_on(connection: &mut PgConnection, delivery_ids: &[String]) -> Result<Vec<Seen>, Error> {
    let (lowest, highest) = bounds(delivery_ids);
    let rows = sqlx::query!(
        r#"
        select delivery_id as "delivery_id!", event_id as "event_id!", endpoint_id as "endpoint_id!", state as "state!",
            claim as "claim!", attempts as "attempts!", unknowns as "unknowns!", owner as "owner?", begun_at as "begun_at?",
            (extract(epoch from due_at - clock_timestamp()) * 1000)::bigint as "due_in_ms!",
            (extract(epoch from lease_until - clock_timestamp()) * 1000)::bigint as "lease_left_ms?",
            object_id as "object_id?", object_version as "object_version?",
            (extract(epoch from slot_at - clock_timestamp()) * 1000)::bigint as "slot_in_ms?", slot_rate as "slot_rate?", at_gate as "at_gate!",
            schedule_from as "schedule_from!", accepted_at is not null as "accepted!",
            reason is not distinct from 'declined' as "declined!",
            coalesce(doubt_until > clock_timestamp(), false) as "in_doubt!"
        from deliveries
        where delivery_id = any($1) and delivery_id >= $2 and delivery_id <= $3
        "#,
        delivery_ids,
        lowest,
        highest,
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("reading deliveries"))?;
    rows.into_iter()
        .map(|row| {
            Ok(Seen {
                state: state(&row.state)?,
                delivery_id: row.delivery_id,
                event_id: row.event_id,
                endpoint_id: row.endpoint_id,
                claim: row.claim,
                attempts: row.attempts,
                unknowns: row.unknowns,
                in_doubt: row.in_doubt,
                due_in_ms: row.due_in_ms,
                in_flight: row.owner.zip(row.lease_left_ms),
                begun_at: row.begun_at,
                in_line: row.object_id.zip(row.object_version),
                slot: row.slot_in_ms.zip(row.slot_rate),
                at_gate: row.at_gate,
                schedule_from: row.schedule_from,
                accepted: row.accepted,
                declined: row.declined,
            })
        })
        .collect()
}

/// A delivery that was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// Which.
    pub delivery_id: String,
    /// Its endpoint, if others stay at the gate of that.
    pub kept_out_at: Option<String>,
}

/// Stores the steps whose guard holds, and that an endpoint is well that has taken a delivery; answers the deliveries that
/// were written. No delivery may be in `steps` twice.
///
/// # Errors
/// If the statement fails; then nothing is stored.
pub async fn write_steps(connections: &KeptConnections, steps: Vec<StepRow>) -> Result<Vec<Written>, Error> {
    let mut connection = connections.take().await?;
    let done = write_steps_on(&mut connection, steps).await;
    connection.keep_after(&done);
    done
}

/// As [`write_steps`], on a connection that may be in a transaction.
///
/// # Errors
/// If the statement fails; then nothing is stored.
pub async fn write_steps_on(connection: &mut PgConnection, mut steps: Vec<StepRow>) -> Result<Vec<Written>, Error> {
    steps.sort_unstable_by(|a, b| a.delivery_id.cmp(&b.delivery_id));
    let ids: Vec<String> = steps.iter().map(|s| s.delivery_id.clone()).collect();
    let (lowest, highest) = bounds(&ids);
    let seen = |of: fn(State, i32, i32, bool) -> i32| {
        steps
            .iter()
            .map(|s| match s.guard {
                Guard::AsSeen { state, claim, attempts, in_flight } => Some(of(state, claim, attempts, in_flight)),
                Guard::Any { .. } => None,
            })
            .collect::<Vec<_>>()
    };
    let seen_state: Vec<Option<String>> = steps
        .iter()
        .map(|s| match s.guard {
            Guard::AsSeen { state, .. } => Some(state.as_str().to_owned()),
            Guard::Any { .. } => None,
        })
        .collect();
    let seen_claim: Vec<i32> = steps
        .iter()
        .map(|s| match s.guard {
            Guard::AsSeen { claim, .. } | Guard::Any { claim } => claim,
        })
        .collect();
    let is_seen = |s: &StepRow| matches!(s.guard, Guard::AsSeen { .. });
    let ended: Vec<(&str, &LoggedAttempt)> =
        steps.iter().flat_map(|s| s.ended.iter().map(|a| (s.delivery_id.as_str(), a))).collect();
    sqlx::query_as!(
        Written,
        r#"
        with changed as (
            update deliveries d
            set state = s.state, reason = s.reason, claim = coalesce(s.claim, d.claim),
                attempts = coalesce(s.attempts, d.attempts), unknowns = coalesce(s.unknowns, d.unknowns),
                doubt_until = case when s.unknowns > d.unknowns then clock_timestamp() + interval '2 minutes'
                    else d.doubt_until end,
                due_at = coalesce(clock_timestamp() + s.due_in_ms * interval '1 ms', d.due_at),
                slot_at = clock_timestamp() + s.slot_in_ms * interval '1 ms', slot_rate = s.slot_rate,
                at_gate = s.at_gate, owner = case when s.keeps then d.owner else s.owner end,
                begun_at = case when s.keeps then d.begun_at when s.owner is not null then clock_timestamp() end,
                lease_until = case when s.keeps then d.lease_until
                    when s.owner is not null then clock_timestamp() + s.lease_ms * interval '1 ms' end,
                ended_at = case when s.state in ('delivered', 'exhausted', 'superseded')
                    then case when d.state = s.state then d.ended_at else clock_timestamp() end end
            from unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::integer[], $6::integer[], $7::bigint[],
                $8::text[], $9::bigint[], $10::boolean[], $11::text[], $12::integer[], $13::integer[], $14::integer[],
                $31::bigint[], $32::integer[], $33::boolean[])
                as s (delivery_id, state, reason, claim, attempts, unknowns, due_in_ms, owner, lease_ms,
                    keeps, seen_state, seen_claim, seen_attempts, seen_in_flight, slot_in_ms, slot_rate, at_gate)
            where d.delivery_id = s.delivery_id
                and d.delivery_id = any($1) and d.delivery_id >= $24 and d.delivery_id <= $25
                and ((s.seen_state is null
                        -- A 2xx that is kept already, told once more, does not end a resend.
                        and (d.accepted_at is null or d.claim <= s.seen_claim or d.state not in ('pending', 'held')))
                    or (d.state = s.seen_state and d.claim = s.seen_claim and d.attempts = s.seen_attempts
                        and (d.begun_at is not null)::integer = s.seen_in_flight))
            returning d.delivery_id, d.endpoint_id, d.state, case when d.state = 'pending' then d.due_at end as next_at
        ), logged as (
            insert into attempts
                (attempt_id, delivery_id, claim, number, began_at, duration_ms, outcome, status, detail, next_at,
                    address, connect_ms, first_byte_ms, response_headers, response_body)
            select a.attempt_id, a.delivery_id, a.claim, a.number, a.began_at, a.duration_ms, a.outcome, a.status,
                a.detail, changed.next_at, a.address, a.connect_ms, a.first_byte_ms, a.response_headers, a.response_body
            from unnest($15::text[], $16::text[], $17::integer[], $18::integer[], $19::timestamptz[], $20::bigint[],
                $21::text[], $22::smallint[], $23::text[], $26::text[], $27::integer[], $28::integer[], $29::text[],
                $30::bytea[])
                as a (attempt_id, delivery_id, claim, number, began_at, duration_ms, outcome, status, detail,
                    address, connect_ms, first_byte_ms, response_headers, response_body)
            join changed using (delivery_id)
            on conflict (attempt_id) do nothing
        ), failing as (
            select endpoint_id from gates
            where failing_since is not null
                and endpoint_id = any(array(
                    -- Delivered is also what was accepted once and is not resent any further.
                    select changed.endpoint_id from changed
                    join unnest($16::text[], $21::text[]) as a (delivery_id, outcome) using (delivery_id)
                    where a.outcome = 'delivered'))
            order by endpoint_id
            for update
        ), healed as (
            update gates g set failures = 0, failing_since = null, disable_at = null, probe_at = null, probes = 0
            from failing f
            where g.endpoint_id = f.endpoint_id
        )
        select changed.delivery_id as "delivery_id!", g.endpoint_id as "kept_out_at?"
        from changed left join gates g on g.endpoint_id = changed.endpoint_id and g.kept_out_at is not null
        "#,
        &ids,
        &steps.iter().map(|s| s.state.as_str().to_owned()).collect::<Vec<_>>(),
        &steps.iter().map(|s| s.reason.map(str::to_owned)).collect::<Vec<_>>() as &[Option<String>],
        &steps.iter().map(|s| is_seen(s).then_some(s.claim)).collect::<Vec<_>>() as &[Option<i32>],
        &steps.iter().map(|s| is_seen(s).then_some(s.attempts)).collect::<Vec<_>>() as &[Option<i32>],
        &steps.iter().map(|s| s.unknowns).collect::<Vec<_>>() as &[Option<i32>],
        &steps.iter().map(|s| s.due_in_ms).collect::<Vec<_>>() as &[Option<i64>],
        &steps.iter().map(|s| s.begins.as_ref().map(|b| b.0.clone())).collect::<Vec<_>>() as &[Option<String>],
        &steps.iter().map(|s| s.begins.as_ref().map(|b| b.1)).collect::<Vec<_>>() as &[Option<i64>],
        &steps.iter().map(|s| s.keeps_in_flight).collect::<Vec<_>>(),
        &seen_state as &[Option<String>],
        &seen_claim,
        &seen(|_, _, attempts, _| attempts) as &[Option<i32>],
        &seen(|_, _, _, in_flight| i32::from(in_flight)) as &[Option<i32>],
        &ended.iter().map(|(_, a)| a.attempt_id.clone()).collect::<Vec<_>>(),
        &ended.iter().map(|(id, _)| (*id).to_owned()).collect::<Vec<_>>(),
        &ended.iter().map(|(_, a)| a.claim).collect::<Vec<_>>(),
        &ended.iter().map(|(_, a)| a.number).collect::<Vec<_>>(),
        &ended.iter().map(|(_, a)| a.began_at).collect::<Vec<_>>(),
        &ended.iter().map(|(_, a)| a.duration_ms).collect::<Vec<_>>() as &[Option<i64>],
        &ended.iter().map(|(_, a)| a.outcome.clone()).collect::<Vec<_>>(),
        &ended.iter().map(|(_, a)| a.status).collect::<Vec<_>>() as &[Option<i16>],
        &ended.iter().map(|(_, a)| a.detail.clone()).collect::<Vec<_>>() as &[Option<String>],
        lowest,
        highest,
        &ended.iter().map(|(_, a)| a.exchange.address.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &ended.iter().map(|(_, a)| a.exchange.connect_ms).collect::<Vec<_>>() as &[Option<i32>],
        &ended.iter().map(|(_, a)| a.exchange.first_byte_ms).collect::<Vec<_>>() as &[Option<i32>],
        &ended.iter().map(|(_, a)| a.exchange.response_headers.as_deref()).collect::<Vec<_>>() as &[Option<&str>],
        &ended.iter().map(|(_, a)| a.exchange.response_body.as_deref()).collect::<Vec<_>>() as &[Option<&[u8]>],
        &steps.iter().map(|s| s.slot.map(|slot| slot.0)).collect::<Vec<_>>() as &[Option<i64>],
        &steps.iter().map(|s| s.slot.map(|slot| slot.1)).collect::<Vec<_>>() as &[Option<i32>],
        &steps.iter().map(|s| s.at_gate).collect::<Vec<_>>(),
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("storing the steps of deliveries"))
}

/// The column has a check constraint, so an unknown word means that this program is older than the schema.
pub(super) fn state(word: &str) -> Result<State, Error> {
    State::from_word(word).ok_or_else(|| Error {
        doing: "reading a delivery's state; this program is older than the schema",
        source: sqlx::Error::Decode(word.to_owned().into()),
    })
}
