//! Scenario files: what a sound one gives, and the whole text of what is said of broken ones.

use std::path::Path;

use coinfer::platform::DeviceId;
use coinfer::scenario::{Diagnostics, Overrides, Scenario};

const SOUND: &str = "tests/broken/sound.toml";

fn read(path: &str, overrides: &[&str]) -> Result<Scenario, Diagnostics> {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    Scenario::read(Path::new(path), &overrides)
}

fn read_sweep(overrides: &[&str]) -> Result<Scenario, Diagnostics> {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    Scenario::read_sweep(Path::new(SOUND), &Overrides::of_set(&overrides))
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
    let mut paths: Vec<_> = std::fs::read_dir("tests/broken").unwrap().map(|entry| entry.unwrap().path()).collect();
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
    let inputs: Vec<_> = scenario.inputs().iter().map(|input| input.path.to_str().unwrap()).collect();
    assert_eq!(inputs, ["tests/broken/sound.toml", "tests/broken/sound.csv"]);
    assert_eq!(case.baseline.device, Some(DeviceId(1)));
    let names: Vec<_> = case.strategies.iter().map(|entry| (entry.name.as_str(), entry.strategy.name())).collect();
    assert_eq!(names, [("greedy", "greedy"), ("gpu alone", "single")]);
    let links: Vec<_> = case.problem.platform.links.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(links, ["pcie:cpu>gpu", "pcie:gpu>cpu"]);
    assert_eq!(case.problem.platform.interference.slowdowns[0].excess_ppm, 120_000);
    assert_eq!(case.problem.samples(), 4);
    for entry in &case.strategies {
        entry.strategy.plan(&case.problem).unwrap();
    }
    let note = "net on cpu: time grows by 5.0 from batch 2 to 4 and by 10.0 from there to 8; \
                not extrapolated beyond batch 8";
    assert_eq!(case.notes, [note]);
}

#[test]
fn a_bare_word_and_a_toml_value_can_be_set_and_the_last_wins() {
    let overrides = [
        "load.offline.samples=100",
        "load.offline.samples=0x20",
        "devices.gpu.memory=8 GiB",
        "strategies.greedy.threshold=2",
        "strategies.gpu alone.device=\"cpu\"",
        "links.pcie.duplex=half",
        "seed=9",
        "name=other",
    ];
    let scenario = read(SOUND, &overrides).unwrap();
    let case = scenario.case().unwrap();
    assert_eq!((scenario.name(), scenario.seed(), case.seed), ("other", 9, 9));
    assert_eq!(case.problem.samples(), 32);
    assert_eq!(case.problem.platform.memories[1].capacity.unwrap().to_string(), "8 GiB");
    assert_eq!(case.problem.platform.links.len(), 1);
}

#[test]
fn what_is_wrong_with_overrides_is_said() {
    let overrides = [
        "load.offline.samples",
        "load.offline.samples=many",
        "load.offline.samples=1..=4",
        "load.offline.samples=4..=1",
        "devices.gpuu.memory=1 GiB",
        "devices.gpu.memroy=1 GiB",
        "devices.gpu.memory=1 Gib",
        "devices.cpu.trace=nowhere.csv",
        "strategies.exact.micro_batches=true",
        "strategies.greedy.treshold=1",
        "strategies.greedy.device=cpu",
        "a.b.c=1",
        "links.pcie.name=a>b",
        "links.pcie.between.cpu=1",
        "slowdowns.cpu.factor=2",
        "=1",
    ];
    check("overrides", read(SOUND, &overrides).err());
}

#[test]
fn a_device_that_is_no_table_does_not_make_its_name_unknown() {
    check("device-of-the-wrong-type", read(SOUND, &["devices.cpu=5"]).err());
}

fn settings(overrides: &[&str]) -> Vec<String> {
    points(&Overrides::of_set(&overrides.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()))
}

fn points(overrides: &Overrides) -> Vec<String> {
    let points = Scenario::read_sweep(Path::new(SOUND), overrides).unwrap().points().unwrap();
    let setting = |(path, value): &(std::sync::Arc<str>, std::sync::Arc<str>)| format!("{path}={value}");
    points.iter().map(|point| point.settings().iter().map(setting).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_sweep_goes_through_its_grid_and_leaves_out_what_is_excluded() {
    let expected = ["1", "2", "4"].into_iter().flat_map(|samples| {
        ["1.0", "1.05"]
            .map(|threshold| format!("load.offline.samples={samples} strategies.greedy.threshold={threshold}"))
    });
    assert_eq!(settings(&[]), expected.collect::<Vec<_>>());
}

#[test]
fn overrides_add_axes_replace_them_and_fix_them() {
    let fixed = "strategies.greedy.threshold=1";
    assert_eq!(
        settings(&[fixed, "load.offline.samples=2..=8*2", "devices.gpu.memory=1 GiB,2 GiB", "seed=4"])[..2],
        [
            "load.offline.samples=2 strategies.greedy.threshold=1 devices.gpu.memory=1 GiB",
            "load.offline.samples=2 strategies.greedy.threshold=1 devices.gpu.memory=2 GiB",
        ]
    );
    assert_eq!(settings(&[fixed, "load.offline.samples=7"]), ["load.offline.samples=7 strategies.greedy.threshold=1"]);
}

#[test]
fn a_zip_is_one_further_axis() {
    let zip = "sweep.zip={ \"devices.gpu.memory\" = [\"1 GiB\", \"2 GiB\"], contention = [true, false] }";
    let found = settings(&["strategies.greedy.threshold=1", "load.offline.samples=1,2", zip]);
    let tail: Vec<&str> = found.iter().map(|text| text.split_once("threshold=1 ").unwrap().1).collect();
    let pair = ["devices.gpu.memory=1 GiB contention=true", "devices.gpu.memory=2 GiB contention=false"];
    assert_eq!(tail, [pair, pair].concat());
}

#[test]
fn seeds_are_the_last_axis_of_the_grid() {
    let fixed = ["strategies.greedy.threshold=1", "load.offline.samples=1,2"];
    let with = |more: &str| settings(&[fixed[0], fixed[1], more]);
    let seeds = |found: &[String]| -> Vec<String> {
        found.iter().map(|text| text.rsplit_once("seed=").unwrap().1.to_owned()).collect()
    };
    assert_eq!(seeds(&with("sweep.seeds=3")), ["1", "2", "3", "1", "2", "3"]);
    assert_eq!(seeds(&with("sweep.seeds='4..=5'")), ["4", "5", "4", "5"]);
    assert_eq!(seeds(&with("sweep.seeds=[7, 3]")), ["7", "3", "7", "3"]);
    assert_eq!(seeds(&with("seed=8,9")), ["8", "9", "8", "9"]);
    let overrides = Overrides { seeds: Some("2".to_owned()), ..Overrides::of_set(&fixed.map(str::to_owned)) };
    assert_eq!(seeds(&points(&overrides)), ["1", "2", "1", "2"]);
    // One seed leaves no axis of a file's seeds but a fixed one.
    let found = settings(&[fixed[0], fixed[1], "sweep.seeds=3", "seed=6"]);
    assert_eq!(seeds(&found), ["6", "6"]);
}

#[test]
fn options_zip_axes_and_leave_points_out() {
    let set = ["strategies.greedy.threshold=1".to_owned(), "load.offline.samples=1,2".to_owned()];
    let zip = ["devices.gpu.memory=1 GiB,2 GiB", "contention=true,false"].map(str::to_owned).to_vec();
    let exclude = vec!["load.offline.samples=1,contention=true".to_owned()];
    let found = points(&Overrides { zip, exclude, ..Overrides::of_set(&set) });
    let expected = [
        "load.offline.samples=1 strategies.greedy.threshold=1 devices.gpu.memory=2 GiB contention=false",
        "load.offline.samples=2 strategies.greedy.threshold=1 devices.gpu.memory=1 GiB contention=true",
        "load.offline.samples=2 strategies.greedy.threshold=1 devices.gpu.memory=2 GiB contention=false",
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_wrong_with_seeds_zips_and_exclusions_is_said() {
    let of = |text: &str| vec![text.to_owned()];
    let overrides = Overrides {
        set: of("sweep.seeds=0"),
        zip: vec!["contention".to_owned(), "seed=1,2".to_owned(), "devices.gpu.memory=1 GiB,2 GiB,3 GiB".to_owned()],
        exclude: vec!["baseline=cpu".to_owned(), "seed".to_owned(), String::new()],
        seeds: Some("many".to_owned()),
    };
    check("sweep-options", Scenario::read_sweep(Path::new(SOUND), &overrides).err());
    let twice = Overrides { set: of("sweep.grid={ seed = [1] }"), ..Overrides::default() };
    let twice = Overrides { set: [twice.set, of("sweep.seeds=2")].concat(), ..Overrides::default() };
    check("sweep-seeds-twice", Scenario::read_sweep(Path::new(SOUND), &twice).err());
}

#[test]
fn a_point_is_a_case_with_its_values() {
    let scenario = read_sweep(&["devices.cpu.trace=sound.csv,./sound.csv"]).unwrap();
    assert_eq!(scenario.inputs().len(), 2);
    let points = scenario.points().unwrap();
    let samples: Vec<u32> = points.iter().map(|point| scenario.case_at(&point).unwrap().problem.samples()).collect();
    assert_eq!(samples, [1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4]);
}

#[test]
fn a_sweep_goes_over_files_of_arrivals() {
    let files = "load.server.arrivals.recorded.file=arrivals.csv,./arrivals.csv";
    let load = "load={ server = { arrivals = { recorded = { file = 'arrivals.csv' } } } }";
    let scenario = read_sweep(&["sweep={}", load, files]).unwrap();
    assert_eq!(scenario.inputs().len(), 3);
    for point in scenario.points().unwrap().iter() {
        assert_eq!(scenario.case_at(&point).unwrap().problem.load.queries(), 4);
    }
}

fn sweep_faults(overrides: &[&str]) -> Option<Diagnostics> {
    match read_sweep(overrides) {
        Ok(scenario) => scenario.points().err(),
        Err(diagnostics) => Some(diagnostics),
    }
}

#[test]
fn what_is_wrong_with_points_is_said_at_their_values() {
    check("sweep-points", sweep_faults(&["load.offline.samples=0,1,2000000,x", "devices.gpu.memory=1 GiB,1 GB/s"]));
    check("sweep-paths", sweep_faults(&["load.offline.sample=1,2", "devices.dla.memory=1 GiB,2 GiB"]));
    check("sweep-too-large", sweep_faults(&["load.offline.samples=1..=1000", "seed=0..=999"]));
    check("sweep-all-excluded", sweep_faults(&["load.offline.samples=3"]));
    check("sweep-ranges", sweep_faults(&["seed=5..=1", "sweep.grid.seed=1,2", "load.offline.samples=1..=many"]));
    check("sweep-repeated", sweep_faults(&["load.offline.samples=4,5,4"]));
    check("sweep-traces", sweep_faults(&["devices.gpu.trace=sound.csv,nan-time.csv,nowhere.csv"]));
}

#[test]
fn a_list_of_a_hundred_thousand_values_resolves_at_once() {
    let values = (11..=100_010).map(|value| value.to_string()).collect::<Vec<_>>().join(",");
    let scenario = read_sweep(&["strategies.greedy.threshold=1", &format!("load.offline.samples={values}")]).unwrap();
    // A test may not read the clock: this would be felt.
    assert_eq!(scenario.points().unwrap().len(), 100_000);
}

#[test]
fn the_schema_requires_what_a_scenario_needs_and_knows_no_null() {
    let schema = coinfer::scenario::schema();
    assert!(!schema.to_string().contains("null"), "{schema}");
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    let device = &schema["definitions"]["DeviceForm"];
    assert_eq!(device["required"], serde_json::json!(["name", "kind"]));
    assert_eq!(device["additionalProperties"], false);
}
