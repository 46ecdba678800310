//! The ledger's SQL: what became of every event. The rules are `domain::ledger`; here they are read and stored.
//!
//! Rows are read without a lock, the transition is computed, and the write is guarded by what was read:
//! a row that changed meanwhile is not written, and its caller asks again.

use time::OffsetDateTime;

mod events;
mod open;
mod overdue;
mod parked;
mod steps;
mod sweep;

pub use events::{Endpoint, Event, Secret, endpoints_of, events};
pub use open::{NewDelivery, Route, route};
pub use overdue::{overdue, resumable};
pub use parked::{NewParkedRecord, park_record, recovered_events, resolve_recovered};
pub use steps::{Guard, LoggedAttempt, Seen, StepRow, deliveries, write_steps};
pub use sweep::{Sweep, advance_sweep, read_sweep, take_lease, unrouted};

/// A moment as the database has it.
pub type Moment = OffsetDateTime;
