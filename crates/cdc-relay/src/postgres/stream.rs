//! The replication connection: messages in the order of commits, and our position back to the server.

use std::time::Duration;

use pgwire_replication::client::{ReplicationClient, ReplicationEvent};
use pgwire_replication::error::PgWireError;
use pgwire_replication::lsn::Lsn;
use sqlx::Connection as _;

use super::prepare::Wanted;
use super::{Target, slot};
use crate::pgoutput::{self, Message};

/// A raised position reaches the server within this time.
const STATUS_INTERVAL: Duration = Duration::from_millis(250);
/// Events that wait between the socket and us. Few, since each may be a large row.
const BUFFERED_EVENTS: usize = 128;

/// At the end, the slot is looked at so often.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// An open stream.
pub struct Stream {
    client: ReplicationClient,
    slot: String,
}

/// What comes in.
#[derive(Debug)]
pub enum Incoming {
    /// A message of the log.
    Message(Message),
    /// The server has read its log up to there, and everything before it was sent.
    KeepAlive {
        /// The position.
        wal_end: u64,
    },
}

/// The stream can't be opened, or broke.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No stream in time.
    #[error("PostgreSQL did not open the stream within {0:?}")]
    Timeout(Duration),
    /// PostgreSQL did not start it.
    #[error("PostgreSQL did not start the stream")]
    Start(#[source] PgWireError),
    /// It broke.
    #[error("the stream broke")]
    Broken(#[source] PgWireError),
    /// The server ended it.
    #[error("PostgreSQL ended the stream")]
    Ended,
    /// A message could not be decoded.
    #[error(transparent)]
    Decode(#[from] pgoutput::Error),
}

/// The server may not know the last position.
#[derive(Debug, thiserror::Error)]
pub enum Unheard {
    /// The slot did not move there in time.
    #[error("the replication slot was not there within {0:?}")]
    Timeout(Duration),
    /// Nobody can be asked.
    #[error(transparent)]
    Connect(#[from] super::Error),
    /// The slot can't be seen.
    #[error("can't look at the replication slot")]
    Look(#[source] sqlx::Error),
    /// Nobody will tell it any more.
    #[error("the stream ended before")]
    Ended,
}

impl Stream {
    /// Opens the stream at the slot's position.
    ///
    /// # Errors
    /// If the server does not start it in time.
    pub async fn open(target: &Target, wanted: &Wanted) -> Result<Self, Error> {
        let config = target
            .replication(&wanted.slot, &wanted.publication)
            .with_status_interval(STATUS_INTERVAL)
            .with_buffer_size(BUFFERED_EVENTS);
        let timeout = target.connect_timeout;
        tokio::time::timeout(timeout, async {
            let mut client = ReplicationClient::connect(config).await.map_err(Error::Start)?;
            match client.wait_started().await {
                Ok(()) => Ok(Self { client, slot: wanted.slot.clone() }),
                Err(error) => Err(Error::Start(error)),
            }
        })
        .await
        .map_err(|_| Error::Timeout(timeout))?
    }

    /// The next thing that comes in. Dropping the future loses nothing.
    ///
    /// # Errors
    /// If the connection broke or sends what can't be decoded.
    pub async fn next(&mut self) -> Result<Incoming, Error> {
        let event = self.client.recv().await.map_err(Error::Broken)?.ok_or(Error::Ended)?;
        // The library takes three kinds of message apart itself.
        Ok(match event {
            ReplicationEvent::XLogData { data, .. } => Incoming::Message(pgoutput::decode(data)?),
            ReplicationEvent::Begin { final_lsn, xid, commit_time_micros } => Incoming::Message(Message::Begin {
                final_lsn: final_lsn.as_u64(),
                committed_at: commit_time_micros,
                xid,
            }),
            ReplicationEvent::Commit { lsn, end_lsn, commit_time_micros } => Incoming::Message(Message::Commit {
                lsn: lsn.as_u64(),
                end_lsn: end_lsn.as_u64(),
                committed_at: commit_time_micros,
            }),
            ReplicationEvent::Message { transactional, lsn, prefix, content } => {
                Incoming::Message(Message::Logical { transactional, lsn: lsn.as_u64(), prefix, content })
            }
            ReplicationEvent::KeepAlive { wal_end, .. } => Incoming::KeepAlive { wal_end: wal_end.as_u64() },
            ReplicationEvent::StoppedAt { .. } => return Err(Error::Ended),
        })
    }

    /// Everything up to `lsn` is safe. The server hears it soon, and may then forget the log before it.
    pub fn acknowledge(&self, lsn: u64) {
        self.client.update_applied_lsn(Lsn::from_u64(lsn));
    }

    /// Ends the stream once the server has heard of `applied`. The library itself would end it without a word, and
    /// the next start would send again what is safe. That the position was written is not enough: a server that is
    /// busy sending finds the connection gone and never reads it. So the slot is looked at.
    ///
    /// # Errors
    /// If the slot does not say so in time. The stream is closed then, too.
    pub async fn close(mut self, target: &Target, applied: Option<u64>, timeout: Duration) -> Result<(), Unheard> {
        let heard = match applied {
            None => Ok(()),
            Some(applied) => tokio::time::timeout(timeout, self.heard(target, applied))
                .await
                .unwrap_or(Err(Unheard::Timeout(timeout))),
        };
        // What is heard is heard, however the connection ends. A worker that is stuck is let go of below.
        let _ = tokio::time::timeout(STATUS_INTERVAL, self.client.shutdown()).await;
        heard
    }

    /// Waits until `applied` is written, and the slot confirmed up to there.
    async fn heard(&self, target: &Target, applied: u64) -> Result<(), Unheard> {
        let metrics = self.client.metrics();
        while metrics.last_applied_lsn().as_u64() < applied && self.client.is_running() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let mut connection = target.connect().await?;
        loop {
            if slot::confirmed(&mut connection, &self.slot).await.map_err(Unheard::Look)? >= Some(applied) {
                // The process ends anyway.
                let _ = connection.close().await;
                return Ok(());
            }
            if !self.client.is_running() {
                return Err(Unheard::Ended);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A worker that is stuck in a dead connection would hold the slot; one that has ended does not mind.
        self.client.abort();
    }
}

impl Error {
    /// The SQLSTATE, if the server gave one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Start(PgWireError::Server(text)) | Self::Broken(PgWireError::Server(text)) => {
                text.split_once("SQLSTATE ").and_then(|(_, rest)| rest.get(..5))
            }
            _ => None,
        }
    }

    /// Why the slot can't be streamed and never will be, if that is what the error says.
    ///
    /// The server may speak any language: only codes and the names in the text count.
    #[must_use]
    pub fn useless_slot(&self, wanted: &Wanted) -> Option<String> {
        let (Self::Start(PgWireError::Server(text)) | Self::Broken(PgWireError::Server(text))) = self else {
            return None;
        };
        let is_useless = match self.sqlstate()? {
            // The log is gone, or was, so that the slot is invalid.
            "58P01" => text.contains("WAL"),
            "55000" => text.contains(&wanted.slot),
            // The publication is there, or we would not have come so far. So it is younger than the slot's position,
            // and up to its making PostgreSQL will say for ever that there is none.
            "42704" => text.contains(&wanted.publication),
            _ => false,
        };
        is_useless.then(|| text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted { publication: "everhook_events".to_owned(), slot: "everhook_relay".to_owned(), failover: false }
    }

    fn server(text: &str) -> Error {
        Error::Start(PgWireError::Server(text.to_owned()))
    }

    #[test]
    fn only_errors_about_the_slot_itself_make_it_useless() {
        let useless = [
            "can no longer get changes from replication slot \"everhook_relay\" (SQLSTATE 55000)",
            "can no longer access replication slot \"everhook_relay\" because it has been invalidated (SQLSTATE 55000)",
            "requested WAL segment 000000010000000000000001 has already been removed (SQLSTATE 58P01)",
            "publication \"everhook_events\" does not exist (SQLSTATE 42704)",
        ];
        for text in useless {
            assert!(server(text).useless_slot(&wanted()).is_some(), "{text}");
        }
        let otherwise = [
            "replication slot \"everhook_relay\" is active for PID 7 (SQLSTATE 55006)",
            "replication slot \"everhook_relay\" does not exist (SQLSTATE 42704)",
            "terminating connection due to administrator command (SQLSTATE 57P01)",
            "logical decoding requires wal_level >= logical (SQLSTATE 55000)",
            "no code at all",
        ];
        for text in otherwise {
            assert_eq!(server(text).useless_slot(&wanted()), None, "{text}");
        }
        assert_eq!(server(otherwise[0]).sqlstate(), Some("55006"));
        assert_eq!(Error::Ended.useless_slot(&wanted()), None);
    }
}
