//! PostgreSQL's text form of a value, written as the JSON that Sequin writes for its type.
//!
//! Text that its type does not explain (`NaN`, `infinity`, a year before Christ) becomes a JSON string as it stands:
//! a strange value must never stop the stream.

mod array;
mod interval;
mod kind;
mod moment;
#[cfg(test)]
mod properties;

use std::borrow::Cow;

use serde::ser::{Error as _, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

pub use kind::{Element, Kind};
pub use moment::{Moment, PG_EPOCH_MICROS};

use crate::pgoutput::Datum;

/// A column's value together with its type.
#[derive(Debug, Clone, Copy)]
pub struct Cell<'a> {
    /// How to read the text.
    pub kind: Kind,
    /// What the log says.
    pub datum: &'a Datum,
}

/// What Sequin writes for a large value that an update did not touch.
const UNCHANGED: &str = "unchanged_toast";

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.datum {
            Datum::Null => serializer.serialize_none(),
            Datum::Unchanged => serializer.serialize_str(UNCHANGED),
            Datum::Text(bytes) => serialize(self.kind, &String::from_utf8_lossy(bytes), serializer),
            // The stream is opened without the binary option.
            Datum::Binary(_) => Err(S::Error::custom("a value came in binary form, which was not asked for")),
        }
    }
}

fn serialize<S: Serializer>(kind: Kind, text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match kind {
        Kind::One(element) => serialize_element(element, text, serializer),
        Kind::Array(element) => match array::parse(text) {
            Some(array) => Items { element, array: &array }.serialize(serializer),
            None => serializer.serialize_str(text),
        },
    }
}

fn serialize_element<S: Serializer>(element: Element, text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match element {
        Element::Text => serializer.serialize_str(text),
        Element::Bool => match text {
            "t" => serializer.serialize_bool(true),
            "f" => serializer.serialize_bool(false),
            _ => serializer.serialize_str(text),
        },
        Element::Integer => match text.parse::<i64>() {
            Ok(number) => serializer.serialize_i64(number),
            Err(_) => serializer.serialize_str(text),
        },
        Element::Float => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => serializer.serialize_f64(number),
            _ => serializer.serialize_str(text),
        },
        Element::Json => match serde_json::from_str::<&RawValue>(text) {
            Ok(json) => json.serialize(serializer),
            Err(_) => serializer.serialize_str(text),
        },
        Element::Timestamp => serializer.serialize_str(&moment::timestamp(text)),
        Element::TimestampTz => serializer.serialize_str(&moment::timestamptz(text)),
        Element::Interval => match interval::parse(text) {
            Some(interval) => interval.serialize(serializer),
            None => serializer.serialize_str(text),
        },
        Element::Vector => match vector(text) {
            Some(numbers) => numbers.serialize(serializer),
            None => serializer.serialize_str(text),
        },
    }
}

/// `[0.1,2]`, as pgvector writes it.
fn vector(text: &str) -> Option<Vec<f64>> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    inside.split(',').map(|number| number.parse().ok().filter(|number: &f64| number.is_finite())).collect()
}

struct Items<'a> {
    element: Element,
    array: &'a [array::Item<'a>],
}

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.array.len()))?;
        for item in self.array {
            match item {
                array::Item::Null => seq.serialize_element(&())?,
                array::Item::Text(text) => seq.serialize_element(&One { element: self.element, text })?,
                array::Item::Array(array) => seq.serialize_element(&Items { element: self.element, array })?,
            }
        }
        seq.end()
    }
}

struct One<'a> {
    element: Element,
    text: &'a Cow<'a, str>,
}

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_element(self.element, self.text, serializer)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn json(kind: Kind, text: &'static str) -> String {
        let datum = Datum::Text(Bytes::from_static(text.as_bytes()));
        serde_json::to_string(&Cell { kind, datum: &datum }).unwrap()
    }

    fn named(name: &str, text: &'static str) -> String {
        json(Kind::named(name), text)
    }

    #[test]
    fn each_type_has_sequins_json() {
        let cases = [
            ("bool", "t", "true"),
            ("bool", "f", "false"),
            ("int2", "-7", "-7"),
            ("int4", "42", "42"),
            ("int8", "9223372036854775807", "9223372036854775807"),
            ("oid", "4294967295", "4294967295"),
            ("float4", "1.25", "1.25"),
            ("float8", "1", "1.0"),
            ("float8", "1e+20", "1e+20"),
            ("numeric", "199.99", r#""199.99""#),
            ("money", "$1,000.00", r#""$1,000.00""#),
            ("text", "a \"b\" \\ \n é", r#""a \"b\" \\ \n é""#),
            ("varchar", "", r#""""#),
            ("uuid", "6b1e7c0e-0000-4000-8000-000000000000", r#""6b1e7c0e-0000-4000-8000-000000000000""#),
            ("bytea", "\\x00ff", r#""\\x00ff""#),
            ("jsonb", r#"{"a": [1, 2.50, null]}"#, r#"{"a": [1, 2.50, null]}"#),
            ("json", r#" "x""#, r#""x""#),
            ("timestamptz", "2026-02-18 10:00:00.1234+00", r#""2026-02-18T10:00:00.123400Z""#),
            ("timestamp", "2026-02-18 10:00:00", r#""2026-02-18T10:00:00.000000""#),
            ("date", "2026-02-18", r#""2026-02-18""#),
            ("time", "10:00:00.5", r#""10:00:00.5""#),
            ("interval", "1 mon 2 days 00:00:03", r#"{"months":1,"days":2,"microseconds":3000000}"#),
            ("inet", "10.0.0.0/8", r#""10.0.0.0/8""#),
            ("xid8", "746", r#""746""#),
            ("point", "(1,2)", r#""(1,2)""#),
            ("vector", "[0.1,2]", "[0.1,2.0]"),
            ("payment_status", "succeeded", r#""succeeded""#),
        ];
        for (name, text, expected) in cases {
            assert_eq!(named(name, text), expected, "{name} {text}");
        }
    }

    #[test]
    fn arrays_are_arrays_of_their_elements() {
        let cases = [
            ("_int4", "{1,NULL,3}", "[1,null,3]"),
            ("_int4", "{{1,2},{3,4}}", "[[1,2],[3,4]]"),
            ("_int4", "{}", "[]"),
            ("_int4", "[0:1]={1,2}", "[1,2]"),
            ("_bool", "{t,f}", "[true,false]"),
            ("_text", r#"{a,"b,c","\"d\\","NULL",""}"#, r#"["a","b,c","\"d\\","NULL",""]"#),
            ("_jsonb", r#"{"{\"x\": 1}","[2, 3]","null"}"#, r#"[{"x": 1},[2, 3],null]"#),
            ("_numeric", "{1.50}", r#"["1.50"]"#),
            ("_timestamptz", r#"{"2026-02-18 10:00:00+00"}"#, r#"["2026-02-18T10:00:00.000000Z"]"#),
            ("_mood", "{happy,sad}", r#"["happy","sad"]"#),
        ];
        for (name, text, expected) in cases {
            assert_eq!(named(name, text), expected, "{name} {text}");
        }
    }

    #[test]
    fn text_that_its_type_does_not_explain_stays_text() {
        let cases = [
            ("float8", "NaN"),
            ("float8", "-Infinity"),
            ("numeric", "NaN"),
            ("int4", "many"),
            ("bool", "maybe"),
            ("timestamptz", "infinity"),
            ("timestamptz", "0044-03-15 10:00:00+00 BC"),
            ("timestamp", "-infinity"),
            ("interval", "soon"),
            ("jsonb", "{"),
            ("_int4", "{1,2"),
            ("vector", "0.1"),
            ("vector", "[1,NaN]"),
        ];
        for (name, text) in cases {
            assert_eq!(named(name, text), serde_json::to_string(text).unwrap(), "{name} {text}");
        }
    }

    #[test]
    fn nulls_and_untouched_values_need_no_type() {
        let kind = Kind::named("jsonb");
        assert_eq!(serde_json::to_string(&Cell { kind, datum: &Datum::Null }).unwrap(), "null");
        assert_eq!(serde_json::to_string(&Cell { kind, datum: &Datum::Unchanged }).unwrap(), r#""unchanged_toast""#);
    }

    #[test]
    fn text_that_is_not_utf8_is_mended_instead_of_stopping_the_stream() {
        let datum = Datum::Text(Bytes::from_static(&[b'a', 0xff]));
        assert_eq!(serde_json::to_string(&Cell { kind: Kind::named("text"), datum: &datum }).unwrap(), "\"a\u{fffd}\"");
    }
}
