//! How an endpoint answers the requests that are well signed.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use chassis::Problem;
use chassis::problem::JsonBody;
use serde::{Deserialize, Serialize};

use crate::Simulator;

/// A way of answering.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mood", rename_all = "snake_case", deny_unknown_fields)]
pub enum Mood {
    /// 200 at once.
    Well,
    /// 200 after a while.
    Slow {
        /// How long, in milliseconds.
        delay_ms: u64,
    },
    /// 500 at this rate, otherwise 200.
    Failing {
        /// From 0 (never) to 1 (always).
        rate: f64,
    },
    /// 410.
    Gone,
    /// 429 with `Retry-After`.
    Busy {
        /// Its value, in seconds.
        retry_after_s: u64,
    },
    /// Takes the request and never answers.
    Dead,
    /// 200 whose body comes a byte a second and never ends.
    Dripping,
}

/// What is done with one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Answer {
    /// 200, after so long.
    Accept {
        /// Zero is at once.
        after: Duration,
    },
    /// 200 and a body without an end.
    AcceptAndDrip,
    /// This status.
    Refuse {
        /// Not a success.
        status: StatusCode,
        /// For the header `Retry-After`.
        retry_after_s: Option<u64>,
    },
    /// Nothing.
    KeepWaiting,
}

impl Mood {
    /// The answer to one request; `roll` is a fresh random number in 0..1.
    #[must_use]
    pub fn answer(self, roll: f64) -> Answer {
        let refuse = |status, retry_after_s| Answer::Refuse { status, retry_after_s };
        match self {
            Self::Slow { delay_ms } => Answer::Accept { after: Duration::from_millis(delay_ms) },
            Self::Failing { rate } if roll < rate => refuse(StatusCode::INTERNAL_SERVER_ERROR, None),
            Self::Well | Self::Failing { .. } => Answer::Accept { after: Duration::ZERO },
            Self::Gone => refuse(StatusCode::GONE, None),
            Self::Busy { retry_after_s } => refuse(StatusCode::TOO_MANY_REQUESTS, Some(retry_after_s)),
            Self::Dead => Answer::KeepWaiting,
            Self::Dripping => Answer::AcceptAndDrip,
        }
    }
}

/// `PUT /accounts/{endpoint_id}/mood`: 204, 404, or 422 for a mood that does not exist.
pub(crate) async fn put(
    State(simulator): State<Arc<Simulator>>,
    Path(endpoint_id): Path<String>,
    JsonBody(mood): JsonBody<Mood>,
) -> Result<StatusCode, Problem> {
    if matches!(mood, Mood::Failing { rate } if !(0.0..=1.0).contains(&rate)) {
        return Err(Problem::field("rate", "the rate is a number from 0 to 1"));
    }
    simulator.with(&endpoint_id, |account| account.set_mood(mood))?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_fails_at_its_rate_and_never_or_always_at_the_ends() {
        let failed = |rate, roll| matches!(Mood::Failing { rate }.answer(roll), Answer::Refuse { .. });
        assert!(failed(0.3, 0.29) && !failed(0.3, 0.3));
        assert!(!failed(0.0, 0.0));
        assert!(failed(1.0, 0.999_999));
    }
}
