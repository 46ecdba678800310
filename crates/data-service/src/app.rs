//! What the handlers share, and the routes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use chassis::batch::Batcher;
use chassis::token::require_token;
use chassis::{Lifecycle, Problem, Token, fault};
use domain::gate::Limits;
use domain::protocol::{Answer, Ask, Open, Opened, Recorded};
use domain::trace::SampleRatio;
use store::kept::KeptConnections;
use store::{Durability, PgPool, Statements};

use crate::config::Serve;
use crate::internal::{Begun, HandedOut, Portions, Timed};
use crate::keyring::{self, Keyring};
use crate::{internal, payload};

/// At most so many items share one statement.
pub(crate) const MOST_IN_A_BATCH: usize = 200;

/// From the answer that begins an attempt to the next question of the consumer that has it.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// When things are overdue.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For an event that nobody has routed, whatever CDC does.
    pub unrouted: Duration,
    /// For an event that nobody has routed although CDC has brought a newer one.
    pub overtaken: Duration,
    /// For a delivery past its due time; it doubles with each claim.
    pub overdue: Duration,
    /// Beyond an attempt's own time-out, until it is taken for dead.
    pub lease_margin: Duration,
    /// An attempt that has begun counts as under way for so long, if its consumer does not say so itself.
    pub begun: Duration,
    /// How many events, and how many deliveries, one look hands out at most.
    pub sweep_limit: i64,
}

/// The database's connections, by what they are for.
pub struct Pools {
    /// For what is rare, and may look over many rows; commits wait for the disk.
    pub rare: PgPool,
    /// For results, by key; commits wait for the disk.
    pub recording: PgPool,
    /// For what opens and begins, by key; commits wait for nothing: a power cut costs a repeat, never a loss.
    pub fast: PgPool,
}

impl Pools {
    /// Shares out so many connections, at least 3; `connect` makes each pool.
    ///
    /// # Errors
    /// What `connect` says.
    pub fn share<E>(
        connections: u32,
        connect: impl Fn(u32, Durability, Statements) -> Result<PgPool, E>,
    ) -> Result<Self, E> {
        let rare = (connections / 5).max(1);
        let recording = (connections.saturating_sub(rare) / 2).max(1);
        let fast = connections.saturating_sub(rare + recording).max(1);
        Ok(Self {
            rare: connect(rare, Durability::Durable, Statements::Scans)?,
            recording: connect(recording, Durability::Durable, Statements::Lookups)?,
            fast: connect(fast, Durability::Fast, Statements::Lookups)?,
        })
    }
}

/// The effects: the database, the keys.
pub struct Core {
    pub(crate) rare: PgPool,
    pub(crate) recording: KeptConnections,
    pub(crate) fast: KeptConnections,
    pub(crate) keyring: Keyring,
    pub(crate) patience: Patience,
    pub(crate) limits: Limits,
    /// Which of the traces are kept that nobody has decided on.
    pub(crate) sample_ratio: SampleRatio,
    pub(crate) handed_out: Mutex<HandedOut>,
    pub(crate) begun: Mutex<Begun>,
    pub(crate) portions: AllPortions,
}

/// How much is done at a time, of each kind of batch.
#[derive(Debug, Default)]
pub(crate) struct AllPortions {
    pub(crate) opens: Portions,
    pub(crate) asks: Portions,
    pub(crate) records: Portions,
}

impl Core {
    /// The effects over these pools.
    #[must_use]
    pub fn new(pools: Pools, keyring: Keyring, patience: Patience, limits: Limits) -> Self {
        Self {
            rare: pools.rare,
            recording: KeptConnections::all_of(pools.recording),
            fast: KeptConnections::all_of(pools.fast),
            keyring,
            patience,
            limits,
            sample_ratio: SampleRatio::ALL,
            handed_out: Mutex::default(),
            begun: Mutex::new(Begun::new(patience.begun)),
            portions: AllPortions::default(),
        }
    }

    /// The same; of the traces that nobody has decided on, so many are kept.
    #[must_use]
    pub fn sampling(mut self, ratio: SampleRatio) -> Self {
        self.sample_ratio = ratio;
        self
    }
}

/// What the handlers share.
#[derive(Clone)]
pub struct App {
    pub(crate) core: Arc<Core>,
    pub(crate) opens: Batcher<Open, Timed<Opened>>,
    pub(crate) asks: Batcher<Ask, Timed<Answer>>,
    pub(crate) records: Batcher<Recorded, Answer>,
}

/// The service could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its file can't be read.
    #[error("reading the database password")]
    Password(#[source] chassis::flags::FileError),
    /// The URL has options that are not known.
    #[error("setting up the database pool")]
    Pool(#[source] store::Error),
    /// The key file can't be used.
    #[error("reading the keys")]
    Keys(#[source] keyring::Error),
}

impl App {
    /// Sets up pools, keys and batches. The pools connect when they are first used.
    ///
    /// # Errors
    /// If a file can't be read, or the database URL can't be used.
    pub fn new(flags: &Serve, lifecycle: &Lifecycle) -> Result<Self, Error> {
        let url = flags.database.url_with_password().map_err(Error::Password)?;
        let pools = Pools::share(flags.database.database_connections, |share, durability, statements| {
            store::connect_for(statements, url.as_str(), share, "data-service", durability).map_err(Error::Pool)
        })?;
        let patience = Patience {
            unrouted: flags.unrouted_after,
            overtaken: flags.overtaken_after,
            overdue: flags.overdue_after,
            lease_margin: flags.lease_margin,
            begun: ON_THE_WAY,
            sweep_limit: i64::from(flags.sweep_limit),
        };
        let keyring = Keyring::from_file(&flags.key_file).map_err(Error::Keys)?;
        let core = Core::new(pools, keyring, patience, flags.limits()).sampling(flags.trace_sample_ratio);
        Ok(Self::over(core, lifecycle))
    }

    /// The connections for what is rare, and may look over many rows.
    #[must_use]
    pub fn pool_for_scans(&self) -> PgPool {
        self.core.rare.clone()
    }

    /// Starts the batches over these effects.
    #[must_use]
    pub fn over(core: Core, lifecycle: &Lifecycle) -> Self {
        let core = Arc::new(core);
        let (a, b, c) = (core.clone(), core.clone(), core.clone());
        Self {
            core,
            opens: Batcher::start_for_callers(lifecycle, 2, MOST_IN_A_BATCH, move |items| {
                internal::open::run(a.clone(), items)
            }),
            asks: Batcher::start_for_callers(lifecycle, 1, MOST_IN_A_BATCH, move |items| {
                internal::next::run(b.clone(), items)
            }),
            // A result is worth storing, whoever hears of it.
            records: Batcher::start(lifecycle, 2, MOST_IN_A_BATCH, move |items| {
                let recorded = internal::record::run(c.clone(), items);
                async {
                    let answers = recorded.await;
                    fault::point("ledger.before_answer");
                    answers
                }
            }),
        }
    }
}

/// The doors, each behind its token.
pub fn router(app: App, consumer: Token, portal: Token) -> Router {
    let for_consumer = Router::new()
        .route("/payload/{payment_id}", get(payload::get))
        .route("/internal/open", post(internal::open::post))
        .route("/internal/next", post(internal::next::post))
        .route("/internal/record", post(internal::record::post))
        .route("/internal/parked-records", post(internal::parked_records::post))
        .route("/internal/overdue", post(internal::overdue::post))
        .route("/internal/jobs", post(internal::jobs::post))
        .layer(from_fn_with_state(consumer, require_token))
        .layer(axum::extract::DefaultBodyLimit::max(internal::MOST_BODY_BYTES));
    let for_portal = Router::new()
        .route("/internal/secrets", post(internal::secrets::post))
        .route("/internal/sealed-answers", post(internal::sealed_answers::post))
        .route("/internal/sealed-headers", post(internal::sealed_headers::post))
        .route("/internal/sealed-answers/open", post(internal::sealed_answers::open::post))
        .route("/internal/endpoints/{endpoint_id}/secret", get(internal::endpoints::secret::get))
        .route("/internal/endpoints/{endpoint_id}/secret/rotate", post(internal::endpoints::secret::rotate::post))
        .layer(from_fn_with_state(portal, require_token));
    let other_method =
        async || Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path knows other methods");
    for_consumer.merge(for_portal).method_not_allowed_fallback(other_method).with_state(app)
}
