//! Lines: the unfinished deliveries of one object to one endpoint that wants them in the order of its versions.
//!
//! A line's row is the lock of all that changes who goes first. It holds the ids of the unfinished, so what it costs does
//! not grow with the ledger.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::EventId;
use sqlx::{PgConnection, PgPool};
use time::Duration;

use super::{Event, Object, Routed};
use crate::Error;
use crate::span::Span;

/// Which line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line {
    /// To whom.
    pub endpoint_id: String,
    /// Of which object.
    pub object_id: String,
}

/// Locks these lines until the transaction ends; those that are missing are made. Answers the deliveries in each.
///
/// # Errors
/// If a statement fails.
pub async fn lock_lines(
    connection: &mut PgConnection,
    lines: &BTreeSet<Line>,
) -> Result<BTreeMap<Line, Vec<String>>, Error> {
    let endpoints: Vec<String> = lines.iter().map(|line| line.endpoint_id.clone()).collect();
    let objects: Vec<String> = lines.iter().map(|line| line.object_id.clone()).collect();
    loop {
        // In the order of the keys, so that no two transactions wait for each other.
        sqlx::query!(
            r#"
            insert into lines (endpoint_id, object_id)
            select endpoint_id, object_id from unnest($1::text[], $2::text[]) as l (endpoint_id, object_id)
            order by endpoint_id, object_id
            on conflict do nothing
            "#,
            &endpoints,
            &objects,
        )
        .execute(&mut *connection)
        .await
        .map_err(Error::doing("making lines"))?;
        let rows = sqlx::query!(
            r#"
            select endpoint_id as "endpoint_id!", object_id as "object_id!", delivery_ids as "delivery_ids!"
            from lines
            where (endpoint_id, object_id) in (
                select * from unnest($1::text[], $2::text[]) as l (endpoint_id, object_id))
            order by endpoint_id, object_id
            for update
            "#,
            &endpoints,
            &objects,
        )
        .fetch_all(&mut *connection)
        .await
        .map_err(Error::doing("locking lines"))?;
        // One that another transaction has emptied and taken away while we waited for it is made again.
        if rows.len() == lines.len() {
            let locked = rows
                .into_iter()
                .map(|row| (Line { endpoint_id: row.endpoint_id, object_id: row.object_id }, row.delivery_ids));
            return Ok(locked.collect());
        }
    }
}

/// Stores who stands in these lines now; empty ones go. They must be locked.
///
/// # Errors
/// If a statement fails.
pub async fn keep_lines(connection: &mut PgConnection, lines: &BTreeMap<Line, Vec<String>>) -> Result<(), Error> {
    let endpoints: Vec<String> = lines.keys().map(|line| line.endpoint_id.clone()).collect();
    let objects: Vec<String> = lines.keys().map(|line| line.object_id.clone()).collect();
    // An array of arrays would have to be a rectangle.
    let ids: Vec<String> = lines.values().map(|ids| ids.join(",")).collect();
    sqlx::query!(
        r#"
        with kept as (
            select endpoint_id, object_id, string_to_array(ids, ',') as delivery_ids
            from unnest($1::text[], $2::text[], $3::text[]) as k (endpoint_id, object_id, ids)
        ), gone as (
            delete from lines l using kept k
            where (l.endpoint_id, l.object_id) = (k.endpoint_id, k.object_id) and cardinality(k.delivery_ids) = 0
        )
        update lines l set delivery_ids = k.delivery_ids
        from kept k
        where (l.endpoint_id, l.object_id) = (k.endpoint_id, k.object_id) and cardinality(k.delivery_ids) > 0
            and l.delivery_ids <> k.delivery_ids
        "#,
        &endpoints,
        &objects,
        &ids,
    )
    .execute(connection)
    .await
    .map_err(Error::doing("storing who stands in lines"))?;
    Ok(())
}

/// An event of a lower version of an object, and how it was routed, if it was.
struct Earlier {
    event_id: String,
    is_above_horizon: bool,
    invocation_id: Option<String>,
    delivery_ids: Option<Vec<String>>,
}

/// The events of lower versions of the event's object, lowest version first.
///
/// Both tables are bounded by when the object and the event were made, and a day beside, since clocks differ: without, the
/// partition of each day to come would be opened. It is written as one look-up for each event: a join that is planned while
/// the tables are small reads the whole day.
async fn earlier(connection: &mut PgConnection, event: &Event) -> Result<Vec<Earlier>, Error> {
    if event.object_version <= 1 {
        return Ok(Vec::new());
    }
    let since = match &event.object {
        Object::Payment(payment) => Some(payment.created_at.into_inner() - Duration::DAY),
        Object::Deleted | Object::Test | Object::Unreadable(_) => None,
    };
    let span = Span::new(EventId::PREFIX, since, None, None::<EventId>, event.occurred_at);
    sqlx::query_as!(
        Earlier,
        r#"
        select e.event_id as "event_id!", e.event_id >= (select h.event_id from horizon h) as "is_above_horizon!",
            r.invocation_id as "invocation_id?", r.delivery_ids as "delivery_ids?"
        from (
            select event_id, object_version from domain_events
            where object_id = $1 and object_version < $2 and event_id >= $3 and event_id < $4
            order by object_version offset 0
        ) e
        left join lateral (
            select invocation_id, delivery_ids from routed_events
            where event_id = e.event_id and event_id >= $3 and event_id < $4
            limit 1
        ) r on true
        order by e.object_version
        "#,
        event.object_id,
        event.object_version,
        span.lowest,
        span.below,
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("looking for earlier events of an object"))
}

/// The ids of the events of lower versions of the event's object that nobody has routed, lowest version first.
///
/// # Errors
/// If the statement fails.
pub async fn unrouted_before(connection: &mut PgConnection, event: &Event) -> Result<Vec<String>, Error> {
    let earlier = earlier(connection, event).await?.into_iter();
    Ok(earlier.filter(|e| e.invocation_id.is_none() && e.is_above_horizon).map(|e| e.event_id).collect())
}

/// The events of lower versions of the event's object that this invocation has routed beside the one that it was called
/// for.
///
/// # Errors
/// If the statement fails.
pub async fn routed_along(
    connection: &mut PgConnection,
    event: &Event,
    invocation_id: &str,
) -> Result<Vec<Routed>, Error> {
    let routed = |e: Earlier| {
        let (invocation_id, delivery_ids) = e.invocation_id.zip(e.delivery_ids)?;
        Some(Routed { event_id: e.event_id, invocation_id, delivery_ids })
    };
    let routed = earlier(connection, event).await?.into_iter().filter_map(routed);
    Ok(routed.filter(|routed| routed.invocation_id == invocation_id).collect())
}

/// Whether an event of a later version of the object has a delivery to the endpoint.
///
/// # Errors
/// If the statement fails.
pub async fn is_followed(connection: &mut PgConnection, line: &Line, object_version: i64) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"
        select exists (
            select from domain_events e
            join routed_events r on r.event_id = e.event_id
            join deliveries d on d.delivery_id = any(r.delivery_ids) and d.endpoint_id = $1
            where e.object_id = $2 and e.object_version > $3) as "is_followed!"
        "#,
        line.endpoint_id,
        line.object_id,
        object_version,
    )
    .fetch_one(connection)
    .await
    .map_err(Error::doing("looking for later deliveries of an object"))
}

/// A delivery that is held for long.
#[derive(Debug)]
pub struct LongHeld {
    /// Which.
    pub delivery_id: String,
    /// Whether it may go, as far as can be seen without its line's lock: nothing unfinished is before it, or the endpoint
    /// wants the latest only, so that what is before it may give way.
    pub may_go: bool,
}

/// Deliveries that were held or looked at longer than `after_ms` ago; oldest first. Those that may not go count as looked
/// at: whoever is before them has a time of its own.
///
/// # Errors
/// If the statement fails.
pub async fn long_held(pool: &PgPool, after_ms: i64, limit: i64) -> Result<Vec<LongHeld>, Error> {
    sqlx::query_as!(
        LongHeld,
        r#"
        with found as (
            select delivery_id, endpoint_id, object_id, object_version, due_at
            from deliveries
            where state = 'held' and due_at < statement_timestamp() - $1::bigint * interval '1 ms'
            order by due_at
            limit $2
        ), looked as (
            select f.delivery_id, f.due_at,
                p.delivery_order = 'latest_only' or not exists (
                    select from lines l, unnest(l.delivery_ids) as standing (id)
                    join deliveries earlier on earlier.delivery_id = standing.id
                    where l.endpoint_id = f.endpoint_id and l.object_id = f.object_id
                        and earlier.object_version < f.object_version and earlier.state in ('pending', 'held')) as may_go
            from found f
            join endpoints p on p.endpoint_id = f.endpoint_id
        ), later as (
            update deliveries d set due_at = clock_timestamp()
            from looked l
            where d.delivery_id = l.delivery_id and d.state = 'held' and not l.may_go
        )
        select delivery_id as "delivery_id!", may_go as "may_go!" from looked order by due_at
        "#,
        after_ms,
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("looking for deliveries that are held for long"))
}
