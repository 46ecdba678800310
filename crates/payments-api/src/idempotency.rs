//! `Idempotency-Key`: the same request under the same key gets the first answer, byte for byte.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use chassis::error_chain::Chain;
use chassis::{Lifecycle, Problem, idempotency as header};
use serde::Serialize;
use sha2::{Digest, Sha256};
use store::PgPool;
use store::idempotency::{Kept, delete_old_keys, first_answer};
use store::kept::KeptConnections;

use crate::answer::{Answer, json};
use crate::error::Error;

const DAYS_KEPT: i32 = 7;
const DELETED_AT_ONCE: i64 = 1_000;
const BETWEEN_DELETIONS: Duration = Duration::from_secs(3600);

/// The header, which may be missing, and what the request is addressed to.
#[derive(Debug)]
pub(crate) struct IdempotencyKey {
    key: Option<String>,
    address: String,
}

/// A request that brings a key.
#[derive(Debug)]
pub(crate) struct Keyed {
    key: String,
    fingerprint: [u8; 32],
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let header::IdempotencyKey(key) = header::IdempotencyKey::from_request_parts(parts, state).await?;
        Ok(Self { key, address: format!("{} {}", parts.method, parts.uri.path()) })
    }
}

impl IdempotencyKey {
    /// The key together with what is asked; none if there is no key. `body` is the request as it was understood, so
    /// that another spelling of the same request is the same request.
    pub(crate) fn of(self, body: &impl Serialize) -> Option<Keyed> {
        let key = self.key?;
        let mut hash = Sha256::new();
        hash.update(&self.address);
        hash.update("\n");
        hash.update(json(body));
        Some(Keyed { key, fingerprint: hash.finalize().into() })
    }
}

impl Keyed {
    /// What is to be kept with this answer.
    pub(crate) fn keeping<'a>(&'a self, answer: &'a Answer) -> Kept<'a> {
        // Statuses have three digits.
        let status = i16::try_from(answer.status.as_u16()).unwrap_or(500);
        Kept { key: &self.key, fingerprint: &self.fingerprint, status, response: &answer.body }
    }

    /// The answer that the key got first; none if it is not kept (any more).
    pub(crate) async fn first_answer(&self, connections: &KeptConnections) -> Result<Option<Answer>, Error> {
        let Some(first) = first_answer(connections, &self.key).await? else { return Ok(None) };
        if first.fingerprint != self.fingerprint {
            return Err(Error::KeyReused);
        }
        let status = u16::try_from(first.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Ok(Some(Answer { status, body: first.response, replayed: true }))
    }
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
