//! Any text of any type becomes JSON; arrays and intervals are read as PostgreSQL writes them.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn json_text(kind: Kind, text: &str) -> String {
    let datum = Datum::Text(Bytes::copy_from_slice(text.as_bytes()));
    serde_json::to_string(&Cell { kind, datum: &datum }).unwrap()
}

fn written(kind: Kind, text: &str) -> Value {
    serde_json::from_str(&json_text(kind, text)).unwrap()
}

/// As PostgreSQL writes an array of text: quotes around what would be read otherwise.
fn array_of(items: &[Option<String>]) -> String {
    let item = |item: &Option<String>| match item {
        None => "NULL".to_owned(),
        Some(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    };
    format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
}

const TYPES: [&str; 10] =
    ["bool", "int8", "float8", "jsonb", "timestamp", "timestamptz", "interval", "vector", "text", "numeric"];

proptest! {
    #[test]
    fn any_text_of_any_type_becomes_json(
        name in prop::sample::select(TYPES.to_vec()), is_array: bool,
        text in "[-+{}\\[\\]\",.:0-9a-z \\\\]{0,24}|[0-9-]{1,12} (year|mon|day)s? [0-9:.-]{1,24}|.{0,24}"
    ) {
        let kind = Kind::named(&if is_array { format!("_{name}") } else { name.to_owned() });
        let value = written(kind, &text);
        let is_as_it_stands = value.as_str() == Some(&text);
        prop_assert!(is_as_it_stands || name != "text" || is_array);
    }

    #[test]
    fn an_array_is_read_as_it_was_written(items in vec(prop::option::of(".{0,12}"), 0..6)) {
        let text = array_of(&items);
        prop_assert_eq!(written(Kind::Array(Element::Text), &text), json!(items));
        let nested = format!("{{{text},{text}}}");
        prop_assert_eq!(written(Kind::Array(Element::Text), &nested), json!([items, items]));
    }

    #[test]
    fn an_interval_is_read_as_it_was_written(
        months in -120_000..120_000_i64,
        days in -1_000_000..1_000_000_i64,
        micros in -1_000_000_000_000_000..1_000_000_000_000_000_i64
    ) {
        let (sign, clock) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
        let seconds = clock / 1_000_000;
        let text = format!(
            "{} years {} mons {days} days {sign}{:02}:{:02}:{:02}.{:06}",
            months / 12, months % 12, seconds / 3600, seconds / 60 % 60, seconds % 60, clock % 1_000_000
        );
        let expected = json!({"months": months, "days": days, "microseconds": micros});
        prop_assert_eq!(written(Kind::One(Element::Interval), &text), expected);
    }

    #[test]
    fn numbers_and_moments_are_read_as_they_were_written(
        number: i64, float: f64, micros in 0..4_000_000_000_000_000_i64
    ) {
        prop_assert_eq!(written(Kind::One(Element::Integer), &number.to_string()), json!(number));
        // Not by serde_json, which reads floats to the last digit but one.
        let read = json_text(Kind::One(Element::Float), &float.to_string()).parse();
        prop_assert_eq!(read.ok(), float.is_finite().then_some(float));
        let moment = Moment::from_unix_micros(micros).to_string();
        let postgres = moment.replace('T', " ").replace('Z', "+00");
        prop_assert_eq!(written(Kind::One(Element::TimestampTz), &postgres), json!(moment));
    }
}
