//! Agents: plans on several machines at once, who may ask them, what they refuse, and boards that are lost.

mod access;
mod asking;
mod lab;
mod link;
mod lost;
mod refusals;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use assert_cmd::cargo::CommandCargoExt;
use coinfer::model::{Conv, Graph, Layer, LayerId, ModelId, Op, Region, Segment, Shape, Weights, Work};
use coinfer::plan::{Action, CheckedPlan, Lane, LaneId, Plan, StepId, check};
use coinfer::platform::{
    AgentAddress, Cores, Device, DeviceId, DeviceKind, Direction, Link, LinkId, Platform, Runtime,
};
use coinfer::problem::{Load, Model, Problem};
use coinfer::replay::agent::{Access, Agent, Limits as AgentLimits, Settings as AgentSettings};
use coinfer::replay::cpu::Library;
use coinfer::replay::remote::Fleet;
use coinfer::replay::wire::Credentials;
use coinfer::replay::{BackendError, Hardware, Inputs, Limits, Network, Networks, Opened, Settings, available};
use coinfer::units::{Bytes, BytesPerSec, Duration, Share};

use crate::fixture::{PerRow, settings as settings_of_hardware};

const HOME: DeviceId = DeviceId(0);
const LEFT: DeviceId = DeviceId(1);
const RIGHT: DeviceId = DeviceId(2);
const MODEL: ModelId = ModelId(0);
const ROWS: u32 = 12;
const SAMPLES: u32 = 3;
const TOKEN: &str = "a token of these tests";

static GO_ON: AtomicBool = AtomicBool::new(false);
const LIMITS: Limits<'_> = Limits { deadline: Duration::from_nanos(60_000_000_000), interrupted: &GO_ON };

/// Two convolutions, so that halves of rows need a halo of each other, and a sum.
fn graph() -> Graph {
    let conv = || Op::Conv(Conv { bias: true, ..Conv::square(4, 3).pad(1) });
    let layers = [
        ("input", Op::Input(Shape::fp32(3, ROWS, 8)), &[][..]),
        ("first", conv(), &[0]),
        ("second", conv(), &[1]),
        ("sum", Op::Add, &[1, 2]),
    ];
    let layer = |(name, op, inputs): (&str, Op, &[u32])| Layer {
        name: name.into(),
        op,
        inputs: inputs.iter().copied().map(LayerId).collect(),
    };
    Graph::new("net", layers.into_iter().map(layer).collect()).unwrap()
}

/// A home and two boards, each joined to each.
fn problem(home: Option<DeviceId>) -> Problem {
    let device = |name: &str| (Device::new(name, DeviceKind::Board), Bytes(1 << 20));
    let link = |(name, from, to): (&str, _, _)| {
        Link::new(name, (from, to), Direction::EitherWay, BytesPerSec::new(1e9).unwrap())
    };
    let platform = Platform {
        links: [("to left", HOME, LEFT), ("to right", HOME, RIGHT), ("across", LEFT, RIGHT)].map(link).into(),
        ..Platform::new(["home", "left", "right"].map(device))
    };
    let models = vec![Model { graph: graph(), home }];
    Problem::new(models, platform, Load::Offline { samples: SAMPLES }, PerRow([1, 1, 1]))
}

fn unit(slowed: f64) -> Cores {
    Cores { cores: available().unwrap()[..1].into(), threads: 1, slowed }
}

fn settings() -> AgentSettings {
    AgentSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        unit: unit(1.0),
        network_cores: unit(1.0).cores,
        library: Library::Rten,
        delay: Duration::ZERO,
        limits: AgentLimits { session_memory: Bytes(64 << 20), memory: Bytes(128 << 20), ..AgentLimits::default() },
        access: Access::default(),
    }
}

fn start(access: &Access) -> Agent {
    Agent::start(&AgentSettings { access: access.clone(), ..settings() }).unwrap()
}

fn address(agent: &Agent) -> AgentAddress {
    AgentAddress { address: agent.address().to_string(), server_name: None }
}

/// The platform of `problem`, whose home is a core of this machine and whose others are these agents.
fn with_agents(problem: &Problem, agents: [AgentAddress; 2]) -> Platform {
    let mut platform = problem.platform.clone();
    let agents = agents.map(Runtime::Agent);
    let runtimes = std::iter::once(Runtime::Cores(unit(1.0))).chain(agents);
    platform.devices.iter_mut().zip(runtimes).for_each(|(device, runtime)| device.runtime = runtime);
    platform
}

/// The agents of the left and the right device.
fn fleet(problem: &Problem, boards: [&Agent; 2], credentials: &Credentials) -> Result<Arc<Fleet>, BackendError> {
    let platform = with_agents(problem, boards.map(address));
    Ok(Arc::new(Fleet::connect(&platform, credentials)?))
}

/// What runs the devices of `platform`, with a network of `problem`.
fn hardware(problem: &Problem, platform: &Platform, credentials: &Credentials) -> Hardware {
    let model = &problem.models[0];
    let network = Network { graph: model.graph.clone(), weights: Arc::new(Weights::Seeded(7)), home: model.home };
    let networks = Networks::new(vec![network], SAMPLES, 1).unwrap();
    let settings = Settings { credentials: credentials.clone(), ..settings_of_hardware() };
    Hardware::start(platform, networks, &settings).unwrap()
}

/// `plan`, open at home and on these agents.
fn open(problem: &Problem, plan: &CheckedPlan, boards: [&Agent; 2], credentials: &Credentials) -> Opened {
    let hardware = hardware(problem, &with_agents(problem, boards.map(address)), credentials);
    hardware.open(plan, &vec![Duration::ZERO; plan.steps.len()], Inputs::AtHome).unwrap()
}

/// A plan and its lanes.
#[derive(Default)]
struct Draft(Plan);

impl Draft {
    fn lane(&mut self, device: DeviceId) -> LaneId {
        self.0.lane(Lane::Compute { device, share: Share::FULL, memory: Bytes(1 << 20) })
    }

    fn compute(&mut self, lane: LaneId, layers: [u32; 2], rows: [u32; 2], after: &[StepId]) -> StepId {
        let segment = Segment::range(LayerId(layers[0]), LayerId(layers[1]));
        let region = Region { samples: 0..SAMPLES, rows: rows[0]..rows[1] };
        self.0.step(lane, Action::Compute(Work { model: MODEL, segment, region }), after)
    }

    fn copy(&mut self, lane: LaneId, to: DeviceId, layer: u32, rows: [u32; 2], after: &[StepId]) -> StepId {
        let region = Region { samples: 0..SAMPLES, rows: rows[0]..rows[1] };
        self.0.step(lane, Action::Transfer { model: MODEL, layer: LayerId(layer), region, to }, after)
    }

    fn check(self, problem: &Problem) -> CheckedPlan {
        check(self.0, problem).unwrap_or_else(|found| panic!("{found:?}"))
    }
}

/// The rows of both convolutions on the boards, which send each other what the other one needs, and the sum at home.
fn halos(problem: &Problem) -> CheckedPlan {
    let mut draft = Draft::default();
    let [home, left, right] = [HOME, LEFT, RIGHT].map(|device| draft.lane(device));
    let [to_left, to_right, across] = [0, 1, 2].map(|link| draft.0.lane(Lane::Link(LinkId(link))));
    let sent = draft.copy(to_left, LEFT, 0, [0, 7], &[]);
    let top = draft.compute(left, [1, 1], [0, 6], &[sent]);
    let sent = draft.copy(to_right, RIGHT, 0, [5, ROWS], &[]);
    let bottom = draft.compute(right, [1, 1], [6, ROWS], &[sent]);
    let down = draft.copy(across, RIGHT, 1, [5, 6], &[top]);
    let up = draft.copy(across, LEFT, 1, [6, 7], &[bottom]);
    let top_end = draft.compute(left, [2, 2], [0, 6], &[up]);
    let bottom_end = draft.compute(right, [2, 2], [6, ROWS], &[down]);
    let back = [
        draft.copy(to_left, HOME, 1, [0, 6], &[top]),
        draft.copy(to_left, HOME, 2, [0, 6], &[top_end]),
        draft.copy(to_right, HOME, 1, [6, ROWS], &[bottom]),
        draft.copy(to_right, HOME, 2, [6, ROWS], &[bottom_end]),
    ];
    draft.compute(home, [3, 3], [0, ROWS], &back);
    draft.check(problem)
}

/// Runs `halos` twice; outputs are those of a single device, and steps on boards say when they ran there.
fn check_halos(boards: [&Agent; 2], credentials: &Credentials) {
    let problem = problem(Some(HOME));
    let plan = halos(&problem);
    let mut opened = open(&problem, &plan, boards, credentials);
    for _ in 0..2 {
        let round = opened.measured(&plan, &LIMITS).unwrap();
        assert!(round.timeline.obeys(&plan, &problem.platform));
        for step in plan.step_ids() {
            let on_board = matches!(&plan.step_at(step).lane.map(|lane| plan.lane_at(lane)),
                Some(Lane::Compute { device, .. }) if *device != HOME);
            assert_eq!(round.there[step.0 as usize].is_some(), on_board, "step {}", step.0);
            if on_board {
                let busy = round.busy[step.0 as usize];
                assert!(busy > Duration::ZERO && round.duration(step) >= busy);
                assert!(round.duration(step) <= round.timeline.span(step).duration(), "the way there takes time too");
            }
        }
    }
    let difference = opened.difference(&plan, 1, SAMPLES).unwrap().unwrap();
    assert!(difference <= 1e-5, "{difference}");
}

#[test]
fn a_plan_over_two_agents_and_home_computes_what_a_single_device_does() {
    let (left, right) = (start(&Access::default()), start(&Access::default()));
    check_halos([&left, &right], &Credentials::default());
}

#[test]
fn slowed_agents_on_one_core_take_the_time_that_they_say() {
    let slowed = || Agent::start(&AgentSettings { unit: unit(50.0), ..settings() }).unwrap();
    check_halos([&slowed(), &slowed()], &Credentials::default());
}

#[test]
fn lanes_of_one_slowed_agent_take_turns() {
    let slowed = Agent::start(&AgentSettings { unit: unit(50.0), ..settings() }).unwrap();
    let (problem, right) = (problem(None), start(&Access::default()));
    let mut draft = Draft::default();
    let half = Share::from_basis_points(5_000).unwrap();
    let steps = [[0, 5], [5, ROWS]].map(|rows| {
        let lane = draft.0.lane(Lane::Compute { device: LEFT, share: half, memory: Bytes(1 << 19) });
        draft.compute(lane, [1, 3], rows, &[])
    });
    let plan = draft.check(&problem);
    let mut opened = open(&problem, &plan, [&slowed, &right], &Credentials::default());
    let round = opened.measured(&plan, &LIMITS).unwrap();
    let [one, other] = steps.map(|step| round.there[step.0 as usize].unwrap());
    assert!(one.end <= other.start || other.end <= one.start, "{one:?} {other:?}");
}

#[test]
fn outputs_that_stay_on_agents_are_compared_too() {
    let (left, right) = (start(&Access::default()), start(&Access::default()));
    let problem = problem(None);
    let mut draft = Draft::default();
    let [top, bottom] = [LEFT, RIGHT].map(|device| draft.lane(device));
    draft.compute(top, [1, 3], [0, 5], &[]);
    draft.compute(bottom, [1, 3], [5, ROWS], &[]);
    let plan = draft.check(&problem);
    let mut opened = open(&problem, &plan, [&left, &right], &Credentials::default());
    opened.measured(&plan, &LIMITS).unwrap();
    let difference = opened.difference(&plan, 1, SAMPLES).unwrap().unwrap();
    assert!(difference <= 1e-5, "{difference}");
}

/// An agent in a process of its own, in a folder that has what it says.
struct Process {
    child: Child,
    address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Process {
    fn start(options: &[&str]) -> Process {
        let folder = tempfile::tempdir().unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let core = available().unwrap()[0].to_string();
        let mut command = std::process::Command::cargo_bin("coinfer").unwrap();
        command.args(["agent", "--listen", "127.0.0.1:0", "--cores", &core]).args(options);
        let command = command.env_remove("ORT_DYLIB_PATH").stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).parse().unwrap();
        Process { child, address, folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have been killed already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Waits until `is_so`, a minute at most.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("{what} did not come");
}
