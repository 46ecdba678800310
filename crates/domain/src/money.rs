//! Amounts in minor units, and ISO 4217 currencies.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A currency of ISO 4217, from the table of the crate `iso_currency`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency(iso_currency::Currency);

/// The text names no currency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an ISO 4217 currency code like USD")]
pub struct NotACurrency {
    text: String,
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code())
    }
}

impl FromStr for Currency {
    type Err = NotACurrency;

    fn from_str(text: &str) -> Result<Self, NotACurrency> {
        iso_currency::Currency::from_code(text)
            .map(Self)
            .ok_or_else(|| NotACurrency { text: text.chars().take(20).collect() })
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A positive amount in the currency's minor unit (cents), at most 10^15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Amount(i64);

/// The amount is not one that can be paid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an amount is a whole number of minor units from 1 to {most}, not {given}", most = Amount::MOST)]
pub struct NotAnAmount {
    given: i64,
}

impl Amount {
    /// The largest amount. JSON numbers are exact up to here in every language.
    pub const MOST: i64 = 1_000_000_000_000_000;
}

impl TryFrom<i64> for Amount {
    type Error = NotAnAmount;

    fn try_from(given: i64) -> Result<Self, NotAnAmount> {
        if (1..=Self::MOST).contains(&given) { Ok(Self(given)) } else { Err(NotAnAmount { given }) }
    }
}

impl From<Amount> for i64 {
    fn from(amount: Amount) -> Self {
        amount.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_and_amounts_are_parsed_not_trusted() {
        assert_eq!("USD".parse::<Currency>().unwrap().to_string(), "USD");
        for wrong in ["usd", "US", "XYZ", "", "USDT"] {
            assert!(wrong.parse::<Currency>().is_err(), "{wrong} was taken for a currency");
        }
        for wrong in [0, -1, Amount::MOST + 1] {
            assert!(Amount::try_from(wrong).is_err(), "{wrong} was taken for an amount");
        }
    }
}
