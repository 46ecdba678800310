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
mod portions;
pub mod record;
pub mod sealed_answers;
pub mod sealed_headers;
pub mod secrets;
mod spans;

use chassis::batch::NoAnswer;
use futures_util::future::join_all;

pub use begun::Begun;
pub use gates::Timed;
pub use handed_out::HandedOut;
pub use portions::Portions;

/// A parked record carries its bytes in base64; Kafka's limit is about 1 MiB.
pub const MOST_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Which items are the first of their key. One statement can't write a row twice, so a twin is answered `failed`
/// and comes again.
fn firsts<T, K: Hash + Eq>(items: &[T], key: impl Fn(&T) -> K) -> Vec<bool> {
    let mut seen = HashSet::with_capacity(items.len());
    items.iter().map(|item| seen.insert(key(item))).collect()
}

/// A batch is given up after so long: a database that has fallen silent must not hold the lanes for ever, and whoever waits
/// for a lane has its turn before [`CALL_PATIENCE`] is over.
const BATCH_PATIENCE: Duration = Duration::from_secs(4);

/// A call is answered after so long, with what is done of it. Its caller gives up after 10 s, and would have nothing.
const CALL_PATIENCE: Duration = Duration::from_secs(9);

/// The answers of a call's items; none for those that are not done in time.
async fn answers_in_time<R>(
    items: impl IntoIterator<Item = impl Future<Output = Result<R, NoAnswer>>>,
) -> Vec<Option<R>> {
    let deadline = tokio::time::Instant::now() + CALL_PATIENCE;
    let in_time = items.into_iter().map(|item| tokio::time::timeout_at(deadline, item));
    join_all(in_time).await.into_iter().map(|answer| answer.ok()?.ok()).collect()
}

/// What is left of a batch has no answers; each of its items fails and comes again.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("the database refused")]
    Refused(#[source] store::Error),
    #[error("the database gave no answer for {BATCH_PATIENCE:?}")]
    Silent,
}

/// The text as PostgreSQL can hold it, which knows no NUL: one item must not fail its batch again and again.
fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
