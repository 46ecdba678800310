//! Hand-made messages of every kind, and what is wrong with broken ones.

use bytes::{BufMut, Bytes, BytesMut};

use super::*;

/// Builds a message the way that the walsender does.
struct Wire(BytesMut);

impl Wire {
    fn new(kind: u8) -> Self {
        Self(BytesMut::from(&[kind][..]))
    }
    fn u8(mut self, value: u8) -> Self {
        self.0.put_u8(value);
        self
    }
    fn u16(mut self, value: u16) -> Self {
        self.0.put_u16(value);
        self
    }
    fn u32(mut self, value: u32) -> Self {
        self.0.put_u32(value);
        self
    }
    fn u64(mut self, value: u64) -> Self {
        self.0.put_u64(value);
        self
    }
    fn text(mut self, value: &str) -> Self {
        self.0.put_slice(value.as_bytes());
        self.0.put_u8(0);
        self
    }
    fn sized(mut self, value: &[u8]) -> Self {
        self.0.put_u32(value.len().try_into().unwrap());
        self.0.put_slice(value);
        self
    }
    fn value(self, value: &str) -> Self {
        self.u8(b't').sized(value.as_bytes())
    }
    fn done(self) -> Bytes {
        self.0.freeze()
    }
}

fn text(value: &'static str) -> Datum {
    Datum::Text(Bytes::from_static(value.as_bytes()))
}

fn relation_message() -> Bytes {
    Wire::new(b'R')
        .u32(16_402)
        .text("public")
        .text("domain_events")
        .u8(b'd')
        .u16(2)
        .u8(1)
        .text("event_id")
        .u32(25)
        .u32(u32::MAX)
        .u8(0)
        .text("snapshot")
        .u32(3802)
        .u32(u32::MAX)
        .done()
}

/// One message of every kind, with what it means.
fn every_kind() -> Vec<(Bytes, Message)> {
    vec![
        (
            Wire::new(b'B').u64(0x16_B374_D848).u64(825_000_000_000_000).u32(742).done(),
            Message::Begin { final_lsn: 0x16_B374_D848, committed_at: 825_000_000_000_000, xid: 742 },
        ),
        (
            Wire::new(b'C').u8(0).u64(10).u64(20).u64(u64::MAX).done(),
            Message::Commit { lsn: 10, end_lsn: 20, committed_at: -1 },
        ),
        (Wire::new(b'O').u64(7).text("elsewhere").done(), Message::Origin { lsn: 7, name: "elsewhere".to_owned() }),
        (
            relation_message(),
            Message::Relation(Relation {
                oid: 16_402,
                schema: "public".to_owned(),
                table: "domain_events".to_owned(),
                replica_identity: b'd',
                columns: vec![
                    Column { identity: true, name: "event_id".to_owned(), type_oid: 25 },
                    Column { identity: false, name: "snapshot".to_owned(), type_oid: 3802 },
                ],
            }),
        ),
        (
            Wire::new(b'Y').u32(16_500).text("public").text("mood").done(),
            Message::Type { oid: 16_500, schema: "public".to_owned(), name: "mood".to_owned() },
        ),
        (
            Wire::new(b'I').u32(16_402).u8(b'N').u16(4).value("evt_1").u8(b'n').u8(b'u').u8(b'b').sized(&[1, 2]).done(),
            Message::Insert {
                relation: 16_402,
                new: vec![text("evt_1"), Datum::Null, Datum::Unchanged, Datum::Binary(Bytes::from_static(&[1, 2]))],
            },
        ),
        (
            Wire::new(b'U').u32(1).u8(b'N').u16(1).value("new").done(),
            Message::Update { relation: 1, old: None, new: vec![text("new")] },
        ),
        (
            Wire::new(b'U').u32(1).u8(b'K').u16(1).value("key").u8(b'N').u16(1).value("new").done(),
            Message::Update { relation: 1, old: Some(OldTuple::Key(vec![text("key")])), new: vec![text("new")] },
        ),
        (
            Wire::new(b'U').u32(1).u8(b'O').u16(1).value("old").u8(b'N').u16(1).value("new").done(),
            Message::Update { relation: 1, old: Some(OldTuple::Full(vec![text("old")])), new: vec![text("new")] },
        ),
        (
            Wire::new(b'D').u32(1).u8(b'K').u16(1).value("key").done(),
            Message::Delete { relation: 1, old: OldTuple::Key(vec![text("key")]) },
        ),
        (
            Wire::new(b'D').u32(1).u8(b'O').u16(1).value("old").done(),
            Message::Delete { relation: 1, old: OldTuple::Full(vec![text("old")]) },
        ),
        (Wire::new(b'T').u32(2).u8(1).u32(5).u32(6).done(), Message::Truncate { relations: vec![5, 6] }),
        (
            Wire::new(b'M').u8(1).u64(9).text("relay.heartbeat").sized(b"a:1").done(),
            Message::Logical {
                transactional: true,
                lsn: 9,
                prefix: "relay.heartbeat".to_owned(),
                content: Bytes::from_static(b"a:1"),
            },
        ),
        (
            Wire::new(b'M').u8(0).u64(9).text("").sized(&[0, 255]).done(),
            Message::Logical {
                transactional: false,
                lsn: 9,
                prefix: String::new(),
                content: Bytes::from_static(&[0, 255]),
            },
        ),
    ]
}

#[test]
fn every_kind_of_message_is_decoded() {
    for (bytes, message) in every_kind() {
        assert_eq!(decode(bytes), Ok(message));
    }
}

#[test]
fn every_message_cut_anywhere_is_an_error_that_names_what_was_being_read() {
    for (bytes, message) in every_kind() {
        for length in 0..bytes.len() {
            let error = decode(bytes.slice(..length)).expect_err(&format!("{message:?} cut to {length} bytes"));
            assert!(
                matches!(error, Error::Truncated { .. } | Error::Unterminated { .. }),
                "{message:?} cut to {length} bytes: {error}"
            );
        }
    }
}

#[test]
fn a_cut_value_says_how_much_is_missing() {
    let bytes = Wire::new(b'I').u32(1).u8(b'N').u16(1).value("abcdef").done();
    let error = decode(bytes.slice(..bytes.len() - 2)).unwrap_err();
    assert_eq!(error.to_string(), "pgoutput ended while reading a value: 6 bytes needed, 4 left");
}

#[test]
fn every_message_with_a_byte_more_is_an_error() {
    for (bytes, message) in every_kind() {
        let longer: Bytes = bytes.iter().copied().chain([0]).collect::<Vec<_>>().into();
        assert!(matches!(decode(longer), Err(Error::Trailing { count: 1, .. })), "{message:?}");
    }
}

#[test]
fn no_single_wrong_byte_makes_the_decoder_panic() {
    for (bytes, _) in every_kind() {
        for place in 0..bytes.len() {
            for value in 0..=u8::MAX {
                let mut wrong = bytes.to_vec();
                wrong[place] = value;
                // Many of these are messages too; only that there is an answer counts here.
                let _ = decode(wrong.into());
            }
        }
    }
}

#[test]
fn unknown_markers_are_errors_that_name_the_marker() {
    let cases: Vec<(Bytes, &str)> = vec![
        (Wire::new(b'S').u32(1).done(), "unknown kind of message 0x53"),
        (Wire::new(b'I').u32(1).u8(b'O').u16(0).done(), "unknown marker in an insert 0x4f"),
        (Wire::new(b'U').u32(1).u8(b'X').u16(0).done(), "unknown marker in an update 0x58"),
        (Wire::new(b'U').u32(1).u8(b'K').u16(0).u8(b'K').done(), "unknown marker of the new row in an update 0x4b"),
        (Wire::new(b'D').u32(1).u8(b'N').u16(0).done(), "unknown marker in a delete 0x4e"),
        (Wire::new(b'I').u32(1).u8(b'N').u16(1).u8(b'z').done(), "unknown kind of value 0x7a"),
    ];
    for (bytes, sentence) in cases {
        assert_eq!(decode(bytes).unwrap_err().to_string(), format!("pgoutput sent the {sentence}"));
    }
}

#[test]
fn negative_lengths_and_huge_counts_are_errors_without_an_allocation() {
    let negative = Wire::new(b'I').u32(1).u8(b'N').u16(1).u8(b't').u32(u32::MAX).done();
    assert_eq!(decode(negative), Err(Error::NegativeLength { reading: "a value" }));
    let huge = Wire::new(b'T').u32(u32::MAX).u8(0).u32(5).done();
    assert!(matches!(decode(huge), Err(Error::Truncated { reading: "a truncate's relation", .. })));
}

#[test]
fn names_that_are_not_utf8_are_errors() {
    let bytes = [&b"O\0\0\0\0\0\0\0\x01"[..], &[0xff, 0xfe, 0]].concat();
    assert_eq!(decode(bytes.into()), Err(Error::NotUtf8 { reading: "an origin's name" }));
}

#[test]
fn an_empty_message_is_an_error() {
    assert_eq!(decode(Bytes::new()), Err(Error::Truncated { reading: "the kind of message", need: 1, left: 0 }));
}
