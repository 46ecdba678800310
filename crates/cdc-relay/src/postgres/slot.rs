//! The replication slot: PostgreSQL's memory of how far we are.

use sqlx::{FromRow, PgConnection, Row as _};

/// What `pg_replication_slots` says of the slot.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Slot {
    /// `pgoutput`, unless somebody else made it.
    pub plugin: Option<String>,
    /// The database that it belongs to; `None` for a physical one.
    pub database: Option<String>,
    /// The server process that streams it.
    pub active_pid: Option<i32>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub wal_status: Option<String>,
    /// From PostgreSQL 17 on.
    pub invalidation_reason: Option<String>,
    /// Everything before it was confirmed, as `X/Y`.
    pub confirmed: Option<String>,
    /// Log that is not confirmed, in bytes.
    pub lag_bytes: Option<i64>,
    /// Log that is kept for the slot, in bytes.
    pub retained_bytes: Option<i64>,
}

impl Slot {
    /// Why the slot can never be streamed again, if so.
    #[must_use]
    pub fn lost_because(&self) -> Option<String> {
        match (&self.invalidation_reason, self.wal_status.as_deref()) {
            (Some(reason), _) => Some(format!("PostgreSQL invalidated it: {reason}")),
            (None, Some("lost")) => Some("PostgreSQL has removed the log that it needs".to_owned()),
            _ => None,
        }
    }

    /// Whether PostgreSQL may remove log that the slot still needs at its next checkpoint. It can still be streamed,
    /// so it must not be given up: what it holds would be lost for certain.
    #[must_use]
    pub fn is_in_danger(&self) -> bool {
        self.wal_status.as_deref() == Some("unreserved")
    }
}

/// The slot of that name, if there is one.
///
/// # Errors
/// If the query fails.
pub async fn look(connection: &mut PgConnection, name: &str) -> Result<Option<Slot>, sqlx::Error> {
    // Columns that only newer versions have are read through jsonb.
    sqlx::query_as(
        "select plugin::text, database::text, active_pid, wal_status,
                to_jsonb(s) ->> 'invalidation_reason' as invalidation_reason,
                confirmed_flush_lsn::text as confirmed,
                pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint as lag_bytes,
                pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint as retained_bytes
         from pg_replication_slots s
         where slot_name = $1",
    )
    .bind(name)
    .fetch_optional(connection)
    .await
}

/// The position before which everything was confirmed; `None` without such a slot.
///
/// # Errors
/// If the query fails.
pub async fn confirmed(connection: &mut PgConnection, name: &str) -> Result<Option<u64>, sqlx::Error> {
    let confirmed: Option<Option<i64>> = sqlx::query_scalar(
        "select pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')::bigint from pg_replication_slots where slot_name = $1",
    )
    .bind(name)
    .fetch_optional(connection)
    .await?;
    Ok(confirmed.flatten().and_then(|position| u64::try_from(position).ok()))
}

/// Whether a table of the publication has ever been written to.
///
/// # Errors
/// If the query fails.
pub async fn has_published(connection: &mut PgConnection, publication: &str) -> Result<bool, sqlx::Error> {
    // The sizes need no right on the tables.
    sqlx::query_scalar(
        "select exists (
             select from pg_publication_tables p
             cross join pg_partition_tree(format('%I.%I', p.schemaname, p.tablename)::regclass) t
             where p.pubname = $1 and t.isleaf and pg_relation_size(t.relid) > 0)",
    )
    .bind(publication)
    .fetch_one(connection)
    .await
}

/// Makes the slot; returns where it starts, as `X/Y`. It waits for the transactions that are running.
///
/// # Errors
/// If PostgreSQL refuses: no rights, no free slot, `wal_level` below logical, or `failover` before version 17.
pub async fn create(connection: &mut PgConnection, name: &str, failover: bool) -> Result<String, sqlx::Error> {
    let query = if failover {
        sqlx::query("select lsn::text from pg_create_logical_replication_slot($1, 'pgoutput', false, false, true)")
    } else {
        sqlx::query("select lsn::text from pg_create_logical_replication_slot($1, 'pgoutput', false, false)")
    };
    query.bind(name).fetch_one(connection).await?.try_get(0)
}

/// Drops the slot.
///
/// # Errors
/// If it is in use.
pub async fn drop(connection: &mut PgConnection, name: &str) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_drop_replication_slot($1)").bind(name).execute(connection).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(wal_status: &str, invalidation_reason: Option<&str>) -> Slot {
        Slot {
            plugin: Some("pgoutput".to_owned()),
            database: Some("payments".to_owned()),
            active_pid: None,
            wal_status: Some(wal_status.to_owned()),
            invalidation_reason: invalidation_reason.map(str::to_owned),
            confirmed: None,
            lag_bytes: None,
            retained_bytes: None,
        }
    }

    #[test]
    fn only_what_can_never_be_streamed_again_is_lost() {
        for status in ["reserved", "extended", "unreserved"] {
            assert_eq!(slot(status, None).lost_because(), None, "{status}");
        }
        assert!(slot("lost", None).lost_because().is_some());
        assert!(slot("reserved", Some("idle_timeout")).lost_because().unwrap().contains("idle_timeout"));
        assert!(slot("unreserved", None).is_in_danger());
        assert!(!slot("extended", None).is_in_danger());
    }
}
