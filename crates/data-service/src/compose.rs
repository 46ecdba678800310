//! Makes the signed request of an attempt: the object as it is now, or as it was committed where the endpoint wants that,
//! in the body that merchants know.

use std::collections::BTreeMap;

use chassis::error_chain::Chain;
use domain::ids::EventId;
use domain::payment::Payment;
use domain::signature::{NotAVersion, Secret};
use domain::time::Timestamp;
use domain::webhook::{Body, Payload, Request};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use store::ledger::{Endpoint, Event, Object};

use crate::internal::sealed_headers;
use crate::keyring::{self, Keyring};

/// The body could not be written as JSON, or the event's id is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// serde said no.
    #[error("writing the body of {event_id}")]
    Body {
        /// The event.
        event_id: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The object's row says what this program does not know.
    #[error("{event_id} has an object that means nothing to this program, which is older than the schema: {row}")]
    Object {
        /// The event.
        event_id: String,
        /// What the row says.
        row: String,
    },
    /// The endpoint's own headers can't be opened.
    #[error("opening the headers of {endpoint_id}")]
    Headers {
        /// The endpoint.
        endpoint_id: String,
        /// Why.
        source: keyring::Error,
    },
    /// The database holds an id that is none.
    #[error("reading the id of {event_id}")]
    Id {
        /// The event.
        event_id: String,
        /// Why.
        source: domain::ids::NotAnId,
    },
}

/// Why a stored secret does not sign.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("the program is older than the schema")]
    Version(#[from] NotAVersion),
    #[error("opening it")]
    Keyring(#[from] keyring::Error),
}

/// The secrets of an endpoint that can be opened, newest first. One that can't is logged and left out. None of them can
/// be used if the endpoint's headers can't be opened: the merchant would refuse what comes without them.
pub fn secrets(keyring: &Keyring, endpoint: &Endpoint) -> Vec<Secret> {
    if let Err(error) = headers(keyring, endpoint) {
        tracing::error!(endpoint.id = endpoint.endpoint_id, error = %Chain(&error), "an endpoint's headers can't be used");
        return Vec::new();
    }
    let usable = |secret: &store::ledger::Secret| match open(keyring, secret) {
        Ok(opened) => Some(opened),
        Err(error) => {
            tracing::error!(endpoint.id = endpoint.endpoint_id, secret.id = secret.secret_id, error = %Chain(&error), "a signing secret can't be used");
            None
        }
    };
    endpoint.secrets.iter().filter_map(usable).collect()
}

fn open(keyring: &Keyring, secret: &store::ledger::Secret) -> Result<Secret, Unusable> {
    Ok(keyring.open(secret.signature.parse()?, &secret.key_id, &secret.ciphertext)?)
}

/// Whether a request to the endpoint could be signed. What can't be opened was told when it was parked for.
pub fn has_secret(keyring: &Keyring, endpoint: &Endpoint) -> bool {
    headers(keyring, endpoint).is_ok() && endpoint.secrets.iter().any(|secret| open(keyring, secret).is_ok())
}

/// The endpoint's own headers.
fn headers(keyring: &Keyring, endpoint: &Endpoint) -> Result<BTreeMap<String, String>, keyring::Error> {
    match &endpoint.headers {
        None => Ok(BTreeMap::new()),
        Some(sealed) => sealed_headers::open(keyring, &endpoint.endpoint_id, sealed),
    }
}

/// The signed request for an event to an endpoint, as of the moment at which the event was read, with its trace.
pub fn request(
    keyring: &Keyring,
    event: &Event,
    endpoint: &Endpoint,
    secrets: &[Secret],
    traceparent: Option<String>,
) -> Result<Request, Error> {
    let own = headers(keyring, endpoint)
        .map_err(|source| Error::Headers { endpoint_id: endpoint.endpoint_id.clone(), source })?;
    let body = body(event, endpoint.payload)?;
    let mut request = Request::signed(&endpoint.url, &event.event_id, event.observed_at.into(), secrets, body);
    if let Some(traceparent) = traceparent {
        request.headers.push(("traceparent".to_owned(), traceparent));
    }
    // The portal has refused those that would get into the way of ours.
    request.headers.extend(own);
    Ok(request)
}

fn body(event: &Event, wanted: Payload) -> Result<String, Error> {
    let unwritable = |source| Error::Body { event_id: event.event_id.clone(), source };
    let event_id: EventId =
        event.event_id.parse().map_err(|source| Error::Id { event_id: event.event_id.clone(), source })?;
    let Form { data, object_version, observed_at, payload } = match (wanted, &event.snapshot) {
        (Payload::Fresh, _) => fresh(event)?,
        (Payload::AsCommitted, Some(snapshot)) => Form {
            data: to_raw_value(&committed(snapshot).map_err(unwritable)?).map_err(unwritable)?,
            object_version: event.object_version,
            observed_at: event.occurred_at.into(),
            payload: Some(Payload::AsCommitted),
        },
        // The snapshot was left out, and the merchant is told.
        (Payload::AsCommitted, None) => Form { payload: Some(Payload::Fresh), ..fresh(event)? },
    };
    let body = Body {
        event_type: &event.event_type,
        timestamp: event.occurred_at.into(),
        data: &data,
        event_id,
        event_version: event.object_version,
        object_version,
        observed_at,
        payload,
    };
    serde_json::to_string(&body).map_err(unwritable)
}

/// The object, and what the body says of it.
struct Form {
    data: Box<RawValue>,
    object_version: i64,
    observed_at: Timestamp,
    payload: Option<Payload>,
}

fn fresh(event: &Event) -> Result<Form, Error> {
    let unwritable = |source| Error::Body { event_id: event.event_id.clone(), source };
    let (data, object_version) = match &event.object {
        Object::Payment(payment) => (to_raw_value(payment).map_err(unwritable)?, payment.version),
        Object::Deleted => (deleted(event).map_err(unwritable)?, event.object_version),
        Object::Test => (tested(event).map_err(unwritable)?, event.object_version),
        Object::Unreadable(row) => {
            return Err(Error::Object { event_id: event.event_id.clone(), row: row.clone() });
        }
    };
    Ok(Form { data, object_version, observed_at: event.observed_at.into(), payload: None })
}

/// A deleted payment as it was committed, and marked.
fn deleted(event: &Event) -> Result<Box<RawValue>, serde_json::Error> {
    let mut object = match &event.snapshot {
        None => json!({ "payment_id": event.object_id }),
        Some(snapshot) => committed(snapshot)?,
    };
    object["deleted"] = true.into();
    to_raw_value(&object)
}

/// What a test event shows.
fn tested(event: &Event) -> Result<Box<RawValue>, serde_json::Error> {
    match &event.snapshot {
        Some(snapshot) => RawValue::from_string(snapshot.clone()),
        None => to_raw_value(&json!({ "endpoint_id": event.object_id })),
    }
}

/// The snapshot in the form that merchants know: the database writes moments in another one.
fn committed(snapshot: &str) -> Result<Value, serde_json::Error> {
    match serde_json::from_str::<Payment>(snapshot) {
        Ok(payment) => serde_json::to_value(payment),
        Err(_) => serde_json::from_str(snapshot),
    }
}
