//! `verifier verdict`.

use std::path::PathBuf;
use std::time::Duration;

use chassis::flags::duration;
use clap::Args;

use crate::account::Account;
use crate::verdict::{Options, Witness};

/// Flags of `verdict`.
#[derive(Debug, Args)]
pub struct Flags {
    /// The account file of a load. It says where the load ran.
    #[arg(long)]
    account: PathBuf,
    /// How long to wait for what is missing.
    #[arg(long, value_parser = duration, default_value = "5m")]
    wait: Duration,
    /// How long nothing more may arrive before the last look, which finds what should not have come.
    #[arg(long, value_parser = duration, default_value = "1s")]
    settle: Duration,
    /// List arrivals that came later than this after their acknowledgement.
    #[arg(long, value_parser = duration, default_value = "60s")]
    late_after: Duration,
    /// The database was restored from a backup: look every payment up. What is no longer committed is listed as undone,
    /// and is a phantom where it has arrived.
    #[arg(long)]
    restored: bool,
    /// Print one JSON object, with everything by id.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<bool> {
    let account = Account::read(&flags.account)?;
    let options = Options { wait: flags.wait, settle: flags.settle, late_after: flags.late_after };
    let progress = super::progress("arrived")?;
    let witness = Witness::of(&account)?;
    if flags.restored {
        let (restored, _) = witness.verdict_after_restore(&account, options, &progress).await?;
        progress.finish_and_clear();
        super::print(&restored, flags.json)?;
        return Ok(restored.verdict.balanced);
    }
    let (verdict, _) = witness.verdict(&account, options, &progress).await?;
    progress.finish_and_clear();
    super::print(&verdict, flags.json)?;
    Ok(verdict.balanced)
}
