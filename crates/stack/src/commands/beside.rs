//! A whole stack on free ports in a temporary folder, for the time of one thing that is done beside it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chassis::Lifecycle;

use super::Setting;
use crate::components::Components;
use crate::ports::Ports;
use crate::process::describe;
use crate::process::log::Failure;
use crate::progress::Progress;
use crate::scratch::Scratch;
use crate::{Kit, Stack, services};

/// As a shell has it for one that was interrupted.
const INTERRUPTED: u8 = 130;

/// What is needed to start everything.
#[derive(Debug)]
pub(super) struct Everything {
    pub(super) components: Components,
    pub(super) binaries: PathBuf,
}

/// What is done beside the stack, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside<'a> {
    pub(super) lifecycle: &'a Lifecycle,
    pub(super) progress: &'a Progress,
    /// Whether the logs stay even if all is well.
    pub(super) keep_logs: bool,
    /// What it is called.
    pub(super) name: &'static str,
}

impl Everything {
    /// Gets what is missing; none if the user wants to stop meanwhile.
    pub(super) async fn get(setting: &Setting, beside: &Beside<'_>) -> anyhow::Result<Option<Self>> {
        let binaries = setting.binaries()?;
        services::check(&binaries)?;
        tokio::select! {
            components = setting.components(beside.progress) => Ok(Some(Self { components: components?, binaries })),
            () = beside.lifecycle.stopped() => Ok(None),
        }
    }
}

impl Beside<'_> {
    /// The status after the user wanted to stop.
    pub(super) fn interrupted(&self) -> ExitCode {
        self.progress.say("stopped before the end");
        ExitCode::from(INTERRUPTED)
    }

    /// Starts everything, does `what`, stops everything. `what` is told how long the start took since `begun`, and
    /// answers whether all is well: otherwise the status is 1, and the logs are kept.
    pub(super) async fn run(
        &self,
        everything: Everything,
        begun: Instant,
        what: impl AsyncFnOnce(&Stack, Duration) -> anyhow::Result<bool>,
    ) -> anyhow::Result<ExitCode> {
        self.run_on(everything, Ok, async |stack| self.live(stack, begun, what).await).await
    }

    /// Has `shape` make the stack as it is needed and `what` start it, and stops everything. Whoever dies meanwhile is the
    /// business of `what`.
    pub(super) async fn run_on(
        &self,
        everything: Everything,
        shape: impl FnOnce(Stack) -> anyhow::Result<Stack>,
        what: impl AsyncFnOnce(&Stack) -> anyhow::Result<bool>,
    ) -> anyhow::Result<ExitCode> {
        let (mut scratch, folder) = Scratch::new().await?;
        let kit = Kit::Everything(everything.components, everything.binaries);
        let stack = shape(Stack::new(folder, Ports::free()?, kit, self.progress.clone())?)?;
        let done = tokio::select! {
            done = what(&stack) => done.map(Some),
            () = self.lifecycle.stopped() => Ok(None),
        };
        let stopping = self.progress.begin("everything", "stopping");
        let stopped = stack.stop_all().await;
        stopping.done("stopped");
        drop(stack);
        if self.keep_logs || stopped.is_err() || !matches!(done, Ok(Some(true) | None)) {
            let logs = scratch.keep_logs();
            self.progress.say(&format!("the logs are kept in {}", logs.display()));
        }
        let well = done?;
        stopped?;
        Ok(match well {
            Some(true) => ExitCode::SUCCESS,
            Some(false) => ExitCode::FAILURE,
            None => self.interrupted(),
        })
    }

    async fn live(
        &self,
        stack: &Stack,
        begun: Instant,
        what: impl AsyncFnOnce(&Stack, Duration) -> anyhow::Result<bool>,
    ) -> anyhow::Result<bool> {
        stack.start_all().await?;
        let up_after = begun.elapsed();
        self.progress.say(&format!("everything is up after {:.1} s", up_after.as_secs_f64()));
        tokio::select! {
            done = what(stack, up_after) => done,
            died = stack.died() => {
                let (name, status) = died?;
                let sentence = format!("{name} {} during the {}; its log says why", describe(status), self.name);
                Err(Failure::new(sentence, &stack.folder().log(&name)).into())
            }
        }
    }
}
