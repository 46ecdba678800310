//! One life of the stream: from an open connection to its end. It reads, hands over, and acknowledges what is safe.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chassis::error_chain::Chain;
use chassis::{Lifecycle, fault};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::capture::{self, Capture, Captured};
use crate::heartbeat::Heartbeats;
use crate::offsets::{Lost, Offsets};
use crate::pgoutput::Message;
use crate::postgres::Target;
use crate::postgres::prepare::{self, primary_key};
use crate::postgres::stream::{self, Incoming, Stream};
use crate::progress::{OutOfOrder, Progress};
use crate::record::Record;
use crate::report::{Report, Side};
use crate::sink::{Event, Refusal, Sink, Ticket};
use crate::value::Moment;

/// With so many records at Kafka and not acknowledged, the stream is not read.
pub(crate) const MOST_RECORDS: usize = 10_000;
/// With so many bytes at Kafka and not acknowledged, the stream is not read.
const MOST_BYTES: usize = 64 << 20;
/// Once in a while we look whether everything is still alive.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// For the server to hear our last position, at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long silence is borne.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a heartbeat to come back.
    pub heartbeat: Duration,
    /// For Kafka to acknowledge anything.
    pub kafka: Duration,
    /// For Kafka to acknowledge the rest when the process stops.
    pub drain: Duration,
}

/// What a session works with.
pub struct Session<'a, S> {
    /// Where tables can be looked up.
    pub target: &'a Target,
    /// The open stream.
    pub stream: Stream,
    /// Takes the records.
    pub sink: &'a S,
    /// Says what becomes of them.
    pub events: &'a mut UnboundedReceiver<Event>,
    /// Makes records.
    pub capture: Capture<'a>,
    /// Where Kafka has put them, also in earlier sessions.
    pub offsets: &'a mut Offsets,
    /// Where numbers go.
    pub report: &'a Report,
    /// Where heartbeats go.
    pub heartbeats: &'a Heartbeats,
    /// How long silence is borne.
    pub patience: Patience,
}

/// Why a session ended. Nothing beyond the acknowledged position counts as done: the next session reads it again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection to PostgreSQL.
    #[error(transparent)]
    Stream(#[from] stream::Error),
    /// The stream makes no sense.
    #[error(transparent)]
    Capture(#[from] capture::Error),
    /// The stream makes no sense.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// A table's key could not be looked up.
    #[error("can't look up the primary key of a table")]
    PrimaryKey(#[from] prepare::Error),
    /// No heartbeat and nothing else came.
    #[error("nothing came from PostgreSQL for {0:?}, although a heartbeat was written to the log")]
    Silent(Duration),
    /// Kafka refused a record.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// All brokers are gone.
    #[error("Kafka is gone: {reason}")]
    KafkaLost {
        /// In its client's words.
        reason: String,
    },
    /// Kafka is there and acknowledges nothing.
    #[error("Kafka acknowledged none of {outstanding} records for {patience:?}")]
    KafkaStalled {
        /// How many wait.
        outstanding: usize,
        /// For how long.
        patience: Duration,
    },
    /// The producer ended.
    #[error("the Kafka producer ended")]
    NoProducer,
}

impl Error {
    /// Which side failed.
    #[must_use]
    pub fn side(&self) -> Side {
        match self {
            Self::Stream(_) | Self::Capture(_) | Self::OutOfOrder(_) | Self::PrimaryKey(_) | Self::Silent(_) => {
                Side::Postgres
            }
            Self::Refused(_) | Self::KafkaLost { .. } | Self::KafkaStalled { .. } | Self::NoProducer => Side::Kafka,
        }
    }
}

/// What is under way.
struct Flow {
    progress: Progress,
    outstanding: usize,
    outstanding_bytes: usize,
    /// When Kafka acknowledged something last, or had nothing to acknowledge.
    kafka_moved_at: Instant,
    /// When something came from PostgreSQL last, or we did not listen.
    postgres_moved_at: Instant,
}

impl<S: Sink> Session<'_, S> {
    /// Runs until the process stops (`Ok`) or something breaks.
    ///
    /// # Errors
    /// With whatever broke.
    pub async fn run(mut self, lifecycle: &Lifecycle) -> Result<(), Error> {
        let now = Instant::now();
        let mut flow = Flow {
            progress: Progress::default(),
            outstanding: 0,
            outstanding_bytes: 0,
            kafka_moved_at: now,
            postgres_moved_at: now,
        };
        let stopped = lifecycle.stopped();
        tokio::pin!(stopped);
        let mut checks = tokio::time::interval(CHECK_EVERY);
        let mut events = Vec::with_capacity(256);
        loop {
            let has_room = flow.has_room();
            tokio::select! {
                biased;
                () = &mut stopped => break,
                _ = self.events.recv_many(&mut events, 256) => self.take_events(&mut flow, &mut events)?,
                incoming = self.stream.next(), if has_room => self.take_incoming(&mut flow, incoming?).await?,
                _ = checks.tick() => self.check(&mut flow, has_room)?,
            }
        }
        self.drain(flow).await
    }

    async fn take_incoming(&mut self, flow: &mut Flow, incoming: Incoming) -> Result<(), Error> {
        flow.postgres_moved_at = Instant::now();
        match incoming {
            Incoming::KeepAlive { wal_end } => {
                flow.progress.idle(wal_end);
                self.acknowledge(flow);
            }
            Incoming::Message(Message::Relation(relation)) if !relation.marks_primary_key() => {
                let names = primary_key(self.target, relation.oid).await?;
                self.capture.describe(relation, Some(&names));
            }
            Incoming::Message(message) => self.take_message(flow, message)?,
        }
        Ok(())
    }

    fn take_message(&mut self, flow: &mut Flow, message: Message) -> Result<(), Error> {
        match self.capture.read(message)? {
            Captured::Nothing => {}
            Captured::Begin => flow.progress.begin()?,
            Captured::Record(record) => {
                let transaction = flow.progress.send()?;
                flow.hand_over(self.sink, &record, transaction, self.report)?;
            }
            Captured::Commit { end_lsn } => {
                flow.progress.commit(end_lsn)?;
                self.report.transaction();
                self.acknowledge(flow);
            }
            Captured::Heartbeat(content) => {
                if self.heartbeats.read(&content, flow.postgres_moved_at).is_some() {
                    self.report.heartbeat(Moment::from_unix_micros(unix_micros()));
                    self.report_lag();
                }
            }
            Captured::Truncate { tables } => {
                self.report.truncate();
                tracing::error!(
                    tables,
                    "a truncate is in the stream, which no message can say: publish only what can be sent"
                );
            }
        }
        Ok(())
    }

    /// None at all come when the producer has ended.
    fn take_events(&mut self, flow: &mut Flow, events: &mut Vec<Event>) -> Result<(), Error> {
        if events.is_empty() {
            return Err(Error::NoProducer);
        }
        let now = Instant::now();
        let before = flow.progress.applied();
        for event in events.drain(..) {
            match event {
                Event::Stored { ticket, place } => {
                    if let Some(lost) = self.offsets.take(place) {
                        self.tell_lost(lost);
                    }
                    flow.outstanding = flow.outstanding.saturating_sub(1);
                    flow.outstanding_bytes = flow.outstanding_bytes.saturating_sub(ticket.size);
                    flow.progress.acknowledge(ticket.transaction);
                    self.report.stored(now.saturating_duration_since(ticket.captured_at));
                }
                Event::Refused { refusal, .. } => return Err(refusal.into()),
                Event::Lost { reason } => return Err(Error::KafkaLost { reason }),
            }
        }
        flow.kafka_moved_at = now;
        self.report.outstanding(flow.outstanding);
        if flow.progress.applied() != before {
            fault::point("kafka.before_position");
        }
        self.acknowledge(flow);
        Ok(())
    }

    /// PostgreSQL was told that these are safe, so nobody will send them again but the reconciler.
    fn tell_lost(&self, lost: Lost) {
        let Lost { partition, from, to } = lost;
        self.report.lost(to.abs_diff(from));
        tracing::error!(
            partition,
            from,
            to,
            "Kafka has lost records that it had acknowledged: it gives the offsets from `from` to before `to` once more; \
             the reconciler finds in the table what nobody had read of them, if it is running"
        );
    }

    fn acknowledge(&self, flow: &Flow) {
        if let Some(lsn) = flow.progress.applied() {
            self.stream.acknowledge(lsn);
            self.report.applied(lsn);
        }
    }

    fn check(&self, flow: &mut Flow, has_room: bool) -> Result<(), Error> {
        let now = Instant::now();
        self.report_lag();
        if flow.outstanding == 0 {
            flow.kafka_moved_at = now;
        } else if now.saturating_duration_since(flow.kafka_moved_at) >= self.patience.kafka {
            return Err(Error::KafkaStalled { outstanding: flow.outstanding, patience: self.patience.kafka });
        }
        if !has_room {
            flow.postgres_moved_at = now;
        }
        // Silence alone is normal, and a heartbeat may be late behind much else: only both together are a dead stream.
        let silent = now.saturating_duration_since(flow.postgres_moved_at);
        let overdue = self.heartbeats.overdue(now).unwrap_or_default();
        if silent >= self.patience.heartbeat && overdue >= self.patience.heartbeat {
            return Err(Error::Silent(silent));
        }
        Ok(())
    }

    fn report_lag(&self) {
        if let Some(lag) = self.heartbeats.lag(Instant::now()) {
            self.report.lag(lag);
        }
    }

    /// Reads to the end of the open transaction, whose first records Kafka may have: the position can only move past
    /// the whole of it. Then waits for what is at Kafka, and tells the server how far it may forget.
    async fn drain(mut self, mut flow: Flow) -> Result<(), Error> {
        let deadline = tokio::time::sleep(self.patience.drain);
        tokio::pin!(deadline);
        let mut events = Vec::with_capacity(256);
        while flow.outstanding > 0 || flow.progress.is_open() {
            let reads = flow.progress.is_open() && flow.has_room();
            tokio::select! {
                biased;
                () = &mut deadline => {
                    tracing::warn!(
                        outstanding = flow.outstanding,
                        open = flow.progress.is_open(),
                        "stopping although a transaction is not read to its end, or not all of it acknowledged by \
                         Kafka: it will be sent again"
                    );
                    break;
                }
                _ = self.events.recv_many(&mut events, 256) => self.take_events(&mut flow, &mut events)?,
                incoming = self.stream.next(), if reads => self.take_incoming(&mut flow, incoming?).await?,
            }
        }
        let heard = self.stream.close(self.target, flow.progress.applied(), CLOSE_TIMEOUT).await;
        if let Err(error) = &heard {
            tracing::warn!(
                error = %Chain(error),
                "PostgreSQL may not have heard of the last position: the last records may be sent again"
            );
        }
        tracing::info!(heard = heard.is_ok(), outstanding = flow.outstanding, "the stream is closed");
        Ok(())
    }
}

impl Flow {
    /// Whether Kafka is near enough behind that more may be read.
    fn has_room(&self) -> bool {
        self.outstanding < MOST_RECORDS && self.outstanding_bytes < MOST_BYTES
    }

    fn hand_over(
        &mut self,
        sink: &impl Sink,
        record: &Record<'_>,
        transaction: u64,
        report: &Report,
    ) -> Result<(), Refusal> {
        let (captured_at, now_micros) = (self.postgres_moved_at, unix_micros());
        let captured_at_ms = now_micros / 1000;
        let ticket = Ticket { transaction, captured_at, captured_at_ms, size: record.size() };
        if !record.emptied.is_empty() {
            report.oversized();
            tracing::warn!(
                key = record.key,
                columns = ?record.emptied,
                "a record is too large for Kafka: the named columns are sent as null"
            );
        }
        sink.send(record, ticket)?;
        if self.outstanding == 0 {
            self.kafka_moved_at = captured_at;
        }
        self.outstanding += 1;
        self.outstanding_bytes += ticket.size;
        let since_commit = u64::try_from(now_micros - record.committed_at_micros).unwrap_or(0);
        report.captured(Duration::from_micros(since_commit));
        Ok(())
    }
}

fn unix_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
