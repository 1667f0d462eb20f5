//! Scenario files: what a sound one gives, and the whole text of what is said of broken ones.

use std::path::Path;

use coinfer::platform::DeviceId;
use coinfer::scenario::{Diagnostics, Scenario};

const SOUND: &str = "tests/broken/sound.toml";

fn read(path: &str, overrides: &[&str]) -> Result<Scenario, Diagnostics> {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    Scenario::read(Path::new(path), &overrides)
}

fn read_sweep(overrides: &[&str]) -> Result<Scenario, Diagnostics> {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    Scenario::read_sweep(Path::new(SOUND), &overrides)
}

/// What is said of the scenario at `path`, or "nothing".
fn check(snapshot: &str, said: Option<Diagnostics>) {
    let said = said.map_or("nothing\n".to_owned(), |diagnostics| diagnostics.to_string());
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(snapshot, said);
    });
}

#[test]
fn what_is_wrong_with_each_broken_file_is_said() {
    let mut paths: Vec<_> = std::fs::read_dir("tests/broken")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap().to_str().unwrap();
        check(name, read(path.to_str().unwrap(), &[]).err());
    }
}

#[test]
fn a_sound_scenario_is_a_case() {
    let scenario = read(SOUND, &[]).unwrap();
    let case = scenario.case().unwrap();
    assert_eq!((scenario.name(), scenario.seed()), ("sound", 0));
    let inputs: Vec<_> = scenario
        .inputs()
        .iter()
        .map(|input| input.path.to_str().unwrap())
        .collect();
    assert_eq!(inputs, ["tests/broken/sound.toml", "tests/broken/sound.csv"]);
    assert_eq!(case.baseline, Some(DeviceId(1)));
    let names: Vec<_> = case
        .strategies
        .iter()
        .map(|entry| (entry.name.as_str(), entry.strategy.name()))
        .collect();
    assert_eq!(names, [("greedy", "greedy"), ("gpu alone", "single")]);
    let links: Vec<_> = case
        .problem
        .platform
        .links
        .iter()
        .map(|link| link.name.as_str())
        .collect();
    assert_eq!(links, ["pcie:cpu>gpu", "pcie:gpu>cpu"]);
    assert_eq!(case.problem.platform.slowdowns[0].excess_ppm, 120_000);
    assert_eq!(case.problem.samples(), 4);
    for entry in &case.strategies {
        entry.strategy.plan(&case.problem).unwrap();
    }
    let note = "net on cpu: time grows by 5.0 from batch 2 to 4 and by 10.0 from there to 8; \
                not extrapolated beyond batch 8";
    assert_eq!(case.notes, [note]);
}
