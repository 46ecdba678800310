//! The clock of the service.

use domain::time::Timestamp;
use time::OffsetDateTime;

/// Now, in microseconds as they are stored.
pub(crate) fn now() -> Timestamp {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(now.nanosecond() / 1_000 * 1_000).unwrap_or(now).into()
}
