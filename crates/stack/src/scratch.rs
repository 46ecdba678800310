//! Data folders of stacks that do not stay: under the system's folder for temporary files, removed at the end.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::folder::{self, Folder};
use crate::state::State;

const PREFIX: &str = "everhook-";

/// A folder that is removed when this value is dropped.
#[derive(Debug)]
pub struct Scratch {
    root: PathBuf,
    keep_logs: bool,
}

impl Scratch {
    /// A new folder, after those were removed whose launchers were killed.
    ///
    /// # Errors
    /// If it can't be made.
    pub async fn new() -> anyhow::Result<(Self, Folder)> {
        let parent = std::env::temp_dir();
        remove_abandoned(&parent).await;
        let root = parent.join(format!("{PREFIX}{:016x}", rand::random::<u64>()));
        let folder = Folder::open(&root).context("can't make a temporary data folder")?;
        Ok((Self { root, keep_logs: false }, folder))
    }

    /// Leaves the logs behind, because somebody will want to look into them. Answers where they are.
    pub fn keep_logs(&mut self) -> PathBuf {
        self.keep_logs = true;
        self.root.join(folder::LOGS)
    }

    fn clear(&self) -> anyhow::Result<()> {
        if !self.keep_logs {
            return folder::remove(&self.root);
        }
        // With the marker gone, the folder is no longer one that the next launcher removes.
        for entry in std::fs::read_dir(&self.root).context("can't list the folder")? {
            let entry = entry.context("can't list the folder")?;
            if entry.file_name() != folder::LOGS {
                folder::remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            tracing::warn!(error = format!("{error:#}"), "a temporary data folder is left behind");
        }
    }
}

async fn remove_abandoned(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX) && folder::is_ours(&entry.path());
        if ours && let Err(error) = remove_if_abandoned(&entry.path()).await {
            // Another user's, most likely.
            tracing::debug!(error = format!("{error:#}"), "a temporary data folder was not removed");
        }
    }
}

async fn remove_if_abandoned(root: &Path) -> anyhow::Result<()> {
    // Whoever holds the lock is alive.
    let Some(_lock) = folder::lock(root)? else { return Ok(()) };
    if let Some(state) = State::read(root)? {
        state.end(root).await?;
    }
    folder::remove(root)
}
