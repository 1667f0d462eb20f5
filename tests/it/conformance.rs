//! One suite for every runtime: plans of strategies and plans by hand give a single device's outputs, in order.
//!
//! Runtimes that are not there are reported as skipped, with the reason.

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
use coinfer::platform::{
    AgentAddress, Cores, Device, DeviceId, DeviceKind, Direction, Link, LinkId, Platform, Precision, Runtime,
    TensorrtUnit,
};
use coinfer::problem::{Load, Model, Problem};
use coinfer::replay::agent::{self, Agent};
use coinfer::replay::cpu::Library;
use coinfer::replay::{Hardware, Inputs, Limits, Network, Networks, Opened, Settings, SpeedProbe, Timing, available};
use coinfer::strategy::{Aofl, Coedge, Deepthings, FullSearch, Legion, Modnn, Ratio, Strategy, Transport};
use coinfer::timeline::Origin;
use coinfer::units::{Bytes, BytesPerSec, Duration, MacsPerSec, Share};

use crate::fixture::{PerRow, settings};
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

/// Two devices with a link in each direction.
fn problem(networks: u32, home: Option<DeviceId>) -> Problem {
    let device = |name: &str| (Device::new(name, DeviceKind::Cpu), Bytes(1 << 20));
    let link = |name: &str, from, to| Link::new(name, (from, to), Direction::OneWay, BytesPerSec::new(1e9).unwrap());
    let model = |index: u32| Model { graph: graph(&format!("net{index}"), 4 + index), home };
    let platform = Platform {
        links: vec![link("forth", FIRST, SECOND), link("back", SECOND, FIRST)],
        ..Platform::new(["first", "second"].map(device))
    };
    let models = (0..networks).map(model).collect();
    Problem::new(models, platform, Load::Offline { samples: SAMPLES }, PerRow([2, 3, 0]))
}

/// One thread on one core of this machine, of which there may be one only.
fn core(index: usize, slowed: f64) -> Runtime {
    let cores = available().unwrap();
    Runtime::Cores(Cores { cores: vec![cores[index % cores.len()]], threads: 1, slowed })
}

fn networks(problem: &Problem, weights: Weights, samples: u32) -> Networks {
    let weights = Arc::new(weights);
    let network = |model: &Model| Network { graph: model.graph.clone(), weights: weights.clone(), home: model.home };
    Networks::new(problem.models.iter().map(network).collect(), samples, 1).unwrap()
}

/// What runs the devices of `problem` if they are `runtimes`.
fn start(problem: &Problem, runtimes: &[Runtime], weights: Weights, settings: &Settings) -> Hardware {
    let mut platform = problem.platform.clone();
    platform.devices.iter_mut().zip(runtimes).for_each(|(device, runtime)| device.runtime = runtime.clone());
    // Enough for the probe of speed too.
    Hardware::start(&platform, networks(problem, weights, 2 * SAMPLES + 2), settings).unwrap()
}

/// What runs two devices.
struct Kind {
    name: &'static str,
    runtimes: [Runtime; 2],
    library: Library,
    /// Whether steps are processes, which take long to start.
    is_slow: bool,
}

/// Agents on this machine, which last as long as all tests.
static AGENTS: LazyLock<[Agent; 2]> = LazyLock::new(|| {
    let settings = || agent::Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        unit: Cores { cores: available().unwrap()[..1].into(), threads: 1, slowed: 1.0 },
        network_cores: available().unwrap()[..1].into(),
        library: Library::Rten,
        delay: Duration::ZERO,
        limits: agent::Limits::default(),
        access: agent::Access::default(),
    };
    [(); 2].map(|()| Agent::start(&settings()).unwrap())
});

fn on_agent(index: usize) -> Runtime {
    Runtime::Agent(AgentAddress { address: AGENTS[index].address().to_string(), server_name: None })
}

fn on_board(dla_core: Option<u32>) -> Runtime {
    Runtime::Tensorrt(TensorrtUnit { dla_core, gpu_fallback: dla_core.is_some(), precision: Precision::Fp16 })
}

/// All kinds of runtimes that are there, alone and mixed. Says which are not, even where output is captured.
#[allow(clippy::explicit_write, reason = "tests do not show what `eprintln` prints")]
static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let kind = |name, runtimes, is_slow| Kind { name, runtimes, library: Library::Rten, is_slow };
    let cores = || [core(0, 1.0), core(1, 1.5)];
    let mut kinds = vec![
        kind("a mock", [Runtime::Mock, Runtime::Mock], false),
        kind("rten", cores(), false),
        kind("agents", [on_agent(0), on_agent(1)], false),
        kind("cores and an agent", [core(0, 1.0), on_agent(0)], false),
        kind("an agent and a mock", [on_agent(1), Runtime::Mock], false),
        kind("a stand-in of TensorRT", [on_board(None), on_board(Some(0))], true),
        kind("cores and a stand-in of TensorRT", [core(0, 1.0), on_board(None)], true),
    ];
    let skip = |what: &str, reason: &str| writeln!(std::io::stderr(), "skipped: conformance of {what}: {reason}");
    match onnx_runtime() {
        Ok(library) => kinds.push(Kind { name: "ONNX Runtime", runtimes: cores(), library, is_slow: false }),
        Err(reason) => skip("ONNX Runtime", &reason).unwrap(),
    }
    skip("TensorRT", "its stand-in is tested; trtexec itself is looked for by `trtexec_itself_times_a_network`")
        .unwrap();
    kinds
});

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

/// Runs `plan` twice on every kind of runtime: timelines obey it, and outputs, where there are such, are a single
/// device's.
fn check_everywhere(name: &str, problem: &Problem, plan: &CheckedPlan, is_patient: bool) {
    for kind in KINDS.iter().filter(|kind| is_patient || !kind.is_slow) {
        let name = format!("{name} on {}", kind.name);
        let settings = Settings { library: kind.library.clone(), ..settings() };
        let hardware = start(problem, &kind.runtimes, Weights::Seeded(7), &settings);
        let used: Vec<Timing> = plan
            .lanes
            .iter()
            .flat_map(|lane| ends(problem, lane))
            .map(|device| hardware.driver(device).unwrap().timing())
            .collect();
        let opened = rounds(&name, problem, plan, &hardware);
        let expected = used.contains(&Timing::Alone);
        assert_eq!(opened.is_assembled(), expected, "{name}");
        let difference = opened.difference(plan, problem.models.len() as u32, SAMPLES).unwrap();
        match used.iter().all(|timing| *timing == Timing::Measured) {
            true => assert!(difference.unwrap() <= 1e-4, "{name}: {difference:?}"),
            false => assert_eq!(difference, None, "{name}: what computes nothing has no outputs"),
        }
    }
}

/// The devices that have to do with a lane.
fn ends(problem: &Problem, lane: &Lane) -> Vec<DeviceId> {
    match *lane {
        Lane::Compute { device, .. } => vec![device],
        Lane::Link(link) => vec![problem.platform.link(link).from, problem.platform.link(link).to],
    }
}

/// `plan` after two rounds on `hardware`.
fn rounds(name: &str, problem: &Problem, plan: &CheckedPlan, hardware: &Hardware) -> Opened {
    let estimates = estimates(problem, plan).unwrap();
    let times: Vec<Duration> = estimates.iter().map(|estimate| estimate.time).collect();
    let mut opened = hardware.open(plan, &times, Inputs::AtHome).unwrap();
    for _ in 0..2 {
        let round = opened.round(problem, plan, &estimates, &LIMITS).unwrap();
        assert!(round.timeline.obeys(plan, &problem.platform), "{name}");
        assert_eq!(round.timeline.origin == Origin::Assembled, opened.is_assembled(), "{name}");
    }
    opened
}

#[test]
fn every_device_says_what_it_is() {
    let problem = problem(1, None);
    for kind in KINDS.iter() {
        let settings = Settings { library: kind.library.clone(), ..settings() };
        let hardware = start(&problem, &kind.runtimes, Weights::Seeded(7), &settings);
        hardware.synchronise().unwrap();
        for (info, runtime) in hardware.devices().into_iter().flatten().zip(&kind.runtimes) {
            let is_real = matches!(runtime, Runtime::Cores(_) | Runtime::Agent(_));
            assert_eq!(info.is_real, is_real, "{}: {info:?}", kind.name);
            assert!(!info.hardware.is_empty() && !info.software.is_empty(), "{}: {info:?}", kind.name);
            assert_eq!(info.board.is_some(), runtime.agent().is_some(), "{}: {info:?}", kind.name);
            assert_eq!(info.standin.is_some(), runtime.tensorrt().is_some(), "{}: {info:?}", kind.name);
            let recorded = runtime.recorded().unwrap_or_else(|| info.unit.clone());
            assert_eq!(info.unit, recorded, "{}: traces record the same before and after", kind.name);
        }
    }
}

/// Cores, an agent and a GPU, each joined to each, on which every sample takes a device as long as its step costs.
fn three() -> (Problem, CheckedPlan) {
    let device = |name: &str| (Device::new(name, DeviceKind::Igpu), Bytes(1 << 20));
    let link = |name: &str, from, to| Link::new(name, (from, to), Direction::EitherWay, BytesPerSec::new(1e9).unwrap());
    let [cores, agent, gpu] = [0, 1, 2].map(DeviceId);
    let platform = Platform {
        links: vec![link("to agent", cores, agent), link("to gpu", cores, gpu), link("across", agent, gpu)],
        ..Platform::new(["cores", "agent", "gpu"].map(device))
    };
    let models = vec![Model { graph: graph("net", 4), home: Some(cores) }];
    let problem = Problem::new(models, platform, Load::Offline { samples: SAMPLES }, PerRow([2, 3, 1]));
    let mut plan = Plan::default();
    let mut lane = |device| plan.lane(Lane::Compute { device, share: Share::FULL, memory: Bytes(1 << 20) });
    let [on_cores, on_agent, on_gpu] = [lane(cores), lane(agent), lane(gpu)];
    let [to_agent, to_gpu, across] = [0, 1, 2].map(|link| plan.lane(Lane::Link(LinkId(link))));
    let work = |layers: [u32; 2], samples: Range<u32>, rows: u32| {
        let segment = Segment::range(LayerId(layers[0]), LayerId(layers[1]));
        Action::Compute(Work { model: MODEL, segment, region: Region { samples, rows: 0..rows } })
    };
    let copy = |to, layer, samples: Range<u32>, rows: u32| Action::Transfer {
        model: MODEL,
        layer: LayerId(layer),
        region: Region { samples, rows: 0..rows },
        to,
    };
    // One sample stays, one is the agent's, and the GPU begins two, of which the agent ends one.
    plan.step(on_cores, work([1, DENSE], 0..1, 1), &[]);
    let sent = plan.step(to_agent, copy(agent, 0, 1..2, ROWS), &[]);
    let done = plan.step(on_agent, work([1, DENSE], 1..2, 1), &[sent]);
    plan.step(to_agent, copy(cores, DENSE, 1..2, 1), &[done]);
    let sent = plan.step(to_gpu, copy(gpu, 0, 2..4, ROWS), &[]);
    let front = plan.step(on_gpu, work([1, POOL], 2..4, ROWS / 2), &[sent]);
    let back = plan.step(on_gpu, work([8, DENSE], 2..3, 1), &[front]);
    plan.step(to_gpu, copy(cores, DENSE, 2..3, 1), &[back]);
    let passed = plan.step(across, copy(agent, POOL, 3..4, ROWS / 2), &[front]);
    let ended = plan.step(on_agent, work([8, DENSE], 3..4, 1), &[passed]);
    plan.step(to_agent, copy(cores, DENSE, 3..4, 1), &[ended]);
    let plan = check(plan, &problem).unwrap_or_else(|found| panic!("{found:?}"));
    (problem, plan)
}

#[test]
fn one_plan_runs_on_cores_an_agent_and_tensorrt_at_once() {
    let (problem, plan) = three();
    let hardware = start(&problem, &[core(0, 1.0), on_agent(0), on_board(None)], Weights::Seeded(7), &settings());
    let estimates = estimates(&problem, &plan).unwrap();
    let times: Vec<Duration> = estimates.iter().map(|estimate| estimate.time).collect();
    let mut opened = hardware.open(&plan, &times, Inputs::AtHome).unwrap();
    let round = opened.round(&problem, &plan, &estimates, &LIMITS).unwrap();
    assert!(round.timeline.obeys(&plan, &problem.platform) && round.timeline.origin == Origin::Assembled);
    for step in plan.step_ids() {
        let (index, span) = (step.0 as usize, round.timeline.span(step).duration());
        let Some(lane) = plan.step_at(step).lane else { continue };
        match ends(&problem, plan.lane_at(lane)).as_slice() {
            // What trtexec says, and not how long its processes took.
            [DeviceId(2)] => assert_eq!(span, round.busy[index]),
            [_] => assert!(span >= round.busy[index] && round.busy[index] > Duration::ZERO, "step {index}"),
            ends if ends.contains(&DeviceId(2)) => assert_eq!(span, times[index], "as predicted: nothing was moved"),
            _ => assert!(span > Duration::ZERO, "step {index}"),
        }
    }
    assert_eq!(opened.difference(&plan, 1, SAMPLES).unwrap(), None, "TensorRT gives no outputs");
}

#[test]
fn one_plan_runs_on_cores_an_agent_and_what_is_not_there() {
    let (problem, plan) = three();
    let hardware = start(&problem, &[core(0, 1.0), on_agent(0), Runtime::Mock], Weights::Seeded(7), &settings());
    let opened = rounds("a mock among others", &problem, &plan, &hardware);
    assert!(!opened.is_assembled(), "a mock takes its time by the clock");
    let hardware = start(&problem, &[core(0, 1.0), on_agent(0), core(1, 1.0)], Weights::Seeded(7), &settings());
    let opened = rounds("all that computes", &problem, &plan, &hardware);
    assert!(opened.difference(&plan, 1, SAMPLES).unwrap().unwrap() <= 1e-4);
    let hardware = start(&problem, &[core(0, 1.0), on_agent(0)], Weights::Seeded(7), &settings());
    let nothing = vec![Duration::ZERO; plan.steps.len()];
    let error = hardware.open(&plan, &nothing, Inputs::AtHome).map(drop).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`gpu` does not say what runs it; write for example `runtime = { cpu = { cores = \"0\" } }`"
    );
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
                check_everywhere(&name, &problem, &plan, false);
                plans.push(plan);
            }
        }
        assert!(plans.len() > 2, "strategies differ");
    }
}

/// A home and three boards with links between every two of them, for strategies that share rows.
fn boards(graph: Graph) -> Problem {
    let names = ["home", "fast", "slow", "slower"];
    let device = |name| (Device { runtime: core(0, 1.0), ..Device::new(name, DeviceKind::Board) }, Bytes(1 << 30));
    let ids = || (0..names.len() as u32).map(DeviceId);
    let pairs = ids().flat_map(|from| ids().filter(move |&to| to != from).map(move |to| (from, to)));
    let link = |ends: (DeviceId, DeviceId)| {
        Link::new(format!("{}>{}", ends.0.0, ends.1.0), ends, Direction::OneWay, BytesPerSec::new(1e8).unwrap())
    };
    let platform = Platform { links: pairs.map(link).collect(), ..Platform::new(names.map(device)) };
    let rate = |device: DeviceId| [1e9, 9e9, 4e9, 2e9][device.0 as usize];
    let speed = |device| Speed {
        rate: MacsPerSec::new(rate(device)).unwrap(),
        step: Duration::ZERO,
        row_tile: 1,
        units: 1,
        unit_tile: 1,
    };
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
        let hardware =
            Hardware::start(&problem.platform, networks(&problem, Weights::Seeded(7), 2), &settings()).unwrap();
        // The largest takes seconds for each.
        let of_network = if network == "resnet-18" { &strategies[1..3] } else { &strategies[..] };
        for (name, strategy) in of_network {
            let plan = strategy.plan(&problem).unwrap();
            let plan = check(plan, &problem).unwrap_or_else(|found| panic!("{name} of {network}: {found:?}"));
            let mut opened = hardware.open(&plan, &vec![Duration::ZERO; plan.steps.len()], Inputs::AtHome).unwrap();
            assert!(opened.measured(&plan, &LIMITS).unwrap().timeline.obeys(&plan, &problem.platform));
            let difference = opened.difference(&plan, 1, 2).unwrap().unwrap();
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
        check_everywhere(name, problem, &plan, true);
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
    let hardware = start(&moved, &[core(0, 1.0), core(1, 1.5)], Weights::Seeded(7), &settings());
    let mut opened = hardware.open(&plan, &[Duration::ZERO], Inputs::AtHome).unwrap();
    let error = opened.measured(&plan, &LIMITS).unwrap_err();
    assert_eq!(error.to_string(), "step 0 failed: its input samples 0..4, rows 0..12 is not there");
    assert_eq!(
        opened.difference(&plan, 1, SAMPLES).unwrap_err().to_string(),
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
    let hardware = start(&problem, &[core(0, 1.0), core(1, 1.5)], given, &settings());
    let opened = rounds("poisoned", &problem, &plan, &hardware);
    assert!(opened.difference(&plan, 1, SAMPLES).unwrap().unwrap().is_nan());
}

#[test]
fn a_machine_without_the_cores_or_the_memory_is_told_before_anything_runs() {
    let problem = problem(1, None);
    let mut absent = problem.platform.clone();
    absent.devices[0].runtime = Runtime::Cores(Cores { cores: vec![1023], threads: 1, slowed: 1.0 });
    let networks = networks(&problem, Weights::Seeded(0), 1);
    let message = Hardware::start(&absent, networks, &settings()).map(drop).unwrap_err().to_string();
    assert!(message.starts_with("cpu is not available: there is no core 1023 for this program; there are ["));
    let wide = Graph::new(
        "wide",
        vec![
            Layer { name: "input".into(), op: Op::Input(Shape::fp32(1 << 10, 1 << 10, 1 << 10)), inputs: vec![] },
            Layer { name: "copy".into(), op: Op::Dropout, inputs: vec![LayerId(0)] },
        ],
    );
    let network = |graph: Graph| Network { graph, weights: Arc::new(Weights::Seeded(0)), home: None };
    let wide = wide.unwrap();
    let large = Networks::new(vec![network(wide.clone())], u32::MAX, 0).unwrap();
    let mut platform = problem.platform.clone();
    platform.devices[0].runtime = core(0, 1.0);
    let mut plan = Plan::default();
    let lane = plan.lane(Lane::Compute { device: FIRST, share: Share::FULL, memory: Bytes(1 << 40) });
    let segment = wide.whole().unwrap();
    let region = Region { samples: 0..1, rows: 0..1 << 10 };
    plan.step(lane, Action::Compute(Work { model: MODEL, segment, region }), &[]);
    platform.memories[0].capacity = Some(Bytes(1 << 40));
    let models = vec![Model { graph: wide, home: None }];
    let wide = Problem::new(models, platform.clone(), Load::Offline { samples: 1 }, PerRow([1, 1, 1]));
    let plan = check(plan, &wide).unwrap();
    let hardware = Hardware::start(&platform, large, &settings()).unwrap();
    let message = hardware.open(&plan, &[Duration::ZERO], Inputs::AtHome).map(drop).unwrap_err().to_string();
    assert!(
        message.starts_with("cpu cannot run this plan: inputs and outputs of 4294967295 samples are "),
        "{message}"
    );
    assert!(message.ends_with("; use fewer samples"), "{message}");
    let opaque = Graph::opaque("sizes", 4, 4, Bytes(4), Bytes(4)).unwrap();
    assert_eq!(
        Networks::new(vec![network(opaque)], 1, 0).map(drop).unwrap_err().to_string(),
        "cpu cannot run this plan: sizes is known by its sizes only; give its layers by `zoo` or `onnx`"
    );
}

#[test]
fn the_speed_of_devices_is_that_of_those_that_can_run_the_network() {
    let mut problem = problem(1, Some(FIRST));
    let hardware = start(&problem, &[core(0, 1.0), core(1, 1.5)], Weights::Seeded(7), &settings());
    let speeds = |problem: &Problem| {
        let mut probe = SpeedProbe::new(problem, &hardware).unwrap().expect("cores have a speed");
        probe.measure(&LIMITS).unwrap()
    };
    let both = speeds(&problem);
    assert!(both.len() == 2 && both.iter().all(|speed| speed.is_finite() && *speed > 0.0), "{both:?}");
    problem.platform.memories[1].capacity = Some(Bytes(1));
    assert_eq!(speeds(&problem)[1], 1.0, "nothing can be said of a device that cannot run it");
    assert!(SpeedProbe::new(&problem, &Hardware::mock(&problem.platform)).unwrap().is_none());
}
