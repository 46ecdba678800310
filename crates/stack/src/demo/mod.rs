//! The demo: payments and status changes at a steady pace, shown as they arrive, and the account of them.

mod arrivals;
mod report;

use std::cell::Cell;
use std::time::{Duration, Instant};

use chassis::Lifecycle;
use indicatif::ProgressBar;
use verifier::account::Account;
use verifier::load::{Pace, Until, set_up};
use verifier::portal::Portal;
use verifier::verdict::{self, Verdict, Witness};

use self::arrivals::Watch;
pub use self::report::Report;
use crate::Stack;
use crate::doors::{Doors, Load, WITHIN};
use crate::hops::Hops;
use crate::ledger;
use crate::progress::Progress;

/// Never more requests under way than this.
const MOST_UNDER_WAY: usize = 256;
/// So long nothing may arrive before the last look.
const SETTLE: Duration = Duration::from_millis(500);
/// So many of the lost are asked after.
const ASKED_AFTER: usize = 3;

/// What the demo shows.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many payments.
    pub payments: u64,
    /// Of how many merchants.
    pub merchants: usize,
    /// Status changes of each payment.
    pub changes: usize,
    /// Requests a second.
    pub rate: f64,
    /// How long to wait for what has not arrived when everything is acknowledged.
    pub deadline: Duration,
}

/// Plays the demo on a stack that runs since a moment; its start took `up_after`.
///
/// # Errors
/// If a service gives no answer in time. What is lost is no error: the report says it.
pub async fn play(
    stack: &Stack,
    options: Options,
    up_after: Duration,
    lifecycle: &Lifecycle,
    progress: &Progress,
) -> anyhow::Result<Report> {
    let doors = Doors::of(stack)?;
    // Beside the logs, because it is wanted when they are.
    let path = stack.folder().logs().join("account.jsonl");
    let load = Load {
        merchants: options.merchants,
        changes: options.changes,
        until: Until::Payments(options.payments),
        pace: Pace::Open { rate: options.rate, most: MOST_UNDER_WAY },
    };
    let ready = set_up(doors.load(path.clone(), load)?).await?;
    progress.say(&format!(
        "{} payments of {} merchants, {} status changes each, {:.0} requests a second:",
        options.payments, options.merchants, options.changes, options.rate
    ));
    let acknowledged = progress.bar("acknowledged");
    let mut watch = Watch::new(&ready.endpoints, doors.simulator()?, progress, &acknowledged);
    let done_at = Cell::new(None);
    let drive = async {
        let summary = ready.drive(lifecycle, &acknowledged).await?;
        done_at.set(Some(Instant::now()));
        anyhow::Ok(summary)
    };
    let (summary, ()) = tokio::try_join!(drive, watch.follow(&done_at, options.deadline))?;
    drop(watch);
    acknowledged.finish_and_clear();

    let account = Account::read(&path)?;
    let left = done_at.get().map_or(options.deadline, |at| options.deadline.saturating_sub(at.elapsed()));
    let judged = verdict::Options { wait: left, settle: SETTLE, ..verdict::Options::default() };
    let (verdict, seen) = Witness::of(&account)?.verdict(&account, judged, &ProgressBar::hidden()).await?;
    let portal = doors.portal()?;
    let ledger = ledger::settled(&portal, &account, left.max(SETTLE)).await?;
    tell_of_lost(&verdict, &portal, progress).await;
    let hops = Hops::of(&doors, &account, seen.arrivals.values().flatten()).await?;
    Ok(Report::new(up_after, verdict, ledger, hops, &summary))
}

/// Says who owns the first of what is lost: it helps to find out why.
async fn tell_of_lost(verdict: &Verdict, portal: &Portal, progress: &Progress) {
    for lost in verdict.lists.lost.iter().take(ASKED_AFTER) {
        let id = lost.payment_id.to_string();
        match portal.why::<verifier::why::Why>(&id, WITHIN).await {
            Ok(why) => progress.say(&why.to_string()),
            Err(error) => progress.say(&format!("the portal does not say why {id} is lost: {error:#}")),
        }
    }
}
