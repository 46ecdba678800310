//! `v1`: HMAC-SHA256 with a secret of 24 to 64 bytes.

use hmac::digest::Output;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::NotASecret;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(Vec<u8>);

impl Secret {
    pub(super) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes.to_vec())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, NotASecret> {
        match bytes.len() {
            24..=64 => Ok(Self(bytes.to_vec())),
            bytes => Err(NotASecret::Length { bytes }),
        }
    }

    pub(super) fn expose_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn mac(&self, id: &str, timestamp_s: i64, body: &[u8]) -> Output<Hmac<Sha256>> {
        self.started(id, timestamp_s, body).finalize().into_bytes()
    }

    /// In constant time.
    pub(super) fn verifies(
        &self,
        id: &str,
        timestamp_s: i64,
        body: &[u8],
        mut given: impl Iterator<Item = Vec<u8>>,
    ) -> bool {
        let mac = self.started(id, timestamp_s, body);
        given.any(|given| mac.clone().verify_slice(&given).is_ok())
    }

    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    fn started(&self, id: &str, timestamp_s: i64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp_s.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}
