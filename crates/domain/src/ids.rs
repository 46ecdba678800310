//! Ids: a prefix that says what the thing is, and a UUIDv7 as 32 hex digits, so that they sort by time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// The text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id like {prefix}019a0b1c2d3e7f00a1b2c3d4e5f60718")]
pub struct NotAnId {
    text: String,
    prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What every id of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The id with this UUID inside.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID inside.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                parse($prefix, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )* };
}

ids! {
    /// A merchant.
    MerchantId = "mer_";
    /// A payment.
    PaymentId = "pay_";
    /// An event: one committed change. It is the `webhook-id` too.
    EventId = "evt_";
    /// An endpoint of a merchant.
    EndpointId = "ep_";
    /// A delivery: one event for one endpoint.
    DeliveryId = "dlv_";
    /// An attempt: one POST.
    AttemptId = "att_";
    /// A signing secret of an endpoint.
    SecretId = "sec_";
    /// A job: something that was asked for of many deliveries.
    JobId = "job_";
    /// A record that named no event and was parked.
    ParkedId = "prk_";
}

/// Upper-case digits and hyphens are refused: each id has one spelling, so that it can be compared as text.
fn parse(prefix: &'static str, text: &str) -> Result<Uuid, NotAnId> {
    let not_an_id = || NotAnId { text: text.chars().take(80).collect(), prefix };
    let digits = text.strip_prefix(prefix).ok_or_else(not_an_id)?;
    let plain = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if plain { Uuid::try_parse(digits).map_err(|_| not_an_id()) } else { Err(not_an_id()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let text = "evt_019a0b1c2d3e7f00a1b2c3d4e5f60718";
        assert_eq!(text.parse::<EventId>().unwrap().to_string(), text);
        for wrong in [
            "pay_019a0b1c2d3e7f00a1b2c3d4e5f60718",
            "evt_019A0B1C2D3E7F00A1B2C3D4E5F60718",
            "evt_019a0b1c-2d3e-7f00-a1b2-c3d4e5f60718",
            "evt_019a0b1c2d3e7f00a1b2c3d4e5f6071",
            "evt_",
            "",
        ] {
            assert!(wrong.parse::<EventId>().is_err(), "{wrong} was taken for an event id");
        }
    }

    proptest! {
        #[test]
        fn an_id_is_read_as_it_was_written(uuid: u128) {
            let id = EventId::from_uuid(Uuid::from_u128(uuid));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(serde_json::from_str::<EventId>(&serde_json::to_string(&id).unwrap()).unwrap(), id);
            prop_assert!(id.to_string().parse::<PaymentId>().is_err());
        }

        #[test]
        fn what_is_read_is_spelled_as_we_write_it(text in "(evt_)?[0-9a-fA-F_-]{30,36}|.{0,40}") {
            if let Ok(id) = text.parse::<EventId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
