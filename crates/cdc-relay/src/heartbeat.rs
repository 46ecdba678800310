//! Heartbeats: small messages that the relay writes into the log and reads back. They show that the whole way from
//! the log to the relay is alive, and how long it takes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The heartbeats of this process.
#[derive(Debug)]
pub struct Heartbeats {
    /// Tells our heartbeats from those of another relay on the same database.
    me: String,
    state: Mutex<State>,
    asked: Notify,
}

#[derive(Debug, Default)]
struct State {
    number: u64,
    /// Written and not yet read back, oldest first.
    unread: VecDeque<(u64, Instant)>,
    last_lag: Option<Duration>,
}

/// A heartbeat that is about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    number: u64,
    /// What to write into the log.
    pub content: String,
}

impl Heartbeats {
    /// No heartbeat yet. `me` must be unique among all relays.
    #[must_use]
    pub fn new(me: String) -> Self {
        Self { me, state: Mutex::default(), asked: Notify::new() }
    }

    /// Asks for a heartbeat now: a stream has been opened, and what was written before may not be in it.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// Waits until somebody asks.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// The next heartbeat. It counts as written: it can come back before the statement is answered.
    pub fn next(&self, now: Instant) -> Heartbeat {
        let mut state = self.state();
        state.number += 1;
        let number = state.number;
        state.unread.push_back((number, now));
        Heartbeat { number, content: format!("{}:{number}", self.me) }
    }

    /// The heartbeat could not be written: nobody waits for it.
    pub fn forget(&self, heartbeat: &Heartbeat) {
        self.state().unread.retain(|(number, _)| *number != heartbeat.number);
    }

    /// A heartbeat was read from the stream. Says how long it was under way, if it is ours and was not read before.
    pub fn read(&self, content: &[u8], now: Instant) -> Option<Duration> {
        let (me, number) = str::from_utf8(content).ok()?.rsplit_once(':')?;
        let number: u64 = number.parse().ok().filter(|_| me == self.me)?;
        let mut state = self.state();
        let mut lag = None;
        // Those before it were in the log before it: they were read, or were lost with a slot.
        while let Some((_, written_at)) = state.unread.pop_front_if(|(oldest, _)| *oldest <= number) {
            lag = Some(now.saturating_duration_since(written_at));
        }
        state.last_lag = lag.or(state.last_lag);
        lag
    }

    /// For how long the oldest heartbeat that did not come back has been under way.
    #[must_use]
    pub fn overdue(&self, now: Instant) -> Option<Duration> {
        self.state().unread.front().map(|(_, written_at)| now.saturating_duration_since(*written_at))
    }

    /// How far the relay is behind the log: what the last heartbeat took, or what an overdue one has taken so far,
    /// whichever is more. `None` before the first.
    #[must_use]
    pub fn lag(&self, now: Instant) -> Option<Duration> {
        self.overdue(now).max(self.state().last_lag)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_lag_is_the_way_of_the_last_heartbeat_or_the_age_of_an_overdue_one() {
        let (heartbeats, start) = (Heartbeats::new("me".to_owned()), Instant::now());
        assert_eq!(heartbeats.lag(start), None);
        let first = heartbeats.next(start);
        assert_eq!(heartbeats.read(first.content.as_bytes(), start + SECOND), Some(SECOND));
        assert_eq!(heartbeats.overdue(start + SECOND), None);
        heartbeats.next(start + 10 * SECOND);
        assert_eq!(heartbeats.lag(start + 10 * SECOND), Some(SECOND));
        assert_eq!(heartbeats.lag(start + 15 * SECOND), Some(5 * SECOND));
        assert_eq!(heartbeats.overdue(start + 15 * SECOND), Some(5 * SECOND));
    }

    #[test]
    fn heartbeats_of_others_and_other_bytes_are_not_ours() {
        let (heartbeats, now) = (Heartbeats::new("me".to_owned()), Instant::now());
        heartbeats.next(now);
        for foreign in [&b"you:1"[..], b"me", b"me:x", b":1", b"", &[0xff, b':', b'1'], b"me:0"] {
            assert_eq!(heartbeats.read(foreign, now), None);
        }
        assert!(heartbeats.overdue(now).is_some());
    }

    #[test]
    fn a_later_heartbeat_settles_those_before_it_and_a_repeated_one_says_nothing() {
        let (heartbeats, now) = (Heartbeats::new("me".to_owned()), Instant::now());
        heartbeats.next(now);
        let second = heartbeats.next(now + SECOND);
        assert_eq!(heartbeats.read(second.content.as_bytes(), now + 3 * SECOND), Some(2 * SECOND));
        assert_eq!(heartbeats.overdue(now + 9 * SECOND), None);
        assert_eq!(heartbeats.read(second.content.as_bytes(), now + 9 * SECOND), None, "the stream began again");
    }

    #[test]
    fn a_heartbeat_that_could_not_be_written_is_not_overdue() {
        let (heartbeats, now) = (Heartbeats::new("me".to_owned()), Instant::now());
        let heartbeat = heartbeats.next(now);
        heartbeats.forget(&heartbeat);
        assert_eq!(heartbeats.overdue(now + SECOND), None);
    }
}
