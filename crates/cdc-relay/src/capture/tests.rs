//! Messages of the stream in, Sequin's messages out: the golden ones are snapshots.

use serde_json::Value;

use super::*;
use crate::pgoutput::Column;
use crate::source::Names;

const ROOMY: usize = 900 * 1024;

fn source() -> Source {
    Source::new(&Names {
        consumer: "webhook-events".to_owned(),
        database: "payments-db".to_owned(),
        postgres_database: "payments".to_owned(),
        hostname: "127.0.0.1".to_owned(),
    })
    .unwrap()
}

fn relation(columns: &[(&str, u32, bool)]) -> Message {
    Message::Relation(Relation {
        oid: 1,
        schema: "public".to_owned(),
        table: "domain_events".to_owned(),
        replica_identity: b'd',
        columns: columns
            .iter()
            .map(|(name, type_oid, identity)| Column {
                identity: *identity,
                name: (*name).to_owned(),
                type_oid: *type_oid,
            })
            .collect(),
    })
}

fn domain_events() -> Message {
    relation(&[
        ("event_id", 25, true),
        ("event_type", 25, false),
        ("object_type", 25, false),
        ("object_id", 25, false),
        ("object_version", 20, false),
        ("merchant_id", 25, false),
        ("occurred_at", 1184, false),
        ("traceparent", 25, false),
        ("snapshot", 3802, false),
        ("xid", 5069, false),
    ])
}

fn text(value: &str) -> Datum {
    Datum::Text(Bytes::copy_from_slice(value.as_bytes()))
}

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn event(traceparent: Datum, snapshot: Datum) -> Message {
    let new = vec![
        text("evt_0198c0de000070008000000000000001"),
        text("payment.succeeded"),
        text("payment"),
        text("pay_0198c0de000070008000000000000001"),
        text("3"),
        text("mer_0198c0de000070008000000000000001"),
        text("2026-11-23 21:00:00.5+00"),
        traceparent,
        snapshot,
        text("746"),
    ];
    Message::Insert { relation: 1, new }
}

fn begin() -> Message {
    Message::Begin { final_lsn: 26_545_232, committed_at: 848_782_800_124_000, xid: 746 }
}

fn emitted(prefix: &str, content: &'static str) -> Message {
    let content = Bytes::from_static(content.as_bytes());
    Message::Logical { transactional: true, lsn: 1, prefix: prefix.to_owned(), content }
}

/// Reads messages and returns what the last one is captured as, when that is a record.
fn record<'a>(capture: &'a mut Capture<'_>, messages: Vec<Message>) -> Record<'a> {
    let mut messages = messages;
    let last = messages.pop().unwrap();
    for message in messages {
        capture.read(message).unwrap();
    }
    match capture.read(last).unwrap() {
        Captured::Record(record) => record,
        other => panic!("not a record: {other:?}"),
    }
}

fn value(record: &Record<'_>) -> Value {
    serde_json::from_slice(record.value).unwrap()
}

#[test]
fn an_insert_is_sequins_message() {
    let source = source();
    let mut capture = Capture::new(&source, ROOMY);
    let record = record(
        &mut capture,
        vec![
            begin(),
            domain_events(),
            event(text(TRACEPARENT), text(r#"{"payment_id": "pay_1", "amount": 1000, "tags": [1.50, null]}"#)),
        ],
    );
    assert_eq!(record.key, Some("evt_0198c0de000070008000000000000001"));
    assert_eq!(record.traceparent, Some(TRACEPARENT));
    assert_eq!(record.idempotency_key, "MjY1NDUyMzI6MA==");
    assert_eq!(record.committed_at_micros, 1_795_467_600_124_000);
    insta::assert_json_snapshot!("insert", value(&record));
}

#[test]
fn nulls_stay_null_and_give_no_header() {
    let source = source();
    let mut capture = Capture::new(&source, ROOMY);
    let record = record(&mut capture, vec![begin(), domain_events(), event(Datum::Null, Datum::Null)]);
    assert_eq!(record.traceparent, None);
    assert_eq!(value(&record)["record"]["traceparent"], Value::Null);
    assert_eq!(value(&record)["record"]["snapshot"], Value::Null);
}

#[test]
fn annotations_are_on_every_change_after_them_until_cleared_or_committed() {
    let source = source();
    let mut capture = Capture::new(&source, ROOMY);
    let set = || emitted(ANNOTATIONS_SET, r#"{"traceparent": "00-1", "n": 1}"#);
    let insert = || event(Datum::Null, Datum::Null);
    let seen = |record: &Record<'_>| {
        let metadata = value(record)["metadata"].clone();
        (metadata["commit_idx"].as_u64().unwrap(), metadata["transaction_annotations"].clone())
    };
    let annotated = serde_json::json!({"traceparent": "00-1", "n": 1});

    let first = record(&mut capture, vec![begin(), domain_events(), set(), insert()]);
    assert_eq!(seen(&first), (1, annotated.clone()), "the message itself is counted");
    assert_eq!(seen(&record(&mut capture, vec![insert()])), (2, annotated));
    let cleared = record(&mut capture, vec![emitted(ANNOTATIONS_CLEAR, ""), insert()]);
    assert_eq!(seen(&cleared), (4, Value::Null));
    let commit = Message::Commit { lsn: 1, end_lsn: 2, committed_at: 0 };
    let next = record(&mut capture, vec![set(), commit, begin(), insert()]);
    assert_eq!(seen(&next), (0, Value::Null));
}

#[test]
fn annotations_that_are_not_json_are_null() {
    let source = source();
    let mut capture = Capture::new(&source, ROOMY);
    let messages =
        vec![begin(), domain_events(), emitted(ANNOTATIONS_SET, "not json"), event(Datum::Null, Datum::Null)];
    let record = record(&mut capture, messages);
    assert_eq!(value(&record)["metadata"]["transaction_annotations"], Value::Null);
    assert_eq!(value(&record)["metadata"]["commit_idx"], 1);
}

#[test]
fn every_change_and_message_of_a_transaction_is_counted() {
    let source = source();
    let mut capture = Capture::new(&source, ROOMY);
    let row = || vec![text("1"), text("a")];
    let messages = vec![
        begin(),
        relation(&[("id", 20, true), ("name", 25, false)]),
        Message::Insert { relation: 1, new: row() },
        Message::Update { relation: 1, old: None, new: row() },
        Message::Delete { relation: 1, old: OldTuple::Key(vec![text("1"), Datum::Null]) },
        Message::Truncate { relations: vec![1] },
        emitted("somebody.else", "x"),
        Message::Origin { lsn: 0, name: "elsewhere".to_owned() },
        Message::Insert { relation: 1, new: row() },
    ];
    let record = record(&mut capture, messages);
    assert_eq!(value(&record)["metadata"]["commit_idx"], 5);
    assert_eq!(record.idempotency_key, STANDARD.encode("26545232:5"));
}

#[test]
fn updates_and_deletes_are_sequins_messages() {
    let source = source();
    let mut capture = Capture::new(&source, ROOMY);
    let shape = relation(&[("tenant", 25, true), ("id", 20, true), ("name", 25, false), ("body", 25, false)]);
    let new = vec![text("a"), text("7"), text("new"), Datum::Unchanged];
    let old = vec![text("a"), text("7"), text("old"), text("large")];

    let update = Message::Update { relation: 1, old: None, new: new.clone() };
    let without = value(&record(&mut capture, vec![begin(), shape, update]));
    let update = Message::Update { relation: 1, old: Some(OldTuple::Full(old)), new };
    let full = record(&mut capture, vec![update]);
    assert_eq!(full.key, Some("a:7"));
    let full = value(&full);
    let key_only = OldTuple::Key(vec![text("a"), text("7"), Datum::Null, Datum::Null]);
    let delete = value(&record(&mut capture, vec![Message::Delete { relation: 1, old: key_only }]));

    let parts = |value: &Value| {
        serde_json::json!({
            "record": value["record"], "changes": value["changes"], "action": value["action"],
            "record_pks": value["metadata"]["record_pks"],
        })
    };
    insta::assert_json_snapshot!("update_without_the_row_before", parts(&without));
    insta::assert_json_snapshot!("update_with_the_row_before", parts(&full));
    insta::assert_json_snapshot!("delete", parts(&delete));
}

#[test]
fn a_table_that_changes_its_shape_is_read_by_its_new_shape() {
    let source = source();
    let mut capture = Capture::new(&source, ROOMY);
    record(
        &mut capture,
        vec![begin(), relation(&[("id", 20, true)]), Message::Insert { relation: 1, new: vec![text("1")] }],
    );
    let error = capture.read(Message::Insert { relation: 1, new: vec![text("1"), text("x")] }).unwrap_err();
    assert_eq!(error.to_string(), "a row of domain_events has 2 values for 1 columns");
    let wider = relation(&[("id", 20, true), ("added", 16, false)]);
    let record = record(&mut capture, vec![wider, Message::Insert { relation: 1, new: vec![text("2"), text("t")] }]);
    assert_eq!(value(&record)["record"], serde_json::json!({"id": 2, "added": true}));
}

#[test]
fn types_that_are_not_built_in_are_read_by_the_name_that_the_stream_gives() {
    let source = source();
    let mut capture = Capture::new(&source, ROOMY);
    let named = |oid, name: &str| Message::Type { oid, schema: "public".to_owned(), name: name.to_owned() };
    let shape =
        relation(&[("id", 20, true), ("moods", 20_001, false), ("document", 20_002, false), ("x", 20_003, false)]);
    let new = vec![text("1"), text("{happy,sad}"), text("{\"a\": 1}"), text("whatever")];
    let messages =
        vec![begin(), named(20_001, "_mood"), named(20_002, "jsonb"), shape, Message::Insert { relation: 1, new }];
    let record = record(&mut capture, messages);
    let expected = serde_json::json!({"id": 1, "moods": ["happy", "sad"], "document": {"a": 1}, "x": "whatever"});
    assert_eq!(value(&record)["record"], expected);
}

#[test]
fn the_key_comes_from_the_index_where_the_relation_does_not_mark_it() {
    let source = source();
    let mut capture = Capture::new(&source, ROOMY);
    let Message::Relation(mut shape) = relation(&[("a", 25, true), ("b", 25, true), ("c", 25, true)]) else { panic!() };
    shape.replica_identity = b'f';
    assert!(!shape.marks_primary_key());
    capture.describe(shape, Some(&["b".to_owned()]));
    let new = vec![text("1"), text("2"), text("3")];
    let record = record(&mut capture, vec![begin(), Message::Insert { relation: 1, new }]);
    assert_eq!(record.key, Some("2"));
}

#[test]
fn a_table_without_a_primary_key_gives_records_without_a_key() {
    let source = source();
    let mut capture = Capture::new(&source, ROOMY);
    let messages = vec![begin(), relation(&[("a", 25, false)]), Message::Insert { relation: 1, new: vec![text("1")] }];
    let record = record(&mut capture, messages);
    assert_eq!(record.key, None);
    assert_eq!(value(&record)["metadata"]["record_pks"], serde_json::json!([]));
}

#[test]
fn a_change_of_an_unknown_table_is_an_error() {
    let source = source();
    let mut capture = Capture::new(&source, ROOMY);
    capture.read(begin()).unwrap();
    let error = capture.read(Message::Insert { relation: 77, new: vec![] }).unwrap_err();
    assert_eq!(error.to_string(), "a change refers to the unknown table oid 77");
}

#[test]
fn a_change_outside_of_a_transaction_is_an_error() {
    let source = source();
    let mut capture = Capture::new(&source, ROOMY);
    capture.read(domain_events()).unwrap();
    assert!(matches!(capture.read(event(Datum::Null, Datum::Null)), Err(Error::NoTransaction)));
}

#[test]
fn a_heartbeat_comes_back_as_it_was_sent() {
    let source = source();
    let mut capture = Capture::new(&source, ROOMY);
    match capture.read(emitted(HEARTBEAT_PREFIX, "me:1")).unwrap() {
        Captured::Heartbeat(content) => assert_eq!(content, "me:1"),
        other => panic!("not a heartbeat: {other:?}"),
    }
}

#[test]
fn a_record_over_the_limit_loses_its_largest_columns_and_never_its_key() {
    let source = source();
    let mut capture = Capture::new(&source, 4096);
    let large: &'static str = Box::leak(format!("\"{}\"", "x".repeat(10_000)).into_boxed_str());
    let record = record(&mut capture, vec![begin(), domain_events(), event(text(TRACEPARENT), text(large))]);
    assert!(record.size() <= 4096);
    assert_eq!(record.emptied, ["snapshot"]);
    assert_eq!(record.key, Some("evt_0198c0de000070008000000000000001"));
    assert_eq!(value(&record)["record"]["snapshot"], Value::Null);
    assert_eq!(value(&record)["record"]["event_type"], "payment.succeeded");
}

#[test]
fn a_record_over_the_limit_loses_as_little_as_it_must() {
    let source = source();
    let mut capture = Capture::new(&source, 4096);
    let shape = relation(&[("id", 20, true), ("a", 25, false), ("b", 25, false), ("c", 25, false)]);
    let new = vec![text("1"), text(&"a".repeat(1000)), text(&"b".repeat(5000)), text(&"c".repeat(6000))];
    let record = record(&mut capture, vec![begin(), shape, Message::Insert { relation: 1, new }]);
    assert_eq!(record.emptied, ["c", "b"]);
    assert_eq!(value(&record)["record"]["a"], "a".repeat(1000));
}

#[test]
fn annotations_over_the_limit_are_left_out_last() {
    let source = source();
    let mut capture = Capture::new(&source, 2048);
    let large: &'static str = Box::leak(format!("\"{}\"", "x".repeat(10_000)).into_boxed_str());
    let messages = vec![begin(), domain_events(), emitted(ANNOTATIONS_SET, large), event(Datum::Null, Datum::Null)];
    let record = record(&mut capture, messages);
    assert!(record.size() <= 2048);
    assert_eq!(record.emptied.last().unwrap(), "metadata.transaction_annotations");
    assert_eq!(value(&record)["record"]["event_id"], "evt_0198c0de000070008000000000000001");
}
