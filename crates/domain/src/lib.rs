//! The words of Everhook and its pure rules.
//!
//! Nothing here does I/O, reads a clock or rolls dice: time and randomness come in as parameters.

pub mod event;
pub mod gate;
pub mod ids;
pub mod job;
pub mod ledger;
pub mod message;
pub mod money;
pub mod outcome;
pub mod payment;
pub mod protocol;
pub mod schedule;
pub mod signature;
pub mod test_event;
pub mod text;
pub mod time;
pub mod trace;
pub mod webhook;
