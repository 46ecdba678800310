//! The outside witness: drives load through the public doors, keeps an account of what was acknowledged,
//! and judges what arrived. It knows URLs only; nothing here asks a database or trusts a log.

pub mod account;
pub mod audit;
pub mod cli;
pub mod door;
pub mod latency;
pub mod load;
pub mod payments_api;
pub mod phantoms;
pub mod portal;
pub mod restored;
pub mod simulator;
pub mod spans;
pub mod traces;
pub mod verdict;
pub mod waterfall;
pub mod why;

pub use domain::time::Timestamp;
use time::OffsetDateTime;

/// So many requests are under way at once where many of a sort are made.
pub(crate) const AT_A_TIME: usize = 8;

/// The witness's clock.
#[must_use]
pub fn now() -> Timestamp {
    OffsetDateTime::now_utc().into()
}
