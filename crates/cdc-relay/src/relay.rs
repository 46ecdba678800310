//! The relay itself: Kafka, then PostgreSQL, then a session; and again, for as long as the process runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::Lifecycle;
use chassis::backoff::Backoff;
use chassis::error_chain::Chain;

use crate::capture::Capture;
use crate::heartbeat::Heartbeats;
use crate::kafka::{self, Connection, Settings, Topic};
use crate::offsets::Offsets;
use crate::postgres::Target;
use crate::postgres::prepare::{self, Prepared, Wanted, prepare};
use crate::postgres::stream::Stream;
use crate::report::{Report, Side};
use crate::session::{self, Patience, Session};
use crate::sink::Refusal;
use crate::source::Source;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// A try that lived so long was a success: the waits start again at the first.
const GOOD_LIFE: Duration = Duration::from_secs(1);
/// The same complaint is a warning again after this time.
const REPEAT_COMPLAINT: Duration = Duration::from_secs(30);
/// The watchdog doubles its patience up to this: decoding a huge transaction is silent, too, and starting it again
/// and again would never end it.
const LONGEST_PATIENCE: Duration = Duration::from_secs(600);
/// No limit of Kafka's is taken for smaller than this: key and metadata alone would not fit.
const SMALLEST_LIMIT: usize = 16 * 1024;

/// What the relay works with.
pub struct Relay {
    /// The database.
    pub target: Arc<Target>,
    /// Publication and slot.
    pub wanted: Wanted,
    /// For Kafka's clients.
    pub settings: Settings,
    /// Where records go.
    pub topic: Topic,
    /// The constant metadata.
    pub source: Source,
    /// No record may be larger, in bytes.
    pub limit: usize,
    /// How long silence is borne.
    pub patience: Patience,
    /// The heartbeats that [`Watch`](crate::watch::Watch) writes.
    pub heartbeats: Arc<Heartbeats>,
    /// Where numbers go.
    pub report: Arc<Report>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    #[error(transparent)]
    Prepare(#[from] prepare::Error),
    #[error(transparent)]
    Session(#[from] session::Error),
}

/// What one session leaves to the next.
struct Memory {
    /// The slot was there before: if it is missing now, it is lost.
    slot_seen: bool,
    /// The last session ended because the slot seemed to be of no use. Once is not enough: a publication that is being
    /// replaced looks like that for a moment.
    suspected: bool,
    /// Where that was: a session that came further has shown that the slot is of use.
    applied_lsn: Option<u64>,
    /// Why the slot that is there is of no use.
    give_up: Option<String>,
    limit: usize,
    heartbeat_patience: Duration,
    /// Where Kafka has put our records.
    offsets: Offsets,
}

/// Says what is wrong when it is new, and now and then while it lasts: an outage of hours is not thousands of lines.
#[derive(Default)]
struct Complaint {
    said: Option<(String, Instant)>,
}

impl Complaint {
    fn say(&mut self, error: String, wait: Duration) {
        match &self.said {
            Some((said, at)) if *said == error && at.elapsed() < REPEAT_COMPLAINT => {
                tracing::debug!(error, ?wait, "not relaying; trying again");
            }
            _ => {
                tracing::warn!(error, ?wait, "not relaying; trying again");
                self.said = Some((error, Instant::now()));
            }
        }
    }
}

impl Relay {
    /// Relays until the process stops.
    pub async fn run(self, lifecycle: Lifecycle) {
        let mut memory = Memory {
            slot_seen: false,
            suspected: false,
            applied_lsn: None,
            give_up: None,
            limit: self.limit,
            heartbeat_patience: self.patience.heartbeat,
            offsets: Offsets::default(),
        };
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut complaint = Complaint::default();
        loop {
            let began_at = Instant::now();
            let ended = self.once(&lifecycle, &mut memory).await;
            self.report.connected(false);
            self.report.outstanding(0);
            let Err(error) = ended else { return };
            if lifecycle.is_stopping() {
                return;
            }
            if began_at.elapsed() >= GOOD_LIFE {
                backoff.reset();
            }
            self.learn(&error, &mut memory);
            let wait = backoff.next_wait();
            complaint.say(Chain(&error).to_string(), wait);
            if !lifecycle.sleep(wait).await {
                return;
            }
        }
    }

    /// One life: connections to both sides, and a session. `Ok` when the process stops.
    async fn once(&self, lifecycle: &Lifecycle, memory: &mut Memory) -> Result<(), Error> {
        let mut kafka = tokio::select! {
            () = lifecycle.stopped() => return Ok(()),
            connection = kafka::connect(&self.settings, &self.topic, memory.limit) => connection?,
        };
        self.stream(lifecycle, memory, &mut kafka).await
    }

    async fn stream(&self, lifecycle: &Lifecycle, memory: &mut Memory, kafka: &mut Connection) -> Result<(), Error> {
        let stream = tokio::select! {
            () = lifecycle.stopped() => return Ok(()),
            stream = self.open(memory) => stream?,
        };
        self.report.connected(true);
        self.heartbeats.ask();
        tracing::info!(slot = self.wanted.slot, topic = self.topic.name, "relaying");
        let session = Session {
            target: &self.target,
            stream,
            sink: &kafka.producer,
            events: &mut kafka.events,
            capture: Capture::new(&self.source, kafka.limit),
            report: &self.report,
            heartbeats: &self.heartbeats,
            patience: Patience { heartbeat: memory.heartbeat_patience, ..self.patience },
            offsets: &mut memory.offsets,
        };
        Ok(session.run(lifecycle).await?)
    }

    async fn open(&self, memory: &mut Memory) -> Result<Stream, Error> {
        let prepared = prepare(&self.target, &self.wanted, memory.slot_seen, memory.give_up.as_deref()).await?;
        memory.slot_seen = true;
        memory.give_up = None;
        if prepared == Prepared::Recreated {
            self.report.slot_recreated();
        }
        Ok(Stream::open(&self.target, &self.wanted).await.map_err(session::Error::from)?)
    }

    /// Counts the failure, and draws what the next try needs from it.
    fn learn(&self, error: &Error, memory: &mut Memory) {
        self.report.reconnect(match error {
            Error::Kafka(_) => Side::Kafka,
            Error::Prepare(_) => Side::Postgres,
            Error::Session(error) => error.side(),
        });
        let is_silent = matches!(error, Error::Session(session::Error::Silent(_)));
        memory.heartbeat_patience = if is_silent {
            (memory.heartbeat_patience * 2).min(LONGEST_PATIENCE).max(self.patience.heartbeat)
        } else {
            self.patience.heartbeat
        };
        if let Error::Session(error) = error {
            let useless = match error {
                session::Error::Stream(error) => error.useless_slot(&self.wanted),
                _ => None,
            };
            let suspected = std::mem::replace(&mut memory.suspected, useless.is_some());
            let reached = std::mem::replace(&mut memory.applied_lsn, self.report.applied_lsn());
            memory.give_up = useless.filter(|_| suspected && reached == memory.applied_lsn);
        }
        if let Error::Session(session::Error::Refused(Refusal::TooLarge { size })) = error {
            // Kafka's limit is not what we thought. A quarter less, until it fits: a record must never stop the relay.
            memory.limit = (size - size / 4).min(memory.limit).max(SMALLEST_LIMIT);
            tracing::error!(
                size,
                limit = memory.limit,
                "Kafka allows smaller records than expected: lower --max-record-bytes or raise max.message.bytes"
            );
        }
    }
}
