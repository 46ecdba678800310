//! How an answer is judged: by its status, `webhook-delivery` and `Retry-After`.

use domain::outcome::{Failure, Outcome, judge};
use domain::time::Timestamp;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// Two bytes of status, then lines: `Retry-After`, `webhook-delivery`. Only a 2xx is a delivery, and nobody makes us wait for
/// longer than a day.
pub fn retry_after(data: &[u8]) {
    let Some((status, lines)) = data.split_first_chunk() else { return };
    let status = u16::from_be_bytes(*status);
    let Ok(lines) = str::from_utf8(lines) else { return };
    let mut lines = lines.split('\n').map(Some);
    let (retry_after, webhook_delivery) = (lines.next().flatten(), lines.next().flatten());
    // 2026-11-23
    let Some(now) = Timestamp::from_unix_micros(1_795_000_000_000_000) else { return };
    let is_success = (200..300).contains(&status);
    for status in [status, 429, 503] {
        match judge(status, webhook_delivery, retry_after, now) {
            Outcome::Delivered { .. } => assert!((200..300).contains(&status)),
            Outcome::Failed { reason, retry_after_ms } => {
                assert!(!(200..300).contains(&status));
                assert!(retry_after_ms.is_none() || reason == Failure::Busy);
                assert!(retry_after_ms.is_none_or(|ms| ms <= DAY_MS), "{retry_after:?}: {retry_after_ms:?}");
                assert!(
                    retry_after_ms.is_some() || reason != Failure::Busy || !is_seconds(retry_after),
                    "{retry_after:?} is not obeyed"
                );
            }
            outcome @ (Outcome::Gone | Outcome::Aborted) => {
                assert!(!is_success || status != u16::from_be_bytes([data[0], data[1]]), "{outcome:?}");
            }
        }
    }
}

fn is_seconds(retry_after: Option<&str>) -> bool {
    retry_after.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}
