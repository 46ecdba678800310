//! How long a reader is behind, of whom only its position is known.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Above so many looks, every second one is forgotten: the answer then is late by as much as they lie apart.
const MOST: usize = 1_000;

/// Remembers where the end was at each look, as long as the reader has not come that far.
#[derive(Debug, Default)]
pub struct Lag(VecDeque<(Instant, u64)>);

impl Lag {
    /// The reader has come to `position`, and what it reads ends at `end`. Answers for how long, at least, something has
    /// been there that it has not read: zero if there is nothing, or nothing that an earlier look has seen.
    pub fn look(&mut self, position: u64, end: u64, now: Instant) -> Duration {
        // An end that moves back is that of something that was made anew.
        if self.0.back().is_some_and(|(_, last)| *last > end) {
            self.0.clear();
        }
        if self.0.back().is_none_or(|(_, last)| *last < end) {
            self.0.push_back((now, end));
        }
        while self.0.front().is_some_and(|(_, end)| *end <= position) {
            self.0.pop_front();
        }
        if self.0.len() > MOST {
            let mut nth = 0_usize;
            self.0.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
        }
        self.0.front().map_or(Duration::ZERO, |(since, _)| now.duration_since(*since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lag in seconds at each look, given as second, position and end.
    fn lags(looks: &[(u64, u64, u64)]) -> Vec<u64> {
        let (mut lag, start) = (Lag::default(), Instant::now());
        let look = |(second, position, end): &(u64, u64, u64)| {
            lag.look(*position, *end, start + Duration::from_secs(*second)).as_secs()
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_reader_that_keeps_up_has_none_although_it_is_never_at_the_end() {
        assert_eq!(lags(&[(0, 9, 10), (10, 19, 20), (20, 29, 30), (30, 30, 30), (3_600, 30, 30)]), [0; 5]);
    }

    #[test]
    fn it_grows_while_the_reader_stands_and_what_it_has_not_read_was_there() {
        assert_eq!(lags(&[(0, 5, 5), (10, 5, 8), (20, 5, 9), (30, 5, 9)]), [0, 0, 10, 20]);
        // It has read what was there at 10 s, and not what came until 20 s.
        assert_eq!(lags(&[(0, 5, 5), (10, 5, 8), (20, 5, 9), (30, 8, 9), (40, 9, 12)]), [0, 0, 10, 10, 0]);
    }

    #[test]
    fn what_was_made_anew_begins_anew() {
        assert_eq!(lags(&[(0, 50, 60), (10, 50, 70), (20, 0, 1), (30, 0, 1)]), [0, 10, 0, 10]);
    }

    #[test]
    fn it_forgets_looks_but_not_since_when() {
        let (mut lag, start) = (Lag::default(), Instant::now());
        for second in 0..10_000 {
            lag.look(0, second + 1, start + Duration::from_secs(second));
            assert!(lag.0.len() <= MOST);
        }
        assert_eq!(lag.look(0, 20_000, start + Duration::from_secs(10_000)).as_secs(), 10_000);
    }
}
