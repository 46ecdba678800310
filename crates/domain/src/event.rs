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
    use proptest::prelude::*;

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

    /// Word by word, as it is documented.
    fn wants(filter: &str, event_type: &str) -> bool {
        let (filter, event_type): (Vec<_>, Vec<_>) = (filter.split('.').collect(), event_type.split('.').collect());
        match filter.split_last() {
            Some((&"*", before)) => event_type.len() > before.len() && event_type.starts_with(before),
            _ => filter == event_type,
        }
    }

    proptest! {
        #[test]
        fn filters_match_as_they_do_word_by_word(
            filter in "(a|b|ab|_)(\\.(a|b|ab|0)){0,3}(\\.\\*)?|\\*", event_type in "(a|b|ab|_)(\\.(a|b|ab|0)){0,3}"
        ) {
            let read: EventFilter = filter.parse().unwrap();
            prop_assert_eq!(read.matches(&event_type), wants(&filter, &event_type));
            prop_assert_eq!(read.as_str(), filter);
        }

        #[test]
        fn other_texts_are_no_filters(text in "[ab.*A-]{0,8}|.{0,20}") {
            let words: Vec<&str> = text.split('.').collect();
            let is_word = |word: &&str| {
                !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            };
            let (last, before) = words.split_last().unwrap();
            let is_filter = before.iter().all(is_word) && (is_word(last) || *last == "*");
            prop_assert_eq!(text.parse::<EventFilter>().is_ok(), is_filter);
            prop_assert_eq!(EventType::try_from(text.clone()).is_ok(), is_filter && *last != "*");
        }
    }
}
