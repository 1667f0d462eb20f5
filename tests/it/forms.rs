//! What the parts of a scenario mean: the problem that each becomes.

use std::path::Path;

use coinfer::problem::{Arrivals, Dispatch, Load, Replications, Server, WarmUpRule};
use coinfer::scenario::{Case, Scenario};
use coinfer::units::{Duration, Time};

fn case(overrides: &[&str]) -> Case {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    Scenario::read(Path::new("tests/broken/sound.toml"), &overrides).unwrap().case().unwrap()
}

fn load(text: &str) -> Load {
    case(&[&format!("load={text}")]).problem.load
}

fn micros(micros: u64) -> Duration {
    Duration::from_nanos(1000 * micros)
}

#[test]
fn loads_have_the_names_of_mlperf_and_one_client_unless_more_are_named() {
    assert_eq!(load("{ offline = { samples = 7 } }"), Load::Offline { samples: 7 });
    assert_eq!(load("{ single_stream = { queries = 9 } }"), Load::SingleStream { queries: 9, clients: 1 });
    assert_eq!(
        load("{ multi_stream = { samples = 8, queries = 1000, clients = 3 } }"),
        Load::MultiStream { samples: 8, queries: 1000, clients: 3 }
    );
}

#[test]
fn a_server_has_single_queries_of_one_sample_without_limits_unless_they_are_stated() {
    let plain = Server {
        arrivals: Arrivals::Poisson { gap_mean: micros(5000) },
        together: 1,
        samples: 1,
        queries: 100,
        queue_max: None,
        deadline: None,
        drop_late: false,
    };
    assert_eq!(
        load("{ server = { arrivals = { poisson = { rate = '200/s' } }, queries = 100 } }"),
        Load::Server(plain.clone())
    );
    let stated = "{ server = { arrivals = { deterministic = { rate = '2/ms' } }, queries = 100, samples = 3, together = 4, \
                  queue_max = 5, deadline = '6 ms', drop_late = true } }";
    let limited = Server {
        arrivals: Arrivals::Deterministic { gap: micros(500) },
        together: 4,
        samples: 3,
        queue_max: Some(5),
        deadline: Some(micros(6000)),
        drop_late: true,
        ..plain
    };
    assert_eq!(load(stated), Load::Server(limited));
}

#[test]
fn bursts_have_a_rate_and_a_length_and_so_has_calm() {
    let bursty = "{ rate_calm = '50/s', rate_burst = '0.5/ms', calm_mean = '1 s', burst_mean = '100 ms' }";
    let Load::Server(server) = load(&format!("{{ server = {{ arrivals = {{ bursty = {bursty} }}, queries = 9 }} }}"))
    else {
        panic!("it is a server load");
    };
    let expected = Arrivals::Bursty {
        gap_mean_calm: micros(20_000),
        gap_mean_burst: micros(2000),
        calm_mean: micros(1_000_000),
        burst_mean: micros(100_000),
    };
    assert_eq!(server.arrivals, expected);
}

#[test]
fn recorded_arrivals_are_read_from_their_file_which_is_an_input() {
    let recorded = |rest: &str| {
        let text = format!("load={{ server = {{ arrivals = {{ recorded = {{ file = 'arrivals.csv' }} }}{rest} }} }}");
        let scenario = Scenario::read(Path::new("tests/broken/sound.toml"), &[text]).unwrap();
        let inputs: Vec<_> = scenario.inputs().iter().map(|input| input.path.to_str().unwrap().to_owned()).collect();
        assert_eq!(inputs[2..], ["tests/broken/arrivals.csv"]);
        let Load::Server(Server { arrivals: Arrivals::Recorded { times }, queries, .. }) =
            scenario.case().unwrap().problem.load
        else {
            panic!("arrivals are recorded");
        };
        (queries, times.into_iter().map(Time::as_nanos).collect::<Vec<_>>())
    };
    assert_eq!(recorded(""), (4, vec![0, 1_500_000, 1_500_000, 7_000_000]));
    assert_eq!(recorded(", queries = 2"), (2, vec![0, 1_500_000]));
    assert_eq!(recorded(", queries = 3, together = 2"), (3, vec![0, 1_500_000]));
}

#[test]
fn queries_are_dispatched_as_they_arrive_unless_limits_or_batches_are_stated() {
    let stream = "load={ single_stream = { queries = 9 } }";
    let dispatch = |text: &str| case(&[stream, &format!("dispatch={text}")]).problem.dispatch;
    assert_eq!(case(&[stream]).problem.dispatch, Dispatch::PerQuery { in_flight_max: None });
    assert_eq!(dispatch("{ per_query = { in_flight_max = 4 } }"), Dispatch::PerQuery { in_flight_max: Some(4) });
    let batch = Dispatch::Batch { batch_max: 64, delay_max: micros(2000) };
    assert_eq!(dispatch("{ batch = { batch_max = 64, delay_max = '2 ms' } }"), batch);
    assert_eq!(dispatch("{ batch = { batch_max = 8 } }"), Dispatch::Batch { batch_max: 8, delay_max: Duration::ZERO });
}

#[test]
fn replications_have_a_count_or_bounds_and_errors() {
    let replications = |text: &str| case(&[&format!("replications={text}")]).replications;
    let default = case(&[]).replications;
    assert_eq!(default, Replications::default());
    let counted = Replications { min: 30, max: 30, mean_error: None, p99_error: None, warm_up: WarmUpRule::None };
    assert_eq!(replications("{ count = 30 }"), counted);
    assert_eq!(replications("{ min = 300 }"), Replications { min: 300, max: 300, ..default });
    assert_eq!(replications("{ max = 10 }"), Replications { min: 10, max: 10, ..default });
    let stated =
        Replications { mean_error: Some(0.02), p99_error: None, warm_up: WarmUpRule::Fixed(micros(10)), ..default };
    assert_eq!(replications("{ mean_error = 0.02, warm_up = '10 us' }"), stated);
}

#[test]
fn only_queries_that_come_without_end_have_a_warm_up_unless_it_is_stated() {
    let warm_up = |load: &str, rest: &[&str]| {
        let load = format!("load={load}");
        case(&[&[load.as_str()], rest].concat()).replications.warm_up
    };
    let poisson = "{ server = { arrivals = { poisson = { rate = '200/s' } }, queries = 100 } }";
    assert_eq!(warm_up(poisson, &[]), WarmUpRule::Mser5);
    assert_eq!(warm_up(poisson, &["replications.warm_up=none"]), WarmUpRule::None);
    assert_eq!(warm_up("{ server = { arrivals = { recorded = { file = 'arrivals.csv' } } } }", &[]), WarmUpRule::None);
    assert_eq!(warm_up("{ single_stream = { queries = 9 } }", &[]), WarmUpRule::None);
    assert_eq!(warm_up("{ single_stream = { queries = 9 } }", &["replications.warm_up=mser5"]), WarmUpRule::Mser5);
}
