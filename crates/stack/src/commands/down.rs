//! `stack down`: stops a stack from another terminal, or ends what a killed launcher has left behind.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::folder;
use crate::state::State;

/// A launcher needs less to stop everything in order.
const LAUNCHER_STOPS_WITHIN: Duration = Duration::from_secs(120);

/// Stops a stack, and ends what a launcher that was killed has left behind.
#[derive(Debug, clap::Args)]
pub struct Down {
    /// The data folder of the stack, as given to stack up.
    #[arg(long, env = "EVERHOOK_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

impl Down {
    /// Runs it.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let root = super::data_root(self.data_dir)?;
        if !folder::is_ours(&root) {
            bail!("there is no stack in {}: name its folder with --data-dir", root.display());
        }
        let mut lock = folder::lock(&root)?;
        if lock.is_none() {
            let state = State::read(&root)?;
            let launcher = state.context("a stack is just starting there: try again in a moment")?.launcher;
            eprintln!("asking the launcher (process {}) to stop", launcher.pid);
            launcher.signal(Signal::TERM)?;
            if !launcher.gone(LAUNCHER_STOPS_WITHIN).await {
                bail!("the launcher (process {}) has not stopped: kill it, then run stack down again", launcher.pid);
            }
            lock = folder::lock(&root)?;
        }
        let _lock = lock.context("another stack was started there meanwhile")?;
        let ended = match State::read(&root)? {
            Some(state) => state.end(&root).await?,
            None => Vec::new(),
        };
        match ended.as_slice() {
            [] => eprintln!("nothing is left running; the data is kept in {}", root.display()),
            names => eprintln!("ended {}; the data is kept in {}", names.join(", "), root.display()),
        }
        Ok(ExitCode::SUCCESS)
    }
}
