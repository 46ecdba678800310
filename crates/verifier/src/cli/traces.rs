//! `verifier traces`.

use std::path::PathBuf;
use std::time::Duration;

use chassis::flags::duration;
use clap::{ArgAction, Args};
use domain::trace::SampleRatio;

use super::{PortalFlags, WITHIN, WindowFlags};
use crate::traces::{Options, Watch};

/// Flags of `traces`.
#[derive(Debug, Args)]
pub struct Flags {
    /// Files of spans: OTLP/JSON, a request on each line, as the OpenTelemetry collector's file exporter writes them.
    #[arg(long, required = true, num_args = 1..)]
    spans: Vec<PathBuf>,
    #[command(flatten)]
    portal: PortalFlags,
    #[command(flatten)]
    window: WindowFlags,
    /// So much earlier than its parent a span may begin: the clocks of two machines.
    #[arg(long, value_parser = duration, default_value = "5ms")]
    skew: Duration,
    /// Whether the merchants' handlers are traced, too; false: `webhook.receive` is not expected.
    #[arg(long, action = ArgAction::Set, default_value_t = true)]
    receiver_is_ours: bool,
    /// The share that is kept of the traces that no request has begun, as the services are told.
    #[arg(long, default_value_t = SampleRatio::ALL)]
    sample_ratio: SampleRatio,
    /// How long the files are read again until all is there.
    #[arg(long, value_parser = duration, default_value = "30s")]
    wait: Duration,
    /// Print one JSON object, with everything by id.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(flags: Flags) -> anyhow::Result<bool> {
    let (from, to) = flags.window.read()?;
    let watch = Watch { files: flags.spans, from, to, wait: flags.wait, within: WITHIN };
    let options = Options { skew: flags.skew, receiver_is_ours: flags.receiver_is_ours, ratio: flags.sample_ratio };
    let progress = super::progress("events")?;
    let judgement = watch.judge(&flags.portal.door()?, options, &progress).await?;
    progress.finish_and_clear();
    super::print(&judgement, flags.json)?;
    Ok(judgement.is_well)
}
