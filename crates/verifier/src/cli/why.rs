//! `verifier why`.

use clap::Args;

use super::{PortalFlags, WITHIN};
use crate::why::Why;

/// Flags of `why`.
#[derive(Debug, Args)]
pub struct Flags {
    #[command(flatten)]
    portal: PortalFlags,
    /// The payment, event or delivery: `pay_…`, `evt_…` or `dlv_…`.
    #[arg(value_parser = id)]
    id: String,
    /// Print the portal's answer as it is.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<bool> {
    let answer: serde_json::Value = flags.portal.door()?.why(&flags.id, WITHIN).await?;
    if flags.json {
        super::print(&answer, true)?;
    } else {
        super::print(&serde_json::from_value::<Why>(answer)?, false)?;
    }
    Ok(true)
}

fn id(text: &str) -> Result<String, String> {
    let known = ["pay_", "evt_", "dlv_"].iter().any(|prefix| text.starts_with(prefix));
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if known && plain { Ok(text.to_owned()) } else { Err("write an id like pay_…, evt_… or dlv_…".to_owned()) }
}
