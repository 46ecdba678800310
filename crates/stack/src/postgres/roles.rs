//! The services' database and their login roles, each a member of the group role that the migrations made.

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::secrets::Secrets;

/// A login of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login {
    /// The role that logs in.
    pub role: &'static str,
    /// The group roles with the rights.
    pub groups: &'static [&'static str],
    /// Whether it reads the log.
    pub replication: bool,
}

/// The set-up's: no group, every right.
pub const SUPERUSER: Login = Login { role: super::SUPERUSER, groups: &[super::SUPERUSER], replication: true };
/// payments-api's.
pub const PAYMENTS_API: Login = Login { role: "payments_api", groups: &["everhook_payments"], replication: false };
/// data-service's.
pub const DATA_SERVICE: Login = Login { role: "data_service", groups: &["everhook_data"], replication: false };
/// The portal's.
pub const PORTAL: Login = Login { role: "portal", groups: &["everhook_portal"], replication: false };
/// cdc-relay's.
pub const CDC_RELAY: Login = Login { role: "cdc_relay", groups: &["everhook_relay"], replication: true };

/// The old way's: it is its own portal, and reads what it signs with.
pub const BASELINE: Login =
    Login { role: "baseline", groups: &["everhook_payments", "everhook_portal", "everhook_data"], replication: false };

/// Those of the services that a stack starts.
pub const LOGINS: [Login; 4] = [PAYMENTS_API, DATA_SERVICE, PORTAL, CDC_RELAY];

impl Login {
    /// The name of its password among the secrets.
    #[must_use]
    pub fn secret(&self) -> String {
        format!("postgres-{}-password", self.role.replace('_', "-"))
    }
}

/// Makes a database, if it is missing.
///
/// # Errors
/// If a statement fails.
pub async fn create_database(superuser: &PgConnectOptions, database: &str) -> anyhow::Result<()> {
    let mut connection = connect(superuser).await?;
    let there = sqlx::query("select from pg_database where datname = $1").bind(database);
    if there.fetch_optional(&mut connection).await.context("can't list the databases")?.is_none() {
        execute(&mut connection, format!("create database {database}")).await?;
    }
    connection.close().await.context("can't disconnect from PostgreSQL")
}

/// Makes login roles with the passwords of this stack. The group roles must be there: migrate first.
///
/// # Errors
/// If a statement fails.
pub async fn create_logins(superuser: &PgConnectOptions, secrets: &Secrets, logins: &[Login]) -> anyhow::Result<()> {
    let mut connection = connect(superuser).await?;
    // A password of random bits needs no stretching, and without optimisation a client computes a good part of a second for
    // each connection: after an outage, that is all that a busy machine would do. PostgreSQL 15 has no such setting.
    let knows = sqlx::query("select from pg_settings where name = 'scram_iterations'").fetch_optional(&mut connection);
    if knows.await.context("can't list the settings")?.is_some() {
        execute(&mut connection, "set scram_iterations = 16".to_owned()).await?;
    }
    for login in logins {
        let Login { role, groups, replication } = login;
        let there = sqlx::query("select from pg_roles where rolname = $1").bind(role);
        if there.fetch_optional(&mut connection).await.context("can't list the roles")?.is_none() {
            execute(&mut connection, format!("create role {role}")).await?;
        }
        let replication = if *replication { "replication" } else { "noreplication" };
        // A password of ours is URL-safe base64: it holds nothing that would have to be quoted.
        let password = secrets.text(&login.secret())?;
        execute(&mut connection, format!("alter role {role} login {replication} password '{password}'")).await?;
        execute(&mut connection, format!("grant {} to {role}", groups.join(", "))).await?;
    }
    connection.close().await.context("can't disconnect from PostgreSQL")
}

async fn connect(options: &PgConnectOptions) -> anyhow::Result<PgConnection> {
    let options = options.clone().ssl_mode(PgSslMode::Disable).disable_statement_logging();
    options.connect().await.context("can't connect to PostgreSQL for its set-up")
}

async fn execute(connection: &mut PgConnection, statement: String) -> anyhow::Result<()> {
    let what = statement.split(" password ").next().unwrap_or_default().to_owned();
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await.with_context(|| format!("can't {what}"))?;
    Ok(())
}
