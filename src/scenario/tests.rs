//! No text, however wrong, makes reading a scenario panic or take for ever.

use std::path::Path;

use proptest::prelude::*;

use super::file::FileMistake;
use super::form::StrategyForm;
use super::parsed::DEVICE_KEYS;
use super::{Diagnostics, Overrides, Scenario};

const SOUND: &str = include_str!("../../tests/broken/sound.toml");
const EVERYTHING: &str = include_str!("../../tests/broken/everything.toml");
const TRACE: &[u8] = include_bytes!("../../tests/broken/sound.csv");

fn parse(bytes: &[u8], trace: &[u8], overrides: &[String], sweeps: bool) -> Result<Scenario, Diagnostics> {
    let load = |_: &Path, _: u64| Ok::<_, FileMistake>(trace.to_vec());
    Scenario::parse(Path::new("a/b.toml"), Ok(bytes.to_vec()), &Overrides::of_set(overrides), sweeps, Some(&load))
}

/// Goes all the way: to cases, or to the text of the diagnostics.
fn exercise(bytes: &[u8], trace: &[u8], overrides: &[String], sweeps: bool) -> String {
    match parse(bytes, trace, overrides, sweeps) {
        Ok(scenario) => {
            assert!(!scenario.case().unwrap().strategies.is_empty());
            match scenario.points() {
                Ok(points) => {
                    points.iter().for_each(|point| drop(scenario.case_at(&point).unwrap()));
                    format!("{} points", points.len())
                }
                Err(diagnostics) => diagnostics.to_string(),
            }
        }
        Err(diagnostics) => {
            assert!(diagnostics.count() > 0);
            diagnostics.render(true);
            diagnostics.to_string()
        }
    }
}

fn check(text: &str, expected: &str) {
    let found = exercise(text.as_bytes(), TRACE, &[], false);
    assert!(found.contains(expected), "{found}");
}

#[test]
fn scenarios_are_shared_among_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Scenario>();
    shared::<super::Point>();
    shared::<super::Case>();
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_accepted() {
    check(&format!("\u{feff}{}", SOUND.replace('\n', "\r\n")), "6 points");
}

#[test]
fn large_and_deep_texts_are_refused_in_time() {
    check(&"[".repeat(200_000), "not valid TOML");
    check(&format!("x = {}", "[".repeat(200_000)), "recurs");
    check(&format!("a{} = 1", ".a".repeat(200_000)), "recursion limit");
    check(&format!("devices = [{}]", "1,".repeat(100_000)), "the list has 100000 entries");
    let axes: String = (0..100_000).map(|index| format!("a{index} = [1]\n")).collect();
    check(&format!("[sweep.grid]\n{axes}"), "this part of the sweep has 100000 paths");
    check(&"[[devices]]\n".repeat(100_000), "the list has 100000 entries");
    check(&format!("name = \"{}\"", "x".repeat(1_000_000)), "cannot name a folder of results");
    check(&"a = 1\n".repeat(50_000), "and 49");
    check(&" ".repeat((4 << 20) + 1), "is larger than 4 MiB");
    check("\0", "not valid TOML");
    check(&SOUND.replace("1..=4", "1..=9223372036854775807"), "has more than 1000000 values");
    check(&SOUND.replace("1..=4", "9223372036854775807..=9223372036854775807*9"), "cannot be simulated");
}

#[test]
fn many_devices_in_a_mesh_are_routed_in_time() {
    let mut text = SOUND.split("[sweep]").next().unwrap().replace("name = \"gpu alone\"\n", "");
    for index in 0..40 {
        text += &format!("[[devices]]\nname = \"d{index}\"\nkind = \"board\"\nmemory = \"1 GiB\"\n");
    }
    for index in 0..250 {
        let (a, b) = (index % 20, 20 + index % 19);
        let bandwidth = "bandwidth = \"1 GB/s\"";
        text += &format!("[[links]]\nname = \"l{index}\"\nbetween = [\"d{a}\", \"d{b}\"]\n{bandwidth}\n");
    }
    check(&text, "no link leads from `cpu` to `d39`");
}

/// Places in a text, what to put there, and how much to take away.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, String, usize)>> {
    let words =
        "\" ' [ ] [[ { } = , . \n \0 - 9 1e999 nan \u{e4} # ..= *2 gpu cpu net name true load 1979-05-27 \u{1b}[31m";
    let tokens = words.split(' ').chain(["", "0 B", "single = {}"]).collect::<Vec<_>>();
    let text = prop_oneof![prop::sample::select(tokens).prop_map(str::to_owned), ".{0,6}"];
    prop::collection::vec((any::<prop::sample::Index>(), text, 0..12usize), 1..6)
}

fn apply(bytes: &[u8], edits: &[(prop::sample::Index, String, usize)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, text, removed) in edits {
        let start = at.index(bytes.len() + 1);
        let end = (start + removed).min(bytes.len());
        bytes.splice(start..end, text.bytes());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_a_scenario_makes_reading_panic(edits in edits(), byte in any::<u8>()) {
        // Without its sweep, since one digit more makes many points.
        let mut bytes = apply(SOUND.split("[sweep]").next().unwrap().as_bytes(), &edits);
        let middle = bytes.len() / 2;
        bytes.insert(middle, byte);
        exercise(&bytes, TRACE, &[], false);
    }

    #[test]
    fn no_change_of_what_disturbs_a_scenario_makes_reading_panic(edits in edits()) {
        exercise(&apply(EVERYTHING.as_bytes(), &edits), TRACE, &[], false);
    }

    #[test]
    fn no_change_of_a_trace_makes_reading_panic(edits in edits()) {
        exercise(SOUND.as_bytes(), &apply(TRACE, &edits), &[], false);
    }

    #[test]
    fn no_override_makes_reading_panic(edits in edits(), sweeps in any::<bool>(), which in 0..6usize) {
        let sound = [
            "load.offline.samples=1,2", "strategies.greedy.threshold=1", "devices.gpu={ name = 'gpu', kind = 'gpu' }",
            "sweep.exclude=[{ contention = true }]", "devices.gpu.trace=a.csv,b.csv", "strategies.gpu alone.device=cpu",
        ];
        let text = String::from_utf8_lossy(&apply(sound[which].as_bytes(), &edits)).into_owned();
        exercise(SOUND.as_bytes(), TRACE, &[text], sweeps);
    }
}

/// The strategies of a sound scenario that has these instead of its own.
fn with_strategy(kind: &str, table: &str) -> Result<Vec<String>, Diagnostics> {
    let strategies = format!("strategies=[{{ {kind} = {{ {table} }} }}]");
    let case = Scenario::read(Path::new("tests/broken/sound.toml"), &[strategies])?.case()?;
    Ok(case.strategies.iter().map(|entry| format!("{} {}", entry.name, entry.strategy.name())).collect())
}

#[test]
fn every_strategy_is_read_by_its_name_and_names_devices_that_there_are() {
    for kind in StrategyForm::KINDS {
        assert_eq!(with_strategy(kind, "").unwrap(), [format!("{kind} {kind}")]);
        let mut checked = 0;
        for (key, value) in DEVICE_KEYS.into_iter().zip(["'nobody'", "['nobody']", "['nobody']"]) {
            let said = with_strategy(kind, &format!("{key} = {value}")).expect_err(kind).to_string();
            let is_key = !said.contains("is not a key of this table");
            assert!(!is_key || said.contains("none of the devices is called `nobody`"), "{kind}: {said}");
            checked += usize::from(is_key);
        }
        assert!(checked <= 1, "{kind} names devices in one way");
    }
}
