//! The program as scripts use it: output, exit codes, and results that are the same each time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn coinfer(arguments: &[&str]) -> Output {
    Command::cargo_bin("coinfer").unwrap().current_dir(root()).args(arguments).output().unwrap()
}

/// What the program prints for `arguments`, with its results in a folder that is gone afterwards.
fn printed(arguments: &[&str]) -> String {
    let out = tempfile::tempdir().unwrap();
    let output = coinfer(&[arguments, &["--out", out.path().to_str().unwrap()]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn shipped() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("scenarios")).unwrap().map(|entry| entry.unwrap().path());
    let mut scenarios: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    scenarios.sort();
    assert!(!scenarios.is_empty());
    scenarios
}

/// What makes a scenario of many boards one of few, which is planned sooner.
fn few(scenario: &Path) -> Vec<&'static str> {
    match scenario.file_name().unwrap().to_str().unwrap() {
        "legion-yolov2.toml" => vec!["--set", "devices.f.count=0", "--set", "devices.o.count=3"],
        name if name.starts_with("legion-") => vec!["--set", "devices.f.count=2"],
        _ => vec![],
    }
}

/// Every file below `folder` with its bytes; of manifests all but the time.
fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(
                files(&path)
                    .into_iter()
                    .map(|(name, text)| (PathBuf::from(path.file_name().unwrap()).join(name), text)),
            );
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let is_time = |line: &&str| !(path.ends_with("manifest.json") && line.contains("\"created\""));
        let text = text.lines().filter(is_time).collect::<Vec<_>>().join("\n");
        found.insert(path.file_name().unwrap().into(), text);
    }
    found
}

#[test]
fn json_is_one_object_that_keeps_its_contract() {
    let text = printed(&[
        "run",
        "scenarios/kcc2020-vgg16.toml",
        "--format",
        "json",
        "--set",
        "load.offline.samples=100",
        "--set",
        "strategies.greedy.threshold=1.0",
    ]);
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["scenario"], "kcc2020-vgg16");
    let results = object["results"].as_array().unwrap();
    let greedy = results.iter().find(|result| result["strategy"] == "greedy").unwrap();
    assert_eq!(serde_json::to_string(&greedy["split"]).unwrap(), r#"{"cpu":7,"gpu":54,"igpu":39}"#);
    assert!(text.find("\"cpu\": 7").unwrap() < text.find("\"igpu\": 39").unwrap(), "devices keep the scenario's order");
    for result in results {
        let number = |key: &str| result[key].as_f64().unwrap_or_else(|| panic!("{key} of {result}"));
        let (makespan, bound) = (number("makespan_ms"), number("lower_bound_ms"));
        assert!(makespan >= bound, "{result}");
        assert!((number("gap") - (makespan / bound - 1.0)).abs() < 1e-9);
        assert!((number("samples_per_s") - 100.0 / makespan * 1e3).abs() < 1e-6);
        assert!((0.0..=1.0).contains(&number("measured_share")));
        assert!(number("speedup") > 0.0);
        let split: u64 = result["split"].as_object().unwrap().values().map(|samples| samples.as_u64().unwrap()).sum();
        assert_eq!(split, 100);
    }
}

#[test]
fn every_shipped_scenario_gives_the_same_bytes_twice_and_a_table_of_80_columns() {
    for scenario in shipped() {
        let run = || {
            let out = tempfile::tempdir().unwrap();
            let run = ["run", scenario.to_str().unwrap(), "-q", "--out", out.path().to_str().unwrap()];
            let output = coinfer(&[&run, &few(&scenario)[..]].concat());
            assert!(output.status.success());
            (String::from_utf8(output.stdout).unwrap(), files(out.path()))
        };
        let (first, again) = (run(), run());
        assert!(first.1.len() > 5, "{:?}", first.1.keys());
        assert_eq!(first, again, "{}", scenario.display());
        for line in first.0.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", scenario.display());
        }
        assert!(!first.0.contains('\u{1b}'), "no colours in a pipe");
    }
}

#[test]
fn a_plan_can_be_written_and_checked_again() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.json");
    let (scenario, plan) = ("scenarios/kcc2020-vgg16.toml", plan.to_str().unwrap());
    assert!(coinfer(&["plan", scenario, "--strategy", "exact", "-o", plan]).status.success());
    assert!(coinfer(&["check", scenario, "--plan", plan]).status.success());

    let other_batch = coinfer(&["check", scenario, "--set", "load.offline.samples=199", "--plan", plan]);
    assert_eq!(other_batch.status.code(), Some(2));
    let message = String::from_utf8(other_batch.stderr).unwrap();
    assert!(message.contains("outside vgg-16's 199 samples"), "{message}");

    fs::write(plan, "{\"lanes\": [], \"steps\": [").unwrap();
    let cut_off = coinfer(&["check", scenario, "--plan", plan]);
    assert_eq!(cut_off.status.code(), Some(2));
}

#[test]
fn every_shipped_scenario_is_sound() {
    for scenario in shipped() {
        let output = coinfer(&["check", scenario.to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn wrong_input_ends_with_code_2_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results");
    let check = |arguments: &[&str], expected: &str| {
        let output = coinfer(&[arguments, &["--out", out.to_str().unwrap()]].concat());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert!(output.stdout.is_empty());
        assert!(!out.exists(), "nothing is written");
    };
    let scenario = "scenarios/kcc2020-vgg16.toml";
    check(&["run", "scenarios/absent.toml"], "absent.toml");
    check(&["run", "scenarios"], "scenarios");
    check(&["run", scenario, "--set", "load.offline.samples=0"], "--set");
    check(&["run", scenario, "--set", "load.offline.samples=1000000000"], "1000000");
    check(&["run", scenario, "--set", "strategies.greedy.treshold=1"], "threshold");
    check(&["run", scenario, "--set", "nonsense"], "nonsense");
    check(&["sweep", scenario, "--set", "load.offline.samples=5..=1"], "5..=1");
    check(&["sweep", scenario, "--jobs", "0"], "--jobs");
}

#[test]
fn every_broken_scenario_ends_with_code_2_and_a_diagnostic() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("tests/broken")).unwrap() {
        let path = entry.unwrap().path();
        let is_sound = path.ends_with("sound.toml") || path.ends_with("everything.toml");
        if path.extension().is_some_and(|extension| extension == "toml") && !is_sound {
            let output = coinfer(&["check", path.to_str().unwrap()]);
            let message = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{}: {message}", path.display());
            assert!(message.contains("error: ") && message.contains("help: "), "{}: {message}", path.display());
            assert!(output.stdout.is_empty());
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
}

#[test]
fn a_strategy_without_a_plan_ends_with_code_1_and_the_others_are_shown() {
    let out = tempfile::tempdir().unwrap();
    let scenario = "scenarios/kcc2020-later-vgg16.toml";
    let more = ["--set", "load.offline.samples=66", "--format", "json", "--out", out.path().to_str().unwrap()];
    let output = coinfer(&[&["run", scenario], &more[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failures = object["failures"].as_array().unwrap();
    assert!(failures.iter().any(|failure| failure["reason"].as_str().unwrap().contains("was not profiled")));
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in [
        "run",
        "sweep",
        "sensitivity",
        "merge",
        "plan",
        "check",
        "profile",
        "agent",
        "calibrate",
        "replay",
        "plot",
        "report",
        "models",
        "export",
        "schema",
        "completions",
    ] {
        let output = coinfer(&[command, "--help"]);
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains("Example") && help.contains(&format!("coinfer {command}")), "{help}");
    }
}

#[test]
fn the_schema_in_the_repository_is_the_one_of_the_program() {
    let stored = fs::read_to_string(root().join("docs/scenario.schema.json")).unwrap();
    let printed = String::from_utf8(coinfer(&["schema"]).stdout).unwrap();
    assert!(stored == printed, "write it again: cargo run -- schema > docs/scenario.schema.json");
}

#[test]
fn an_interrupted_write_leaves_earlier_results_alone() {
    let out = tempfile::tempdir().unwrap();
    let arguments = ["run", "scenarios/kcc2020-vgg16.toml", "-q", "--out", out.path().to_str().unwrap()];
    assert!(coinfer(&arguments).status.success());
    let before = files(out.path());
    // What a killed run leaves behind: a hidden folder beside the results.
    let run = fs::read_dir(out.path().join("kcc2020-vgg16")).unwrap().next().unwrap().unwrap().file_name();
    let abandoned = out.path().join("kcc2020-vgg16").join(format!(".{}.coinfer-x", run.to_str().unwrap()));
    fs::create_dir_all(abandoned.join("new")).unwrap();
    fs::write(abandoned.join("new/summary.json"), "{\"scenario\":").unwrap();
    fs::write(abandoned.join("lock"), "").unwrap();
    assert!(coinfer(&arguments).status.success());
    assert_eq!(files(out.path()), before);
}

#[test]
fn only_offline_loads_are_replayed() {
    let load = "load={ server = { arrivals = { poisson = { rate = '2/s' } }, queries = 9, samples = 8 } }";
    let plan = tempfile::NamedTempFile::new().unwrap();
    let out = tempfile::tempdir().unwrap();
    let (plan, out) = (plan.path().to_str().unwrap(), out.path().to_str().unwrap());
    assert!(coinfer(&["plan", "scenarios/kcc2020-vgg16.toml", "--set", load, "-o", plan]).status.success());
    assert!(coinfer(&["check", "scenarios/kcc2020-vgg16.toml", "--set", load, "--plan", plan]).status.success());
    let scenario = "scenarios/kcc2020-vgg16.toml";
    let said = "error: only offline loads are replayed, and the scenario has a `server` one; use for example \
                `--set 'load={ offline = { samples = 8 } }'`\n";
    for command in [
        &["replay", plan, "--scenario", scenario][..],
        &["run", scenario, "--replay"],
        &["sweep", scenario, "--replay"],
    ] {
        let output = coinfer(&[command, &["--set", load, "--backend", "mock", "--out", out]].concat());
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), said, "{command:?}");
    }
    assert_eq!(fs::read_dir(out).unwrap().count(), 0);
}

/// What the program prints for a command that writes no results.
fn listed(arguments: &[&str]) -> String {
    let output = coinfer(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn networks_are_listed_with_their_counts_and_how_far_off_they_are() {
    insta::assert_snapshot!(listed(&["models"]), @"
    model                input  layers    MACs    off   FLOPs  parameters    off
                                          10^9      %    10^9                  %
    ----------------------------------------------------------------------------
    alexnet          3x224x224      22   0.714  +0.03   1.428    61100840  +0.00
    alexnet-caffe    3x227x227      24   0.724  -0.36   1.449    60965224  -0.19
    vgg-16           3x224x224      40  15.470  +0.00  30.941   138357544  +0.00
    vgg-19           3x224x224      46  19.632  +0.00  39.264   143667240  +0.00
    squeezenet_v1.0  3x224x224      67   0.819  -0.01   1.638     1248424  +0.00
    squeezenet_v1.1  3x224x224      67   0.349  +0.04   0.698     1235496  +0.00
    googlenet        3x224x224     198   1.498  +0.03   2.997     6624904  +0.00
    googlenet-caffe  3x224x224     143   1.583      -   3.165     6998552      -
    inception_v3     3x299x299     315   5.713  +0.00  11.426    23834568  +0.00
    resnet-18        3x224x224      70   1.814  +0.00   3.628    11689512  +0.00
    resnet-34        3x224x224     126   3.664  -0.01   7.328    21797672  +0.00
    resnet-50        3x224x224     176   4.089  +0.00   8.178    25557032  +0.00
    densenet-121     3x224x224     428   2.834  +0.01   5.668     7978856  +0.00
    mobilenet        3x224x224      86   0.569  -0.05   1.137     4231976  -0.19
    mobilenet_v2     3x224x224     154   0.301  -0.07   0.602     3504872  +0.00
    yolov2           3x416x416      75  14.732  +0.00  29.464    50962889  +0.03
    lstm-2x512        512x25x1       3   0.105      -   0.210     4202496      -
    gru-2x512         512x25x1       3   0.079      -   0.157     3151872      -
    lstm-2x1500      1500x35x1       3   1.260  +0.00   2.520    36024000  +0.09

    MACs: of convolutions, fully connected and recurrent layers for one sample;
      FLOPs are two for each
    parameters: all that training sets
    off: ours from the count that is published; `coinfer models NAME` says where
    ");
}

#[test]
fn the_layers_of_a_network_are_listed_with_their_counts_and_halos() {
    insta::assert_snapshot!(listed(&["models", "lstm-2x1500"]), @"
        layer   operator     output     MACs  parameters  halo
                                        10^6              rows
        ------------------------------------------------------
        input   input     1500x35x1        0           0     0
        layer1  lstm      1500x35x1  630.000    18012000    17
        layer2  lstm      1500x35x1  630.000    18012000    17

        lstm-2x1500: 3 layers, 1260000000 MACs, 2520000000 FLOPs (two for each MAC),
          36024000 parameters
        published: 1260000000 MACs (+0.00 %), 35990000 parameters (+0.09 %)
        source: 66M parameters of LSTM (large) (Merity et al., Pointer sentinel mixture
          models, 2017, Penn Treebank) less embedding and softmax of 10000 words; the 36
          million weights once in each of 35 steps
        halo: rows of its input that both halves of a layer's output need
        ");
}

#[test]
fn networks_in_files_have_the_sums_of_their_layers() {
    let list: Value = serde_json::from_str(&listed(&["models", "--format", "json"])).unwrap();
    let models = list["models"].as_array().unwrap();
    assert_eq!(listed(&["models", "--format", "csv"]).lines().count(), 1 + models.len());
    for model in models {
        let name = model["model"].as_str().unwrap();
        let one: Value = serde_json::from_str(&listed(&["models", name, "--format", "json"])).unwrap();
        let layers = one["layers"].as_array().unwrap();
        for key in ["macs", "flops", "parameters"] {
            let sum: u64 = layers.iter().map(|layer| layer[key].as_u64().unwrap()).sum();
            assert_eq!(Some(sum), model[key].as_u64(), "{key} of {name}");
            assert_eq!(one[key], model[key]);
        }
        assert_eq!(Some(layers.len() as u64), model["layer_count"].as_u64());
        assert_eq!(model["flops"].as_u64(), model["macs"].as_u64().map(|macs| 2 * macs));
        assert_eq!(listed(&["models", name, "--format", "csv"]).lines().count(), 1 + layers.len());
    }
}

#[test]
fn an_unknown_network_ends_with_code_2_and_a_near_name() {
    let check = |name: &str, expected: &str| {
        let output = coinfer(&["models", name]);
        assert_eq!(output.status.code(), Some(2));
        assert!(output.stdout.is_empty());
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    };
    check("resnet50", "error: there is no model `resnet50`; did you mean `resnet-50`?\n");
    check("VGG-16", "error: there is no model `VGG-16`; did you mean `vgg-16`?\n");
    check(
        "nothing",
        "error: there is no model `nothing`; `coinfer models` lists all, and names of files end with `.onnx`\n",
    );
    let missing = "error: cannot read `net.onnx`: No such file or directory (os error 2)\n";
    check("net.onnx", missing);
}
