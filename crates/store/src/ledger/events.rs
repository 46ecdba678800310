//! What a webhook is made of: the event, the object as it is now, the endpoints and their secrets.

use domain::ledger::{EndpointState, Order};
use domain::payment::{Payment, Status};
use domain::test_event;
use domain::webhook::Payload;
use sqlx::PgConnection;

use super::{Moment, bounds};
use crate::Error;
use crate::endpoints::SealedHeaders;
use crate::kept::KeptConnections;

/// An event with its object.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its id.
    pub event_id: String,
    /// Dotted words.
    pub event_type: String,
    /// The object's id.
    pub object_id: String,
    /// The object's version that the event made.
    pub object_version: i64,
    /// Whose it is.
    pub merchant_id: String,
    /// When it happened.
    pub occurred_at: Moment,
    /// W3C, if the change carried one.
    pub traceparent: Option<String>,
    /// Whether the ledger no longer keeps events of that time.
    pub before_horizon: bool,
    /// The object.
    pub object: Object,
    /// The object as it was committed, as the database writes JSON; none if it was too large.
    pub snapshot: Option<String>,
    /// When all this was read.
    pub observed_at: Moment,
}

impl Event {
    /// The one endpoint that a test event is for, whatever that wants; none of an event that is for all who want it.
    #[must_use]
    pub fn only_endpoint(&self) -> Option<&str> {
        match self.object {
            Object::Test => Some(&self.object_id),
            Object::Payment(_) | Object::Deleted | Object::Unreadable(_) => None,
        }
    }
}

/// The object of an event.
#[derive(Debug, Clone)]
pub enum Object {
    /// As it is now.
    Payment(Payment),
    /// It is no more.
    Deleted,
    /// The endpoint that a test event is for.
    Test,
    /// The row holds this text, which means nothing to this program: it is older than the schema.
    Unreadable(String),
}

/// An endpoint with its current secrets.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its id.
    pub endpoint_id: String,
    /// Whose it is.
    pub merchant_id: String,
    /// Where to POST.
    pub url: String,
    /// Which events it wants.
    pub event_types: Vec<String>,
    /// The waits between attempts, in milliseconds; none for the default.
    pub schedule_ms: Option<Vec<i64>>,
    /// For a whole POST.
    pub timeout_ms: i32,
    /// Its own headers, as they are stored; none if it has none.
    pub headers: Option<SealedHeaders>,
    /// Whether something is sent to it.
    pub state: EndpointState,
    /// In which order it wants its events.
    pub order: Order,
    /// Attempts a second; none is without limit.
    pub rate_limit: Option<i32>,
    /// Whether it fails so often that attempts wait.
    pub is_circuit_open: bool,
    /// Which form of the object it wants.
    pub payload: Payload,
    /// Newest first: the current one, and during a rotation the older ones that sign, too.
    pub secrets: Vec<Secret>,
}

/// A secret as it is stored.
#[derive(Debug, Clone)]
pub struct Secret {
    /// Its id.
    pub secret_id: String,
    /// What it signs with, as `domain::signature::Version` writes it.
    pub signature: String,
    /// Which key encrypted it.
    pub key_id: String,
    /// Nonce and ciphertext.
    pub ciphertext: Vec<u8>,
}

/// The events of these ids that exist; a list far shorter than asked is no error.
///
/// # Errors
/// If the statement fails.
pub async fn events(connections: &KeptConnections, event_ids: &[String]) -> Result<Vec<Event>, Error> {
    let mut connection = connections.take().await?;
    let done = events_on(&mut connection, event_ids).await;
    connection.keep_after(&done);
    done
}

/// As [`events`], on a connection that may be in a transaction.
///
/// # Errors
/// If the statement fails.
pub async fn events_on(connection: &mut PgConnection, event_ids: &[String]) -> Result<Vec<Event>, Error> {
    let (lowest, highest) = bounds(event_ids);
    let rows = sqlx::query!(
        r#"
        select e.event_id as "event_id!", e.event_type as "event_type!", e.object_type as "object_type!",
            e.object_id as "object_id!",
            e.object_version as "object_version!", e.merchant_id as "merchant_id!", e.occurred_at as "occurred_at!",
            e.traceparent as "traceparent?", e.snapshot::text as "snapshot?",
            e.event_id < (select h.event_id from horizon h) as "before_horizon!",
            p.payment_id as "payment_id?", p.merchant_id as "owner_id?", p.amount as "amount?",
            p.currency as "currency?", p.status as "status?", p.version as "version?", p.reference as "reference?",
            p.description as "description?", p.created_at as "created_at?", p.updated_at as "updated_at?",
            clock_timestamp() as "observed_at!"
        from domain_events e
        left join payments p on p.payment_id = e.object_id
        where e.event_id = any($1) and e.event_id >= $2 and e.event_id <= $3
        "#,
        event_ids,
        lowest,
        highest,
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("reading events with their objects"))?;
    let events = rows.into_iter().map(|row| {
        let found = (
            (row.payment_id, row.owner_id, row.currency, row.status),
            (row.amount, row.version, row.created_at, row.updated_at),
        );
        let object = match found {
            (
                (Some(id), Some(owner), Some(currency), Some(status)),
                (Some(amount), Some(version), Some(made), Some(changed)),
            ) => match (id.parse(), owner.parse(), status.parse::<Status>()) {
                (Ok(payment_id), Ok(merchant_id), Ok(status)) => Object::Payment(Payment {
                    payment_id,
                    merchant_id,
                    amount,
                    currency,
                    status,
                    version,
                    reference: row.reference,
                    description: row.description,
                    created_at: made.into(),
                    updated_at: changed.into(),
                }),
                _ => Object::Unreadable(format!("{id} of {owner} is {status}")),
            },
            _ if row.object_type == test_event::OBJECT_TYPE => Object::Test,
            _ => Object::Deleted,
        };
        Event {
            event_id: row.event_id,
            event_type: row.event_type,
            object_id: row.object_id,
            object_version: row.object_version,
            merchant_id: row.merchant_id,
            occurred_at: row.occurred_at,
            traceparent: row.traceparent,
            before_horizon: row.before_horizon,
            object,
            snapshot: row.snapshot,
            observed_at: row.observed_at,
        }
    });
    Ok(events.collect())
}

/// Every endpoint of these merchants that is not deleted, and those of these ids, with their secrets.
///
/// # Errors
/// If the statement fails.
pub async fn endpoints_of(
    connections: &KeptConnections,
    merchant_ids: &[String],
    endpoint_ids: &[String],
) -> Result<Vec<Endpoint>, Error> {
    let mut connection = connections.take().await?;
    let done = endpoints_on(&mut connection, merchant_ids, endpoint_ids).await;
    connection.keep_after(&done);
    done
}

/// As [`endpoints_of`], on a connection that may be in a transaction.
///
/// # Errors
/// If the statement fails.
pub async fn endpoints_on(
    connection: &mut PgConnection,
    merchant_ids: &[String],
    endpoint_ids: &[String],
) -> Result<Vec<Endpoint>, Error> {
    let rows = sqlx::query!(
        r#"
        select p.endpoint_id as "endpoint_id!", p.merchant_id as "merchant_id!", p.url as "url!",
            p.event_types as "event_types!", p.schedule_ms as "schedule_ms?", p.timeout_ms as "timeout_ms!",
            p.state as "state!", p.delivery_order as "order!", p.payload as "payload!",
            p.headers_key_id as "headers_key_id?", p.headers_ciphertext as "headers_ciphertext?",
            p.rate_limit as "rate_limit?", coalesce(g.probe_at is not null, false) as "is_circuit_open!",
            s.secret_id as "secret_id?", s.signature as "signature?", s.key_id as "key_id?",
            s.ciphertext as "ciphertext?"
        from endpoints p
        left join gates g on g.endpoint_id = p.endpoint_id
        left join endpoint_secrets s
            on s.endpoint_id = p.endpoint_id and (s.expires_at is null or s.expires_at > clock_timestamp())
        where (p.merchant_id = any($1) and p.deleted_at is null) or p.endpoint_id = any($2)
        order by p.endpoint_id, (s.expires_at is null) desc, s.created_at desc, s.secret_id desc
        "#,
        merchant_ids,
        endpoint_ids,
    )
    .fetch_all(connection)
    .await
    .map_err(Error::doing("reading endpoints with their secrets"))?;
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for row in rows {
        if endpoints.last().is_none_or(|last| last.endpoint_id != row.endpoint_id) {
            endpoints.push(Endpoint {
                endpoint_id: row.endpoint_id,
                merchant_id: row.merchant_id,
                url: row.url,
                event_types: row.event_types,
                schedule_ms: row.schedule_ms,
                timeout_ms: row.timeout_ms,
                headers: row
                    .headers_key_id
                    .zip(row.headers_ciphertext)
                    .map(|(key_id, ciphertext)| SealedHeaders { key_id, ciphertext }),
                state: state(&row.state)?,
                order: order(&row.order)?,
                rate_limit: row.rate_limit,
                is_circuit_open: row.is_circuit_open,
                payload: payload(&row.payload)?,
                secrets: Vec::new(),
            });
        }
        if let (Some(endpoint), Some(secret_id), Some(signature), Some(key_id), Some(ciphertext)) =
            (endpoints.last_mut(), row.secret_id, row.signature, row.key_id, row.ciphertext)
        {
            endpoint.secrets.push(Secret { secret_id, signature, key_id, ciphertext });
        }
    }
    Ok(endpoints)
}

/// As [`order`].
fn state(word: &str) -> Result<EndpointState, Error> {
    EndpointState::from_word(word).ok_or_else(|| Error {
        doing: "reading an endpoint's state; this program is older than the schema",
        source: sqlx::Error::Decode(word.to_owned().into()),
    })
}

/// The column has a check constraint, so an unknown word means that this program is older than the schema.
fn order(word: &str) -> Result<Order, Error> {
    Order::from_word(word).ok_or_else(|| Error {
        doing: "reading an endpoint's order; this program is older than the schema",
        source: sqlx::Error::Decode(word.to_owned().into()),
    })
}

/// As [`order`].
fn payload(word: &str) -> Result<Payload, Error> {
    Payload::from_word(word).ok_or_else(|| Error {
        doing: "reading an endpoint's payload; this program is older than the schema",
        source: sqlx::Error::Decode(word.to_owned().into()),
    })
}
