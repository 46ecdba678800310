//! `stack up`: everything on the documented ports, until ctrl-C.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context;
use chassis::Lifecycle;

use super::Setting;
use crate::folder::Folder;
use crate::keep_alive::keep_alive;
use crate::ports::{Choice, Door, Ports};
use crate::postgres;
use crate::progress::Progress;
use crate::services::{self, OPERATOR_TOKEN};
use crate::spans::TracingFlags;
use crate::state::State;
use crate::{Kit, Stack};

/// Starts everything on the documented ports and stays until ctrl-C; the data is kept.
#[derive(Debug, clap::Args)]
pub struct Up {
    /// Remove the data first.
    #[arg(long)]
    fresh: bool,
    /// The folder of the data and the logs. Default: $XDG_STATE_HOME/everhook, ~/.local/state/everhook, or
    /// /var/lib/everhook for root.
    #[arg(long, env = "EVERHOOK_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Another port than the documented one, as postgres=5433; may be repeated.
    #[arg(long = "port", env = "EVERHOOK_PORTS", value_name = "NAME=PORT", value_delimiter = ',')]
    ports: Vec<Choice>,
    /// Start PostgreSQL, Kafka and Restate only.
    #[arg(long)]
    components_only: bool,
    #[command(flatten)]
    tracing: TracingFlags,
}

impl Up {
    /// Runs it.
    pub async fn run(self, setting: &Setting, lifecycle: &Lifecycle, progress: &Progress) -> anyhow::Result<ExitCode> {
        let folder = Folder::open(&super::data_root(self.data_dir)?)?;
        if let Some(state) = State::read(folder.root())? {
            for name in state.end(folder.root()).await? {
                progress.say(&format!("{name} was left behind by a launcher that was killed, and was ended"));
            }
        }
        postgres::check_reaches(folder.root(), "--data-dir")?;
        let ports = Ports::documented(&self.ports);
        let tracing = self.tracing.tracing();
        ports.check_free(self.components_only, &tracing)?;
        if self.fresh {
            folder.empty()?;
        }
        let binaries = if self.components_only { None } else { Some(setting.binaries()?) };
        if let Some(binaries) = &binaries {
            services::check(binaries)?;
        }
        let components = tokio::select! {
            components = setting.components(progress) => components?,
            () = lifecycle.stopped() => return Ok(ExitCode::SUCCESS),
        };
        let kit = match binaries {
            Some(binaries) => Kit::Everything(components, binaries),
            None => Kit::Components(components),
        };
        let stack = self.tracing.of(Stack::new(folder, ports, kit, progress.clone())?);
        let lived = tokio::select! {
            lived = live(&stack, self.components_only, progress) => lived,
            () = lifecycle.stopped() => Ok(()),
        };
        progress.say("stopping");
        let stopped = stack.stop_all().await;
        progress.say(&format!("stopped; the data is kept in {}", stack.folder().root().display()));
        lived?;
        stopped?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Starts everything, and starts again what dies. Ends only when that is of no use.
async fn live(stack: &Stack, components_only: bool, progress: &Progress) -> anyhow::Result<()> {
    let begun = Instant::now();
    stack.start_all().await?;
    progress.say(&format!("everything is up after {:.1} s", begun.elapsed().as_secs_f64()));
    show_doors(stack, components_only).context("can't write to stdout")?;
    keep_alive(stack, progress).await
}

fn show_doors(stack: &Stack, components_only: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let port = |door| stack.ports().of(door);
    let line = |out: &mut std::io::StdoutLock<'_>, name: &str, what: String| writeln!(out, "  {name:<20} {what}");
    line(&mut out, "PostgreSQL", format!("postgres://postgres@127.0.0.1:{}/everhook", port(Door::Postgres)))?;
    line(&mut out, "Kafka", format!("127.0.0.1:{}", port(Door::Kafka)))?;
    line(&mut out, "Restate ingress", format!("http://127.0.0.1:{}", port(Door::RestateIngress)))?;
    line(&mut out, "Restate admin", format!("http://127.0.0.1:{}", port(Door::RestateAdmin)))?;
    if !components_only {
        line(&mut out, "payments-api", format!("http://127.0.0.1:{}", port(Door::PaymentsApi)))?;
        line(&mut out, "portal", format!("http://127.0.0.1:{}", port(Door::Portal)))?;
        line(&mut out, "data-service", format!("http://127.0.0.1:{}", port(Door::DataService)))?;
        line(&mut out, "webhook-consumer", format!("http://127.0.0.1:{}", port(Door::WebhookConsumer)))?;
        line(&mut out, "cdc-relay", format!("http://127.0.0.1:{}/metrics", port(Door::CdcRelay)))?;
        line(&mut out, "merchant-simulator", format!("http://127.0.0.1:{}", port(Door::MerchantSimulator)))?;
        line(&mut out, "operator token", stack.secrets().file(OPERATOR_TOKEN)?.display().to_string())?;
    }
    line(&mut out, "passwords, tokens", stack.folder().of("secrets").display().to_string())?;
    line(&mut out, "logs", stack.folder().logs().display().to_string())?;
    if !components_only {
        writeln!(out, "\nTry it:")?;
        writeln!(
            out,
            "  curl -X POST http://127.0.0.1:{}/payments -H 'content-type: application/json' \
             -d '{{\"amount\":1000,\"currency\":\"USD\"}}'",
            port(Door::PaymentsApi)
        )?;
    }
    writeln!(out, "\nctrl-C stops everything.")?;
    Ok(())
}
