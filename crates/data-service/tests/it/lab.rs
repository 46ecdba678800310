//! A database of its own for each test, looked at and changed behind the service's back, and services over it.

use chassis::Lifecycle;
use data_service::Keyring;
use data_service::app::{App, Core, Patience, Pools};
use domain::gate::Limits;
use domain::ids::EventId;
use domain::ledger::Order;
use domain::signature::{self, Key, Secret};
use domain::webhook::Request;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use std::time::Duration;

use crate::service::Service;

/// As in production.
pub const PATIENCE: Patience = Patience {
    unrouted: Duration::from_secs(300),
    overtaken: Duration::from_secs(60),
    overdue: Duration::from_secs(300),
    lease_margin: Duration::from_secs(5),
    // However long a test takes between two questions.
    begun: Duration::from_secs(3600),
    sweep_limit: 500,
};

/// The database and a running service.
pub struct Lab {
    /// Sees and may do everything.
    pub database: PgPool,
    pub service: Service,
    connect: PgConnectOptions,
    patience: Patience,
}

/// A payment and its first event.
#[derive(Debug, Clone)]
pub struct Payment {
    pub payment_id: String,
    pub event_id: EventId,
}

/// What an endpoint is made with.
pub struct Wants {
    pub event_types: &'static [&'static str],
    pub schedule_ms: Option<Vec<i64>>,
    pub has_secret: bool,
    pub enabled: bool,
    pub order: Order,
}

impl Default for Wants {
    fn default() -> Self {
        Self { event_types: &["*"], schedule_ms: None, has_secret: true, enabled: true, order: Order::Any }
    }
}

/// What a job does.
pub enum Job {
    Resend,
    Recover(&'static [&'static str]),
    Enable(&'static str),
}

/// A delivery as it is stored.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Row {
    pub delivery_id: String,
    pub event_id: String,
    pub endpoint_id: String,
    pub state: String,
    pub reason: Option<String>,
    pub claim: i32,
    pub attempts: i32,
    pub unknowns: i32,
    pub owner: Option<String>,
    pub has_ended_at: bool,
    pub due_in_s: f64,
}

/// An ended attempt as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Logged {
    pub number: i32,
    pub claim: i32,
    pub outcome: String,
    pub status: Option<i16>,
}

/// The key of every service's keyring.
pub fn keyring() -> Keyring {
    // Base64 of 32 bytes of 5.
    Keyring::from_text("BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=").unwrap()
}

/// The secret of every endpoint.
pub fn secret() -> Secret {
    Secret::from_bytes(&[7; 32]).unwrap()
}

/// A header of a request, which is there once.
pub fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    let mut values = request.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let value = values.next().unwrap_or_else(|| panic!("there is no {name}: {:?}", request.headers));
    assert!(values.next().is_none(), "{name} is there twice");
    value
}

/// Whether a merchant with these keys accepts the request at the moment at which it was signed.
pub fn signed_by(keys: &[Key], request: &Request) -> bool {
    let timestamp_s = header(request, "webhook-timestamp").parse().unwrap();
    let signed = signature::Signed {
        id: header(request, "webhook-id"),
        timestamp_s,
        signatures: header(request, "webhook-signature"),
        body: request.body.as_bytes(),
    };
    signature::verify(keys, signed, timestamp_s).is_ok()
}

impl Lab {
    pub async fn start(pool: PgPoolOptions, connect: PgConnectOptions) -> Self {
        Self::start_with(pool, connect, PATIENCE).await
    }

    pub async fn start_with(pool: PgPoolOptions, connect: PgConnectOptions, patience: Patience) -> Self {
        let database = pool.connect_with(connect.clone()).await.unwrap();
        let service = serve(&connect, patience).await;
        Self { database, service, connect, patience }
    }

    /// A further process over the same database.
    pub async fn another(&self) -> Service {
        serve(&self.connect, self.patience).await
    }

    /// What a process is made of, for what it does by itself.
    pub fn app(&self) -> App {
        app(&self.connect, self.patience, &self.service.lifecycle)
    }

    /// Runs a statement that changes the world.
    pub async fn execute(&self, sql: &'static str) -> u64 {
        sqlx::query(sql).execute(&self.database).await.unwrap().rows_affected()
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.database).await.unwrap()
    }

    pub async fn merchant(&self) -> String {
        sqlx::query_scalar(
            "insert into merchants (merchant_id, name) values (new_id('mer_', now()), 'Bakery') returning merchant_id",
        )
        .fetch_one(&self.database)
        .await
        .unwrap()
    }

    pub async fn endpoint(&self, merchant_id: &str, wants: Wants) -> String {
        let types: Vec<String> = wants.event_types.iter().map(|&text| text.to_owned()).collect();
        let endpoint_id: String = sqlx::query_scalar(
            "insert into endpoints
                (endpoint_id, merchant_id, url, event_types, schedule_ms, state, disabled_reason, delivery_order)
             values (new_id('ep_', now()), $1, 'http://127.0.0.1:4001/webhooks/x', $2, $3,
                case when $4 then 'enabled' else 'disabled' end, case when $4 then null else 'by the test' end, $5)
             returning endpoint_id",
        )
        .bind(merchant_id)
        .bind(types)
        .bind(wants.schedule_ms)
        .bind(wants.enabled)
        .bind(wants.order.as_str())
        .fetch_one(&self.database)
        .await
        .unwrap();
        if wants.has_secret {
            self.give_secret(&endpoint_id).await;
        }
        endpoint_id
    }

    /// The secret of every endpoint; what it had before goes on for an hour.
    pub async fn give_secret(&self, endpoint_id: &str) {
        sqlx::query(
            "update endpoint_secrets set expires_at = now() + interval '1 hour'
             where endpoint_id = $1 and expires_at is null",
        )
        .bind(endpoint_id)
        .execute(&self.database)
        .await
        .unwrap();
        let sealed = keyring().seal(&secret(), [9; 24]).unwrap();
        sqlx::query(
            "insert into endpoint_secrets (secret_id, endpoint_id, key_id, ciphertext)
             values (new_id('sec_', now()), $1, $2, $3)",
        )
        .bind(endpoint_id)
        .bind(sealed.key_id)
        .bind(sealed.ciphertext)
        .execute(&self.database)
        .await
        .unwrap();
    }

    pub async fn payment(&self, merchant_id: &str) -> Payment {
        let payment_id: String = sqlx::query_scalar(
            "insert into payments (payment_id, merchant_id, amount, currency, reference)
             values (new_id('pay_', now()), $1, 1000, 'USD', 'order 7') returning payment_id",
        )
        .bind(merchant_id)
        .fetch_one(&self.database)
        .await
        .unwrap();
        let event_id = self.newest_event(&payment_id).await;
        Payment { payment_id, event_id }
    }

    /// Changes the status as psql would; answers the event.
    pub async fn change(&self, payment: &Payment, status: &str) -> EventId {
        sqlx::query("update payments set status = $2 where payment_id = $1")
            .bind(&payment.payment_id)
            .bind(status)
            .execute(&self.database)
            .await
            .unwrap();
        self.newest_event(&payment.payment_id).await
    }

    async fn newest_event(&self, payment_id: &str) -> EventId {
        let event_id: String = sqlx::query_scalar(
            "select event_id from domain_events where object_id = $1 order by object_version desc limit 1",
        )
        .bind(payment_id)
        .fetch_one(&self.database)
        .await
        .unwrap();
        event_id.parse().unwrap()
    }

    /// An event of that many seconds ago, as the trigger would have written it then.
    pub async fn old_event(&self, payment: &Payment, age_s: f64) -> EventId {
        let event_id: String = sqlx::query_scalar(
            "insert into domain_events
                (event_id, event_type, object_type, object_id, object_version, merchant_id, occurred_at, xid)
             select new_id('evt_', moment), 'payment.created', 'payment', payment_id, 1, merchant_id, moment,
                pg_current_xact_id()
             from payments, lateral (select clock_timestamp() - make_interval(secs => $2) as moment) as at
             where payment_id = $1
             returning event_id",
        )
        .bind(&payment.payment_id)
        .bind(age_s)
        .fetch_one(&self.database)
        .await
        .unwrap();
        event_id.parse().unwrap()
    }

    /// A job over all deliveries of the endpoint so far; answers its id.
    pub async fn job(&self, endpoint_id: &str, what: Job) -> String {
        let (kind, parked, states) = match what {
            Job::Resend => ("resend", None, None),
            Job::Recover(states) => ("recover", None, Some(states.to_vec())),
            Job::Enable(choice) => ("enable", Some(choice), None),
        };
        sqlx::query_scalar(
            "insert into jobs (job_id, merchant_id, endpoint_id, kind, made_by, parked, states, lowest_id, below_id)
             select new_id('job_', clock_timestamp()), merchant_id, endpoint_id, $2, 'operator', $3, $4, 'dlv_', 'dlv_~'
             from endpoints where endpoint_id = $1
             returning job_id",
        )
        .bind(endpoint_id)
        .bind(kind)
        .bind(parked)
        .bind(states)
        .fetch_one(&self.database)
        .await
        .unwrap()
    }

    /// State, total, done and skipped.
    pub async fn progress(&self, job_id: &str) -> (String, Option<i64>, i64, i64) {
        sqlx::query_as("select state, total, done, skipped from jobs where job_id = $1")
            .bind(job_id)
            .fetch_one(&self.database)
            .await
            .unwrap()
    }

    pub async fn deliveries(&self, event_id: EventId) -> Vec<Row> {
        sqlx::query_as(
            "select delivery_id, event_id, endpoint_id, state, reason, claim, attempts, unknowns, owner,
                ended_at is not null as has_ended_at,
                extract(epoch from due_at - clock_timestamp())::float8 as due_in_s
             from deliveries where event_id = $1 order by endpoint_id",
        )
        .bind(event_id.to_string())
        .fetch_all(&self.database)
        .await
        .unwrap()
    }

    /// The one delivery of an event.
    pub async fn delivery(&self, event_id: EventId) -> Row {
        let mut rows = self.deliveries(event_id).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }

    pub async fn log(&self, delivery_id: impl ToString) -> Vec<Logged> {
        sqlx::query_as(
            "select number, claim, outcome, status from attempts where delivery_id = $1 order by number, recorded_at",
        )
        .bind(delivery_id.to_string())
        .fetch_all(&self.database)
        .await
        .unwrap()
    }

    /// How many deliveries the event has by its row on the ledger; none if it is not routed.
    pub async fn fan_out(&self, event_id: EventId) -> Option<i32> {
        sqlx::query_scalar("select fan_out from routed_events where event_id = $1")
            .bind(event_id.to_string())
            .fetch_optional(&self.database)
            .await
            .unwrap()
    }
}

async fn serve(connect: &PgConnectOptions, patience: Patience) -> Service {
    let lifecycle = Lifecycle::default();
    let app = app(connect, patience, &lifecycle);
    Service::start(lifecycle, app).await
}

fn app(connect: &PgConnectOptions, patience: Patience, lifecycle: &Lifecycle) -> App {
    let connect = connect.clone().options([("role", "everhook_data")]);
    let pools = Pools::share(10, |share, durability, statements| {
        Ok::<_, store::Error>(store::connect_with(connect.clone(), share, durability, statements))
    });
    App::over(Core::new(pools.unwrap(), keyring(), patience, Limits::default()), lifecycle)
}
