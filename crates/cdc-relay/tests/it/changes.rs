//! What a real log becomes: Sequin's message, whatever the types.

use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::lab::{Stored, in_lab, relaying};

/// Puts a word in the place of what differs from run to run.
fn steady(mut value: Value) -> Value {
    assert!(value["metadata"]["commit_lsn"].is_u64());
    for (path, word) in [
        ("/metadata/commit_lsn", "[lsn]"),
        ("/metadata/commit_timestamp", "[time]"),
        ("/metadata/idempotency_key", "[key]"),
        ("/metadata/database_name", "[database]"),
        ("/metadata/database", "[database]"),
        ("/metadata/consumer", "[consumer]"),
        ("/record/xid", "[xid]"),
    ] {
        if let Some(place) = value.pointer_mut(path) {
            *place = word.into();
        }
    }
    value
}

fn header<'a>(record: &'a Stored, name: &str) -> Option<&'a str> {
    record.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn an_event_from_a_real_log_is_sequins_message_with_key_headers_and_time() {
    in_lab(async |lab| {
        relaying(&lab.relay(&[])).await;
        let mut connection = lab.connect().await;
        let mut transaction = connection.begin().await.unwrap();
        sqlx::raw_sql(
            r#"select pg_logical_emit_message(true, 'sequin:transaction_annotations.set', '{"who": "test"}');
               insert into domain_events values
                   ('evt_0198c0de000070008000000000000001', 'payment.succeeded', 'payment', 'pay_1', 3, 'mer_7',
                    '2026-02-18 11:00:00.5+01', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
                    '{"amount": 1000, "nested": {"list": [1, 2.50, null]}}', pg_current_xact_id())"#,
        )
        .execute(&mut *transaction)
        .await
        .unwrap();
        transaction.commit().await.unwrap();
        let records = lab.until_keys(1).await;
        let record = &records[0];
        assert_eq!(record.key.as_deref(), Some("evt_0198c0de000070008000000000000001"));
        assert_eq!(header(record, "traceparent"), record.value["record"]["traceparent"].as_str());
        assert_eq!(header(record, "idempotency-key"), record.value["metadata"]["idempotency_key"].as_str());
        assert!(record.timestamp_ms > 1_700_000_000_000);
        assert_eq!(record.value["metadata"]["database"]["database"], lab.name);
        insta::assert_json_snapshot!("event", steady(record.value.clone()));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn every_type_from_a_real_log_has_sequins_json_whatever_the_databases_settings() {
    in_lab(async |lab| {
        let name = &lab.name;
        lab.execute(&format!(
            r#"alter database {name} set datestyle = 'German';
               alter database {name} set intervalstyle = 'iso_8601';
               alter database {name} set timezone = 'Asia/Kolkata';
               alter database {name} set bytea_output = 'escape';
               alter database {name} set extra_float_digits = 0;
               create type mood as enum ('sad', 'happy');
               create domain document as jsonb;
               create table everything (
                   id bigint, part text, a_bool bool, a_int2 int2, a_int4 int4, a_int8 int8, a_float4 float4,
                   a_float8 float8, a_nan float8, a_numeric numeric, a_text text, a_char char(3), a_bytea bytea,
                   a_uuid uuid, a_date date, a_time time, a_timestamp timestamp, a_timestamptz timestamptz,
                   an_infinite timestamptz, an_interval interval, a_json json, a_jsonb jsonb, an_inet inet,
                   a_mood mood, moods mood[], a_document document, ints int[], matrix int[], texts text[],
                   stamps timestamptz[], documents jsonb[], a_range int4range, an_xid8 xid8, a_null text,
                   primary key (id, part)
               );
               alter publication everhook_events add table everything;"#
        ))
        .await;
        relaying(&lab.relay(&[])).await;
        lab.execute(
            r#"insert into everything values (
                   9007199254740993, 'é"\', true, -7, 42, -9223372036854775808, 1.1, 0.1::float8 + 0.2, 'NaN', 199.990,
                   E'tab\t"quote"', 'ab', '\x00ff', '6b1e7c0e-0000-4000-8000-000000000000', '2026-02-18', '10:00:00.5',
                   '2026-02-18 10:00:00', '2026-02-18 10:00:00.1234+00', 'infinity',
                   '1 year 2 mons -3 days 04:05:06.789', ' {"b" : 1, "b" : 2}', '{"b": 1.0}', '10.0.0.0/8', 'happy',
                   '{happy,sad}', '[1]', '{1,NULL,3}', '{{1,2},{3,4}}', array['a', 'b,c', 'NULL', null, '"'],
                   array['2026-02-18 10:00:00+00'::timestamptz], array['{"x": 1}'::jsonb, 'null'], '[1,5)', '746', null)"#,
        )
        .await;
        let records = lab.until_keys(1).await;
        assert_eq!(records[0].key.as_deref(), Some("9007199254740993:é\"\\"));
        insta::assert_json_snapshot!("every_type", steady(records[0].value.clone()));
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn updates_and_deletes_say_what_the_log_knows_of_the_row_before() {
    in_lab(async |lab| {
        lab.execute(
            "create table plain (id int, name text, large text, primary key (id));
             create table full_row (name text, large text, id int primary key);
             alter table full_row replica identity full;
             alter table plain alter column large set storage external;
             alter table full_row alter column large set storage external;
             create publication everything for table plain, full_row;",
        )
        .await;
        relaying(&lab.relay(&["--publication", "everything"])).await;
        lab.execute(
            "insert into plain values (1, 'before', repeat('x', 3000));
             insert into full_row values ('before', repeat('x', 3000), 2);
             update plain set name = 'after';
             update full_row set name = 'after';
             update plain set id = 3;
             delete from plain;
             delete from full_row;",
        )
        .await;
        let records = lab.until_changes(7).await;
        let mut changes: Vec<Value> = records
            .iter()
            .map(|record| {
                let mut value = record.value.clone();
                for place in ["/record/large", "/changes/large"] {
                    if let Some(large) =
                        value.pointer_mut(place).filter(|value| value.as_str().is_some_and(|x| x.len() > 99))
                    {
                        *large = "[large]".into();
                    }
                }
                json!({
                    "n": value["metadata"]["commit_idx"], "table": value["metadata"]["table_name"],
                    "key": record.key, "pks": value["metadata"]["record_pks"],
                    "action": value["action"], "record": value["record"], "changes": value["changes"],
                })
            })
            .collect();
        // One simple query is one transaction: the index says the order, whatever the partitions.
        changes.sort_by_key(|change| change["n"].as_u64());
        insta::assert_json_snapshot!("updates_and_deletes", changes);
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn a_column_added_in_the_stream_is_in_the_messages_after_it() {
    in_lab(async |lab| {
        lab.execute("create table growing (id int primary key); alter publication everhook_events add table growing;")
            .await;
        relaying(&lab.relay(&[])).await;
        lab.execute(
            "insert into growing values (1);
             alter table growing add column name text default 'n', add column flag bool;
             insert into growing values (2, 'x', true);
             alter table growing drop column name;
             insert into growing values (3, false);",
        )
        .await;
        let mut rows: Vec<Value> =
            lab.until_keys(3).await.into_iter().map(|record| record.value["record"].clone()).collect();
        rows.sort_by_key(|row| row["id"].as_u64());
        assert_eq!(
            rows,
            [json!({"id": 1}), json!({"id": 2, "name": "x", "flag": true}), json!({"id": 3, "flag": false})]
        );
    })
    .await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL and Kafka: scripts/run-tests.sh e2e"]
async fn what_was_rolled_back_or_is_not_published_never_arrives() {
    in_lab(async |lab| {
        lab.execute("create table secret (id int primary key); create table seen (id int primary key);").await;
        lab.execute("alter publication everhook_events add table seen").await;
        relaying(&lab.relay(&[])).await;
        lab.execute("begin; insert into seen values (1); rollback;").await;
        lab.execute(
            "begin; insert into seen values (2); savepoint s; insert into seen values (3); rollback to s; commit;",
        )
        .await;
        lab.execute("insert into secret values (4); insert into seen values (5); update seen set id = 6 where id = 5")
            .await;
        lab.execute("insert into seen values (7)").await;
        lab.until_keys(3).await;
        let mut keys: Vec<_> = lab.records().await.into_iter().filter_map(|record| record.key).collect();
        keys.sort();
        assert_eq!(keys, ["2", "5", "7"]);
    })
    .await;
}
