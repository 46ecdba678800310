//! Lines: the unfinished deliveries of one object to one endpoint that wants them in the order of its versions.
//!
//! A line's row is the lock of all that changes who goes first. It holds the ids of the unfinished, so what it costs does
//! not grow with the ledger.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, PgPool};

use super::Routed;
use crate::Error;

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

/// The ids of the object's events of lower versions that nobody has routed, lowest version first.
///
/// They are looked for from a day before the object was made: the clocks of whoever made it and of the database may
/// differ.
///
/// # Errors
/// If the statement fails.
pub async fn unrouted_before(
    connection: &mut PgConnection,
    object_id: &str,
    object_version: i64,
) -> Result<Vec<String>, Error> {
    if object_version <= 1 {
        return Ok(Vec::new());
    }
    sqlx::query_scalar!(
        r#"
        select e.event_id as "event_id!"
        from domain_events e
        where e.object_id = $1 and e.object_version < $2
            and e.event_id >= (select h.event_id from horizon h)
            and e.event_id >= coalesce(
                (select lowest_id('evt_', p.created_at - interval '1 day') from payments p where p.payment_id = $1), '')
            and not exists (select from routed_events r where r.event_id = e.event_id)
        order by e.object_version
        "#,
        object_id,
        object_version,
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("looking for earlier events of an object"))
}

/// The object's events of lower versions that this invocation has routed beside the one that it was called for.
///
/// # Errors
/// If the statement fails.
pub async fn routed_along(
    connection: &mut PgConnection,
    object_id: &str,
    object_version: i64,
    invocation_id: &str,
) -> Result<Vec<Routed>, Error> {
    sqlx::query_as!(
        Routed,
        r#"
        select r.event_id as "event_id!", r.invocation_id as "invocation_id!", r.delivery_ids as "delivery_ids!"
        from domain_events e
        join routed_events r on r.event_id = e.event_id and r.invocation_id = $3
        where e.object_id = $1 and e.object_version < $2
            and e.event_id >= coalesce(
                (select lowest_id('evt_', p.created_at - interval '1 day') from payments p where p.payment_id = $1), '')
        order by e.object_version
        "#,
        object_id,
        object_version,
        invocation_id,
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("reading which events were routed along"))
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

/// Ids of deliveries that were held or looked at longer than `after_ms` ago; oldest first.
///
/// # Errors
/// If the statement fails.
pub async fn long_held(pool: &PgPool, after_ms: i64, limit: i64) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"
        select delivery_id as "delivery_id!"
        from deliveries
        where state = 'held' and due_at < statement_timestamp() - $1::bigint * interval '1 ms'
        order by due_at
        limit $2
        "#,
        after_ms,
        limit,
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("looking for deliveries that are held for long"))
}
