//! `stack exec`: the components on free ports for the time of one command, for tests.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::Context;
use chassis::Lifecycle;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgSslMode;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::oneshot;

use super::Setting;
use crate::ports::{Door, Ports};
use crate::postgres::SUPERUSER;
use crate::process::die_with_launcher;
use crate::progress::Progress;
use crate::scratch::Scratch;
use crate::{Kit, Stack, components};

/// Starts the components on free ports, runs a command beside them, and stops them.
///
/// The command gets `DATABASE_URL` and `EVERHOOK_TEST_POSTGRES_URL` (the superuser's), and unless `--only` was given
/// `EVERHOOK_TEST_KAFKA`, `EVERHOOK_TEST_RESTATE_INGRESS` and `EVERHOOK_TEST_RESTATE_ADMIN`.
#[derive(Debug, clap::Args)]
pub struct Exec {
    /// Start this component only.
    #[arg(long, value_enum)]
    only: Option<Only>,
    /// Run the migrations in this folder before the command: for work on the SQL, when no program can be built that
    /// brings them.
    #[arg(long, value_name = "FOLDER")]
    migrations: Option<PathBuf>,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    Postgres,
}

impl Exec {
    /// Runs it; the status is that of the command.
    pub async fn run(self, setting: &Setting, lifecycle: &Lifecycle, progress: &Progress) -> anyhow::Result<ExitCode> {
        let kit = match self.only {
            Some(Only::Postgres) => {
                let cache = setting.cache()?;
                Kit::Postgres(components::postgres(&cache, &setting.installed, progress).await?)
            }
            None => Kit::Components(setting.components(progress).await?),
        };
        let (mut scratch, folder) = Scratch::new().await?;
        let stack = Stack::new(folder, Ports::free()?, kit, progress.clone())?;
        let ran = self.beside(&stack, lifecycle).await;
        let stopped = stack.stop_all().await;
        drop(stack);
        if ran.is_err() {
            progress.say(&format!("the logs are kept in {}", scratch.keep_logs().display()));
        }
        let status = ran?;
        stopped?;
        Ok(status)
    }

    async fn beside(&self, stack: &Stack, lifecycle: &Lifecycle) -> anyhow::Result<ExitCode> {
        tokio::select! {
            started = stack.start_all() => started?,
            () = lifecycle.stopped() => return Ok(ExitCode::from(130)),
        }
        if let Some(folder) = &self.migrations {
            migrate(stack, folder).await?;
        }
        let (program, arguments) = self.command.split_first().context("there is no command")?;
        let mut command = Command::new(program);
        command.args(arguments).envs(self.environment(stack)?);
        die_with_launcher(&mut command);
        let (started, on_start) = oneshot::channel();
        let (ended, on_end) = oneshot::channel();
        // As with every child: the thread that starts it waits for it.
        std::thread::Builder::new().name("waits for the command".to_owned()).spawn(move || {
            let child = command.spawn();
            // Nobody listens only if this program is about to end.
            let _ = started.send(child.as_ref().map(Pid::from_child).map_err(|e| e.to_string()));
            if let Ok(mut child) = child {
                let _ = ended.send(child.wait());
            }
        })?;
        let name = program.to_string_lossy();
        let pid = on_start.await?.map_err(|error| anyhow::anyhow!("can't start {name}: {error}"))?;
        let mut on_end = on_end;
        let status = tokio::select! {
            status = &mut on_end => status,
            () = lifecycle.stopped() => {
                // From a terminal it has got the signal itself; a second one does no harm.
                kill_process(pid, Signal::TERM).with_context(|| format!("can't stop {name}"))?;
                on_end.await
            }
        };
        Ok(code(status?.with_context(|| format!("can't wait for {name}"))?))
    }

    fn environment(&self, stack: &Stack) -> anyhow::Result<Vec<(&'static str, String)>> {
        let port = |door| stack.ports().of(door);
        let password = stack.secrets().text(&crate::postgres::roles::SUPERUSER.secret())?;
        let url = format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{}/postgres", port(Door::Postgres));
        let mut environment = vec![("DATABASE_URL", url.clone()), ("EVERHOOK_TEST_POSTGRES_URL", url)];
        if self.only.is_none() {
            environment.extend([
                ("EVERHOOK_TEST_KAFKA", format!("127.0.0.1:{}", port(Door::Kafka))),
                ("EVERHOOK_TEST_RESTATE_INGRESS", format!("http://127.0.0.1:{}", port(Door::RestateIngress))),
                ("EVERHOOK_TEST_RESTATE_ADMIN", format!("http://127.0.0.1:{}", port(Door::RestateAdmin))),
            ]);
        }
        Ok(environment)
    }
}

async fn migrate(stack: &Stack, folder: &Path) -> anyhow::Result<()> {
    let migrator = Migrator::new(folder).await.with_context(|| format!("can't read {}", folder.display()))?;
    let options = stack.superuser(SUPERUSER)?.ssl_mode(PgSslMode::Disable);
    let mut connection = options.connect().await.context("can't connect to PostgreSQL")?;
    migrator.run(&mut connection).await.with_context(|| format!("can't run the migrations in {}", folder.display()))?;
    connection.close().await.context("can't disconnect from PostgreSQL")
}

/// As a shell has it: 128 and the signal for one that was killed.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
