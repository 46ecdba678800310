//! Passwords, tokens and keys of one stack: made at random once, each in a file that only its owner may read.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};

/// The folder of the secrets.
#[derive(Debug, Clone)]
pub struct Secrets {
    folder: PathBuf,
}

impl Secrets {
    /// Makes the folder if it is missing.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn open(folder: PathBuf) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("can't make {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// The file of a password or token, 32 random bytes as URL-safe text. Made if it is missing.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn file(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.made_once(name, || Ok(URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())))
    }

    /// The password or token itself.
    ///
    /// # Errors
    /// If it can't be written or read.
    pub fn text(&self, name: &str) -> anyhow::Result<String> {
        let file = self.file(name)?;
        let text = std::fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
        match text.trim() {
            "" => bail!("{} is empty: remove it, or start with --fresh", file.display()),
            text => Ok(text.to_owned()),
        }
    }

    /// The file of a key, for the ledger's secrets or for merchants' tokens: 32 random bytes as standard base64.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn key_file(&self, name: &str) -> anyhow::Result<PathBuf> {
        self.made_once(name, || Ok(STANDARD.encode(rand::random::<[u8; 32]>())))
    }

    /// The PEM file of the key that Restate signs its requests with, and the public half as the handlers take it.
    ///
    /// # Errors
    /// If it can't be written or is not such a key.
    pub fn identity_key(&self) -> anyhow::Result<(PathBuf, String)> {
        let file = self.made_once("restate-identity.pem", || {
            let key = SigningKey::from_bytes(&rand::random());
            let pem = key.to_pkcs8_pem(LineEnding::LF).context("can't encode the identity key")?;
            Ok(pem.as_str().to_owned())
        })?;
        let pem = std::fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
        let key = SigningKey::from_pkcs8_pem(&pem).with_context(|| format!("{} is no key", file.display()))?;
        let public = bs58::encode(key.verifying_key().as_bytes()).into_string();
        Ok((file, format!("publickeyv1_{public}")))
    }

    fn made_once(&self, name: &str, make: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<PathBuf> {
        let file = self.folder.join(name);
        if !file.exists() {
            let unfinished = self.folder.join(format!(".{name}"));
            write_private(&unfinished, &make()?)?;
            std::fs::rename(&unfinished, &file).with_context(|| format!("can't write {}", file.display()))?;
        }
        Ok(file)
    }
}

/// Writes a file that only its owner may read.
///
/// # Errors
/// If it can't be written.
pub fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).with_context(|| format!("can't write {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_made_once_and_is_private() {
        let folder = std::env::temp_dir().join(format!("everhook-secrets-{}", std::process::id()));
        let secrets = Secrets::open(folder.clone()).unwrap();
        let first = secrets.text("token").unwrap();
        assert_eq!(first.len(), 43);
        assert_eq!(secrets.text("token").unwrap(), first);
        assert_ne!(secrets.text("other").unwrap(), first);
        let mode = secrets.file("token").unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let (_, public) = secrets.identity_key().unwrap();
        assert_eq!(secrets.identity_key().unwrap().1, public);
        assert!(public.starts_with("publickeyv1_"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
