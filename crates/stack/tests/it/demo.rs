//! `stack demo` and `stack bench` as they are typed: what they print, and that nothing stays behind.
//!
//! The services' binaries lie beside `stack`: build the workspace before this test.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use stack::process::identity::Identity;
use tokio::sync::MutexGuard;

use super::pipeline::TURN;

const STACK: &str = env!("CARGO_BIN_EXE_stack");

/// A folder for temporary files of its own, in which everything that stays behind is seen.
pub(super) struct Temporary {
    folder: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Temporary {
    pub(super) fn new(name: &str) -> Self {
        let turn = TURN.blocking_lock();
        let folder = std::env::temp_dir().join(format!("everhook-{name}-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self { folder, _turn: turn }
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(STACK);
        command.args(arguments).env("TMPDIR", &self.folder);
        command
    }

    pub(super) fn left_behind(&self) -> Vec<PathBuf> {
        std::fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The one JSON object on stdout of a command that succeeds.
pub(super) fn json(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {words}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn the_demo_prints_one_object_that_balances_and_leaves_nothing_behind() {
    let temporary = Temporary::new("demo");
    let report = json(&mut temporary.command(&["demo", "--payments", "20", "--merchants", "3", "--json"]));
    for count in ["acknowledged", "delivered"] {
        assert_eq!(report[count], 60, "{count}: {report}");
    }
    for count in ["lost", "phantom", "stale", "unsigned"] {
        assert_eq!(report[count], 0, "{count}: {report}");
    }
    assert!(report["repeated"].is_u64());
    for hop in ["commit_to_captured", "captured_to_kafka", "captured_to_handler", "handler_to_arrival"] {
        for percentile in ["p50_ms", "p95_ms", "p99_ms"] {
            assert!(report["hops"][hop][percentile].is_f64(), "{hop}, {percentile}: {report}");
        }
    }
    assert_eq!(report["ledger"]["delivered"], 60, "{report}");
    assert_eq!(temporary.left_behind(), Vec::<PathBuf>::new());
}

#[test]
fn an_interrupted_demo_stops_everything_and_says_so() {
    let temporary = Temporary::new("interrupted");
    let mut demo = temporary.command(&["demo", "--payments", "100000"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stderr.take().unwrap()).lines().map(Result::unwrap);
    let begun = lines.find(|line| line.contains(" arrived, the last: ") || line.starts_with("stack: "));
    assert!(begun.as_ref().is_some_and(|line| line.contains("arrived")), "{begun:?}");
    Identity::of(demo.id()).unwrap().signal(Signal::INT).unwrap();
    let words: Vec<String> = lines.collect();
    assert_eq!(demo.wait().unwrap().code(), Some(130), "{words:?}");
    assert_eq!(words.last().map(String::as_str), Some("stopped before the end"), "{words:?}");
    assert_eq!(temporary.left_behind(), Vec::<PathBuf>::new());
}

#[test]
fn the_benchmark_measures_every_process_and_writes_its_page() {
    let temporary = Temporary::new("bench");
    let page = std::env::temp_dir().join(format!("everhook-page-{}.md", std::process::id()));
    let small = ["--payments", "60", "--merchants", "2", "--warm-up", "20", "--unloaded-for", "2s"];
    let traced = ["--traced-rounds", "2", "--traced-payments", "200"];
    let silent = ["--silent-events", "600", "--neighbours-rate", "20", "--neighbours-for", "3s"];
    let mut command = temporary.command(&["bench", "--json", "--report", page.to_str().unwrap()]);
    let report = json(command.args(small).args(traced).args(silent));
    assert_eq!(report["well"], true, "{report}");
    assert_eq!(report["unloaded"]["verdict"]["delivered"], 40, "{report}");
    for phase in ["one_merchant", "many_merchants"] {
        assert_eq!(report[phase]["verdict"]["delivered"], 60, "{report}");
        let memory = report[phase]["memory"].as_array().unwrap();
        assert_eq!(memory.len(), 10, "three components, six services, the load generator: {report}");
        assert!(memory.iter().all(|process| process[1].as_u64().unwrap() > 1_000_000), "{report}");
    }
    let neighbours = &report["neighbours"];
    assert_eq!(neighbours["waiting"], serde_json::json!([600, 600]), "none is answered: {report}");
    // Whatever is asked for before the consumer can say what it has in flight goes, too.
    assert!(neighbours["requests"][1].as_u64().unwrap() <= 300, "its share is 100: {report}");
    for phase in ["before", "beside", "after"] {
        let verdict = &neighbours[phase]["verdict"];
        assert_eq!(
            (&verdict["lost"], &verdict["expected"]),
            (&serde_json::json!(0), &verdict["delivered"]),
            "{report}"
        );
        assert!(verdict["delivered"].as_u64().unwrap() > 40, "{report}");
    }
    let rounds = report["traced"]["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2, "{report}");
    for phase in rounds.iter().flat_map(|round| ["without", "traced", "stuck"].map(|which| &round[which])) {
        assert_eq!(phase["verdict"]["delivered"], 200, "{report}");
    }
    assert!(report["traced"]["bytes"].as_u64().unwrap() > 200 * 2_000, "there are no spans: {report}");
    let text = std::fs::read_to_string(&page).unwrap();
    std::fs::remove_file(&page).unwrap();
    let headings = ["# Benchmark", "## Goals", "## Unloaded", "## Full load", "## CPU time", "## Memory"];
    for heading in headings.into_iter().chain(["## With traces", "## Beside an endpoint that never answers"]) {
        assert!(text.lines().any(|line| line == heading), "{heading} is missing: {text}");
    }
    assert_eq!(temporary.left_behind(), Vec::<PathBuf>::new());
}
