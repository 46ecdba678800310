//! The report: everything that was measured, as a page of Markdown that reads as plain text too, or as JSON.

use std::fmt;

use serde::Serialize;
use verifier::latency::Spread;

use super::goals::{self, Goal};
use super::machine::Setting;
use super::neighbours::Neighbours;
use super::peers::PEERS;
use super::phase::Phase;
use super::profile::Profile;
use super::table::Table;
use super::traced::{Round, Traced};
use super::usage::{Cost, is_harness};
use crate::hops::ms;

/// More of the machine's time than this must not go to others, the kernel's own threads among them.
const QUIET: f64 = 0.1;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where and when.
    pub setting: Setting,
    /// Payments before anything was measured.
    pub warm_up: u64,
    /// Requests a second of the unloaded phase.
    pub unloaded_rate: f64,
    /// Requests under way at full load.
    pub concurrency: usize,
    /// While nothing happened.
    pub idle: Cost,
    /// At a low, even rate.
    pub unloaded: Phase,
    /// As fast as it goes, to one endpoint.
    pub one_merchant: Phase,
    /// As fast as it goes, to many.
    pub many_merchants: Phase,
    /// Where the time goes.
    pub profile: Option<Profile>,
    /// What traces cost.
    pub traced: Option<Traced>,
    /// What a silent endpoint costs the others.
    pub neighbours: Option<Neighbours>,
}

impl Report {
    /// Whether in every phase everything arrived, nothing else did, and the ledger has an end for it. Goals that are
    /// not met are no failure: they are said.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let beside = self.neighbours.iter().flat_map(Neighbours::phases);
        let traced = self.traced.iter().flat_map(|traced| &traced.rounds).flat_map(Round::phases);
        self.phases().into_iter().chain(beside).chain(traced).all(Phase::is_well)
    }

    /// As one JSON object.
    ///
    /// # Errors
    /// If it can't be written as JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct WithGoals<'a> {
            well: bool,
            goals: Vec<Goal>,
            #[serde(flatten)]
            report: &'a Report,
        }
        serde_json::to_string(&WithGoals { well: self.is_well(), goals: goals::goals(self), report: self })
    }

    fn phases(&self) -> [&Phase; 3] {
        [&self.unloaded, &self.one_merchant, &self.many_merchants]
    }

    fn full_loads(&self) -> [&Phase; 2] {
        [&self.one_merchant, &self.many_merchants]
    }

    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.setting.head(f, "Benchmark", "stack bench")?;
        let noise = self.phases().map(|phase| phase.cost.noise(self.setting.cores)).into_iter().fold(0.0, f64::max);
        if noise > QUIET {
            writeln!(
                f,
                "**The machine was not quiet: something else took up to {:.0} % of its time. Rates and latencies are \
                 better\nwithout that; the CPU time for each delivery hardly changes.**\n",
                noise * 100.0
            )?;
        }
        writeln!(
            f,
            "Everything ran on this one machine and shared it: PostgreSQL, Kafka, Restate, our services, the load\n\
             generator and the merchants. Each payment is made through the API and is one event for one endpoint. It has\n\
             arrived when the merchant has received the signed request in full. The ledger is written, and was audited\n\
             after each phase. {} payments went before as a warm-up.\n",
            self.warm_up
        )
    }

    fn latency(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = &self.unloaded.load;
        writeln!(
            f,
            "## Unloaded\n\n{} payments at {} a second. Milliseconds; an API call counts from the moment that it was due.\n",
            load.payments, self.unloaded_rate
        )?;
        writeln!(f, "{}", hops(&self.unloaded))?;
        writeln!(f, "The API's answer: {}.\n", load.api_latency)
    }

    fn full_load(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Full load\n\nA closed loop of {} connections, as fast as it goes.\n", self.concurrency)?;
        let phases = self.full_loads();
        let mut table = Table::new(&["", &merchants(phases[0]), &merchants(phases[1])]);
        let mut row = |what: &str, of: &dyn Fn(&Phase) -> String| {
            table.row([what.to_owned(), of(phases[0]), of(phases[1])]);
        };
        row("payments acknowledged", &|phase| phase.verdict.acknowledged.to_string());
        row("delivered", &|phase| phase.verdict.delivered.to_string());
        row("lost, repeated, phantom", &|phase| {
            format!("{}, {}, {}", phase.verdict.lost, phase.verdict.repeated, phase.verdict.phantom)
        });
        row("acknowledged a second", &|phase| format!("{:.0}", phase.load.per_second));
        row("**delivered a second, until all were in**", &|phase| format!("**{:.0}**", phase.delivered_per_second));
        row("API call → arrival, ms: p50 / p95 / p99 / p99.9", &|phase| percentiles(&phase.hops.api_to_arrival));
        row("commit → arrival, ms: p50 / p95 / p99 / p99.9", &|phase| percentiles(&phase.hops.commit_to_arrival));
        row("the API's answer, ms: p50 / p95 / p99 / p99.9", &|phase| percentiles(&phase.load.api_latency));
        writeln!(f, "{table}")?;
        for phase in phases {
            writeln!(f, "The way under that load, {}, in ms:\n\n{}", merchants(phase), hops(phase))?;
        }
        Ok(())
    }

    fn traced(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(measured) = &self.traced else { return Ok(()) };
        writeln!(
            f,
            "## With traces\n\nThe full load to one merchant without spans, with every trace kept, and with every trace kept while the receiver stands\n\
             still, in {} rounds; all services and Restate are started anew each time. Restate makes spans of its own, and the receiver,\n\
             which writes all of them down as JSON ({} MB), runs on the same machine. With spans there were {:.0} % of the deliveries a second\n\
             without, with spans that nobody takes {:.0} %: of the shares of each round, the median. {} rounds count: in the others, the\n\
             machine was faster for one than for another, as a probe says, which does the same small piece of work all the time.\n",
            measured.rounds.len(),
            measured.bytes / 1_000_000,
            measured.share() * 100.0,
            measured.share_stuck() * 100.0,
            measured.counted().count(),
        )?;
        let settings = ["without", "with spans", "with, and nobody takes them"];
        let mut table = Table::new(&["", settings[0], settings[1], settings[2]]);
        for (n, round) in (1..).zip(&measured.rounds) {
            let per_second = |phase: &Phase| format!("{:.0} ({:.0})", phase.delivered_per_second, phase.probe_us);
            let [without, traced, stuck] = round.phases().map(per_second);
            let counts = if round.is_even() { "" } else { ", uneven" };
            table.row([format!("delivered a second (the probe's µs), {n}{counts}"), without, traced, stuck]);
        }
        let mut row = |what: &str, digits: usize, of: &dyn Fn(&Phase) -> f64| {
            let cell = |i: usize| format!("{:.digits$}", measured.median(|round| of(round.phases()[i])));
            table.row([what.to_owned(), cell(0), cell(1), cell(2)]);
        };
        row("**the median**", 0, &|phase| phase.delivered_per_second);
        row("CPU-ms for each delivery, the receiver's included, the median", 2, &|phase| {
            phase.cpu_ms_each(phase.cost.delivering_cpu_s())
        });
        let first = measured.rounds.first().map(|round| dearest_first(&round.traced.cost));
        for name in first.into_iter().flat_map(|(delivering, _)| delivering) {
            row(&format!("{name}, of it"), 2, &|phase| phase.cpu_ms_each(phase.cost.cpu_s_of(name)));
        }
        writeln!(f, "{table}")
    }

    fn neighbours(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(measured) = &self.neighbours else { return Ok(()) };
        let Neighbours { rate, silent_events, waiting, requests, before, .. } = measured;
        writeln!(
            f,
            "## Beside an endpoint that never answers\n\n{} a second to {}, {:.0} s each time: alone, beside an endpoint that \
             accepts and\nnever answers, with {silent_events} events queued, and alone again, once that is disabled. {} of them waited \
             when the second\ntime began, and {} when it ended; the endpoint had had {} requests by then, and {}. What the two \
             times alone differ\nby is the machine's noise.\n",
            rate,
            merchants(before),
            before.seconds,
            waiting[0],
            waiting[1],
            requests[0],
            requests[1],
        )?;
        let mut table = Table::new(&["", "alone, before", "beside it", "alone, after"]);
        let mut row = |what: &str, of: &dyn Fn(&Phase) -> String| {
            let cells = measured.phases().into_iter().map(of);
            table.push(std::iter::once(what.to_owned()).chain(cells).collect());
        };
        row("delivered", &|phase| phase.verdict.delivered.to_string());
        row("commit → arrival, ms: p50 / p95 / p99 / p99.9", &|phase| percentiles(&phase.hops.commit_to_arrival));
        row("API call → arrival, ms: p50 / p95 / p99 / p99.9", &|phase| percentiles(&phase.hops.api_to_arrival));
        row("CPU of all that deliver, percent of a core", &|phase| {
            format!("{:.0}", phase.cost.delivering_cpu_s() * 100.0 / phase.cost.seconds)
        });
        writeln!(f, "{table}")
    }

    fn cpu(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "## CPU time\n\nMilliseconds for each delivery, idling included, until the ledger had an end for all; idle: \
             percent of a core.\n"
        )?;
        let [one, many] = self.full_loads();
        let phases = [one, many, &self.unloaded];
        let unloaded = format!("{} a second", self.unloaded_rate);
        let mut table = Table::new(&["", &merchants(one), &merchants(many), &unloaded, "idle"]);
        let mut line = |name: &str, of: &dyn Fn(&Cost) -> f64| {
            let mut cells = vec![name.to_owned()];
            cells.extend(phases.map(|phase| format!("{:.2}", phase.cpu_ms_each(of(&phase.cost)))));
            cells.push(format!("{:.1} %", of(&self.idle) * 100.0 / self.idle.seconds));
            table.push(cells);
        };
        let (delivering, harness) = dearest_first(&one.cost);
        for name in delivering {
            line(name, &|cost| cost.cpu_s_of(name));
        }
        line("**all that deliver**", &Cost::delivering_cpu_s);
        for name in harness {
            line(&format!("({name})"), &|cost| cost.cpu_s_of(name));
        }
        writeln!(f, "{table}")?;
        for phase in phases {
            let Cost { seconds, others_cpu_s, stolen_cpu_s, cpu_s } = &phase.cost;
            let ours: f64 = cpu_s.iter().map(|(_, cpu_s)| cpu_s).sum();
            writeln!(
                f,
                "- {}: {seconds:.1} s, {ours:.1} CPU-s by the above, {others_cpu_s:.1} by other processes and the \
                 kernel's own threads, {stolen_cpu_s:.1} stolen.",
                phase.name
            )?;
        }
        writeln!(f)
    }

    fn memory(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## Memory\n\nMiB at the end of each phase, shared pages counted once (PSS).\n")?;
        let phases = self.phases();
        let mut table = Table::new(&["", &phases[0].name, &phases[1].name, &phases[2].name]);
        let mut names: Vec<&(String, u64)> = phases[1].memory.iter().collect();
        names.sort_by_key(|(name, bytes)| (is_harness(name), std::cmp::Reverse(*bytes)));
        for (name, _) in names {
            let mut cells = vec![if is_harness(name) { format!("({name})") } else { name.clone() }];
            cells.extend(phases.map(|phase| {
                let found = phase.memory.iter().find(|(other, _)| other == name);
                found.map_or_else(String::new, |(_, bytes)| (bytes / (1024 * 1024)).to_string())
            }));
            table.push(cells);
        }
        writeln!(f, "{table}")
    }

    fn peers(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "## Beside other senders\n\nMeasured on the same kind of machine (2 cores, 24 GiB) with the same work, 2026-11-23: \
             svix-server 1.100.0, Outpost f67ae01\n(concurrency 100), Convoy 26.6.6, all built natively, with PostgreSQL, Redis \
             and RabbitMQ as they need them. API call → arrival. None of\nthem is atomic with the platform's own transaction, \
             and none survives the loss of its queue.\n"
        )?;
        let mut header = vec!["", "Everhook"];
        header.extend(PEERS.iter().map(|peer| peer.name));
        let mut table = Table::new(&header);
        let mut row = |what: &str, own: String, peer: &dyn Fn(usize) -> String| {
            let mut cells = vec![what.to_owned(), own];
            cells.extend((0..PEERS.len()).map(peer));
            table.push(cells);
        };
        let slashed = |of: [f64; 4]| of.map(|value| format!("{value:.1}")).join(" / ");
        let each = |phase: &Phase| format!("{:.2}", phase.cpu_ms_each(phase.cost.delivering_cpu_s()));
        let [one, many] = self.full_loads();
        let at = format!("at {} a second, ms: p50 / p95 / p99 / p99.9", self.unloaded_rate);
        row(&at, percentiles(&self.unloaded.hops.api_to_arrival), &|n| slashed(PEERS[n].unloaded_ms));
        row("at full load, ms", percentiles(&one.hops.api_to_arrival), &|n| slashed(PEERS[n].loaded_ms));
        row("delivered a second, 1 merchant", format!("{:.0}", one.delivered_per_second), &|n| {
            format!("{:.0}", PEERS[n].per_second)
        });
        row(&format!("delivered a second, {}", merchants(many)), format!("{:.0}", many.delivered_per_second), &|n| {
            format!("{:.0}", PEERS[n].per_second_20)
        });
        row("CPU-ms for each delivery, full load", each(one), &|n| format!("{:.2}", PEERS[n].cpu_ms));
        row("CPU-ms for each delivery, at the low rate", each(&self.unloaded), &|n| {
            format!("{:.2}", PEERS[n].cpu_ms_unloaded)
        });
        writeln!(f, "{table}")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        writeln!(f, "## Goals\n\n{}", goals::table(&goals::goals(self)))?;
        self.latency(f)?;
        self.full_load(f)?;
        self.traced(f)?;
        self.neighbours(f)?;
        self.cpu(f)?;
        self.memory(f)?;
        self.peers(f)?;
        match &self.profile {
            Some(profile) => profile.fmt(f),
            None => Ok(()),
        }
    }
}

fn hops(phase: &Phase) -> Table {
    let mut table = Table::new(&["", "p50", "p95", "p99", "p99.9", "largest", "measured"]);
    for (name, spread) in phase.hops.rows() {
        let Spread { count, p50_ms, p95_ms, p99_ms, p99_9_ms, max_ms } = spread;
        let [p50, p95, p99, p99_9, max] = [p50_ms, p95_ms, p99_ms, p99_9_ms, max_ms].map(ms);
        table.row([name.to_owned(), p50, p95, p99, p99_9, max, count.to_string()]);
    }
    table
}

fn percentiles(spread: &Spread) -> String {
    [spread.p50_ms, spread.p95_ms, spread.p99_ms, spread.p99_9_ms].map(ms).join(" / ")
}

fn merchants(phase: &Phase) -> String {
    match phase.merchants {
        1 => "1 merchant".to_owned(),
        merchants => format!("{merchants} merchants"),
    }
}

/// The names of what delivers and of what does not, dearest first.
fn dearest_first(cost: &Cost) -> (Vec<&str>, Vec<&str>) {
    let mut names: Vec<&(String, f64)> = cost.cpu_s.iter().collect();
    names.sort_by(|a, b| b.1.total_cmp(&a.1));
    names.into_iter().map(|(name, _)| name.as_str()).partition(|name| !is_harness(name))
}
