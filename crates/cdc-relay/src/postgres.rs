//! PostgreSQL: where it is, the slot, and the stream of its write-ahead log.
//!
//! The SQL here is about replication, not about Everhook's tables: that is why it is not in `store`.

pub mod prepare;
pub mod slot;
pub mod stream;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use pgwire_replication::config::{ReplicationConfig, SslMode, TlsConfig};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use url::Url;

/// Who we are in `pg_stat_activity`.
const APPLICATION_NAME: &str = "cdc-relay";

/// Text forms that [`value`](crate::value) reads, whatever the server's or the role's settings are.
const SESSION_OPTIONS: &str = "-c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC \
    -c extra_float_digits=3 -c bytea_output=hex";

/// Where the database is and how to get in.
pub struct Target {
    options: PgConnectOptions,
    password: String,
    tls: TlsConfig,
    connect_timeout: Duration,
}

/// The address can't be used, or nobody answers there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL means nothing to the PostgreSQL client.
    #[error("the database URL can't be used")]
    Url(#[source] sqlx::Error),
    /// The URL names no database: a slot belongs to one.
    #[error("the database URL names no database; write postgres://user@host:5432/database")]
    NoDatabase,
    /// The replication library compares certificates with names only.
    #[error("sslmode=verify-full needs the server's name in the database URL, not the address {0}")]
    VerifiedAddress(String),
    /// No connection.
    #[error("can't connect to PostgreSQL")]
    Connect(#[source] sqlx::Error),
    /// No answer in time.
    #[error("PostgreSQL did not answer within {0:?}")]
    ConnectTimeout(Duration),
}

impl Target {
    /// Reads a URL, as libpq does, with the parameters `sslmode`, `sslrootcert`, `sslcert` and `sslkey`.
    ///
    /// # Errors
    /// If it can't be understood or names no database.
    pub fn new(url: &Url, password: Option<&str>, connect_timeout: Duration) -> Result<Self, Error> {
        let mut options = PgConnectOptions::from_url(url).map_err(Error::Url)?.application_name(APPLICATION_NAME);
        if options.get_database().is_none() {
            return Err(Error::NoDatabase);
        }
        if let Some(password) = password {
            options = options.password(password);
        }
        // An IPv6 address has brackets in a URL and nowhere else.
        let host = options.get_host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = tls(&options, url);
        if tls.mode == SslMode::VerifyFull && host.parse::<IpAddr>().is_ok() {
            return Err(Error::VerifiedAddress(host));
        }
        Ok(Self {
            options: options.host(&host),
            password: password.unwrap_or_default().to_owned(),
            tls,
            connect_timeout,
        })
    }

    /// The database's name.
    #[must_use]
    pub fn database(&self) -> &str {
        self.options.get_database().unwrap_or_default()
    }

    /// The server's host as configured; the folder of its socket, if it is one.
    #[must_use]
    pub fn host(&self) -> String {
        self.options.get_socket().map_or_else(|| self.options.get_host().to_owned(), |path| path.display().to_string())
    }

    /// An ordinary connection, for SQL.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn connect(&self) -> Result<PgConnection, Error> {
        tokio::time::timeout(self.connect_timeout, PgConnection::connect_with(&self.options))
            .await
            .map_err(|_| Error::ConnectTimeout(self.connect_timeout))?
            .map_err(Error::Connect)
    }

    /// How to open a replication connection.
    fn replication(&self, slot: &str, publication: &str) -> ReplicationConfig {
        ReplicationConfig::new(
            self.host(),
            self.options.get_username(),
            self.password.as_str(),
            self.database(),
            slot,
            publication,
        )
        .with_port(self.options.get_port())
        .with_tls(self.tls.clone())
        .with_application_name(APPLICATION_NAME)
        .with_options(SESSION_OPTIONS)
    }
}

/// The same TLS for the replication connection as sqlx takes for SQL.
fn tls(options: &PgConnectOptions, url: &Url) -> TlsConfig {
    let parameter = |names: &[&str]| {
        url.query_pairs().find(|(name, _)| names.contains(&name.as_ref())).map(|(_, path)| PathBuf::from(path.as_ref()))
    };
    let ca = parameter(&["sslrootcert", "ssl-root-cert", "ssl-ca"]);
    let mode = match options.get_ssl_mode() {
        PgSslMode::Disable | PgSslMode::Allow => SslMode::Disable,
        PgSslMode::Prefer if options.get_socket().is_some() => SslMode::Disable,
        PgSslMode::Prefer => SslMode::Prefer,
        PgSslMode::Require if ca.is_some() => SslMode::VerifyCa,
        PgSslMode::Require => SslMode::Require,
        PgSslMode::VerifyCa => SslMode::VerifyCa,
        PgSslMode::VerifyFull => SslMode::VerifyFull,
    };
    TlsConfig {
        mode,
        ca_pem_path: ca,
        sni_hostname: None,
        client_cert_pem_path: parameter(&["sslcert", "ssl-cert"]),
        client_key_pem_path: parameter(&["sslkey", "ssl-key"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, Error> {
        Target::new(&url.parse().unwrap(), Some("s3cret"), Duration::from_secs(1))
    }

    #[test]
    fn a_url_gives_the_same_address_to_both_connections() {
        let target =
            target("postgres://relay@db.internal:5433/payments?sslmode=verify-full&sslrootcert=/ca.pem").unwrap();
        let config = target.replication("slot", "publication");
        assert_eq!((target.host().as_str(), target.database()), ("db.internal", "payments"));
        assert_eq!((config.host.as_str(), config.port, config.user.as_str()), ("db.internal", 5433, "relay"));
        assert_eq!((config.database.as_str(), config.password.as_str()), ("payments", "s3cret"));
        assert_eq!(config.tls, TlsConfig::verify_full(Some("/ca.pem".into())));
    }

    #[test]
    fn sockets_and_ipv6_addresses_are_hosts_too() {
        assert_eq!(target("postgres://relay@[::1]/payments").unwrap().replication("s", "p").host, "::1");
        let socket = target("postgres://relay@%2Frun%2Fpostgresql/payments").unwrap().replication("s", "p");
        assert_eq!((socket.host.as_str(), socket.tls.mode), ("/run/postgresql", SslMode::Disable));
    }

    #[test]
    fn a_url_that_can_not_be_used_is_an_error() {
        assert!(matches!(target("postgres://relay@127.0.0.1"), Err(Error::NoDatabase)));
        let verified = target("postgres://relay@127.0.0.1/payments?sslmode=verify-full");
        assert!(matches!(verified, Err(Error::VerifiedAddress(_))));
    }
}
