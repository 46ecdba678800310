//! Where the time goes: a full load under Linux's perf, and the functions that it found running most often.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;
use serde::Serialize;

use super::phase::Runner;
use super::procfs;
use super::table::Table;
use crate::doors::Load;
use crate::folder::Folder;
use crate::process::{Process, Spec, Stopped, run};

/// The whole machine, by a clock that virtual machines have, too, 499 times a second and core: no multiple of the
/// timers that much work is tied to.
const RECORD: [&str; 7] = ["record", "-q", "-a", "-e", "cpu-clock", "-F", "499"];
/// Everything else on the machine, and connections of PostgreSQL that came and went during the load.
const OTHERS: &str = "everything else";
/// So many functions of each process are listed.
const SYMBOLS: usize = 8;
/// A process with fewer percent of all samples has no table of its own.
const WORTH_A_TABLE: f64 = 3.0;
/// Of a function, in characters.
const LONGEST_NAME: usize = 90;
/// perf writes what it has in less.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// All processes, the busiest first.
#[derive(Debug, Clone, Serialize)]
pub struct Profile {
    /// How fast it went while perf was watching.
    pub delivered_per_second: f64,
    /// Each with its share.
    pub processes: Vec<OneProfile>,
}

/// One process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OneProfile {
    /// Of the stack, or the load generator.
    pub name: String,
    /// Percent of all samples.
    pub percent: f64,
    /// Of these, percent inside the kernel.
    pub kernel_percent: f64,
    /// The functions seen most often, as percent of this process's samples.
    pub symbols: Vec<(String, f64)>,
}

impl Profile {
    /// Drives one more load, while perf watches.
    pub(super) async fn of(runner: &Runner<'_>, load: Load, folder: &Folder) -> anyhow::Result<Self> {
        let data = folder.root().join("perf.data");
        let mut names = threads(&runner.processes.pids()?);
        let arguments = [&RECORD[..], &["-o", text(&data)?]].concat();
        let perf = Process::spawn(&perf_spec(folder, "perf record", &arguments)?).await?;
        let phase = runner.run("full load under perf", load).await?;
        // Those that were started meanwhile, too.
        names.extend(threads(&runner.processes.pids()?));
        if perf.exited().is_some() {
            bail!("perf record ended early; see {}", perf.log().display());
        }
        if perf.stop(STOP_WITHIN).await? == Stopped::Killed {
            bail!("perf did not write what it had measured within {} s", STOP_WITHIN.as_secs());
        }
        let arguments =
            ["report", "-i", text(&data)?, "--stdio", "--no-children", "-q", "-F", "sample,pid,dso,sym", "-t", "\t"];
        // What it calls pid is the thread.
        let report = perf_spec(folder, "perf report", &arguments)?;
        run::to_end(&report, "its log says why").await?;
        let lines = std::fs::read_to_string(&report.log).context("can't read what perf reports")?;
        Ok(Self { delivered_per_second: phase.delivered_per_second, processes: sort(&lines, &names) })
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "## Where the time goes\n\nThe functions that `perf {}` saw running most often in one more full load\nwith 1 merchant \
             ({:.0} deliveries a second while it watched).\n",
            RECORD.join(" "),
            self.delivered_per_second
        )?;
        let mut table = Table::new(&["process", "% of all samples", "of these, % in the kernel"]);
        for process in &self.processes {
            table.row([process.name.clone(), tenths(process.percent), tenths(process.kernel_percent)]);
        }
        writeln!(f, "{table}")?;
        let of_ours = self.processes.iter().filter(|process| process.name != OTHERS);
        for process in of_ours.filter(|process| process.percent >= WORTH_A_TABLE) {
            let mut table = Table::new(&[&process.name, "%"]);
            for (symbol, percent) in &process.symbols {
                table.row([format!("`{}`", shortened(symbol)), tenths(*percent)]);
            }
            writeln!(f, "{table}")?;
        }
        Ok(())
    }
}

/// The name of each thread's process.
fn threads(processes: &[(String, BTreeSet<u32>)]) -> BTreeMap<u32, String> {
    let threads = processes.iter().flat_map(|(name, pids)| {
        pids.iter().flat_map(|pid| procfs::threads(*pid)).map(|thread| (thread, name.clone()))
    });
    threads.collect()
}

fn tenths(percent: f64) -> String {
    format!("{percent:.1}")
}

/// The names of generic functions have no end.
fn shortened(symbol: &str) -> String {
    match symbol.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}…", &symbol[..end]),
        None => symbol.to_owned(),
    }
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8, and perf needs it", path.display()))
}

/// Checks that perf is there and may watch the machine, before anything is begun.
///
/// # Errors
/// Says how to install or allow it.
pub fn check_perf() -> anyhow::Result<()> {
    let arguments = [&RECORD[..], &["-o", "/dev/null", "--", "true"]].concat();
    let output = Command::new(find_perf()?).args(arguments).output().context("can't run perf")?;
    ensure!(
        output.status.success(),
        "perf may not watch the machine: run this as root, or as root sysctl kernel.perf_event_paranoid=-1"
    );
    Ok(())
}

fn find_perf() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join("perf")).find(|program| program.is_file());
    found.context("perf is not installed, and --profile needs it: apt-get install linux-perf")
}

fn perf_spec(folder: &Folder, name: &str, arguments: &[&str]) -> anyhow::Result<Spec> {
    Ok(Spec {
        name: name.to_owned(),
        program: find_perf()?,
        arguments: arguments.iter().map(Into::into).collect(),
        environment: Vec::new(),
        directory: folder.root().to_owned(),
        log: folder.log(name),
        user: None,
        stop_signal: Signal::INT,
        socket: None,
        own_session: false,
    })
}

/// Sums the lines `samples, thread:command, object, symbol` by process and function.
fn sort(lines: &str, names: &BTreeMap<u32, String>) -> Vec<OneProfile> {
    let mut samples: BTreeMap<&str, BTreeMap<(String, bool), f64>> = BTreeMap::new();
    for line in lines.lines() {
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        let [count, thread, object, symbol] = fields[..] else { continue };
        let Some(thread) = thread.split(':').next().and_then(|thread| thread.trim().parse::<u32>().ok()) else {
            continue;
        };
        let Ok(count) = count.parse::<f64>() else { continue };
        // A core that has nothing to do.
        if thread == 0 {
            continue;
        }
        let name = names.get(&thread).map_or(OTHERS, String::as_str);
        let in_kernel = symbol.starts_with("[k]");
        *samples.entry(name).or_default().entry((function(object, symbol), in_kernel)).or_default() += count;
    }
    let sum = |functions: &BTreeMap<(String, bool), f64>| functions.values().sum::<f64>();
    let all: f64 = samples.values().map(sum).sum();
    let mut processes: Vec<OneProfile> = samples
        .into_iter()
        .map(|(name, functions)| {
            let own = sum(&functions);
            let in_kernel: f64 = functions.iter().filter(|((_, in_kernel), _)| *in_kernel).map(|(_, n)| n).sum();
            let mut symbols: Vec<(String, f64)> =
                functions.into_iter().map(|((name, _), samples)| (name, samples * 100.0 / own)).collect();
            symbols.sort_by(|a, b| b.1.total_cmp(&a.1));
            symbols.truncate(SYMBOLS);
            OneProfile {
                name: name.to_owned(),
                percent: own * 100.0 / all,
                kernel_percent: in_kernel * 100.0 / own,
                symbols,
            }
        })
        .collect();
    processes.sort_by(|a, b| b.percent.total_cmp(&a.percent));
    processes
}

/// `[k] do_syscall_64` or `[.] crc32` with the object that it is in.
fn function(object: &str, symbol: &str) -> String {
    let (place, name) = symbol.split_once(' ').unwrap_or(("", symbol));
    let name = name.trim();
    match place {
        "[k]" => format!("{name} (kernel)"),
        // What a JIT compiler has made has no name, only an address.
        _ if name.starts_with("0x") => format!("no name ({object})"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_process_and_function() {
        let names = BTreeMap::from([(7, "kafka".to_owned()), (8, "postgres".to_owned())]);
        let lines = "\n60\t    7:java\t libjvm.so\t[.] parse\n20\t7:java\t[kernel.kallsyms]\t[k] tcp_sendmsg\n\
                     15\t8:postgres\tpostgres\t[.] hash_search\n 5\t 8:postgres\tpostgres\t[.] hash_search\n\
                     99\t0:swapper\t[kernel.kallsyms]\t[k] idle\nnothing\n";
        let profile = sort(lines, &names);
        assert_eq!(profile.len(), 2);
        assert_eq!((profile[0].name.as_str(), profile[0].percent, profile[0].kernel_percent), ("kafka", 80.0, 25.0));
        assert_eq!(profile[0].symbols, [("parse".to_owned(), 75.0), ("tcp_sendmsg (kernel)".to_owned(), 25.0)]);
        assert_eq!(profile[1].symbols, [("hash_search".to_owned(), 100.0)]);
    }
}
