//! What a receiver verifies with.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use serde::{Deserialize, Serialize};

use super::{NotASecret, Version, ed25519, hmac};

/// How far a timestamp may be from the receiver's clock, both ways, in seconds.
pub const TOLERANCE_S: i64 = 300;

/// A key that verifies: `whsec_…` for `v1`, which signs, too, and `whpk_…` for `v1a`.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Inside);

#[derive(Clone, PartialEq, Eq)]
enum Inside {
    V1(hmac::Secret),
    V1a(ed25519::Public),
}

/// A key as the merchant is shown it: a secret to be kept, or a public key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
}

/// What a request claims: its headers and its body.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp_s: i64,
    /// `webhook-signature`: one or more entries with spaces between them.
    pub signatures: &'a str,
    /// As it came.
    pub body: &'a [u8],
}

/// Why a request is not accepted as signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The timestamp is more than [`TOLERANCE_S`] from now.
    #[error("the timestamp is too far from now")]
    Timestamp,
    /// No signature in the header matches.
    #[error("no signature matches")]
    Signature,
}

/// Accepts if any key matches any entry of the header, in constant time, and the timestamp is near `now_s`.
///
/// # Errors
/// Says which of the two failed.
pub fn verify(keys: &[Key], signed: Signed<'_>, now_s: i64) -> Result<(), Refused> {
    if signed.timestamp_s.abs_diff(now_s) > TOLERANCE_S.unsigned_abs() {
        return Err(Refused::Timestamp);
    }
    if keys.iter().any(|key| key.verifies(signed)) { Ok(()) } else { Err(Refused::Signature) }
}

/// What is signed.
pub(super) fn content(id: &str, timestamp_s: i64, body: &[u8]) -> Vec<u8> {
    [format!("{id}.{timestamp_s}.").as_bytes(), body].concat()
}

impl Key {
    pub(super) fn hmac(secret: hmac::Secret) -> Self {
        Self(Inside::V1(secret))
    }

    pub(super) fn ed25519(public: ed25519::Public) -> Self {
        Self(Inside::V1a(public))
    }

    /// What it verifies.
    #[must_use]
    pub const fn version(&self) -> Version {
        match &self.0 {
            Inside::V1(_) => Version::V1,
            Inside::V1a(_) => Version::V1a,
        }
    }

    /// The text that the receiver is given.
    #[must_use]
    pub fn expose(&self) -> String {
        match &self.0 {
            Inside::V1(secret) => format!("whsec_{}", STANDARD.encode(secret.expose_bytes())),
            Inside::V1a(public) => format!("whpk_{}", STANDARD.encode(public.as_bytes())),
        }
    }

    /// As the merchant is shown it.
    #[must_use]
    pub fn shown(&self) -> Shown {
        match self.version() {
            Version::V1 => Shown { secret: Some(self.expose()), public_key: None },
            Version::V1a => Shown { secret: None, public_key: Some(self.expose()) },
        }
    }

    fn verifies(&self, signed: Signed<'_>) -> bool {
        let Signed { id, timestamp_s, signatures, body } = signed;
        let given = signatures
            .split(' ')
            .filter_map(|entry| entry.split_once(','))
            .filter(|(version, _)| *version == self.version().as_str())
            .filter_map(|(_, text)| STANDARD.decode(text).ok());
        match &self.0 {
            Inside::V1(secret) => secret.verifies(id, timestamp_s, body, given),
            Inside::V1a(public) => public.verifies(&content(id, timestamp_s, body), given),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Shown {
    /// What the key verifies.
    #[must_use]
    pub const fn version(&self) -> Version {
        if self.public_key.is_some() { Version::V1a } else { Version::V1 }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown(…)")
    }
}

impl FromStr for Key {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let decoded = |encoded: &str| STANDARD.decode(encoded).map_err(|_| NotASecret::Base64);
        match (text.strip_prefix("whsec_"), text.strip_prefix("whpk_")) {
            (Some(encoded), _) => Ok(Self::hmac(hmac::Secret::from_bytes(&decoded(encoded)?)?)),
            (None, Some(encoded)) => Ok(Self::ed25519(ed25519::Public::from_bytes(&decoded(encoded)?)?)),
            (None, None) => Err(NotASecret::KeyPrefix),
        }
    }
}
