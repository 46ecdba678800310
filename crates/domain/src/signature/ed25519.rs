//! `v1a`: ed25519 with a key pair of 64 bytes, the seed and the public key.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

use super::NotASecret;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(SigningKey);

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Public(VerifyingKey);

impl Secret {
    pub(super) fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, NotASecret> {
        let halves = bytes.try_into().map_err(|_| NotASecret::Halves { bytes: bytes.len() })?;
        SigningKey::from_keypair_bytes(halves).map(Self).map_err(|_| NotASecret::Mismatch)
    }

    pub(super) fn expose_bytes(&self) -> [u8; 64] {
        self.0.to_keypair_bytes()
    }

    pub(super) fn public(&self) -> Public {
        Public(self.0.verifying_key())
    }

    pub(super) fn sign(&self, content: &[u8]) -> [u8; 64] {
        self.0.sign(content).to_bytes()
    }
}

impl Public {
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, NotASecret> {
        let bytes = bytes.try_into().map_err(|_| NotASecret::Public)?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| NotASecret::Public)?;
        // With such a key a signature says nothing about who made it.
        if key.is_weak() { Err(NotASecret::Public) } else { Ok(Self(key)) }
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(super) fn verifies(&self, content: &[u8], mut given: impl Iterator<Item = Vec<u8>>) -> bool {
        given.any(|given| {
            Signature::from_slice(&given).is_ok_and(|signature| self.0.verify_strict(content, &signature).is_ok())
        })
    }
}
