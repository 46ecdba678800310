//! What the kernel says in `/proc` of the machine and of each process.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context;

/// CPU time and parent of one process. Times are in clock ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Who started it.
    pub parent: u32,
    /// Its own time, of all its threads.
    pub own: u64,
    /// That of its children that have ended and were waited for.
    pub ended_children: u64,
}

/// CPU time of the whole machine, in clock ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Machine {
    /// Spent on anything.
    pub busy: u64,
    /// Wanted, and given to another virtual machine.
    pub stolen: u64,
}

/// Every process that there is.
///
/// # Errors
/// If `/proc` can't be read.
pub fn processes() -> anyhow::Result<BTreeMap<u32, Stat>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("can't list /proc")? {
        let name = entry.context("can't list /proc")?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has ended since is none.
        let Ok(text) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        all.extend(parse_stat(&text).map(|stat| (pid, stat)));
    }
    Ok(all)
}

/// The threads of a process; none if it is gone.
#[must_use]
pub fn threads(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The machine.
///
/// # Errors
/// If `/proc/stat` can't be read.
pub fn machine() -> anyhow::Result<Machine> {
    let text = fs::read_to_string("/proc/stat").context("can't read /proc/stat")?;
    parse_machine(&text).context("/proc/stat has another shape than expected")
}

/// Memory of one process in bytes, what it shares with others counted by its share; none if it is gone.
#[must_use]
pub fn pss(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    kib(&text, "Pss:").map(|kib| kib * 1024)
}

/// A number of KiB from a file of lines like `MemTotal:  24105 kB`.
#[must_use]
pub fn kib(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

/// Fields 4 and 14 to 17 of proc(5). The name in brackets may hold anything, so it is cut off first.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        parent: u32::try_from(number(4)?).ok()?,
        own: number(14)? + number(15)?,
        ended_children: number(16)? + number(17)?,
    })
}

/// user, nice, system, idle, iowait, irq, softirq, steal.
fn parse_machine(text: &str) -> Option<Machine> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_ascii_whitespace().map_while(|field| field.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, stolen, ..] = ticks[..] else { return None };
    Some(Machine { busy: user + nice + system + irq + softirq, stolen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let text = "7 (a) b (c) S 3 7 7 0 -1 4 0 0 0 0 10 20 30 40 20 0 1 0 4711 100 5";
        assert_eq!(parse_stat(text), Some(Stat { parent: 3, own: 30, ended_children: 70 }));
    }

    #[test]
    fn waiting_is_not_busy() {
        let text = "cpu  1 2 4 1000 1000 8 16 32 0 0\ncpu0 0 0 0 0\n";
        assert_eq!(parse_machine(text), Some(Machine { busy: 31, stolen: 32 }));
    }

    #[test]
    fn this_process_has_a_parent_and_memory() {
        let own = processes().unwrap()[&std::process::id()];
        assert!(own.parent > 0);
        assert!(threads(std::process::id()).contains(&std::process::id()));
        assert!(pss(std::process::id()).unwrap() > 100_000);
        assert!(machine().unwrap().busy > 0);
    }
}
