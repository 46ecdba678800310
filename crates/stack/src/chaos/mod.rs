//! Chaos: whatever can be killed is killed, and whatever can be cut is cut, while the load goes on; then everything is
//! healed, waited for, and judged.

pub mod armed;
pub mod links;
mod load;
pub mod plan;
pub mod proxy;
mod report;
mod strike;
pub mod target;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use chassis::{Lifecycle, fault};
use indicatif::ProgressBar;
use verifier::account::Account;
use verifier::verdict::explain::Evidence;
use verifier::verdict::{self, Witness};

use self::armed::Armed;
use self::links::Links;
use self::plan::Plan;
pub use self::report::Report;
use self::strike::{Death, Striker, Struck};
use crate::doors::{Doors, WITHIN};
use crate::page::machine::Setting;
use crate::progress::Progress;
use crate::routes::Routes;
use crate::{Stack, ledger};

/// The one that stands beside the first.
const SECOND_CONSUMER: &str = "webhook-consumer-2";

/// What makes the ledger look for overdue work in seconds instead of minutes: otherwise a run of a few minutes would end
/// before the reconciler has anything to do.
const SETTINGS: [(&str, &str); 7] = [
    ("EVERHOOK_OVERDUE_AFTER", "45s"),
    ("EVERHOOK_OVERTAKEN_AFTER", "20s"),
    ("EVERHOOK_UNROUTED_AFTER", "60s"),
    ("EVERHOOK_LEASE_MARGIN", "2s"),
    ("EVERHOOK_STALLED_AFTER", "20s"),
    ("EVERHOOK_CIRCUIT_SHORTEST", "1s"),
    ("EVERHOOK_CIRCUIT_LONGEST", "5s"),
];

/// For the ledger to have an end for everything, once nothing is disturbed any more.
const QUIET_WITHIN: Duration = Duration::from_secs(900);
/// For what has not arrived although the ledger says so.
const ARRIVED_WITHIN: Duration = Duration::from_secs(20);
/// So long nothing more may come before the last look: longer than an attempt that a frozen sender still holds.
const SETTLE: Duration = Duration::from_secs(3);
/// What comes later than this after its promise, not counting the time of the faults, is listed.
const LATE_AFTER: Duration = Duration::from_secs(30);

/// The stack as chaos needs it: every link through a proxy, and the folder that arms points.
///
/// # Errors
/// If the machine has no free ports left.
pub fn shape(stack: Stack) -> anyhow::Result<Stack> {
    let points = points_folder(&stack);
    let points = points.to_str().context("the data folder's name is no text")?.to_owned();
    let stack = stack.with_routes(Routes::through_proxies()?).with_setting(fault::FOLDER, &points);
    Ok(SETTINGS.into_iter().fold(stack, |stack, (name, value)| stack.with_setting(name, value)))
}

fn points_folder(stack: &Stack) -> PathBuf {
    stack.folder().of("points")
}

/// Whether the programs in this folder have fault points: each of them says so with its version.
///
/// # Errors
/// If one can't be run, or some have them and others have not.
pub fn has_points(binaries: &Path) -> anyhow::Result<bool> {
    let mut having = Vec::new();
    for program in ["payments-api", "data-service", "webhook-consumer", "cdc-relay"] {
        let asked = Command::new(binaries.join(program)).arg("--version").output();
        let asked = asked.with_context(|| format!("can't ask {program} for its version"))?;
        having.push(String::from_utf8_lossy(&asked.stdout).trim_end().ends_with(fault::MARK));
    }
    let all = having.iter().all(|has| *has);
    anyhow::ensure!(
        all || !having.contains(&true),
        "some programs in {} have fault points and others have not: build them together",
        binaries.display()
    );
    Ok(all)
}

/// Starts everything, plays the plan under load, heals, waits, and judges.
///
/// # Errors
/// If something does not start or gives no answer although nothing is disturbed. What is lost is no error: the report says
/// it.
pub async fn run(
    stack: &Stack,
    machine: Setting,
    plan: Plan,
    lifecycle: &Lifecycle,
    progress: &Progress,
) -> anyhow::Result<Report> {
    let links = Links::open(stack, lifecycle).await?;
    stack.start_all().await?;
    stack.start(SECOND_CONSUMER).await?;
    let doors = Doors::of(stack)?;
    // Beside the logs, because it is wanted when they are.
    let path = stack.folder().logs().join("account.jsonl");
    let ready = load::prepare(stack, &doors, path.clone(), &plan).await?;
    progress.say(&format!("{} requests a second, {} endpoints; the plan begins", plan.rate, ready.endpoints.len()));

    let striker = Striker::new(stack, &links, Armed::new(points_folder(stack))?, progress);
    let work = async {
        let until_over = Lifecycle::default();
        let strikes = async {
            let struck = striker.play(&plan).await;
            until_over.stop();
            struck
        };
        let hidden = ProgressBar::hidden();
        let (load, struck) = tokio::try_join!(ready.drive(&until_over, &hidden), strikes)?;
        progress.say("the plan is over; waiting until everything has an end");
        anyhow::Ok((load, struck, judge(&doors, &path, progress).await?))
    };
    let (load, struck, (verdict, ledger)) = tokio::select! {
        done = work => done?,
        died = striker.mind_deaths() => return died.and(Err(anyhow::anyhow!("nobody minds the dead any more"))),
    };
    let deaths = striker.deaths();
    let windows = struck.iter().filter_map(Struck::window).chain(deaths.iter().map(Death::window)).collect();
    let evidence = Evidence::gather(&verdict, windows, &doors.portal()?, WITHIN).await?;
    let verdict = verdict.explained(&evidence, LATE_AFTER);
    Ok(Report::new(machine, plan, struck, deaths, load, verdict, ledger))
}

async fn judge(
    doors: &Doors,
    account: &Path,
    progress: &Progress,
) -> anyhow::Result<(verdict::Verdict, verifier::audit::Audit)> {
    let account = Account::read(account)?;
    let step = progress.begin("ledger", "waiting until nothing is unrouted, pending or held");
    let ledger = ledger::settled(&doors.portal()?, &account, QUIET_WITHIN).await?;
    step.done(if ledger::is_finished(&ledger) { "everything has an end" } else { "not everything has an end" });
    let options = verdict::Options { wait: ARRIVED_WITHIN, settle: SETTLE, late_after: LATE_AFTER };
    let (verdict, _) = Witness::of(&account)?.verdict(&account, options, &ProgressBar::hidden()).await?;
    Ok((verdict, ledger))
}
