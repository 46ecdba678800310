//! `PUT /accounts/{endpoint_id}` makes an account or replaces its keys; `GET /accounts` lists them.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chassis::Problem;
use chassis::problem::JsonBody;
use domain::signature::Key;
use serde::{Deserialize, Serialize};

use crate::Simulator;
use crate::account::Account;
use crate::mood::Mood;

/// The keys that verify, `whsec_…` or `whpk_…`: one as `secret`, or several as `secrets`.
#[derive(Deserialize)]
pub(crate) struct NewAccount {
    secret: Option<String>,
    #[serde(default)]
    secrets: Vec<String>,
}

impl NewAccount {
    fn keys(self) -> Result<Vec<Key>, Problem> {
        let named = |field: &str, text: &str| text.parse().map_err(|error| Problem::field(field, format!("{error}")));
        match (self.secret, self.secrets.as_slice()) {
            (Some(secret), []) => Ok(vec![named("secret", &secret)?]),
            (None, [_, ..]) => {
                self.secrets.iter().enumerate().map(|(n, text)| named(&format!("secrets[{n}]"), text)).collect()
            }
            (None, []) => Err(Problem::field("secret", "missing field `secret`")),
            (Some(_), [_, ..]) => Err(Problem::field("secrets", "give secret or secrets, not both")),
        }
    }
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
    let keys = new.keys()?;
    match simulator.book().accounts.entry(endpoint_id) {
        Entry::Occupied(mut account) => account.get_mut().replace_keys(keys),
        Entry::Vacant(place) => {
            place.insert(Account::new(keys));
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
