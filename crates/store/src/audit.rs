//! The account of a window: what became of each event that was committed in it.

use sqlx::PgPool;
use sqlx::types::Json;
use time::OffsetDateTime;

use crate::Error;
use crate::span::lowest_id;

/// The most differences that an account lists.
pub const MOST_DIFFERENCES: i64 = 1_000;

const DAY_MS: i128 = 24 * 3600 * 1000;

/// The account. If nothing is wrong, `committed` is the sum of the three below it, and `deliveries` is the sum of the
/// states.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Account {
    /// Events.
    pub committed: i64,
    /// Events without a row on the ledger.
    pub unrouted: i64,
    /// Events that no endpoint wanted.
    pub filtered: i64,
    /// Events with deliveries.
    pub fanned_out: i64,
    /// The deliveries that these events have by their rows on the ledger.
    pub deliveries: i64,
    /// Deliveries in this state.
    pub delivered: i64,
    /// Deliveries in this state.
    pub pending: i64,
    /// Deliveries in this state.
    pub held: i64,
    /// Deliveries in this state.
    pub parked: i64,
    /// Deliveries in this state.
    pub exhausted: i64,
    /// Deliveries in this state.
    pub superseded: i64,
    /// Records that were parked in the window and still name no event that the ledger knows.
    pub parked_records: i64,
    /// What is not as it must be, in the order of the ids.
    pub difference: Vec<Difference>,
}

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Difference {
    /// An event or a delivery.
    pub id: String,
    /// `unrouted` (an event above the horizon for longer than it may be), `missing` (a delivery that its event names
    /// has no row), `of_another_event` (a delivery whose row says so), or `overdue` (a pending delivery with neither a
    /// due time nor a lease that is ahead or was lately).
    pub problem: String,
}

/// Makes the account of the events that occurred from `from` until before `to`. Whatever should have gone on more than
/// `patience_s` seconds ago is a difference. The pool is one for [`crate::Statements::Scans`]: planned anew each time, it
/// would cost more with each day that the ledger has.
///
/// # Errors
/// If the statement fails.
pub async fn account(
    pool: &PgPool,
    from: OffsetDateTime,
    to: OffsetDateTime,
    patience_s: i32,
) -> Result<Account, Error> {
    // A delivery's id is made at any later time, and by another clock. Looked for from a day before the window on, it is
    // found without a look at all partitions of the ledger, and if it is not, they are looked at.
    let from_ms = from.unix_timestamp_nanos().div_euclid(1_000_000);
    let account = account_above(pool, from, to, patience_s, &lowest_id("dlv_", from_ms - DAY_MS)).await?;
    match account.are_all_found() {
        true => Ok(account),
        false => account_above(pool, from, to, patience_s, "").await,
    }
}

impl Account {
    /// Whether each delivery that an event names has its row.
    const fn are_all_found(&self) -> bool {
        self.deliveries == self.delivered + self.pending + self.held + self.parked + self.exhausted + self.superseded
    }
}

/// As [`account`], with deliveries whose id is this one or above.
async fn account_above(
    pool: &PgPool,
    from: OffsetDateTime,
    to: OffsetDateTime,
    patience_s: i32,
    lowest_delivery: &str,
) -> Result<Account, Error> {
    // Ids carry their moment in milliseconds, so the range of ids is a little wider than the window.
    let row = sqlx::query!(
        r#"
        with events as (
            select * from routes_of_events(lowest_id('evt_', $1), lowest_id('evt_', $2::timestamptz + interval '1 ms'))
            where occurred_at >= $1 and occurred_at < $2
        ), found as (
            select e.event_id, named.delivery_id, d.event_id as event_of_delivery, d.state, d.in_order_until
            from events e
            cross join unnest(e.delivery_ids) as named (delivery_id)
            -- The limit keeps the planner from reading the whole ledger for a long window.
            left join lateral (
                select event_id, state, greatest(due_at, lease_until) as in_order_until
                from deliveries
                where delivery_id = named.delivery_id and delivery_id >= $5
                limit 1
            ) d on true
        ), problems as (
            select e.event_id as id, 'unrouted' as problem
            from events e, horizon h
            where e.fan_out is null and e.event_id >= h.event_id
                and e.occurred_at < clock_timestamp() - make_interval(secs => $3)
            union all
            select delivery_id, 'missing' from found where state is null
            union all
            select delivery_id, 'of_another_event' from found where event_of_delivery <> event_id
            union all
            select delivery_id, 'overdue' from found
            where state = 'pending' and in_order_until < clock_timestamp() - make_interval(secs => $3)
        ), states as (
            select count(*) filter (where state = 'delivered') as delivered,
                count(*) filter (where state = 'pending') as pending,
                count(*) filter (where state = 'held') as held,
                count(*) filter (where state = 'parked') as parked,
                count(*) filter (where state = 'exhausted') as exhausted,
                count(*) filter (where state = 'superseded') as superseded
            from found
        ), routes as (
            select count(*) as committed,
                count(*) filter (where fan_out is null) as unrouted,
                count(*) filter (where fan_out = 0) as filtered,
                count(*) filter (where fan_out > 0) as fanned_out,
                coalesce(sum(fan_out), 0) as deliveries
            from events
        ), records as (
            -- The id is made before the row, and perhaps by another clock.
            select count(*) as parked_records
            from parked_records
            where parked_id >= lowest_id('prk_', $1::timestamptz - interval '1 hour')
                and parked_id < lowest_id('prk_', $2::timestamptz + interval '1 hour')
                and parked_at >= $1 and parked_at < $2 and resolved_at is null
        )
        select committed as "committed!", unrouted as "unrouted!", filtered as "filtered!",
            fanned_out as "fanned_out!", deliveries as "deliveries!",
            delivered as "delivered!", pending as "pending!", held as "held!", parked as "parked!",
            exhausted as "exhausted!", superseded as "superseded!", parked_records as "parked_records!",
            (
                select coalesce(jsonb_agg(to_jsonb(first)), '[]')
                from (select id, problem from problems order by id, problem limit $4) as first
            ) as "difference!: Json<Vec<Difference>>"
        from routes, states, records
        "#,
        from,
        to,
        f64::from(patience_s),
        MOST_DIFFERENCES,
        lowest_delivery,
    )
    .fetch_one(pool)
    .await
    .map_err(Error::doing("making the account of a window"))?;
    Ok(Account {
        committed: row.committed,
        unrouted: row.unrouted,
        filtered: row.filtered,
        fanned_out: row.fanned_out,
        deliveries: row.deliveries,
        delivered: row.delivered,
        pending: row.pending,
        held: row.held,
        parked: row.parked,
        exhausted: row.exhausted,
        superseded: row.superseded,
        parked_records: row.parked_records,
        difference: row.difference.0,
    })
}
