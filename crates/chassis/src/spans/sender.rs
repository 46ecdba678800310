//! Sends spans, many together, to whoever collects them.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::JoinHandle;

use super::spool::Spool;
use super::{Flags, SENDER, Span};
use crate::Lifecycle;
use crate::backoff::Backoff;
use crate::error_chain::Chain;
use crate::metrics::{Counter, KeyValue, meter};
use crate::resource::{VERSION, resource};

/// So many wait to be sent; what comes above is dropped.
const MOST_WAITING: usize = 8_192;
/// So many go together.
const MOST_IN_A_BATCH: usize = 512;
/// They are gathered for so long.
const GATHERED_FOR: Duration = Duration::from_millis(250);
/// A collector has so long to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// A batch that can't be sent for so long is dropped.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(30);
/// A process that ends sends for so long what it still has.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// It is told whenever so many more are dropped.
const TOLD_EVERY: u64 = 10_000;

/// Spans can't be sent from the start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint is none.
    #[error("setting up the way to --otlp-endpoint {endpoint}")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// Why.
        source: ExporterBuildError,
    },
    /// The folder can't be used.
    #[error("using --span-spool {folder}")]
    Spool {
        /// As it was given.
        folder: String,
        /// Why.
        source: io::Error,
    },
}

/// The door for spans that have ended.
#[derive(Debug)]
pub struct Sender {
    waiting: mpsc::Sender<Span>,
    kept: Kept,
    counts: Arc<Counts>,
}

/// What became of the spans of this process.
#[derive(Debug)]
struct Counts {
    sent: AtomicU64,
    /// Too many were waiting.
    no_room: AtomicU64,
    sent_total: Counter<u64>,
    dropped_total: Counter<u64>,
}

/// Why spans were dropped.
const NO_ROOM: &str = "no_room";
const NOT_TAKEN: &str = "not_taken";

impl Counts {
    fn new() -> Self {
        let meter = meter();
        let counter = |name, what| meter.u64_counter(name).with_description(what).with_unit("{span}").build();
        let counts = Self {
            sent: AtomicU64::default(),
            no_room: AtomicU64::default(),
            sent_total: counter("everhook.spans.sent", "spans that the collector has taken"),
            dropped_total: counter("everhook.spans.dropped", "spans that the collector will never have, by why"),
        };
        // What is missing from the first scrape is missing from every rate.
        counts.sent(0);
        counts.dropped(0, NO_ROOM);
        counts.dropped(0, NOT_TAKEN);
        counts
    }

    fn sent(&self, count: u64) {
        self.sent.fetch_add(count, Ordering::Relaxed);
        self.sent_total.add(count, &[]);
    }

    fn dropped(&self, count: u64, reason: &'static str) {
        self.dropped_total.add(count, &[KeyValue::new("reason", reason)]);
    }

    /// Answers how many there were before.
    fn no_room(&self, count: u64) -> u64 {
        self.dropped(count, NO_ROOM);
        self.no_room.fetch_add(count, Ordering::Relaxed)
    }
}

/// The spool, if there is one.
#[derive(Debug, Clone)]
struct Kept(Option<Arc<Mutex<Spool>>>);

/// What sends; it is told when the process ends.
#[derive(Debug)]
pub struct Sending {
    /// Of its own: it ends after everything that makes spans.
    lifecycle: Lifecycle,
    task: JoinHandle<()>,
}

/// Starts to send the spans of this process. None if nobody is to have them. Call it once, within the runtime.
///
/// # Errors
/// If the endpoint or the spool can't be used.
pub fn start(flags: &Flags, service: &'static str) -> Result<Option<Sending>, Error> {
    let Some((sender, sending)) = sender(flags, service)? else { return Ok(None) };
    if SENDER.set(sender).is_err() {
        tracing::error!("spans are sent already; what would send them once more does nothing");
    }
    Ok(Some(sending))
}

fn sender(flags: &Flags, service: &'static str) -> Result<Option<(Sender, Sending)>, Error> {
    let Some(endpoint) = &flags.otlp_endpoint else { return Ok(None) };
    let endpoint_error = |source| Error::Endpoint { endpoint: endpoint.to_string(), source };
    let mut exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint.as_str())
        .with_timeout(ANSWERED_WITHIN)
        .build()
        .map_err(endpoint_error)?;
    exporter.set_resource(&resource(service));
    let spool = flags.span_spool.as_deref().map(|folder| {
        let failed = |source| Error::Spool { folder: folder.display().to_string(), source };
        Spool::open(folder, service).map_err(failed)
    });
    let kept = Kept(spool.transpose()?.map(Mutex::new).map(Arc::new));
    let (waiting, spans) = mpsc::channel(MOST_WAITING);
    let (lifecycle, counts) = (Lifecycle::default(), Arc::new(Counts::new()));
    let courier = Courier {
        exporter,
        scope: InstrumentationScope::builder("everhook").with_version(VERSION).build(),
        kept: kept.clone(),
        counts: counts.clone(),
        lifecycle: lifecycle.clone(),
        is_failing: false,
    };
    let task = lifecycle.spawn(courier.run(spans));
    let sending = Sending { lifecycle, task };
    Ok(Some((Sender { waiting, kept, counts }, sending)))
}

impl Sender {
    pub(super) fn take(&self, spans: Vec<Span>) {
        let Ok(places) = self.waiting.try_reserve_many(spans.len()) else {
            let count = u64::try_from(spans.len()).unwrap_or(u64::MAX);
            let before = self.counts.no_room(count);
            // A process that drops many says so now and then.
            if before == 0 || before / TOLD_EVERY != (before + count) / TOLD_EVERY {
                let dropped = before + count;
                tracing::warn!(dropped, "spans are dropped: the collector takes them too slowly, or not at all");
            }
            return;
        };
        self.kept.append(&spans);
        places.zip(spans).for_each(|(place, span)| place.send(span));
    }
}

impl Kept {
    fn append(&self, spans: &[Span]) {
        self.with(|spool| spool.append(spans));
    }

    fn finish(&self, spans: usize) {
        self.with(|spool| spool.finish(spans));
    }

    /// A spool that fails costs the spans of a process that is killed, and nothing else.
    fn with(&self, act: impl FnOnce(&mut Spool) -> io::Result<()>) {
        if let Some(spool) = &self.0
            && let Err(error) = act(&mut spool.lock().unwrap_or_else(PoisonError::into_inner))
        {
            tracing::warn!(%error, "the spool of spans could not be written");
        }
    }
}

impl Sending {
    /// The process ends, and nothing makes spans any more: what is waiting is sent, if that is done soon. What is in a spool
    /// is there for the process that follows.
    pub async fn finish(mut self) {
        self.lifecycle.stop();
        if tokio::time::timeout(LAST_WORDS, &mut self.task).await.is_err() {
            tracing::warn!("some spans were not sent before the end");
            self.task.abort();
            // It has ended now, and lets go of the spool.
            let _ = self.task.await;
        }
    }
}

struct Courier {
    exporter: SpanExporter,
    scope: InstrumentationScope,
    kept: Kept,
    counts: Arc<Counts>,
    lifecycle: Lifecycle,
    is_failing: bool,
}

impl Courier {
    async fn run(mut self, mut spans: Receiver<Span>) {
        self.left_behind().await;
        let mut batch = Vec::with_capacity(MOST_IN_A_BATCH);
        loop {
            if !self.lifecycle.sleep(GATHERED_FOR).await {
                spans.close();
            }
            while !spans.is_empty() {
                spans.recv_many(&mut batch, MOST_IN_A_BATCH).await;
                let count = batch.len();
                self.send(&batch).await;
                batch.clear();
                self.kept.finish(count);
            }
            if spans.is_closed() {
                return;
            }
        }
    }

    /// Sends what dead processes have left behind.
    async fn left_behind(&mut self) {
        let found = self.kept.0.as_ref().map(|spool| {
            let spool = spool.lock().unwrap_or_else(PoisonError::into_inner);
            spool.left_behind()
        });
        let left = match found {
            None => return,
            Some(Ok(left)) => left,
            Some(Err(error)) => {
                tracing::warn!(%error, "the spans of processes before this one can't be read");
                return;
            }
        };
        for mut segment in left {
            let spans = std::mem::take(&mut segment.spans);
            tracing::info!(spans = spans.len(), "sending what a process before this one has left behind");
            for batch in spans.chunks(MOST_IN_A_BATCH) {
                self.send(batch).await;
            }
            if let Err(error) = segment.remove() {
                tracing::warn!(%error, "spans that are sent could not be removed, and will be sent again");
            }
        }
    }

    /// Sends a batch, again and again for a while.
    async fn send(&mut self, batch: &[Span]) {
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let began = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            let data: Vec<SpanData> = batch.iter().map(|span| span.data(&self.scope)).collect();
            let error = match self.exporter.export(data).await {
                Ok(()) => {
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!("the collector takes spans again");
                    }
                    self.counts.sent(count);
                    return;
                }
                Err(error) => error,
            };
            if !std::mem::replace(&mut self.is_failing, true) {
                tracing::warn!(error = %Chain(&error), "the collector does not take spans; they wait, and then they are dropped");
            }
            if began.elapsed() >= GIVEN_UP_AFTER {
                self.counts.dropped(count, NOT_TAKEN);
                return;
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::PathBuf;
    use std::time::SystemTime;

    use super::*;

    fn span(n: u64) -> Span {
        Span::new("webhook.post", 7, n + 1, (SystemTime::now(), SystemTime::now())).with("event.id", "evt_7")
    }

    fn flags(port: u16, span_spool: Option<PathBuf>) -> Flags {
        Flags { otlp_endpoint: Some(format!("http://127.0.0.1:{port}").parse().unwrap()), span_spool }
    }

    /// Hands over three times as many as there is room for.
    async fn overrun(flags: &Flags) -> (Sender, Sending) {
        let (sender, sending) = sender(flags, "consumer").unwrap().unwrap();
        (0..3 * MOST_WAITING as u64).for_each(|n| sender.take(vec![span(n)]));
        tokio::task::yield_now().await;
        (sender, sending)
    }

    #[tokio::test]
    async fn what_nobody_takes_is_dropped_and_counted_and_nobody_waits() {
        // One that is gone, and one that accepts and never answers.
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        for port in [gone, silent.local_addr().unwrap().port()] {
            let (sender, sending) = overrun(&flags(port, None)).await;
            let dropped = sender.counts.no_room.load(Ordering::Relaxed);
            assert_eq!(dropped, 2 * MOST_WAITING as u64, "the rest waits");
            assert_eq!(sender.counts.sent.load(Ordering::Relaxed), 0);
            let began = Instant::now();
            sending.finish().await;
            assert!(began.elapsed() < 4 * LAST_WORDS, "a process that ends is not held up");
        }
    }

    #[tokio::test]
    async fn what_was_not_taken_is_in_the_spool_for_the_process_that_follows() {
        let folder = std::env::temp_dir().join(format!("everhook-sender-{}", std::process::id()));
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (sender, sending) = overrun(&flags(gone, Some(folder.clone()))).await;
        sending.finish().await;
        drop(sender);
        let next = Spool::open(&folder, "consumer").unwrap();
        let left: usize = next.left_behind().unwrap().iter().map(|segment| segment.spans.len()).sum();
        assert_eq!(left, MOST_WAITING);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
