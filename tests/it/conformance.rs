//! One suite for every backend: plans of strategies and plans by hand give a single device's outputs, in order.
//!
//! Backends that are not there are reported as skipped, with the reason.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use coinfer::cost::{Profile, Speed, TraceCosts};
use coinfer::engine::estimates;
use coinfer::model::{Activation, Conv, Graph, Layer, LayerId, ModelId, Op, Pooling, Region, Segment, Shape};
use coinfer::model::{Weights, Window, Work, zoo};
use coinfer::plan::{Action, CheckedPlan, Lane, LaneId, Plan, StepId, check};
use coinfer::platform::{Cores, Device, DeviceId, DeviceKind, Direction, Link, LinkId, Platform, Runtime};
use coinfer::problem::{Load, Model, Problem};
use coinfer::replay::cpu::{Cpu, Host, Library, Network};
use coinfer::replay::{Backend, BackendError, Limits, Mock, Round, SpeedProbe, assemble, available};
use coinfer::strategy::{Aofl, Coedge, Deepthings, FullSearch, Legion, Modnn, Ratio, Strategy, Transport};
use coinfer::units::{Bytes, BytesPerSec, Duration, MacsPerSec, Share};

use crate::fixture::PerRow;
use crate::strategies::strategies;

const FIRST: DeviceId = DeviceId(0);
const SECOND: DeviceId = DeviceId(1);
const ROWS: u32 = 12;
const SAMPLES: u32 = 4;
const MODEL: ModelId = ModelId(0);

static GO_ON: AtomicBool = AtomicBool::new(false);
const LIMITS: Limits<'_> = Limits { deadline: Duration::from_nanos(60_000_000_000), interrupted: &GO_ON };

/// A stem, two branches that meet beside a shortcut, a pooling and a fully connected tail.
fn graph(name: &str, filters: u32) -> Graph {
    let conv = |filters, size, pad| Op::Conv(Conv { bias: true, ..Conv::square(filters, size).pad(pad) });
    let half = Window::new(2).stride(2);
    let layers = [
        ("input", Op::Input(Shape::fp32(3, ROWS, 10)), &[][..]),
        ("stem", conv(2 * filters, 3, 1), &[0]),
        ("relu", Op::Activation(Activation::Relu), &[1]),
        ("left", conv(filters, 3, 1), &[2]),
        ("right", conv(filters, 1, 0), &[2]),
        ("both", Op::Concat, &[3, 4]),
        ("sum", Op::Add, &[2, 5]),
        ("pool", Op::Pool { pooling: Pooling::Max, rows: half, cols: half }, &[6]),
        ("narrow", conv(filters, 3, 1), &[7]),
        ("flatten", Op::Flatten, &[8]),
        ("dense", Op::Dense { units: 5, bias: true }, &[9]),
    ];
    let layer = |(name, op, inputs): (&str, Op, &[u32])| Layer {
        name: name.into(),
        op,
        inputs: inputs.iter().copied().map(LayerId).collect(),
    };
    Graph::new(name, layers.into_iter().map(layer).collect()).unwrap()
}

const STEM: u32 = 2;
const RIGHT: u32 = 4;
const SUM: u32 = 6;
const POOL: u32 = 7;
const DENSE: u32 = 10;

/// Two devices with a link in each direction, on cores of this machine, of which there may be one only; the second is
/// slowed.
fn problem(networks: u32, home: Option<DeviceId>) -> Problem {
    let device = |name: &str, index, slowed| Device {
        runtime: Runtime::Cores(core(index, slowed)),
        ..Device::new(name, DeviceKind::Cpu, Bytes(1 << 20))
    };
    let link = |name: &str, from, to| Link::new(name, (from, to), Direction::OneWay, BytesPerSec::new(1e9).unwrap());
    let model = |index: u32| Model { graph: graph(&format!("net{index}"), 4 + index), home };
    let platform = Platform {
        devices: vec![device("first", 0, 1.0), device("second", 1, 1.5)],
        links: vec![link("forth", FIRST, SECOND), link("back", SECOND, FIRST)],
        ..Platform::default()
    };
    let models = (0..networks).map(model).collect();
    Problem::new(models, platform, Load::Offline { samples: SAMPLES }, PerRow([2, 3, 0]))
}

/// One thread on one core of this machine.
fn core(index: usize, slowed: f64) -> Cores {
    let cores = available().unwrap();
    Cores { cores: vec![cores[index % cores.len()]], threads: 1, slowed }
}

fn host(problem: &Problem, library: Library, weights: Weights) -> Result<Arc<Host>, BackendError> {
    let weights = Arc::new(weights);
    let network = |model: &Model| Network { graph: model.graph.clone(), weights: weights.clone(), home: model.home };
    let networks = problem.models.iter().map(network).collect();
    // Enough for the probe of speed too.
    Ok(Arc::new(Host::new(&problem.platform, library, networks, 2 * SAMPLES + 2, 1)?))
}

/// The library of ONNX Runtime that the user names, or that a virtual environment below `target` has.
fn onnx_runtime() -> Result<Library, String> {
    let libraries = |folder: PathBuf, prefix: &'static str| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(move |path| path.file_name().unwrap().to_string_lossy().starts_with(prefix))
    };
    let environment = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv/lib");
    let mut found = libraries(environment, "python")
        .flat_map(|python| libraries(python.join("site-packages/onnxruntime/capi"), "libonnxruntime.so"));
    let named = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let library = named.or_else(|| found.next()).ok_or("neither ORT_DYLIB_PATH nor target/venv has one")?;
    Library::onnx_runtime(&library)
}

/// The libraries that execute networks on cores and that are there. Says which are not, even where output is captured.
#[allow(clippy::explicit_write, reason = "tests do not show what `eprintln` prints")]
static LIBRARIES: LazyLock<Vec<Library>> = LazyLock::new(|| {
    let mut libraries = vec![Library::Rten];
    match onnx_runtime() {
        Ok(library) => libraries.push(library),
        Err(reason) => writeln!(std::io::stderr(), "skipped: conformance of ONNX Runtime: {reason}").unwrap(),
    }
    libraries
});

/// Runs `plan` twice on every backend: timelines obey it, and outputs are a single device's.
fn check_everywhere(name: &str, problem: &Problem, plan: &CheckedPlan) {
    let times = estimates(problem, plan).unwrap().iter().map(|estimate| estimate.time).collect();
    rounds(name, problem, plan, &Mock::new(times));
    for library in LIBRARIES.iter().cloned() {
        let cpu = Cpu::new(host(problem, library, Weights::Seeded(7)).unwrap());
        let info = cpu.probe().unwrap();
        rounds(name, problem, plan, &cpu);
        for model in (0..problem.models.len() as u32).map(ModelId) {
            let difference = cpu.difference(model, SAMPLES).unwrap();
            assert!(difference <= 1e-4, "{name} on {}, model {}: {difference}", info.software, model.0);
        }
    }
}

fn rounds(name: &str, problem: &Problem, plan: &CheckedPlan, backend: &dyn Backend) -> Vec<Round> {
    backend.probe().unwrap();
    let mut crew = assemble(plan, backend).unwrap();
    let rounds: Vec<Round> = (0..2).map(|_| crew.round(plan, &LIMITS).unwrap()).collect();
    assert!(rounds.iter().all(|round| round.timeline.obeys(plan, &problem.platform)), "{name} on {}", backend.name());
    rounds
}

#[test]
fn plans_of_strategies_compute_what_a_single_device_does() {
    for (networks, home) in [(1, None), (1, Some(FIRST)), (2, None), (2, Some(SECOND))] {
        let problem = problem(networks, home);
        let mut plans: Vec<CheckedPlan> = Vec::new();
        for strategy in strategies() {
            let name = format!("{} for {networks} networks, home {home:?}", strategy.name());
            let plan = strategy.plan(&problem).unwrap_or_else(|error| panic!("{name}: {error}"));
            let plan = check(plan, &problem).unwrap_or_else(|found| panic!("{name}: {found:?}"));
            if plans.iter().all(|known| **known != *plan) {
                check_everywhere(&name, &problem, &plan);
                plans.push(plan);
            }
        }
        assert!(plans.len() > 2, "strategies differ");
    }
}

/// A home and three boards with links between every two of them, for strategies that share rows.
fn boards(graph: Graph) -> Problem {
    let names = ["home", "fast", "slow", "slower"];
    let device =
        |name| Device { runtime: Runtime::Cores(core(0, 1.0)), ..Device::new(name, DeviceKind::Board, Bytes(1 << 30)) };
    let devices: Vec<Device> = names.map(device).into();
    let ids = || (0..names.len() as u32).map(DeviceId);
    let pairs = ids().flat_map(|from| ids().filter(move |&to| to != from).map(move |to| (from, to)));
    let link = |ends: (DeviceId, DeviceId)| {
        Link::new(format!("{}>{}", ends.0.0, ends.1.0), ends, Direction::OneWay, BytesPerSec::new(1e8).unwrap())
    };
    let platform = Platform { devices, links: pairs.map(link).collect(), ..Platform::default() };
    let rate = |device: DeviceId| [1e9, 9e9, 4e9, 2e9][device.0 as usize];
    let speed = |device| Speed { rate: MacsPerSec::new(rate(device)).unwrap(), step: Duration::ZERO, row_tile: 1 };
    let costs =
        TraceCosts::new(&platform, &[&graph], |device, _| Profile { speed: Some(speed(device)), ..Profile::default() });
    let models = vec![Model { graph, home: Some(FIRST) }];
    Problem::new(models, platform, Load::Offline { samples: 2 }, costs)
}

#[test]
fn rows_that_strategies_share_compute_what_a_single_device_does() {
    let (exact, neighbour) = (Ratio::Exact, Transport::Neighbour);
    let strategies: [(&str, Box<dyn Strategy>); 8] = [
        ("legion", Box::new(Legion::default())),
        ("legion, exact", Box::new(Legion { ratio: exact, ..Legion::default() })),
        ("neighbour", Box::new(Legion { transport: neighbour, ..Legion::default() })),
        ("full search", Box::new(FullSearch { ratio: exact, ..FullSearch::default() })),
        ("modnn", Box::new(Modnn::default())),
        ("coedge", Box::new(Coedge::default())),
        ("deepthings", Box::new(Deepthings::default())),
        ("aofl", Box::new(Aofl::default())),
    ];
    let known = |name| zoo::graph(name).unwrap();
    for graph in [graph("net", 4), known("squeezenet_v1.1"), known("resnet-18")] {
        let problem = boards(graph);
        let network = problem.models[0].graph.name().to_owned();
        let of_model = |model: &Model| {
            let weights = Arc::new(Weights::Seeded(7));
            Network { graph: model.graph.clone(), weights, home: model.home }
        };
        let networks = problem.models.iter().map(of_model).collect();
        let host = Arc::new(Host::new(&problem.platform, Library::Rten, networks, 2, 1).unwrap());
        // The largest takes seconds for each.
        let of_network = if network == "resnet-18" { &strategies[1..3] } else { &strategies[..] };
        for (name, strategy) in of_network {
            let plan = strategy.plan(&problem).unwrap();
            let plan = check(plan, &problem).unwrap_or_else(|found| panic!("{name} of {network}: {found:?}"));
            let cpu = Cpu::new(host.clone());
            let mut crew = assemble(&plan, &cpu).unwrap();
            assert!(crew.round(&plan, &LIMITS).unwrap().timeline.obeys(&plan, &problem.platform));
            let difference = cpu.difference(MODEL, 2).unwrap();
            assert!(difference <= 1e-4, "{name} of {network}: {difference}");
        }
    }
}

/// A plan on both devices, and its four lanes.
struct Draft {
    plan: Plan,
    first: LaneId,
    second: LaneId,
    forth: LaneId,
    back: LaneId,
}

impl Draft {
    fn new() -> Draft {
        let mut plan = Plan::default();
        let lane = |device| Lane::Compute { device, share: Share::FULL, memory: Bytes(1 << 20) };
        let (first, second) = (plan.lane(lane(FIRST)), plan.lane(lane(SECOND)));
        let (forth, back) = (plan.lane(Lane::Link(LinkId(0))), plan.lane(Lane::Link(LinkId(1))));
        Draft { plan, first, second, forth, back }
    }

    fn compute(
        &mut self,
        lane: LaneId,
        layers: RangeInclusive<u32>,
        samples: Range<u32>,
        rows: Range<u32>,
        after: &[StepId],
    ) -> StepId {
        let segment = Segment::range(LayerId(*layers.start()), LayerId(*layers.end()));
        let work = Work { model: MODEL, segment, region: Region { samples, rows } };
        self.plan.step(lane, Action::Compute(work), after)
    }

    fn copy(&mut self, to: DeviceId, layer: u32, samples: Range<u32>, rows: Range<u32>, after: &[StepId]) -> StepId {
        let region = Region { samples, rows };
        let lane = if to == SECOND { self.forth } else { self.back };
        self.plan.step(lane, Action::Transfer { model: MODEL, layer: LayerId(layer), region, to }, after)
    }

    fn check(self, name: &str, problem: &Problem) {
        let plan = check(self.plan, problem).unwrap_or_else(|found| panic!("{name}: {found:?}"));
        check_everywhere(name, problem, &plan);
    }
}

#[test]
fn rows_split_over_two_devices_compute_what_a_single_one_does() {
    let problem = problem(1, Some(FIRST));
    let whole = 0..SAMPLES;
    for cut in [1, 5, ROWS - 1] {
        let mut draft = Draft::new();
        let (first, second) = (draft.first, draft.second);
        let fused = Segment::range(LayerId(1), LayerId(SUM));
        let read = problem.models[0].graph.rows_needed(&fused, &(cut..ROWS))[&LayerId(0)].clone();
        let sent = draft.copy(SECOND, 0, whole.clone(), read, &[]);
        draft.compute(first, 1..=SUM, whole.clone(), 0..cut, &[]);
        let bottom = draft.compute(second, 1..=SUM, whole.clone(), cut..ROWS, &[sent]);
        let back = draft.copy(FIRST, SUM, whole.clone(), cut..ROWS, &[bottom]);
        draft.compute(first, POOL..=DENSE, whole.clone(), 0..1, &[back]);
        draft.check(&format!("rows cut at {cut}"), &problem);
    }
}

#[test]
fn rows_split_layer_by_layer_exchange_their_halos() {
    let problem = problem(1, None);
    let whole = 0..SAMPLES;
    let cut = 6;
    let mut draft = Draft::new();
    let (first, second) = (draft.first, draft.second);
    let top = draft.compute(first, 1..=STEM, whole.clone(), 0..cut, &[]);
    let bottom = draft.compute(second, 1..=STEM, whole.clone(), cut..ROWS, &[]);
    let down = draft.copy(SECOND, STEM, whole.clone(), cut - 1..cut, &[top]);
    let up = draft.copy(FIRST, STEM, whole.clone(), cut..cut + 1, &[bottom]);
    draft.compute(first, 3..=POOL, whole.clone(), 0..cut / 2, &[up]);
    // The halves of the second device are samples apart.
    let parts = [0..1, 1..SAMPLES].map(|samples| {
        let part = draft.compute(second, 3..=POOL, samples.clone(), cut / 2..ROWS / 2, &[down]);
        draft.copy(FIRST, POOL, samples, cut / 2..ROWS / 2, &[part])
    });
    draft.compute(first, 8..=DENSE, whole, 0..1, &parts);
    draft.check("halos", &problem);
}

#[test]
fn branches_on_two_devices_compute_what_a_single_one_does() {
    let whole = 0..SAMPLES;
    let mut draft = Draft::new();
    let (first, second) = (draft.first, draft.second);
    let stem = draft.compute(first, 1..=STEM, whole.clone(), 0..ROWS, &[]);
    let sent = draft.copy(SECOND, STEM, whole.clone(), 0..ROWS, &[stem]);
    draft.compute(first, 3..=3, whole.clone(), 0..ROWS, &[]);
    let right = draft.compute(second, RIGHT..=RIGHT, whole.clone(), 0..ROWS, &[sent]);
    let back = draft.copy(FIRST, RIGHT, whole.clone(), 0..ROWS, &[right]);
    draft.compute(first, 5..=DENSE, whole, 0..1, &[back]);
    draft.check("branches", &problem(1, Some(FIRST)));
}

#[test]
fn a_pipeline_over_a_cut_computes_what_a_single_device_does() {
    let mut draft = Draft::new();
    let (first, second) = (draft.first, draft.second);
    for sample in 0..SAMPLES {
        let sample = sample..sample + 1;
        let front = draft.compute(first, 1..=POOL, sample.clone(), 0..ROWS / 2, &[]);
        let sent = draft.copy(SECOND, POOL, sample.clone(), 0..ROWS / 2, &[front]);
        let tail = draft.compute(second, 8..=DENSE, sample.clone(), 0..1, &[sent]);
        draft.copy(FIRST, DENSE, sample, 0..1, &[tail]);
    }
    draft.check("a pipeline", &problem(1, Some(FIRST)));
}

#[test]
fn rows_that_no_layer_reads_are_left_out_everywhere() {
    let layer = |name: &str, op, inputs| Layer { name: name.into(), op, inputs };
    let halved = Conv { rows: Window::new(3).stride(2), cols: Window::new(3).stride(2), ..Conv::square(2, 3) };
    let input = layer("input", Op::Input(Shape::fp32(1, 8, 8)), vec![]);
    let graph = Graph::new("odd", vec![input, layer("conv", Op::Conv(halved), vec![LayerId(0)])]).unwrap();
    assert_eq!(graph.rows_needed(&graph.whole().unwrap(), &(0..3))[&LayerId(0)], 0..7);
    let problem = Problem { models: vec![Model { graph, home: None }], ..problem(1, None) };
    let mut draft = Draft::new();
    let (first, second) = (draft.first, draft.second);
    draft.compute(first, 1..=1, 0..2, 0..3, &[]);
    draft.compute(second, 1..=1, 2..SAMPLES, 0..3, &[]);
    draft.check("an odd number of rows", &problem);
}

#[test]
fn a_step_whose_input_has_not_arrived_fails_and_is_not_made_up() {
    let problem = problem(1, Some(FIRST));
    let alone = Problem { models: vec![Model { home: Some(SECOND), ..problem.models[0].clone() }], ..problem };
    let mut draft = Draft::new();
    let second = draft.second;
    draft.compute(second, 1..=DENSE, 0..SAMPLES, 0..1, &[]);
    // Checked for inputs on the second device, and run with inputs on the first.
    let plan = check(draft.plan, &alone).unwrap();
    let moved = Problem { models: vec![Model { home: Some(FIRST), ..alone.models[0].clone() }], ..alone };
    let cpu = Cpu::new(host(&moved, Library::Rten, Weights::Seeded(7)).unwrap());
    let error = assemble(&plan, &cpu).unwrap().round(&plan, &LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "step 0 failed: its input samples 0..4, rows 0..12 is not there");
    assert_eq!(
        cpu.difference(MODEL, SAMPLES).unwrap_err().to_string(),
        "cpu cannot run this plan: samples 0..1, rows 0..1 of net0 was not computed"
    );
}

#[test]
fn outputs_that_are_no_numbers_differ_from_all() {
    let problem = problem(1, None);
    let mut draft = Draft::new();
    let first = draft.first;
    draft.compute(first, 1..=DENSE, 0..SAMPLES, 0..1, &[]);
    let plan = check(draft.plan, &problem).unwrap();
    let graph = &problem.models[0].graph;
    let seeded = Weights::Seeded(7);
    let tensors = graph.layer_ids().flat_map(|layer| {
        let seeded = &seeded;
        graph.weights(layer).into_iter().map(move |parameter| {
            let mut numbers = seeded.tensor(graph, layer, &parameter).into_owned();
            let poisoned = layer == LayerId(DENSE) && parameter.name == "bias";
            numbers[0] = if poisoned { f32::NAN } else { numbers[0] };
            ((layer, parameter.name), numbers)
        })
    });
    let given = Weights::Given(tensors.collect::<BTreeMap<_, _>>());
    let cpu = Cpu::new(host(&problem, Library::Rten, given).unwrap());
    rounds("poisoned", &problem, &plan, &cpu);
    assert!(cpu.difference(MODEL, SAMPLES).unwrap().is_nan());
}

#[test]
fn a_machine_without_the_cores_or_the_memory_is_told_before_anything_runs() {
    let problem = problem(1, None);
    let network = || Network { graph: graph("net", 4), weights: Arc::new(Weights::Seeded(0)), home: None };
    let refused = |platform: &Platform, network: Network, samples| {
        Host::new(platform, Library::Rten, vec![network], samples, 0).unwrap_err().to_string()
    };
    let mut absent = problem.platform.clone();
    absent.devices[0].runtime = Runtime::Cores(Cores { cores: vec![1023], threads: 1, slowed: 1.0 });
    let message = refused(&absent, network(), 1);
    assert!(message.starts_with("cpu is not available: there is no core 1023 for this program; there are ["));
    let wide = Graph::new(
        "wide",
        vec![
            Layer { name: "input".into(), op: Op::Input(Shape::fp32(1 << 10, 1 << 10, 1 << 10)), inputs: vec![] },
            Layer { name: "copy".into(), op: Op::Dropout, inputs: vec![LayerId(0)] },
        ],
    );
    let message = refused(&problem.platform, Network { graph: wide.unwrap(), ..network() }, u32::MAX);
    assert!(message.starts_with("cpu cannot run this plan: inputs and outputs of 4294967295 samples are "));
    assert!(message.ends_with("; use fewer samples"));
    let opaque = Graph::opaque("sizes", 4, 4, Bytes(4), Bytes(4)).unwrap();
    assert_eq!(
        refused(&problem.platform, Network { graph: opaque, ..network() }, 1),
        "cpu cannot run this plan: sizes is known by its sizes only; give its layers by `zoo` or `onnx`"
    );
}

#[test]
fn the_speed_of_devices_is_that_of_those_that_can_run_the_network() {
    let mut problem = problem(1, Some(FIRST));
    let cpu = Cpu::with_inputs_everywhere(host(&problem, Library::Rten, Weights::Seeded(7)).unwrap());
    let speeds = SpeedProbe::new(&problem, &cpu).unwrap().measure(&LIMITS).unwrap();
    assert!(speeds.len() == 2 && speeds.iter().all(|speed| speed.is_finite() && *speed > 0.0), "{speeds:?}");
    problem.platform.devices[1].memory = Bytes(1);
    let speeds = SpeedProbe::new(&problem, &cpu).unwrap().measure(&LIMITS).unwrap();
    assert_eq!(speeds[1], 1.0, "nothing can be said of a device that cannot run it");
}
