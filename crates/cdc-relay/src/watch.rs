//! Looks at the slot and writes heartbeats, on a connection of its own: also while the stream is not open, since that
//! is when the log grows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chassis::Lifecycle;
use chassis::error_chain::Chain;
use sqlx::{Connection as _, PgConnection};

use crate::capture::HEARTBEAT_PREFIX;
use crate::heartbeat::Heartbeats;
use crate::postgres::{self, Target, slot};
use crate::report::Report;

/// After a failure we look again soon.
const RETRY: Duration = Duration::from_secs(1);
/// For both statements together.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// From PostgreSQL 17 on a message can be flushed at once; before, it waits up to 0.2 s for the log writer.
const FLUSHES_MESSAGES: i32 = 170_000;

/// What the watch needs.
pub struct Watch {
    /// The database.
    pub target: Arc<Target>,
    /// The slot's name.
    pub slot: String,
    /// How often.
    pub interval: Duration,
    /// The heartbeats that the stream reads back.
    pub heartbeats: Arc<Heartbeats>,
    /// Where numbers go.
    pub report: Arc<Report>,
}

/// One look failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Connect(#[from] postgres::Error),
    #[error("can't ask for PostgreSQL's version")]
    Version(#[source] sqlx::Error),
    #[error("can't write a heartbeat to the log")]
    Heartbeat(#[source] sqlx::Error),
    #[error("can't look at the replication slot")]
    Look(#[source] sqlx::Error),
    #[error("PostgreSQL did not answer within {0:?}")]
    Timeout(Duration),
}

/// What was said last about the slot, so that it is said once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Nothing,
    Fine,
    InDanger,
    Lost,
    Unreachable,
}

struct Watcher {
    connection: PgConnection,
    flushes: bool,
}

impl Watch {
    /// Watches until the process stops.
    pub async fn run(self, lifecycle: Lifecycle) {
        let mut watcher = None;
        let mut seen = Seen::Nothing;
        loop {
            let wait = match self.look(&mut watcher).await {
                Ok(slot) => {
                    self.tell(slot.as_ref(), &mut seen);
                    self.interval
                }
                Err(error) => {
                    watcher = None;
                    if seen != Seen::Unreachable {
                        tracing::warn!(error = %Chain(&error), "the replication slot can't be watched");
                    }
                    seen = Seen::Unreachable;
                    RETRY.min(self.interval)
                }
            };
            let goes_on = tokio::select! {
                goes_on = lifecycle.sleep(wait) => goes_on,
                () = self.heartbeats.asked() => true,
            };
            if !goes_on {
                break;
            }
        }
        if let Some(Watcher { connection, .. }) = watcher {
            // The process ends anyway.
            let _ = tokio::time::timeout(RETRY, connection.close()).await;
        }
    }

    async fn look(&self, watcher: &mut Option<Watcher>) -> Result<Option<slot::Slot>, Error> {
        let watcher = match watcher {
            Some(watcher) => watcher,
            None => watcher.insert(self.connect().await?),
        };
        tokio::time::timeout(STATEMENT_TIMEOUT, async {
            self.beat(watcher).await?;
            slot::look(&mut watcher.connection, &self.slot).await.map_err(Error::Look)
        })
        .await
        .map_err(|_| Error::Timeout(STATEMENT_TIMEOUT))?
    }

    async fn connect(&self) -> Result<Watcher, Error> {
        let mut connection = self.target.connect().await?;
        let version: i32 = sqlx::query_scalar("select current_setting('server_version_num')::integer")
            .fetch_one(&mut connection)
            .await
            .map_err(Error::Version)?;
        Ok(Watcher { connection, flushes: version >= FLUSHES_MESSAGES })
    }

    async fn beat(&self, watcher: &mut Watcher) -> Result<(), Error> {
        let query = if watcher.flushes {
            sqlx::query("select pg_logical_emit_message(false, $1, $2, true)")
        } else {
            sqlx::query("select pg_logical_emit_message(false, $1, $2)")
        };
        let heartbeat = Beating { heartbeats: &self.heartbeats, heartbeat: Some(self.heartbeats.next(Instant::now())) };
        let content = heartbeat.heartbeat.as_ref().map(|heartbeat| heartbeat.content.clone());
        query.bind(HEARTBEAT_PREFIX).bind(content).execute(&mut watcher.connection).await.map_err(Error::Heartbeat)?;
        heartbeat.written();
        Ok(())
    }

    fn tell(&self, slot: Option<&slot::Slot>, seen: &mut Seen) {
        let now = match slot {
            None => Seen::Lost,
            Some(slot) if slot.lost_because().is_some() => Seen::Lost,
            Some(slot) if slot.is_in_danger() => Seen::InDanger,
            Some(_) => Seen::Fine,
        };
        if let Some(slot) = slot {
            self.report.slot(slot.lag_bytes, slot.retained_bytes);
        }
        let before = std::mem::replace(seen, now);
        if before == now {
            return;
        }
        let name = &self.slot;
        match (before, now) {
            (Seen::Nothing, Seen::Lost) => tracing::info!(slot = name, "there is no usable replication slot yet"),
            (_, Seen::Lost) => {
                let reason = slot.and_then(slot::Slot::lost_because);
                tracing::error!(
                    slot = name,
                    reason,
                    "the replication slot is gone: it is made anew at the next start of the stream"
                );
            }
            (_, Seen::InDanger) => tracing::error!(
                slot = name,
                lag_bytes = slot.and_then(|slot| slot.lag_bytes),
                "PostgreSQL may soon remove log that the slot needs: the relay is too far behind; see max_slot_wal_keep_size"
            ),
            (Seen::Nothing, _) => {}
            (_, Seen::Fine) => tracing::info!(slot = name, "the replication slot is fine again"),
            (_, Seen::Nothing | Seen::Unreachable) => {}
        }
    }
}

/// Forgets the heartbeat unless it was written: nobody must wait for one that is not in the log.
struct Beating<'a> {
    heartbeats: &'a Heartbeats,
    heartbeat: Option<crate::heartbeat::Heartbeat>,
}

impl Beating<'_> {
    fn written(mut self) {
        self.heartbeat = None;
    }
}

impl Drop for Beating<'_> {
    fn drop(&mut self) {
        if let Some(heartbeat) = &self.heartbeat {
            self.heartbeats.forget(heartbeat);
        }
    }
}
