//! `stack crash-test` as it is typed. What the old way loses is looked at and never demanded.
//!
//! The services' binaries, and baseline's, lie beside `stack`: build the workspace before this test.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::demo::{Temporary, json};

/// The count of a side, or of something in it.
fn count(run: &Value, name: &str) -> u64 {
    run[name].as_u64().unwrap_or_else(|| panic!("{name} is no count in {run}"))
}

#[test]
fn both_sides_are_killed_in_the_middle_and_the_new_one_loses_nothing() {
    let temporary = Temporary::new("crash");
    let page = std::env::temp_dir().join(format!("everhook-crash-{}.md", std::process::id()));
    let small = ["crash-test", "--payments", "20", "--rounds", "2", "--json", "--report", page.to_str().unwrap()];
    let report = json(&mut temporary.command(&small));
    assert_eq!(report["well"], true, "{report}");
    let rounds = report["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2, "{report}");
    for round in rounds {
        for (side, killed) in [("old", "baseline"), ("new", "webhook-consumer")] {
            let run = &round[side];
            assert_eq!(run["killed"], killed);
            let (acknowledged, arrived) = (count(&run["at_kill"], "acknowledged"), count(&run["at_kill"], "arrived"));
            assert!(acknowledged >= 10 && arrived > 0 && arrived < acknowledged, "not in the middle: {run}");
            assert_eq!(count(run, "acknowledged"), 20, "{run}");
            assert_eq!(count(run, "delivered") + count(run, "lost"), 20, "{run}");
            assert_eq!(run["lists"]["lost"].as_array().unwrap().len() as u64, count(run, "lost"), "{run}");
        }
        let new = &round["new"];
        assert_eq!((count(new, "lost"), &new["unexplained"]), (0, &serde_json::json!([])), "{new}");
    }
    let text = std::fs::read_to_string(&page).unwrap();
    std::fs::remove_file(&page).unwrap();
    assert!(text.starts_with("# Crash test\n\nMeasured on 20"), "{text}");
    for row in ["| round 1, OLD ", "| round 2, NEW ", "| **all, NEW** "] {
        assert!(text.lines().any(|line| line.starts_with(row)), "{row} is missing: {text}");
    }
    assert!(text.contains("as soon as 10 payments are acknowledged"), "{text}");
    assert!(text.ends_with("NEW lost nothing.\n"), "{text}");
    assert_eq!(temporary.left_behind(), Vec::<PathBuf>::new());
}

#[test]
fn killed_at_full_load_it_loses_nothing_and_repeats_at_most_what_was_under_way() {
    let temporary = Temporary::new("crash-full");
    let load = ["--full-load-payments", "1500", "--kill-after", "400", "--restart-after", "1s", "--keep"];
    let report = json(temporary.command(&["crash-test", "--rounds", "0", "--full-load", "--json"]).args(load));
    assert_eq!(report["well"], true, "{report}");
    let new = &report["full_load"]["rounds"][0]["new"];
    assert_eq!((count(new, "acknowledged"), count(new, "delivered"), count(new, "lost")), (1_500, 1_500, 0), "{new}");
    assert!(count(&new["at_kill"], "arrived") >= 400, "{new}");
    assert!(count(new, "acknowledged_before") >= 400, "{new}");
    let under_way = new["under_way"].as_array().unwrap();
    assert!(count(new, "repeated") <= under_way.len() as u64, "{new}");
    for repeated in new["lists"]["repeated"].as_array().unwrap() {
        let attempts = under_way.iter().filter(|id| **id == repeated["webhook_id"]).count();
        assert!(repeated["repeats"].as_array().unwrap().len() <= attempts, "{repeated}: {attempts} were under way");
    }
    let [kept] = temporary.left_behind().try_into().unwrap();
    let inside: Vec<_> = std::fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(inside, ["logs"], "nothing else is left behind");
    let (failed, most) = failures(&std::fs::read_to_string(kept.join("logs/restate.log")).unwrap());
    assert!(failed > 0, "an invocation that was under way at the kill fails once");
    // Five times within the second if its connection were refused.
    assert!(most <= 2, "an invocation failed {most} times while it could have waited for the next process");
}

/// How many invocations failed according to Restate, and how often the one that failed most often.
fn failures(log: &str) -> (usize, u64) {
    let mut of_each = HashMap::<&str, u64>::new();
    for line in log.lines().filter(|line| line.contains("Invocation error")) {
        let id = line.split_once("restate.invocation.id=").and_then(|(_, rest)| rest.split_whitespace().next());
        *of_each.entry(id.unwrap_or_else(|| panic!("of which invocation: {line}"))).or_default() += 1;
    }
    (of_each.len(), of_each.values().copied().max().unwrap_or_default())
}

#[test]
fn a_wrong_use_is_one_sentence_and_nothing_is_started() {
    let said = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_stack")).arg("crash-test").args(arguments).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let nothing = "stack: --rounds 0 leaves nothing to do: add --full-load, or play a round\n";
    assert_eq!(said(&["--rounds", "0"]), nothing);
    let late = "stack: --kill-after 50 must be less than --full-load-payments 50: the kill is in the middle\n";
    assert_eq!(said(&["--full-load", "--full-load-payments", "50", "--kill-after", "50"]), late);
    let nowhere = "stack: there is no folder /nowhere/at/all for the page: make it, or name another\n";
    assert_eq!(said(&["--report", "/nowhere/at/all/page.md"]), nowhere);
    let elsewhere = said(&["--bin-dir", env!("CARGO_MANIFEST_DIR")]);
    assert!(elsewhere.starts_with("stack: baseline is not in ") && elsewhere.lines().count() == 1, "{elsewhere}");
    for wrong in [["--payments", "9"], ["--kill-after", "5"]] {
        let words = said(&wrong);
        assert!(words.starts_with("error: "), "{words}");
    }
}
