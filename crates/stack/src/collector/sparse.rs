//! Spans as OTLP/JSON without what is empty, as the OpenTelemetry collector's file exporter leaves it out: the fields' own
//! serialization writes a fifth more. Resources and scopes keep theirs: there is one of each for many spans.

use std::fmt::{self, Display};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A message, to be written so.
pub struct Sparse<'a, T>(pub &'a T);

impl Serialize for Sparse<'_, ExportTraceServiceRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("resourceSpans", &Each(&self.0.resource_spans))?;
        fields.end()
    }
}

impl Serialize for Sparse<'_, ResourceSpans> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.some("resource", &self.0.resource)?;
        fields.each("scopeSpans", &self.0.scope_spans)?;
        fields.set("schemaUrl", &self.0.schema_url)?;
        fields.end()
    }
}

impl Serialize for Sparse<'_, ScopeSpans> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.some("scope", &self.0.scope)?;
        fields.each("spans", &self.0.spans)?;
        fields.set("schemaUrl", &self.0.schema_url)?;
        fields.end()
    }
}

impl Serialize for Sparse<'_, Span> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.0;
        let mut fields = serializer.serialize_map(None)?;
        fields.id("traceId", &span.trace_id)?;
        fields.id("spanId", &span.span_id)?;
        fields.set("traceState", &span.trace_state)?;
        fields.id("parentSpanId", &span.parent_span_id)?;
        fields.set("flags", &span.flags)?;
        fields.set("name", &span.name)?;
        fields.set("kind", &span.kind)?;
        fields.long("startTimeUnixNano", span.start_time_unix_nano)?;
        fields.long("endTimeUnixNano", span.end_time_unix_nano)?;
        fields.set("attributes", &span.attributes)?;
        fields.set("droppedAttributesCount", &span.dropped_attributes_count)?;
        fields.each("events", &span.events)?;
        fields.set("droppedEventsCount", &span.dropped_events_count)?;
        fields.each("links", &span.links)?;
        fields.set("droppedLinksCount", &span.dropped_links_count)?;
        if let Some(status) = &span.status {
            fields.serialize_entry("status", &Sparse(status))?;
        }
        fields.end()
    }
}

impl Serialize for Sparse<'_, Event> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.long("timeUnixNano", self.0.time_unix_nano)?;
        fields.set("name", &self.0.name)?;
        fields.set("attributes", &self.0.attributes)?;
        fields.set("droppedAttributesCount", &self.0.dropped_attributes_count)?;
        fields.end()
    }
}

impl Serialize for Sparse<'_, Link> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.id("traceId", &self.0.trace_id)?;
        fields.id("spanId", &self.0.span_id)?;
        fields.set("traceState", &self.0.trace_state)?;
        fields.set("attributes", &self.0.attributes)?;
        fields.set("droppedAttributesCount", &self.0.dropped_attributes_count)?;
        fields.set("flags", &self.0.flags)?;
        fields.end()
    }
}

impl Serialize for Sparse<'_, Status> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.set("message", &self.0.message)?;
        fields.set("code", &self.0.code)?;
        fields.end()
    }
}

/// All of them.
struct Each<'a, T>(&'a [T]);

impl<'a, T> Serialize for Each<'a, T>
where
    Sparse<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Sparse))
    }
}

/// Ids are hexadecimal here, not base64.
struct Hex<'a>(&'a [u8]);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A trace's id and a span's, in one go; of another length, nobody knows what it is.
        if let Ok(id) = self.0.try_into() {
            return write!(f, "{:032x}", u128::from_be_bytes(id));
        }
        if let Ok(id) = self.0.try_into() {
            return write!(f, "{:016x}", u64::from_be_bytes(id));
        }
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

struct Shown<T>(T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A field, unless it is empty.
trait Fields: SerializeMap {
    fn set<T: Serialize + Default + PartialEq>(&mut self, name: &'static str, value: &T) -> Result<(), Self::Error> {
        if *value == T::default() { Ok(()) } else { self.serialize_entry(name, value) }
    }

    fn some(&mut self, name: &'static str, value: &Option<impl Serialize>) -> Result<(), Self::Error> {
        value.as_ref().map_or(Ok(()), |value| self.serialize_entry(name, value))
    }

    fn each<'a, T>(&mut self, name: &'static str, all: &'a [T]) -> Result<(), Self::Error>
    where
        Sparse<'a, T>: Serialize,
    {
        if all.is_empty() { Ok(()) } else { self.serialize_entry(name, &Each(all)) }
    }

    fn id(&mut self, name: &'static str, id: &[u8]) -> Result<(), Self::Error> {
        if id.is_empty() { Ok(()) } else { self.serialize_entry(name, &Shown(Hex(id))) }
    }

    /// 64 bits are a text in JSON.
    fn long(&mut self, name: &'static str, value: u64) -> Result<(), Self::Error> {
        if value == 0 { Ok(()) } else { self.serialize_entry(name, &Shown(value)) }
    }
}

impl<M: SerializeMap> Fields for M {}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
    use opentelemetry_proto::tonic::resource::v1::Resource;

    use super::*;

    fn attribute(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), key_strindex: 0 }
    }

    /// Every field has a value of its own.
    fn full() -> ExportTraceServiceRequest {
        let attributes = vec![attribute("event.id", Value::StringValue("evt_7".to_owned()))];
        let span = Span {
            trace_id: (1..=16).collect(),
            span_id: (17..=24).collect(),
            trace_state: "a=b".to_owned(),
            parent_span_id: vec![0, 0, 0, 0, 0, 0, 0, 9],
            flags: 257,
            name: "webhook.post".to_owned(),
            kind: 3,
            start_time_unix_nano: u64::MAX - 1,
            end_time_unix_nano: u64::MAX,
            attributes: vec![
                attribute("delivery.attempt", Value::IntValue(2)),
                attribute("ok", Value::BoolValue(true)),
            ],
            dropped_attributes_count: 1,
            events: vec![Event {
                time_unix_nano: 5,
                name: "suspended".to_owned(),
                attributes: attributes.clone(),
                dropped_attributes_count: 2,
            }],
            dropped_events_count: 3,
            links: vec![Link {
                trace_id: vec![255; 16],
                span_id: vec![254; 8],
                trace_state: "c=d".to_owned(),
                attributes: attributes.clone(),
                dropped_attributes_count: 4,
                flags: 769,
            }],
            dropped_links_count: 5,
            status: Some(Status { message: "timeout".to_owned(), code: 2 }),
        };
        let scope = InstrumentationScope { name: "everhook".to_owned(), ..Default::default() };
        let resource = Resource { attributes, ..Default::default() };
        let spans =
            ScopeSpans { scope: Some(scope), spans: vec![span, Span::default()], schema_url: "https://s".to_owned() };
        ExportTraceServiceRequest {
            resource_spans: vec![
                ResourceSpans {
                    resource: Some(resource),
                    scope_spans: vec![spans, ScopeSpans::default()],
                    schema_url: "https://r".to_owned(),
                },
                ResourceSpans::default(),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same_and_a_span_has_nothing_empty() {
        let json = serde_json::to_string(&Sparse(&full())).unwrap();
        assert_eq!(serde_json::from_str::<ExportTraceServiceRequest>(&json).unwrap(), full());
        insta::assert_snapshot!(json);
    }

    #[test]
    fn an_id_of_another_length_stays_what_it_is() {
        for (id, text) in
            [(&[][..], ""), (&[7, 255], "07ff"), (&[0; 8], "0000000000000000"), (&[1; 17], &"01".repeat(17))]
        {
            assert_eq!(Hex(id).to_string(), text);
        }
    }
}
