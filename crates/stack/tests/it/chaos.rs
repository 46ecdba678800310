//! `stack chaos` as it is typed: a minute and a half of a fixed seed, and what a plan and a replay look like.
//!
//! Points are planned only if the services were built with `--features chassis/faults`, as `scripts/run-tests.sh` does.

use std::process::{Command, Output};

use serde_json::Value;

use super::pipeline::TURN;

const STACK: &str = env!("CARGO_BIN_EXE_stack");

fn chaos(arguments: &[&str]) -> Output {
    Command::new(STACK).arg("chaos").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn nothing_is_lost_or_told_wrongly_though_everything_is_struck() {
    let _turn = TURN.blocking_lock();
    let page = std::env::temp_dir().join(format!("everhook-chaos-{}.md", std::process::id()));
    let output = chaos(&["--seed", "11", "--minutes", "1.5", "--json", "--report", page.to_str().unwrap()]);
    // The words say where the logs are, which are kept if all is not well.
    let words = text(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {words}"));
    let verdict = &report["verdict"];
    let told = || format!("{verdict:#}\n{:#}\n{words}", report["ledger"]);
    for count in ["lost", "phantom", "stale", "unsigned", "out_of_order", "unexplained"] {
        assert_eq!(verdict[count], 0, "{count}: {}", told());
    }
    assert_eq!(verdict["expected"], verdict["delivered"], "{}", told());
    assert!(verdict["acknowledged"].as_u64().unwrap() > 500, "the load did not run: {}", told());
    let struck = report["struck"].as_array().unwrap();
    assert_eq!(report["plan"]["faults"].as_array().unwrap().len(), struck.len());
    assert!(struck.len() >= 12, "{words}");
    // A fault that found nobody is none.
    let outcomes: Vec<&str> = struck.iter().map(|struck| struck["outcome"]["outcome"].as_str().unwrap()).collect();
    let count = |outcome: &str| outcomes.iter().filter(|seen| **seen == outcome).count();
    assert_eq!(count("not_ready"), 0, "{:#}\n{words}", report["struck"]);
    assert!(count("was_down") <= 2, "{:#}\n{words}", report["struck"]);
    let has_points = struck.iter().any(|struck| struck["act"] == "point");
    assert!(!has_points || count("hit") > 0, "no point was passed: {:#}\n{words}", report["struck"]);
    assert_eq!(report["deaths"], serde_json::json!([]), "{words}");
    assert!(output.status.success() && report["well"] == true, "{}", told());
    let written = std::fs::read_to_string(&page).unwrap();
    std::fs::remove_file(&page).unwrap();
    for heading in ["# Chaos", "## Faults", "## Load", "## Verdict", "## Repeats", "## The plan"] {
        assert!(written.lines().any(|line| line.starts_with(heading)), "{heading} is missing: {written}");
    }
}

#[test]
fn a_printed_plan_is_the_plan_and_is_read_again() {
    let file = std::env::temp_dir().join(format!("everhook-plan-{}", std::process::id()));
    let printed = chaos(&["--seed", "7", "--minutes", "2", "--print-plan"]);
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    std::fs::write(&file, &printed.stdout).unwrap();
    let again = chaos(&["--plan", file.to_str().unwrap(), "--print-plan"]);
    assert_eq!(text(&again.stdout), text(&printed.stdout));
    std::fs::write(&file, "plan seed 1 lasts 60 s rate 20\nat 1 s kill zookeeper for 1 s").unwrap();
    let wrong = chaos(&["--plan", file.to_str().unwrap(), "--print-plan"]);
    std::fs::remove_file(&file).unwrap();
    assert!(!wrong.status.success());
    let words = text(&wrong.stderr);
    assert!(words.contains("line 2 is no line of a plan: there is no process zookeeper; there are"), "{words}");
}
