//! `verifier audit`.

use clap::Args;

use super::{PortalFlags, WITHIN, WindowFlags};
use crate::audit::Audit;

/// Flags of `audit`.
#[derive(Debug, Args)]
pub struct Flags {
    #[command(flatten)]
    portal: PortalFlags,
    #[command(flatten)]
    window: WindowFlags,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<bool> {
    let (from, to) = flags.window.read()?;
    let audit: Audit = flags.portal.door()?.audit(from, to, WITHIN).await?;
    super::print(&audit, flags.json)?;
    Ok(audit.balances())
}
