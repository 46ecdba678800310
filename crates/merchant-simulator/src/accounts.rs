//! `PUT /accounts/{endpoint_id}` makes an account or replaces its secret; `GET /accounts` lists them.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chassis::Problem;
use chassis::problem::JsonBody;
use domain::signature::Secret;
use serde::{Deserialize, Serialize};

use crate::Simulator;
use crate::account::Account;
use crate::mood::Mood;

#[derive(Deserialize)]
pub(crate) struct NewAccount {
    secret: String,
}

#[derive(Serialize)]
pub(crate) struct Accounts {
    accounts: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    endpoint_id: String,
    #[serde(flatten)]
    mood: Mood,
}

pub(crate) async fn put(
    State(simulator): State<Arc<Simulator>>,
    Path(endpoint_id): Path<String>,
    JsonBody(new): JsonBody<NewAccount>,
) -> Result<StatusCode, Problem> {
    let secret: Secret = new.secret.parse().map_err(|error| Problem::field("secret", format!("{error}")))?;
    match simulator.book().accounts.entry(endpoint_id) {
        Entry::Occupied(mut account) => account.get_mut().replace_secret(secret),
        Entry::Vacant(place) => {
            place.insert(Account::new(secret));
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn list(State(simulator): State<Arc<Simulator>>) -> Json<Accounts> {
    let listed = |(id, account): (&String, &Account)| Listed { endpoint_id: id.clone(), mood: account.mood() };
    let mut accounts: Vec<_> = simulator.book().accounts.iter().map(listed).collect();
    accounts.sort_by(|a, b| a.endpoint_id.cmp(&b.endpoint_id));
    Json(Accounts { accounts })
}
