//! How much of a batch is done at a time, so that what is done is answered.
//!
//! A batch is given up when its time is over: others wait for its lane. Where the database or the machine is
//! too slow for a whole batch (deliveries in line take a transaction each), nothing of it would ever be answered, and the
//! same would be asked again, for ever. So it is done in portions: half as many at a time after each that took too
//! long, twice as many after each that was quick. As long as all is well, a batch is one portion.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chassis::error_chain::Chain;
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::{BATCH_PATIENCE, Unanswered};

/// A portion that took no longer may be twice as large the next time.
const QUICK: Duration = Duration::from_millis(500);
/// One that took longer shall be half as large.
const SLOW: Duration = Duration::from_secs(1);
/// No portion is larger than a batch.
const LARGEST: usize = crate::app::MOST_IN_A_BATCH;

/// How large the portions of one kind of work are at present.
#[derive(Debug)]
pub struct Portions {
    size: AtomicUsize,
    patience: Duration,
}

/// What was done of a batch.
struct Done<R> {
    /// Of the first items, in their order.
    answers: Vec<R>,
    /// Why the others have none.
    error: Option<Unanswered>,
}

impl Default for Portions {
    fn default() -> Self {
        Self { size: AtomicUsize::new(LARGEST), patience: BATCH_PATIENCE }
    }
}

impl Portions {
    /// Does one portion after the other until all are done, one fails, or the time is over. What is left has `failed`, of
    /// which `could_not` tells the log; each of those is asked for again.
    pub(super) async fn answers<'a, T, R>(
        &self,
        items: &'a [T],
        could_not: &'static str,
        failed: impl Fn() -> R,
        portion: impl Fn(&'a [T]) -> BoxFuture<'a, Result<Vec<R>, store::Error>>,
    ) -> Vec<R> {
        let Done { mut answers, error } = self.work(items, portion).await;
        if let Some(error) = error {
            let left = items.len() - answers.len();
            tracing::warn!(error = %Chain(&error), items = left, "{could_not}");
            answers.resize_with(items.len(), failed);
        }
        answers
    }

    async fn work<'a, T, R>(
        &self,
        items: &'a [T],
        portion: impl Fn(&'a [T]) -> BoxFuture<'a, Result<Vec<R>, store::Error>>,
    ) -> Done<R> {
        let deadline = Instant::now() + self.patience;
        let mut answers = Vec::with_capacity(items.len());
        let mut rest = items;
        while !rest.is_empty() {
            let began = Instant::now();
            let size = self.size.load(Ordering::Relaxed).clamp(1, rest.len());
            let (now, later) = rest.split_at(size);
            match tokio::time::timeout_at(deadline, portion(now)).await {
                Ok(Ok(done)) => answers.extend(done),
                Ok(Err(error)) => return Done { answers, error: Some(Unanswered::Refused(error)) },
                Err(_) => {
                    self.set(size / 2);
                    return Done { answers, error: Some(Unanswered::Silent) };
                }
            }
            match began.elapsed() {
                took if took > SLOW => self.set(size / 2),
                took if took < QUICK => self.set(self.size.load(Ordering::Relaxed).max(size * 2)),
                _ => {}
            }
            rest = later;
        }
        Done { answers, error: None }
    }

    fn set(&self, size: usize) {
        self.size.store(size.clamp(1, LARGEST), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt as _;

    use super::*;

    /// Each item takes so long; notes how many there are in each portion.
    async fn work(portions: &Portions, count: usize, each: Duration) -> (usize, bool, Vec<usize>) {
        let items: Vec<usize> = (0..count).collect();
        let sizes = Mutex::new(Vec::new());
        let done = portions
            .work(&items, |portion| {
                sizes.lock().unwrap().push(portion.len());
                let time = each * u32::try_from(portion.len()).unwrap();
                async move {
                    tokio::time::sleep(time).await;
                    Ok(portion.to_vec())
                }
                .boxed()
            })
            .await;
        assert!(done.answers.iter().copied().eq(0..done.answers.len()), "the answers are of the first items");
        (done.answers.len(), done.error.is_some(), sizes.into_inner().unwrap())
    }

    #[tokio::test]
    async fn a_batch_is_one_portion_as_long_as_all_is_well() {
        let portions = Portions::default();
        for _ in 0..3 {
            assert_eq!(work(&portions, 200, Duration::ZERO).await, (200, false, vec![200]));
        }
    }

    #[tokio::test]
    async fn where_a_whole_batch_is_too_much_the_portions_shrink_until_some_are_answered() {
        let portions = Portions { patience: Duration::from_secs(1), ..Portions::default() };
        let each = Duration::from_millis(40);
        let (mut answered, mut tries) = (0, 0);
        while answered == 0 {
            let (done, gave_up, _) = work(&portions, 200, each).await;
            assert!(gave_up, "200 take 8 s");
            (answered, tries) = (done, tries + 1);
            assert!(tries <= 6, "it does not learn");
        }
        // And grow again.
        let (done, gave_up, sizes) = work(&portions, 200, Duration::ZERO).await;
        assert!((done, gave_up) == (200, false) && sizes.len() > 1, "{sizes:?}");
        work(&portions, 200, Duration::ZERO).await;
        assert_eq!(work(&portions, 200, Duration::ZERO).await, (200, false, vec![200]));
    }

    #[tokio::test]
    async fn what_was_done_before_a_failure_is_answered() {
        let portions = Portions { size: AtomicUsize::new(2), ..Portions::default() };
        let items = [1, 2, 3, 4, 5];
        let done = portions
            .work(&items, |portion| {
                let failed = || store::Error { doing: "failing", source: sqlx::Error::PoolClosed };
                let answer = if portion.contains(&4) { Err(failed()) } else { Ok(portion.to_vec()) };
                async move { answer }.boxed()
            })
            .await;
        assert_eq!(done.answers, [1, 2]);
        assert!(matches!(done.error, Some(Unanswered::Refused(_))));
    }
}
