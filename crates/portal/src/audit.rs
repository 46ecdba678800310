//! `GET /audit`: for a window, what became of every event that was committed in it.

use axum::Json;
use axum::extract::State;
use chassis::params::QueryParams;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::audit::{Account, account};

use crate::Portal;
use crate::error::Error;
use crate::window::Window;

/// Whatever should have gone on longer ago is a difference: twice what the reconciler waits by default.
const PATIENCE_S: i32 = 600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    from: Timestamp,
    to: Timestamp,
}

#[derive(Serialize)]
pub(crate) struct Audit {
    from: Timestamp,
    to: Timestamp,
    #[serde(flatten)]
    account: Account,
}

pub(crate) async fn read(
    State(portal): State<Portal>,
    QueryParams(asked): QueryParams<Asked>,
) -> Result<Json<Audit>, Error> {
    let Window { from, to } = Window::new(asked.from, asked.to)?;
    let account = account(&portal.pool, from.into_inner(), to.into_inner(), PATIENCE_S).await?;
    Ok(Json(Audit { from, to, account }))
}
