//! What each process costs: CPU time between two readings, and memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde::Serialize;

use super::procfs::{self, Machine, Stat};
use crate::Stack;

/// This program, without its children.
pub const LOAD_GENERATOR: &str = "load generator";
/// They stand for the platform's users and the merchants: what they cost is not the cost of delivering.
const HARNESS: [&str; 2] = [LOAD_GENERATOR, "merchant-simulator"];

/// The processes that are watched: each part of the stack with its children, and the load generator.
#[derive(Debug, Clone)]
pub struct Processes {
    roots: Vec<(String, u32)>,
}

/// CPU time so far.
#[derive(Debug, Clone)]
pub struct Reading {
    at: Instant,
    ticks: BTreeMap<String, u64>,
    machine: Machine,
}

/// What a time has cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// How long it was.
    pub seconds: f64,
    /// CPU seconds of each process with its children.
    pub cpu_s: Vec<(String, f64)>,
    /// CPU seconds of everything else on the machine, the kernel's own threads too.
    pub others_cpu_s: f64,
    /// CPU seconds that other virtual machines took away.
    pub stolen_cpu_s: f64,
}

impl Processes {
    /// Everything that runs now in the stack, and this process.
    pub async fn of(stack: &Stack) -> Self {
        let mut roots = stack.running().await;
        roots.push((LOAD_GENERATOR.to_owned(), std::process::id()));
        Self { roots }
    }

    /// Reads the CPU time so far.
    ///
    /// # Errors
    /// If `/proc` can't be read.
    pub fn read(&self) -> anyhow::Result<Reading> {
        let (all, machine) = (procfs::processes()?, procfs::machine()?);
        let ticks = self.families(&all).into_iter().map(|(name, pids)| {
            // The ended children of the load generator were not part of the stack.
            let of = |stat: &Stat| if name == LOAD_GENERATOR { stat.own } else { stat.own + stat.ended_children };
            let ticks = pids.iter().filter_map(|pid| all.get(pid)).map(of).sum();
            (name, ticks)
        });
        Ok(Reading { at: Instant::now(), ticks: ticks.collect(), machine })
    }

    /// Memory of each, its children included, in bytes; what they share is counted once.
    ///
    /// # Errors
    /// If `/proc` can't be read.
    pub fn memory(&self) -> anyhow::Result<Vec<(String, u64)>> {
        let families = self.families(&procfs::processes()?).into_iter();
        Ok(families.map(|(name, pids)| (name, pids.into_iter().filter_map(procfs::pss).sum())).collect())
    }

    /// The process numbers of each: its own, and those of its children.
    ///
    /// # Errors
    /// If `/proc` can't be read.
    pub fn pids(&self) -> anyhow::Result<Vec<(String, BTreeSet<u32>)>> {
        Ok(self.families(&procfs::processes()?))
    }

    fn families(&self, all: &BTreeMap<u32, Stat>) -> Vec<(String, BTreeSet<u32>)> {
        let of = |(name, root): &(String, u32)| match name.as_str() {
            // Its children are the parts of the stack.
            LOAD_GENERATOR => (name.clone(), BTreeSet::from([*root])),
            _ => (name.clone(), family(all, *root)),
        };
        self.roots.iter().map(of).collect()
    }
}

impl Reading {
    /// What the time from this reading to that one has cost.
    #[must_use]
    pub fn until(&self, later: &Self) -> Cost {
        let cpu_s: Vec<(String, f64)> = later
            .ticks
            .iter()
            .map(|(name, ticks)| (name.clone(), seconds(*ticks) - seconds(self.ticks.get(name).copied().unwrap_or(0))))
            .collect();
        let busy = seconds(later.machine.busy) - seconds(self.machine.busy);
        Cost {
            seconds: (later.at - self.at).as_secs_f64(),
            others_cpu_s: busy - cpu_s.iter().map(|(_, cpu_s)| cpu_s).sum::<f64>(),
            stolen_cpu_s: seconds(later.machine.stolen) - seconds(self.machine.stolen),
            cpu_s,
        }
    }
}

impl Cost {
    /// CPU seconds of a process; zero if there was none of that name.
    #[must_use]
    pub fn cpu_s_of(&self, name: &str) -> f64 {
        self.cpu_s.iter().find(|(other, _)| other == name).map_or(0.0, |(_, cpu_s)| *cpu_s)
    }

    /// CPU seconds of all processes that deliver: all but the load generator and the merchants.
    #[must_use]
    pub fn delivering_cpu_s(&self) -> f64 {
        self.cpu_s.iter().filter(|(name, _)| !is_harness(name)).map(|(_, cpu_s)| cpu_s).sum()
    }

    /// How much of the machine's time something else has taken: 1 is all of it.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 cores")]
    pub fn noise(&self, cores: usize) -> f64 {
        (self.others_cpu_s + self.stolen_cpu_s) / (self.seconds * cores as f64)
    }
}

/// Whether a process stands for users or merchants.
#[must_use]
pub fn is_harness(name: &str) -> bool {
    HARNESS.contains(&name)
}

/// A process and all that descend from it.
fn family(all: &BTreeMap<u32, Stat>, root: u32) -> BTreeSet<u32> {
    let mut family = BTreeSet::from([root]);
    loop {
        let children = all.iter().filter(|(pid, stat)| family.contains(&stat.parent) && !family.contains(pid));
        let children: Vec<u32> = children.map(|(pid, _)| *pid).collect();
        if children.is_empty() {
            return family;
        }
        family.extend(children);
    }
}

#[expect(clippy::cast_precision_loss, reason = "the ticks of a machine's life are far below 2^52")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(parent: u32) -> Stat {
        Stat { parent, own: 1, ended_children: 0 }
    }

    #[test]
    fn a_family_has_the_children_of_children_and_nobody_else() {
        let all = BTreeMap::from([(1, stat(0)), (10, stat(1)), (12, stat(30)), (30, stat(10)), (40, stat(1))]);
        assert_eq!(family(&all, 10), BTreeSet::from([10, 12, 30]));
    }

    #[test]
    fn what_is_not_ours_is_the_others() {
        let at = Instant::now();
        let reading = |kafka: u64, harness: u64, busy: u64| Reading {
            at,
            ticks: BTreeMap::from([("kafka".to_owned(), kafka), (LOAD_GENERATOR.to_owned(), harness)]),
            machine: Machine { busy, stolen: 0 },
        };
        let hz = rustix::param::clock_ticks_per_second();
        let cost = reading(0, 0, 0).until(&reading(2 * hz, hz, 10 * hz));
        assert!((cost.delivering_cpu_s() - 2.0).abs() < 1e-9);
        assert!((cost.others_cpu_s - 7.0).abs() < 1e-9);
    }
}
