//! What came of a run: in words, as one JSON object, or as a page of Markdown.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use verifier::audit::Audit;
use verifier::load::Summary;
use verifier::verdict::{Cause, Verdict};

use super::plan::{Act, Plan};
use super::strike::{Death, Outcome, Struck};
use super::{LATE_AFTER, SETTINGS};
use crate::ledger;
use crate::page::machine::Setting;
use crate::page::table::Table;

/// So many repeats are shown on the page; the JSON object has them all.
const SHOWN: usize = 40;

/// Everything about a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing is lost, phantom, stale, unsigned, out of order or unexplained, nothing died that nobody struck, and
    /// the ledger has an end for everything.
    pub well: bool,
    /// Where and when.
    pub machine: Setting,
    /// What was planned.
    pub plan: Plan,
    /// What became of it.
    pub struck: Vec<Struck>,
    /// What died although nobody struck it.
    pub deaths: Vec<Death>,
    /// What the API answered.
    pub load: Summary,
    /// What arrived.
    pub verdict: Verdict,
    /// What the ledger says.
    pub ledger: Audit,
    /// How our services were set, other than by default.
    pub settings: BTreeMap<&'static str, &'static str>,
}

impl Report {
    pub(super) fn new(
        machine: Setting,
        plan: Plan,
        struck: Vec<Struck>,
        deaths: Vec<Death>,
        load: Summary,
        verdict: Verdict,
        ledger: Audit,
    ) -> Self {
        let well = verdict.balanced
            && verdict.unexplained == Some(0)
            && load.refused == 0
            && deaths.is_empty()
            && ledger::is_finished(&ledger);
        let settings = SETTINGS.into_iter().collect();
        Self { well, machine, plan, struck, deaths, load, verdict, ledger, settings }
    }

    /// The page for people who were not there.
    #[must_use]
    pub fn page(&self) -> Page<'_> {
        Page(self)
    }

    /// How often each cause explains a repeat, the most frequent first.
    fn causes(&self) -> Vec<(String, usize)> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for cause in self.verdict.lists.repeated.iter().flat_map(|repeated| &repeated.causes) {
            let words = match cause {
                Cause::Attempt { outcome, .. } => format!("an earlier attempt ended as {outcome}"),
                Cause::Fault { what } => format!("{what} overlaps one of the arrivals"),
                Cause::Unexplained => "**unexplained**".to_owned(),
            };
            *counts.entry(words).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counts
    }

    /// How many faults of each kind there were at each target, and what came of the points.
    fn faults(&self) -> Table {
        let mut counts: BTreeMap<&str, [usize; Act::KINDS.len()]> = BTreeMap::new();
        for struck in &self.struck {
            let row = counts.entry(struck.fault.act.target()).or_default();
            if let Some(count) =
                Act::KINDS.iter().position(|kind| *kind == struck.fault.act.kind()).and_then(|n| row.get_mut(n))
            {
                *count += 1;
            }
        }
        let header: Vec<&str> = std::iter::once("").chain(Act::KINDS).collect();
        let mut table = Table::new(&header);
        for (target, counts) in &counts {
            let cells = counts.iter().map(|count| if *count == 0 { String::new() } else { count.to_string() });
            table.push(std::iter::once((*target).to_owned()).chain(cells).collect());
        }
        table
    }

    fn count(&self, what: impl Fn(&Outcome) -> bool) -> usize {
        self.struck.iter().filter(|struck| what(&struck.outcome)).count()
    }

    fn points(&self) -> String {
        if !self.plan.has_points() {
            return "No point was armed: the programs have none, or the plan names none.".to_owned();
        }
        let hit = self.count(|outcome| matches!(outcome, Outcome::Hit { .. }));
        let armed = self.struck.iter().filter(|struck| struck.fault.act.kind() == "point").count();
        format!("Points armed {armed} times, and hit {hit} times.")
    }

    /// What did not go by the plan, a line each.
    fn troubles(&self) -> String {
        let struck = self.struck.iter().filter_map(|struck| match &struck.outcome {
            Outcome::NotReady { problem } => Some(format!("{}: {problem}\n", struck.fault)),
            Outcome::WasDown => Some(format!("{}: it did not run\n", struck.fault)),
            Outcome::Done | Outcome::Hit { .. } | Outcome::NotHit => None,
        });
        let deaths = self
            .deaths
            .iter()
            .map(|Death { process, at, how, .. }| format!("{process} {how} at {at}, and nobody struck it\n"));
        struck.chain(deaths).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} faults. {}", self.struck.len(), self.points())?;
        f.write_str(&self.troubles())?;
        writeln!(f, "\n{}\n\n{}", self.load, self.verdict)?;
        if !ledger::is_finished(&self.ledger) {
            writeln!(f, "\n{}", self.ledger)?;
        }
        f.write_str(if self.well { "\nAll is well." } else { "\nAll is not well." })
    }
}

/// A report as a page of Markdown.
pub struct Page<'a>(&'a Report);

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        let Plan { seed, duration_ms, rate, faults } = &report.plan;
        let minutes = f64::from(u32::try_from(*duration_ms).unwrap_or(u32::MAX)) / 60_000.0;
        let command = format!("stack chaos --seed {seed} --minutes {minutes} --rate {rate}");
        report.machine.head(f, "Chaos", &command)?;
        writeln!(
            f,
            "{} faults in {minutes} minutes under load; then everything is healed, and waited for until the ledger has an end \
             for\neverything. What is acknowledged is on a file, synced, before it counts. {}\n",
            faults.len(),
            report.points()
        )?;
        let settings: Vec<_> = report.settings.iter().map(|(name, value)| format!("`{name}={value}`")).collect();
        writeln!(f, "Set for the run: {}.\n", settings.join(", "))?;
        writeln!(f, "## Faults\n\n{}", report.faults())?;
        writeln!(f, "## Load\n\n{}\n", report.load)?;
        self.verdict(f)?;
        self.repeats(f)?;
        let troubles = report.troubles();
        if !troubles.is_empty() {
            writeln!(f, "## Beside the plan\n\n```\n{troubles}```\n")?;
        }
        writeln!(f, "## The plan\n\n```\n{}```", report.plan)
    }
}

impl Page<'_> {
    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        let verdict = &report.verdict;
        let mut table = Table::new(&["verdict", "count"]);
        let mut row = |name: &str, count: u64| table.row([name.to_owned(), count.to_string()]);
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        row("acknowledged changes", count(verdict.acknowledged));
        row("expected deliveries", count(verdict.expected));
        row("delivered", count(verdict.delivered));
        row("**lost**", count(verdict.lost));
        row("superseded, where the latest only is wanted", count(verdict.superseded));
        row("repeated", count(verdict.repeated));
        row("**repeated without a reason**", count(verdict.unexplained.unwrap_or(verdict.repeated)));
        row("**phantom**", count(verdict.phantom));
        row("**stale**", count(verdict.stale));
        row("**unsigned**", verdict.unsigned);
        row("**out of order**, where order is wanted", count(verdict.out_of_order));
        row(&format!("later than {} s, faults not counted", LATE_AFTER.as_secs()), count(verdict.late));
        row("true, and acknowledged to nobody", count(verdict.unacknowledged));
        row("requests that nobody answered", count(verdict.unknown));
        writeln!(f, "## Verdict\n\n{table}")?;
        let finished = ledger::is_finished(&report.ledger);
        let ledger = if finished { "has an end for everything" } else { "**has no end for everything**" };
        writeln!(f, "The ledger {ledger}. {}\n", if report.well { "All is well." } else { "**All is not well.**" })?;
        if !report.well {
            writeln!(f, "```\n{}\n{}\n```\n", report.verdict, report.ledger)?;
        }
        Ok(())
    }

    fn repeats(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        let repeated = &report.verdict.lists.repeated;
        writeln!(f, "## Repeats\n")?;
        if repeated.is_empty() {
            return writeln!(f, "None.\n");
        }
        let mut table = Table::new(&["why", "count"]);
        report.causes().into_iter().for_each(|(why, count)| table.row([why, count.to_string()]));
        writeln!(f, "{table}")?;
        for one in repeated.iter().take(SHOWN) {
            let times = one.repeats.iter().zip(&one.causes).map(|(at, cause)| format!("again {at} ({cause})"));
            let times = times.collect::<Vec<_>>().join(", ");
            writeln!(f, "- {} at {}: {}, {times}", one.webhook_id, one.endpoint_id, one.first_at)?;
        }
        if repeated.len() > SHOWN {
            writeln!(f, "- and {} more", repeated.len() - SHOWN)?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests;
