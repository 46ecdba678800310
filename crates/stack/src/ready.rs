//! Whether a started process can be used: asked again and again until a deadline, or until the process is dead.

use std::time::Duration;

use anyhow::{Context, ensure};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::kafka::probe::Probe;
use crate::process::log::Failure;
use crate::process::{Process, describe};

/// How often a process is asked.
const INTERVAL: Duration = Duration::from_millis(25);
/// PostgreSQL logs each question that comes too early.
const POSTGRES_INTERVAL: Duration = Duration::from_millis(100);

/// How to ask.
#[derive(Debug, Clone)]
pub enum Ready {
    /// A GET of each of these answers 2xx.
    Http(Vec<String>),
    /// The broker takes part in its cluster.
    Kafka(Probe),
    /// The handlers answer HTTP/2, Restate knows them, and it is subscribed to a topic for them.
    Handlers {
        /// The port that Restate's invocations come in at.
        port: u16,
        /// The port by which Restate knows them: another one where a proxy stands in front.
        advertised: u16,
        /// Restate's admin API.
        admin: String,
    },
    /// Something answers HTTP/2.
    Http2(u16),
    /// cdc-relay, at this status, says that it streams: what is committed before it has made its slot is not captured.
    Streaming(String),
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
            Self::Http2(port) => http2(*port).await,
            Self::Streaming(status) => {
                #[derive(serde::Deserialize)]
                struct Status {
                    connected: bool,
                }
                let status: Status = get(status).await?.json().await.with_context(|| format!("GET {status}"))?;
                ensure!(status.connected, "it does not stream yet");
                Ok(())
            }
            Self::Handlers { port, advertised, admin } => {
                http2(*port).await?;
                listed(&format!("{admin}/deployments"), &format!("127.0.0.1:{advertised}"), "the handlers").await?;
                listed(&format!("{admin}/subscriptions"), "service://", "a subscription").await
            }
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
            return Err(Failure::new(sentence, process.log()).alive().into());
        }
        let interval = if matches!(ready, Ready::Postgres(_)) { POSTGRES_INTERVAL } else { INTERVAL };
        tokio::time::sleep(interval).await;
    }
}

async fn get(url: &str) -> anyhow::Result<reqwest::Response> {
    let limits = chassis::client::Limits { connect: Duration::from_secs(1), whole: Duration::from_secs(2) };
    let client = chassis::client::build(limits).context("can't build an HTTP client")?;
    let response = client.get(url).send().await.with_context(|| format!("GET {url}"))?;
    ensure!(response.status().is_success(), "GET {url} answered {}", response.status());
    Ok(response)
}

/// Whether a list of Restate's admin API names something.
async fn listed(url: &str, name: &str, what: &str) -> anyhow::Result<()> {
    let text = get(url).await?.text().await.with_context(|| format!("GET {url}"))?;
    ensure!(text.contains(name), "Restate does not know {what} yet");
    Ok(())
}

/// Whether a server takes HTTP/2 without an upgrade: it answers the client's preface with its settings.
async fn http2(port: u16) -> anyhow::Result<()> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let talk = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.context("can't connect")?;
        stream.write_all(PREFACE).await.context("can't talk HTTP/2")?;
        stream.write_all(&EMPTY_SETTINGS).await.context("can't talk HTTP/2")?;
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).await.context("no answer to HTTP/2")?;
        ensure!(frame[3] == EMPTY_SETTINGS[3], "it does not talk HTTP/2");
        Ok(())
    };
    tokio::time::timeout(Duration::from_secs(2), talk).await.context("no answer within 2 s")?
}
