//! One line of a file: an `ExportTraceServiceRequest` in OTLP/JSON. What we don't need is not read.
//!
//! What is not there may be left out, or null.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer};

use super::{Span, Spans, Value};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    // Without it, the line is about something else: metrics, logs.
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    #[serde(default, deserialize_with = "or_default")]
    resource: Resource,
    #[serde(default, deserialize_with = "or_default")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Default, Deserialize)]
struct Resource {
    #[serde(default, deserialize_with = "or_default")]
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
struct ScopeSpans {
    #[serde(default, deserialize_with = "or_default")]
    spans: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    trace_id: Hex<32>,
    span_id: Hex<16>,
    #[serde(default, deserialize_with = "or_default")]
    parent_span_id: String,
    name: String,
    #[serde(deserialize_with = "number")]
    start_time_unix_nano: u64,
    #[serde(deserialize_with = "number")]
    end_time_unix_nano: u64,
    #[serde(default, deserialize_with = "or_default")]
    attributes: Vec<Attribute>,
    #[serde(default, deserialize_with = "or_default")]
    events: Vec<Event>,
    #[serde(default, deserialize_with = "or_default")]
    links: Vec<Link>,
    #[serde(default, deserialize_with = "or_default")]
    status: Status,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    #[serde(default, deserialize_with = "or_default")]
    trace_id: String,
    #[serde(default, deserialize_with = "or_default")]
    span_id: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default, deserialize_with = "or_default")]
    code: i64,
    #[serde(default, deserialize_with = "or_default")]
    message: String,
}

#[derive(Deserialize)]
struct Attribute {
    key: String,
    #[serde(default, deserialize_with = "or_default")]
    value: AnyValue,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AnyValue {
    string_value: Option<String>,
    bool_value: Option<bool>,
    #[serde(deserialize_with = "maybe_number")]
    int_value: Option<i64>,
    #[serde(deserialize_with = "maybe_number")]
    double_value: Option<f64>,
    array_value: Option<ArrayValue>,
    kvlist_value: Option<KeyValues>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ArrayValue {
    #[serde(deserialize_with = "or_default")]
    values: Vec<AnyValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyValues {
    #[serde(deserialize_with = "or_default")]
    values: Vec<Attribute>,
}

/// An id of so many hex digits that is not zero.
struct Hex<const DIGITS: usize>(u128);

impl<'de, const DIGITS: usize> Deserialize<'de> for Hex<DIGITS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        hex(&text, DIGITS)
            .map(Self)
            .ok_or_else(|| D::Error::invalid_value(Unexpected::Str(&text), &"an id in hex digits"))
    }
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten().filter(|id| *id != 0)
}

/// 64 bits are written as a text, and by some as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number<T> {
    Number(T),
    Text(String),
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match Number::deserialize(deserializer)? {
        Number::Number(number) => Ok(number),
        Number::Text(text) => text.parse().map_err(D::Error::custom),
    }
}

fn maybe_number<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + FromStr<Err: fmt::Display>,
{
    match Option::deserialize(deserializer)? {
        None => Ok(None),
        Some(Number::Number(number)) => Ok(Some(number)),
        Some(Number::Text(text)) => text.parse().map(Some).map_err(D::Error::custom),
    }
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl From<AnyValue> for Value {
    fn from(value: AnyValue) -> Self {
        match value {
            AnyValue { string_value: Some(text), .. } => Self::Text(text),
            AnyValue { int_value: Some(number), .. } => Self::Int(number),
            AnyValue { bool_value: Some(yes), .. } => Self::Bool(yes),
            AnyValue { double_value: Some(number), .. } => Self::Double(number),
            AnyValue { array_value: Some(list), .. } => Self::List(list.values.into_iter().map(Self::from).collect()),
            AnyValue { kvlist_value: Some(map), .. } => {
                Self::Map(map.values.into_iter().map(|one| (one.key, one.value.into())).collect())
            }
            _ => Self::Other,
        }
    }
}

fn attributes(written: Vec<Attribute>) -> BTreeMap<String, Value> {
    written.into_iter().map(|one| (one.key, one.value.into())).collect()
}

impl Request {
    /// Takes in the spans, each with its service, and what is said of the services.
    pub(super) fn add_to(self, spans: &mut Spans) {
        for of_resource in self.resource_spans {
            let resource = attributes(of_resource.resource.attributes);
            let service = match resource.get("service.name") {
                Some(Value::Text(service)) => service.clone(),
                _ => String::new(),
            };
            for written in of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans) {
                spans.add(written.span(&service));
            }
            spans.add_resource(service, resource);
        }
    }
}

impl Written {
    fn span(self, service: &str) -> Span {
        let span_id = |id: u128| u64::try_from(id).unwrap_or(u64::MAX);
        Span {
            trace_id: self.trace_id.0,
            span_id: span_id(self.span_id.0),
            parent_id: hex(&self.parent_span_id, 16).map(span_id),
            name: self.name,
            service: service.to_owned(),
            from_ns: self.start_time_unix_nano,
            to_ns: self.end_time_unix_nano,
            attributes: attributes(self.attributes),
            events: self.events.into_iter().map(|event| (event.name, attributes(event.attributes))).collect(),
            // One that names no span is no link.
            links: self
                .links
                .iter()
                .filter_map(|link| Some((hex(&link.trace_id, 32)?, span_id(hex(&link.span_id, 16)?))))
                .collect(),
            is_error: self.status.code == 2,
            message: self.status.message,
        }
    }
}
