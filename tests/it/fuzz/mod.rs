//! The standing fuzzer: random scenarios of all that can be written in one, with rules that hold for all of them.
//!
//! `cargo test` tries a few hundred. For more, or for one again:
//!
//! ```sh
//! COINFER_FUZZ=20000 cargo test --test it fuzz     # seeds 0 to 19999
//! COINFER_FUZZ=4711..4712 cargo test --test it fuzz
//! ```
//!
//! What breaks a rule is made smaller while it still breaks the same, and printed as the TOML file and the files
//! beside it that reproduce it; they are also left below `target/tmp/fuzz`.

mod dice;
mod loads;
mod naive;
mod networks;
mod rules;
mod scenario;
mod service;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rayon::prelude::*;
use toml::{Table, Value};

use rules::{Broken, Findings, judge};
use scenario::{Written, drawn};

/// Seeds that are tried if nothing else is asked for.
const SEEDS: Range<u64> = 0..300;

fn seeds() -> Range<u64> {
    let Ok(asked) = std::env::var("COINFER_FUZZ") else { return SEEDS };
    let number =
        |text: &str| text.parse().unwrap_or_else(|_| panic!("COINFER_FUZZ is a count or a range, not {asked}"));
    asked.split_once("..").map_or_else(|| 0..number(&asked), |(from, to)| number(from)..number(to))
}

#[test]
fn every_scenario_obeys_all_rules_with_every_strategy() {
    let (done, ended, under_way) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(BTreeMap::new()));
    let tried: Vec<(u64, Findings)> = std::thread::scope(|scope| {
        scope.spawn(|| tell_slow(&under_way, &ended));
        let tried = seeds()
            .into_par_iter()
            .map(|seed| {
                #[allow(clippy::disallowed_methods, reason = "nothing that is judged depends on it")]
                under_way.lock().unwrap().insert(seed, Instant::now());
                let findings = judge(&drawn(seed), tempfile::tempdir().unwrap().path());
                under_way.lock().unwrap().remove(&seed);
                let done = 1 + done.fetch_add(1, Ordering::Relaxed);
                if !findings.broken.is_empty() || done.is_multiple_of(1000) {
                    eprintln!("{done} scenarios tried; seed {seed} breaks {} rules", findings.broken.len());
                }
                (seed, findings)
            })
            .collect();
        ended.store(true, Ordering::Relaxed);
        tried
    });
    let mut tally: BTreeMap<String, u32> = BTreeMap::new();
    let counted = tried.iter().flat_map(|(_, findings)| &findings.tally);
    counted.for_each(|(what, count)| *tally.entry(what.clone()).or_default() += count);
    println!("{tally:#?}");
    let (mut told, mut failed): (BTreeMap<&str, u32>, usize) = (BTreeMap::new(), 0);
    for (seed, findings) in &tried {
        failed += usize::from(!findings.broken.is_empty());
        for Broken { rule, how } in &findings.broken {
            // Of each rule, some are enough to look at.
            let count = told.entry(rule).or_default();
            *count += 1;
            if *count <= 5 {
                println!("seed {seed} breaks \"{rule}\": {}", how.chars().take(1000).collect::<String>());
            }
            if *count == 1 {
                println!("{}", reproduced(*seed, &drawn(*seed), rule));
            }
        }
    }
    println!("{told:#?}");
    assert_eq!(failed, 0, "of {} scenarios, {failed} break a rule, see above", tried.len());
    let refused = tally.iter().filter(|(what, _)| what.starts_with("refused")).map(|(_, count)| count).sum::<u32>();
    assert!(refused as usize * 10 <= tried.len(), "of {} scenarios, {refused} are refused when read", tried.len());
}

/// Names the seeds that take long, as soon as they do: one without end would never be told otherwise.
fn tell_slow(under_way: &Mutex<BTreeMap<u64, Instant>>, ended: &AtomicBool) {
    let mut told = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        for (seed, began) in &*under_way.lock().unwrap() {
            if began.elapsed() > Duration::from_secs(20) && !told.contains(seed) {
                eprintln!("seed {seed} takes more than 20 s");
                told.push(*seed);
            }
        }
    }
}

/// A smaller scenario that breaks the same rule, as text, which is also left in files.
fn reproduced(seed: u64, written: &Written, rule: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let of_table = |table: &Table| Written { table: table.clone(), files: written.files.clone() };
    let breaks = |table: &Table| {
        let findings = judge(&of_table(table), folder.path());
        findings.broken.iter().any(|broken| broken.rule == rule)
    };
    let mut table = written.table.clone();
    while let Some(smaller) = without_one(&table).into_iter().find(breaks) {
        table = smaller;
    }
    let kept = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz/{seed}"));
    std::fs::create_dir_all(&kept).unwrap();
    drop(of_table(&table).read_in(&kept));
    format!("{}\nin {}, with the files that it names", toml::to_string(&table).unwrap(), kept.display())
}

/// The table without one of its parts, in all ways.
fn without_one(table: &Table) -> Vec<Table> {
    let mut all = Vec::new();
    for (key, value) in table {
        let mut put = |value: Option<Value>| {
            let mut smaller = table.clone();
            match value {
                Some(value) => drop(smaller.insert(key.clone(), value)),
                None => drop(smaller.remove(key)),
            }
            all.push(smaller);
        };
        put(None);
        match value {
            Value::Table(inner) => without_one(inner).into_iter().for_each(|inner| put(Some(Value::Table(inner)))),
            Value::Array(list) => {
                for index in 0..list.len() {
                    let mut shorter = list.clone();
                    let left = shorter.remove(index);
                    put(Some(Value::Array(shorter)));
                    for inner in left.as_table().iter().flat_map(|inner| without_one(inner)) {
                        let mut changed = list.clone();
                        changed[index] = Value::Table(inner);
                        put(Some(Value::Array(changed)));
                    }
                }
            }
            Value::Integer(number) if *number > 1 && key != "seed" => put(Some(Value::Integer(number / 2))),
            _ => {}
        }
    }
    all
}
