//! Percentiles of the last few thousand durations, exact within that window.

use std::time::Duration;

use serde::Serialize;

/// How many values are kept.
pub const WINDOW: usize = 10_000;

/// The last [`WINDOW`] durations.
#[derive(Debug, Default)]
pub struct Window {
    micros: Vec<u32>,
    oldest: usize,
}

/// In seconds, by the nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half of the values are no larger.
    pub p50: f64,
    /// 95 % of the values are no larger.
    pub p95: f64,
    /// 99 % of the values are no larger.
    pub p99: f64,
    /// Of so many values.
    pub values: usize,
}

impl Window {
    /// Adds a duration; once the window is full, the oldest one makes place.
    pub fn add(&mut self, duration: Duration) {
        let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
        if self.micros.len() < WINDOW {
            self.micros.push(micros);
        } else if let Some(place) = self.micros.get_mut(self.oldest) {
            *place = micros;
            self.oldest = (self.oldest + 1) % WINDOW;
        }
    }

    /// The percentiles of the `last` durations in the window, or of all if there are fewer; `None` of none.
    #[must_use]
    pub fn percentiles(&self, last: usize) -> Option<Percentiles> {
        let (newer, older) = self.micros.split_at_checked(self.oldest)?;
        let mut sorted: Vec<u32> = newer.iter().rev().chain(older.iter().rev()).take(last).copied().collect();
        sorted.sort_unstable();
        let values = sorted.len();
        let rank = |percent: usize| {
            let index = (values * percent).div_ceil(100).saturating_sub(1);
            sorted.get(index).map(|micros| f64::from(*micros) / 1_000_000.0)
        };
        Some(Percentiles { p50: rank(50)?, p95: rank(95)?, p99: rank(99)?, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut window = Window::default();
        assert_eq!(window.percentiles(WINDOW), None);
        for ms in (1..=200).rev() {
            window.add(Duration::from_millis(ms));
        }
        assert_eq!(window.percentiles(WINDOW), Some(Percentiles { p50: 0.1, p95: 0.19, p99: 0.198, values: 200 }));
    }

    #[test]
    fn only_the_last_values_count() {
        let mut window = Window::default();
        for _ in 0..WINDOW {
            window.add(Duration::from_secs(10));
        }
        for _ in 0..WINDOW {
            window.add(Duration::from_millis(1));
        }
        let expected = Percentiles { p50: 0.001, p95: 0.001, p99: 0.001, values: WINDOW };
        assert_eq!(window.percentiles(WINDOW), Some(expected));
    }

    #[test]
    fn the_last_ones_are_the_newest() {
        let mut window = Window::default();
        // Once with an unfinished window, once where the newest lie on both sides of its end.
        for values in [300, WINDOW - 302] {
            for _ in 0..values {
                window.add(Duration::from_secs(10));
            }
            for ms in 1..=4 {
                window.add(Duration::from_millis(ms));
            }
            let expected = Percentiles { p50: 0.002, p95: 0.004, p99: 0.004, values: 4 };
            assert_eq!(window.percentiles(4), Some(expected));
        }
        assert_eq!(window.percentiles(0), None);
    }
}
