//! An encoder that knows the protocol from its documentation: what it writes is read, and nothing less or more.

use bytes::BufMut as _;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn encode(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    match message {
        Message::Begin { final_lsn, committed_at, xid } => {
            out.put_u8(b'B');
            out.put_u64(*final_lsn);
            out.put_i64(*committed_at);
            out.put_u32(*xid);
        }
        Message::Commit { lsn, end_lsn, committed_at } => {
            out.put_slice(b"C\0");
            out.put_u64(*lsn);
            out.put_u64(*end_lsn);
            out.put_i64(*committed_at);
        }
        Message::Origin { lsn, name } => {
            out.put_u8(b'O');
            out.put_u64(*lsn);
            put_text(&mut out, name);
        }
        Message::Relation(relation) => {
            out.put_u8(b'R');
            out.put_u32(relation.oid);
            put_text(&mut out, &relation.schema);
            put_text(&mut out, &relation.table);
            out.put_u8(relation.replica_identity);
            out.put_u16(relation.columns.len().try_into().unwrap());
            for column in &relation.columns {
                out.put_u8(column.identity.into());
                put_text(&mut out, &column.name);
                out.put_u32(column.type_oid);
                out.put_i32(-1);
            }
        }
        Message::Type { oid, schema, name } => {
            out.put_u8(b'Y');
            out.put_u32(*oid);
            put_text(&mut out, schema);
            put_text(&mut out, name);
        }
        Message::Insert { relation, new } => {
            out.put_u8(b'I');
            out.put_u32(*relation);
            put_tuple(&mut out, b'N', new);
        }
        Message::Update { relation, old, new } => {
            out.put_u8(b'U');
            out.put_u32(*relation);
            old.iter().for_each(|old| put_old(&mut out, old));
            put_tuple(&mut out, b'N', new);
        }
        Message::Delete { relation, old } => {
            out.put_u8(b'D');
            out.put_u32(*relation);
            put_old(&mut out, old);
        }
        Message::Truncate { relations } => {
            out.put_u8(b'T');
            out.put_u32(relations.len().try_into().unwrap());
            out.put_u8(0);
            relations.iter().for_each(|oid| out.put_u32(*oid));
        }
        Message::Logical { transactional, lsn, prefix, content } => {
            out.put_u8(b'M');
            out.put_u8((*transactional).into());
            out.put_u64(*lsn);
            put_text(&mut out, prefix);
            put_sized(&mut out, content);
        }
    }
    out
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.put_slice(text.as_bytes());
    out.put_u8(0);
}

fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_i32(bytes.len().try_into().unwrap());
    out.put_slice(bytes);
}

fn put_old(out: &mut Vec<u8>, old: &OldTuple) {
    match old {
        OldTuple::Key(tuple) => put_tuple(out, b'K', tuple),
        OldTuple::Full(tuple) => put_tuple(out, b'O', tuple),
    }
}

fn put_tuple(out: &mut Vec<u8>, marker: u8, tuple: &Tuple) {
    out.put_u8(marker);
    out.put_u16(tuple.len().try_into().unwrap());
    for datum in tuple {
        match datum {
            Datum::Null => out.put_u8(b'n'),
            Datum::Unchanged => out.put_u8(b'u'),
            Datum::Text(bytes) => {
                out.put_u8(b't');
                put_sized(out, bytes);
            }
            Datum::Binary(bytes) => {
                out.put_u8(b'b');
                put_sized(out, bytes);
            }
        }
    }
}

fn name() -> impl Strategy<Value = String> {
    "[^\0]{0,12}"
}

fn content() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn tuple() -> impl Strategy<Value = Tuple> {
    let datum = prop_oneof![
        Just(Datum::Null),
        Just(Datum::Unchanged),
        content().prop_map(Datum::Text),
        content().prop_map(Datum::Binary),
    ];
    vec(datum, 0..8)
}

fn old() -> impl Strategy<Value = OldTuple> {
    prop_oneof![tuple().prop_map(OldTuple::Key), tuple().prop_map(OldTuple::Full)]
}

fn relation() -> impl Strategy<Value = Relation> {
    let column = (any::<bool>(), name(), any::<u32>());
    let column = column.prop_map(|(identity, name, type_oid)| Column { identity, name, type_oid });
    (any::<u32>(), name(), name(), any::<u8>(), vec(column, 0..8)).prop_map(
        |(oid, schema, table, replica_identity, columns)| Relation { oid, schema, table, replica_identity, columns },
    )
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        (any::<u64>(), any::<i64>(), any::<u32>()).prop_map(|(final_lsn, committed_at, xid)| Message::Begin {
            final_lsn,
            committed_at,
            xid
        }),
        (any::<u64>(), any::<u64>(), any::<i64>()).prop_map(|(lsn, end_lsn, committed_at)| Message::Commit {
            lsn,
            end_lsn,
            committed_at
        }),
        (any::<u64>(), name()).prop_map(|(lsn, name)| Message::Origin { lsn, name }),
        relation().prop_map(Message::Relation),
        (any::<u32>(), name(), name()).prop_map(|(oid, schema, name)| Message::Type { oid, schema, name }),
        (any::<u32>(), tuple()).prop_map(|(relation, new)| Message::Insert { relation, new }),
        (any::<u32>(), prop::option::of(old()), tuple()).prop_map(|(relation, old, new)| Message::Update {
            relation,
            old,
            new
        }),
        (any::<u32>(), old()).prop_map(|(relation, old)| Message::Delete { relation, old }),
        vec(any::<u32>(), 0..8).prop_map(|relations| Message::Truncate { relations }),
        (any::<bool>(), any::<u64>(), name(), content()).prop_map(|(transactional, lsn, prefix, content)| {
            Message::Logical { transactional, lsn, prefix, content }
        }),
    ]
}

proptest! {
    #[test]
    fn a_message_is_read_as_it_was_written(message in message()) {
        prop_assert_eq!(decode(encode(&message).into()), Ok(message));
    }

    #[test]
    fn a_message_that_is_cut_or_goes_on_is_an_error(
        message in message(), at: prop::sample::Index, more in vec(any::<u8>(), 1..5)
    ) {
        let whole = encode(&message);
        prop_assert!(decode(whole[..at.index(whole.len())].to_vec().into()).is_err());
        let count = more.len();
        let longer = decode([whole, more].concat().into());
        prop_assert!(matches!(longer, Err(Error::Trailing { count: told, .. }) if told == count), "{:?}", longer);
    }

    #[test]
    fn a_changed_byte_is_read_or_an_error(message in message(), at: prop::sample::Index, byte: u8) {
        let mut bytes = encode(&message);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(other) = decode(bytes.into()) {
            prop_assert_eq!(decode(encode(&other).into()), Ok(other));
        }
    }
}
