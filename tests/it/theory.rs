//! The engine agrees with queueing theory where theory has an answer, and the document that says so is up to date.

use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use coinfer::theory::{Agreement, TheoryCase, cases};

/// Holds the chosen cases against theory: so many seeds of replications of so many queries.
fn check(chosen: impl Fn(&TheoryCase) -> bool, queries: u32, seeds: u64) {
    let chosen: Vec<TheoryCase> = cases().into_iter().filter(|case| chosen(case)).collect();
    assert!(!chosen.is_empty());
    for case in chosen {
        let case = case.with_queries(queries);
        let runs: Vec<_> = (0..seeds).map(|seed| case.run(seed).unwrap()).collect();
        for agreement in Agreement::of(&case, &runs) {
            assert!(agreement.is_unbiased(), "biased: {agreement:?}");
            assert!(agreement.is_covered(), "its intervals hold the truth too seldom: {agreement:?}");
        }
    }
}

/// Cases whose steps share a speed take several times as long to simulate.
fn shares(case: &TheoryCase) -> bool {
    case.name.contains("PS")
}

#[test]
fn queues_agree_with_theory() {
    check(|case| case.load <= 0.8 && !case.name.starts_with("batch") && !shares(case), 10_000, 1);
    check(|case| case.load <= 0.5 && shares(case), 5_000, 1);
}

#[test]
fn queues_at_high_load_agree_with_theory() {
    check(|case| case.load > 0.8 && case.load <= 0.9 && !case.name.starts_with("batch"), 20_000, 1);
    check(|case| case.load > 0.9, 30_000, 1);
}

#[test]
fn batches_and_shared_speeds_agree_with_theory() {
    check(|case| case.name.starts_with("batch"), 20_000, 1);
    check(|case| case.load > 0.5 && shares(case), 5_000, 1);
}

#[test]
fn intervals_hold_the_truth_for_ninety_five_seeds_of_a_hundred() {
    // Replications must be long against the memory of the queue, which is short in these.
    let cheap = [("M/D/1", 0.5), ("M/M/1/5", 0.8), ("closed, clients: 3", 0.8), ("batch 1 b + 0.2", 0.5)];
    check(|case| cheap.iter().any(|&(name, load_max)| case.name == name && case.load <= load_max), 500, 100);
}

#[test]
fn the_document_has_all_cases_and_none_is_outside_its_limits() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/theory.md")).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| case"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let keys = |case: TheoryCase| {
        let lost = case.expected.len() > 1;
        let key = |suffix: &str| (format!("{}{suffix}", case.name), format!("{:.2}", case.load));
        std::iter::once(key("")).chain(lost.then(|| key(", share lost"))).collect::<Vec<_>>()
    };
    let expected: Vec<(String, String)> = cases().into_iter().flat_map(keys).collect();
    let found: Vec<(String, String)> = rows.iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
    assert_eq!(found, expected, "`coinfer theory --seeds 100 --format markdown` makes docs/theory.md anew");
    for row in rows {
        let number = |column: usize| row[column].parse::<f64>().unwrap();
        assert!(number(4).abs() <= number(6), "{row:?}");
        let (covered, seeds) = row[7].split_once('/').unwrap();
        assert_eq!(seeds, "100", "{row:?}");
        assert!(covered.parse::<u32>().unwrap() >= 95, "{row:?}");
    }
}

fn coinfer(arguments: &[&str], threads: u32) -> Output {
    let mut command = Command::cargo_bin("coinfer").unwrap();
    command.arg("theory").args(arguments).env("RAYON_NUM_THREADS", threads.to_string()).output().unwrap()
}

#[test]
fn the_command_prints_the_same_with_any_number_of_threads() {
    let [one, two] = [1, 2].map(|threads| coinfer(&["--case", "M/M/1/5", "--seeds", "1"], threads));
    assert_eq!((one.status.code(), &one.stdout), (Some(0), &two.stdout));
    let text = String::from_utf8(one.stdout).unwrap();
    assert!(text.contains("M/M/1/5, share lost") && text.contains("all 2 agree"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
}

#[test]
fn a_case_that_there_is_not_is_refused_with_those_that_there_are() {
    let output = coinfer(&["--case", "M/M/7"], 1);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with("error: no case has `M/M/7` in its name; there are M/M/1, ") && error.contains("M/M/8"));
}
