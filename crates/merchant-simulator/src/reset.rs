//! `POST /reset`: forgets what was received. Accounts and their secrets stay; everybody is well again.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;

use crate::Simulator;

pub(crate) async fn post(State(simulator): State<Arc<Simulator>>) -> StatusCode {
    simulator.reset();
    StatusCode::NO_CONTENT
}
