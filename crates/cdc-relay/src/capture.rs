//! Turns the stream's messages into Kafka records. It knows the open transaction and the shapes of tables, and
//! touches neither network nor clock.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::envelope::{Action, Change, Place};
use crate::pgoutput::{Datum, Message, OldTuple, Relation, Tuple};
use crate::record::{self, Record};
use crate::source::Source;
use crate::tables::{Table, Tables};
use crate::value::{Moment, PG_EPOCH_MICROS};

/// The prefix of this relay's own messages in the log.
pub const HEARTBEAT_PREFIX: &str = "relay.heartbeat";
const ANNOTATIONS_SET: &str = "sequin:transaction_annotations.set";
const ANNOTATIONS_CLEAR: &str = "sequin:transaction_annotations.clear";
/// A traceparent has 55 characters; whatever is much longer is none, and must not become a header.
const LONGEST_TRACEPARENT: usize = 128;

/// What a message of the stream means for the relay.
#[derive(Debug)]
pub enum Captured<'a> {
    /// Nothing to do.
    Nothing,
    /// A transaction begins.
    Begin,
    /// A row changed.
    Record(Record<'a>),
    /// The transaction is complete.
    Commit {
        /// The position to acknowledge once its records are safe.
        end_lsn: u64,
    },
    /// A relay's heartbeat came back.
    Heartbeat(Bytes),
    /// Tables were emptied, which no message of Sequin's can say.
    Truncate {
        /// How many.
        tables: usize,
    },
}

/// The stream can't be understood.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A change refers to a table that was not described.
    #[error("a change refers to the unknown table oid {oid}")]
    UnknownTable {
        /// As PostgreSQL sent it.
        oid: u32,
    },
    /// A row has another number of values than its table has columns.
    #[error("a row of {table} has {values} values for {columns} columns")]
    Shape {
        /// The table.
        table: String,
        /// In the row.
        values: usize,
        /// In the table.
        columns: usize,
    },
    /// A change came between transactions.
    #[error("a change came outside of a transaction")]
    NoTransaction,
    /// The message could not be written.
    #[error("can't write the message for a row of {table}")]
    Write {
        /// The table.
        table: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The state of one connection's stream.
#[derive(Debug)]
pub struct Capture<'s> {
    source: &'s Source,
    limit: usize,
    tables: Tables,
    open: Option<Open>,
    buffers: Buffers,
}

#[derive(Debug)]
struct Open {
    commit_lsn: u64,
    committed_at: i64,
    next_idx: u64,
    annotations: Option<Box<RawValue>>,
}

/// Reused from record to record.
#[derive(Debug, Default)]
struct Buffers {
    key: String,
    idempotency_key: String,
    traceparent: Option<String>,
    value: Vec<u8>,
    emptied: Vec<String>,
}

impl<'s> Capture<'s> {
    /// A capture for a new connection; no record is larger than `limit` bytes.
    #[must_use]
    pub fn new(source: &'s Source, limit: usize) -> Self {
        Self { source, limit, tables: Tables::default(), open: None, buffers: Buffers::default() }
    }

    /// Whether a transaction is open.
    #[must_use]
    pub fn in_transaction(&self) -> bool {
        self.open.is_some()
    }

    /// Learns the shape of a table. `primary_key` names the key's columns where the relation does not mark them.
    pub fn describe(&mut self, relation: Relation, primary_key: Option<&[String]>) {
        let table = self.tables.describe(relation, primary_key);
        if !table.has_key() {
            tracing::warn!(
                table = format!("{}.{}", table.schema, table.name),
                "the table has no primary key: its records have no Kafka key, and no order"
            );
        }
    }

    /// Takes the next message of the stream.
    ///
    /// # Errors
    /// If the message does not fit what came before it. The connection is of no use then: nothing may be skipped.
    pub fn read(&mut self, message: Message) -> Result<Captured<'_>, Error> {
        match message {
            Message::Begin { final_lsn, committed_at, .. } => {
                self.open = Some(Open { commit_lsn: final_lsn, committed_at, next_idx: 0, annotations: None });
                Ok(Captured::Begin)
            }
            Message::Commit { end_lsn, .. } => {
                self.open = None;
                Ok(Captured::Commit { end_lsn })
            }
            Message::Relation(relation) => {
                self.describe(relation, None);
                Ok(Captured::Nothing)
            }
            Message::Type { oid, name, .. } => {
                self.tables.name_type(oid, &name);
                Ok(Captured::Nothing)
            }
            Message::Origin { .. } => Ok(Captured::Nothing),
            Message::Insert { relation, new } => self.change(relation, Action::Insert, &new, None),
            Message::Update { relation, old, new } => self.change(relation, Action::Update, &new, old.as_ref()),
            Message::Delete { relation, old } => self.change(relation, Action::Delete, old.tuple(), None),
            Message::Truncate { relations } => {
                // Sequin counts it, too, and sends nothing.
                self.count()?;
                Ok(Captured::Truncate { tables: relations.len() })
            }
            Message::Logical { transactional, prefix, content, .. } => {
                Ok(self.logical(transactional, &prefix, content))
            }
        }
    }

    /// Counts a change of the open transaction; returns its index.
    fn count(&mut self) -> Result<u64, Error> {
        let open = self.open.as_mut().ok_or(Error::NoTransaction)?;
        let index = open.next_idx;
        open.next_idx += 1;
        Ok(index)
    }

    fn logical(&mut self, transactional: bool, prefix: &str, content: Bytes) -> Captured<'_> {
        // Sequin counts these messages like changes of rows.
        if let Some(open) = &mut self.open {
            open.next_idx += 1;
            match prefix {
                ANNOTATIONS_SET if transactional => open.annotations = annotations(&content),
                ANNOTATIONS_CLEAR => open.annotations = None,
                _ => {}
            }
        }
        if prefix == HEARTBEAT_PREFIX { Captured::Heartbeat(content) } else { Captured::Nothing }
    }

    fn change(&mut self, oid: u32, action: Action, row: &Tuple, old: Option<&OldTuple>) -> Result<Captured<'_>, Error> {
        let table = self.tables.get(oid).ok_or(Error::UnknownTable { oid })?;
        for tuple in [Some(row), old.map(OldTuple::tuple)].into_iter().flatten() {
            if tuple.len() != table.columns.len() {
                let (values, columns) = (tuple.len(), table.columns.len());
                return Err(Error::Shape { table: table.name.clone(), values, columns });
            }
        }
        let commit_idx = self.count()?;
        let open = self.open.as_ref().ok_or(Error::NoTransaction)?;
        let before = match old {
            Some(OldTuple::Full(tuple)) => Some(tuple),
            _ => None,
        };
        let change = Change { table: &table, action, row, before, emptied: &[] };
        let Buffers { key, idempotency_key, traceparent, value, emptied } = &mut self.buffers;
        join_key(&change, key);
        idempotency_key.clear();
        STANDARD.encode_string(format!("{}:{commit_idx}", open.commit_lsn), idempotency_key);
        *traceparent = traceparent_of(&table, row);
        let place = Place {
            commit_lsn: open.commit_lsn,
            commit_idx,
            committed_at: Moment::from_pg_micros(open.committed_at),
            idempotency_key,
            annotations: open.annotations.as_deref(),
        };
        let around = record::size_around(Some(key), idempotency_key, traceparent.as_deref());
        *emptied = record::write_within(self.limit.saturating_sub(around), change, place, self.source, value)
            .map_err(|source| Error::Write { table: table.name.clone(), source })?;
        Ok(Captured::Record(Record {
            key: table.has_key().then_some(key),
            value,
            idempotency_key,
            traceparent: traceparent.as_deref(),
            committed_at_micros: open.committed_at.saturating_add(PG_EPOCH_MICROS),
            emptied,
        }))
    }
}

/// The values of the primary key, joined with colons.
fn join_key(change: &Change<'_>, key: &mut String) {
    key.clear();
    for (index, value) in change.primary_key().enumerate() {
        if index > 0 {
            key.push(':');
        }
        key.push_str(&value);
    }
}

fn traceparent_of(table: &Table, row: &Tuple) -> Option<String> {
    match row.get(table.traceparent?) {
        Some(Datum::Text(bytes)) if bytes.len() <= LONGEST_TRACEPARENT => {
            str::from_utf8(bytes).ok().map(ToOwned::to_owned)
        }
        _ => None,
    }
}

/// The transaction's own words about itself, if they are JSON.
fn annotations(content: &[u8]) -> Option<Box<RawValue>> {
    serde_json::from_slice(content)
        .inspect_err(|error| tracing::warn!(%error, "a transaction's annotations are not JSON and are left out"))
        .ok()
}

#[cfg(test)]
mod tests;
