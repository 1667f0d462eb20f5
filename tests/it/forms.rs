//! What the parts of a scenario mean: the problem that each becomes.

use std::path::Path;

use coinfer::cost::Trace;
use coinfer::model::ModelId;
use coinfer::platform::{
    AgentAddress, BandwidthRule, Cores, DeviceId, Host, LinkId, Memory, Nic, Package, Power, Precision, Runtime,
    Sharing, TensorrtUnit,
};
use coinfer::problem::{
    Arrivals, Change, Dispatch, Effect, Fault, Jitter, Load, Ratios, Replications, Server, Shape, Spikes, WarmUpRule,
};
use coinfer::scenario::{Case, Scenario};
use coinfer::units::{BytesPerSec, Duration, Time, Watts};

fn case_of(path: &str, overrides: &[&str]) -> Case {
    let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
    Scenario::read(Path::new(path), &overrides).unwrap().case().unwrap()
}

fn case(overrides: &[&str]) -> Case {
    case_of("tests/broken/sound.toml", overrides)
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
    let one_by_one = "dispatch={ per_query = { in_flight_max = 1 } }";
    assert_eq!(case(&[&format!("load={stated}"), one_by_one]).problem.load, Load::Server(limited));
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
        let Load::Server(Server { arrivals: Arrivals::Recorded { times, .. }, queries, .. }) =
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
    let batch = Dispatch::Batch { batch_max: 64, delay_max: micros(2000), in_flight_max: None };
    assert_eq!(dispatch("{ batch = { batch_max = 64, delay_max = '2 ms' } }"), batch);
    assert_eq!(
        dispatch("{ batch = { batch_max = 8 } }"),
        Dispatch::Batch { batch_max: 8, delay_max: Duration::ZERO, in_flight_max: None }
    );
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
    let fault = "faults=[{ from = '2 s', device = 'gpu', slowdown = 2 }]";
    assert_eq!(warm_up(poisson, &[fault]), WarmUpRule::None);
    assert_eq!(warm_up("{ server = { arrivals = { recorded = { file = 'arrivals.csv' } } } }", &[]), WarmUpRule::None);
    assert_eq!(warm_up("{ single_stream = { queries = 9 } }", &[]), WarmUpRule::None);
    assert_eq!(warm_up("{ single_stream = { queries = 9 } }", &["replications.warm_up=mser5"]), WarmUpRule::Mser5);
}

fn watts(watts: f64) -> Watts {
    Watts::new(watts).unwrap()
}

fn rate(giga: f64) -> BytesPerSec {
    BytesPerSec::new(giga * 1e9).unwrap()
}

const BOTH: [DeviceId; 2] = [DeviceId(0), DeviceId(1)];

#[test]
fn devices_have_power_and_traffic_and_links_take_energy() {
    let case = case(&[
        "devices.gpu.power={ idle = '5 W', active = '30 W' }",
        "devices.gpu.traffic=40 GB/s",
        "links.pcie.energy=100 nJ/B",
    ]);
    let platform = &case.problem.platform;
    assert_eq!(platform.devices[1].power, Some(Power { idle: watts(5.0), active: watts(30.0) }));
    assert_eq!((platform.devices[0].power, platform.devices[0].traffic), (None, None));
    assert_eq!(platform.devices[1].traffic, Some(rate(40.0)));
    let energies: Vec<f64> = platform.links.iter().map(|link| link.energy.unwrap().as_f64()).collect();
    assert_eq!(energies, [100.0 * 1e-9; 2]);
}

#[test]
fn a_memory_holds_what_all_its_users_hold_and_a_device_a_part_of_it() {
    let capacities = |whole: &str| -> Vec<(String, String, usize)> {
        let memories = case(&[whole]).problem.platform.memories;
        let of = |memory: &Memory| {
            let capacity = memory.capacity.map_or("nobody says".to_owned(), |capacity| capacity.to_string());
            (memory.name.clone(), capacity, memory.users.len())
        };
        memories.iter().map(of).collect()
    };
    let own = capacities("seed=1");
    assert!(own.iter().all(|(.., users)| *users == 1) && own.len() > 1, "{own:?}");
    let shared = capacities("memories=[{ name = 'dram', devices = ['cpu', 'gpu'], capacity = '64 GiB' }]");
    assert_eq!(shared[..own.len()], own, "each device has a part of it");
    assert_eq!(shared[own.len()..], [("dram".to_owned(), "64 GiB".to_owned(), 2)]);
    let unnamed = capacities("memories=[{ devices = ['cpu', 'gpu'], proportional = { peak = '78 GB/s' } }]");
    assert_eq!(unnamed[own.len()..], [("cpu + gpu".to_owned(), "nobody says".to_owned(), 2)]);
}

#[test]
fn memories_have_one_of_four_rules() {
    let rule = |text: &str| {
        let case = case(&[&format!("memories=[{{ devices = ['cpu', 'gpu'], {text} }}]")]);
        let (memory, rule) = case.problem.platform.contended_memories().next().expect("there is one memory");
        assert_eq!(memory.users[..], BOTH);
        rule.clone()
    };
    let peak = rate(78.0);
    assert_eq!(rule("proportional = { peak = '78 GB/s' }"), BandwidthRule::Proportional { peak });
    assert_eq!(
        rule("residual_or_floor = { peak = '78 GB/s', floor = '46 GB/s' }"),
        BandwidthRule::ResidualOrFloor { peak, floor: rate(46.0) }
    );
    assert_eq!(
        rule("smooth = { threshold = '76.5 GB/s', cap = '40.6 GB/s', width = '71 GB/s', exponent = 0.91 }"),
        BandwidthRule::Smooth { threshold: rate(76.5), cap: rate(40.6), width: rate(71.0), exponent: 0.91 }
    );
    let table = rule("table = { file = '../../traces/xavier-shared-bandwidth.csv' }");
    assert_eq!(table.speed(65.7e9, 38.1e9), 46.4 / 65.7);
}

#[test]
fn a_runtime_may_be_written_short_and_long() {
    let of = |text: &str| case(&[text]).problem.platform.devices[0].runtime.clone();
    assert_eq!(case(&[]).problem.platform.devices[0].runtime, Runtime::Simulated);
    for (short, runtime) in [
        ("cpu={ cores = '0-1', slowed = 2.0 }", Runtime::Cores(Cores { cores: vec![0, 1], threads: 2, slowed: 2.0 })),
        (
            "agent={ address = '[fd00::2]:7071' }",
            Runtime::Agent(AgentAddress { address: "[fd00::2]:7071".into(), server_name: None }),
        ),
    ] {
        let (key, table) = short.split_once('=').unwrap();
        assert_eq!(of(&format!("devices.cpu.{short}")), runtime);
        assert_eq!(of(&format!("devices.cpu.runtime={{ {key} = {table} }}")), runtime);
    }
    let gpu = case(&["devices.gpu.runtime={ tensorrt = {} }"]).problem.platform.devices[1].runtime.clone();
    let unit = TensorrtUnit { dla_core: None, gpu_fallback: false, precision: Precision::Fp32 };
    assert_eq!(gpu, Runtime::Tensorrt(unit));
}

#[test]
fn packages_clock_down_with_the_voltage_unless_an_exponent_is_stated() {
    let power = "power={ idle = '1 W', active = '9 W' }";
    let package = |rest: &str| {
        let powers = ["cpu", "gpu"].map(|device| format!("devices.{device}.{power}"));
        let text = format!("packages=[{{ devices = ['cpu', 'gpu'], budget = '15 W'{rest} }}]");
        let case = case(&[&powers[0], &powers[1], &text]);
        case.problem.platform.interference.packages[0].clone()
    };
    let expected = Package { devices: BOTH.to_vec(), budget: watts(15.0), exponent: 3.0 };
    assert_eq!(package(""), expected);
    assert_eq!(package(", exponent = 1"), Package { exponent: 1.0, ..expected });
}

#[test]
fn hosts_lend_threads_to_the_devices_that_they_drive() {
    let hosts = case(&["hosts=[{ device = 'cpu', threads = 8, holds = { gpu = 2 } }]"]);
    let expected = Host { device: DeviceId(0), threads: 8, holds: vec![(DeviceId(1), 2)] };
    assert_eq!(hosts.problem.platform.interference.hosts[0], expected);
    let fewer = case(&["hosts=[{ device = 'cpu', threads = 8, holds = { gpu = 2 } }]", "hosts.cpu.threads=4"]);
    assert_eq!(fewer.problem.platform.interference.hosts[0], Host { threads: 4, ..expected });
}

#[test]
fn interfaces_carry_the_links_of_their_device_by_direction_if_they_are_full_duplex() {
    let nics = |link: &str, rest: &str| {
        let nic = format!("nics=[{{ device = 'gpu', bandwidth = '1 GB/s'{rest} }}]");
        case(&[&format!("links.pcie.duplex={link}"), &nic]).problem.platform.interference.nics
    };
    let nic = |links: &[u32], sharing| Nic {
        links: links.iter().map(|&link| LinkId(link)).collect(),
        bandwidth: rate(1.0),
        sharing,
    };
    // Link 0 leads to the device, and link 1 from it.
    assert_eq!(nics("full", ""), [nic(&[1], Sharing::Fair), nic(&[0], Sharing::Fair)]);
    assert_eq!(nics("full", ", duplex = 'half', sharing = 'serial'"), [nic(&[0, 1], Sharing::Serial)]);
    assert_eq!(nics("full", ", links = ['pcie']"), nics("full", ""));
    assert_eq!(nics("half", ", duplex = 'half'"), [nic(&[0], Sharing::Fair)]);
}

#[test]
fn what_is_stated_of_contention_stands_for_what_was_measured_and_is_noted_where_it_is_off() {
    let memory = "memories=[{ devices = ['cpu', 'gpu'], proportional = { peak = '78 GB/s' } }]";
    let note = "`memories` have no effect without `contention = true`";
    let noted = |overrides: &[&str]| case(overrides).notes.iter().any(|found| found == note);
    assert!(noted(&[memory, "contention=false"]));
    assert!(!noted(&[memory, "contention=true"]) && !noted(&["contention=false"]));
}

#[test]
fn devices_and_links_vary_each_in_its_own_way_and_both_directions_of_a_link_alike() {
    let variation = case_of("tests/broken/everything.toml", &[]).problem.variation;
    let spikes = |probability, effect| Some(Spikes { probability, effect });
    let cpu = Jitter::new(Shape::Gamma { cv: 0.1, shift: 0.8 }, spikes(0.001, Effect::Added(micros(5000))));
    assert_eq!(variation.devices, [cpu.unwrap(), Jitter::new(Shape::Lognormal { cv: 0.05 }, None).unwrap()]);
    let link = Jitter::new(Shape::None, spikes(0.01, Effect::Factor(5.0))).unwrap();
    assert_eq!(variation.links, [link.clone(), link]);
    assert!(case(&[]).problem.variation.is_none());
}

#[test]
fn a_device_varies_as_the_repeats_in_its_trace_if_that_is_asked_for() {
    let path = "scenarios/local-cpu.toml";
    let variation = case_of(path, &["devices.slow.variation={ empirical = true }"]).problem.variation;
    let trace = Trace::parse(&std::fs::read("traces/local-cpu.csv").unwrap()).unwrap();
    assert_eq!(variation.devices[0], Jitter::NONE);
    let Shape::Empirical(repeats) = variation.devices[1].shape() else { panic!("{:?}", variation.devices) };
    let recorded = trace.repeat_ratios("slow", Precision::Fp32);
    assert!(repeats.all.as_slice().len() > 50 && !repeats.points.is_empty());
    let models = ["resnet-18", "mobilenet", "vgg-16"];
    for ((model, batch), ratios) in recorded {
        let id = models.iter().position(|known| *known == model).unwrap() as u32;
        assert_eq!(*repeats.of(ModelId(id), batch), Ratios::new(ratios).unwrap(), "{model} at {batch}");
    }
}

#[test]
fn faults_are_changes_in_the_order_of_time_and_one_that_ends_goes_before_one_that_begins() {
    let faults = case_of("tests/broken/everything.toml", &["faults.throttling.slowdown=4"]).problem.faults;
    assert_eq!(faults.replanning, Some(micros(5000)));
    let device = DeviceId(0);
    let degraded = |link| Change::Bandwidth { link: LinkId(link), health: 0.1 };
    let expected = [
        (2, Change::Speed { device, health: 0.25 }),
        (3, degraded(0)),
        (3, degraded(1)),
        (5, Change::Speed { device, health: 1.0 }),
        (5, Change::Out { device }),
        (6, Change::Back { device }),
    ];
    let fault = |(seconds, change): (u64, Change)| Fault { at: Time::ZERO + micros(1_000_000 * seconds), change };
    assert_eq!(faults.faults, expected.map(fault));
}
