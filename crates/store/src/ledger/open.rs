//! Routing: the row of an event and the rows of its deliveries, in one statement.

use domain::ledger::State;
use sqlx::PgConnection;

use super::{Moment, bounds};
use crate::Error;
use crate::kept::KeptConnections;

/// How an event is routed.
#[derive(Debug, Clone)]
pub struct Route {
    /// The event.
    pub event_id: String,
    /// Restate's id of the invocation that routes it.
    pub invocation_id: String,
    /// Whether the record came through CDC.
    pub from_cdc: bool,
    /// As the record says.
    pub committed_at: Option<Moment>,
    /// As the record says.
    pub captured_at: Option<Moment>,
    /// When the handler began.
    pub handled_at: Moment,
    /// One for each endpoint that wants it; none means filtered.
    pub deliveries: Vec<NewDelivery>,
}

/// A delivery as it is made.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    /// Its id.
    pub delivery_id: String,
    /// Where to.
    pub endpoint_id: String,
    /// `pending` with its first attempt begun unless it waits, `held`, `parked` or `superseded`.
    pub state: State,
    /// Why it is parked.
    pub reason: Option<&'static str>,
    /// The object and its version, where the endpoint wants order.
    pub in_line: Option<(String, i64)>,
    /// How long its first attempt may be under way, in milliseconds.
    pub lease_ms: i64,
    /// A pending one that has begun nothing comes back after so many milliseconds.
    pub waits_ms: Option<i64>,
    /// The slot that it waits for in the endpoint's rate: in so many milliseconds, and the rate.
    pub slot: Option<(i64, i32)>,
    /// Whether it stays at the gate of its endpoint until it is let in.
    pub at_gate: bool,
}

/// An event's row on the ledger.
#[derive(Debug, Clone)]
pub struct Routed {
    /// The event.
    pub event_id: String,
    /// Who routed it.
    pub invocation_id: String,
    /// Its deliveries.
    pub delivery_ids: Vec<String>,
}

/// Those of these events that are routed.
///
/// # Errors
/// If the statement fails.
pub async fn routed(connections: &KeptConnections, event_ids: &[String]) -> Result<Vec<Routed>, Error> {
    let (lowest, highest) = bounds(event_ids);
    let mut connection = connections.take().await?;
    let done = sqlx::query_as!(
        Routed,
        r#"
        select event_id as "event_id!", invocation_id as "invocation_id!", delivery_ids as "delivery_ids!"
        from routed_events
        where event_id = any($1) and event_id >= $2 and event_id <= $3
        "#,
        event_ids,
        lowest,
        highest,
    )
    .fetch_all(&mut *connection)
    .await;
    connection.keep_after(&done);
    done.map_err(Error::doing("reading how events were routed"))
}

/// Stores the routes of events that nobody has routed; answers the ids of those that this call routed. No event may be
/// in `routes` twice.
///
/// # Errors
/// If the statement fails; then nothing is stored.
pub async fn route(connections: &KeptConnections, routes: Vec<Route>) -> Result<Vec<String>, Error> {
    let mut connection = connections.take().await?;
    let done = route_on(&mut connection, routes).await;
    connection.keep_after(&done);
    done
}

/// As [`route`], on a connection that may be in a transaction.
///
/// # Errors
/// If the statement fails; then nothing is stored.
pub async fn route_on(connection: &mut PgConnection, mut routes: Vec<Route>) -> Result<Vec<String>, Error> {
    routes.sort_unstable_by(|a, b| a.event_id.cmp(&b.event_id));
    let column = |of: fn(&Route) -> String| routes.iter().map(of).collect::<Vec<_>>();
    let moments = |of: fn(&Route) -> Option<Moment>| routes.iter().map(of).collect::<Vec<_>>();
    let made: Vec<(&Route, &NewDelivery)> =
        routes.iter().flat_map(|route| route.deliveries.iter().map(move |delivery| (route, delivery))).collect();
    let made_column = |of: fn(&Route, &NewDelivery) -> String| made.iter().map(|(r, d)| of(r, d)).collect::<Vec<_>>();
    sqlx::query_scalar!(
        r#"
        with won as (
            insert into routed_events
                (event_id, invocation_id, from_cdc, fan_out, delivery_ids, committed_at, captured_at, handled_at)
            select event_id, invocation_id, from_cdc, cardinality(string_to_array(delivery_ids, ',')),
                string_to_array(delivery_ids, ','), committed_at, captured_at, handled_at
            from unnest($1::text[], $2::text[], $3::boolean[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                $7::timestamptz[])
                as new (event_id, invocation_id, from_cdc, delivery_ids, committed_at, captured_at, handled_at)
            on conflict (event_id) do nothing
            returning event_id, invocation_id
        ), made as (
            insert into deliveries
                (delivery_id, event_id, endpoint_id, state, reason, claim, attempts, due_at, owner, begun_at, lease_until,
                    object_id, object_version, ended_at, slot_at, slot_rate, at_gate)
            select new.delivery_id, new.event_id, new.endpoint_id, new.state, new.reason, 1,
                case when new.begins then 1 else 0 end,
                clock_timestamp() + coalesce(new.waits_ms, 0) * interval '1 ms',
                case when new.begins then won.invocation_id end,
                case when new.begins then clock_timestamp() end,
                case when new.begins then clock_timestamp() + new.lease_ms * interval '1 ms' end,
                new.object_id, new.object_version, case when new.state = 'superseded' then clock_timestamp() end,
                clock_timestamp() + new.slot_in_ms * interval '1 ms', new.slot_rate, new.at_gate
            from unnest($8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::bigint[], $14::text[],
                    $15::bigint[], $16::boolean[], $17::bigint[], $18::bigint[], $19::integer[], $20::boolean[])
                as new (event_id, delivery_id, endpoint_id, state, reason, lease_ms, object_id, object_version, begins,
                    waits_ms, slot_in_ms, slot_rate, at_gate)
            join won using (event_id)
        )
        select event_id as "event_id!" from won
        "#,
        &column(|r| r.event_id.clone()),
        &column(|r| r.invocation_id.clone()),
        &routes.iter().map(|r| r.from_cdc).collect::<Vec<_>>(),
        &column(|r| r.deliveries.iter().map(|d| d.delivery_id.as_str()).collect::<Vec<_>>().join(",")),
        &moments(|r| r.committed_at) as &[Option<Moment>],
        &moments(|r| r.captured_at) as &[Option<Moment>],
        &routes.iter().map(|r| r.handled_at).collect::<Vec<_>>(),
        &made_column(|r, _| r.event_id.clone()),
        &made_column(|_, d| d.delivery_id.clone()),
        &made_column(|_, d| d.endpoint_id.clone()),
        &made_column(|_, d| d.state.as_str().to_owned()),
        &made.iter().map(|(_, d)| d.reason.map(str::to_owned)).collect::<Vec<_>>() as &[Option<String>],
        &made.iter().map(|(_, d)| d.lease_ms).collect::<Vec<_>>(),
        &made.iter().map(|(_, d)| d.in_line.as_ref().map(|line| line.0.clone())).collect::<Vec<_>>()
            as &[Option<String>],
        &made.iter().map(|(_, d)| d.in_line.as_ref().map(|line| line.1)).collect::<Vec<_>>() as &[Option<i64>],
        &made.iter().map(|(_, d)| d.state == State::Pending && d.waits_ms.is_none()).collect::<Vec<_>>(),
        &made.iter().map(|(_, d)| d.waits_ms).collect::<Vec<_>>() as &[Option<i64>],
        &made.iter().map(|(_, d)| d.slot.map(|slot| slot.0)).collect::<Vec<_>>() as &[Option<i64>],
        &made.iter().map(|(_, d)| d.slot.map(|slot| slot.1)).collect::<Vec<_>>() as &[Option<i32>],
        &made.iter().map(|(_, d)| d.at_gate).collect::<Vec<_>>(),
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("routing events"))
}
