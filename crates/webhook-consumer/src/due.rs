//! Deliveries to be come back to, as the journal keeps them.
//!
//! A wait is a duration, and a journal may be read long after it was written: by whoever takes over from a consumer that
//! died before it could hand on. The wait has gone on meanwhile, so the journal says since when.

use std::time::Duration;

use domain::protocol::Later;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A delivery whose next attempt is not due yet, and when that was said.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Due {
    /// What data-service said.
    #[serde(flatten)]
    pub later: Later,
    /// By this process's clock; an older consumer did not write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
}

impl Due {
    /// data-service says so now.
    pub fn of(later: Later) -> Self {
        Self { later, since: Some(now()) }
    }

    /// What is left of the wait. Whoever comes too early, since two clocks differ, is told to wait again.
    pub fn wait(&self) -> Duration {
        self.wait_at(now())
    }

    fn wait_at(&self, now: Timestamp) -> Duration {
        let whole = Duration::from_millis(self.later.delay_ms);
        whole.saturating_sub(self.since.map(|since| now.since(since)).unwrap_or_default())
    }
}

fn now() -> Timestamp {
    Timestamp::from(time::OffsetDateTime::now_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: &str = r#"{"delivery_id":"dlv_019a0b1c2d3e7f00a1b2c3d4e5f60718","claim":2,"delay_ms":60000"#;

    fn wait_of(journal: &str, at: &str) -> Duration {
        serde_json::from_str::<Due>(journal).unwrap().wait_at(at.parse().unwrap())
    }

    #[test]
    fn the_wait_goes_on_while_nobody_reads_the_journal() {
        let journal = format!(r#"{LATER},"since":"2026-11-26T00:00:00.000000Z"}}"#);
        assert_eq!(wait_of(&journal, "2026-11-26T00:00:00Z"), Duration::from_secs(60));
        assert_eq!(wait_of(&journal, "2026-11-26T00:00:45Z"), Duration::from_secs(15));
        assert_eq!(wait_of(&journal, "2026-11-26T01:00:00Z"), Duration::ZERO);
        assert_eq!(wait_of(&journal, "2026-11-25T23:00:00Z"), Duration::from_secs(60), "a clock that was set back");
    }

    #[test]
    fn a_journal_of_an_older_consumer_is_read() {
        let journal = format!("{LATER}}}");
        assert_eq!(wait_of(&journal, "2026-11-26T00:00:00Z"), Duration::from_secs(60));
        let due = Due::of(serde_json::from_str(&journal).unwrap());
        let again: Due = serde_json::from_str(&serde_json::to_string(&due).unwrap()).unwrap();
        assert_eq!((again.later, again.since.is_some()), (due.later, true));
        assert!(due.wait() > Duration::from_secs(50));
    }
}
