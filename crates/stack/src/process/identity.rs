//! Which process is meant: its number together with the moment it started, so that a reused number is not mistaken.

use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process of this boot of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since the boot (`/proc/PID/stat`, field 22).
    pub started: u64,
}

impl Identity {
    /// The process that has this number now.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, started: field_after_name(&stat, 22)?.parse().ok()? })
    }

    /// The launcher itself.
    #[must_use]
    pub fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Whether this very process still runs. One that ended and was not waited for yet does not, unless a thread of it
    /// is still ending: until then its sockets are open.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)) else { return false };
        let started = field_after_name(&stat, 22).and_then(|f| f.parse().ok());
        let ended = matches!(field_after_name(&stat, 3), Some("Z" | "X"));
        started == Some(self.started) && (!ended || self.threads() > 1)
    }

    fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.pid)).map_or(0, Iterator::count)
    }

    /// Sends a signal to this very process and to no other; false if it is gone.
    ///
    /// # Errors
    /// If the signal may not be sent.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<bool> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
        let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(false) };
        // Looked at after the handle was opened: from here on the number can't pass to another process unseen.
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(&handle, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("can't send {signal:?} to process {}", self.pid)),
        }
    }

    /// Polls until the process is gone; false if it is still there after `within`.
    pub async fn gone(&self, within: Duration) -> bool {
        let deadline = tokio::time::Instant::now() + within;
        while self.is_alive() {
            if tokio::time::Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }
}

/// A number that is another one after each boot of the machine.
///
/// # Errors
/// If `/proc` can't be read.
pub fn boot() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").context("can't read the boot id")?;
    Ok(text.trim().to_owned())
}

/// A field of `/proc/PID/stat`, counted from 1 as in proc(5). The name (field 2) may hold spaces and brackets.
pub(super) fn field_after_name(stat: &str, number: usize) -> Option<&str> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4 0 0 0 0 0 0 0 0 20 0 1 0 4711 100 5";
        assert_eq!(field_after_name(stat, 3), Some("S"));
        assert_eq!(field_after_name(stat, 22), Some("4711"));
    }

    #[test]
    fn another_start_time_is_another_process() {
        let own = Identity::own().unwrap();
        assert!(own.is_alive());
        let other = Identity { started: own.started + 1, ..own };
        assert!(!other.is_alive());
        assert!(!other.signal(Signal::KILL).unwrap(), "a signal for another process must not reach us");
    }
}
