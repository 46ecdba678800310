//! Whether a started process can be used: asked again and again until a deadline, or until the process is dead.

use std::time::Duration;

use anyhow::{Context, ensure};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::time::Instant;

use crate::kafka::probe::Probe;
use crate::process::log::Failure;
use crate::process::{Process, describe};

/// How often a process is asked.
const INTERVAL: Duration = Duration::from_millis(25);

/// How to ask.
#[derive(Debug, Clone)]
pub enum Ready {
    /// A GET of each of these answers 2xx.
    Http(Vec<String>),
    /// The broker takes part in its cluster.
    Kafka(Probe),
    /// PostgreSQL answers a query.
    Postgres(Box<PgConnectOptions>),
}

impl Ready {
    /// PostgreSQL at these options. Loopback only, so without TLS.
    #[must_use]
    pub fn postgres(options: PgConnectOptions) -> Self {
        Self::Postgres(Box::new(options.ssl_mode(PgSslMode::Disable).disable_statement_logging()))
    }

    async fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Http(urls) => {
                for url in urls {
                    get(url).await?;
                }
                Ok(())
            }
            Self::Kafka(probe) => probe.check().await,
            Self::Postgres(options) => {
                let mut connection = options.connect().await.context("can't connect")?;
                sqlx::query("select 1").execute(&mut connection).await.context("can't query")?;
                connection.close().await.context("can't disconnect")
            }
        }
    }
}

/// Polls until the process can be used.
///
/// # Errors
/// If it dies meanwhile, or is not ready in time: with the tail of its log and the last answer.
pub async fn wait(process: &Process, ready: &Ready, within: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    let name = process.name();
    loop {
        let last = tokio::select! {
            status = process.ended() => {
                let sentence = format!("{name} {} before it was ready; its log says why", describe(status));
                return Err(Failure::new(sentence, process.log()).into());
            }
            checked = ready.check() => match checked {
                Ok(()) => return Ok(()),
                Err(error) => error,
            },
        };
        if Instant::now() >= deadline {
            let sentence = format!("{name} was not ready within {} s ({last:#}); see its log", within.as_secs());
            return Err(Failure::new(sentence, process.log()).into());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn get(url: &str) -> anyhow::Result<()> {
    let limits = chassis::client::Limits { connect: Duration::from_secs(1), whole: Duration::from_secs(2) };
    let client = chassis::client::build(limits).context("can't build an HTTP client")?;
    let response = client.get(url).send().await.with_context(|| format!("GET {url}"))?;
    ensure!(response.status().is_success(), "GET {url} answered {}", response.status());
    Ok(())
}
