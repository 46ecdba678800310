//! The Kafka value: one row change as Sequin writes it, `{record, changes, action, metadata}`.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::pgoutput::{Datum, Tuple};
use crate::source::Source;
use crate::tables::Table;
use crate::value::{Cell, Moment};

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is new.
    Insert,
    /// It changed.
    Update,
    /// It is gone.
    Delete,
}

/// One change of one row.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Its table.
    pub table: &'a Table,
    /// What happened.
    pub action: Action,
    /// The row now; for a delete, what is known of it before.
    pub row: &'a Tuple,
    /// The whole row before an update, if the log has it.
    pub before: Option<&'a Tuple>,
    /// Per column, whether it is left out; shorter than the row: the rest is there.
    pub emptied: &'a [bool],
}

/// Where in the log a change is.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Begin's final position.
    pub commit_lsn: u64,
    /// Counts the changes of the transaction from 0.
    pub commit_idx: u64,
    /// When it was committed.
    pub committed_at: Moment,
    /// Base64 of `lsn:idx`.
    pub idempotency_key: &'a str,
    /// What the transaction says about itself.
    pub annotations: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    record: Row<'a>,
    changes: Option<Changes<'a>>,
    action: Action,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    table_schema: &'a str,
    table_name: &'a str,
    commit_timestamp: Moment,
    commit_lsn: u64,
    commit_idx: u64,
    idempotency_key: &'a str,
    record_pks: Vec<Cow<'a, str>>,
    database_name: &'a str,
    transaction_annotations: Option<&'a RawValue>,
    enrichment: Option<()>,
    consumer: &'a RawValue,
    database: &'a RawValue,
}

impl<'a> Change<'a> {
    /// Writes the message into `out`, in place of what was there.
    ///
    /// # Errors
    /// If a value is in binary form.
    pub fn write(&self, place: Place<'_>, source: &Source, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        out.clear();
        let envelope = Envelope {
            record: Row(self),
            changes: (self.action == Action::Update).then_some(Changes(self)),
            action: self.action,
            metadata: Metadata {
                table_schema: &self.table.schema,
                table_name: &self.table.name,
                commit_timestamp: place.committed_at,
                commit_lsn: place.commit_lsn,
                commit_idx: place.commit_idx,
                idempotency_key: place.idempotency_key,
                record_pks: self.primary_key().collect(),
                database_name: &source.database_name,
                transaction_annotations: place.annotations,
                enrichment: None,
                consumer: &source.consumer,
                database: &source.database,
            },
        };
        serde_json::to_writer(out, &envelope)
    }

    /// The values of the primary key, as PostgreSQL writes them, in the order of the columns.
    pub fn primary_key(&self) -> impl Iterator<Item = Cow<'a, str>> {
        let (table, row, before) = (self.table, self.row, self.before);
        table.columns.iter().enumerate().filter(|(_, column)| column.key).map(move |(index, _)| {
            match known(row, before, index) {
                Some(Datum::Text(bytes)) => String::from_utf8_lossy(bytes),
                _ => "".into(),
            }
        })
    }
}

/// A column's value; one that an update did not touch is taken from the row before, if that is there.
fn known<'a>(row: &'a Tuple, before: Option<&'a Tuple>, index: usize) -> Option<&'a Datum> {
    match row.get(index) {
        Some(Datum::Unchanged) => before.and_then(|before| before.get(index)).or_else(|| row.get(index)),
        datum => datum,
    }
}

struct Row<'a>(&'a Change<'a>);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let change = self.0;
        let mut map = serializer.serialize_map(Some(change.table.columns.len()))?;
        for (index, column) in change.table.columns.iter().enumerate() {
            let emptied = change.emptied.get(index).copied().unwrap_or(false);
            let datum = known(change.row, change.before, index).filter(|_| !emptied).unwrap_or(&Datum::Null);
            map.serialize_entry(&column.name, &Cell { kind: column.kind, datum })?;
        }
        map.end()
    }
}

/// The values before, of those columns that an update changed.
struct Changes<'a>(&'a Change<'a>);

impl Serialize for Changes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let change = self.0;
        let mut map = serializer.serialize_map(None)?;
        let before = change.before.map_or(&[][..], Vec::as_slice);
        for ((index, column), datum) in change.table.columns.iter().enumerate().zip(before) {
            if known(change.row, change.before, index) == Some(datum) {
                continue;
            }
            let emptied = change.emptied.get(index).copied().unwrap_or(false);
            let datum = if emptied { &Datum::Null } else { datum };
            map.serialize_entry(&column.name, &Cell { kind: column.kind, datum })?;
        }
        map.end()
    }
}
