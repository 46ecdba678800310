//! What happens to a platform as a whole: the power fails, a disk loses what it had not written, a database is restored.

use std::path::Path;

use anyhow::{Context, bail};
use futures_util::future::try_join_all;
use rustix::process::Signal;
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::Stack;
use crate::folder;
use crate::kafka::tail::{self, Cut};
use crate::postgres::backup::{self, Left};
use crate::process::user::User;

impl Stack {
    /// kill -9 to all of these before it waits for any, as when the power fails.
    ///
    /// # Errors
    /// If one does not run.
    pub async fn kill_together(&self, names: &[&str]) -> anyhow::Result<()> {
        let mut processes = Vec::with_capacity(names.len());
        for name in names {
            processes.push(self.release(name).await?);
        }
        processes.iter().try_for_each(|process| process.signal(Signal::KILL))?;
        try_join_all(processes.iter().map(|process| process.kill())).await.map(drop)
    }

    /// Takes the last `records` records away from each partition of a topic, as a power cut does where Kafka had
    /// acknowledged what the disk had not written. Kafka must not run.
    ///
    /// # Errors
    /// If Kafka runs, or a partition has fewer records in its newest file.
    pub async fn cut_kafka_tail(&self, topic: &str, records: u64) -> anyhow::Result<Vec<Cut>> {
        self.must_not_run("kafka").await?;
        tail::cut(&self.folder.of("kafka").join("data"), topic, records)
    }

    /// Copies PostgreSQL's data while it runs and is written to, as `pg_basebackup --wal-method=fetch` does.
    ///
    /// # Errors
    /// If PostgreSQL does not answer, or a file can't be copied.
    pub async fn back_up_postgres(&self, to: &Path) -> anyhow::Result<()> {
        let options = self.superuser("postgres")?;
        let mut connection = PgConnection::connect_with(&options).await.context("can't connect for the backup")?;
        backup::take(&mut connection, &self.postgres_data(), to).await?;
        connection.close().await.context("can't disconnect after the backup")
    }

    /// Copies PostgreSQL's data as it lies there, as the snapshot of a disk does. PostgreSQL must not run.
    ///
    /// # Errors
    /// If PostgreSQL runs, or a file can't be copied.
    pub async fn snapshot_postgres(&self, to: &Path) -> anyhow::Result<()> {
        self.must_not_run("postgres").await?;
        backup::copy(&self.postgres_data(), to, None, Left::Nothing)
    }

    /// Replaces PostgreSQL's data by such a copy. PostgreSQL must not run.
    ///
    /// # Errors
    /// If PostgreSQL runs, or a file can't be copied.
    pub async fn restore_postgres(&self, from: &Path) -> anyhow::Result<()> {
        self.must_not_run("postgres").await?;
        let data = self.postgres_data();
        folder::remove(&data)?;
        backup::copy(from, &data, User::for_postgres()?.as_ref(), Left::Nothing)
    }

    fn postgres_data(&self) -> std::path::PathBuf {
        self.folder.of("postgres").join("data")
    }

    async fn must_not_run(&self, name: &str) -> anyhow::Result<()> {
        if self.pid(name).await.is_some() {
            bail!("{name} runs: kill or stop it first");
        }
        Ok(())
    }
}
