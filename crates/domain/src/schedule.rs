//! When a failed delivery is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The waits before each attempt, from the first on; when they are used up, the delivery is exhausted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<i64>", into = "Vec<i64>")]
pub struct Schedule(Vec<Duration>);

/// The list of waits can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a schedule has 1 to {most} waits of 0 ms to 30 days", most = Schedule::MOST_ATTEMPTS)]
pub struct NotASchedule;

impl Schedule {
    /// The most attempts that a schedule may have.
    pub const MOST_ATTEMPTS: usize = 100;
    const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

    /// A schedule of these waits.
    ///
    /// # Errors
    /// If there is none, too many, or one is longer than 30 days.
    pub fn new(waits: Vec<Duration>) -> Result<Self, NotASchedule> {
        let fits = (1..=Self::MOST_ATTEMPTS).contains(&waits.len()) && waits.iter().all(|wait| *wait <= Self::LONGEST);
        if fits { Ok(Self(waits)) } else { Err(NotASchedule) }
    }

    /// The wait after `attempts` failed ones, or none if the schedule is used up.
    /// `jitter` in 0..=1 moves it from 10 % earlier to 10 % later.
    #[must_use]
    pub fn wait_after(&self, attempts: u32, jitter: f64) -> Option<Duration> {
        let index = usize::try_from(attempts).ok()?;
        self.0.get(index).map(|wait| wait.mul_f64(0.9 + 0.2 * jitter.clamp(0.0, 1.0)))
    }

    /// The waits.
    #[must_use]
    pub fn waits(&self) -> &[Duration] {
        &self.0
    }
}

impl Default for Schedule {
    /// 0, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h, as Standard Webhooks proposes.
    fn default() -> Self {
        let seconds = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
        Self(seconds.into_iter().map(Duration::from_secs).collect())
    }
}

impl TryFrom<Vec<i64>> for Schedule {
    type Error = NotASchedule;

    fn try_from(millis: Vec<i64>) -> Result<Self, NotASchedule> {
        let waits: Result<_, _> = millis.into_iter().map(|ms| u64::try_from(ms).map(Duration::from_millis)).collect();
        Self::new(waits.map_err(|_| NotASchedule)?)
    }
}

impl From<Schedule> for Vec<i64> {
    fn from(schedule: Schedule) -> Self {
        schedule.0.into_iter().map(|wait| i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_attempts_over_three_days_with_ten_percent_of_jitter() {
        let schedule = Schedule::default();
        let whole: Duration = schedule.waits().iter().sum();
        assert_eq!(whole, Duration::from_secs(75 * 3600 + 35 * 60 + 5));
        assert_eq!(schedule.wait_after(1, 0.0), Some(Duration::from_millis(4_500)));
        assert_eq!(schedule.wait_after(1, 1.0), Some(Duration::from_millis(5_500)));
        assert_eq!(schedule.wait_after(10, 0.5), None);
        assert!(Schedule::new(Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn a_schedule_is_read_as_it_was_written_or_refused(
            millis in prop::collection::vec(any::<i64>().prop_map(|n| n % 3_000_000_000), 0..110)
        ) {
            let fits = (1..=100).contains(&millis.len()) && millis.iter().all(|ms| (0..=2_592_000_000).contains(ms));
            let read = Schedule::try_from(millis.clone());
            prop_assert_eq!(read.is_ok(), fits);
            if let Ok(schedule) = read {
                prop_assert_eq!(Vec::<i64>::from(schedule), millis);
            }
        }

        #[test]
        fn a_wait_is_within_ten_percent_and_ends_with_the_schedule(
            waits in prop::collection::vec(0..=2_592_000_000_u64, 1..=100), attempts: u32, jitter in -1.0..2.0
        ) {
            let schedule = Schedule::new(waits.iter().copied().map(Duration::from_millis).collect()).unwrap();
            for attempts in [attempts, attempts % 100] {
                let planned = usize::try_from(attempts).ok().and_then(|index| waits.get(index));
                let planned = planned.map(|ms| Duration::from_millis(*ms));
                match (schedule.wait_after(attempts, jitter), planned) {
                    (Some(wait), Some(planned)) => prop_assert!(
                        planned.mul_f64(0.899) <= wait && wait <= planned.mul_f64(1.101), "{wait:?} for {planned:?}"
                    ),
                    (wait, planned) => prop_assert!(wait.is_none() && planned.is_none()),
                }
            }
        }
    }
}
