//! A process that is stopped in the middle of whatever it does, with all of its children, until it is let go on.

use rustix::process::Signal;

use super::identity::{Identity, field_after_name};

/// Stopped processes. They go on when this value is dropped, so that none is left behind.
#[derive(Debug)]
pub struct Frozen {
    /// The parent first: while it stands still, it makes no further children.
    stopped: Vec<Identity>,
}

impl Frozen {
    /// Stops the process and whatever it has started. None if it is gone.
    ///
    /// # Errors
    /// If a process may not be stopped.
    pub fn of(root: Identity) -> anyhow::Result<Option<Self>> {
        if !root.signal(Signal::STOP)? {
            return Ok(None);
        }
        let mut frozen = Self { stopped: vec![root] };
        let mut next = 0;
        while let Some(parent) = frozen.stopped.get(next).copied() {
            for child in children(parent.pid) {
                if child.signal(Signal::STOP)? {
                    frozen.stopped.push(child);
                }
            }
            next += 1;
        }
        Ok(Some(frozen))
    }

    /// How many stand still.
    #[must_use]
    pub fn count(&self) -> usize {
        self.stopped.len()
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // The parent last: it must not find children that don't answer.
        for process in self.stopped.iter().rev() {
            if let Err(error) = process.signal(Signal::CONT) {
                tracing::warn!(pid = process.pid, error = format!("{error:#}"), "a frozen process can't be let go on");
            }
        }
    }
}

fn children(parent: u32) -> Vec<Identity> {
    let entries = std::fs::read_dir("/proc").map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let pids = entries.iter().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let parent = parent.to_string();
    let is_child = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        field_after_name(&stat, 4) == Some(parent.as_str())
    };
    pids.filter(is_child).filter_map(Identity::of).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    fn state(pid: u32) -> String {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        field_after_name(&stat, 3).unwrap().to_owned()
    }

    fn until(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_frozen_process_stands_still_with_its_children_until_it_is_let_go_on() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 100 & sleep 101 & wait"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = shell.id();
        until("the shell has two children", || children(pid).len() == 2);
        let of_both = children(pid);
        let frozen = Frozen::of(Identity::of(pid).unwrap()).unwrap().unwrap();
        assert_eq!(frozen.count(), 3);
        let all = || std::iter::once(pid).chain(of_both.iter().map(|child| child.pid));
        until("all stand still", || all().all(|pid| state(pid) == "T"));
        drop(frozen);
        until("all go on", || all().all(|pid| state(pid) == "S"));
        for child in &of_both {
            child.signal(Signal::KILL).unwrap();
        }
        shell.wait().unwrap();
        assert!(Frozen::of(of_both[0]).unwrap().is_none(), "one that is gone can't be frozen");
    }
}
