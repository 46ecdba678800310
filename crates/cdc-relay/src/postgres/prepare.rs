//! Before the stream opens: the publication is there, then the slot, and the slot is one that can be streamed.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};

use super::{Target, slot};

/// Making a slot waits for the transactions that are running. A try that is given up goes on in the server, and the
/// next one finds what it made.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the relay wants to find.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The publication, which somebody else makes.
    pub publication: String,
    /// The slot, which is made here.
    pub slot: String,
    /// Whether standbys get a copy of the slot; from PostgreSQL 17 on.
    pub failover: bool,
}

/// What was done to the slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// It was there.
    Found,
    /// There was none, and nothing to be captured: the first start.
    Created,
    /// It was lost, and another one has its name now.
    Recreated,
}

/// The stream can't be opened yet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL can't be reached.
    #[error(transparent)]
    Connect(#[from] super::Error),
    /// No answer in time.
    #[error(
        "the slot {slot} was not ready within {PATIENCE:?}; a new slot waits until all running transactions have ended"
    )]
    Slow {
        /// Its name.
        slot: String,
    },
    /// The publication is missing.
    #[error(
        "the publication {publication} does not exist in the database {database}: run the migrations, which make it, \
         or name another one with --publication"
    )]
    NoPublication {
        /// Its name.
        publication: String,
        /// Where it was looked for.
        database: String,
    },
    /// The publication does not publish inserts.
    #[error("the publication {publication} does not publish inserts: alter publication … set (publish = 'insert')")]
    NoInserts {
        /// Its name.
        publication: String,
    },
    /// Somebody else's slot has the name.
    #[error("the slot {slot} belongs to another plugin or database; name another one with --slot")]
    ForeignSlot {
        /// Its name.
        slot: String,
    },
    /// The server does not write what logical replication needs.
    #[error("the server has wal_level = {0}: set wal_level = logical and restart it")]
    WalLevel(String),
    /// The publication could not be looked up.
    #[error("can't look up the publication {publication}")]
    LookUpPublication {
        /// Its name.
        publication: String,
        /// What PostgreSQL said.
        source: sqlx::Error,
    },
    /// The slot could not be looked up.
    #[error("can't look up the slot {slot}")]
    LookUpSlot {
        /// Its name.
        slot: String,
        /// What PostgreSQL said.
        source: sqlx::Error,
    },
    /// The lost slot could not be dropped.
    #[error("can't drop the lost slot {slot}")]
    DropSlot {
        /// Its name.
        slot: String,
        /// What PostgreSQL said.
        source: sqlx::Error,
    },
    /// The slot could not be made.
    #[error("can't create the slot {slot}; the role needs the attribute replication, and the server a free slot")]
    CreateSlot {
        /// Its name.
        slot: String,
        /// What PostgreSQL said.
        source: sqlx::Error,
    },
}

/// Looks at publication and slot, and makes the slot if it is missing or lost.
///
/// `expected` says that the slot must be there, since it was before; `give_up` says why the one that is there is of
/// no use although PostgreSQL shows nothing.
///
/// # Errors
/// If something is missing that others make, or PostgreSQL refuses.
pub async fn prepare(
    target: &Target,
    wanted: &Wanted,
    expected: bool,
    give_up: Option<&str>,
) -> Result<Prepared, Error> {
    let mut connection = target.connect().await?;
    let prepared = tokio::time::timeout(PATIENCE, async {
        check_publication(&mut connection, target, wanted).await?;
        ensure_slot(&mut connection, target, wanted, expected, give_up).await
    })
    .await
    .map_err(|_| Error::Slow { slot: wanted.slot.clone() })?;
    // The server notices by itself when this does not get through.
    let _ = connection.close().await;
    prepared
}

async fn check_publication(connection: &mut PgConnection, target: &Target, wanted: &Wanted) -> Result<(), Error> {
    let publication = &wanted.publication;
    let failed = |source| Error::LookUpPublication { publication: publication.clone(), source };
    let wal_level: String =
        sqlx::query_scalar("select current_setting('wal_level')").fetch_one(&mut *connection).await.map_err(failed)?;
    if wal_level != "logical" {
        return Err(Error::WalLevel(wal_level));
    }
    let inserts: Option<bool> = sqlx::query_scalar("select pubinsert from pg_publication where pubname = $1")
        .bind(publication)
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    match inserts {
        Some(true) => Ok(()),
        Some(false) => Err(Error::NoInserts { publication: publication.clone() }),
        None => Err(Error::NoPublication { publication: publication.clone(), database: target.database().to_owned() }),
    }
}

async fn ensure_slot(
    connection: &mut PgConnection,
    target: &Target,
    wanted: &Wanted,
    expected: bool,
    give_up: Option<&str>,
) -> Result<Prepared, Error> {
    let name = &wanted.slot;
    let found =
        slot::look(connection, name).await.map_err(|source| Error::LookUpSlot { slot: name.clone(), source })?;
    let confirmed = found.as_ref().and_then(|slot| slot.confirmed.clone());
    let lost = match &found {
        None if expected => Some("it does not exist any more".to_owned()),
        // A base backup holds no slots.
        None if has_published(connection, wanted).await? => {
            Some("there was none, although the published tables have been written to".to_owned())
        }
        None => None,
        Some(slot)
            if slot.plugin.as_deref() != Some("pgoutput") || slot.database.as_deref() != Some(target.database()) =>
        {
            return Err(Error::ForeignSlot { slot: name.clone() });
        }
        Some(slot) => match slot.lost_because().or(give_up.map(ToOwned::to_owned)) {
            None => return Ok(Prepared::Found),
            Some(reason) => {
                slot::drop(connection, name).await.map_err(|source| Error::DropSlot { slot: name.clone(), source })?;
                Some(reason)
            }
        },
    };
    let start = slot::create(connection, name, wanted.failover)
        .await
        .map_err(|source| Error::CreateSlot { slot: name.clone(), source })?;
    match lost {
        Some(reason) => {
            tracing::error!(
                slot = name,
                reason,
                confirmed,
                start,
                "the replication slot was lost and has been made anew: what was committed before its start and not \
                 confirmed is not in Kafka; the reconciler finds it in the table, if it is running"
            );
            Ok(Prepared::Recreated)
        }
        None => {
            tracing::info!(slot = name, start, "created the replication slot: changes from here on go to Kafka");
            Ok(Prepared::Created)
        }
    }
}

async fn has_published(connection: &mut PgConnection, wanted: &Wanted) -> Result<bool, Error> {
    let publication = &wanted.publication;
    slot::has_published(connection, publication)
        .await
        .map_err(|source| Error::LookUpPublication { publication: publication.clone(), source })
}

/// The names of a table's primary key columns, for a table whose replica identity is not its primary key.
///
/// # Errors
/// If PostgreSQL can't be asked.
pub async fn primary_key(target: &Target, table_oid: u32) -> Result<Vec<String>, Error> {
    let mut connection = target.connect().await?;
    let query = sqlx::query_scalar(
        "select a.attname::text
         from pg_index i
         join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
         where i.indrelid = $1::bigint::oid and i.indisprimary",
    );
    let names =
        query.bind(i64::from(table_oid)).fetch_all(&mut connection).await.map_err(|source| {
            Error::LookUpPublication { publication: format!("of the table oid {table_oid}"), source }
        })?;
    let _ = connection.close().await;
    Ok(names)
}
