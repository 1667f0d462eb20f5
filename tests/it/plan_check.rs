//! Each rule of `check` with its message, and a brute-force judge that must agree with it on mutated plans.

use std::collections::BTreeSet;

use coinfer::model::{Graph, Layer, LayerId, ModelId, Op, Region, Segment, Shape, Work};
use coinfer::plan::{Action, Lane, LaneId, Plan, Step, StepId, check};
use coinfer::platform::{Device, DeviceId, Direction, LinkId, Precision};
use coinfer::problem::Problem;
use coinfer::units::{Bytes, Share};
use proptest::prelude::*;

use crate::fixture::*;

fn violations(plan: Plan, problem: &Problem) -> Vec<String> {
    match coinfer::plan::check(plan, problem) {
        Ok(_) => vec![],
        Err(violations) => violations.iter().map(ToString::to_string).collect(),
    }
}

/// What is wrong with `batch_split(4, 1)` on a problem whose home is the CPU after `change`.
fn changed(change: impl FnOnce(&mut Plan)) -> Vec<String> {
    let mut plan = batch_split(4, 1);
    change(&mut plan);
    violations(plan, &problem(4, Some(CPU)))
}

#[test]
fn plans_of_all_five_strategies_are_accepted() {
    let none: [&str; 0] = [];
    assert_eq!(violations(batch_split(4, 1), &problem(4, Some(CPU))), none);
    assert_eq!(violations(fused_row_split(2, 4), &problem(2, Some(CPU))), none);
    assert_eq!(violations(front_and_tail(4, 3), &problem(4, None)), none);
    assert_eq!(violations(shares(3), &problem(3, None)), none);
    assert_eq!(violations(pipeline(4), &problem(4, None)), none);
}

#[test]
fn indices_must_point_at_something() {
    let found = changed(|plan| {
        plan.lanes[0] = Lane::Compute { device: DeviceId(7), share: Share::FULL, memory: Bytes(1) };
        plan.lanes[2] = Lane::Link(LinkId(9));
        plan.steps[0].lane = Some(LaneId(4));
        plan.steps[1].action = transfer(5, 1..4, 0..ROWS, DeviceId(3));
        plan.steps[2].action = Action::Compute(Work {
            model: ModelId(1),
            segment: Segment::range(LayerId(1), LayerId(4)),
            region: Region { samples: 0..1, rows: 0..1 },
        });
    });
    assert_eq!(
        found,
        [
            "lane 0 names device 7, and there are only 3",
            "lane 2 names link 9, and there are only 3",
            "step 0 names lane 4, and there are only 4",
            "step 1 names device 3, and there are only 3",
            "step 1 names layer 5, and there are only 5",
            "step 2 names model 1, and there are only 1",
        ]
    );
}

#[test]
fn a_step_waits_for_earlier_steps_only() {
    let found = changed(|plan| plan.steps[0].after = [StepId(2), StepId(0)].into_iter().collect());
    assert_eq!(
        found,
        [
            "step 0 waits for step 2, which does not come before it",
            "step 0 waits for step 0, which does not come before it"
        ]
    );
}

#[test]
fn a_step_fits_its_lane() {
    let found = changed(|plan| {
        plan.steps[0].lane = Some(LaneId(2));
        plan.steps[1].lane = Some(LaneId(1));
        plan.steps[4].lane = Some(LaneId(0));
    });
    assert_eq!(
        found,
        [
            "step 0 does not fit its lane: it computes, and needs a lane of a device",
            "step 1 does not fit its lane: it transfers, and needs a lane of a link",
            "step 4 does not fit its lane: a join has no lane",
        ]
    );
}

#[test]
fn a_link_has_one_lane() {
    let found = changed(|plan| plan.lanes.push(Lane::Link(CPU_TO_GPU)));
    assert_eq!(found, ["link `up` has 2 lanes, and transfers on a link wait for each other"]);
}

#[test]
fn a_region_is_a_part_of_the_output() {
    let found = changed(|plan| plan.steps[0].action = compute(1..=4, 0..5, 0..1));
    assert_eq!(found, ["step 0 covers samples 0..5, rows 0..1, which is empty or outside net's 4 samples and 1 rows"]);
    let found = changed(|plan| plan.steps[0].action = compute(1..=4, 1..1, 0..2));
    assert_eq!(found, ["step 0 covers samples 1..1, rows 0..2, which is empty or outside net's 4 samples and 1 rows"]);
}

#[test]
fn inputs_are_not_computed() {
    let found = changed(|plan| plan.steps[0].action = compute(0..=4, 0..1, 0..1));
    assert_eq!(found, ["step 0 computes `input` of net, which is an input"]);
}

#[test]
fn segments_are_convex() {
    let found = changed(|plan| {
        let segment = Segment::new([1, 3, 4].map(LayerId)).unwrap();
        let region = Region { samples: 0..1, rows: 0..1 };
        plan.steps[0].action = Action::Compute(Work { model: MODEL, segment, region });
    });
    assert_eq!(found, ["step 0 runs layers 1,3-4 of net, which `conv2` lies between"]);
}

#[test]
fn rows_are_split_only_where_one_layer_is_read_outside() {
    let found = changed(|plan| plan.steps[0].action = compute(1..=2, 0..1, 0..4));
    assert_eq!(found, ["step 0 splits the rows of layers 1-2 of net, but `conv1` is read outside them too"]);
}

#[test]
fn devices_support_what_they_run() {
    let mut plan = Plan::default();
    let dla = plan.lane(lane(DLA));
    plan.step(dla, compute(1..=4, 0..1, 0..1), &[]);
    assert_eq!(
        violations(plan, &problem(1, None)),
        ["step 0 runs `dense` of net on `dla`, which does not support Dense layers"]
    );
}

/// What is wrong with `front_and_tail(6, 2)` after the DLA has changed.
fn on_dla(change: impl FnOnce(&mut Device)) -> Vec<String> {
    let mut problem = problem(6, None);
    change(&mut problem.platform.devices[DLA.0 as usize]);
    violations(front_and_tail(6, 2), &problem)
}

#[test]
fn devices_compute_in_their_precisions() {
    let found = on_dla(|dla| dla.precision = Precision::Fp32);
    assert_eq!(found, ["step 1 runs on `dla` in fp32, and it computes in fp16 or int8 only"]);
    assert!(on_dla(|dla| dla.precision = Precision::Int8).is_empty());
    let overruled = on_dla(|dla| (dla.precision, dla.limits.precisions) = (Precision::Fp32, None));
    assert!(overruled.is_empty());
}

#[test]
fn a_step_has_no_more_samples_than_its_device_runs_at_once() {
    let found = on_dla(|dla| dla.limits.batch_max = Some(3));
    assert_eq!(found, ["step 1 runs 4 samples at once on `dla`, which runs 3 at most"]);
    assert!(on_dla(|dla| dla.limits.batch_max = Some(4)).is_empty());
}

#[test]
fn dimensions_of_what_is_read_and_computed_are_not_too_large() {
    let found = on_dla(|dla| dla.limits.dimension_max = Some(7));
    let at = |layer| format!("step 1 needs `{layer}` of net on `dla`, where a dimension is 7 at most, not 8");
    assert_eq!(found, ["input", "conv1", "conv2", "sum"].map(at));
    assert!(on_dla(|dla| dla.limits.dimension_max = Some(8)).is_empty());
}

#[test]
fn a_vector_that_is_only_flattened_has_no_dimension() {
    let layer = |name: &str, op, input: u32| Layer { name: name.into(), op, inputs: vec![LayerId(input)] };
    let layers = vec![
        Layer { name: "input".into(), op: Op::Input(Shape::fp32(8, 2, 2)), inputs: vec![] },
        layer("flatten", Op::Flatten, 0),
        layer("dense", Op::Dense { units: 2, bias: false }, 1),
    ];
    let mut problem = problem(1, None);
    problem.models[0].graph = Graph::new("net", layers).unwrap();
    let dla = &mut problem.platform.devices[DLA.0 as usize];
    (dla.unsupported, dla.limits.dimension_max) = (BTreeSet::new(), Some(8));
    let mut plan = Plan::default();
    let lane = plan.lane(lane(DLA));
    plan.step(lane, compute(1..=2, 0..1, 0..1), &[]);
    assert!(violations(plan, &problem).is_empty());
}

#[test]
fn loadables_of_a_device_are_counted_over_its_lanes() {
    let part =
        |points| Lane::Compute { device: DLA, share: Share::from_basis_points(points).unwrap(), memory: Bytes(4_000) };
    let check = |limit: u32| {
        let mut problem = problem(7, None);
        problem.platform.devices[DLA.0 as usize].limits.loadables_max = Some(limit);
        let mut plan = Plan::default();
        let (a, b, gpu) = (plan.lane(part(5_000)), plan.lane(part(5_000)), plan.lane(lane(GPU)));
        let side = plan.lane(Lane::Link(GPU_DLA));
        // Of two samples over all layers, twice; of one sample; of two samples in two segments.
        let fronts = [
            plan.step(a, compute(1..=3, 0..2, 0..ROWS), &[]),
            plan.step(b, compute(1..=3, 2..4, 0..ROWS), &[]),
            plan.step(a, compute(1..=3, 4..5, 0..ROWS), &[]),
        ];
        let first = plan.step(b, compute(1..=1, 5..7, 0..ROWS), &[]);
        let second = plan.step(a, compute(2..=3, 5..7, 0..ROWS), &[first]);
        let sent: Vec<StepId> = fronts
            .into_iter()
            .chain([second])
            .zip([0..2, 2..4, 4..5, 5..7])
            .map(|(front, samples)| plan.step(side, transfer(3, samples, 0..ROWS, GPU), &[front]))
            .collect();
        plan.step(gpu, compute(4..=4, 0..7, 0..1), &sent);
        violations(plan, &problem)
    };
    assert!(check(4).is_empty());
    assert_eq!(check(3), ["the steps on `dla` need 4 loadables, and it keeps 3 at most"]);
}

#[test]
fn transfers_follow_their_link() {
    let found = changed(|plan| plan.steps[3].lane = Some(LaneId(2)));
    assert_eq!(found, ["step 3 sends to `cpu`, where link `up` does not lead"]);
}

#[test]
fn shares_and_memory_of_a_device_are_not_exceeded() {
    let found = changed(|plan| {
        plan.lane(Lane::Compute { device: GPU, share: Share::from_basis_points(100).unwrap(), memory: Bytes(5_001) });
    });
    assert_eq!(found, ["lanes of `gpu` reserve 101.00 % of it", "lanes of `gpu` reserve 10001 B of its 10000 B"]);
}

#[test]
fn a_lane_holds_the_working_set_of_its_steps() {
    let found = changed(|plan| plan.lanes[1] = Lane::Compute { device: GPU, share: Share::FULL, memory: Bytes(775) });
    // Weights of 36, 36 and 128 B and the sum's two inputs and output, 8 rows of 8 B, for three samples.
    assert_eq!(found, ["lane 1 reserves 775 B, but its steps need 776 B"]);
}

#[test]
fn a_working_set_is_that_of_the_largest_step_wherever_it_stands() {
    let plan = |sizes: [u32; 2]| {
        let mut plan = Plan::default();
        let cpu = plan.lane(Lane::Compute { device: CPU, share: Share::FULL, memory: Bytes(775) });
        let mut first = 0;
        for size in sizes {
            plan.step(cpu, compute(1..=4, first..first + size, 0..1), &[]);
            first += size;
        }
        violations(plan, &problem(4, None))
    };
    assert_eq!(plan([3, 1]), ["lane 0 reserves 775 B, but its steps need 776 B"]);
    assert_eq!(plan([1, 3]), plan([3, 1]));
    assert_eq!(plan([2, 2]), [""; 0]);
}

#[test]
fn what_is_read_is_there() {
    let found = changed(|plan| plan.steps[2].after.clear());
    assert_eq!(
        found,
        ["step 2 reads samples 1..4, rows 0..8 of `input` of net on `gpu`, which no step it waits for put there"]
    );
    let mut plan = fused_row_split(2, 4);
    plan.steps[0].action = transfer(0, 0..2, 3..ROWS, GPU);
    assert_eq!(
        violations(plan, &problem(2, Some(CPU))),
        ["step 2 reads samples 0..2, rows 2..3 of `input` of net on `gpu`, which no step it waits for put there"]
    );
}

#[test]
fn nothing_is_computed_twice() {
    let found = changed(|plan| plan.steps[0].action = compute(1..=4, 0..2, 0..1));
    assert_eq!(found, ["steps 0 and 2 both compute `dense` of net for samples 1..2, rows 0..1"]);
}

#[test]
fn every_output_is_computed() {
    let found = changed(|plan| plan.steps.drain(..1).for_each(drop));
    assert!(found.iter().any(|message| message.contains("does not come before it")), "{found:?}");
    let mut plan = Plan::default();
    let cpu = plan.lane(lane(CPU));
    plan.step(cpu, compute(1..=4, 1..4, 0..1), &[]);
    assert_eq!(violations(plan, &problem(4, None)), ["no step computes samples 0..1, rows 0..1 of the output of net"]);
}

#[test]
fn outputs_come_home() {
    let found = changed(|plan| plan.steps.truncate(3));
    assert_eq!(found, ["samples 1..4, rows 0..1 of the output of net does not come back to `cpu`"]);
}

/// One cell of data: a layer's output for a sample and a row.
type Cell = (u32, u32, u32);

/// Judges a plan cell by cell and pair by pair, as slowly and plainly as possible.
fn is_sound(plan: &Plan, problem: &Problem) -> bool {
    let graph = &problem.models[0].graph;
    let home = problem.models[0].home;
    let (lanes, steps) = (plan.lanes.len() as u32, plan.steps.len());
    let device = |id: DeviceId| problem.platform.devices.get(id.0 as usize);
    let mut before = vec![vec![false; steps]; steps];
    for at in 0..steps {
        let step = &plan.steps[at];
        if step.after.iter().any(|on| on.0 as usize >= at) || step.lane.is_some_and(|lane| lane.0 >= lanes) {
            return false;
        }
        for earlier in 0..at {
            let queued = step.lane.is_some() && plan.steps[earlier].lane == step.lane;
            if queued || step.after.contains(&StepId(earlier as u32)) {
                let reached = before[earlier].clone();
                before[at].iter_mut().zip(reached).for_each(|(before, reached)| *before |= reached);
                before[at][earlier] = true;
            }
        }
    }
    let cells = |layer: u32, region: &Region| -> Option<BTreeSet<Cell>> {
        let rows = (layer < graph.layers().len() as u32).then(|| graph.shape(LayerId(layer)).rows)?;
        let inside = region.samples.end <= problem.samples() && region.rows.end <= rows && !region.is_empty();
        let rows = region.rows.clone();
        let all = region.samples.clone().flat_map(|sample| rows.clone().map(move |row| (layer, sample, row)));
        inside.then(|| all.collect())
    };
    // What each step reads and puts where.
    let mut reads: Vec<(Option<DeviceId>, BTreeSet<Cell>)> = vec![];
    let mut puts: Vec<(Option<DeviceId>, BTreeSet<Cell>)> = vec![];
    for Step { lane, action, .. } in &plan.steps {
        match (action, lane.map(|lane| &plan.lanes[lane.0 as usize])) {
            (Action::Join, None) => {
                reads.push((None, BTreeSet::new()));
                puts.push((None, BTreeSet::new()));
            }
            (Action::Compute(work), Some(&Lane::Compute { device: on, .. })) => {
                let layers: Vec<u32> = work.segment.layers().map(|id| id.0).collect();
                let last = *layers.last().unwrap();
                let (true, Some(target)) = (work.model == MODEL, cells(last, &work.region)) else {
                    return false;
                };
                let Some(Device { unsupported, .. }) = device(on) else {
                    return false;
                };
                let inside = |layer: u32| layers.contains(&layer);
                let is_read = |layer: u32| {
                    let readers = graph.layers().iter().zip(0..).filter(|(l, _)| l.inputs.contains(&LayerId(layer)));
                    layer == graph.output().0 || readers.map(|(_, id)| id).any(|id: u32| !inside(id))
                };
                let mut computed = target.clone();
                for &layer in &layers {
                    let kind = graph.layers()[layer as usize].op.kind();
                    if graph.is_input(LayerId(layer)) || unsupported.contains(&kind) {
                        return false;
                    }
                    let all_rows = graph.shape(LayerId(layer)).rows;
                    if layer != last && is_read(layer) {
                        let whole = Region { samples: work.region.samples.clone(), rows: 0..all_rows };
                        computed.extend(cells(layer, &whole).unwrap());
                        if work.region.rows != (0..graph.shape(LayerId(last)).rows) {
                            return false;
                        }
                    }
                }
                // A path from the segment over an outside layer back into it.
                let reached = |from: &[u32]| -> BTreeSet<u32> {
                    let mut reached: BTreeSet<u32> = BTreeSet::new();
                    for (layer, id) in graph.layers().iter().zip(0..) {
                        let from_start = layer.inputs.iter().any(|input| from.contains(&input.0));
                        if !inside(id) && (from_start || layer.inputs.iter().any(|input| reached.contains(&input.0))) {
                            reached.insert(id);
                        }
                    }
                    reached
                };
                let outside = reached(&layers);
                let returns =
                    |&layer: &u32| graph.layers()[layer as usize].inputs.iter().any(|input| outside.contains(&input.0));
                if layers.iter().any(returns) {
                    return false;
                }
                let mut needed = computed.clone();
                for &layer in layers.iter().rev() {
                    let wanted: Vec<Cell> = needed.iter().copied().filter(|cell| cell.0 == layer).collect();
                    for (_, sample, row) in wanted {
                        for &LayerId(input) in &graph.layers()[layer as usize].inputs {
                            let height = graph.shape(LayerId(input)).rows;
                            let rows: Vec<u32> = match graph.layers()[layer as usize].op {
                                Op::Add => vec![row],
                                Op::Conv(_) => (row.saturating_sub(1)..(row + 2).min(height)).collect(),
                                _ => (0..height).collect(),
                            };
                            needed.extend(rows.into_iter().map(|row| (input, sample, row)));
                        }
                    }
                }
                needed.retain(|&(layer, ..)| !inside(layer));
                reads.push((Some(on), needed));
                puts.push((Some(on), computed));
            }
            (Action::Transfer { model, layer, region, to }, Some(&Lane::Link(link))) => {
                let Some(link) = problem.platform.links.get(link.0 as usize) else {
                    return false;
                };
                let (true, Some(moved)) = (*model == MODEL, cells(layer.0, region)) else {
                    return false;
                };
                let from = if *to == link.to {
                    link.from
                } else if *to == link.from && link.direction == Direction::EitherWay {
                    link.to
                } else {
                    return false;
                };
                reads.push((Some(from), moved.clone()));
                puts.push((Some(*to), moved));
            }
            _ => return false,
        }
    }
    for at in 0..steps {
        let (on, needed) = &reads[at];
        for &(layer, sample, row) in needed {
            let resident = graph.is_input(LayerId(layer)) && (home.is_none() || home == *on);
            let put = (0..at).any(|earlier| {
                before[at][earlier] && puts[earlier].0 == *on && puts[earlier].1.contains(&(layer, sample, row))
            });
            if !resident && !put {
                return false;
            }
        }
    }
    let is_compute = |at: &usize| matches!(plan.steps[*at].action, Action::Compute(_));
    let mut computed = BTreeSet::new();
    for at in (0..steps).filter(is_compute) {
        if puts[at].1.iter().any(|cell| !computed.insert(*cell)) {
            return false;
        }
    }
    let output = graph.output().0;
    let at_home = |cell: &Cell| home.is_none() || puts.iter().any(|(on, put)| *on == home && put.contains(cell));
    let all = (0..problem.samples()).map(|sample| (output, sample, 0));
    if !all.clone().all(|cell| computed.contains(&cell) && at_home(&cell)) {
        return false;
    }
    let is_whole = |lane: &Lane| match *lane {
        Lane::Compute { device: on, share, .. } => device(on)
            .is_some_and(|device| (1..=device.units).any(|count| Share::of_units(count, device.units) == Some(share))),
        Lane::Link(_) => true,
    };
    if !plan.lanes.iter().all(is_whole) {
        return false;
    }
    for id in 0..problem.platform.devices.len() as u32 {
        let own = plan.lanes.iter().filter_map(|lane| match *lane {
            Lane::Compute { device, share, memory } if device == DeviceId(id) => Some((share, memory)),
            _ => None,
        });
        let (points, memory) =
            own.fold((0u64, 0u64), |(p, m), (share, memory)| (p + u64::from(share.basis_points()), m + memory.0));
        // Each has a memory of its own.
        if points > 10_000 || memory > problem.platform.memories[id as usize].capacity.unwrap().0 {
            return false;
        }
    }
    let link_lanes: Vec<_> = plan.lanes.iter().filter(|lane| matches!(lane, Lane::Link(_))).collect();
    let twice = link_lanes.iter().enumerate().any(|(index, lane)| link_lanes[..index].contains(lane));
    let unknown = plan.lanes.iter().any(|lane| match lane {
        Lane::Compute { device: id, .. } => device(*id).is_none(),
        Lane::Link(link) => link.0 as usize >= problem.platform.links.len(),
    });
    !twice && !unknown
}

/// A change to one place of a plan, of the kinds that a faulty strategy would make.
#[derive(Clone, Debug)]
enum Mutation {
    Drop,
    Repeat,
    Swap,
    Forget,
    Wait(u32),
    Move(u32),
    Samples(i8, i8),
    Rows(i8, i8),
    Layers(i8, i8),
    Redirect(u32),
    Device(u32),
    Share(u16),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let shift = || -2i8..=2;
    prop_oneof![
        Just(Mutation::Drop),
        Just(Mutation::Repeat),
        Just(Mutation::Swap),
        Just(Mutation::Forget),
        (0u32..12).prop_map(Mutation::Wait),
        (0u32..5).prop_map(Mutation::Move),
        (shift(), shift()).prop_map(|(a, b)| Mutation::Samples(a, b)),
        (shift(), shift()).prop_map(|(a, b)| Mutation::Rows(a, b)),
        (shift(), shift()).prop_map(|(a, b)| Mutation::Layers(a, b)),
        (0u32..4).prop_map(Mutation::Redirect),
        (0u32..4).prop_map(Mutation::Device),
        // Mostly whole units, of which a device has 100.
        prop_oneof![9 => (1u16..=100).prop_map(|units| units * 100), 1 => 1u16..=10_000].prop_map(Mutation::Share),
    ]
}

fn mutate(plan: &mut Plan, at: prop::sample::Index, mutation: Mutation) {
    if plan.steps.is_empty() {
        return;
    }
    let at = at.index(plan.steps.len());
    let shift = |value: u32, by: i8| value.saturating_add_signed(by.into());
    let step = &mut plan.steps[at];
    let region = match &mut step.action {
        Action::Compute(work) => Some(&mut work.region),
        Action::Transfer { region, .. } => Some(region),
        Action::Join => None,
    };
    match (mutation, region) {
        (Mutation::Drop, _) => {
            plan.steps.remove(at);
            for later in &mut plan.steps[at..] {
                later.after.retain(|on| on.0 as usize != at);
                later.after.iter_mut().filter(|on| on.0 as usize > at).for_each(|on| on.0 -= 1);
            }
        }
        (Mutation::Repeat, _) => {
            let again = step.clone();
            plan.steps.push(again);
        }
        (Mutation::Swap, _) => {
            let other = (at + 1) % plan.steps.len();
            plan.steps.swap(at, other);
        }
        (Mutation::Forget, _) => drop(step.after.pop()),
        (Mutation::Wait(on), _) => step.after.push(StepId(on)),
        (Mutation::Move(lane), _) => step.lane = Some(LaneId(lane)),
        (Mutation::Samples(a, b), Some(region)) => {
            region.samples = shift(region.samples.start, a)..shift(region.samples.end, b);
        }
        (Mutation::Rows(a, b), Some(region)) => region.rows = shift(region.rows.start, a)..shift(region.rows.end, b),
        (Mutation::Layers(a, b), _) => match &mut step.action {
            Action::Compute(work) => {
                let (first, last) = (work.segment.layers().next().unwrap().0, work.segment.last().0);
                let (first, last) = (shift(first, a), shift(last, b));
                if first <= last {
                    work.segment = Segment::range(LayerId(first), LayerId(last));
                }
            }
            Action::Transfer { layer, .. } => layer.0 = shift(layer.0, a),
            Action::Join => {}
        },
        (Mutation::Redirect(device), _) => {
            if let Action::Transfer { to, .. } = &mut step.action {
                *to = DeviceId(device);
            }
        }
        (Mutation::Device(on), _) => {
            if let Some(Lane::Compute { device, .. }) = plan.lanes.first_mut() {
                *device = DeviceId(on);
            }
        }
        (Mutation::Share(points), _) => {
            plan.lanes.push(Lane::Compute {
                device: CPU,
                share: Share::from_basis_points(points).unwrap(),
                memory: Bytes(1),
            });
        }
        (Mutation::Samples(..) | Mutation::Rows(..), None) => {}
    }
}

fn valid_plan() -> impl Strategy<Value = (Plan, u32, Option<DeviceId>)> {
    (0usize..5, 2u32..4, any::<bool>()).prop_flat_map(|(shape, samples, away)| {
        let home = away.then_some(CPU);
        (1..samples, 1..ROWS).prop_map(move |(some, cut)| match shape {
            0 => (batch_split(samples, some), samples, home),
            1 => (fused_row_split(samples, cut), samples, home),
            2 => (front_and_tail(samples, some), samples, None),
            3 => (shares(samples), samples, None),
            _ => (pipeline(samples), samples, None),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn no_mutated_plan_slips_through_and_no_sound_one_is_refused(
        (plan, samples, home) in valid_plan(),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), mutation()), 0..3),
    ) {
        let problem = problem(samples, home);
        let mut mutated = plan;
        for (at, mutation) in mutations {
            mutate(&mut mutated, at, mutation);
        }
        let found = check(mutated.clone(), &problem);
        prop_assert_eq!(found.is_ok(), is_sound(&mutated, &problem), "{:?}\n{:#?}", found.err(), mutated);
    }
}
