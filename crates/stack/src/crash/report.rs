//! What came of the crash test: a table that reads as plain text and as Markdown, a page around it, or JSON.

use std::fmt;

use serde::Serialize;

use super::full_load::{Crash, FullLoad, WANTED_WITHIN_MS};
use super::peers::{NOTES, PEERS};
use super::round::{MERCHANTS, MOODS, Round};
use super::run::Run;
use super::side::Side;
use super::{Options, Rule};
use crate::page::machine::Setting;
use crate::page::table::Table;

/// Everything that the test showed.
#[derive(Debug)]
pub struct Report {
    /// Where and when.
    pub setting: Setting,
    /// What was asked for.
    pub options: Options,
    /// Round by round.
    pub rounds: Vec<Round>,
    /// Killed at full load.
    pub full_load: Option<FullLoad>,
}

impl Report {
    /// Whether the new way has lost nothing in any round, nor anything else is wrong with it. What the old way has lost
    /// is told, and decides nothing.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.new_runs().all(Run::is_well)
    }

    /// For people, on the terminal; with `ids`, everything lost and repeated by name.
    #[must_use]
    pub fn words(&self, ids: bool) -> String {
        Words { report: self, page: false, ids }.to_string()
    }

    /// The page: where and when, how, and what came of it.
    #[must_use]
    pub fn page(&self, ids: bool) -> String {
        Words { report: self, page: true, ids }.to_string()
    }

    /// As one JSON object, with every list.
    ///
    /// # Errors
    /// If it can't be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Json<'a> {
            well: bool,
            setting: &'a Setting,
            payments: u64,
            rate: f64,
            kill: Rule,
            rounds: &'a [Round],
            full_load: Option<&'a FullLoad>,
        }
        serde_json::to_string(&Json {
            well: self.is_well(),
            setting: &self.setting,
            payments: self.options.payments,
            rate: self.options.rate,
            kill: Round::rule(self.options),
            rounds: &self.rounds,
            full_load: self.full_load.as_ref(),
        })
    }

    fn new_runs(&self) -> impl Iterator<Item = &Run> {
        let full_load = self.full_load.iter().map(|full_load| &full_load.new.run);
        self.rounds.iter().map(|round| &round.new).chain(full_load)
    }

    /// Every run with its name.
    fn runs(&self) -> impl Iterator<Item = (String, &Run)> {
        let rounds = self.rounds.iter().flat_map(|round| {
            [&round.old, &round.new].map(|run| (format!("round {}, {}", round.number, run.side.as_str()), run))
        });
        let full_load = self.full_load.iter().flat_map(|full_load| [&full_load.old.run, &full_load.new.run]);
        rounds.chain(full_load.map(|run| (format!("full load, {}", run.side.as_str()), run)))
    }

    fn command(&self) -> String {
        let Options { payments, rounds, rate, full_load, .. } = self.options;
        let full_load = if full_load.is_some() { " --full-load" } else { "" };
        format!("stack crash-test --payments {payments} --rounds {rounds} --rate {rate}{full_load}")
    }
}

struct Words<'a> {
    report: &'a Report,
    page: bool,
    ids: bool,
}

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        if self.page {
            report.setting.head(f, "Crash test", &report.command())?;
        }
        if !report.rounds.is_empty() {
            self.how(f)?;
            rounds(f, &report.rounds)?;
        }
        if let Some(full_load) = &report.full_load {
            self.full_load(f, full_load)?;
        }
        if self.ids {
            ids(f, report)?;
        }
        verdict(f, report)
    }
}

impl Words<'_> {
    fn how(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.page {
            return Ok(());
        }
        let Options { payments, rate, .. } = self.report.options;
        let rule = Round::rule(self.report.options);
        let [old, new] = [Side::Old, Side::New].map(Side::deliverer);
        writeln!(
            f,
            "OLD is `{old}`: the same API, which queues and retries in memory after the commit, with the same schedule\nand \
             the same signed body. NEW is the pipeline. In each round, one after the other, each side gets {payments} payments\n\
             at {rate:.0} a second for {MERCHANTS} merchants of its own: {MOODS}.\n"
        )?;
        writeln!(
            f,
            "**The kill, the same on both sides**: -9 for the process that delivers (`{old}`, `{new}`)\n{rule};\nit is \
             started again at once. Then it is waited until nothing more is to come: OLD has nothing in memory, NEW's\nledger \
             has an end for everything. Only acknowledged payments count, each by its id: a repeat hides no loss.\n"
        )
    }

    fn full_load(&self, f: &mut fmt::Formatter<'_>, full_load: &FullLoad) -> fmt::Result {
        let FullLoad { options, old, new } = full_load;
        if self.page || !self.report.rounds.is_empty() {
            writeln!(f, "## Killed at full load\n")?;
        }
        writeln!(
            f,
            "{} payments as fast as {} connections make them, to one merchant; killed as soon as {} webhooks had arrived, told \
             to start\nagain {:.1} s later. The others were measured on the same kind of machine on 2026-11-23.\n",
            options.payments,
            options.concurrency,
            options.kill_after,
            options.restart_after.as_secs_f64(),
        )?;
        let mut table = Table::new(&["", "OLD", "NEW", PEERS[0].name, PEERS[1].name, PEERS[2].name]);
        let mut row = |what: &str, of: &dyn Fn(&Crash) -> String, peers: [&str; 3]| {
            let [a, b, c] = peers.map(str::to_owned);
            table.row([what.to_owned(), of(old), of(new), a, b, c]);
        };
        row("acknowledged", &|crash| crash.run.verdict.acknowledged.to_string(), [""; 3]);
        row("acknowledged before the kill", &|crash| crash.acknowledged_before.to_string(), [""; 3]);
        row("lost", &|crash| crash.run.verdict.lost.to_string(), PEERS.each_ref().map(|peer| peer.lost));
        row("repeated", &|crash| crash.run.verdict.repeated.to_string(), PEERS.each_ref().map(|peer| peer.repeated));
        row("under way at the kill", &|crash| under_way(&crash.run), [""; 3]);
        let first = |crash: &Crash| seconds(crash.first_after_restart_ms);
        row("first arrival, s after the restart", &first, PEERS.each_ref().map(|peer| peer.first_s));
        let all = |of: fn(&Crash) -> Option<i64>| {
            move |crash: &Crash| if crash.lost_of_before > 0 { "never".to_owned() } else { seconds(of(crash)) }
        };
        let what = "all of before the kill arrived, s after the kill";
        row(what, &all(|crash| crash.all_of_before_after_kill_ms), PEERS.each_ref().map(|peer| peer.all_s));
        let what = "**the same, s after the restart**";
        row(what, &all(|crash| crash.all_of_before_after_restart_ms), [""; 3]);
        let what = format!("of these, later than {} s after it", seconds(Some(WANTED_WITHIN_MS)));
        row(&what, &|crash| crash.later_than_wanted.to_string(), [""; 3]);
        writeln!(f, "{table}\n{NOTES}\n")?;
        let reached = new.lost_of_before == 0 && new.later_than_wanted == 0;
        writeln!(
            f,
            "Wanted: everything acknowledged before the kill within {} s of the restart, and repeats at most what was under \
             way.\nNEW: {}, {}.\n",
            seconds(Some(WANTED_WITHIN_MS)),
            if reached { "within that time" } else { "**not within that time**" },
            if new.run.unexplained.is_empty() { "nothing else repeated" } else { "**others repeated, too**" },
        )
    }
}

fn rounds(f: &mut fmt::Formatter<'_>, rounds: &[Round]) -> fmt::Result {
    let mut table = Table::new(&[
        "",
        "acknowledged",
        "delivered",
        "lost",
        "repeated",
        "at the kill: acknowledged",
        "arrived",
        "under way",
    ]);
    for round in rounds {
        for run in [&round.old, &round.new] {
            let verdict = &run.verdict;
            let counts = [verdict.acknowledged, verdict.delivered, verdict.lost, verdict.repeated];
            let [acknowledged, delivered, lost, repeated] = counts.map(|count| count.to_string());
            let name = format!("round {}, {}", round.number, run.side.as_str());
            let at_kill = [run.at_kill.acknowledged, run.at_kill.arrived].map(|count| count.to_string());
            let [at_kill, arrived] = at_kill;
            table.row([name, acknowledged, delivered, lost, repeated, at_kill, arrived, under_way(run)]);
        }
    }
    for (name, of) in [("all, OLD", (|round| &round.old) as fn(&Round) -> &Run), ("all, NEW", |round| &round.new)] {
        let sum = |count: fn(&Run) -> usize| format!("**{}**", rounds.iter().map(of).map(count).sum::<usize>());
        table.push(vec![
            format!("**{name}**"),
            sum(|run| run.verdict.acknowledged),
            sum(|run| run.verdict.delivered),
            sum(|run| run.verdict.lost),
            sum(|run| run.verdict.repeated),
        ]);
    }
    writeln!(f, "{table}")
}

/// What was lost and repeated, by name.
fn ids(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    for (name, run) in report.runs() {
        let lists = &run.verdict.lists;
        for lost in &lists.lost {
            writeln!(
                f,
                "- {name}: lost {}, of {}, acknowledged {}",
                lost.payment_id, lost.merchant_id, lost.acknowledged_at
            )?;
        }
        for repeated in &lists.repeated {
            let why = match (&run.under_way, run.unexplained.contains(&repeated.webhook_id)) {
                (None, _) => "",
                (Some(_), true) => ", **unexplained**",
                (Some(_), false) => ", under way at the kill",
            };
            writeln!(f, "- {name}: repeated {}, first {}{why}", repeated.webhook_id, repeated.first_at)?;
        }
    }
    writeln!(f)
}

fn verdict(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    if report.is_well() {
        return writeln!(f, "NEW lost nothing.");
    }
    for (name, run) in report.runs().filter(|(_, run)| run.side == Side::New && !run.is_well()) {
        let verdict = &run.verdict;
        write!(f, "{name}: {} lost, {} phantom, {} stale", verdict.lost, verdict.phantom, verdict.stale)?;
        write!(f, ", {} unsigned, {} repeated unexplained", verdict.unsigned, run.unexplained.len())?;
        write!(f, ", {} requests refused, {} unanswered", run.load.refused, run.load.unknown)?;
        match &run.ledger {
            Some(ledger) if !crate::ledger::is_finished(ledger) => writeln!(f, "; the ledger:\n{ledger}")?,
            _ => writeln!(f)?,
        }
    }
    Ok(())
}

fn under_way(run: &Run) -> String {
    run.under_way.as_ref().map_or_else(|| "–".to_owned(), |ids| ids.len().to_string())
}

/// To the hundredth.
fn seconds(ms: Option<i64>) -> String {
    ms.map_or_else(|| "–".to_owned(), |ms| format!("{}.{:02}", ms / 1_000, ms % 1_000 / 10))
}
