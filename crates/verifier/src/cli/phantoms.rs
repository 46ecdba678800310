//! `verifier phantoms`.

use clap::Args;

use super::{PortalFlags, WITHIN};
use crate::phantoms::Phantoms;

/// Flags of `phantoms`.
#[derive(Debug, Args)]
pub struct Flags {
    #[command(flatten)]
    portal: PortalFlags,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<bool> {
    let phantoms = Phantoms::among(&flags.portal.door()?.parked_records(WITHIN).await?);
    super::print(&phantoms, flags.json)?;
    Ok(phantoms.events.is_empty())
}
