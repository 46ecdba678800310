//! Merchants' tokens: whose things they open and until when, signed. Nobody keeps them.
//!
//! `emt_v1.` and the claims as base64url of JSON, a dot, and their HMAC-SHA256 as base64url.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chassis::flags::{FileError, read_trimmed};
use domain::ids::MerchantId;
use domain::time::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Says what the text is, and in which form; it is signed with the claims.
const PREFIX: &str = "emt_v1.";

/// A token of such a length is none of ours.
const MOST_BYTES: usize = 1_000;

/// The keys that tokens are signed with: the first one signs, all are known.
#[derive(Clone)]
pub struct TokenKeys(Arc<[[u8; 32]]>);

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Claims {
    merchant_id: MerchantId,
    /// Seconds since 1970.
    expires: i64,
}

/// The key file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum NotKeys {
    /// It can't be read.
    #[error("reading the key file of the merchants' tokens")]
    File(#[source] FileError),
    /// A line is no key.
    #[error("line {line} of the key file is not base64 of 32 bytes; make one with: head -c 32 /dev/urandom | base64")]
    Key {
        /// From 1.
        line: usize,
    },
}

/// The token opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It was good once.
    Expired,
    /// Nobody with our keys has signed it.
    NotOurs,
}

impl TokenKeys {
    /// Reads the key file: base64 of 32 bytes a line. The first key signs; keep an old one as a further line until its
    /// tokens have expired.
    ///
    /// # Errors
    /// If it can't be read, or a line is no key.
    pub fn from_file(path: &Path) -> Result<Self, NotKeys> {
        Self::from_text(&read_trimmed(path).map_err(NotKeys::File)?)
    }

    /// The keys of a key file's text.
    ///
    /// # Errors
    /// If a line is no key, or there is none.
    pub fn from_text(text: &str) -> Result<Self, NotKeys> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let key = |(index, line): (usize, &str)| {
            let bytes = STANDARD.decode(line.trim()).ok().and_then(|bytes| bytes.try_into().ok());
            bytes.ok_or(NotKeys::Key { line: index + 1 })
        };
        let keys: Vec<[u8; 32]> = lines.map(key).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(NotKeys::Key { line: 1 }) } else { Ok(Self(keys.into())) }
    }

    /// A token that opens this merchant's things for so long, and the moment at which it expires, in whole seconds.
    #[must_use]
    pub fn sign(&self, merchant_id: MerchantId, now: Timestamp, valid_for: Duration) -> (String, Timestamp) {
        let expires = now.after(valid_for).unix_seconds();
        let claims = serde_json::json!(Claims { merchant_id, expires }).to_string();
        let signed = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(claims));
        // There is at least one.
        let key = self.0.first().copied().unwrap_or_default();
        let signature = URL_SAFE_NO_PAD.encode(mac(&key, &signed).finalize().into_bytes());
        let expires_at = Timestamp::from_unix_micros(expires.saturating_mul(1_000_000)).unwrap_or(now);
        (format!("{signed}.{signature}"), expires_at)
    }

    /// Whose things a token opens.
    pub(crate) fn open(&self, token: &str, now: Timestamp) -> Result<MerchantId, Refused> {
        if token.len() > MOST_BYTES || !token.starts_with(PREFIX) {
            return Err(Refused::NotOurs);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refused::NotOurs)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refused::NotOurs)?;
        // verify_slice compares in constant time.
        if !self.0.iter().any(|key| mac(key, signed).verify_slice(&signature).is_ok()) {
            return Err(Refused::NotOurs);
        }
        let claims = signed.strip_prefix(PREFIX).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
        let claims: Claims = claims.and_then(|claims| serde_json::from_slice(&claims).ok()).ok_or(Refused::NotOurs)?;
        if now.unix_seconds() < claims.expires { Ok(claims.merchant_id) } else { Err(Refused::Expired) }
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKeys({} …)", self.0.len())
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn mac(key: &[u8; 32], text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn keys(bytes: &[u8]) -> TokenKeys {
        let lines: Vec<String> = bytes.iter().map(|byte| STANDARD.encode([*byte; 32])).collect();
        TokenKeys::from_text(&lines.join("\n")).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_micros(seconds * 1_000_000).unwrap()
    }

    #[test]
    fn a_token_opens_its_merchant_s_things_until_it_expires_and_while_its_key_is_known() {
        let merchant_id: MerchantId = "mer_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap();
        let (token, expires_at) = keys(&[1]).sign(merchant_id, at(1_000), HOUR);
        assert_eq!(expires_at, at(4_600));
        assert_eq!(keys(&[1]).open(&token, at(4_599)), Ok(merchant_id));
        assert_eq!(keys(&[1]).open(&token, at(4_600)), Err(Refused::Expired));
        assert_eq!(keys(&[2, 1]).open(&token, at(1_000)), Ok(merchant_id));
        assert_eq!(keys(&[2]).open(&token, at(1_000)), Err(Refused::NotOurs));
        assert_eq!(keys(&[2]).open(&token, at(9_000)), Err(Refused::NotOurs), "only its owner learns that it expired");
    }

    #[test]
    fn a_token_that_was_changed_anywhere_opens_nothing() {
        let merchant_id: MerchantId = "mer_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap();
        let keys = keys(&[1]);
        let (token, _) = keys.sign(merchant_id, at(1_000), HOUR);
        for place in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(keys.open(&changed, at(1_000)), Err(Refused::NotOurs), "{changed}");
        }
        let (signed, _) = token.rsplit_once('.').unwrap();
        for wrong in ["", "emt_v1.", "emt_v1..", signed, &format!("{signed}."), &format!("{token}."), &token[7..]] {
            assert_eq!(keys.open(wrong, at(1_000)), Err(Refused::NotOurs), "{wrong}");
        }
    }

    #[test]
    fn a_line_that_is_no_key_is_named() {
        let text = format!("{}\n\nshort\n", STANDARD.encode([1; 32]));
        assert!(matches!(TokenKeys::from_text(&text), Err(NotKeys::Key { line: 3 })));
        assert!(matches!(TokenKeys::from_text(" "), Err(NotKeys::Key { line: 1 })));
    }

    proptest! {
        #[test]
        fn a_token_is_opened_as_it_was_signed(uuid: u128, now_s in 0..4_000_000_000_i64, seconds in 1..86_400_u64) {
            let merchant_id = MerchantId::from_uuid(uuid::Uuid::from_u128(uuid));
            let (token, expires_at) = keys(&[1]).sign(merchant_id, at(now_s), Duration::from_secs(seconds));
            prop_assert_eq!(keys(&[1]).open(&token, at(now_s)), Ok(merchant_id));
            prop_assert_eq!(keys(&[1]).open(&token, expires_at), Err(Refused::Expired));
        }

        #[test]
        fn any_other_text_opens_nothing(text in "emt_v1\\.[A-Za-z0-9_=-]{0,80}(\\.[A-Za-z0-9_-]{0,50})?|.{0,40}") {
            prop_assert_eq!(keys(&[1]).open(&text, at(1_000)), Err(Refused::NotOurs));
        }
    }
}
