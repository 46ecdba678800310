//! The files are read as the collector writes them.

use std::path::Path;

use proptest::prelude::*;

use super::example::{Event, lines};
use super::{Spans, Value};

fn read(text: &str) -> Result<Spans, super::Error> {
    let mut spans = Spans::default();
    spans.read_from(text.as_bytes(), Path::new("spans.jsonl"))?;
    Ok(spans)
}

const LINE: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"data-service"}},
{"key":"process.pid","value":{"intValue":"7"}}]},"schemaUrl":"x","scopeSpans":[{"scope":{"name":"s","version":"1"},"spans":[
{"traceId":"4BF92F3577B34DA6A3CE929D0E0E4736","spanId":"00f067aa0ba902b7","parentSpanId":"","traceState":"","flags":257,"name":"event.route","kind":1,
"startTimeUnixNano":"1700000000000000000","endTimeUnixNano":1700000000000000001,"attributes":[
{"key":"event.id","value":{"stringValue":"evt_1"}},{"key":"a","value":{"intValue":"-3"}},{"key":"b","value":{"intValue":4}},
{"key":"c","value":{"doubleValue":0.5}},{"key":"d","value":{"boolValue":true}},{"key":"e","value":{"bytesValue":"aGk="}},{"key":"f"},
{"key":"g","value":{"arrayValue":{"values":[{"stringValue":"x"},{"intValue":"1"}]}}},
{"key":"h","value":{"kvlistValue":{"values":[{"key":"k","value":{"stringValue":"v"}}]}}}],"droppedAttributesCount":0,
"events":[{"timeUnixNano":"1","name":"exception","attributes":[{"key":"k","value":{"stringValue":"v"}}]}],
"links":[{"traceId":"0000000000000000000000000000000a","spanId":"000000000000000b","attributes":[]}],
"status":{"code":2,"message":"no"}}]}]}]}"#;

#[test]
fn all_that_we_need_of_a_line_is_read_and_what_is_unknown_is_ignored() {
    let spans = read(&format!("{}\n\n", LINE.replace('\n', ""))).unwrap();
    assert_eq!((spans.len(), spans.lines_cut_off), (1, 0));
    insta::assert_debug_snapshot!("a_span_with_everything", spans.iter().next().unwrap());
    assert_eq!(spans.of_event("evt_1").count(), 1);
    assert_eq!(spans.resources().next().unwrap().1["process.pid"], Value::Int(7));
}

/// As the crate opentelemetry-proto writes it, with which our own receiver writes: what is not there is null.
const RECEIVED: &str = include_str!("received.jsonl");

#[test]
fn what_our_own_receiver_writes_is_read() {
    let spans = read(RECEIVED).unwrap();
    assert_eq!((spans.len(), spans.lines_cut_off), (2, 0), "they say different things");
    let [first, second] = spans.iter().collect::<Vec<_>>()[..] else { panic!("two") };
    assert_eq!((first.service.as_str(), first.parent_id, first.is_error), ("data-service", None, false));
    assert_eq!((second.parent_id, second.is_error, second.message.as_str()), (Some(0x0909_0909_0909_0909), true, "no"));
    assert_eq!(first.links, [(0x0101_0101_0101_0101_0101_0101_0101_0101, 0x0202_0202_0202_0202)]);
    assert_eq!(
        (first.int("a"), &first.attributes["n"], &first.attributes["e"]),
        (Some(3), &Value::Other, &Value::Other)
    );
    let number = LINE.replace('\n', "").replace("\"doubleValue\":0.5", "\"doubleValue\":\"Infinity\"");
    assert_eq!(read(&number).unwrap().iter().next().unwrap().attributes["c"], Value::Double(f64::INFINITY));
}

#[test]
fn a_last_line_that_is_cut_off_is_counted_and_any_other_broken_line_is_an_error_that_names_it() {
    let whole = lines(&Event::new(1).to(&[(6_000, "delivered", Some(200))]).spans(0));
    let spans = read(&format!("{whole}{}", &whole[..50])).unwrap();
    assert_eq!((spans.len(), spans.lines_cut_off), (11, 1));
    let broken = read(&format!("{whole}{}\n{whole}", &whole[..50])).unwrap_err();
    assert_eq!(broken.to_string(), "line 12 of spans.jsonl holds no spans in OTLP/JSON");
    assert!(read("{\"resourceMetrics\":[]}\n").is_err(), "metrics were taken for spans");
    assert!(Spans::read(["/nowhere/spans.jsonl"]).unwrap_err().to_string().contains("/nowhere/spans.jsonl"));
}

#[test]
fn a_span_that_is_sent_twice_is_one_and_one_that_says_something_else_is_another() {
    let made = Event::new(1).to(&[(6_000, "delivered", Some(200))]).spans(0);
    let mut other = made.clone();
    other[0].to_us += 1;
    let spans = read(&format!("{}{}", lines(&made), lines(&other))).unwrap();
    assert_eq!(spans.len(), made.len() + 1);
    assert_eq!(spans.with_id(made[0].trace, made[0].id).count(), 2);
}

proptest! {
    #[test]
    fn whatever_is_cut_from_the_end_what_is_left_is_read(cut in 0..2_000_usize) {
        let made = Event::new(1).to(&[(6_000, "delivered", Some(200))]).spans(0);
        let text = lines(&made);
        let left = &text[..text.len() - cut.min(text.len())];
        let spans = read(left).unwrap();
        let whole = left.matches('\n').count();
        prop_assert!(spans.len() == whole || (spans.len() == whole + 1 && spans.lines_cut_off == 0));
        prop_assert!(spans.lines_cut_off <= 1);
    }

    #[test]
    fn no_line_makes_the_reader_panic(line in "(\\{\"resourceSpans\":\\[)?.{0,80}\n?") {
        let _ = read(&line);
    }
}
