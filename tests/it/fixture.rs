//! A small problem with everything that plans can get wrong, and plans of the five strategies' shapes on it.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
use coinfer::model::{Conv, Graph, Layer, LayerId, ModelId, Op, OpKind, Region, Segment, Shape, Work};
use coinfer::plan::{Action, Lane, Plan};
use coinfer::platform::{Device, DeviceId, DeviceKind, Direction, Link, LinkId, Platform, Precision, Slowdown};
use coinfer::problem::{Load, Model, Problem};
use coinfer::replay::Settings;
use coinfer::replay::cpu::Library;
use coinfer::replay::tensorrt::{self, Patience};
use coinfer::replay::wire::Credentials;
use coinfer::units::{Bytes, BytesPerSec, Duration, Share};
use tempfile::TempDir;

pub(crate) const MODEL: ModelId = ModelId(0);
pub(crate) const CPU: DeviceId = DeviceId(0);
pub(crate) const GPU: DeviceId = DeviceId(1);
pub(crate) const DLA: DeviceId = DeviceId(2);
pub(crate) const CPU_TO_GPU: LinkId = LinkId(0);
pub(crate) const GPU_TO_CPU: LinkId = LinkId(1);
pub(crate) const GPU_DLA: LinkId = LinkId(2);
pub(crate) const ROWS: u32 = 8;

/// With what devices are driven: rten, no TLS, and the stand-in of trtexec with engines in a folder that lasts as long as
/// all tests.
pub(crate) fn settings() -> Settings {
    static ENGINES: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    static GO_ON: AtomicBool = AtomicBool::new(false);
    Settings {
        library: Library::Rten,
        credentials: Credentials::default(),
        tensorrt: tensorrt::Settings {
            program: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standins/trtexec")),
            engines: Some(ENGINES.path().to_owned()),
            patience: Patience { limit: Duration::from_nanos(600_000_000_000), interrupted: &GO_ON },
        },
    }
}

/// A device takes so many microseconds for each layer, sample and row.
pub(crate) struct PerRow(pub(crate) [u64; 3]);

impl CostModel for PerRow {
    fn compute(&self, device: DeviceId, share: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let cells = work.region.samples.len() as u64 * work.region.rows.len() as u64;
        let nanos = self.0[device.0 as usize] * 1000 * cells * work.segment.layers().count() as u64;
        let nanos = nanos * 10_000 / u64::from(share.basis_points());
        Ok(Estimate { time: Duration::from_nanos(nanos), basis: Basis::Modelled })
    }
    fn transfer(&self, _: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: Duration::from_nanos(size.0), basis: Basis::Modelled })
    }
}

/// input -> conv1 -> conv2 -> sum(conv1, conv2) -> dense: a chain with one branch.
pub(crate) fn graph() -> Graph {
    let conv = || Op::Conv(Conv::square(1, 3).pad(1));
    let layer = |name: &str, op, inputs: &[u32]| Layer {
        name: name.into(),
        op,
        inputs: inputs.iter().copied().map(LayerId).collect(),
    };
    let layers = vec![
        layer("input", Op::Input(Shape::fp32(1, ROWS, 2)), &[]),
        layer("conv1", conv(), &[0]),
        layer("conv2", conv(), &[1]),
        layer("sum", Op::Add, &[1, 2]),
        layer("dense", Op::Dense { units: 2, bias: false }, &[3]),
    ];
    Graph::new("net", layers).unwrap()
}

/// A CPU, a GPU and a DLA without dense layers; CPU and GPU by a full-duplex link, GPU and DLA by a half-duplex one.
pub(crate) fn problem(samples: u32, home: Option<DeviceId>) -> Problem {
    let device = |(name, kind): (&str, DeviceKind)| {
        let device = Device {
            precision: if kind == DeviceKind::Dla { Precision::Fp16 } else { Precision::Fp32 },
            unsupported: if kind == DeviceKind::Dla { BTreeSet::from([OpKind::Dense]) } else { BTreeSet::new() },
            ..Device::new(name, kind)
        };
        (device, Bytes(10_000))
    };
    let link = |(name, from, to, direction): (&str, DeviceId, DeviceId, Direction)| {
        Link::new(name, (from, to), direction, BytesPerSec::new(1e9).unwrap())
    };
    let platform = Platform {
        links: [
            ("up", CPU, GPU, Direction::OneWay),
            ("down", GPU, CPU, Direction::OneWay),
            ("side", GPU, DLA, Direction::EitherWay),
        ]
        .map(link)
        .into(),
        ..Platform::new([("cpu", DeviceKind::Cpu), ("gpu", DeviceKind::Gpu), ("dla", DeviceKind::Dla)].map(device))
    };
    let models = vec![Model { graph: graph(), home }];
    Problem::new(models, platform, Load::Offline { samples }, PerRow([8, 1, 2]))
}

pub(crate) fn with_contention(mut problem: Problem, slowdowns: &[(DeviceId, DeviceId, u32)]) -> Problem {
    let slowdown = |&(device, busy, excess_ppm): &_| Slowdown { device, busy, excess_ppm };
    problem.platform.interference.slowdowns = slowdowns.iter().map(slowdown).collect();
    problem.contention = true;
    problem
}

pub(crate) fn lane(device: DeviceId) -> Lane {
    Lane::Compute { device, share: Share::FULL, memory: Bytes(5_000) }
}

pub(crate) fn compute(layers: RangeInclusive<u32>, samples: Range<u32>, rows: Range<u32>) -> Action {
    let segment = Segment::range(LayerId(*layers.start()), LayerId(*layers.end()));
    Action::Compute(Work { model: MODEL, segment, region: Region { samples, rows } })
}

pub(crate) fn transfer(layer: u32, samples: Range<u32>, rows: Range<u32>, to: DeviceId) -> Action {
    Action::Transfer { model: MODEL, layer: LayerId(layer), region: Region { samples, rows }, to }
}

/// Each device runs the whole network on its own samples; the home's inputs and outputs travel.
pub(crate) fn batch_split(samples: u32, on_cpu: u32) -> Plan {
    let mut plan = Plan::default();
    let (cpu, gpu) = (plan.lane(lane(CPU)), plan.lane(lane(GPU)));
    let (up, down) = (plan.lane(Lane::Link(CPU_TO_GPU)), plan.lane(Lane::Link(GPU_TO_CPU)));
    let mut ends = vec![];
    if on_cpu > 0 {
        ends.push(plan.step(cpu, compute(1..=4, 0..on_cpu, 0..1), &[]));
    }
    if on_cpu < samples {
        let sent = plan.step(up, transfer(0, on_cpu..samples, 0..ROWS, GPU), &[]);
        let computed = plan.step(gpu, compute(1..=4, on_cpu..samples, 0..1), &[sent]);
        ends.push(plan.step(down, transfer(4, on_cpu..samples, 0..1, CPU), &[computed]));
    }
    plan.join(&ends);
    plan
}

/// Fused layers 1 to 3 split by rows over CPU and GPU with a halo of two rows; the rest on the CPU.
pub(crate) fn fused_row_split(samples: u32, cut: u32) -> Plan {
    let mut plan = Plan::default();
    let (cpu, gpu) = (plan.lane(lane(CPU)), plan.lane(lane(GPU)));
    let (up, down) = (plan.lane(Lane::Link(CPU_TO_GPU)), plan.lane(Lane::Link(GPU_TO_CPU)));
    let sent = plan.step(up, transfer(0, 0..samples, cut.saturating_sub(2)..ROWS, GPU), &[]);
    plan.step(cpu, compute(1..=3, 0..samples, 0..cut), &[]);
    let bottom = plan.step(gpu, compute(1..=3, 0..samples, cut..ROWS), &[sent]);
    let back = plan.step(down, transfer(3, 0..samples, cut..ROWS, CPU), &[bottom]);
    plan.step(cpu, compute(4..=4, 0..samples, 0..1), &[back]);
    plan
}

/// Layers 1 to 3 on GPU and DLA for their own samples, then the dense layer on the GPU for all.
pub(crate) fn front_and_tail(samples: u32, on_gpu: u32) -> Plan {
    let mut plan = Plan::default();
    let (gpu, dla) = (plan.lane(lane(GPU)), plan.lane(lane(DLA)));
    let side = plan.lane(Lane::Link(GPU_DLA));
    plan.step(gpu, compute(1..=3, 0..on_gpu, 0..ROWS), &[]);
    let front = plan.step(dla, compute(1..=3, on_gpu..samples, 0..ROWS), &[]);
    let moved = plan.step(side, transfer(3, on_gpu..samples, 0..ROWS, GPU), &[front]);
    plan.step(gpu, compute(4..=4, 0..samples, 0..1), &[moved]);
    plan
}

/// Two lanes that hold parts of the GPU; one runs layer 1 in small batches, the other the rest.
pub(crate) fn shares(samples: u32) -> Plan {
    let mut plan = Plan::default();
    let part =
        |points| Lane::Compute { device: GPU, share: Share::from_basis_points(points).unwrap(), memory: Bytes(4_000) };
    let (a, b) = (plan.lane(part(6_000)), plan.lane(part(4_000)));
    for sample in 0..samples {
        let first = plan.step(a, compute(1..=1, sample..sample + 1, 0..ROWS), &[]);
        plan.step(b, compute(2..=4, sample..sample + 1, 0..1), &[first]);
    }
    plan
}

/// A pipeline over slots that joins close: layers 1 to 3 on the CPU, the dense layer of the sample before on the GPU.
pub(crate) fn pipeline(samples: u32) -> Plan {
    let mut plan = Plan::default();
    let (cpu, gpu) = (plan.lane(lane(CPU)), plan.lane(lane(GPU)));
    let up = plan.lane(Lane::Link(CPU_TO_GPU));
    let mut slot = plan.join(&[]);
    let mut moved = None;
    for sample in 0..=samples {
        let mut ends = vec![];
        if let Some(moved) = moved {
            ends.push(plan.step(gpu, compute(4..=4, sample - 1..sample, 0..1), &[slot, moved]));
        }
        moved = (sample < samples).then(|| {
            let front = plan.step(cpu, compute(1..=3, sample..sample + 1, 0..ROWS), &[slot]);
            plan.step(up, transfer(3, sample..sample + 1, 0..ROWS, GPU), &[front])
        });
        ends.extend(moved);
        slot = plan.join(&ends);
    }
    plan
}
