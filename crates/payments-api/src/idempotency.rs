//! `Idempotency-Key`: the same request under the same key gets the first answer, byte for byte.

use std::time::Duration;

use axum::http::StatusCode;
use chassis::Lifecycle;
use chassis::answer::Answer;
use chassis::error_chain::Chain;
use chassis::idempotency::Keyed;
use store::PgPool;
use store::idempotency::{Kept, delete_old_keys};
use store::kept::KeptConnections;

use crate::error::Error;

const DAYS_KEPT: i32 = 7;
const DELETED_AT_ONCE: i64 = 1_000;
const BETWEEN_DELETIONS: Duration = Duration::from_secs(3600);

/// What is to be kept with this answer.
pub(crate) fn keeping<'a>(keyed: &'a Keyed, answer: &'a Answer) -> Kept<'a> {
    // Statuses have three digits.
    let status = i16::try_from(answer.status.as_u16()).unwrap_or(500);
    Kept { key: &keyed.key, fingerprint: &keyed.fingerprint, status, response: &answer.body }
}

/// The answer that the key got first; none if it is not kept (any more).
pub(crate) async fn first_answer(keyed: &Keyed, connections: &KeptConnections) -> Result<Option<Answer>, Error> {
    let Some(first) = store::idempotency::first_answer(connections, &keyed.key).await? else { return Ok(None) };
    if first.fingerprint != keyed.fingerprint {
        return Err(Error::KeyReused);
    }
    let status = u16::try_from(first.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(Some(Answer { status, body: first.response, replayed: true }))
}

/// Starts the task that deletes keys of which nobody can expect an answer any more.
pub fn forget_old_keys(lifecycle: &Lifecycle, pool: &PgPool) {
    let (pool, handle) = (pool.clone(), lifecycle.clone());
    lifecycle.spawn(async move {
        loop {
            match delete_old_keys(&pool, DAYS_KEPT, DELETED_AT_ONCE).await {
                Ok(deleted) if deleted == DELETED_AT_ONCE.unsigned_abs() && !handle.is_stopping() => continue,
                Ok(_) => {}
                Err(error) => tracing::warn!("old idempotency keys were not deleted: {}", Chain(&error)),
            }
            if !handle.sleep(BETWEEN_DELETIONS).await {
                return;
            }
        }
    });
}
