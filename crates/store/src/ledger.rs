//! The ledger's SQL: what became of every event. The rules are `domain::ledger`; here they are read and stored.
//!
//! Rows are read without a lock, the transition is computed, and the write is guarded by what was read:
//! a row that changed meanwhile is not written, and its caller asks again.
//!
//! Statements on many keys say the lowest and the highest of them, too: a plan that is made once for all values prunes
//! partitions by these two alone. They write in the order of the keys, so that no two of them wait for each other.

use time::OffsetDateTime;

mod events;
mod gates;
mod jobs;
mod open;
mod order;
mod overdue;
mod parked;
mod resend;
mod steps;
mod sweep;

pub use events::{Endpoint, Event, Object, Secret, endpoints_of, endpoints_on, events, events_on};
pub use gates::{LetIn, LockedGate, StillGate, keep_gates, let_in, lock_gates, still_gates, try_circuit};
pub use jobs::{
    RunningJob, Turns, count_turns, followed, has_running_jobs, lock_job, parked_turns, put_job_behind, step_job, turns,
};
pub use open::{NewDelivery, Route, Routed, route, route_on, routed};
pub use order::{Line, LongHeld, is_followed, keep_lines, lock_lines, long_held, routed_along, unrouted_before};
pub use overdue::{endpoints_with_parked, overdue, parked_at};
pub use parked::{NewParkedRecord, park_record, recovered_events, resolve_recovered};
pub use resend::{Resent, resend_on};
pub use steps::{
    Exchange, Guard, LoggedAttempt, Seen, StepRow, Written, deliveries, deliveries_on, write_steps, write_steps_on,
};
pub use sweep::{Sweep, advance_sweep, read_horizon, read_sweep, take_lease, unrouted};

/// A moment as the database has it.
pub type Moment = OffsetDateTime;

/// The lowest and the highest of some ids; two empty texts if there is none.
fn bounds(ids: &[String]) -> (&str, &str) {
    let lowest = ids.iter().min().map_or("", String::as_str);
    let highest = ids.iter().max().map_or("", String::as_str);
    (lowest, highest)
}
