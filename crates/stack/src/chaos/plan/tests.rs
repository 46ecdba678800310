//! What every plan has, whatever the seed.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const SEEDS: std::ops::Range<u64> = 0..200;

fn minutes(seed: u64, minutes: u64) -> Plan {
    Plan::new(seed, Duration::from_secs(60 * minutes), 20.0, true)
}

fn struck(plan: &Plan) -> BTreeSet<(&'static str, &'static str)> {
    plan.faults.iter().map(|fault| (fault.act.kind(), fault.act.target())).collect()
}

#[test]
fn the_same_seed_gives_the_same_plan_and_another_one_another() {
    assert_eq!(minutes(7, 5), minutes(7, 5));
    assert_ne!(minutes(7, 5).faults, minutes(8, 5).faults);
}

#[test]
fn thirty_minutes_have_two_hundred_faults_and_everything_is_struck_in_every_way() {
    for seed in SEEDS {
        let plan = minutes(seed, 30);
        assert!(plan.faults.len() >= 200, "seed {seed} has only {} faults", plan.faults.len());
        let struck = struck(&plan);
        for victim in Victim::ALL {
            for kind in ["kill", "restart", "freeze"] {
                assert!(struck.contains(&(kind, victim.name())), "seed {seed}: {kind} {victim}");
            }
        }
        for link in Link::ALL {
            for kind in ["cut", "refuse", "stall", "slow"] {
                assert!(struck.contains(&(kind, link.name())), "seed {seed}: {kind} {link}");
            }
        }
        for point in Point::ALL {
            assert!(struck.contains(&("point", point.name())), "seed {seed}: {point}");
        }
    }
}

#[test]
fn five_minutes_strike_every_process_and_every_kind_occurs() {
    for seed in SEEDS {
        let plan = minutes(seed, 5);
        let struck = struck(&plan);
        let kinds: BTreeSet<&str> = struck.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, BTreeSet::from(Act::KINDS), "seed {seed}");
        let missed: Vec<_> = Victim::ALL.into_iter().filter(|v| !struck.iter().any(|(_, t)| *t == v.name())).collect();
        assert!(missed.is_empty(), "seed {seed} leaves {missed:?} alone");
    }
}

#[test]
fn every_fault_ends_within_the_plan_and_no_two_are_about_the_same_at_once() {
    for seed in SEEDS {
        for length in [1, 2, 5, 30] {
            minutes(seed, length).check().unwrap();
        }
    }
}

#[test]
fn freezes_go_from_a_second_up_to_minutes_in_a_long_plan() {
    let longest = |length| {
        let freezes = SEEDS.flat_map(|seed| minutes(seed, length).faults);
        let lengths = freezes.filter(|fault| fault.act.kind() == "freeze").map(|fault| fault.for_ms);
        lengths.max().unwrap()
    };
    assert!((100_000..=150_000).contains(&longest(30)), "{}", longest(30));
    assert!((8_000..=12_000).contains(&longest(2)), "{}", longest(2));
}

#[test]
fn a_few_overlap_and_never_more_than_three() {
    let mut beside = 0;
    for seed in SEEDS {
        let plan = minutes(seed, 30);
        beside += plan.faults.iter().filter(|fault| fault.beside).count();
        for fault in &plan.faults {
            let active = plan.faults.iter().filter(|other| !other.act.is_armed_only());
            let active = active.filter(|other| other.at_ms <= fault.at_ms && other.ends_ms() > fault.at_ms);
            assert!(active.count() <= MOST_AT_A_TIME, "seed {seed} at {fault}");
        }
    }
    let share = beside * 100 / SEEDS.map(|seed| minutes(seed, 30).faults.len()).sum::<usize>();
    assert!((10..60).contains(&share), "{share} % begin beside another");
}

#[test]
fn without_points_in_the_programs_none_is_planned() {
    let plan = Plan::new(7, Duration::from_secs(1_800), 20.0, false);
    assert!(!plan.has_points() && minutes(7, 30).has_points());
    assert!(plan.faults.len() >= 200);
}

#[test]
fn a_plan_is_read_again_from_its_lines_and_from_json() {
    for seed in SEEDS {
        let plan = minutes(seed, 3);
        assert_eq!(Plan::read(&plan.to_string()).as_ref(), Ok(&plan));
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(Plan::read(&json).as_ref(), Ok(&plan));
        let report = format!(r#"{{"well": true, "plan": {json}}}"#);
        assert_eq!(Plan::read(&report).as_ref(), Ok(&plan));
    }
}

#[test]
fn what_is_wrong_with_a_plan_is_said_with_its_line() {
    let head = "plan seed 1 lasts 60 s rate 20\n";
    let wrong = |lines: &str| Plan::read(&format!("{head}{lines}")).unwrap_err().to_string();
    assert!(Plan::read("at 1 s kill kafka for 1 s").unwrap_err().to_string().starts_with("a plan begins with"));
    assert!(wrong("at 1 s kill kafka").starts_with("line 2 is no line of a plan: write at SECONDS s"));
    assert!(
        wrong("# a comment\nat 1 s kill zookeeper for 1 s").starts_with("line 3 is no line of a plan: there is no")
    );
    assert!(wrong("at 1 s maim kafka for 1 s").contains("maim is none of kill"));
    assert!(wrong("at 1 s kill kafka for 60 s").ends_with("goes on after the end of the plan"));
    assert!(wrong("at 1 s kill kafka for 5 s\nat 3 s freeze kafka for 1 s beside").contains("disturbed already"));
    assert!(wrong("at 1 s kill kafka for 5 s\nat 3 s freeze restate for 1 s").contains("does not say \"beside\""));
    assert!(wrong("at 3 s kill kafka for 1 s\nat 1 s freeze restate for 1 s").contains("behind a later one"));
    Plan::read(&format!("{head}at 1 s kill kafka for 5 s\nat 3 s freeze restate for 1.5 s beside")).unwrap();
}

#[test]
fn targets_are_struck_evenly() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for fault in SEEDS.flat_map(|seed| minutes(seed, 30).faults).filter(|f| matches!(f.act.about(), About::Process(_)))
    {
        *counts.entry(fault.act.target()).or_default() += 1;
    }
    let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
    assert!(most - least < most / 5, "{counts:?}");
}
