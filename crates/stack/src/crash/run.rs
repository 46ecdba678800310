//! One side under its load, killed once and started again, and everything that became of it.

use std::time::Duration;

use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Value, json};
use verifier::Timestamp;
use verifier::account::{Account, Endpoint};
use verifier::audit::Audit;
use verifier::load::{Summary, set_up};
use verifier::verdict::{self, Repeated, Seen, Verdict, Witness};

use super::kill::{Progressed, Rule};
use super::side::{Arena, Side};
use crate::doors::{Load, WITHIN};
use crate::ledger;

/// So long nothing may arrive before the last look: nothing more was to come before it began.
const SETTLE: Duration = Duration::from_millis(500);

/// What is done to one side.
pub(super) struct Plan<'a> {
    /// What it is called.
    pub(super) name: &'a str,
    /// Under this load.
    pub(super) load: Load,
    /// The endpoints' moods, in their order and from the beginning again.
    pub(super) moods: &'a [Value],
    /// When the process that delivers is killed.
    pub(super) kill: Rule,
    /// And how long it stays dead.
    pub(super) restart_after: Duration,
}

/// What one side showed.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Which.
    pub side: Side,
    /// The process that was killed.
    pub killed: &'static str,
    /// When.
    pub killed_at: Timestamp,
    /// When it was told to start again.
    pub restarted_at: Timestamp,
    /// How far the load was at the kill.
    pub at_kill: Progressed,
    /// What the API answered.
    pub load: Summary,
    /// What arrived of what was acknowledged.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The webhooks that were under way at the kill, by id: begun, and no result was recorded; once for each such attempt.
    /// Nobody knows them of the old way, which keeps no record.
    pub under_way: Option<Vec<String>>,
    /// Repeated, although none of those: by id.
    pub unexplained: Vec<String>,
    /// What the new way's ledger says.
    pub ledger: Option<Audit>,
}

impl Run {
    /// Plays one side. Answers what was seen besides, for those who look closer.
    pub(super) async fn play(arena: &Arena<'_>, plan: Plan<'_>) -> anyhow::Result<(Self, Account, Seen)> {
        let (side, killed) = (arena.side, arena.side.deliverer());
        let step = arena.progress.begin(&format!("{}, {}", plan.name, side.as_str()), "driving the load");
        let path = arena.account_file(plan.name);
        let ready = set_up(arena.doors.load(path.clone(), plan.load)?).await?;
        let simulator = arena.doors.simulator()?;
        let put_moods = async |of: &dyn Fn(&Value) -> Value| {
            for (endpoint, mood) in ready.endpoints.iter().zip(plan.moods.iter().cycle()) {
                simulator.put_mood(endpoint.endpoint_id, &of(mood), WITHIN).await?;
            }
            anyhow::Ok(())
        };
        put_moods(&Value::clone).await?;
        let acknowledged = ProgressBar::hidden();
        let crash = async {
            let at_kill = plan.kill.due(&ready, &simulator, &acknowledged).await?;
            let killed_at = verifier::now();
            arena.stack.kill9(killed).await?;
            // Whatever was wrong with a merchant is over while nobody delivers.
            put_moods(&recovered).await?;
            tokio::time::sleep(plan.restart_after).await;
            let restarted_at = verifier::now();
            arena.stack.start(killed).await?;
            anyhow::Ok((at_kill, killed_at, restarted_at))
        };
        let (load, (at_kill, killed_at, restarted_at)) =
            tokio::try_join!(ready.drive(arena.lifecycle, &acknowledged), crash)?;

        step.now("waiting until nothing more is to come");
        let account = Account::read(&path)?;
        let ledger = arena.quiet(&account).await?;
        step.now("judging");
        let options = verdict::Options { wait: Duration::ZERO, settle: SETTLE, ..verdict::Options::default() };
        let (verdict, seen) = Witness::of(&account)?.verdict(&account, options, &ProgressBar::hidden()).await?;
        let under_way = under_way(arena, &ready.endpoints).await?;
        let unexplained = unexplained(&verdict, under_way.as_deref());
        step.done(&format!("{} of {} arrived, {} repeated", verdict.delivered, verdict.expected, verdict.repeated));
        let run =
            Self { side, killed, killed_at, restarted_at, at_kill, load, verdict, under_way, unexplained, ledger };
        Ok((run, account, seen))
    }

    /// Whether everything was acknowledged, everything arrived, nothing else did, each repeat was under way at the kill,
    /// and the ledger, where there is one, has an end for everything.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let answered = self.load.refused == 0 && self.load.unknown == 0;
        let finished = self.ledger.as_ref().is_none_or(ledger::is_finished);
        self.verdict.balanced && answered && finished && self.unexplained.is_empty()
    }
}

/// The mood after the kill: one that does not accept is well.
fn recovered(mood: &Value) -> Value {
    if mood["mood"] == "failing" { json!({"mood": "well"}) } else { mood.clone() }
}

async fn under_way(arena: &Arena<'_>, endpoints: &[Endpoint]) -> anyhow::Result<Option<Vec<String>>> {
    match arena.side {
        Side::Old => Ok(None),
        Side::New => {
            let portal = arena.doors.portal()?;
            let mut all = Vec::new();
            for endpoint in endpoints {
                let ids = portal.unrecorded(endpoint.endpoint_id, WITHIN).await?;
                all.extend(ids.iter().map(ToString::to_string));
            }
            Ok(Some(all))
        }
    }
}

/// Each attempt whose result nobody knows explains one repeat. Where nobody knows them, nothing is judged.
fn unexplained(verdict: &Verdict, under_way: Option<&[String]>) -> Vec<String> {
    let Some(under_way) = under_way else { return Vec::new() };
    let may_repeat = |id: &String| under_way.iter().filter(|other| *other == id).count();
    let is_explained = |webhook: &Repeated| webhook.repeats.len() <= may_repeat(&webhook.webhook_id);
    let repeated = verdict.lists.repeated.iter().filter(|webhook| !is_explained(webhook));
    repeated.map(|webhook| webhook.webhook_id.clone()).collect()
}
