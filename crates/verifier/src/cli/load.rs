//! `verifier load`.

use std::path::PathBuf;
use std::time::Duration;

use chassis::Lifecycle;
use chassis::flags::duration;
use clap::Args;
use domain::event::EventFilter;
use url::Url;

use super::PortalFlags;
use crate::load::{Options, Pace, Until, set_up};

/// Flags of `load`.
#[derive(Debug, Args)]
pub struct Flags {
    /// The account file: JSON lines, added to if it exists.
    #[arg(long)]
    account: PathBuf,
    /// payments-api.
    #[arg(long, env = "EVERHOOK_API_URL", default_value = "http://127.0.0.1:3001")]
    api_url: Url,
    /// The file that holds the token of payments-api; left out where that is open.
    #[arg(long, env = "EVERHOOK_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    portal: PortalFlags,
    /// The merchant simulator.
    #[arg(long, env = "EVERHOOK_SIMULATOR_URL", default_value = "http://127.0.0.1:4001")]
    simulator_url: Url,
    #[command(flatten)]
    until: UntilFlags,
    #[command(flatten)]
    pace: PaceFlags,
    /// In an open loop, never more requests under way than this.
    #[arg(long, default_value_t = 1024)]
    most_under_way: usize,
    /// How many merchants to make.
    #[arg(long, default_value_t = 5, value_parser = positive)]
    merchants: usize,
    /// How many endpoints each merchant gets.
    #[arg(long, default_value_t = 1)]
    endpoints_per_merchant: usize,
    /// What the endpoints want; may be given several times.
    #[arg(long, default_value = "payment.*")]
    event_type: Vec<EventFilter>,
    /// Legal status changes of each payment.
    #[arg(long, default_value_t = 2)]
    changes: usize,
    /// Payments of the same seed have the same amounts and changes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long a request is repeated before it counts as unanswered.
    #[arg(long, value_parser = duration, default_value = "2m")]
    answer_within: Duration,
    /// How long one try may take.
    #[arg(long, value_parser = duration, default_value = "10s")]
    request_timeout: Duration,
    /// Print the summary as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct UntilFlags {
    /// How many payments to make.
    #[arg(long)]
    payments: Option<u64>,
    /// How long to begin payments.
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,
}

#[derive(Debug, Args)]
#[group(required = false, multiple = false)]
struct PaceFlags {
    /// Open loop: so many requests a second, whether answers come or not; latency counts from when one is due.
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// Closed loop: so many requests under way; 16 if neither is given.
    #[arg(long, value_parser = positive)]
    concurrency: Option<usize>,
}

pub(super) async fn run(flags: Flags, lifecycle: &Lifecycle) -> anyhow::Result<bool> {
    let options = Options {
        account: flags.account,
        api_url: flags.api_url,
        token_file: flags.token_file,
        portal_url: flags.portal.portal_url,
        operator_token_file: flags.portal.operator_token_file,
        simulator_url: flags.simulator_url,
        merchants: flags.merchants,
        endpoints_per_merchant: flags.endpoints_per_merchant,
        event_types: flags.event_type,
        changes: flags.changes,
        until: match (flags.until.payments, flags.until.duration) {
            (Some(payments), _) => Until::Payments(payments),
            (None, Some(elapsed)) => Until::Elapsed(elapsed),
            (None, None) => Until::Stopped,
        },
        pace: match flags.pace.rate {
            Some(rate) => Pace::Open { rate, most: flags.most_under_way },
            None => Pace::Closed { concurrency: flags.pace.concurrency.unwrap_or(16) },
        },
        seed: flags.seed,
        answer_within: flags.answer_within,
        one_try: flags.request_timeout,
    };
    let ready = set_up(options).await?;
    let progress = super::progress("acknowledged")?;
    let summary = ready.drive(lifecycle, &progress).await?;
    progress.finish_and_clear();
    super::print(&summary, flags.json)?;
    Ok(summary.acknowledged > 0 && summary.refused == 0 && summary.unknown == 0)
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let rate = number.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "write a rate like 20 or 20/s".to_owned())
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| "write a whole number from 1".to_owned())
}
