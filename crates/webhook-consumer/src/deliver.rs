//! What happens inside a handler's one journaled step: open or next, all POSTs side by side, each result recorded as
//! it comes in. What is left is returned, to be come back to.

use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chassis::backoff::Backoff;
use chassis::error_chain::Chain;
use chassis::fault;
use domain::message;
use domain::protocol::{Answer, Ask, Attempt, Exchange, Later, Open, Opened, ParkedReason, ParkedRecord, Recorded};
use domain::time::Timestamp;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tracing::{Instrument as _, Span};

use crate::counts::Counts;
use crate::due::Due;
use crate::in_flight::InFlight;
use crate::ledger_client::{self, LedgerClient};
use crate::position::Position;
use crate::post::Door;
use crate::spans;
use crate::turns::Turns;

/// How long a step tries to get through to data-service before it lets Restate wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// CDC reads a commit from the log a moment before other sessions see it: so long an event that CDC has brought is
/// looked for again before it counts as unknown.
const NOT_YET_VISIBLE: Duration = Duration::from_secs(1);

/// Everything that a step needs.
#[derive(Clone)]
pub struct Deliverer {
    ledger: LedgerClient,
    door: Door,
    wave: usize,
    in_flight: InFlight,
    turns: Turns,
    counts: Counts,
}

/// What a step leaves to be done. It is the journal's entry, so it is small.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Left {
    /// Deliveries to be come back to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<Due>,
    /// Results that data-service has not taken yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrecorded: Vec<Recorded>,
}

/// The step could not be done now; Restate tries it again.
#[derive(Debug, thiserror::Error)]
pub enum NotNow {
    /// data-service did not answer or failed.
    #[error("data-service could not {what}")]
    DataService {
        /// What was asked of it.
        what: &'static str,
    },
    /// The record could not be parked.
    #[error("a record could not be parked")]
    Park(#[source] ledger_client::Error),
}

impl Deliverer {
    /// `wave` is how many POSTs of one event go side by side.
    pub fn new(ledger: LedgerClient, door: Door, wave: usize) -> Self {
        Self { ledger, door, wave, in_flight: InFlight::default(), turns: Turns::default(), counts: Counts::new() }
    }

    /// A record came in: delivers the event that it names, or parks the record.
    pub async fn event(self, invocation_id: String, position: Position, value: Vec<u8>) -> Result<Left, NotNow> {
        let asked_at = SystemTime::now();
        let handled_at = Timestamp::from(time::OffsetDateTime::from(asked_at));
        let message = match message::read(&value) {
            Ok(message) => message,
            Err(error) => return self.park(ParkedReason::Unreadable, Some(error.to_string()), &position, &value).await,
        };
        let open = Open {
            event_id: message.event_id,
            invocation_id,
            from_cdc: position.is_from_cdc(),
            committed_at: message.committed_at,
            captured_at: position.captured_at,
            handled_at,
            busy: self.in_flight.busy(),
        };
        match self.open(open).await? {
            Opened::Deliveries { attempts, later } => Ok(self.make(attempts, dues(later), asked_at).await),
            Opened::UnknownEvent => self.park(ParkedReason::UnknownEvent, None, &position, &value).await,
            Opened::BeforeHorizon => self.park(ParkedReason::BeforeHorizon, None, &position, &value).await,
            Opened::Failed => Err(NotNow::DataService { what: "open an event" }),
        }
    }

    /// A delivery is due: makes its next attempt, if the ledger says so.
    pub async fn attempt(self, invocation_id: String, delivery: Later) -> Result<Left, NotNow> {
        let Later { delivery_id, claim, .. } = delivery;
        let asked_at = SystemTime::now();
        let ask = Ask { delivery_id, claim, invocation_id, busy: self.in_flight.busy() };
        let answer = until_answered("begin an attempt", || async {
            Some(self.ledger.next(ask.clone()).await).filter(|answer| !matches!(answer, Answer::Failed))
        });
        match answer.await? {
            Answer::Attempt(attempt) => Ok(self.make(vec![*attempt], Vec::new(), asked_at).await),
            Answer::Later(later) => Ok(Left { later: dues([later]), unrecorded: Vec::new() }),
            Answer::Stop { why, successors } => {
                tracing::debug!(delivery.id = %delivery.delivery_id, claim = delivery.claim, ?why, "nothing to do for this claim");
                Ok(Left { later: dues(successors), unrecorded: Vec::new() })
            }
            Answer::Failed => Err(NotNow::DataService { what: "begin an attempt" }),
        }
    }

    /// Records results that an earlier step could not; all of them or none counts.
    pub async fn record(self, results: Vec<Recorded>) -> Result<Vec<Due>, NotNow> {
        let mut later = Vec::new();
        for result in &results {
            match self.record_one(result).await {
                Some(back) => later.extend(back),
                None => return Err(NotNow::DataService { what: "record a result" }),
            }
        }
        Ok(later)
    }

    async fn open(&self, open: Open) -> Result<Opened, NotNow> {
        let began = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(2), Duration::from_millis(100));
        loop {
            let opened = until_answered("open an event", || async {
                Some(self.ledger.open(open.clone()).await).filter(|answer| !matches!(answer, Opened::Failed))
            });
            match opened.await? {
                Opened::UnknownEvent if open.from_cdc && began.elapsed() < NOT_YET_VISIBLE => {
                    tokio::time::sleep(backoff.next_wait()).await;
                }
                opened => return Ok(opened),
            }
        }
    }

    async fn make(&self, attempts: Vec<Attempt>, later: Vec<Due>, asked_at: SystemTime) -> Left {
        let mut left = Left { later, unrecorded: Vec::new() };
        let mut under_way = attempts.len();
        let posts = attempts.into_iter().map(|attempt| {
            let own = self.clone();
            let logged = in_the_log(&attempt);
            let made = async move {
                own.wait_for_slot(&attempt).await;
                let under_way = attempt.endpoint_id.map(|endpoint_id| own.in_flight.begin(endpoint_id));
                fault::point("open.before_post");
                let began = SystemTime::now();
                let result = own.door.post(&attempt).await;
                spans::posted(&attempt, asked_at, began, &result);
                own.counts.posted(&attempt, &result);
                let outcome = result.outcome.as_str();
                tracing::debug!(outcome, result.status, result.duration_ms, "an attempt has ended");
                fault::point("post.before_record");
                drop(under_way);
                let in_flight = attempt.endpoint_id.map_or(0, |endpoint_id| own.in_flight.count(endpoint_id));
                let result = Recorded { in_flight, ..result };
                let answer = own.record_one(&result).await;
                (result, answer)
            };
            made.instrument(logged)
        });
        let mut done = stream::iter(posts).buffer_unordered(self.wave);
        while let Some((result, answer)) = done.next().await {
            under_way -= 1;
            if under_way > 0 {
                fault::point("fan_out.between_records");
            }
            match answer {
                Some(back) => left.later.extend(back),
                None => left.unrecorded.push(for_the_journal(result)),
            }
        }
        left
    }

    /// Until the POST may leave, at an endpoint with a rate limit.
    async fn wait_for_slot(&self, attempt: &Attempt) {
        if let (Some(slot), Some(endpoint_id)) = (attempt.slot, attempt.endpoint_id) {
            tokio::time::sleep(Duration::from_millis(slot.starts_in_ms)).await;
            self.turns.wait(endpoint_id, Duration::from_micros(slot.apart_us)).await;
        }
    }

    /// What is to be come back to; none if data-service did not take the result within [`PATIENCE`].
    async fn record_one(&self, result: &Recorded) -> Option<Vec<Due>> {
        let answer = until_answered("record a result", || async {
            Some(self.ledger.record(result.clone()).await).filter(|answer| !matches!(answer, Answer::Failed))
        });
        match answer.await {
            Ok(Answer::Later(later)) => Some(dues([later])),
            Ok(Answer::Stop { successors, .. }) => Some(dues(successors)),
            Ok(Answer::Attempt(_)) => Some(Vec::new()),
            Ok(Answer::Failed) | Err(_) => None,
        }
    }

    async fn park(
        &self,
        reason: ParkedReason,
        detail: Option<String>,
        position: &Position,
        value: &[u8],
    ) -> Result<Left, NotNow> {
        let key = position.key.as_deref().and_then(|key| URL_SAFE_NO_PAD.decode(key.trim_end_matches('=')).ok());
        let record = ParkedRecord {
            reason,
            detail,
            topic: position.topic.clone(),
            partition: position.partition,
            offset: position.offset,
            key_base64: key.map(|key| STANDARD.encode(key)),
            value_base64: STANDARD.encode(value),
            event_id: message::read(value).ok().map(|message| message.event_id),
        };
        self.ledger.park(&record).await.map_err(NotNow::Park)?;
        Ok(Left::default())
    }
}

/// What each line of the log says that comes of an attempt.
fn in_the_log(attempt: &Attempt) -> Span {
    tracing::error_span!(
        "attempt",
        trace_id = attempt.request.trace_id().map(display),
        event.id = attempt.request.event_id().map(display),
        delivery.id = %attempt.delivery_id,
        attempt = attempt.attempt,
    )
}

fn dues(later: impl IntoIterator<Item = Later>) -> Vec<Due> {
    later.into_iter().map(Due::of).collect()
}

/// The result without the receiver's answer: those of a wide fan-out would be too much for one entry of the journal.
fn for_the_journal(result: Recorded) -> Recorded {
    let exchange = Exchange { response_headers: None, response_body: Vec::new(), ..result.exchange };
    Recorded { exchange, ..result }
}

/// Asks again, ever more slowly, until there is an answer or [`PATIENCE`] is over.
async fn until_answered<T, Fut>(what: &'static str, ask: impl Fn() -> Fut) -> Result<T, NotNow>
where
    Fut: Future<Output = Option<T>>,
{
    let began = Instant::now();
    let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        if began.elapsed() >= PATIENCE {
            let error = NotNow::DataService { what };
            tracing::warn!(error = %Chain(&error), "data-service gave no answer for 10 s; Restate tries the step again");
            return Err(error);
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}
