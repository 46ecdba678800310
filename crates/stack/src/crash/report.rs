//! What came of the crash test: a table that reads as plain text and as Markdown, a page around it, or JSON.

use std::fmt;

use serde::Serialize;

use super::full_load::{self, Crash, FullLoad, WANTED_WITHIN_MS};
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
        let full_load = self.full_loads().iter().map(|round| &round.new.run);
        self.rounds.iter().map(|round| &round.new).chain(full_load)
    }

    /// Every run with its name.
    fn runs(&self) -> impl Iterator<Item = (String, &Run)> {
        let rounds = self.rounds.iter().flat_map(|round| {
            [&round.old, &round.new].map(|run| (format!("round {}, {}", round.number, run.side.as_str()), run))
        });
        let full_loads = self.full_loads().iter().flat_map(|round| {
            let name = move |run: &Run| format!("full load {}, {}", round.number, run.side.as_str());
            [&round.old.run, &round.new.run].map(|run| (name(run), run))
        });
        rounds.chain(full_loads)
    }

    fn full_loads(&self) -> &[full_load::Round] {
        self.full_load.as_ref().map_or(&[], |full_load| &full_load.rounds)
    }

    fn command(&self) -> String {
        let Options { payments, rounds, rate, full_load, .. } = self.options;
        let full_load = match full_load {
            Some(full_load::Options { rounds: 1, .. }) => " --full-load".to_owned(),
            Some(full_load::Options { rounds, .. }) => format!(" --full-load --full-load-rounds {rounds}"),
            None => String::new(),
        };
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
        let FullLoad { options, rounds } = full_load;
        if self.page || !self.report.rounds.is_empty() {
            writeln!(f, "## Killed at full load\n")?;
        }
        writeln!(
            f,
            "{} payments as fast as {} connections make them, to one merchant; killed as soon as {} webhooks had arrived, told \
             to start\nagain {:.1} s later; {}. The others were measured on the same kind of machine on 2026-11-23.\n",
            options.payments,
            options.concurrency,
            options.kill_after,
            options.restart_after.as_secs_f64(),
            if rounds.len() == 1 {
                "once".to_owned()
            } else {
                format!("{} times, from the least to the most", rounds.len())
            },
        )?;
        let mut table = Table::new(&["", "OLD", "NEW", PEERS[0].name, PEERS[1].name, PEERS[2].name]);
        let mut row = |what: &str, of: fn(&Crash) -> Figure, peers: [&str; 3]| {
            let old = Figure::range(rounds.iter().map(|round| of(&round.old)));
            let new = Figure::range(rounds.iter().map(|round| of(&round.new)));
            let [a, b, c] = peers.map(str::to_owned);
            table.row([what.to_owned(), old, new, a, b, c]);
        };
        row("acknowledged", |crash| Figure::Count(crash.run.verdict.acknowledged), [""; 3]);
        row("acknowledged before the kill", |crash| Figure::Count(crash.acknowledged_before), [""; 3]);
        row("lost", Figure::lost, PEERS.each_ref().map(|peer| peer.lost));
        row("repeated", Figure::repeated, PEERS.each_ref().map(|peer| peer.repeated));
        row("under way at the kill", |crash| Figure::under_way(&crash.run), [""; 3]);
        row("first arrival, s after the restart", Figure::first, PEERS.each_ref().map(|peer| peer.first_s));
        let what = "all of before the kill arrived, s after the kill";
        row(
            what,
            |crash| Figure::all(crash, crash.all_of_before_after_kill_ms),
            PEERS.each_ref().map(|peer| peer.all_s),
        );
        row("**the same, s after the restart**", Figure::all_of_before, [""; 3]);
        let what = format!("of these, later than {} s after it", Figure::Ms(WANTED_WITHIN_MS));
        row(&what, Figure::later, [""; 3]);
        writeln!(f, "{table}\n{NOTES}\n")?;
        if rounds.len() > 1 {
            full_loads(f, rounds)?;
        }
        let in_time = rounds.iter().filter(|round| round.new.is_in_time()).count();
        writeln!(
            f,
            "Wanted: everything acknowledged before the kill within {} s of the restart, and repeats at most what was under \
             way.\nNEW: {}, {}.\n",
            Figure::Ms(WANTED_WITHIN_MS),
            match (in_time, rounds.len()) {
                (in_time, all) if in_time == all => "within that time".to_owned(),
                (_, 1) => "**not within that time**".to_owned(),
                (in_time, all) => format!("**within that time in {in_time} of {all}**"),
            },
            if rounds.iter().all(|round| round.new.run.unexplained.is_empty()) {
                "nothing else repeated"
            } else {
                "**others repeated, too**"
            },
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
            table.row([
                name,
                acknowledged,
                delivered,
                lost,
                repeated,
                at_kill,
                arrived,
                Figure::under_way(run).to_string(),
            ]);
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

/// Killed at full load, round by round.
fn full_loads(f: &mut fmt::Formatter<'_>, rounds: &[full_load::Round]) -> fmt::Result {
    let mut table = Table::new(&[
        "",
        "OLD lost",
        "NEW lost",
        "repeated",
        "under way",
        "first arrival, s after the restart",
        "all of before the kill, s after the restart",
        "later than wanted",
    ]);
    for full_load::Round { number, old, new } in rounds {
        let of_new = [
            Figure::lost,
            Figure::repeated,
            |crash: &Crash| Figure::under_way(&crash.run),
            Figure::first,
            Figure::all_of_before,
            Figure::later,
        ];
        let cells = [format!("full load {number}"), Figure::lost(old).to_string()];
        table.push(cells.into_iter().chain(of_new.map(|of| of(new).to_string())).collect());
    }
    writeln!(f, "{table}")
}

/// What a cell says of one side at full load; the last is the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Figure {
    /// Nobody knows it, or there was nothing.
    Nothing,
    Count(usize),
    /// Shown as seconds.
    Ms(i64),
    /// What is waited for is lost.
    Never,
}

impl Figure {
    const fn lost(crash: &Crash) -> Self {
        Self::Count(crash.run.verdict.lost)
    }

    const fn repeated(crash: &Crash) -> Self {
        Self::Count(crash.run.verdict.repeated)
    }

    fn under_way(run: &Run) -> Self {
        run.under_way.as_ref().map_or(Self::Nothing, |ids| Self::Count(ids.len()))
    }

    fn first(crash: &Crash) -> Self {
        crash.first_after_restart_ms.map_or(Self::Nothing, Self::Ms)
    }

    fn all_of_before(crash: &Crash) -> Self {
        Self::all(crash, crash.all_of_before_after_restart_ms)
    }

    fn all(crash: &Crash, ms: Option<i64>) -> Self {
        if crash.lost_of_before > 0 { Self::Never } else { ms.map_or(Self::Nothing, Self::Ms) }
    }

    const fn later(crash: &Crash) -> Self {
        Self::Count(crash.later_than_wanted)
    }

    /// From the least to the most, or one figure if all are the same; and in how many rounds it never came.
    fn range(all: impl Iterator<Item = Self>) -> String {
        let all: Vec<Self> = all.collect();
        let is_number = |figure: &&Self| !matches!(figure, Self::Nothing | Self::Never);
        let numbers = || all.iter().filter(is_number);
        let [least, most] =
            [numbers().min(), numbers().max()].map(|figure| figure.unwrap_or(&Self::Nothing).to_string());
        let range = if least == most { least } else { format!("{least} to {most}") };
        match all.iter().filter(|figure| **figure == Self::Never).count() {
            0 => range,
            never if never == all.len() => Self::Never.to_string(),
            never => format!("{range}, never in {never} of {}", all.len()),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("–"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Ms(ms) => write!(f, "{}.{:02}", ms / 1_000, ms % 1_000 / 10),
            Self::Never => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_names_the_least_and_the_most_and_what_is_lost_is_the_worst() {
        let range = |figures: &[Figure]| Figure::range(figures.iter().copied());
        assert_eq!(range(&[Figure::Ms(2_610), Figure::Ms(1_555), Figure::Ms(2_209)]), "1.55 to 2.61");
        assert_eq!(range(&[Figure::Ms(1_555), Figure::Never, Figure::Ms(2_209)]), "1.55 to 2.20, never in 1 of 3");
        assert_eq!(range(&[Figure::Never, Figure::Never]), "never");
        assert_eq!(range(&[Figure::Nothing, Figure::Never]), "–, never in 1 of 2");
        assert_eq!(range(&[Figure::Count(0), Figure::Count(0)]), "0");
        assert_eq!(range(&[Figure::Nothing]), "–");
    }
}
