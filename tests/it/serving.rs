//! Loads with queries, chance and faults, through the program: tables, files and what they have in common.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

const SERVER: &str = "scenarios/kcc2020-vgg16-server.toml";
const FAULT: &str = "scenarios/kcc2020-vgg16-fault.toml";

/// What `run` prints for `arguments`, on `threads` threads, and the folder of its results in `out`.
fn run(arguments: &[&str], threads: &str, out: &Path) -> (String, PathBuf) {
    let output = Command::cargo_bin("coinfer")
        .unwrap()
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("RAYON_NUM_THREADS", threads)
        .args([&["run"], arguments, &["--out", out.to_str().unwrap()]].concat())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let scenario = fs::read_dir(out).unwrap().next().unwrap().unwrap().path();
    let folder = fs::read_dir(scenario).unwrap().next().unwrap().unwrap().path();
    (String::from_utf8(output.stdout).unwrap(), folder)
}

fn printed(arguments: &[&str]) -> String {
    let out = tempfile::tempdir().unwrap();
    run(arguments, "2", out.path()).0
}

#[test]
fn a_served_load_has_latencies_with_their_uncertainty_and_says_what_chance_explains() {
    insta::assert_snapshot!(printed(&[SERVER]));
}

#[test]
fn a_fault_costs_what_was_lost_and_the_time_to_plan_again() {
    insta::assert_snapshot!(printed(&[FAULT]));
}

#[test]
fn variation_of_an_offline_load_is_an_interval() {
    let varied = ["--set", "devices.gpu.variation={ gamma = { cv = 0.1, shift = 0.8 } }", "--set", "faults=[]"];
    insta::assert_snapshot!(printed(&[&[FAULT], &varied[..]].concat()));
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let folders = ["1", "3"].map(|threads| {
        let out = tempfile::tempdir().unwrap();
        let (_, folder) = run(&[SERVER, "--set", "load.server.queries=300"], threads, out.path());
        ["results.csv", "summary.json", "greedy/latency.csv", "exact/queries.csv", "exact/timeline.csv"]
            .map(|name| fs::read(folder.join(name)).unwrap())
    });
    assert!(folders[0] == folders[1]);
}

#[test]
fn files_of_queries_agree_with_the_summary() {
    let out = tempfile::tempdir().unwrap();
    let set = ["--set", "load.server.queries=300", "--set", "load.server.queue_max=8", "--set", "replications.max=20"];
    let (_, folder) = run(&[&[SERVER], &set[..]].concat(), "2", out.path());
    let summary: Value = serde_json::from_str(&fs::read_to_string(folder.join("summary.json")).unwrap()).unwrap();
    for result in summary["results"].as_array().unwrap() {
        let (service, chance) = (&result["service"], &result["chance"]);
        assert_eq!(service["queries"], 300 * chance["replications"].as_u64().unwrap());
        assert_eq!(
            service["completed"].as_u64().unwrap() + service["dropped"].as_u64().unwrap(),
            service["queries"].as_u64().unwrap()
        );
    }
    let queries = fs::read_to_string(folder.join("greedy/queries.csv")).unwrap();
    assert_eq!(queries.lines().count(), 301);
    assert!(queries.lines().any(|line| line.ends_with(",dropped")));
    let latencies = fs::read_to_string(folder.join("greedy/latency.csv")).unwrap();
    let counted: u64 =
        latencies.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse::<u64>().unwrap()).sum();
    let kept = summary["results"][0]["service"]["completed"].as_u64().unwrap();
    assert!(counted <= kept && counted > kept / 2, "{counted} of {kept} count after the warm-up");
}

#[test]
fn energy_follows_from_power_and_use() {
    let out = tempfile::tempdir().unwrap();
    let power = "devices.gpu.power={ idle = \"10 W\", active = \"70 W\" }";
    let single = ["--set", power, "--set", "faults=[]"];
    let (_, folder) = run(&[&[FAULT], &single[..]].concat(), "2", out.path());
    let summary: Value = serde_json::from_str(&fs::read_to_string(folder.join("summary.json")).unwrap()).unwrap();
    for result in summary["results"].as_array().unwrap() {
        let seconds = result["makespan_ms"].as_f64().unwrap() / 1e3;
        let expected = seconds * (10.0 + 60.0 * result["utilisation"]["gpu"].as_f64().unwrap());
        assert!((result["energy_j"].as_f64().unwrap() - expected).abs() < 1e-9 * expected, "{result}");
    }
}

#[test]
fn a_percentile_of_few_queries_is_said_to_be_one_and_a_single_run_has_no_interval() {
    let load = "load={ server = { arrivals = { deterministic = { rate = '5/s' } }, queries = 33 } }";
    let arguments = [FAULT, "--set", load, "--set", "faults=[]", "--format", "json"];
    let summary: Value = serde_json::from_str(&printed(&arguments)).unwrap();
    let percentiles = &summary["results"][0]["service"]["percentiles"];
    assert_eq!((&percentiles["queries"], &percentiles["p99"]["low"]), (&33.into(), &Value::Null), "{percentiles}");
    let note =
        "greedy: the 99th percentile is that of 33 queries, of which it is the longest; 662 are needed to be sure";
    assert!(summary["notes"].as_array().unwrap().contains(&note.into()), "{}", summary["notes"]);
}
