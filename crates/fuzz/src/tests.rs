//! The corpus, and what chance makes of it: the same inputs in every run, without a fuzzer.

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

/// Tells the input if the target breaks on it.
struct Told<'a>(&'a str, &'a [u8]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the target {} breaks on \"{}\"", self.0, self.1.escape_ascii());
        }
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The order of a folder is chance of another kind.
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// A few changes of the kinds that a fuzzer makes.
fn changed(corpus: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let mut input = corpus[rng.random_range(0..corpus.len())].clone();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=input.len());
        let end = rng.random_range(at..=input.len()).min(at + 16);
        let part = input[at..end].to_vec();
        match rng.random_range(0..6) {
            0 => input.insert(at, rng.random()),
            1 => drop(input.drain(at..end)),
            2 => drop(input.splice(at..at, part.repeat(rng.random_range(1..=20)))),
            3 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte = rng.random()),
            4 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.random_range(0..8)),
            _ => {
                let other = &corpus[rng.random_range(0..corpus.len())];
                let from = rng.random_range(0..=other.len());
                drop(input.splice(at..end, other[from..].iter().take(64).copied()));
            }
        }
    }
    input
}

fn run(name: &str, times: usize) {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).unwrap();
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "corpus/{name} is empty");
    let mut rng = StdRng::seed_from_u64(7);
    let chance = std::iter::repeat_with(|| changed(&corpus, &mut rng)).take(times);
    for input in corpus.iter().cloned().chain(chance) {
        let _told = Told(name, &input);
        target(&input);
    }
}

#[test]
fn a_receiver_may_answer_anything() {
    run("answer", 300);
}

#[test]
fn an_api_takes_a_request_or_says_what_is_wrong() {
    run("api", 5_000);
}

#[test]
fn a_kafka_value_is_read_or_unreadable() {
    run("message", 5_000);
}

#[test]
fn a_walsender_may_send_anything() {
    run("pgoutput", 3_000);
}

#[test]
fn a_retry_after_has_its_bounds() {
    run("retry_after", 5_000);
}

#[test]
fn a_url_leads_to_public_addresses_only() {
    run("url", 5_000);
}

/// A program, a target and a corpus are of one name; whoever adds one is told what is missing.
#[test]
fn each_target_has_its_program_and_its_corpus() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &str| {
        let entries = std::fs::read_dir(here.join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let targets = TARGETS.map(|(name, _)| name);
    assert_eq!(names("corpus"), targets);
    assert_eq!(names("libfuzzer/fuzz_targets"), targets);
    let manifest = std::fs::read_to_string(here.join("libfuzzer/Cargo.toml")).unwrap();
    for name in targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is no program");
        let program = std::fs::read_to_string(here.join(format!("libfuzzer/fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("fuzz::{name}(data)")), "the program {name} runs something else");
    }
}
