//! data-service as this process sees it. Calls that come together travel together.

use std::time::Duration;

use chassis::batch::Batcher;
use chassis::client::{self, Limits};
use chassis::error_chain::Chain;
use chassis::flags::FileError;
use chassis::{Lifecycle, Token};
use domain::protocol::{Answer, Ask, Open, Opened, Overdue, OverdueQuery, ParkedRecord, Recorded};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::config::Serve;

/// Calls on the way side by side; each carries what has gathered.
const LANES: usize = 3;
const MOST_IN_A_CALL: usize = 100;

/// The client.
#[derive(Clone)]
pub struct LedgerClient {
    door: DataService,
    opens: Batcher<Open, Opened>,
    asks: Batcher<Ask, Answer>,
    records: Batcher<Recorded, Answer>,
}

/// A call to data-service failed; it may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The token could not be read.
    #[error("reading the token for data-service")]
    Token(#[source] FileError),
    /// The client could not be set up.
    #[error("setting up the HTTP client")]
    Client(#[source] client::SetUp),
    /// The flag's URL takes no path.
    #[error("{url} can't be the address of data-service")]
    Url {
        /// As configured.
        url: Url,
    },
    /// No answer, or not the one that was expected.
    #[error("asking data-service for {path}")]
    Call {
        /// Which call.
        path: &'static str,
        /// Why.
        source: reqwest::Error,
    },
}

impl LedgerClient {
    /// Sets up the client and its batches.
    pub fn new(flags: &Serve, lifecycle: &Lifecycle) -> Result<Self, Error> {
        let token = Token::from_file(&flags.token_file).map_err(Error::Token)?;
        let limits = Limits { connect: Duration::from_secs(2), whole: Duration::from_secs(10) };
        let client = client::build(limits).map_err(Error::Client)?;
        let door = DataService { client, base: flags.data_service_url.clone(), token };
        door.url("/")?;
        Ok(Self {
            // After a restart, Restate tries all again at once: what has waited longest is not to stand behind what is new.
            opens: door.batcher(lifecycle, "/internal/open", |open| open.event_id, || Opened::Failed),
            asks: door.batcher(lifecycle, "/internal/next", |_| (), || Answer::Failed),
            records: door.batcher(lifecycle, "/internal/record", |_| (), || Answer::Failed),
            door,
        })
    }

    /// Routes the event if nobody has.
    pub async fn open(&self, open: Open) -> Opened {
        self.opens.call(open).await.unwrap_or(Opened::Failed)
    }

    /// May the next attempt be made?
    pub async fn next(&self, ask: Ask) -> Answer {
        self.asks.call(ask).await.unwrap_or(Answer::Failed)
    }

    /// Stores a result.
    pub async fn record(&self, result: Recorded) -> Answer {
        self.records.call(result).await.unwrap_or(Answer::Failed)
    }

    /// Parks a record.
    pub async fn park(&self, record: &ParkedRecord) -> Result<(), Error> {
        self.door.send("/internal/parked-records", record).await.map(drop)
    }

    /// What is overdue, if this process leads.
    pub async fn overdue(&self, query: &OverdueQuery) -> Result<Overdue, Error> {
        self.door.call("/internal/overdue", query).await
    }

    /// What a job sends now, if this process leads.
    pub async fn jobs(&self, query: &OverdueQuery) -> Result<Overdue, Error> {
        self.door.call("/internal/jobs", query).await
    }
}

#[derive(Clone)]
struct DataService {
    client: reqwest::Client,
    base: Url,
    token: Token,
}

impl DataService {
    fn batcher<T, R, K>(
        &self,
        lifecycle: &Lifecycle,
        path: &'static str,
        order: fn(&T) -> K,
        failed: fn() -> R,
    ) -> Batcher<T, R>
    where
        K: Ord + Send + 'static,
        T: Serialize + Send + Sync + 'static,
        R: DeserializeOwned + Send + 'static,
    {
        let door = self.clone();
        Batcher::start_in_order(lifecycle, LANES, MOST_IN_A_CALL, order, move |items: Vec<T>| {
            let door = door.clone();
            async move {
                match door.call::<_, Vec<R>>(path, &items).await {
                    Ok(answers) if answers.len() == items.len() => answers,
                    Ok(answers) => {
                        tracing::error!(
                            path,
                            asked = items.len(),
                            answered = answers.len(),
                            "data-service answered another number of items"
                        );
                        items.iter().map(|_| failed()).collect()
                    }
                    Err(error) => {
                        tracing::warn!(error = %Chain(&error), items = items.len(), "data-service gave no answer");
                        items.iter().map(|_| failed()).collect()
                    }
                }
            }
        })
    }

    async fn call<T: Serialize + ?Sized, R: DeserializeOwned>(&self, path: &'static str, body: &T) -> Result<R, Error> {
        let response = self.send(path, body).await?;
        response.json().await.map_err(|source| Error::Call { path, source })
    }

    async fn send<T: Serialize + ?Sized>(&self, path: &'static str, body: &T) -> Result<reqwest::Response, Error> {
        let request = self.client.post(self.url(path)?).bearer_auth(self.token.expose()).json(body);
        let response = request.send().await.and_then(reqwest::Response::error_for_status);
        response.map_err(|source| Error::Call { path, source })
    }

    fn url(&self, path: &str) -> Result<Url, Error> {
        self.base.join(path).map_err(|_| Error::Url { url: self.base.clone() })
    }
}
