//! Chaos: whatever can be killed is killed, and whatever can be cut is cut, while the load goes on.

pub mod proxy;
