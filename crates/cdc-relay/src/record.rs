//! One Kafka record, ready to be handed over, and the shrinking of one that Kafka would refuse.

use crate::envelope::{Change, Place};
use crate::pgoutput::Datum;
use crate::source::Source;

/// A record, borrowed from the capture's buffers until the next message is read.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The primary key, its values joined with colons; `None` for a table that has none.
    pub key: Option<&'a str>,
    /// Sequin's message.
    pub value: &'a [u8],
    /// Header `idempotency-key`.
    pub idempotency_key: &'a str,
    /// Header `traceparent`, if the row has such a column.
    pub traceparent: Option<&'a str>,
    /// When the transaction was committed, in microseconds since 1970-01-01.
    pub committed_at_micros: i64,
    /// The names of the columns that were left out because the record was too large.
    pub emptied: &'a [String],
}

impl Record<'_> {
    /// What the record counts for in memory and against Kafka's limit, in bytes, its framing generously guessed.
    #[must_use]
    pub fn size(&self) -> usize {
        self.value.len() + size_around(self.key, self.idempotency_key, self.traceparent)
    }
}

/// What a record takes beside its value.
pub(crate) fn size_around(key: Option<&str>, idempotency_key: &str, traceparent: Option<&str>) -> usize {
    const FRAMING: usize = 256;
    key.map_or(0, str::len) + idempotency_key.len() + traceparent.map_or(0, str::len) + FRAMING
}

/// Writes the change's message into `out` so that it takes at most `limit` bytes; returns the names of the columns that had to
/// become null for it, largest first.
///
/// The key is always there. Where nothing is left to leave out, the record is larger than `limit`.
///
/// # Errors
/// If the change can't be written at all.
pub fn write_within(
    limit: usize,
    change: Change<'_>,
    place: Place<'_>,
    source: &Source,
    out: &mut Vec<u8>,
) -> Result<Vec<String>, serde_json::Error> {
    change.write(place, source, out)?;
    let mut names = Vec::new();
    if out.len() <= limit {
        return Ok(names);
    }
    let mut emptied = vec![false; change.table.columns.len()];
    for index in largest_first(&change) {
        emptied[index] = true;
        names.push(change.table.columns[index].name.clone());
        Change { emptied: &emptied, ..change }.write(place, source, out)?;
        if out.len() <= limit {
            return Ok(names);
        }
    }
    Change { emptied: &emptied, ..change }.write(Place { annotations: None, ..place }, source, out)?;
    names.push("metadata.transaction_annotations".to_owned());
    Ok(names)
}

/// The columns that may be left out and hold anything.
fn largest_first(change: &Change<'_>) -> Vec<usize> {
    let length = |datum: Option<&Datum>| match datum {
        Some(Datum::Text(bytes)) => bytes.len(),
        _ => 0,
    };
    let before = |index| change.before.and_then(|before| before.get(index));
    let mut columns: Vec<(usize, usize)> = change
        .table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| !column.key)
        .map(|(index, _)| (length(change.row.get(index)) + length(before(index)), index))
        .filter(|(length, _)| *length > 0)
        .collect();
    columns.sort_unstable_by(|a, b| b.cmp(a));
    columns.into_iter().map(|(_, index)| index).collect()
}
