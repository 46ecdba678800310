//! Days of the ledger that are older than they are kept for, and of which nothing is to be done, are dropped.
//!
//! `drop_day` and `move_horizon` are functions of the schema: nobody but its owner may drop a table.

use std::time::Duration;

use sqlx::PgPool;
use time::Date;

use crate::Error;

/// How long things are kept, in whole days.
#[derive(Debug, Clone, Copy)]
pub struct Ages {
    /// Events.
    pub events: Duration,
    /// How they were routed, deliveries and attempts.
    pub ledger: Duration,
}

/// A table's partition of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// `domain_events`, `routed_events`, `deliveries` or `attempts`.
    pub table: String,
    /// In UTC.
    pub day: Date,
}

/// Why a day that is old enough is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Events of it may be unrouted: the sweep is not past it.
    AboveHorizon,
    /// An event of it is unrouted, although the sweep is past it.
    Unrouted,
    /// Something of it is pending, held or parked.
    Unfinished,
    /// The events that it belongs to are kept.
    EventsKept,
    /// The deliveries that it belongs to are kept.
    DeliveriesKept,
    /// Somebody uses the table; it was not waited for long.
    Busy,
}

impl Why {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AboveHorizon => "its events may be unrouted: the sweep is not past them",
            Self::Unrouted => "an event of it is unrouted below the horizon",
            Self::Unfinished => "a delivery is pending, held, or parked at an endpoint that is not deleted",
            Self::EventsKept => "its events are kept",
            Self::DeliveriesKept => "its deliveries are kept",
            Self::Busy => "somebody uses the table",
        }
    }
}

/// What became of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is gone.
    Dropped,
    /// It is there.
    Kept(Why),
}

/// Moves the horizon up to the first day that is kept, but to no event that may be unrouted; answers whether it moved. It
/// does not while somebody resends old deliveries.
///
/// # Errors
/// If the statement fails, or `keep` is less than 7 days.
pub async fn move_horizon(pool: &PgPool, keep: Duration) -> Result<bool, Error> {
    let moved =
        sqlx::query_scalar!(r#"select move_horizon(make_interval(secs => $1)) as "moved!""#, keep.as_secs_f64())
            .fetch_one(pool)
            .await;
    match moved {
        Err(error) if is_lock_timeout(&error) => Ok(false),
        moved => moved.map_err(Error::doing("moving the horizon")),
    }
}

/// The days that are older than they are kept for: events first, then what belongs to them; oldest first. Deliveries and
/// attempts are kept for a day longer: made around midnight, they belong to events of the day before.
///
/// # Errors
/// If the statement fails.
pub async fn old_days(pool: &PgPool, ages: Ages) -> Result<Vec<Day>, Error> {
    sqlx::query_as!(
        Day,
        r#"
        select t.name as "table!", p.day as "day!"
        from (values (1, 'domain_events', $1::float8), (2, 'routed_events', $2::float8), (3, 'deliveries', $2 + 86400),
            (4, 'attempts', $2 + 86400)) as t (nr, name, keep_s)
        join pg_inherits i on i.inhparent = to_regclass('public.' || t.name)
        join pg_class c on c.oid = i.inhrelid and c.relname ~ '_[0-9]{8}$'
        cross join lateral (select to_date(right(c.relname, 8), 'YYYYMMDD') as day) as p
        where (p.day + 1)::timestamp at time zone 'UTC' <= now() - make_interval(secs => t.keep_s)
        order by t.nr, p.day
        "#,
        ages.events.as_secs_f64(),
        ages.ledger.as_secs_f64(),
    )
    .fetch_all(pool)
    .await
    .map_err(Error::doing("looking for old days"))
}

/// Drops a day if it is old enough and nothing of it is to be done. Whoever writes to the table waits for less than half
/// a second.
///
/// # Errors
/// If the statement fails for another reason than that somebody uses the table.
pub async fn drop_day(pool: &PgPool, day: &Day, ages: Ages) -> Result<Option<Fate>, Error> {
    let keep = if day.table == "domain_events" { ages.events } else { ages.ledger };
    let done = sqlx::query_scalar!(
        r#"select drop_day($1, $2, make_interval(secs => $3)) as "fate!""#,
        day.table,
        day.day,
        keep.as_secs_f64()
    )
    .fetch_one(pool)
    .await;
    let word = match done {
        Ok(word) => word,
        Err(error) if is_lock_timeout(&error) => return Ok(Some(Fate::Kept(Why::Busy))),
        Err(source) => return Err(Error { doing: "dropping a day", source }),
    };
    match word.as_str() {
        "dropped" => Ok(Some(Fate::Dropped)),
        // Another process was there first.
        "gone" | "young" => Ok(None),
        "above_horizon" => Ok(Some(Fate::Kept(Why::AboveHorizon))),
        "unrouted" => Ok(Some(Fate::Kept(Why::Unrouted))),
        "unfinished" => Ok(Some(Fate::Kept(Why::Unfinished))),
        "events_kept" => Ok(Some(Fate::Kept(Why::EventsKept))),
        "deliveries_kept" => Ok(Some(Fate::Kept(Why::DeliveriesKept))),
        _ => Err(Error {
            doing: "dropping a day; this program is older than the schema",
            source: sqlx::Error::Decode(word.into()),
        }),
    }
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "55P03")
}
