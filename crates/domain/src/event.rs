//! Event types, and the filters of endpoints.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What happened, as dotted lower-case words: `payment.succeeded`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventType(String);

/// Which event types an endpoint wants: an exact type, `payment.*` for all below, or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventFilter(String);

/// The text is no event type or filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}")]
pub struct NotAnEventType {
    text: String,
    wanted: &'static str,
}

impl EventType {
    /// The dotted words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EventFilter {
    /// The text as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an event of this type is wanted.
    #[must_use]
    pub fn matches(&self, event_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => event_type.starts_with(prefix),
            None => self.0 == event_type,
        }
    }
}

fn is_dotted(text: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    text.len() <= 128 && text.split('.').all(word)
}

impl TryFrom<String> for EventType {
    type Error = NotAnEventType;

    fn try_from(text: String) -> Result<Self, NotAnEventType> {
        if is_dotted(&text) {
            Ok(Self(text))
        } else {
            Err(NotAnEventType { text, wanted: "an event type like payment.succeeded" })
        }
    }
}

impl TryFrom<String> for EventFilter {
    type Error = NotAnEventType;

    fn try_from(text: String) -> Result<Self, NotAnEventType> {
        if text == "*" || is_dotted(text.strip_suffix(".*").unwrap_or(&text)) {
            Ok(Self(text))
        } else {
            Err(NotAnEventType { text, wanted: "an event type like payment.succeeded, or payment.*, or *" })
        }
    }
}

impl FromStr for EventFilter {
    type Err = NotAnEventType;

    fn from_str(text: &str) -> Result<Self, NotAnEventType> {
        Self::try_from(text.to_owned())
    }
}

impl From<EventType> for String {
    fn from(event_type: EventType) -> Self {
        event_type.0
    }
}

impl From<EventFilter> for String {
    fn from(filter: EventFilter) -> Self {
        filter.0
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_matches_itself_or_everything_below_its_dot() {
        let matches = |filter: &str, event: &str| filter.parse::<EventFilter>().unwrap().matches(event);
        assert!(matches("*", "payment.created"));
        assert!(matches("payment.*", "payment.created"));
        assert!(matches("payment.created", "payment.created"));
        assert!(!matches("payment.*", "payments.created"));
        assert!(!matches("payment.created", "payment.created.late"));
        for wrong in ["", "pay*", "Payment.created", "payment..x", ".*", "payment.*.x", "**"] {
            assert!(wrong.parse::<EventFilter>().is_err(), "{wrong} was taken for a filter");
        }
    }
}
