//! Standard Webhooks 1.0.0: symmetric signatures (`v1`, HMAC-SHA256) over `id.timestamp.body`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far a timestamp may be from the receiver's clock, both ways, in seconds.
pub const TOLERANCE_S: i64 = 300;

/// A symmetric signing secret of 24 to 64 bytes, written `whsec_` and base64.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// The text or the bytes are no signing secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASecret {
    /// The text does not begin with `whsec_`.
    #[error("a signing secret begins with whsec_")]
    Prefix,
    /// What follows is not base64.
    #[error("what follows whsec_ is not base64")]
    Base64,
    /// Too short or too long.
    #[error("a signing secret has 24 to 64 bytes, this one has {bytes}")]
    Length {
        /// How many it has.
        bytes: usize,
    },
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

impl Secret {
    /// A secret from its bytes.
    ///
    /// # Errors
    /// If there are fewer than 24 or more than 64.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotASecret> {
        match bytes.len() {
            24..=64 => Ok(Self(bytes.to_vec())),
            bytes => Err(NotASecret::Length { bytes }),
        }
    }

    /// The bytes, to be encrypted at rest.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text that the merchant is shown once.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.0))
    }

    /// One entry of the header `webhook-signature`: `v1,` and base64.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(self.mac(id, timestamp_s, body).finalize().into_bytes()))
    }

    /// Accepts if any entry of the header matches, in constant time, and the timestamp is near `now_s`.
    ///
    /// # Errors
    /// Says which of the two failed.
    pub fn verify(&self, id: &str, timestamp_s: i64, body: &[u8], header: &str, now_s: i64) -> Result<(), Refused> {
        if timestamp_s.abs_diff(now_s) > TOLERANCE_S.unsigned_abs() {
            return Err(Refused::Timestamp);
        }
        let mac = self.mac(id, timestamp_s, body);
        let matches = header
            .split(' ')
            .filter_map(|entry| entry.strip_prefix("v1,"))
            .filter_map(|text| STANDARD.decode(text).ok())
            .any(|given| mac.clone().verify_slice(&given).is_ok());
        if matches { Ok(()) } else { Err(Refused::Signature) }
    }

    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    fn mac(&self, id: &str, timestamp_s: i64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp_s.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl FromStr for Secret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let encoded = text.strip_prefix("whsec_").ok_or(NotASecret::Prefix)?;
        Self::from_bytes(&STANDARD.decode(encoded).map_err(|_| NotASecret::Base64)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIME: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secret() -> Secret {
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap()
    }

    #[test]
    fn the_specification_s_vector_is_signed_alike() {
        assert_eq!(secret().sign(ID, TIME, BODY), SIGNATURE);
    }

    #[test]
    fn any_matching_entry_is_accepted_and_nothing_else() {
        let header = format!("v1a,AAAA v1,AAAA {SIGNATURE}");
        assert_eq!(secret().verify(ID, TIME, BODY, &header, TIME + TOLERANCE_S), Ok(()));
        assert_eq!(secret().verify(ID, TIME, BODY, &header, TIME + TOLERANCE_S + 1), Err(Refused::Timestamp));
        assert_eq!(secret().verify(ID, TIME, b"{}", &header, TIME), Err(Refused::Signature));
        assert_eq!(secret().verify("other", TIME, BODY, &header, TIME), Err(Refused::Signature));
        assert_eq!(secret().verify(ID, TIME + 1, BODY, &header, TIME), Err(Refused::Signature));
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", secret()), "Secret(…)");
        assert_eq!(secret().expose().parse(), Ok(secret()));
    }
}
