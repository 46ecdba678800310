//! Joins calls that arrive close together into one: while a batch is under way, the next one gathers.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::Lifecycle;

/// Hands single items to a function over batches, and each caller its own result.
#[derive(Debug)]
pub struct Batcher<T, R> {
    // Not bounded by itself: a caller has one item in it and waits, and what one that gave up has left goes with its batch.
    queue: mpsc::UnboundedSender<Call<T, R>>,
}

type Call<T, R> = (T, oneshot::Sender<R>);

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

/// The process is stopping, or the batch died before it had an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the batch gave no answer")]
pub struct NoAnswer;

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    /// Starts `lanes` workers; each takes what waits, at most `most` items, and calls `run` with it.
    /// A lone item is never kept waiting. `run` returns one result for each item, in their order.
    pub fn start<F, Fut>(lifecycle: &Lifecycle, lanes: usize, most: usize, run: F) -> Self
    where
        F: Fn(Vec<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<R>> + Send,
    {
        Self::start_with(lifecycle, lanes, most, |_| true, |_| (), run)
    }

    /// As [`Batcher::start`], but of what waits, the least by `order` goes first.
    pub fn start_in_order<K, F, Fut>(
        lifecycle: &Lifecycle,
        lanes: usize,
        most: usize,
        order: fn(&T) -> K,
        run: F,
    ) -> Self
    where
        K: Ord + Send + 'static,
        F: Fn(Vec<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<R>> + Send,
    {
        Self::start_with(lifecycle, lanes, most, |_| true, order, run)
    }

    /// As [`Batcher::start`], but an item whose caller has given up is not done any more: whoever gives up asks again, and
    /// done for nobody, it would only delay the others. Not for what is worth doing whoever hears of it.
    pub fn start_for_callers<F, Fut>(lifecycle: &Lifecycle, lanes: usize, most: usize, run: F) -> Self
    where
        F: Fn(Vec<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<R>> + Send,
    {
        Self::start_with(lifecycle, lanes, most, |caller| !caller.is_closed(), |_| (), run)
    }

    fn start_with<K, F, Fut>(
        lifecycle: &Lifecycle,
        lanes: usize,
        most: usize,
        is_wanted: fn(&oneshot::Sender<R>) -> bool,
        order: fn(&T) -> K,
        run: F,
    ) -> Self
    where
        K: Ord + Send + 'static,
        F: Fn(Vec<T>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<R>> + Send,
    {
        let (queue, calls) = mpsc::unbounded_channel();
        let waiting = Waiting { calls, arrived: Vec::new(), in_order: BTreeMap::new(), taken: 0, order };
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        let run = Arc::new(run);
        for _ in 0..lanes {
            let (waiting, run) = (waiting.clone(), run.clone());
            lifecycle.spawn(async move {
                loop {
                    let mut batch = waiting.lock().await.next(most).await;
                    if batch.is_empty() {
                        return;
                    }
                    batch.retain(|(_, caller)| is_wanted(caller));
                    if batch.is_empty() {
                        continue;
                    }
                    let (items, callers): (Vec<T>, Vec<oneshot::Sender<R>>) = batch.into_iter().unzip();
                    for (caller, result) in callers.into_iter().zip(run(items).await) {
                        // A caller that has gone away needs no answer.
                        let _ = caller.send(result);
                    }
                }
            });
        }
        Self { queue }
    }

    /// Adds one item to the next batch and waits for its result.
    ///
    /// # Errors
    /// If the batch ended without a result for this item.
    pub async fn call(&self, item: T) -> Result<R, NoAnswer> {
        let (caller, answer) = oneshot::channel();
        self.queue.send((item, caller)).map_err(|_| NoAnswer)?;
        answer.await.map_err(|_| NoAnswer)
    }
}

/// What no batch has yet.
struct Waiting<T, R, K> {
    calls: mpsc::UnboundedReceiver<Call<T, R>>,
    arrived: Vec<Call<T, R>>,
    /// By their order, and of the same, by when they came.
    in_order: BTreeMap<(K, u64), Call<T, R>>,
    taken: u64,
    order: fn(&T) -> K,
}

impl<T, R, K: Ord> Waiting<T, R, K> {
    /// The first ones; waits for one. None if nobody is left who could call.
    async fn next(&mut self, most: usize) -> Vec<Call<T, R>> {
        // Without a wait for what has not come, if there is something.
        if self.in_order.is_empty() || !self.calls.is_empty() {
            self.calls.recv_many(&mut self.arrived, usize::MAX).await;
        }
        for call in self.arrived.drain(..) {
            self.in_order.insert(((self.order)(&call.0), self.taken), call);
            self.taken += 1;
        }
        std::iter::from_fn(|| self.in_order.pop_first()).take(most).map(|(_, call)| call).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn calls_during_a_batch_share_the_next_one_and_each_gets_its_own_result() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let seen = sizes.clone();
        let batcher = Batcher::start(&Lifecycle::default(), 1, 100, move |items: Vec<u32>| {
            seen.lock().unwrap().push(items.len());
            async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                items.into_iter().map(|n| n * 2).collect()
            }
        });
        let calls = (0..50).map(|n| {
            let batcher = batcher.clone();
            async move { batcher.call(n).await.unwrap() }
        });
        let results = futures_util::future::join_all(calls).await;
        assert_eq!(results, (0..50).map(|n| n * 2).collect::<Vec<_>>());
        let sizes = sizes.lock().unwrap().clone();
        assert!(sizes.len() <= 3, "50 calls became {} batches: {sizes:?}", sizes.len());
    }

    #[tokio::test]
    async fn of_what_waits_the_least_goes_first_and_of_the_same_the_first_one() {
        let done = Arc::new(Mutex::new(Vec::new()));
        let seen = done.clone();
        let run = move |items: Vec<(u32, char)>| slowly(items, seen.clone());
        let batcher = Batcher::start_in_order(&Lifecycle::default(), 1, 2, |(age, _)| *age, run);
        let calls = [(9, 'a'), (8, 'b'), (5, 'c'), (7, 'd'), (5, 'e'), (1, 'f')].map(|item| batcher.call(item));
        assert!(futures_util::future::join_all(calls).await.into_iter().all(|answer| answer.is_ok()));
        let done: String = done.lock().unwrap().iter().map(|(_, name)| name).collect();
        assert_eq!(done, "fcedba", "all are there before the first batch begins");
    }

    /// What is done of three items, of which the second one's caller gives up while it waits.
    async fn done_of_three(start: impl FnOnce(Arc<Mutex<Vec<u32>>>) -> Batcher<u32, u32>) -> Vec<u32> {
        let done = Arc::new(Mutex::new(Vec::new()));
        let batcher = start(done.clone());
        let gives_up = tokio::time::timeout(Duration::from_millis(20), async {
            tokio::task::yield_now().await;
            batcher.call(2).await
        });
        let (first, given_up) = tokio::join!(batcher.call(1), gives_up);
        assert!(first.is_ok() && given_up.is_err());
        assert_eq!(batcher.call(3).await, Ok(3));
        done.lock().unwrap().clone()
    }

    async fn slowly<T: Copy>(items: Vec<T>, done: Arc<Mutex<Vec<T>>>) -> Vec<T> {
        done.lock().unwrap().extend(items.iter().copied());
        tokio::time::sleep(Duration::from_millis(50)).await;
        items
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_done_only_if_it_is_worth_doing() {
        let lifecycle = Lifecycle::default();
        let for_callers =
            |done| Batcher::start_for_callers(&lifecycle, 1, 100, move |items| slowly(items, Arc::clone(&done)));
        assert_eq!(done_of_three(for_callers).await, [1, 3]);
        let anyway = |done| Batcher::start(&lifecycle, 1, 100, move |items| slowly(items, Arc::clone(&done)));
        assert_eq!(done_of_three(anyway).await, [1, 2, 3]);
    }

    #[tokio::test]
    async fn a_batch_without_results_is_no_answer_and_hangs_nobody() {
        let batcher: Batcher<u32, u32> = Batcher::start(&Lifecycle::default(), 1, 10, |_| async { Vec::new() });
        assert_eq!(batcher.call(1).await, Err(NoAnswer));
    }
}
