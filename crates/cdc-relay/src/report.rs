//! What the relay says about itself: metrics, and the small JSON of `GET /status`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use chassis::params::QueryParams;
use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use serde::{Deserialize, Serialize};

use crate::percentiles::{Percentiles, WINDOW, Window};
use crate::value::Moment;

/// Where a connection was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// PostgreSQL's.
    Postgres,
    /// Kafka's.
    Kafka,
}

/// All numbers of the relay. Cheap to call on every record.
pub struct Report {
    meters: Meters,
    state: Mutex<State>,
}

struct Meters {
    connected: Gauge,
    records: Counter,
    transactions: Counter,
    outstanding: Gauge,
    capture_seconds: Histogram,
    produce_seconds: Histogram,
    lag_seconds: Gauge,
    slot_lag_bytes: Gauge,
    slot_retained_bytes: Gauge,
    slot_recreated: Counter,
    lost: Counter,
    oversized: Counter,
    truncates: Counter,
    reconnects_postgres: Counter,
    reconnects_kafka: Counter,
}

#[derive(Default)]
struct State {
    connected: bool,
    applied_lsn: Option<u64>,
    last_heartbeat_at: Option<Moment>,
    outstanding: usize,
    records: u64,
    capture: Window,
    produce: Window,
}

/// `GET /status`
#[derive(Debug, Serialize)]
pub struct Status {
    /// Whether the stream is open.
    pub connected: bool,
    /// The position that was acknowledged to PostgreSQL last, as `X/Y`.
    pub applied_lsn: Option<String>,
    /// When a heartbeat of this relay came back last.
    pub last_heartbeat_at: Option<Moment>,
    /// Records that were handed to Kafka and are not acknowledged.
    pub outstanding: usize,
    /// Records that Kafka has acknowledged since the start.
    pub records: u64,
    /// From the commit to the capture, of the last 10,000 records, or of the `last` ones asked for.
    pub capture_seconds: Option<Percentiles>,
    /// From the capture to Kafka's acknowledgement, of the same number of records.
    pub produce_seconds: Option<Percentiles>,
}

impl Meters {
    fn new() -> Self {
        describe_gauge!("cdc_connected", "1 while the replication stream is open");
        describe_counter!("cdc_records_total", "records that Kafka has acknowledged");
        describe_counter!("cdc_transactions_total", "transactions read from the stream");
        describe_gauge!("cdc_outstanding_records", "records handed to Kafka and not acknowledged");
        describe_histogram!("cdc_capture_seconds", "from the commit to the capture, by PostgreSQL's clock and ours");
        describe_histogram!("cdc_produce_seconds", "from the capture to Kafka's acknowledgement");
        describe_gauge!(
            "cdc_lag_seconds",
            "how long a heartbeat takes through the log, up to 0.2 s of it waiting for the log writer before PostgreSQL 17"
        );
        describe_gauge!("cdc_slot_lag_bytes", "log that the slot has not confirmed");
        describe_gauge!("cdc_slot_retained_bytes", "log that PostgreSQL keeps for the slot");
        describe_counter!("cdc_slot_recreated_total", "lost slots made anew: changes in between are not in Kafka");
        describe_counter!("cdc_lost_records_total", "offsets that Kafka had acknowledged and gave once more");
        describe_counter!("cdc_oversized_records_total", "records that lost columns because Kafka would refuse them");
        describe_counter!("cdc_truncates_total", "truncates in the stream, which no message can say");
        describe_counter!("cdc_reconnects_total", "connections lost, by side");
        Self {
            connected: gauge!("cdc_connected"),
            records: counter!("cdc_records_total"),
            transactions: counter!("cdc_transactions_total"),
            outstanding: gauge!("cdc_outstanding_records"),
            capture_seconds: histogram!("cdc_capture_seconds"),
            produce_seconds: histogram!("cdc_produce_seconds"),
            lag_seconds: gauge!("cdc_lag_seconds"),
            slot_lag_bytes: gauge!("cdc_slot_lag_bytes"),
            slot_retained_bytes: gauge!("cdc_slot_retained_bytes"),
            slot_recreated: counter!("cdc_slot_recreated_total"),
            lost: counter!("cdc_lost_records_total"),
            oversized: counter!("cdc_oversized_records_total"),
            truncates: counter!("cdc_truncates_total"),
            reconnects_postgres: counter!("cdc_reconnects_total", "side" => "postgres"),
            reconnects_kafka: counter!("cdc_reconnects_total", "side" => "kafka"),
        }
    }
}

impl Report {
    /// Registers the metrics with the recorder of this process, which must be installed before.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let report = Self { meters: Meters::new(), state: Mutex::default() };
        // A counter that was never touched would be missing from the first scrape, and its first step from every rate.
        let Meters { slot_recreated, lost, oversized, truncates, .. } = &report.meters;
        for counter in [slot_recreated, lost, oversized, truncates] {
            counter.increment(0);
        }
        for side in [&report.meters.reconnects_postgres, &report.meters.reconnects_kafka] {
            side.increment(0);
        }
        Arc::new(report)
    }

    /// The stream was opened or lost.
    pub fn connected(&self, connected: bool) {
        self.meters.connected.set(if connected { 1.0 } else { 0.0 });
        self.state().connected = connected;
    }

    /// A record was captured; `latency` since its commit.
    pub fn captured(&self, latency: Duration) {
        self.meters.capture_seconds.record(latency);
        self.state().capture.add(latency);
    }

    /// Kafka acknowledged a record; `latency` since its capture.
    pub fn stored(&self, latency: Duration) {
        self.meters.records.increment(1);
        self.meters.produce_seconds.record(latency);
        let mut state = self.state();
        state.records += 1;
        state.produce.add(latency);
    }

    /// So many records are handed over and not acknowledged.
    pub fn outstanding(&self, records: usize) {
        self.meters.outstanding.set(records as f64);
        self.state().outstanding = records;
    }

    /// A transaction was read to its end.
    pub fn transaction(&self) {
        self.meters.transactions.increment(1);
    }

    /// The position that is acknowledged to PostgreSQL.
    pub fn applied(&self, lsn: u64) {
        self.state().applied_lsn = Some(lsn);
    }

    /// The position that was acknowledged to PostgreSQL last.
    #[must_use]
    pub fn applied_lsn(&self) -> Option<u64> {
        self.state().applied_lsn
    }

    /// A heartbeat of ours came back.
    pub fn heartbeat(&self, at: Moment) {
        self.state().last_heartbeat_at = Some(at);
    }

    /// How far the relay is behind the log.
    pub fn lag(&self, lag: Duration) {
        self.meters.lag_seconds.set(lag.as_secs_f64());
    }

    /// What `pg_replication_slots` says.
    pub fn slot(&self, lag_bytes: Option<i64>, retained_bytes: Option<i64>) {
        if let Some(bytes) = lag_bytes {
            self.meters.slot_lag_bytes.set(bytes as f64);
        }
        if let Some(bytes) = retained_bytes {
            self.meters.slot_retained_bytes.set(bytes as f64);
        }
    }

    /// A connection was lost.
    pub fn reconnect(&self, side: Side) {
        match side {
            Side::Postgres => self.meters.reconnects_postgres.increment(1),
            Side::Kafka => self.meters.reconnects_kafka.increment(1),
        }
    }

    /// A lost slot was made anew.
    pub fn slot_recreated(&self) {
        self.meters.slot_recreated.increment(1);
    }

    /// So many records that Kafka had acknowledged are gone.
    pub fn lost(&self, records: u64) {
        self.meters.lost.increment(records);
    }

    /// A record lost columns because it was too large.
    pub fn oversized(&self) {
        self.meters.oversized.increment(1);
    }

    /// A truncate was in the stream.
    pub fn truncate(&self) {
        self.meters.truncates.increment(1);
    }

    /// What `GET /status` answers; the percentiles are those of the `last` records.
    #[must_use]
    pub fn status(&self, last: usize) -> Status {
        let state = self.state();
        Status {
            connected: state.connected,
            applied_lsn: state.applied_lsn.map(|lsn| format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff)),
            last_heartbeat_at: state.last_heartbeat_at,
            outstanding: state.outstanding,
            records: state.records,
            capture_seconds: state.capture.percentiles(last),
            produce_seconds: state.produce.percentiles(last),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    last: Last,
}

/// How many of the newest records the percentiles are of.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Last(usize);

impl Default for Last {
    fn default() -> Self {
        Self(WINDOW)
    }
}

impl TryFrom<String> for Last {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("write a number of records; at most {WINDOW} are known"))
    }
}

/// `GET /status?last=`
pub fn router(report: Arc<Report>) -> Router {
    Router::new().route(
        "/status",
        get(move |QueryParams(asked): QueryParams<Asked>| {
            let status = report.status(asked.last.0);
            async move { Json(status) }
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_what_was_reported() {
        let report = Report::new();
        insta::assert_json_snapshot!("status_at_the_start", report.status(WINDOW));
        report.connected(true);
        report.applied(0x16_B374_D848);
        report.heartbeat(Moment::from_unix_micros(1_795_467_600_000_000));
        report.outstanding(3);
        report.captured(Duration::from_micros(800));
        report.stored(Duration::from_micros(1200));
        insta::assert_json_snapshot!("status_at_work", report.status(WINDOW));
    }
}
