//! Standard Webhooks 1.0.0: signatures over `id.timestamp.body`, symmetric (`v1`, HMAC-SHA256) and asymmetric (`v1a`,
//! ed25519).

mod ed25519;
mod hmac;
mod key;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

pub use key::{Key, Refused, Shown, Signed, TOLERANCE_S, verify};

/// How a webhook is signed, by the name that stands in the header before each signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Version {
    /// HMAC-SHA256: whoever verifies could sign, too.
    #[default]
    V1,
    /// ed25519: whoever verifies holds the public key only.
    V1a,
}

/// The text names no version. It is not repeated: somebody may have put a secret there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signature is v1 or v1a")]
pub struct NotAVersion;

/// What signs. Written `whsec_` (24 to 64 bytes) or `whsk_` (the 32 bytes of the seed and the 32 of the public key) and
/// base64.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Secret(Inside);

#[derive(Clone, PartialEq, Eq)]
enum Inside {
    V1(hmac::Secret),
    V1a(Box<ed25519::Secret>),
}

/// The text or the bytes are no signing secret, or no key that verifies. The text is never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASecret {
    /// The text does not begin as one.
    #[error("a signing secret begins with whsec_ (v1) or whsk_ (v1a)")]
    Prefix,
    /// The text does not begin as a key that verifies.
    #[error("a key that verifies begins with whsec_ (v1) or whpk_ (v1a)")]
    KeyPrefix,
    /// What follows is not base64.
    #[error("what follows the first underscore is not base64")]
    Base64,
    /// Too short or too long.
    #[error("a secret for v1 has 24 to 64 bytes, this one has {bytes}")]
    Length {
        /// How many it has.
        bytes: usize,
    },
    /// Not the two halves.
    #[error("a secret for v1a has 64 bytes, seed and public key; this one has {bytes}")]
    Halves {
        /// How many it has.
        bytes: usize,
    },
    /// The public half does not belong to the seed.
    #[error("the two halves of the secret do not belong together")]
    Mismatch,
    /// Not an ed25519 public key.
    #[error("a public key for v1a is 32 bytes, a point of the curve")]
    Public,
}

impl Version {
    /// As it stands in headers, settings and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1a => "v1a",
        }
    }

    /// A secret of this version from 32 random bytes.
    #[must_use]
    pub fn secret(self, random: [u8; 32]) -> Secret {
        Secret(match self {
            Self::V1 => Inside::V1(hmac::Secret::new(random)),
            Self::V1a => Inside::V1a(Box::new(ed25519::Secret::from_seed(random))),
        })
    }

    /// The secret of this version that has these bytes: those of [`Secret::expose_bytes`].
    ///
    /// # Errors
    /// If they are none.
    pub fn secret_from_bytes(self, bytes: &[u8]) -> Result<Secret, NotASecret> {
        Ok(Secret(match self {
            Self::V1 => Inside::V1(hmac::Secret::from_bytes(bytes)?),
            Self::V1a => Inside::V1a(Box::new(ed25519::Secret::from_bytes(bytes)?)),
        }))
    }
}

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        [Self::V1, Self::V1a].into_iter().find(|version| version.as_str() == text).ok_or(NotAVersion)
    }
}

impl TryFrom<String> for Version {
    type Error = NotAVersion;

    fn try_from(text: String) -> Result<Self, NotAVersion> {
        text.parse()
    }
}

impl From<Version> for &'static str {
    fn from(version: Version) -> Self {
        version.as_str()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Secret {
    /// A secret for `v1` from its bytes.
    ///
    /// # Errors
    /// If there are fewer than 24 or more than 64.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotASecret> {
        Version::V1.secret_from_bytes(bytes)
    }

    /// What it signs with.
    #[must_use]
    pub const fn version(&self) -> Version {
        match &self.0 {
            Inside::V1(_) => Version::V1,
            Inside::V1a(_) => Version::V1a,
        }
    }

    /// The bytes, to be encrypted at rest.
    #[must_use]
    pub fn expose_bytes(&self) -> Vec<u8> {
        match &self.0 {
            Inside::V1(secret) => secret.expose_bytes().to_vec(),
            Inside::V1a(secret) => secret.expose_bytes().to_vec(),
        }
    }

    /// The text, `whsec_…` or `whsk_…`. The private half of a key pair is shown to nobody: see [`Secret::key`].
    #[must_use]
    pub fn expose(&self) -> String {
        let prefix = match &self.0 {
            Inside::V1(_) => "whsec_",
            Inside::V1a(_) => "whsk_",
        };
        format!("{prefix}{}", STANDARD.encode(self.expose_bytes()))
    }

    /// What the receiver verifies with: for `v1` the secret itself, for `v1a` the public key.
    #[must_use]
    pub fn key(&self) -> Key {
        match &self.0 {
            Inside::V1(secret) => Key::hmac(secret.clone()),
            Inside::V1a(secret) => Key::ed25519(secret.public()),
        }
    }

    /// One entry of the header `webhook-signature`: the version, a comma, and base64.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let signature = match &self.0 {
            Inside::V1(secret) => STANDARD.encode(secret.mac(id, timestamp_s, body)),
            Inside::V1a(secret) => STANDARD.encode(secret.sign(&key::content(id, timestamp_s, body))),
        };
        format!("{},{signature}", self.version())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl TryFrom<String> for Secret {
    type Error = NotASecret;

    fn try_from(text: String) -> Result<Self, NotASecret> {
        text.parse()
    }
}

impl FromStr for Secret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let (version, encoded) = match (text.strip_prefix("whsec_"), text.strip_prefix("whsk_")) {
            (Some(encoded), _) => (Version::V1, encoded),
            (None, Some(encoded)) => (Version::V1a, encoded),
            (None, None) => return Err(NotASecret::Prefix),
        };
        version.secret_from_bytes(&STANDARD.decode(encoded).map_err(|_| NotASecret::Base64)?)
    }
}

#[cfg(test)]
mod tests;
