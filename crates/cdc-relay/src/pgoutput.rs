//! Decodes pgoutput, protocol version 1: the messages that PostgreSQL's walsender makes of the write-ahead log.
//!
//! Bytes in, [`Message`] out. It keeps nothing between messages, and column values stay slices of the input.

mod cursor;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use cursor::Cursor;

/// One message of the stream. Positions are log sequence numbers, times are microseconds since 2000-01-01 UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A transaction begins; it is known to be committed.
    Begin {
        /// Where its commit record starts.
        final_lsn: u64,
        /// When it was committed.
        committed_at: i64,
        /// Its 32-bit id.
        xid: u32,
    },
    /// The transaction is complete.
    Commit {
        /// Where the commit record starts.
        lsn: u64,
        /// Where it ends: the position to acknowledge.
        end_lsn: u64,
        /// When it was committed.
        committed_at: i64,
    },
    /// Where a change came from, when this server is itself a subscriber.
    Origin {
        /// Position of the commit at the origin.
        lsn: u64,
        /// Its name.
        name: String,
    },
    /// The shape of a table, before its first change and after each change of shape.
    Relation(Relation),
    /// The name of a type that is not built in.
    Type {
        /// As columns refer to it.
        oid: u32,
        /// Empty for `pg_catalog`.
        schema: String,
        /// For a domain, the name of the type below it.
        name: String,
    },
    /// A row was inserted.
    Insert {
        /// The table.
        relation: u32,
        /// The row.
        new: Tuple,
    },
    /// A row was changed.
    Update {
        /// The table.
        relation: u32,
        /// What is known of the row before.
        old: Option<OldTuple>,
        /// The row now.
        new: Tuple,
    },
    /// A row was deleted.
    Delete {
        /// The table.
        relation: u32,
        /// What is known of the row.
        old: OldTuple,
    },
    /// Tables were emptied.
    Truncate {
        /// The tables.
        relations: Vec<u32>,
    },
    /// Somebody called `pg_logical_emit_message`.
    Logical {
        /// Whether it belongs to the open transaction.
        transactional: bool,
        /// Its position.
        lsn: u64,
        /// Who it is for.
        prefix: String,
        /// Whatever was sent.
        content: Bytes,
    },
}

/// The shape of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// How changes refer to the table.
    pub oid: u32,
    /// Empty for `pg_catalog`.
    pub schema: String,
    /// The table; with `publish_via_partition_root`, the root of the partitions.
    pub table: String,
    /// `relreplident`: `d` primary key, `i` an index, `f` all columns, `n` nothing.
    pub replica_identity: u8,
    /// In the order of their values.
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Whether it is part of the replica identity.
    pub identity: bool,
    /// Its name.
    pub name: String,
    /// The oid of its type.
    pub type_oid: u32,
}

/// The values of a row, in the order of the relation's columns.
pub type Tuple = Vec<Datum>;

/// The value of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datum {
    /// SQL null.
    Null,
    /// A large value that an update did not touch; it is not in the log.
    Unchanged,
    /// PostgreSQL's text form.
    Text(Bytes),
    /// PostgreSQL's binary form; never sent unless asked for.
    Binary(Bytes),
}

/// What the log knows of a row before a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OldTuple {
    /// Only the columns of the replica identity; the others are null.
    Key(Tuple),
    /// The whole row.
    Full(Tuple),
}

impl OldTuple {
    /// The values, whatever is known of them.
    #[must_use]
    pub fn tuple(&self) -> &Tuple {
        match self {
            Self::Key(tuple) | Self::Full(tuple) => tuple,
        }
    }
}

/// A message could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The message ended early.
    #[error("pgoutput ended while reading {reading}: {need} bytes needed, {left} left")]
    Truncated {
        /// The part of the message.
        reading: &'static str,
        /// How many bytes it takes.
        need: usize,
        /// How many there were.
        left: usize,
    },
    /// A text has no end.
    #[error("pgoutput has no zero byte at the end of {reading}")]
    Unterminated {
        /// The part of the message.
        reading: &'static str,
    },
    /// A name is not UTF-8.
    #[error("pgoutput sent {reading} that is not UTF-8")]
    NotUtf8 {
        /// The part of the message.
        reading: &'static str,
    },
    /// A length is below zero.
    #[error("pgoutput sent a negative length of {reading}")]
    NegativeLength {
        /// The part of the message.
        reading: &'static str,
    },
    /// A marker has a value that this version does not know.
    #[error("pgoutput sent the unknown {reading} {value:#04x}")]
    Unknown {
        /// The kind of marker.
        reading: &'static str,
        /// What was there.
        value: u8,
    },
    /// Bytes follow the end of the message.
    #[error("pgoutput sent {count} bytes after the end of {reading}")]
    Trailing {
        /// The message.
        reading: &'static str,
        /// How many.
        count: usize,
    },
}

/// Decodes one message.
///
/// # Errors
/// If the bytes are not one whole message of protocol version 1; the error names what was being read.
pub fn decode(message: Bytes) -> Result<Message, Error> {
    let mut at = Cursor::new(message);
    let (decoded, name) = match at.u8("the kind of message")? {
        b'B' => (begin(&mut at)?, "a begin"),
        b'C' => (commit(&mut at)?, "a commit"),
        b'O' => (Message::Origin { lsn: at.u64("an origin's lsn")?, name: at.text("an origin's name")? }, "an origin"),
        b'R' => (Message::Relation(relation(&mut at)?), "a relation"),
        b'Y' => (type_name(&mut at)?, "a type"),
        b'I' => (insert(&mut at)?, "an insert"),
        b'U' => (update(&mut at)?, "an update"),
        b'D' => (delete(&mut at)?, "a delete"),
        b'T' => (truncate(&mut at)?, "a truncate"),
        b'M' => (logical(&mut at)?, "a logical message"),
        value => return Err(Error::Unknown { reading: "kind of message", value }),
    };
    at.end(name)?;
    Ok(decoded)
}

fn begin(at: &mut Cursor) -> Result<Message, Error> {
    Ok(Message::Begin {
        final_lsn: at.u64("a begin's final lsn")?,
        committed_at: at.i64("a begin's commit time")?,
        xid: at.u32("a begin's xid")?,
    })
}

fn commit(at: &mut Cursor) -> Result<Message, Error> {
    at.u8("a commit's flags")?;
    Ok(Message::Commit {
        lsn: at.u64("a commit's lsn")?,
        end_lsn: at.u64("a commit's end lsn")?,
        committed_at: at.i64("a commit's time")?,
    })
}

fn relation(at: &mut Cursor) -> Result<Relation, Error> {
    let oid = at.u32("a relation's oid")?;
    let schema = at.text("a relation's schema")?;
    let table = at.text("a relation's name")?;
    let replica_identity = at.u8("a relation's replica identity")?;
    let count = at.u16("a relation's number of columns")?;
    let mut columns = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let identity = at.u8("a column's flags")? & 1 == 1;
        let name = at.text("a column's name")?;
        let type_oid = at.u32("a column's type")?;
        at.u32("a column's type modifier")?;
        columns.push(Column { identity, name, type_oid });
    }
    Ok(Relation { oid, schema, table, replica_identity, columns })
}

fn type_name(at: &mut Cursor) -> Result<Message, Error> {
    Ok(Message::Type {
        oid: at.u32("a type's oid")?,
        schema: at.text("a type's schema")?,
        name: at.text("a type's name")?,
    })
}

fn insert(at: &mut Cursor) -> Result<Message, Error> {
    let relation = at.u32("an insert's relation")?;
    match at.u8("an insert's marker")? {
        b'N' => Ok(Message::Insert { relation, new: tuple(at)? }),
        value => Err(Error::Unknown { reading: "marker in an insert", value }),
    }
}

fn update(at: &mut Cursor) -> Result<Message, Error> {
    let relation = at.u32("an update's relation")?;
    let old = match at.u8("an update's marker")? {
        b'N' => return Ok(Message::Update { relation, old: None, new: tuple(at)? }),
        b'K' => OldTuple::Key(tuple(at)?),
        b'O' => OldTuple::Full(tuple(at)?),
        value => return Err(Error::Unknown { reading: "marker in an update", value }),
    };
    match at.u8("an update's marker of the new row")? {
        b'N' => Ok(Message::Update { relation, old: Some(old), new: tuple(at)? }),
        value => Err(Error::Unknown { reading: "marker of the new row in an update", value }),
    }
}

fn delete(at: &mut Cursor) -> Result<Message, Error> {
    let relation = at.u32("a delete's relation")?;
    let old = match at.u8("a delete's marker")? {
        b'K' => OldTuple::Key(tuple(at)?),
        b'O' => OldTuple::Full(tuple(at)?),
        value => return Err(Error::Unknown { reading: "marker in a delete", value }),
    };
    Ok(Message::Delete { relation, old })
}

fn truncate(at: &mut Cursor) -> Result<Message, Error> {
    let count = at.u32("a truncate's number of relations")?;
    at.u8("a truncate's options")?;
    // The count is not believed before the oids are there: it would be an allocation of any size.
    let relations = (0..count).map(|_| at.u32("a truncate's relation")).collect::<Result<_, _>>()?;
    Ok(Message::Truncate { relations })
}

fn logical(at: &mut Cursor) -> Result<Message, Error> {
    Ok(Message::Logical {
        transactional: at.u8("a logical message's flags")? & 1 == 1,
        lsn: at.u64("a logical message's lsn")?,
        prefix: at.text("a logical message's prefix")?,
        content: at.sized("a logical message's content")?,
    })
}

fn tuple(at: &mut Cursor) -> Result<Tuple, Error> {
    let count = at.u16("a row's number of columns")?;
    let mut values = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        values.push(match at.u8("a value's kind")? {
            b'n' => Datum::Null,
            b'u' => Datum::Unchanged,
            b't' => Datum::Text(at.sized("a value")?),
            b'b' => Datum::Binary(at.sized("a binary value")?),
            value => return Err(Error::Unknown { reading: "kind of value", value }),
        });
    }
    Ok(values)
}
