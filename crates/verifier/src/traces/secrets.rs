//! What no span may say: signatures, secrets, tokens, keys, bodies, and URLs with more than a path.

use serde::Serialize;
use serde_json::Value as Json;
use url::Url;

use crate::spans::{Span, Spans, Value};

/// A place where something secret is said. What, is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leak {
    /// `service.name`.
    pub service: String,
    /// The span's name; none if it is the name itself that is secret, or the service says it of itself.
    pub name: Option<String>,
    /// As 32 hex digits.
    pub trace_id: Option<String>,
    /// As 16 hex digits.
    pub span_id: Option<String>,
    /// `attribute …`, `name`, `status message`.
    pub place: String,
    /// Of which kind it is.
    pub what: &'static str,
}

/// All of them.
pub(super) fn leaks(spans: &Spans) -> Vec<Leak> {
    let of_spans = spans.iter().flat_map(of_span);
    let of_services = spans.resources().flat_map(|(service, attributes)| {
        in_attributes(attributes, "attribute of the service").map(|(place, what)| Leak {
            service: service.clone(),
            name: None,
            trace_id: None,
            span_id: None,
            place,
            what,
        })
    });
    of_spans.chain(of_services).collect()
}

fn of_span(span: &Span) -> impl Iterator<Item = Leak> {
    let texts = [("name".to_owned(), &span.name), ("status message".to_owned(), &span.message)];
    let texts = texts.into_iter().filter_map(|(place, text)| Some((place, secret(text)?)));
    let events = span.events.iter().flat_map(|(name, attributes)| {
        let of_name = secret(name).map(|what| ("name of an event".to_owned(), what));
        of_name.into_iter().chain(in_attributes(attributes, "attribute of an event,"))
    });
    texts.chain(in_attributes(&span.attributes, "attribute")).chain(events).map(|(place, what)| Leak {
        service: span.service.clone(),
        name: secret(&span.name).is_none().then(|| span.name.clone()),
        trace_id: Some(format!("{:032x}", span.trace_id)),
        span_id: Some(format!("{:016x}", span.span_id)),
        place,
        what,
    })
}

fn in_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a String, &'a Value)>,
    place: &'a str,
) -> impl Iterator<Item = (String, &'static str)> {
    attributes.into_iter().filter_map(move |(key, value)| {
        let what = by_key(key, value).or_else(|| in_value(value))?;
        Some((format!("{place} {key}"), what))
    })
}

/// Headers that are secret whatever they say, and the query of a URL.
fn by_key(key: &str, value: &Value) -> Option<&'static str> {
    let is_empty = matches!(value, Value::Text(text) if text.is_empty());
    let header = key.rsplit('.').next().unwrap_or(key);
    match header {
        "authorization" | "proxy-authorization" | "cookie" | "set-cookie" => Some("a header that is secret"),
        "query" if key == "url.query" && !is_empty => Some("the query of a URL"),
        _ => None,
    }
}

fn in_value(value: &Value) -> Option<&'static str> {
    match value {
        Value::Text(text) => secret(text),
        Value::List(values) => values.iter().find_map(in_value),
        Value::Map(values) => values.iter().find_map(|(key, value)| by_key(key, value).or_else(|| in_value(value))),
        Value::Int(_) | Value::Double(_) | Value::Bool(_) | Value::Other => None,
    }
}

/// Shorter is no signature: one has 44 characters, or 88.
const SHORTEST_SIGNATURE: usize = 20;
/// Shorter is a word, as in "no bearer token".
const SHORTEST_TOKEN: usize = 16;

/// What of it is secret.
fn secret(text: &str) -> Option<&'static str> {
    if text.contains("whsec_") || text.contains("whsk_") {
        return Some("a signing secret");
    }
    if ["v1,", "v1a,"].iter().any(|version| follows(text, version, SHORTEST_SIGNATURE)) {
        return Some("a signature");
    }
    if text.contains("Bearer ") || follows(&text.to_ascii_lowercase(), "bearer ", SHORTEST_TOKEN) {
        return Some("a token");
    }
    if text.contains("-----BEGIN ") {
        return Some("a key");
    }
    let trimmed = text.trim();
    if trimmed.starts_with('{') && serde_json::from_str::<Json>(trimmed).is_ok_and(|json| json.is_object()) {
        return Some("a JSON body");
    }
    has_telling_url(text).then_some("a URL with a query or a user")
}

/// Whether so many characters of base64 come after `before`.
fn follows(text: &str, before: &str, at_least: usize) -> bool {
    text.match_indices(before).any(|(at, _)| {
        let rest = &text[at + before.len()..];
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_.~".contains(byte);
        rest.bytes().take_while(is_base64).count() >= at_least
    })
}

/// A URL within the text, or a path alone, with a query; or a URL with a user.
fn has_telling_url(text: &str) -> bool {
    let is_end = |c: char| c.is_whitespace() || "\"'<>()`,;".contains(c);
    if text.starts_with('/') && text.split(is_end).next().is_some_and(|path| path.contains('?')) {
        return true;
    }
    text.match_indices("://").any(|(at, _)| {
        let scheme =
            text[..at].bytes().rev().take_while(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(byte)).count();
        let url = text[at - scheme..].split(is_end).next().unwrap_or_default();
        match Url::parse(url) {
            Ok(url) => url.query().is_some() || !url.username().is_empty() || url.password().is_some(),
            // What is no URL may have been meant as one.
            Err(_) => url.contains(['?', '@']),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_secret_is_known_wherever_it_stands() {
        for (text, what) in [
            ("v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=", "a signature"),
            (
                "sent v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
                "a signature",
            ),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a signing secret"),
            ("the key whsk_x", "a signing secret"),
            ("Bearer x", "a token"),
            ("authorization: bearer 0123456789abcdef", "a token"),
            ("-----BEGIN PRIVATE KEY-----\nMC4CAQ", "a key"),
            (" {\"type\": \"payment.created\"}", "a JSON body"),
            ("https://example.com/hook?token=1", "a URL with a query or a user"),
            ("can't reach postgres://api:pw@db/everhook, gave up", "a URL with a query or a user"),
            ("https://me@example.com/", "a URL with a query or a user"),
            ("/webhooks?key=1", "a URL with a query or a user"),
        ] {
            assert_eq!(secret(text), Some(what), "{text}");
        }
    }

    #[test]
    fn what_spans_may_say_is_no_secret() {
        for text in [
            "",
            "payments.create",
            "http://127.0.0.1:9080/",
            "/payments/{payment_id}",
            "{payment_id}",
            "v1,",
            "v1, v2",
            "evt_019a0b1c2d3e7f00a1b2c3d4e5f60718",
            "no bearer token",
            "insert payments",
            "what is this?",
            "[1]",
            "connect_refused",
            "urn://",
            "Delivery/event",
            "2026-11-26T12:00:00.000000Z",
        ] {
            assert_eq!(secret(text), None, "{text}");
        }
    }

    #[test]
    fn a_secret_within_a_list_or_under_a_telling_key_is_found() {
        let list =
            Value::List(vec![Value::Int(1), Value::Map(vec![("k".to_owned(), Value::Text("whsk_".to_owned()))])]);
        assert_eq!(in_value(&list), Some("a signing secret"));
        let any = Value::Text("x".to_owned());
        assert_eq!(by_key("http.request.header.authorization", &any), Some("a header that is secret"));
        assert_eq!(by_key("url.query", &any), Some("the query of a URL"));
        assert_eq!(by_key("url.query", &Value::Text(String::new())), None);
        assert_eq!(by_key("db.query.summary", &any), None);
    }
}
