//! The ledger protocol: what webhook-consumer may ask, and what the portal may.

use std::collections::HashSet;
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

/// A batch is given up before its callers give up, after 10 s: a database that has fallen silent must not hold the
/// lanes for ever.
const BATCH_PATIENCE: Duration = Duration::from_secs(8);

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
