//! What runs, written down, so that `stack down` can end what a killed launcher has left behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::process::identity::{Identity, boot};

/// The processes of one stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The numbers of processes mean nothing after another boot of the machine.
    pub boot: String,
    /// Who started them.
    pub launcher: Identity,
    /// In the order of their start.
    pub processes: Vec<Entry>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is called.
    pub name: String,
    /// Which one it is.
    #[serde(flatten)]
    pub identity: Identity,
}

impl State {
    /// A state of this launcher.
    ///
    /// # Errors
    /// If `/proc` can't be read.
    pub fn new(processes: Vec<Entry>) -> anyhow::Result<Self> {
        let launcher = Identity::own().context("the launcher is not in /proc")?;
        Ok(Self { boot: boot()?, launcher, processes })
    }

    /// What was written down in the folder for this boot of the machine, if anything.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = file(folder);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("can't read {}", path.display())),
        };
        let state: Self = serde_json::from_slice(&text).with_context(|| format!("can't parse {}", path.display()))?;
        Ok((state.boot == boot()?).then_some(state))
    }

    /// Writes it down; a reader sees the former state or this one.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let path = file(folder);
        let unfinished = path.with_extension("unfinished");
        let text = serde_json::to_vec_pretty(self).context("can't write the state as JSON")?;
        std::fs::write(&unfinished, text).with_context(|| format!("can't write {}", unfinished.display()))?;
        std::fs::rename(&unfinished, &path).with_context(|| format!("can't write {}", path.display()))
    }

    /// Kills what is left of the processes, the last started first, and forgets them. Answers their names.
    ///
    /// # Errors
    /// If one may not be killed or does not die.
    pub async fn end(&self, folder: &Path) -> anyhow::Result<Vec<String>> {
        let mut ended = Vec::new();
        for entry in self.processes.iter().rev() {
            if entry.identity.signal(Signal::KILL)? {
                if !entry.identity.gone(Duration::from_secs(10)).await {
                    bail!("{} (process {}) does not die", entry.name, entry.identity.pid);
                }
                ended.push(entry.name.clone());
            }
        }
        let path = file(folder);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(ended),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(ended),
            Err(error) => Err(error).with_context(|| format!("can't remove {}", path.display())),
        }
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("state.json")
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("everhook-state-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        path
    }

    #[tokio::test]
    async fn only_the_very_processes_that_were_written_down_are_ended() {
        let folder = scratch("ended");
        let mut ours = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let mut other = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let entry = |name: &str, identity| Entry { name: name.to_owned(), identity };
        let reused = Identity::of(other.id()).unwrap();
        let state = State::new(vec![
            entry("ours", Identity::of(ours.id()).unwrap()),
            entry("reused", Identity { started: reused.started + 1, ..reused }),
        ]);
        state.unwrap().write(&folder).unwrap();

        let state = State::read(&folder).unwrap().unwrap();
        assert_eq!(state.end(&folder).await.unwrap(), ["ours"]);
        assert!(!ours.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none(), "a process with a reused number must live");
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(State::read(&folder).unwrap(), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_state_of_another_boot_says_nothing() {
        let folder = scratch("boot");
        let state = State { boot: "another".to_owned(), ..State::new(Vec::new()).unwrap() };
        state.write(&folder).unwrap();
        assert_eq!(State::read(&folder).unwrap(), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
