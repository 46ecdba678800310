//! The public half of the ed25519 key that Restate signs its requests with, as the SDK takes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How Restate writes it, before 32 bytes in base58.
const PREFIX: &str = "publickeyv1_";

/// The DER encoding of an ed25519 public key is this and the key's 32 bytes (RFC 8410, section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The text is no such key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadKey {
    /// A secret where no secret belongs.
    #[error("this is the private key, which only Restate may have; give the public one: openssl pkey -in KEY -pubout")]
    Private,
    /// Something else.
    #[error("this is no ed25519 public key: give publickeyv1_… as Restate prints it, or its PEM form")]
    Unknown,
}

/// Reads `publickeyv1_…`, or the PEM form, as `openssl pkey -pubout` writes it; answers the former.
pub fn parse(text: &str) -> Result<String, BadKey> {
    if text.contains("PRIVATE KEY") {
        return Err(BadKey::Private);
    }
    if let Some(key) = text.strip_prefix(PREFIX) {
        let bytes = bs58::decode(key).into_vec().map_err(|_| BadKey::Unknown)?;
        return if bytes.len() == 32 { Ok(text.to_owned()) } else { Err(BadKey::Unknown) };
    }
    let body = text.strip_prefix("-----BEGIN PUBLIC KEY-----").and_then(|t| t.strip_suffix("-----END PUBLIC KEY-----"));
    let body: String = body.ok_or(BadKey::Unknown)?.split_whitespace().collect();
    let der = STANDARD.decode(body).map_err(|_| BadKey::Unknown)?;
    match der.strip_prefix(&SPKI) {
        Some(key) if key.len() == 32 => Ok(format!("{PREFIX}{}", bs58::encode(key).into_string())),
        _ => Err(BadKey::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 8410, section 10.1.
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                       -----END PUBLIC KEY-----";

    #[test]
    fn pem_and_restates_own_form_are_the_same_key() {
        let key = parse(PEM).unwrap();
        assert_eq!(parse(&key), Ok(key.clone()));
        let bytes = bs58::decode(key.strip_prefix(PREFIX).unwrap()).into_vec().unwrap();
        assert_eq!(bytes[..4], [0x19, 0xbf, 0x44, 0x09]);
    }

    #[test]
    fn what_is_no_public_key_is_refused_and_a_private_one_is_named() {
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                       -----END PRIVATE KEY-----";
        assert_eq!(parse(private), Err(BadKey::Private));
        for wrong in
            ["", "publickeyv1_", "publickeyv1_0OIl", "publickeyv1_2NEpo7TZRRrLZSi2U", &PEM.replace("MCow", "MCoz")]
        {
            assert_eq!(parse(wrong), Err(BadKey::Unknown), "{wrong}");
        }
    }
}
