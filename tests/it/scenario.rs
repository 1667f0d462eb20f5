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
