//! Signing secrets at rest: XChaCha20-Poly1305 under a key from a file. Only this process ever holds one in clear.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use chassis::flags::{FileError, read_trimmed};
use domain::signature::{Secret, Version};
use sha2::{Digest as _, Sha256};

const NONCE_BYTES: usize = 24;

/// What else is authenticated, so that no ciphertext can be taken for a secret of the other version.
const fn context(version: Version) -> &'static [u8] {
    match version {
        Version::V1 => b"everhook endpoint secret",
        Version::V1a => b"everhook endpoint secret v1a",
    }
}

/// The keys of the key file.
pub struct Keyring {
    current: String,
    ciphers: HashMap<String, XChaCha20Poly1305>,
}

/// A secret as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key encrypted it: the start of the key's SHA-256, in hex.
    pub key_id: String,
    /// Nonce, then ciphertext.
    pub ciphertext: Vec<u8>,
}

/// The key file can't be used, or a secret can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("reading the key file")]
    File(#[source] FileError),
    /// A line is no key.
    #[error("line {line} of the key file is not base64 of 32 bytes; make one with: head -c 32 /dev/urandom | base64")]
    Key {
        /// From 1.
        line: usize,
    },
    /// The key file has no such key any more.
    #[error("the key file has no key {key_id}; add the old key as a further line")]
    NoKey {
        /// As it is stored.
        key_id: String,
    },
    /// Not encrypted by this key, or changed since.
    #[error("a secret can't be opened with key {key_id}")]
    Opening {
        /// As it is stored.
        key_id: String,
    },
    /// Could not be encrypted.
    #[error("a secret can't be encrypted")]
    Sealing,
}

impl Keyring {
    /// Reads the key file.
    ///
    /// # Errors
    /// If it can't be read, or a line is no key.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        Self::from_text(&read_trimmed(path).map_err(Error::File)?)
    }

    /// The keys of a key file's text.
    ///
    /// # Errors
    /// If a line is no key, or there is none.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let mut current = None;
        let mut ciphers = HashMap::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let bad = || Error::Key { line: index + 1 };
            let key = STANDARD.decode(line.trim()).map_err(|_| bad())?;
            let cipher = XChaCha20Poly1305::new_from_slice(&key).map_err(|_| bad())?;
            let key_id: String = Sha256::digest(&key).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            current.get_or_insert_with(|| key_id.clone());
            ciphers.insert(key_id, cipher);
        }
        Ok(Self { current: current.ok_or(Error::Key { line: 1 })?, ciphers })
    }

    /// Encrypts a secret with the current key. `nonce` must be fresh.
    ///
    /// # Errors
    /// If it can't be encrypted; nobody knows how that could be.
    pub fn seal(&self, secret: &Secret, nonce: [u8; NONCE_BYTES]) -> Result<Sealed, Error> {
        let cipher = self.ciphers.get(&self.current).ok_or(Error::Sealing)?;
        let payload = Payload { msg: &secret.expose_bytes(), aad: context(secret.version()) };
        let encrypted = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| Error::Sealing)?;
        Ok(Sealed { key_id: self.current.clone(), ciphertext: [&nonce[..], &encrypted].concat() })
    }

    /// Encrypts a text with the current key. `context` says what it is: it opens as nothing else. `nonce` must be fresh.
    ///
    /// # Errors
    /// If it can't be encrypted; nobody knows how that could be.
    pub fn seal_text(&self, context: &str, text: &str, nonce: [u8; NONCE_BYTES]) -> Result<Sealed, Error> {
        let cipher = self.ciphers.get(&self.current).ok_or(Error::Sealing)?;
        let payload = Payload { msg: text.as_bytes(), aad: context.as_bytes() };
        let encrypted = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| Error::Sealing)?;
        Ok(Sealed { key_id: self.current.clone(), ciphertext: [&nonce[..], &encrypted].concat() })
    }

    /// Decrypts a text of this context.
    ///
    /// # Errors
    /// If the key is not at hand, or the ciphertext was not made with it in this context.
    pub fn open_text(&self, context: &str, key_id: &str, ciphertext: &[u8]) -> Result<String, Error> {
        let cipher = self.ciphers.get(key_id).ok_or_else(|| Error::NoKey { key_id: key_id.to_owned() })?;
        let opening = || Error::Opening { key_id: key_id.to_owned() };
        let (nonce, encrypted) = ciphertext.split_first_chunk::<NONCE_BYTES>().ok_or_else(opening)?;
        let payload = Payload { msg: encrypted, aad: context.as_bytes() };
        let bytes = cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| opening())?;
        String::from_utf8(bytes).map_err(|_| opening())
    }

    /// Decrypts a secret of this version.
    ///
    /// # Errors
    /// If the key is not at hand, or the ciphertext was not made with it of such a secret.
    pub fn open(&self, version: Version, key_id: &str, ciphertext: &[u8]) -> Result<Secret, Error> {
        let cipher = self.ciphers.get(key_id).ok_or_else(|| Error::NoKey { key_id: key_id.to_owned() })?;
        let opening = || Error::Opening { key_id: key_id.to_owned() };
        let (nonce, encrypted) = ciphertext.split_first_chunk::<NONCE_BYTES>().ok_or_else(opening)?;
        let payload = Payload { msg: encrypted, aad: context(version) };
        let bytes = cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| opening())?;
        version.secret_from_bytes(&bytes).map_err(|_| opening())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(keys: &[u8]) -> Keyring {
        let lines: Vec<String> = keys.iter().map(|byte| STANDARD.encode([*byte; 32])).collect();
        Keyring::from_text(&lines.join("\n")).unwrap()
    }

    #[test]
    fn a_secret_survives_a_change_of_keys_while_the_old_one_is_kept() {
        let secret = Secret::from_bytes(&[7; 32]).unwrap();
        let sealed = keyring(&[1]).seal(&secret, [9; NONCE_BYTES]).unwrap();
        assert!(!sealed.ciphertext.windows(8).any(|w| w == [7; 8]), "the secret is in the ciphertext");
        let rotated = keyring(&[2, 1]);
        assert_eq!(rotated.open(Version::V1, &sealed.key_id, &sealed.ciphertext).unwrap(), secret);
        let mut changed = sealed.ciphertext.clone();
        changed[30] ^= 1;
        assert!(matches!(rotated.open(Version::V1, &sealed.key_id, &changed), Err(Error::Opening { .. })));
        assert!(matches!(rotated.open(Version::V1, &sealed.key_id, &changed[..10]), Err(Error::Opening { .. })));
        let without = keyring(&[2]);
        assert!(matches!(without.open(Version::V1, &sealed.key_id, &sealed.ciphertext), Err(Error::NoKey { .. })));
    }

    #[test]
    fn a_secret_of_one_version_is_not_opened_as_one_of_the_other() {
        let keyring = keyring(&[1]);
        for (version, other) in [(Version::V1, Version::V1a), (Version::V1a, Version::V1)] {
            let secret = version.secret([7; 32]);
            let sealed = keyring.seal(&secret, [9; NONCE_BYTES]).unwrap();
            assert_eq!(keyring.open(version, &sealed.key_id, &sealed.ciphertext).unwrap(), secret);
            let opened = keyring.open(other, &sealed.key_id, &sealed.ciphertext);
            assert!(matches!(opened, Err(Error::Opening { .. })));
        }
    }

    #[test]
    fn a_text_opens_in_its_context_alone() {
        let sealed = keyring(&[1]).seal_text("headers of a", "{}", [9; NONCE_BYTES]).unwrap();
        let open = |context| keyring(&[2, 1]).open_text(context, &sealed.key_id, &sealed.ciphertext);
        assert_eq!(open("headers of a").unwrap(), "{}");
        assert!(matches!(open("headers of b"), Err(Error::Opening { .. })));
        for version in [Version::V1, Version::V1a] {
            let opened = keyring(&[1]).open(version, &sealed.key_id, &sealed.ciphertext);
            assert!(opened.is_err(), "no text passes for a secret");
        }
    }

    #[test]
    fn a_line_that_is_no_key_is_named() {
        let error = Keyring::from_text(&format!("{}\nshort\n", STANDARD.encode([1; 32]))).err().unwrap();
        assert!(matches!(error, Error::Key { line: 2 }), "{error}");
    }
}
