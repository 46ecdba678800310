//! `Idempotency-Key`: what is made is made once for each key. The keys of the operator and of each merchant are apart.

use axum::http::StatusCode;
use chassis::answer::Answer;
use chassis::idempotency::{IdempotencyKey, Keyed};
use serde::Serialize;
use store::idempotency::{KEY_TAKEN, Kept};

use crate::Portal;
use crate::access::Access;
use crate::data_service::Sealed;
use crate::error::Error;

/// Whether an answer may lie in the database as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// It may.
    NoSecret,
    /// data-service seals it first.
    ASecret,
}

/// A request that may bring a key.
pub(crate) struct Once {
    keyed: Option<Keyed>,
    holds: Holds,
}

/// An answer, and what is kept of it.
pub(crate) struct Prepared {
    answer: Answer,
    kept: Option<(Keyed, String)>,
    holds: Holds,
}

impl Once {
    /// The request that asks for `body`; its answer may hold a secret.
    pub(crate) fn new(key: IdempotencyKey, access: Access, body: &impl Serialize, holds: Holds) -> Self {
        let scope = match access {
            Access::Operator => "portal operator".to_owned(),
            Access::Merchant(merchant_id) => format!("portal {merchant_id}"),
        };
        Self { keyed: key.within(&scope).of(body), holds }
    }

    /// The answer that the key got first; none if there is no key, or it is new.
    pub(crate) async fn first_answer(&self, portal: &Portal) -> Result<Option<Answer>, Error> {
        match &self.keyed {
            None => Ok(None),
            Some(keyed) => first_answer(portal, keyed, self.holds).await,
        }
    }

    /// The answer to what is done already, and would do nothing if it were done again; kept for the key if there is one.
    pub(crate) async fn keep(
        self,
        portal: &Portal,
        status: StatusCode,
        body: &impl Serialize,
    ) -> Result<Answer, Error> {
        self.prepare(portal, status, body).await?.keep(portal).await
    }

    /// The answer, ready to be kept together with what it answers for.
    pub(crate) async fn prepare(
        self,
        portal: &Portal,
        status: StatusCode,
        body: &impl Serialize,
    ) -> Result<Prepared, Error> {
        let answer = Answer::new(status, body);
        let kept = match self.keyed {
            None => None,
            Some(keyed) => {
                let response = match self.holds {
                    Holds::NoSecret => answer.body.clone(),
                    Holds::ASecret => portal.data_service.seal_answer(&answer.body).await?.to_text(),
                };
                Some((keyed, response))
            }
        };
        Ok(Prepared { answer, kept, holds: self.holds })
    }
}

impl Prepared {
    /// What is to be kept.
    pub(crate) fn kept(&self) -> Option<Kept<'_>> {
        // Statuses have three digits.
        let status = i16::try_from(self.answer.status.as_u16()).unwrap_or(500);
        let (keyed, response) = self.kept.as_ref()?;
        Some(Kept { key: &keyed.key, fingerprint: &keyed.fingerprint, status, response })
    }

    /// The answer, kept for itself.
    pub(crate) async fn keep(self, portal: &Portal) -> Result<Answer, Error> {
        let stored = match self.kept() {
            Some(kept) => store::idempotency::keep(&portal.pool, &kept).await,
            None => Ok(()),
        };
        self.stored(portal, stored).await
    }

    /// What became of storing: the answer, or the one that another request with the same key got meanwhile.
    pub(crate) async fn stored<T>(&self, portal: &Portal, stored: Result<T, store::Error>) -> Result<Answer, Error> {
        match (stored, &self.kept) {
            (Ok(_), _) => Ok(self.answer.clone()),
            (Err(error), Some((keyed, _))) if error.constraint() == Some(KEY_TAKEN) => {
                first_answer(portal, keyed, self.holds).await?.ok_or_else(|| error.into())
            }
            (Err(error), _) => Err(error.into()),
        }
    }
}

async fn first_answer(portal: &Portal, keyed: &Keyed, holds: Holds) -> Result<Option<Answer>, Error> {
    let Some(first) = store::idempotency::find_first_answer(&portal.pool, &keyed.key).await? else { return Ok(None) };
    if first.fingerprint != keyed.fingerprint {
        return Err(Error::KeyReused);
    }
    let body = match holds {
        Holds::NoSecret => first.response,
        Holds::ASecret => portal.data_service.open_answer(&Sealed::from_text(&first.response)).await?,
    };
    let status = u16::try_from(first.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(Some(Answer { status, body, replayed: true }))
}
