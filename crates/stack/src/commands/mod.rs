//! The commands of the binary `stack`.

mod bench;
mod beside;
mod chaos;
mod collect;
mod crash_test;
mod demo;
mod down;
mod exec;
mod report;
mod trace;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use chassis::Lifecycle;

use crate::components::{self, Cache, Components, Installed};
use crate::folder;
use crate::progress::Progress;

/// Runs the whole of Everhook on this machine: the real PostgreSQL, Apache Kafka and Restate, and our services.
#[derive(Debug, clap::Parser)]
#[command(version)]
pub struct Arguments {
    #[command(flatten)]
    setting: Setting,
    #[command(subcommand)]
    command: Command,
}

impl Arguments {
    /// How many threads the process is to have.
    #[must_use]
    pub const fn threads(&self) -> usize {
        match self.command {
            // It shares the machine with what it watches.
            Command::Collect(_) => 1,
            _ => 2,
        }
    }
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Starts everything on the documented ports and stays until ctrl-C; the data is kept.
    Up(up::Up),
    Demo(demo::Demo),
    Bench(bench::Bench),
    CrashTest(crash_test::CrashTest),
    Chaos(chaos::Chaos),
    Trace(trace::TraceCommand),
    Collect(collect::Collect),
    /// Stops a stack, and ends what a launcher that was killed has left behind.
    Down(down::Down),
    /// Starts the components on free ports, runs a command beside them, and stops them.
    Exec(exec::Exec),
}

/// Where things are found.
#[derive(Debug, clap::Args)]
struct Setting {
    /// Where the components are kept once they were got. Default: $XDG_CACHE_HOME/everhook, ~/.cache/everhook, or
    /// /var/cache/everhook for root.
    #[arg(long, env = "EVERHOOK_CACHE_DIR", global = true)]
    cache_dir: Option<PathBuf>,
    /// The folder with our services' binaries. Default: that of this program.
    #[arg(long, env = "EVERHOOK_BIN_DIR", global = true)]
    bin_dir: Option<PathBuf>,
    #[command(flatten)]
    installed: Installed,
}

/// Runs the command.
///
/// # Errors
/// One sentence that names what failed and says what to do.
pub async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let lifecycle = Lifecycle::on_signals().context("can't listen to signals")?;
    let Arguments { setting, command } = arguments;
    let progress = Progress::on_stderr();
    let done = match command {
        Command::Up(up) => up.run(&setting, &lifecycle, &progress).await,
        Command::Demo(demo) => demo.run(&setting, &lifecycle, &progress).await,
        Command::Bench(bench) => bench.run(&setting, &lifecycle, &progress).await,
        Command::CrashTest(test) => test.run(&setting, &lifecycle, &progress).await,
        Command::Chaos(chaos) => chaos.run(&setting, &lifecycle, &progress).await,
        Command::Trace(trace) => trace.run(),
        Command::Collect(collect) => collect.run(&lifecycle).await,
        Command::Down(down) => down.run().await,
        Command::Exec(exec) => exec.run(&setting, &lifecycle, &progress).await,
    };
    lifecycle.stop();
    done
}

impl Setting {
    fn cache(&self) -> anyhow::Result<Cache> {
        Cache::choose(self.cache_dir.clone())
    }

    async fn components(&self, progress: &Progress) -> anyhow::Result<Components> {
        components::all(&self.cache()?, &self.installed, progress).await
    }

    fn binaries(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = &self.bin_dir {
            return folder.canonicalize().with_context(|| format!("can't find {}", folder.display()));
        }
        let own = std::env::current_exe().context("can't find this program's own folder; set EVERHOOK_BIN_DIR")?;
        Ok(own.parent().context("can't find this program's own folder; set EVERHOOK_BIN_DIR")?.to_owned())
    }
}

fn data_root(chosen: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let root = chosen.or_else(folder::default_root);
    root.context("there is no home to keep the data in: choose a folder with --data-dir")
}
