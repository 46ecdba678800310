//! The two sides: which process is killed, where the doors are, and when nothing more is to come.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use chassis::Lifecycle;
use chassis::backoff::Backoff;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use verifier::account::Account;
use verifier::audit::Audit;
use verifier::door::Door;

use crate::doors::{Doors, WITHIN};
use crate::progress::Progress;
use crate::{Stack, ledger, services};

/// Who delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// baseline, from its memory.
    Old,
    /// The pipeline.
    New,
}

impl Side {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Old => "OLD",
            Self::New => "NEW",
        }
    }

    /// The process that delivers. Of the old way it is the only one.
    #[must_use]
    pub const fn deliverer(self) -> &'static str {
        match self {
            Self::Old => services::BASELINE,
            Self::New => "webhook-consumer",
        }
    }
}

/// Where one side is played.
pub(super) struct Arena<'a> {
    pub(super) stack: &'a Stack,
    pub(super) side: Side,
    pub(super) doors: Doors,
    pub(super) deadline: Duration,
    pub(super) lifecycle: &'a Lifecycle,
    pub(super) progress: &'a Progress,
}

impl<'a> Arena<'a> {
    pub(super) fn new(
        stack: &'a Stack,
        side: Side,
        deadline: Duration,
        lifecycle: &'a Lifecycle,
        progress: &'a Progress,
    ) -> anyhow::Result<Self> {
        let doors = match side {
            Side::Old => Doors::of_baseline(stack)?,
            Side::New => Doors::of(stack)?,
        };
        Ok(Self { stack, side, doors, deadline, lifecycle, progress })
    }

    /// Beside the logs, because it is wanted when they are.
    pub(super) fn account_file(&self, name: &str) -> PathBuf {
        self.stack.folder().logs().join(format!("account-{}-{}.jsonl", name.replace(' ', "-"), self.side.as_str()))
    }

    /// Resolves when nothing more is to come: the old way has nothing in memory, the new one's ledger has an end for
    /// everything. Answers the ledger's account, which the old way has none of.
    pub(super) async fn quiet(&self, account: &Account) -> anyhow::Result<Option<Audit>> {
        match self.side {
            Side::Old => self.until_memory_is_empty().await.map(|()| None),
            Side::New => ledger::settled(&self.doors.portal()?, account, self.deadline).await.map(Some),
        }
    }

    async fn until_memory_is_empty(&self) -> anyhow::Result<()> {
        #[derive(Deserialize)]
        struct Status {
            in_memory: u64,
        }
        let door = Door::new("baseline", &self.doors.payments_api, None, WITHIN)?;
        let deadline = Instant::now() + self.deadline;
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(200));
        loop {
            let Status { in_memory } = door.get("status", WITHIN).await?;
            if in_memory == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!(
                    "the old way has {in_memory} events in memory {} s after the load: give it longer with --deadline",
                    self.deadline.as_secs()
                );
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }
}
