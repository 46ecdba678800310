//! An endpoint's own headers: which names may be set, and which values are not shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What stands for a value that is not shown.
pub(crate) const MASK: &str = "***";

/// The most headers of an endpoint.
pub(crate) const MOST: usize = 20;

const MOST_NAME: usize = 100;
const MOST_VALUE: usize = 2_000;

/// Ours, and those that say how the request is carried.
const RESERVED: [&str; 14] = [
    "accept-encoding",
    "connection",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];
const RESERVED_PREFIXES: [&str; 3] = ["webhook-", "content-", "proxy-"];

/// A header whose name has one of these in it is taken for a secret.
const SENSITIVE: [&str; 8] = ["auth", "cookie", "credential", "key", "passw", "secret", "signature", "token"];

/// New values by name; none takes a header away. It has no `Debug`: values may be secrets.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Option<String>>")]
pub(crate) struct HeaderChange(BTreeMap<String, Option<String>>);

/// The headers can't be set.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotHeaders {
    #[error("{0:?} is no header name: write 1 to {MOST_NAME} letters, digits and hyphens")]
    Name(String),
    #[error("the header {0} is set by us; leave it out")]
    Reserved(String),
    #[error("the header {0} is given twice")]
    Twice(String),
    #[error("the value of {0} is not 1 to {MOST_VALUE} visible ASCII characters, with spaces only between them")]
    Value(String),
    #[error("{MASK} stands for the value of {0}, which is not shown; leave the header out to keep it")]
    Mask(String),
    #[error("an endpoint has at most {MOST} headers of its own")]
    TooMany,
}

impl TryFrom<BTreeMap<String, Option<String>>> for HeaderChange {
    type Error = NotHeaders;

    fn try_from(given: BTreeMap<String, Option<String>>) -> Result<Self, NotHeaders> {
        let mut change = BTreeMap::new();
        for (given_name, value) in given {
            let name = name(&given_name)?;
            if let Some(value) = &value {
                check_value(&name, value)?;
            }
            if change.insert(name.clone(), value).is_some() {
                return Err(NotHeaders::Twice(name));
            }
        }
        if change.values().flatten().count() > MOST { Err(NotHeaders::TooMany) } else { Ok(Self(change)) }
    }
}

impl HeaderChange {
    /// Whether it changes anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names and new values.
    pub(crate) fn as_map(&self) -> &BTreeMap<String, Option<String>> {
        &self.0
    }

    /// What is to be shown after the change.
    pub(crate) fn shown_after(
        &self,
        mut shown: BTreeMap<String, Option<String>>,
    ) -> Result<BTreeMap<String, Option<String>>, NotHeaders> {
        for (name, value) in &self.0 {
            match value {
                None => shown.remove(name),
                Some(_) if is_sensitive(name) => shown.insert(name.clone(), None),
                Some(value) => shown.insert(name.clone(), Some(value.clone())),
            };
        }
        if shown.len() > MOST { Err(NotHeaders::TooMany) } else { Ok(shown) }
    }
}

/// With the mask where a value is not shown.
pub(crate) fn masked(shown: BTreeMap<String, Option<String>>) -> BTreeMap<String, String> {
    shown.into_iter().map(|(name, value)| (name, value.unwrap_or_else(|| MASK.to_owned()))).collect()
}

fn name(given: &str) -> Result<String, NotHeaders> {
    let is_name = (1..=MOST_NAME).contains(&given.len())
        && given.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if !is_name {
        return Err(NotHeaders::Name(given.chars().take(MOST_NAME).collect()));
    }
    let name = given.to_ascii_lowercase();
    if RESERVED.contains(&name.as_str()) || RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return Err(NotHeaders::Reserved(name));
    }
    Ok(name)
}

fn check_value(name: &str, value: &str) -> Result<(), NotHeaders> {
    let is_value = (1..=MOST_VALUE).contains(&value.len())
        && value.bytes().all(|b| matches!(b, b' '..=b'~'))
        && value.trim() == value;
    match value {
        MASK => Err(NotHeaders::Mask(name.to_owned())),
        _ if !is_value => Err(NotHeaders::Value(name.to_owned())),
        _ => Ok(()),
    }
}

/// Whether a header of this name, in lower case, is taken for a secret.
pub(crate) fn is_sensitive(name: &str) -> bool {
    SENSITIVE.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(given: &[(&str, Option<&str>)]) -> Result<HeaderChange, NotHeaders> {
        let owned = |(name, value): &(&str, Option<&str>)| ((*name).to_owned(), value.map(str::to_owned));
        HeaderChange::try_from(given.iter().map(owned).collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn ours_and_those_of_the_transport_can_t_be_set() {
        for name in [
            "Webhook-Id",
            "webhook-anything",
            "Content-Type",
            "content-length",
            "HOST",
            "Transfer-Encoding",
            "TE",
            "Proxy-Authorization",
            "traceparent",
            "User-Agent",
            "connection",
        ] {
            assert!(matches!(change(&[(name, Some("x"))]), Err(NotHeaders::Reserved(_))), "{name}");
            assert!(change(&[(name, None)]).is_err(), "{name}");
        }
        for name in ["", "a b", "a:b", "a\r\nb", "ä", &"x".repeat(101)] {
            assert!(matches!(change(&[(name, Some("x"))]), Err(NotHeaders::Name(_))), "{name:?}");
        }
        for value in ["", " x", "x ", "a\nb", "a\r\nHost: b", "ä", "a\u{0}", "\t", &"x".repeat(2_001)] {
            assert!(matches!(change(&[("x-a", Some(value))]), Err(NotHeaders::Value(_))), "{value:?}");
        }
        assert!(matches!(change(&[("x-a", Some("1")), ("X-A", Some("2"))]), Err(NotHeaders::Twice(_))));
        assert!(matches!(change(&[("x-key", Some("***"))]), Err(NotHeaders::Mask(_))));
    }

    #[test]
    fn a_value_that_may_be_a_secret_is_not_shown() {
        for name in
            ["Authorization", "X-Api-Key", "x-auth-token", "client_secret", "Cookie", "x-password", "x-signature"]
        {
            let shown = change(&[(name, Some("hush"))]).unwrap().shown_after(BTreeMap::new()).unwrap();
            assert_eq!(masked(shown).into_values().collect::<Vec<_>>(), [MASK], "{name}");
        }
        let shown = change(&[("X-Team", Some("orders")), ("x-old", None)]).unwrap();
        let before = BTreeMap::from([("x-old".to_owned(), Some("1".to_owned())), ("x-key".to_owned(), None)]);
        let after = masked(shown.shown_after(before).unwrap());
        assert_eq!(
            after.into_iter().collect::<Vec<_>>(),
            [("x-key".into(), MASK.into()), ("x-team".into(), "orders".into())]
        );
    }

    #[test]
    fn there_are_twenty_at_most() {
        let many = |range: std::ops::Range<usize>| {
            HeaderChange::try_from(range.map(|n| (format!("x-{n}"), Some("1".to_owned()))).collect::<BTreeMap<_, _>>())
        };
        assert!(matches!(many(0..21), Err(NotHeaders::TooMany)));
        let shown = many(0..20).unwrap().shown_after(BTreeMap::new()).unwrap();
        assert!(many(5..20).unwrap().shown_after(shown.clone()).is_ok());
        assert!(matches!(many(20..21).unwrap().shown_after(shown), Err(NotHeaders::TooMany)));
    }

    proptest! {
        #[test]
        fn what_is_taken_can_be_sent_and_no_secret_is_shown(
            given in prop::collection::btree_map(
                "[a-zA-Z0-9_-]{0,12}|.{0,6}", prop::option::of("[ -~]{0,20}|.{0,6}"), 0..24
            )
        ) {
            if let Ok(change) = HeaderChange::try_from(given) {
                for (name, value) in change.as_map() {
                    let sent: axum::http::HeaderName = name.parse().unwrap();
                    prop_assert_eq!(sent.as_str(), name);
                    let value = value.as_deref().unwrap_or("x");
                    prop_assert!(axum::http::HeaderValue::from_str(value).is_ok_and(|sent| sent == value));
                }
                let shown = change.shown_after(BTreeMap::new()).unwrap();
                prop_assert!(shown.iter().all(|(name, value)| value.is_none() || !is_sensitive(name)));
            }
        }
    }
}
