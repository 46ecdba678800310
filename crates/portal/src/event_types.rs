//! `GET /event-types`: what an endpoint's filters can name.

use axum::Json;
use domain::payment::Status;
use serde::Serialize;
use utoipa::ToSchema;

use crate::page::Page;

/// A type of events.
#[derive(Serialize, ToSchema)]
pub(crate) struct EventType {
    event_type: String,
}

/// The types of events that there are. All fit on one page.
#[utoipa::path(get, path = "/event-types", operation_id = "list_event_types", tag = "events",
    responses((status = 200, description = "All of them", body = Page<EventType>)))]
pub(crate) async fn list() -> Json<Page<EventType>> {
    let kinds = std::iter::once("created").chain(Status::ALL.into_iter().map(Status::as_str));
    let mut types: Vec<String> = kinds.map(|kind| format!("payment.{kind}")).collect();
    types.sort_unstable();
    let items = types.into_iter().map(|event_type| EventType { event_type }).collect();
    Json(Page { items, next_cursor: None })
}
