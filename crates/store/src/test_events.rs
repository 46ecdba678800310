//! Test events: written when somebody asks for one, by a function that has the right to.

use domain::ids::{EndpointId, EventId};
use sqlx::PgConnection;

use crate::Error;
use crate::decode::parsed;

/// Writes an event for this endpoint alone; none if the endpoint is not enabled, or there is none.
///
/// # Errors
/// If the statement fails.
pub async fn write_test_event(
    connection: &mut PgConnection,
    endpoint_id: EndpointId,
) -> Result<Option<EventId>, Error> {
    let doing = "writing a test event";
    let event_id = sqlx::query_scalar!("select write_test_event($1)", endpoint_id.to_string())
        .fetch_one(connection)
        .await
        .map_err(Error::doing(doing))?;
    event_id.map(|event_id| parsed(doing, &event_id)).transpose()
}
