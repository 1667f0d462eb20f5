//! Links whose latency delays what arrives and holds up nothing else, through the program.

use std::fs;

use assert_cmd::Command;

const TRACE: &str = "\
# coinfer trace 1
# source: made up
# revision: 1
# hardware: none
# software: none
# date: 2025-01-01
# kind: measured
device,model,layer,batch,rows,statistic,repeat,time_ms
gpu,net,whole,1,all,median,5,1
";

/// Queries for a GPU behind `way`, each in a plan of its own; an input has `input`.
fn scenario(load: &str, way: &str, input: &str) -> String {
    let device = |name, kind| {
        format!(
            "[[devices]]\nname = \"{name}\"\nkind = \"{kind}\"\nmemory = \"64 GiB\"\ntrace = \"trace.csv\"\nprofile = \"gpu\"\n"
        )
    };
    let opaque = format!("{{ input = \"{input}\", output = \"1 B\", parameters = \"1 MB\", activations = \"1 MB\" }}");
    let devices = [device("cpu", "cpu"), device("gpu", "gpu")].concat();
    let model = format!("[[models]]\nname = \"net\"\nhome = \"cpu\"\nopaque = {opaque}\n");
    format!(
        "[load]\nserver = {load}\n[dispatch]\nper_query = {{}}\n{devices}{way}\n{model}[[strategies]]\nsingle = {{ device = \"gpu\" }}\n"
    )
}

fn link(bandwidth: &str, more: &str) -> String {
    format!("[[links]]\nname = \"l\"\nbetween = [\"cpu\", \"gpu\"]\nbandwidth = \"{bandwidth}\"\n{more}")
}

/// The lines of a file that a run of `scenario` makes, as their fields.
fn lines(scenario: &str, file: &str) -> Vec<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("s.toml"), scenario).unwrap();
    fs::write(folder.path().join("trace.csv"), TRACE).unwrap();
    fs::write(folder.path().join("arrivals.csv"), "arrival_ms\n0\n0\n0\n0\n").unwrap();
    let arguments = ["run", "s.toml", "--out", "r", "-q"];
    Command::cargo_bin("coinfer").unwrap().current_dir(folder.path()).args(arguments).assert().success();
    let dated = fs::read_dir(folder.path().join("r/s")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read_to_string(dated.join("single").join(file)).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// When each message of four that are at hand at 0 arrives at the GPU, in microseconds.
fn arrivals(way: &str) -> Vec<u64> {
    let load = "{ arrivals = { recorded = { file = \"arrivals.csv\" } } }";
    let found = lines(&scenario(load, way, "1 MB"), "timeline.csv");
    let is_sent = |line: &&Vec<String>| line[2].ends_with(":cpu>gpu") && line[4] == "transfer";
    found.iter().filter(is_sent).map(|line| line[12].parse::<u64>().unwrap() / 1000).collect()
}

#[test]
fn messages_follow_each_other_and_each_arrives_one_latency_later() {
    let expected = [11_000, 12_000, 13_000, 14_000];
    assert_eq!(arrivals(&link("1 GB/s", "latency = \"10 ms\"")), expected);
    assert_eq!(arrivals("[[switches]]\nname = \"s\"\nbandwidth = \"1 GB/s\"\nlatency = \"10 ms\""), expected);
}

#[test]
fn what_is_sent_next_waits_for_the_overhead_of_a_message() {
    let expected = [11_000, 22_000, 33_000, 44_000];
    assert_eq!(arrivals(&link("1 GB/s", "overhead = \"10 ms\"")), expected);
    assert_eq!(arrivals("[[switches]]\nname = \"s\"\nbandwidth = \"1 GB/s\"\noverhead = \"10 ms\""), expected);
    let both = "overhead = \"1 ms\"\nlatency = \"10 ms\"";
    assert_eq!(arrivals(&link("1 GB/s", both)), [12_000, 14_000, 16_000, 18_000]);
}

#[test]
fn a_link_with_a_long_latency_carries_as_much_as_its_bandwidth() {
    let load = "{ arrivals = { deterministic = { rate = \"200/s\" } }, queries = 2000 }";
    let queries = lines(&scenario(load, &link("100 MB/s", "latency = \"10 ms\""), "10 kB"), "queries.csv");
    let nanos = |line: &[String], column: usize| line[column].parse::<u64>().unwrap();
    let latencies: Vec<u64> = queries.iter().map(|line| nanos(line, 2) - nanos(line, 0)).collect();
    assert_eq!(latencies.len(), 2000);
    // 10 ms and 0.1 ms there, 1 ms of computing and 10 ms back, whoever comes before.
    assert!(latencies.iter().all(|latency| latency.abs_diff(21_100_000) < 1000), "{latencies:?}");
}
