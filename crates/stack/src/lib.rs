//! Runs the whole way of an event on one Linux machine: gets the real PostgreSQL, Apache Kafka and Restate, and starts
//! them and our services as child processes that it can kill, wipe and start again.

pub mod bench;
mod by_name;
pub mod chaos;
pub mod collector;
pub mod commands;
pub mod components;
pub mod crash;
pub mod demo;
pub mod doors;
pub mod folder;
pub mod hops;
pub mod kafka;
pub mod keep_alive;
pub mod ledger;
pub mod page;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod procfs;
pub mod progress;
pub mod ready;
pub mod restate;
pub mod routes;
pub mod scratch;
pub mod secrets;
pub mod services;
pub mod spans;
mod stack;
pub mod state;

pub use self::stack::{Kit, Stack};
