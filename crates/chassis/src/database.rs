//! Flags that say which PostgreSQL to use. Nothing here connects.

use std::path::PathBuf;

use url::Url;

use crate::flags::{FileError, read_trimmed};

/// Where the database is.
#[derive(Debug, Clone, clap::Args)]
pub struct DatabaseFlags {
    /// The database, as postgres://user@host:port/name; keep the password out of it.
    #[arg(long, env = "EVERHOOK_DATABASE_URL", value_parser = postgres_url)]
    pub database_url: Url,
    /// A file that holds the password.
    #[arg(long, env = "EVERHOOK_DATABASE_PASSWORD_FILE")]
    pub database_password_file: Option<PathBuf>,
    /// The most connections that this process opens.
    #[arg(long, env = "EVERHOOK_DATABASE_CONNECTIONS", default_value_t = 10)]
    pub database_connections: u32,
}

impl DatabaseFlags {
    /// The URL with the password from its file. Never print it.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn url_with_password(&self) -> Result<Url, FileError> {
        let mut url = self.database_url.clone();
        if let Some(path) = &self.database_password_file {
            let password = read_trimmed(path)?;
            // A URL with a host, which the parser has demanded, takes a password.
            let _ = url.set_password(Some(&password));
        }
        Ok(url)
    }
}

fn postgres_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("{e}; write postgres://user@host:5432/database"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") || url.host().is_none() {
        return Err("write postgres://user@host:5432/database".to_owned());
    }
    if url.password().is_some() {
        return Err(
            "keep the password out of the URL: put it into a file and name it with --database-password-file".to_owned()
        );
    }
    Ok(url)
}
