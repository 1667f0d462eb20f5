//! Networks in a memory that may be too small for them: what the scheduler makes of it, beside all that could be made.

use std::num::NonZeroU32;

use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
use coinfer::engine::simulate;
use coinfer::model::{Graph, Layer, LayerId, ModelId, Op, Segment, Shape, Work};
use coinfer::plan::{Builder, CheckedPlan, Plan, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, LinkId, Paging, Platform};
use coinfer::problem::{Load, Model, Problem};
use coinfer::strategy::bound::lower_bound;
use coinfer::strategy::{BatchScheduler, Concurrency, LoopOrder, MicroBatchedSingle, Partitioned, Single, Strategy};
use coinfer::units::{Bytes, Duration, Share};

const GPU: DeviceId = DeviceId(0);
const MIB: u64 = 1 << 20;

/// A launch of 10 us, and what a layer takes of a sample on the whole device; a part of it takes longer, but no launch does.
#[derive(Debug)]
struct Times(Vec<Vec<u64>>);

impl CostModel for Times {
    fn compute(&self, _: DeviceId, share: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let of_layer = |layer: LayerId| self.0[work.model.0 as usize][layer.0 as usize - 1];
        let nanos: u64 = work.segment.layers().map(of_layer).sum();
        let whole = nanos as f64 * work.region.samples.len() as f64;
        // Four fifths of it go as fast as there are units.
        let part = f64::from(share.basis_points()) / 1e4;
        let time = Duration::from_nanos_f64(10_000.0 + whole * (0.2 + 0.8 / part));
        Ok(Estimate { time, basis: Basis::Modelled })
    }
    fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: Duration::ZERO, basis: Basis::Modelled })
    }
}

/// Of a layer: bytes of weights, bytes of its output, and nanoseconds of a sample.
type LayerCase = (u64, u32, u64);

fn problem(networks: &[Vec<LayerCase>], memory: u64, samples: u32) -> Problem {
    let network = |(index, layers): (usize, &Vec<LayerCase>)| {
        let shape = |bytes: u32| Shape::fp32(1, 1, bytes.div_ceil(4));
        let mut all = vec![Layer { name: "input".into(), op: Op::Input(shape(4)), inputs: vec![] }];
        let mut before = 4;
        for (place, &(weights, output, _)) in layers.iter().enumerate() {
            let activations = Bytes(u64::from(before + output));
            let op = Op::Opaque { output: shape(output), parameters: Bytes(weights), activations };
            all.push(Layer { name: format!("layer {place}"), op, inputs: vec![LayerId(place as u32)] });
            before = output;
        }
        Model { graph: Graph::new(format!("network {index}"), all).unwrap(), home: None }
    };
    let models = networks.iter().enumerate().map(network).collect();
    let mut platform = Platform::new([(Device { units: 4, ..Device::new("gpu", DeviceKind::Gpu) }, Bytes(memory))]);
    platform.memories[0].paging = Some(Paging { block: Bytes(MIB / 4), ..Paging::prefetching() });
    let times = networks.iter().map(|layers| layers.iter().map(|(.., nanos)| *nanos).collect()).collect();
    Problem::new(models, platform, Load::Offline { samples }, Times(times))
}

fn makespan(problem: &Problem, plan: Plan) -> Option<Duration> {
    let plan: CheckedPlan = check(plan, problem).ok()?;
    Some(simulate(problem, &plan).unwrap().makespan())
}

fn of(problem: &Problem, strategy: &impl Strategy) -> Option<Duration> {
    makespan(problem, strategy.plan(problem).ok()?)
}

/// How a network is computed: how many samples go through it together, and its steps with their batches.
type Way = (u32, Vec<(Segment, u32)>);

/// All groups of 1, 2 or 4 samples, each layer in batches of 1, 2 or 4 of them, or all layers as one.
fn ways(layers: u32, samples: u32) -> Vec<Way> {
    let sizes = |most: u32| [1, 2, 4].into_iter().filter(move |size| *size <= most);
    let mut ways = Vec::new();
    for group in sizes(samples) {
        let mut steps: Vec<Vec<(Segment, u32)>> = vec![Vec::new()];
        for layer in (1..=layers).map(LayerId) {
            let longer = |steps: Vec<(Segment, u32)>| {
                sizes(group).map(move |size| [steps.clone(), vec![(Segment::range(layer, layer), size)]].concat())
            };
            steps = steps.into_iter().flat_map(longer).collect();
        }
        ways.extend(steps.into_iter().map(|steps| (group, steps)));
        let whole = Segment::range(LayerId(1), LayerId(layers));
        ways.extend(sizes(group).map(|size| (group, vec![(whole.clone(), size)])));
    }
    ways
}

fn add(builder: &mut Builder<'_>, model: u32, (group, steps): &Way, samples: u32) {
    for first in (0..samples).step_by(*group as usize) {
        for (segment, batch) in steps {
            for start in (first..(first + group).min(samples)).step_by(*batch as usize) {
                let part = start..(start + batch).min(first + group).min(samples);
                builder.run(GPU, (ModelId(model), segment), part, &[]).unwrap();
            }
        }
    }
}

/// The least time of all ways of two networks: on all parts of the GPU, and in turn in both orders.
fn optimum(problem: &Problem, layers: u32, samples: u32) -> Option<Duration> {
    let mut least: Option<Duration> = None;
    for first in &ways(layers, samples) {
        for second in &ways(layers, samples) {
            for part in 0..5 {
                let mut builder = Builder::new(problem);
                match Share::of_units(part, 4).filter(|share| *share != Share::FULL) {
                    Some(share) => {
                        builder.part(GPU, share);
                        add(&mut builder, 0, first, samples);
                        builder.part(GPU, Share::of_units(4 - part, 4).unwrap());
                        add(&mut builder, 1, second, samples);
                    }
                    None => {
                        let [one, other] =
                            if part == 0 { [(0, first), (1, second)] } else { [(1, second), (0, first)] };
                        add(&mut builder, one.0, one.1, samples);
                        add(&mut builder, other.0, other.1, samples);
                    }
                }
                let time = makespan(problem, builder.finish());
                least = least.into_iter().chain(time).min();
            }
        }
    }
    least
}

/// Numbers that look as if they were drawn.
struct Drawn(u64);

impl Drawn {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

#[test]
fn the_scheduler_is_near_the_best_of_all_plans_of_small_cases() {
    let mut drawn = Drawn(16);
    let (samples, layers) = (4, 2);
    let mut gaps = Vec::new();
    while gaps.len() < 60 {
        let mut layer = || (MIB * drawn.below(9), (MIB / 4 * (1 + drawn.below(8))) as u32, 1000 * drawn.below(3000));
        let networks: Vec<Vec<LayerCase>> = (0..2).map(|_| (0..layers).map(|_| layer()).collect()).collect();
        let memory = MIB * (10 + drawn.below(40));
        let problem = problem(&networks, memory, samples);
        let Some(best) = optimum(&problem, layers, samples) else { continue };
        let found = of(&problem, &BatchScheduler::default()).expect("there is a plan");
        assert!(found >= best, "the optimum is over all that it looks at: {found} and {best}");
        assert!(lower_bound(&problem).is_none_or(|bound| bound <= best));
        gaps.push(found.as_secs_f64() / best.as_secs_f64() - 1.0);
    }
    gaps.sort_by(f64::total_cmp);
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let (p95, worst) = (gaps[gaps.len() * 95 / 100], gaps[gaps.len() - 1]);
    let equal = gaps.iter().filter(|gap| **gap < 1e-9).count();
    println!(
        "above the optimum: mean {:.2} %, 95th percentile {:.2} %, worst {:.2} %; {equal} of {} equal",
        mean * 100.0,
        p95 * 100.0,
        worst * 100.0,
        gaps.len()
    );
    assert!(mean < 0.02 && p95 < 0.1, "{gaps:?}");
}

/// Two networks like VGG-16 and ResNet-50, in layers of which the last has most of the weights.
fn two() -> Vec<Vec<LayerCase>> {
    let layer = |weights: u64, output: u32, micros: u64| (weights * MIB / 8, output * (MIB / 64) as u32, 1000 * micros);
    vec![
        vec![layer(4, 64, 40), layer(20, 32, 60), layer(60, 16, 50), layer(300, 1, 20)],
        vec![layer(8, 48, 30), layer(30, 24, 40), layer(60, 12, 40), layer(60, 1, 10)],
    ]
}

#[test]
fn small_batches_load_weights_again_and_large_ones_leave_no_room_for_them() {
    let times = |memory: u64| {
        let problem = problem(&two(), memory, 64);
        let of_batch = |batch: u32| {
            let batch = NonZeroU32::new(batch);
            let (order, lanes) = (LoopOrder::DepthFirst, Concurrency::InTurn);
            of(&problem, &BatchScheduler { order, batch, lanes, device: None })
                .map_or(f64::INFINITY, |time| time.as_millis_f64())
        };
        [1, 2, 4, 8, 16, 32, 64].map(of_batch)
    };
    let small = times(44 * MIB);
    let best = (0..7).min_by(|a, b| small[*a].total_cmp(&small[*b])).unwrap();
    assert!((1..6).contains(&best), "neither end is best: {small:?}");
    let ample = times(1 << 40);
    assert!(
        ample.windows(2).all(|pair| pair[0] >= pair[1]),
        "with all in memory, fewer launches are faster: {ample:?}"
    );
}

#[test]
fn a_loop_over_batches_has_its_cliff_at_the_sum_of_weights_and_none_before() {
    let networks = vec![two().remove(0)];
    let weights: u64 = networks[0].iter().map(|(weights, ..)| weights).sum();
    let one = NonZeroU32::MIN;
    let moved = |memory: u64| {
        let problem = problem(&networks, memory, 32);
        let plan = check(MicroBatchedSingle { batch: one, device: None }.plan(&problem).unwrap(), &problem).unwrap();
        let timeline = simulate(&problem, &plan).unwrap();
        timeline.faults.iter().map(|faults| faults.moved_in.0).sum::<u64>()
    };
    let room = 2 * MIB;
    assert_eq!(moved(weights + room), weights, "all are loaded once");
    assert_eq!(moved(4 * weights), weights);
    assert!(moved(weights - MIB) > 20 * weights, "they are loaded again for nearly every batch");
}

#[test]
fn the_gain_is_large_where_memory_is_small_and_small_where_it_is_large() {
    let gains: Vec<f64> = [48, 64, 96, 192, 1 << 20]
        .map(|mib| {
            let problem = problem(&two(), mib * MIB, 64);
            let scheduled = of(&problem, &BatchScheduler::default()).unwrap();
            let fifth = |batch| MicroBatchedSingle { batch: NonZeroU32::new(batch).unwrap(), device: None };
            let alone = [
                of(&problem, &Single::default()),
                of(&problem, &fifth(1)),
                of(&problem, &fifth(8)),
                of(&problem, &Partitioned::default()),
            ];
            let best = alone.into_iter().flatten().min().unwrap();
            best.as_secs_f64() / scheduled.as_secs_f64()
        })
        .to_vec();
    println!("gain over the best baseline: {gains:?}");
    assert!(gains.iter().all(|gain| *gain >= 0.999), "{gains:?}");
    assert!(gains[0] > 1.15 && gains[4] < 1.1, "{gains:?}");
}
