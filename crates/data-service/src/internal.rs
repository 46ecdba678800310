//! The ledger protocol: what webhook-consumer may ask, and what the portal may.

use std::collections::HashSet;
use std::hash::Hash;

pub mod next;
pub mod open;
pub mod overdue;
pub mod parked_records;
pub mod record;
pub mod secrets;

/// A parked record carries its bytes in base64; Kafka's limit is about 1 MiB.
pub const MOST_BODY_BYTES: usize = 16 * 1024 * 1024;

/// Which items are the first of their key. One statement can't write a row twice, so a twin is answered `failed`
/// and comes again.
fn firsts<T, K: Hash + Eq>(items: &[T], key: impl Fn(&T) -> K) -> Vec<bool> {
    let mut seen = HashSet::with_capacity(items.len());
    items.iter().map(|item| seen.insert(key(item))).collect()
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
