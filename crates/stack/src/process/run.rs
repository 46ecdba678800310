//! Runs a program to its end, for the steps of a set-up: npm, mvn, initdb, the migrations.

use super::log::Failure;
use super::{Process, Spec, describe};

/// Runs the program and waits for it. `remedy` says what to do when it fails.
///
/// # Errors
/// If it can't be started, or ends with another status than 0: then with the tail of its log.
pub async fn to_end(spec: &Spec, remedy: &str) -> anyhow::Result<()> {
    let process = Process::spawn(spec).await?;
    let status = process.ended().await;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("{} {}: {remedy}", spec.name, describe(status)), &spec.log).into())
}
