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

    /// The percentiles of what is in the window; `None` while it is empty.
    #[must_use]
    pub fn percentiles(&self) -> Option<Percentiles> {
        let mut sorted = self.micros.clone();
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
        assert_eq!(window.percentiles(), None);
        for ms in (1..=200).rev() {
            window.add(Duration::from_millis(ms));
        }
        assert_eq!(window.percentiles(), Some(Percentiles { p50: 0.1, p95: 0.19, p99: 0.198, values: 200 }));
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
        assert_eq!(window.percentiles(), Some(expected));
    }
}
