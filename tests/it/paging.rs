//! Memories that hold less than what is used: what passes over it take, beside what others measured.

use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
use coinfer::engine::simulate;
use coinfer::model::{Graph, Layer, LayerId, ModelId, Op, Region, Segment, Shape, Work};
use coinfer::plan::{Action, CheckedPlan, Lane, Plan, Violation, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, LinkId, Paging, Platform};
use coinfer::problem::{Load, Model, Problem};
use coinfer::timeline::Timeline;
use coinfer::units::{Bytes, BytesPerSec, Duration, Share};

/// A microsecond for each step, whatever it computes.
struct Fast;

impl CostModel for Fast {
    fn compute(&self, _: DeviceId, _: Share, _: &Work) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: MICROSECOND, basis: Basis::Modelled })
    }
    fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: MICROSECOND, basis: Basis::Modelled })
    }
}

const MICROSECOND: Duration = Duration::from_nanos(1000);
const GIB: u64 = 1 << 30;
const GPU: DeviceId = DeviceId(0);

/// PCIe 5.0 x16: 43 to 51 GB/s in and out, one after the other, and nothing else.
fn pcie_5() -> Paging {
    Paging {
        overhead: Duration::ZERO,
        bandwidth: BytesPerSec::new(47e9).unwrap(),
        eviction: Duration::from_nanos_f64((2 << 20) as f64 / 47.0),
        ..Paging::prefetching()
    }
}

/// Networks that read all their weights, of so many bytes each, in 64 layers.
fn problem(weights: &[u64], memory: u64, paging: Paging) -> Problem {
    let shape = Shape::fp32(1, 1, 1);
    let layer = |index: u32, parameters: u64| {
        let op = Op::Opaque { output: shape, parameters: Bytes(parameters), activations: Bytes(8) };
        Layer { name: format!("layer {index}"), op, inputs: vec![LayerId(index - 1)] }
    };
    let network = |(index, &bytes): (usize, &u64)| {
        let mut layers = vec![Layer { name: "input".into(), op: Op::Input(shape), inputs: vec![] }];
        layers.extend((1..=LAYERS).map(|index| layer(index, bytes / u64::from(LAYERS))));
        Model { graph: Graph::new(format!("network {index}"), layers).unwrap(), home: None }
    };
    let mut platform = Platform::new([(Device { units: 2, ..Device::new("gpu", DeviceKind::Gpu) }, Bytes(memory))]);
    platform.memories[0].paging = Some(paging);
    let models = weights.iter().enumerate().map(network).collect();
    Problem::new(models, platform, Load::Offline { samples: PASSES }, Fast)
}

const LAYERS: u32 = 64;
const PASSES: u32 = 4;

/// All networks pass over their weights again and again: on parts of the GPU at the same time, or one after the other.
fn passes(problem: &Problem, is_parallel: bool) -> CheckedPlan {
    let mut plan = Plan::default();
    let mut ends = Vec::new();
    for index in 0..problem.models.len() as u32 {
        let share = if is_parallel { Share::of_units(1, 2).unwrap() } else { Share::FULL };
        if is_parallel || index == 0 {
            plan.lanes.push(Lane::Compute { device: GPU, share, memory: Bytes(u64::MAX / 4) });
        }
        let lane = coinfer::plan::LaneId(plan.lanes.len() as u32 - 1);
        for pass in 0..PASSES {
            let region = Region { samples: pass..pass + 1, rows: 0..1 };
            for layer in (1..=LAYERS).map(LayerId) {
                let (segment, region) = (Segment::range(layer, layer), region.clone());
                let work = Work { model: ModelId(index), segment, region };
                ends.push(plan.step(lane, Action::Compute(work), &[]));
            }
        }
    }
    plan.join(&ends);
    check(plan, problem).unwrap()
}

fn run(problem: &Problem, is_parallel: bool) -> Timeline {
    simulate(problem, &passes(problem, is_parallel)).unwrap()
}

/// When the last passes of a network end, and what the last takes, in milliseconds.
fn ends(timeline: &Timeline, network: u32) -> [f64; 2] {
    let end = |pass: u32| timeline.spans[((network * PASSES + pass) * LAYERS) as usize - 1].end.since_start();
    [PASSES - 1, PASSES].map(|pass| end(pass).as_millis_f64())
}

fn last_pass(timeline: &Timeline, network: u32) -> f64 {
    let [before, last] = ends(timeline, network);
    last - before
}

/// What the last pass over so many bytes takes, in milliseconds.
fn steady(bytes: u64, memory: u64) -> f64 {
    let timeline = run(&problem(&[bytes], memory, pcie_5()), false);
    last_pass(&timeline, 0)
}

fn records(path: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    lines.map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

fn number(cell: &str) -> f64 {
    cell.parse().unwrap()
}

/// Allen and Ge, SC 2021.
#[test]
fn one_pass_over_what_is_not_there_takes_what_a_titan_v_took() {
    let rows = records("tests/data/uvm-titan-v.csv");
    let measured: Vec<(f64, f64)> = rows.iter().map(|row| (number(&row[0]) * 1024.0, number(&row[1]) * 1e3)).collect();
    let usual = Paging::on_demand();
    let time = |paging: &Paging, bytes: f64| paging.time(Bytes(bytes as u64), 0).as_nanos_f64();
    let mean_error = |paging: &Paging, rows: &[&(f64, f64)]| {
        let errors = rows.iter().map(|(bytes, nanos)| (time(paging, *bytes) / nanos - 1.0).abs());
        errors.sum::<f64>() / rows.len() as f64
    };
    let all: Vec<&(f64, f64)> = measured.iter().collect();
    let error = mean_error(&usual, &all);
    assert!(error < 0.08, "{error}");
    // Fitted to a half of the rows, `start` and `per_block` say the other half; what a batch and a byte take stays.
    for half in 0..2 {
        let (seen, left_out): (Vec<_>, Vec<_>) = measured.iter().enumerate().partition(|(index, _)| index % 2 == half);
        let (seen, left_out) = (values(seen), values(left_out));
        let with = |start: f64, per_block: f64| Paging {
            start: Duration::from_nanos_f64(start),
            per_block: Duration::from_nanos_f64(per_block),
            ..usual.clone()
        };
        // Least squares of relative errors: what one more of each adds to the time.
        let (mut products, mut sums) = ([[0.0; 2]; 2], [0.0; 2]);
        for (bytes, nanos) in &seen {
            let none = time(&with(0.0, 0.0), *bytes);
            let unit = [1e5, 1e4];
            let adds = [with(unit[0], 0.0), with(0.0, unit[1])].map(|paging| time(&paging, *bytes) - none);
            let adds = [adds[0] / unit[0] / nanos, adds[1] / unit[1] / nanos];
            for row in 0..2 {
                sums[row] += adds[row] * (1.0 - none / nanos);
                (0..2).for_each(|column| products[row][column] += adds[row] * adds[column]);
            }
        }
        let [[a, b], [_, d]] = products;
        let determinant = a * d - b * b;
        let fitted = with((d * sums[0] - b * sums[1]) / determinant, (a * sums[1] - b * sums[0]) / determinant);
        let error = mean_error(&fitted, &left_out);
        println!("half {half}: {fitted:?}, {:.1} % on the other half", error * 100.0);
        assert!(error < 0.1, "{error}");
    }
}

fn values<T>(numbered: Vec<(usize, T)>) -> Vec<T> {
    numbered.into_iter().map(|(_, value)| value).collect()
}

#[test]
fn passes_over_more_than_a_memory_bring_and_send_away_all_of_it() {
    let memory = 33_669_316_608;
    let time = |factor: f64| steady((factor * memory as f64) as u64, memory);
    for row in records("tests/data/uvm-rtx-5090.csv") {
        let model = steady(number(&row[2]) as u64, memory);
        println!("{} {} {}: {model:.3} ms, measured {} ({} to {})", row[0], row[1], row[2], row[3], row[4], row[5]);
    }
    // As in device memory below it: managed / device <= 1.02.
    let computed = MICROSECOND.as_millis_f64() * f64::from(LAYERS);
    assert!([0.5, 0.75].map(time).iter().all(|time| (time / computed - 1.0).abs() < 1e-9));
    for factor in [1.25, 1.5] {
        let rate = factor * memory as f64 / time(factor) / 1e6;
        assert!((20.0..36.0).contains(&rate), "{rate} GB/s at {factor} times the memory");
    }
    let ratio = time(1.5) / time(1.25);
    assert!((0.9..1.5).contains(&ratio), "{ratio}");
}

#[test]
fn two_tenants_cost_what_one_with_all_of_it_costs() {
    for summed in [1.2, 1.5, 2.0] {
        let bytes = (summed * GIB as f64) as u64;
        let pair = run(&problem(&[bytes / 2; 2], GIB, pcie_5()), true);
        let one = run(&problem(&[bytes], GIB, pcie_5()), false);
        let ratio = pair.makespan().as_secs_f64() / one.makespan().as_secs_f64();
        // Where a layer ends within a block, one tenant evicts a little more.
        assert!((0.995..1.25).contains(&ratio), "{ratio} at {summed} times the memory");
        let [first, second] = [0, 1].map(|tenant| ends(&pair, tenant)[1]);
        assert!((first / second - 1.0).abs() < 0.02, "both end together: {first} and {second}");
    }
    // One after the other, each fits once it is there: passes after the first do not wait.
    let bytes = (0.6 * GIB as f64) as u64;
    let [parallel, sequential] = [true, false].map(|is_parallel| {
        let timeline = run(&problem(&[bytes; 2], GIB, pcie_5()), is_parallel);
        last_pass(&timeline, 0).max(last_pass(&timeline, 1))
    });
    assert!(parallel / sequential > 5.0, "{parallel} and {sequential}");
}

#[test]
fn what_comes_in_lies_there_or_has_gone_out() {
    for (weights, memory) in [(vec![3 * GIB], 2 * GIB), (vec![GIB, GIB], GIB), (vec![GIB / 2], GIB)] {
        let timeline = run(&problem(&weights, memory, Paging::prefetching()), weights.len() > 1);
        let (moved_in, moved_out) = timeline
            .faults
            .iter()
            .fold((0, 0), |(all_in, all_out), faults| (all_in + faults.moved_in.0, all_out + faults.moved_out.0));
        let resident = weights.iter().sum::<u64>().min(memory);
        // Activations come and go; evicted blocks are whole, but for what is left of an object.
        assert!(
            moved_in - moved_out <= resident && moved_in - moved_out + GIB / 50 > resident,
            "{moved_in} {moved_out}"
        );
    }
}

#[test]
fn a_layer_that_a_memory_never_holds_is_refused() {
    let problem = problem(&[64 * GIB], GIB - 1, Paging::prefetching());
    let graph = &problem.models[0].graph;
    let mut plan = Plan::default();
    let lane = plan.lane(Lane::Compute { device: GPU, share: Share::FULL, memory: Bytes(u64::MAX / 4) });
    let region = Region { samples: 0..PASSES, rows: 0..1 };
    plan.step(lane, Action::Compute(Work { model: ModelId(0), segment: graph.whole().unwrap(), region }), &[]);
    let found = check(plan, &problem).unwrap_err();
    assert!(matches!(&found[..], [Violation::Overfull { weights: Bytes(GIB), .. }]), "{found:?}");
}
