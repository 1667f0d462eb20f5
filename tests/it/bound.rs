//! No plan is faster than the lower bound, whatever is known of times: of any strategy, and of none.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use coinfer::cost::{Curve, Lookup, Parts, Profile, Speed, Trace, TraceCosts};
use coinfer::engine::simulate;
use coinfer::model::{
    Activation, Conv, Graph, Layer, LayerId, ModelId, Op, Pooling, Region, Segment, Shape, Window, Work, unit_name,
    units,
};
use coinfer::plan::{Action, Lane, LaneId, Plan, StepId, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, Direction, Link, Platform, Precision};
use coinfer::problem::{Load, Model, Problem};
use coinfer::strategy::bound::lower_bound;
use coinfer::strategy::{LayerGroups, Legion, Modnn, Strategy};
use coinfer::units::{Bytes, BytesPerSec, Duration, MacsPerSec, Share};
use proptest::prelude::*;

use crate::strategies::strategies;

/// Choices that follow from a seed (splitmix64, Steele et al., 2014).
struct Draws(u64);

impl Draws {
    fn below(&mut self, count: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::from(count)) as u32
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u32) as usize].clone()
    }
}

const LOOKUPS: [Lookup; 9] = [
    Lookup::PiecewiseLinear,
    Lookup::Affine,
    Lookup::AffineAll,
    Lookup::Wave,
    Lookup::Table,
    Lookup::CrossValidated,
    Lookup::Exact,
    Lookup::Kcc2020,
    Lookup::Kcc2020Later,
];

/// A chain with short branches, in which rows overlap, meet, are skipped or are all read at once.
fn graph(draws: &mut Draws, name: &str) -> Graph {
    let mut layers = vec![Layer { name: "input".into(), op: Op::Input(Shape::fp32(2, 9, 4)), inputs: vec![] }];
    for index in 0..2 + draws.below(4) {
        let before = LayerId(layers.len() as u32 - 1);
        let window = |size, stride, pad| Window::new(size).stride(stride).pad(pad);
        let pool = |rows| Op::Pool { pooling: Pooling::Max, rows, cols: Window::new(1) };
        let conv = |rows| Op::Conv(Conv { rows, ..Conv::square(2, 1) });
        let rows = Graph::new("part", layers.clone()).map_or(1, |graph| graph.shape(graph.output()).rows);
        let op = match draws.below(7) {
            0 if rows > 1 => pool(window(2, 2, 0)),
            1 => pool(window(2, 2, 1)),
            2 => conv(window(1, 2, 0)),
            3 => conv(window(3, 2, 1)),
            4 => Op::Upsample { factor: 2 },
            _ => conv(window(3, 1, 1)),
        };
        layers.push(Layer { name: format!("l{index}"), op, inputs: vec![before] });
        let last = LayerId(layers.len() as u32 - 1);
        match draws.below(4) {
            0 => {
                let op = Op::Activation(Activation::Relu);
                layers.push(Layer { name: format!("l{index}.relu"), op, inputs: vec![last] });
            }
            1 => {
                let same = || conv(window(3, 1, 1));
                layers.push(Layer { name: format!("l{index}.a"), op: same(), inputs: vec![last] });
                let side = LayerId(last.0 + 1);
                layers.push(Layer { name: format!("l{index}.sum"), op: Op::Add, inputs: vec![last, side] });
            }
            _ => {}
        }
    }
    if draws.one_in(3) {
        let before = LayerId(layers.len() as u32 - 1);
        layers.push(Layer { name: "dense".into(), op: Op::Dense { units: 3, bias: false }, inputs: vec![before] });
    }
    Graph::new(name, layers).expect("a window fits on any rows")
}

/// The rows of a trace for a share of one device: the network, its units, segments of them that may cut through units, some
/// rows.
fn rows(draws: &mut Draws, text: &mut String, (device, share): (usize, f64), graph: &Graph) {
    let units = units(graph);
    // Of nanoseconds, to see how times are rounded, or of what networks take.
    let scale = draws.of(&[1e-6, 1e-4, 1.0]);
    let mut add = |draws: &mut Draws, layer: &str, rows: &str| {
        let line = f64::from(1 + draws.below(20)) * scale;
        for batch in [1, 2, 3, 4, 6, 7, 8] {
            if batch > 1 && draws.one_in(3) {
                continue;
            }
            let time = (line * f64::from(batch) + f64::from(draws.below(1000)) / 50.0 * scale).max(1e-6);
            writeln!(text, "d{device},{},{layer},{batch},{rows},{share},median,3,{time:.6}", graph.name()).unwrap();
        }
    };
    let kinds = draws.below(4);
    if kinds != 1 || draws.one_in(2) {
        add(draws, "whole", "all");
        if draws.one_in(2) {
            add(draws, "io", "all");
        }
    }
    if kinds == 0 {
        return;
    }
    for unit in &units {
        if draws.below(8) > 0 {
            add(draws, &unit_name(graph, unit), "all");
        }
        let height = graph.shape(unit.last()).rows;
        if height > 1 && draws.one_in(3) {
            let rows = 1 + draws.below(height - 1);
            add(draws, &unit_name(graph, unit), &rows.to_string());
        }
    }
    let names: Vec<&str> = graph.layers().iter().skip(1).map(|layer| layer.name.as_str()).collect();
    for first in 0..names.len() {
        for last in first + 1..names.len() {
            let name = format!("{}..{}", names[first], names[last]);
            let is_unit = units.iter().any(|unit| unit_name(graph, unit) == name);
            if kinds > 1 && !is_unit && graph.find_segment(&name).is_some() && draws.one_in(4) {
                add(draws, &name, "all");
            }
        }
    }
}

const HEADER: &str = "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: s\n# date: d\n\
                      # kind: measured\ndevice,model,layer,batch,rows,share,statistic,repeat,time_ms\n";

/// One or two networks on up to three devices, each pair of which has a link.
fn problem(draws: &mut Draws) -> Problem {
    let graphs: Vec<Graph> = ["m", "n"][..1 + draws.below(2) as usize].iter().map(|name| graph(draws, name)).collect();
    let mut platform = Platform::default();
    let mut text = HEADER.to_owned();
    let count = 1 + draws.below(3);
    let mut speeds = Vec::new();
    for index in 0..count {
        let mut device = Device::new(format!("d{index}"), DeviceKind::Gpu);
        device.limits.batch_max = draws.of(&[None, None, Some(2)]);
        platform.add(device, Bytes(1 << 30));
        for from in 0..index {
            let rate = BytesPerSec::new(draws.of(&[1e6, 1e9, 1e12])).unwrap();
            let ends = (DeviceId(from), DeviceId(index));
            let link = Link::new(format!("{from}-{index}"), ends, Direction::EitherWay, rate);
            platform.links.push(Link { latency: Duration::from_nanos(draws.of(&[0, 10, 100_000])), ..link });
        }
        speeds.push(draws.one_in(3).then(|| Speed {
            rate: MacsPerSec::new(draws.of(&[1e6, 1e9, 1e12])).unwrap(),
            step: Duration::from_nanos(draws.of(&[0, 1, 10_000])),
            row_tile: draws.of(&[1, 1, 4]),
            units: 1,
            unit_tile: 1,
        }));
        if speeds[index as usize].is_none() {
            for share in draws.of(&[&[1.0][..], &[1.0], &[1.0, 0.5], &[1.0, 0.25]]) {
                graphs.iter().for_each(|graph| rows(draws, &mut text, (index as usize, *share), graph));
            }
        }
    }
    let trace = (text.len() > HEADER.len()).then(|| Trace::parse(text.as_bytes()).unwrap());
    let lookup = draws.of(&LOOKUPS);
    let extrapolate = draws.one_in(2);
    let profile = |device: DeviceId, model: ModelId| {
        let (name, graph) = (format!("d{}", device.0), &graphs[model.0 as usize]);
        let of = (&*name, Precision::Fp32, graph.name());
        let of_trace = |trace: &Trace| Profile {
            whole: Curve::new(trace, of.0, of.1, of.2, lookup, extrapolate),
            parts: Parts::new(trace, of.0, of.1, of.2, graph, lookup, extrapolate).map(Arc::new),
            ..Profile::default()
        };
        let shares =
            trace.iter().flat_map(|trace| trace.shares.keys().map(|&share| (share, of_trace(&trace.of_share(share)))));
        let shares = shares.filter(|(_, profile)| profile.whole.is_some() || profile.parts.is_some()).collect();
        let all = trace.as_ref().map(of_trace).unwrap_or_default();
        Profile { speed: speeds[device.0 as usize], shares, ..all }
    };
    let costs = TraceCosts::new(&platform, &graphs.iter().collect::<Vec<_>>(), profile);
    let home = draws.one_in(2).then_some(DeviceId(0));
    let models = graphs.into_iter().map(|graph| Model { graph, home }).collect();
    let samples = draws.of(&[1, 2, 3, 7, 12]);
    Problem::new(models, platform, Load::Offline { samples }, costs)
}

/// A plan as it is drawn.
struct Draft<'a> {
    problem: &'a Problem,
    plan: Plan,
    /// By device.
    lanes: Vec<Vec<(LaneId, Share)>>,
    links: Vec<LaneId>,
    held: Vec<(ModelId, LayerId, DeviceId, Region, StepId)>,
}

impl<'a> Draft<'a> {
    /// Devices have a lane or two, and each link has one.
    fn new(draws: &mut Draws, problem: &'a Problem) -> Draft<'a> {
        let mut plan = Plan::default();
        let half = Share::from_basis_points(5000).unwrap();
        let lanes = problem.platform.device_ids().map(|device| {
            let shares = if draws.one_in(4) { vec![half, half] } else { vec![Share::FULL] };
            let memory = Bytes(1 << 29);
            let lane = |share: Share| (plan.lane(Lane::Compute { device, share, memory }), share);
            shares.into_iter().map(lane).collect()
        });
        let lanes = lanes.collect();
        let links = problem.platform.link_ids().map(|link| plan.lane(Lane::Link(link))).collect();
        Draft { problem, plan, lanes, links, held: Vec::new() }
    }

    fn compute(&mut self, device: DeviceId, lane: LaneId, work: Work) {
        let (model, samples) = (work.model, work.region.samples.clone());
        let graph = &self.problem.model(model).graph;
        let mut waits = Vec::new();
        for (layer, rows) in graph.rows_needed(&work.segment, &work.region.rows) {
            if !work.segment.contains(layer) {
                self.bring(device, model, layer, &Region { samples: samples.clone(), rows }, &mut waits);
            }
        }
        let step = self.plan.step(lane, Action::Compute(work.clone()), &waits);
        for layer in graph.exposed(&work.segment) {
            let rows = if layer == work.segment.last() { work.region.rows.clone() } else { 0..graph.shape(layer).rows };
            self.held.push((model, layer, device, Region { samples: samples.clone(), rows }, step));
        }
    }

    fn bring(&mut self, to: DeviceId, model: ModelId, layer: LayerId, region: &Region, waits: &mut Vec<StepId>) {
        let Model { graph, home, .. } = self.problem.model(model);
        if graph.is_input(layer) {
            if let Some(home) = home.filter(|&home| home != to) {
                waits.push(self.send(home, to, model, layer, region.clone(), &[]));
            }
            return;
        }
        let both = |a: &Range<u32>, b: &Range<u32>| a.start.max(b.start)..a.end.min(b.end);
        for (of, held, from, there, since) in self.held.clone() {
            let part = Region { samples: both(&there.samples, &region.samples), rows: both(&there.rows, &region.rows) };
            if (of, held) == (model, layer) && !part.is_empty() {
                waits.push(if from == to { since } else { self.send(from, to, model, layer, part, &[since]) });
            }
        }
    }

    fn send(
        &mut self,
        from: DeviceId,
        to: DeviceId,
        model: ModelId,
        layer: LayerId,
        region: Region,
        after: &[StepId],
    ) -> StepId {
        let platform = &self.problem.platform;
        let link = platform.links.iter().position(|link| link.leads(from, to)).expect("each pair has a link");
        self.plan.step(self.links[link], Action::Transfer { model, layer, region, to }, after)
    }

    fn price(&self, device: DeviceId, share: Share, work: &Work) -> bool {
        let fits = self
            .problem
            .platform
            .device(device)
            .limits
            .batch_max
            .is_none_or(|most| work.region.samples.len() <= most as usize);
        fits && self.problem.costs.compute(device, share, work).is_ok()
    }

    /// Computes some next layers for samples, on devices that can, their rows split or not; where they end. `None` if
    /// nobody can.
    fn advance(&mut self, draws: &mut Draws, model: ModelId, first: u32, samples: Range<u32>) -> Option<u32> {
        let graph = &self.problem.model(model).graph;
        let count = graph.layers().len() as u32;
        for _ in 0..20 {
            let end = if draws.one_in(3) { count } else { first + 1 + draws.below(count - first) };
            let segment = Segment::range(LayerId(first), LayerId(end - 1));
            let height = graph.shape(segment.last()).rows;
            let is_alone = graph.exposed(&segment).all(|layer| layer == segment.last());
            let cut = if is_alone && height > 1 && draws.one_in(3) { 1 + draws.below(height - 1) } else { height };
            let parts = [0..cut, cut..height].into_iter().filter(|rows| !rows.is_empty());
            let work = parts.map(|rows| Work {
                model,
                segment: segment.clone(),
                region: Region { samples: samples.clone(), rows },
            });
            let devices = self.problem.platform.devices.len() as u32;
            let mut place = |work: Work| {
                let device = draws.below(devices);
                let (lane, share) = draws.of(&self.lanes[device as usize]);
                (DeviceId(device), lane, share, work)
            };
            let placed: Vec<(DeviceId, LaneId, Share, Work)> = work.map(&mut place).collect();
            if placed.iter().all(|(device, _, share, work)| self.price(*device, *share, work)) {
                placed.into_iter().for_each(|(device, lane, _, work)| self.compute(device, lane, work));
                return Some(end);
            }
        }
        None
    }

    fn finish(mut self) -> Plan {
        for model in (0..self.problem.models.len() as u32).map(ModelId) {
            let Model { graph, home, .. } = self.problem.model(model);
            if let Some(home) = *home {
                let rows = 0..graph.shape(graph.output()).rows;
                let all = Region { samples: 0..self.problem.samples(), rows };
                self.bring(home, model, graph.output(), &all, &mut Vec::new());
            }
        }
        self.plan
    }
}

/// A sound plan; `None` if a choice led to work that nobody knows the time of.
fn plan(draws: &mut Draws, problem: &Problem) -> Option<Plan> {
    let mut draft = Draft::new(draws, problem);
    for model in (0..problem.models.len() as u32).map(ModelId) {
        let count = problem.model(model).graph.layers().len() as u32;
        let mut start = 0;
        while start < problem.samples() {
            let samples = start..start + 1 + draws.below(problem.samples() - start);
            let mut next = 1;
            while next < count {
                next = draft.advance(draws, model, next, samples.clone())?;
            }
            start = samples.end;
        }
    }
    Some(draft.finish())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_plan_is_faster_than_the_bound(seed in any::<u64>()) {
        let mut draws = Draws(seed);
        let problem = problem(&mut draws);
        let bound = lower_bound(&problem);
        let drawn: Vec<Plan> = (0..30).filter_map(|_| plan(&mut draws, &problem)).collect();
        let others: [Box<dyn Strategy>; 3] =
            [Box::new(LayerGroups::default()), Box::new(Legion::default()), Box::new(Modnn::default())];
        let planned = strategies().into_iter().chain(others).filter_map(|strategy| strategy.plan(&problem).ok());
        // What strategies may plan is the subject of other tests.
        let planned = planned.filter_map(|plan| check(plan, &problem).ok());
        let drawn = drawn.into_iter().map(|plan| check(plan, &problem).unwrap_or_else(|found| panic!("{found:?}")));
        for plan in planned.chain(drawn) {
            if let Ok(timeline) = simulate(&problem, &plan) {
                let makespan = timeline.makespan();
                prop_assert!(bound.is_none_or(|bound| bound <= makespan), "{bound:?} > {makespan}\n{plan:?}");
            }
        }
    }
}

/// Three convolutions of 8 rows.
fn chain() -> Graph {
    let conv = |name: &str, input: u32| Layer {
        name: name.into(),
        op: Op::Conv(Conv { rows: Window::new(3).pad(1), ..Conv::square(2, 1) }),
        inputs: vec![LayerId(input)],
    };
    let input = Layer { name: "input".into(), op: Op::Input(Shape::fp32(2, 8, 4)), inputs: vec![] };
    Graph::new("m", vec![input, conv("a", 0), conv("b", 1), conv("c", 2)]).unwrap()
}

/// The bound in milliseconds of one sample on devices that are profiled so, in milliseconds.
fn bound_ms(rows: &[(&str, &str, &str, f64)]) -> Option<f64> {
    let mut text = HEADER.to_owned();
    for (device, layer, rows, time) in rows {
        writeln!(text, "{device},m,{layer},1,{rows},1,median,3,{time}").unwrap();
    }
    let trace = Trace::parse(text.as_bytes()).unwrap();
    let platform = Platform::new(["d0", "d1"].map(|name| (Device::new(name, DeviceKind::Gpu), Bytes(1 << 30))));
    let graph = chain();
    let profile = |device: DeviceId, _| {
        let name = ["d0", "d1"][device.0 as usize];
        Profile {
            whole: Curve::new(&trace, name, Precision::Fp32, "m", Lookup::Exact, false),
            parts: Parts::new(&trace, name, Precision::Fp32, "m", &graph, Lookup::Exact, false).map(Arc::new),
            ..Profile::default()
        }
    };
    let costs = TraceCosts::new(&platform, &[&graph], profile);
    let models = vec![Model { graph: graph.clone(), home: None }];
    let problem = Problem::new(models, platform, Load::Offline { samples: 1 }, costs);
    lower_bound(&problem).map(Duration::as_millis_f64)
}

fn check_bound(rows: &[(&str, &str, &str, f64)], expected: f64) {
    let bound = bound_ms(rows).unwrap();
    assert!((bound - expected).abs() < 1e-4, "{bound}, not {expected}");
}

#[test]
fn the_bound_of_one_device_is_what_it_takes_alone() {
    let units = [("d0", "a", "all", 2.0), ("d0", "b", "all", 2.0), ("d0", "c", "all", 1.0)];
    check_bound(&[("d0", "whole", "all", 7.0)], 7.0);
    check_bound(&units, 5.0);
    check_bound(&[&units[..], &[("d0", "whole", "all", 3.0)]].concat(), 3.0);
    check_bound(&[&units[..], &[("d0", "a..b", "all", 1.5)]].concat(), 2.5);
    check_bound(
        &[("d0", "a..b", "all", 4.0), ("d0", "b..c", "all", 4.0), ("d0", "a", "all", 1.0), ("d0", "c", "all", 1.0)],
        5.0,
    );
}

#[test]
fn more_data_never_removes_the_bound() {
    let rows = [
        ("d0", "whole", "all", 7.0),
        ("d0", "a", "all", 1.0),
        ("d0", "b", "all", 10.0),
        ("d0", "c", "all", 5.0),
        ("d0", "b", "4", 6.0),
        ("d0", "a..b", "all", 4.0),
        ("d1", "b..c", "all", 8.0),
        ("d1", "a", "all", 900.0),
        ("d1", "c", "2", 0.1),
        ("d1", "whole", "all", 2000.0),
    ];
    let bounds: Vec<f64> = (1..=rows.len()).map(|count| bound_ms(&rows[..count]).unwrap()).collect();
    // What is known to be faster lowers it.
    assert!(bounds.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-9)), "{bounds:?}");
}
