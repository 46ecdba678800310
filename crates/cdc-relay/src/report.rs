//! What the relay says about itself: metrics, and the small JSON of `GET /status`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use chassis::metrics::{Counter, Gauge, Histogram, KeyValue, LATENCIES, meter};
use chassis::params::QueryParams;
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
    connected: Gauge<u64>,
    records: Counter<u64>,
    transactions: Counter<u64>,
    outstanding: Gauge<u64>,
    capture: Histogram<f64>,
    produce: Histogram<f64>,
    lag: Gauge<f64>,
    slot_lag: Gauge<u64>,
    slot_retained: Gauge<u64>,
    slot_recreated: Counter<u64>,
    lost: Counter<u64>,
    oversized: Counter<u64>,
    truncates: Counter<u64>,
    reconnects: Counter<u64>,
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
        let meter = meter();
        let counter = |name, unit, what| meter.u64_counter(name).with_unit(unit).with_description(what).build();
        let gauge = |name, unit, what| meter.u64_gauge(name).with_unit(unit).with_description(what).build();
        let seconds = |name, what| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(what);
            histogram.with_boundaries(LATENCIES.to_vec()).build()
        };
        Self {
            connected: gauge("cdc.connected", "{stream}", "1 while the replication stream is open"),
            records: counter("cdc.records", "{record}", "records that Kafka has acknowledged"),
            transactions: counter("cdc.transactions", "{transaction}", "transactions read from the stream"),
            outstanding: gauge(
                "cdc.outstanding.records",
                "{record}",
                "records handed to Kafka and not acknowledged",
            ),
            capture: seconds("cdc.capture", "from the commit to the capture, by PostgreSQL's clock and ours"),
            produce: seconds("cdc.produce", "from the capture to Kafka's acknowledgement"),
            lag: meter
                .f64_gauge("cdc.lag")
                .with_unit("s")
                .with_description(
                    "how long a heartbeat takes through the log, up to 0.2 s of it waiting for the log writer before PostgreSQL 17",
                )
                .build(),
            slot_lag: gauge("cdc.slot.lag", "By", "log that the slot has not confirmed"),
            slot_retained: gauge("cdc.slot.retained", "By", "log that PostgreSQL keeps for the slot"),
            slot_recreated: counter(
                "cdc.slot.recreated",
                "{slot}",
                "lost slots made anew: changes in between are not in Kafka",
            ),
            lost: counter("cdc.lost.records", "{record}", "offsets that Kafka had acknowledged and gave once more"),
            oversized: counter(
                "cdc.oversized.records",
                "{record}",
                "records that lost columns because Kafka would refuse them",
            ),
            truncates: counter("cdc.truncates", "{truncate}", "truncates in the stream, which no message can say"),
            reconnects: counter("cdc.reconnects", "{connection}", "connections lost, by side"),
        }
    }

    fn reconnect(&self, side: Side, count: u64) {
        let side = match side {
            Side::Postgres => "postgres",
            Side::Kafka => "kafka",
        };
        self.reconnects.add(count, &[KeyValue::new("side", side)]);
    }
}

impl Report {
    /// Makes the metrics, of a process that has started them.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let report = Self { meters: Meters::new(), state: Mutex::default() };
        // A counter that was never touched would be missing from the first scrape, and its first step from every rate.
        let Meters { slot_recreated, lost, oversized, truncates, .. } = &report.meters;
        for counter in [slot_recreated, lost, oversized, truncates] {
            counter.add(0, &[]);
        }
        for side in [Side::Postgres, Side::Kafka] {
            report.meters.reconnect(side, 0);
        }
        Arc::new(report)
    }

    /// The stream was opened or lost.
    pub fn connected(&self, connected: bool) {
        self.meters.connected.record(connected.into(), &[]);
        self.state().connected = connected;
    }

    /// A record was captured; `latency` since its commit.
    pub fn captured(&self, latency: Duration) {
        self.meters.capture.record(latency.as_secs_f64(), &[]);
        self.state().capture.add(latency);
    }

    /// Kafka acknowledged a record; `latency` since its capture.
    pub fn stored(&self, latency: Duration) {
        self.meters.records.add(1, &[]);
        self.meters.produce.record(latency.as_secs_f64(), &[]);
        let mut state = self.state();
        state.records += 1;
        state.produce.add(latency);
    }

    /// So many records are handed over and not acknowledged.
    pub fn outstanding(&self, records: usize) {
        self.meters.outstanding.record(u64::try_from(records).unwrap_or(u64::MAX), &[]);
        self.state().outstanding = records;
    }

    /// A transaction was read to its end.
    pub fn transaction(&self) {
        self.meters.transactions.add(1, &[]);
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
        self.meters.lag.record(lag.as_secs_f64(), &[]);
    }

    /// What `pg_replication_slots` says.
    pub fn slot(&self, lag_bytes: Option<i64>, retained_bytes: Option<i64>) {
        // A position beyond the log's end was read a moment later.
        let bytes = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
        if let Some(lag) = lag_bytes {
            self.meters.slot_lag.record(bytes(lag), &[]);
        }
        if let Some(retained) = retained_bytes {
            self.meters.slot_retained.record(bytes(retained), &[]);
        }
    }

    /// A connection was lost.
    pub fn reconnect(&self, side: Side) {
        self.meters.reconnect(side, 1);
    }

    /// A lost slot was made anew.
    pub fn slot_recreated(&self) {
        self.meters.slot_recreated.add(1, &[]);
    }

    /// So many records that Kafka had acknowledged are gone.
    pub fn lost(&self, records: u64) {
        self.meters.lost.add(records, &[]);
    }

    /// A record lost columns because it was too large.
    pub fn oversized(&self) {
        self.meters.oversized.add(1, &[]);
    }

    /// A truncate was in the stream.
    pub fn truncate(&self) {
        self.meters.truncates.add(1, &[]);
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
