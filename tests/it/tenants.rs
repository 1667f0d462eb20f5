//! Networks with loads of their own: what scenarios say of them, and what results say.

use std::fs;
use std::process::Output;

use assert_cmd::Command;
use coinfer::evaluate::evaluate;
use coinfer::problem::{Arrivals, Load, Server};
use coinfer::scenario::{Case, Scenario};
use serde_json::Value;

/// The first network takes 50 ms for a sample and 10 ms for each further one, the second 20 ms and 10.
const TRACE: &str = "# coinfer trace 1
# source: made up for tests
# revision: 1
# hardware: none
# software: none
# date: none
# kind: measured
device,model,layer,batch,rows,statistic,repeat,time_ms
gpu,first,whole,1,all,median,5,50
gpu,first,whole,8,all,median,5,120
gpu,second,whole,1,all,median,5,20
gpu,second,whole,8,all,median,5,90
";

/// A scenario of two networks on a GPU; `whole` stands before all tables, `first` and `second` in those of the networks.
fn scenario(whole: &str, [first, second]: [&str; 2], recorded: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let network = |name: &str, rest: &str| {
        let sizes = "{ input = '1000 B', output = '1000 B', parameters = '1 MB', activations = '1 MB' }";
        format!("[[models]]\nname = '{name}'\nopaque = {sizes}\n{rest}\n")
    };
    let (first, second) = (network("first", first), network("second", second));
    let device = "[[devices]]\nname = 'gpu'\nkind = 'gpu'\nmemory = '4 GiB'\ntrace = 'trace.csv'";
    let text = format!("{whole}\n{device}\n{first}{second}[[strategies]]\nsingle = {{}}\n");
    for (name, text) in [("s.toml", text.as_str()), ("trace.csv", TRACE), ("recorded.csv", recorded)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn case(whole: &str, networks: [&str; 2], recorded: &str) -> Case {
    let folder = scenario(whole, networks, recorded);
    Scenario::read(&folder.path().join("s.toml"), &[]).unwrap().case().unwrap()
}

/// Of each network, how many queries it has, when they come in milliseconds, and their samples.
fn recorded(case: &Case) -> Vec<(u32, Vec<u64>, Vec<u32>)> {
    let of = |load: &Load| {
        let Load::Server(Server { arrivals: Arrivals::Recorded { times, samples }, queries, .. }) = load else {
            panic!("arrivals are recorded");
        };
        (*queries, times.iter().map(|time| time.as_nanos() / 1_000_000).collect(), samples.clone())
    };
    match &case.problem.load {
        Load::PerModel(tenants) => tenants.iter().map(|tenant| of(&tenant.load)).collect(),
        load => vec![of(load)],
    }
}

const COLUMNS: &str =
    "user,at,model,samples\nann,1600000010,first,2\nbob,1600000012,second,1\nann,1600000012.5,first,4\n";

#[test]
fn a_column_says_which_network_a_recorded_query_is_of_and_another_how_many_samples_it_has() {
    let load = "load = { server = { together = 2, arrivals = { recorded = { file = 'recorded.csv', column = 'at', \
                unit = 's', from = '1600000009 s' } } } }";
    let case = case(load, ["", "priority = 7"], COLUMNS);
    assert_eq!(recorded(&case), [(4, vec![1000, 3500], vec![2, 4]), (2, vec![3000], vec![1])]);
    let Load::PerModel(tenants) = &case.problem.load else { panic!("each network has its queries") };
    assert_eq!(tenants.iter().map(|tenant| tenant.priority).collect::<Vec<_>>(), [0, 7]);
    assert_eq!(case.problem.load.samples_in_all(), 14);
}

#[test]
fn a_window_starts_where_it_is_said_to_or_at_its_first_arrival() {
    let of = |window: &str| {
        let recorded = format!("{{ file = 'recorded.csv', column = 'at', unit = 's', {window} }}");
        let load = format!("load = {{ server = {{ arrivals = {{ recorded = {recorded} }} }} }}");
        let other = "load = { single_stream = { queries = 1 } }";
        let case = case("", [&load, other], COLUMNS);
        let Load::PerModel(tenants) = &case.problem.load else { panic!("each network has a load") };
        let Load::Server(Server { arrivals: Arrivals::Recorded { times, .. }, .. }) = &tenants[0].load else {
            panic!("arrivals are recorded");
        };
        times.iter().map(|time| time.as_nanos() / 1_000_000).collect::<Vec<_>>()
    };
    assert_eq!(of("from = '1600000011 s'"), [1500]);
    assert_eq!(of("until = '1600000012 s'"), [0]);
    assert_eq!(of("from = '1600000000 s', until = '1600000012500 ms'"), [10_000]);
}

#[test]
fn a_long_wait_for_the_first_recorded_query_is_noted() {
    let load = |rest: &str| {
        format!("load = {{ server = {{ arrivals = {{ recorded = {{ file = 'recorded.csv'{rest} }} }} }} }}")
    };
    let times = "arrival_s\n3600\n3600.2\n3600.4\n3600.6\n";
    let told = case(&load(""), ["", ""], times);
    assert!(told.notes.iter().any(|note| note.contains("comes after 3600 s") && note.contains("from = \"3600 s\"")));
    let cut = case(&load(", from = '3600 s'"), ["", ""], times);
    assert_eq!((recorded(&cut), cut.notes.len()), (vec![(4, vec![0, 200, 400, 600], vec![])], 0));
}

const RATES: [&str; 2] = [
    "load = { server = { arrivals = { poisson = { rate = '3/s' } }, queries = 300, deadline = '150 ms' } }",
    "load = { server = { arrivals = { poisson = { rate = '2/s' } }, queries = 200 } }",
];

#[test]
fn figures_are_of_each_network_and_of_all() {
    let case = case("replications = { count = 20 }", RATES, "");
    let outcome = evaluate(&case).remove(0).unwrap().outcome;
    let service = outcome.service.as_ref().unwrap();
    let networks: Vec<_> = outcome.networks.iter().map(|(name, service)| (name.as_str(), service)).collect();
    let [("first", first), ("second", second)] = networks[..] else { panic!("{networks:?}") };
    assert_eq!((first.queries, second.queries, service.queries), (6000, 4000, 10_000));
    assert_eq!(first.late, service.late);
    assert!(first.late > 0 && first.completed == 6000);
    assert!((first.qps.mean / 3.0 - 1.0).abs() < 0.05, "{first:?}");
    assert!((second.qps.mean / 2.0 - 1.0).abs() < 0.05, "{second:?}");
    // An M/G/1 queue with two kinds of customers (Kleinrock, Queueing Systems II, 1976, section 3.4): both wait as long.
    let wait = (3.0 * 0.05f64.powi(2) + 2.0 * 0.02f64.powi(2)) / 2.0 / (1.0 - 3.0 * 0.05 - 2.0 * 0.02) * 1e3;
    for (found, service_ms) in [(first, 50.0), (second, 20.0)] {
        let mean = found.latency_mean_ms.unwrap().mean;
        assert!((mean - service_ms - wait).abs() < 0.6, "{mean} and {}", service_ms + wait);
    }
}

#[test]
fn priorities_let_one_network_wait_less_as_cobham_says() {
    // Cobham, Priority assignment in waiting line problems, 1954: non-preemptive priorities.
    let rates = ["10/s", "10/s"];
    let load = |rate: &str, priority: u8| {
        format!(
            "load = {{ server = {{ arrivals = {{ poisson = {{ rate = '{rate}' }} }}, queries = 4000 }} }}\npriority = {priority}"
        )
    };
    let networks = [load(rates[0], 0), load(rates[1], 1)];
    let case = case("replications = { count = 20 }", networks.each_ref().map(String::as_str), "");
    let outcome = evaluate(&case).remove(0).unwrap().outcome;
    let residual = (10.0 * 0.05f64.powi(2) + 10.0 * 0.02f64.powi(2)) / 2.0;
    let (low, high) = (10.0 * 0.05, 10.0 * 0.02);
    let waits = [residual / (1.0 - high) / (1.0 - high - low), residual / (1.0 - high)];
    for (((_, service), wait), own) in outcome.networks.iter().zip(waits).zip([50.0, 20.0]) {
        let mean = service.latency_mean_ms.unwrap().mean - own;
        assert!((mean / (wait * 1e3) - 1.0).abs() < 0.05, "{mean} and {}", wait * 1e3);
    }
}

fn run(folder: &std::path::Path, threads: &str) -> Output {
    let output = Command::cargo_bin("coinfer")
        .unwrap()
        .env("RAYON_NUM_THREADS", threads)
        .current_dir(folder)
        .args(["run", "s.toml", "--out", threads])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[test]
fn table_csv_and_json_have_the_networks_and_do_not_depend_on_threads() {
    let whole = "replications = { count = 4 }\ndispatch = { batch = { batch_max = 8, delay_max = '5 ms' } }";
    let folder = scenario(whole, RATES, "");
    let printed = ["1", "3"].map(|threads| String::from_utf8(run(folder.path(), threads).stdout).unwrap());
    insta::assert_snapshot!(printed[0]);
    let results = ["1", "3"].map(|threads| {
        let runs = folder.path().join(threads).join("s");
        let run = fs::read_dir(runs).unwrap().next().unwrap().unwrap().path();
        ["results.csv", "summary.json", "single/queries.csv", "single/latency.csv"]
            .map(|name| fs::read_to_string(run.join(name)).unwrap())
    });
    assert_eq!(results[0], results[1]);
    let [csv, json, queries, _] = &results[0];
    let header = csv.lines().next().unwrap();
    assert!(header.contains("latency_mean_ms_first") && header.contains("late_second"), "{header}");
    let summary: Value = serde_json::from_str(json).unwrap();
    assert_eq!(summary["results"][0]["networks"]["second"]["queries"], 800);
    let of = |network: &str| queries.lines().filter(|line| line.ends_with(network)).count();
    assert_eq!((of(",done,first"), of(",done,second")), (300, 200));
}
