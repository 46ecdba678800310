//! The ledger protocol: what webhook-consumer may ask, and what the portal may.

use std::collections::HashSet;
use std::future::Future;
use std::hash::Hash;
use std::time::Duration;

mod begun;
pub mod endpoints;
mod first_time;
mod gates;
mod handed_out;
pub mod jobs;
pub mod next;
pub mod open;
mod order;
pub mod overdue;
pub mod parked_records;
pub mod record;
pub mod sealed_answers;
pub mod sealed_headers;
pub mod secrets;

use futures_util::future::join_all;

pub use begun::Begun;
pub use gates::Timed;
pub use handed_out::HandedOut;

/// A parked record carries its bytes in base64; Kafka's limit is about 1 MiB.
pub const MOST_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Which items are the first of their key. One statement can't write a row twice, so a twin is answered `failed`
/// and comes again.
fn firsts<T, K: Hash + Eq>(items: &[T], key: impl Fn(&T) -> K) -> Vec<bool> {
    let mut seen = HashSet::with_capacity(items.len());
    items.iter().map(|item| seen.insert(key(item))).collect()
}

/// A batch is given up before its callers give up, after 10 s: a database that has fallen silent must not hold the
/// lanes for ever.
const BATCH_PATIENCE: Duration = Duration::from_secs(8);

/// A batch has no answers; each of its items fails and comes again.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("the database refused")]
    Refused(#[source] store::Error),
    #[error("the database gave no answer for {BATCH_PATIENCE:?}")]
    Silent,
}

async fn in_time<T>(work: impl Future<Output = Result<T, store::Error>>) -> Result<T, Unanswered> {
    match tokio::time::timeout(BATCH_PATIENCE, work).await {
        Ok(done) => done.map_err(Unanswered::Refused),
        Err(_) => Err(Unanswered::Silent),
    }
}

/// Those in line need a transaction each. What of them is done after so long is answered, and the rest comes again:
/// on a slow machine a full batch would otherwise be given up as a whole, each time anew. A batch may have such parts
/// twice, so it is less than half of [`BATCH_PATIENCE`].
const PARTS_PATIENCE: Duration = Duration::from_secs(3);

/// Works on the parts of a batch side by side; a part that was not done in time has no answer.
async fn in_part<T>(parts: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<Option<T>> {
    parts_within(PARTS_PATIENCE, parts).await
}

async fn parts_within<T>(
    patience: Duration,
    parts: impl IntoIterator<Item = impl Future<Output = T>>,
) -> Vec<Option<T>> {
    let deadline = tokio::time::Instant::now() + patience;
    let parts = parts.into_iter().map(|part| async move { tokio::time::timeout_at(deadline, part).await.ok() });
    let answers: Vec<Option<T>> = join_all(parts).await;
    let unanswered = answers.iter().filter(|answer| answer.is_none()).count();
    if unanswered > 0 {
        tracing::warn!(unanswered, of = answers.len(), "not everything of a batch was done in {patience:?}");
    }
    answers
}

/// The text as PostgreSQL can hold it, which knows no NUL: one item must not fail its batch again and again.
fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_done_of_a_batch_is_answered_though_a_part_of_it_hangs() {
        let part = |n: u64| async move {
            if n == 1 {
                std::future::pending::<()>().await;
            }
            n
        };
        assert_eq!(parts_within(Duration::from_millis(50), (0..3).map(part)).await, [Some(0), None, Some(2)]);
    }
}
