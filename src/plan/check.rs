//! The rules that every executed plan obeys.
//!
//! Independent of the strategies on purpose: a plan is judged by what it says, not by who made it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, Range};

use super::{Action, Lane, LaneId, Plan, StepId};
use crate::model::{LayerId, ModelId, OpKind, Region, Work};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::units::{Bytes, Share};

/// A plan that [`check`] accepted. Only these are executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedPlan(Plan);

impl Deref for CheckedPlan {
    type Target = Plan;
    fn deref(&self) -> &Plan {
        &self.0
    }
}

/// One broken rule of a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An index points at nothing.
    #[error("{place} names {what} {index}, and there are only {count}")]
    Unknown {
        /// Where the index stands.
        place: String,
        /// What it should be.
        what: &'static str,
        /// The index.
        index: u32,
        /// How many there are.
        count: usize,
    },
    /// Steps must only wait for earlier steps; this makes the plan acyclic.
    #[error("step {} waits for step {}, which does not come before it", step.0, on.0)]
    Forward {
        /// The waiting step.
        step: StepId,
        /// What it waits for.
        on: StepId,
    },
    /// Computing needs a device, a transfer a link, a join nothing.
    #[error("step {} does not fit its lane: {reason}", step.0)]
    Lane {
        /// The step.
        step: StepId,
        /// What does not fit.
        reason: &'static str,
    },
    /// A link is an in-order queue, so it has one lane.
    #[error("link `{link}` has {count} lanes, and transfers on a link wait for each other")]
    SharedLink {
        /// The link's name.
        link: String,
        /// How many lanes use it.
        count: usize,
    },
    /// A region must be a part of the layer's output.
    #[error("step {} covers {region}, which is empty or outside {model}'s {samples} samples and {rows} rows", step.0)]
    Region {
        /// The step.
        step: StepId,
        /// What it says it covers.
        region: Region,
        /// The model's name.
        model: String,
        /// Samples that there are.
        samples: u32,
        /// Rows that the layer has.
        rows: u32,
    },
    /// Inputs are present or transferred, never computed.
    #[error("step {} computes `{layer}` of {model}, which is an input", step.0)]
    ComputesInput {
        /// The step.
        step: StepId,
        /// The layer's name.
        layer: String,
        /// The model's name.
        model: String,
    },
    /// A segment must not wait for a layer that waits for it.
    #[error("step {} runs layers {segment} of {model}, which `{hole}` lies between", step.0)]
    NotConvex {
        /// The step.
        step: StepId,
        /// Its layers.
        segment: String,
        /// The model's name.
        model: String,
        /// The layer left out.
        hole: String,
    },
    /// Rows refer to the last layer; others that are read outside the segment would be incomplete.
    #[error("step {} splits the rows of layers {segment} of {model}, but `{exposed}` is read outside them too", step.0)]
    SplitOutputs {
        /// The step.
        step: StepId,
        /// Its layers.
        segment: String,
        /// The model's name.
        model: String,
        /// Another layer that is read outside.
        exposed: String,
    },
    /// The device lacks the operator.
    #[error("step {} runs `{layer}` of {model} on `{device}`, which does not support {kind:?} layers", step.0)]
    Unsupported {
        /// The step.
        step: StepId,
        /// The layer's name.
        layer: String,
        /// The model's name.
        model: String,
        /// The device's name.
        device: String,
        /// The operator's kind.
        kind: OpKind,
    },
    /// Links have ends.
    #[error("step {} sends to `{to}`, where link `{link}` does not lead", step.0)]
    WrongWay {
        /// The step.
        step: StepId,
        /// The receiver's name.
        to: String,
        /// The link's name.
        link: String,
    },
    /// Shares of a device exceed the whole.
    #[error("lanes of `{device}` reserve {:.2} % of it", f64::from(*basis_points) / 100.0)]
    Oversubscribed {
        /// The device's name.
        device: String,
        /// Their sum in hundredths of a percent.
        basis_points: u32,
    },
    /// Memory of a device exceeded.
    #[error("lanes of `{device}` reserve {reserved} of its {capacity}")]
    OutOfMemory {
        /// The device's name.
        device: String,
        /// Their sum.
        reserved: Bytes,
        /// What the device has.
        capacity: Bytes,
    },
    /// A lane runs more than it reserved memory for.
    #[error("lane {} reserves {reserved}, but its steps need {needed}", lane.0)]
    WorkingSet {
        /// The lane.
        lane: LaneId,
        /// What it reserves.
        reserved: Bytes,
        /// Weights of all its layers and its largest activations.
        needed: Bytes,
    },
    /// Data is not where it is read.
    #[error("step {} reads {region} of `{layer}` of {model} on `{device}`, which no step it waits for put there", step.0)]
    MissingInput {
        /// The step.
        step: StepId,
        /// The part that is not there.
        region: Region,
        /// The layer's name.
        layer: String,
        /// The model's name.
        model: String,
        /// The device's name.
        device: String,
    },
    /// Something is computed twice.
    #[error("steps {} and {} both compute `{layer}` of {model} for {region}", first.0, second.0)]
    ComputedTwice {
        /// The one step.
        first: StepId,
        /// The other.
        second: StepId,
        /// The layer's name.
        layer: String,
        /// The model's name.
        model: String,
        /// What both compute.
        region: Region,
    },
    /// A part of the result is missing.
    #[error("no step computes {region} of the output of {model}")]
    NotComputed {
        /// The part.
        region: Region,
        /// The model's name.
        model: String,
    },
    /// A part of the result stays away.
    #[error("{region} of the output of {model} does not come back to `{home}`")]
    NotReturned {
        /// The part.
        region: Region,
        /// The model's name.
        model: String,
        /// Where it belongs.
        home: String,
    },
}

/// Accepts the plan or lists every rule it breaks.
///
/// Rules: indices point at something and `after` points back; steps fit their lanes; regions are parts of
/// outputs; devices support the operators and transfers follow their link; segments are convex; shares and memory
/// of a device are not exceeded, and each lane's working set fits; every row that is read is there by a step that
/// is waited for; every output is computed exactly once and comes home.
pub fn check(plan: Plan, problem: &Problem) -> Result<CheckedPlan, Vec<Violation>> {
    let mut found = Vec::new();
    find_unknown(&plan, problem, &mut found);
    if !found.is_empty() {
        return Err(found); // the other rules follow the indices
    }
    for step in plan.step_ids() {
        check_step(&plan, problem, step, &mut found);
    }
    check_reservations(&plan, problem, &mut found);
    if !found.is_empty() {
        return Err(found); // where data is follows from steps that are sound
    }
    let holdings = Holdings::of(&plan, problem);
    check_inputs(&plan, problem, &holdings, &mut found);
    check_outputs(problem, &holdings, &mut found);
    if found.is_empty() {
        Ok(CheckedPlan(plan))
    } else {
        Err(found)
    }
}

fn find_unknown(plan: &Plan, problem: &Problem, found: &mut Vec<Violation>) {
    let mut known = |place: String, what: &'static str, index: u32, count: usize| {
        let is_known = (index as usize) < count;
        if !is_known {
            found.push(Violation::Unknown {
                place,
                what,
                index,
                count,
            });
        }
        is_known
    };
    let platform = &problem.platform;
    for (index, lane) in plan.lanes.iter().enumerate() {
        match lane {
            Lane::Compute { device, .. } => known(format!("lane {index}"), "device", device.0, platform.devices.len()),
            Lane::Link(link) => known(format!("lane {index}"), "link", link.0, platform.links.len()),
        };
    }
    let mut forward = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        if let Some(lane) = step.lane.filter(|lane| lane.0 as usize >= plan.lanes.len()) {
            known(format!("step {index}"), "lane", lane.0, plan.lanes.len());
        }
        for &on in step.after.iter().filter(|on| on.0 as usize >= index) {
            forward.push(Violation::Forward {
                step: StepId(index as u32),
                on,
            });
        }
        let (model, layer) = match &step.action {
            Action::Compute(work) => (work.model, work.segment.last()),
            Action::Transfer { model, layer, to, .. } => {
                if to.0 as usize >= platform.devices.len() {
                    known(format!("step {index}"), "device", to.0, platform.devices.len());
                }
                (*model, *layer)
            }
            Action::Join => continue,
        };
        match problem.models.get(model.0 as usize) {
            None => drop(known(format!("step {index}"), "model", model.0, problem.models.len())),
            Some(model) if layer.0 as usize >= model.graph.layers().len() => {
                known(format!("step {index}"), "layer", layer.0, model.graph.layers().len());
            }
            Some(_) => {}
        }
    }
    found.append(&mut forward);
}

fn check_step(plan: &Plan, problem: &Problem, id: StepId, found: &mut Vec<Violation>) {
    let step = plan.step_at(id);
    match (&step.action, step.lane.map(|lane| plan.lane_at(lane))) {
        (Action::Compute(work), Some(Lane::Compute { device, .. })) => check_compute(problem, id, work, *device, found),
        (
            Action::Transfer {
                model,
                layer,
                region,
                to,
            },
            Some(Lane::Link(link)),
        ) => {
            check_region(problem, id, *model, *layer, region, found);
            let link = problem.platform.link(*link);
            if !(link.leads(link.from, *to) || link.leads(link.to, *to)) {
                let to = problem.platform.device(*to).name.clone();
                found.push(Violation::WrongWay {
                    step: id,
                    to,
                    link: link.name.clone(),
                });
            }
        }
        (Action::Join, None) => {}
        (Action::Compute(_), _) => found.push(Violation::Lane {
            step: id,
            reason: "it computes, and needs a lane of a device",
        }),
        (Action::Transfer { .. }, _) => found.push(Violation::Lane {
            step: id,
            reason: "it transfers, and needs a lane of a link",
        }),
        (Action::Join, Some(_)) => found.push(Violation::Lane {
            step: id,
            reason: "a join has no lane",
        }),
    }
}

fn check_compute(problem: &Problem, step: StepId, work: &Work, device: DeviceId, found: &mut Vec<Violation>) {
    let graph = &problem.model(work.model).graph;
    let model = || graph.name().to_owned();
    let segment = &work.segment;
    check_region(problem, step, work.model, segment.last(), &work.region, found);
    let device = problem.platform.device(device);
    for layer in segment.layers().map(|id| graph.layer(id)) {
        let kind = layer.op.kind();
        let layer = || layer.name.clone();
        if kind == OpKind::Input {
            found.push(Violation::ComputesInput {
                step,
                layer: layer(),
                model: model(),
            });
        } else if device.unsupported.contains(&kind) {
            let device = device.name.clone();
            found.push(Violation::Unsupported {
                step,
                layer: layer(),
                model: model(),
                device,
                kind,
            });
        }
    }
    if let Some(hole) = graph.hole(segment) {
        let hole = graph.layer(hole).name.clone();
        found.push(Violation::NotConvex {
            step,
            segment: segment.to_string(),
            model: model(),
            hole,
        });
    }
    let is_split = work.region.rows != (0..graph.layer(segment.last()).output.rows);
    if let (true, Some(exposed)) = (is_split, graph.exposed(segment).find(|&id| id != segment.last())) {
        let exposed = graph.layer(exposed).name.clone();
        found.push(Violation::SplitOutputs {
            step,
            segment: segment.to_string(),
            model: model(),
            exposed,
        });
    }
}

fn check_region(
    problem: &Problem,
    step: StepId,
    model: ModelId,
    layer: LayerId,
    region: &Region,
    found: &mut Vec<Violation>,
) {
    let graph = &problem.model(model).graph;
    let (samples, rows) = (problem.samples(), graph.layer(layer).output.rows);
    if region.is_empty() || region.samples.end > samples || region.rows.end > rows {
        let (region, model) = (region.clone(), graph.name().to_owned());
        found.push(Violation::Region {
            step,
            region,
            model,
            samples,
            rows,
        });
    }
}

fn check_reservations(plan: &Plan, problem: &Problem, found: &mut Vec<Violation>) {
    let mut by_device = vec![(0u32, Bytes(0)); problem.platform.devices.len()];
    let mut by_link = vec![0; problem.platform.links.len()];
    for lane in &plan.lanes {
        match *lane {
            Lane::Compute { device, share, memory } => {
                let (points, reserved) = &mut by_device[device.0 as usize];
                *points = points.saturating_add(share.basis_points().into());
                *reserved = *reserved + memory;
            }
            Lane::Link(link) => by_link[link.0 as usize] += 1,
        }
    }
    for (device, &(basis_points, reserved)) in problem.platform.devices.iter().zip(&by_device) {
        if basis_points > Share::FULL.basis_points().into() {
            found.push(Violation::Oversubscribed {
                device: device.name.clone(),
                basis_points,
            });
        }
        if reserved > device.memory {
            found.push(Violation::OutOfMemory {
                device: device.name.clone(),
                reserved,
                capacity: device.memory,
            });
        }
    }
    for (link, &count) in problem
        .platform
        .links
        .iter()
        .zip(&by_link)
        .filter(|&(_, &count)| count > 1)
    {
        found.push(Violation::SharedLink {
            link: link.name.clone(),
            count,
        });
    }
    for (index, needed) in working_sets(plan, problem).into_iter().enumerate() {
        match plan.lanes[index] {
            Lane::Compute { memory: reserved, .. } if needed > reserved => {
                found.push(Violation::WorkingSet {
                    lane: LaneId(index as u32),
                    reserved,
                    needed,
                });
            }
            _ => {}
        }
    }
}

/// What each lane must hold: the weights of all layers it runs and the activations of its largest step.
fn working_sets(plan: &Plan, problem: &Problem) -> Vec<Bytes> {
    let mut layers: Vec<BTreeSet<(ModelId, LayerId)>> = vec![BTreeSet::new(); plan.lanes.len()];
    let mut activations = vec![Bytes(0); plan.lanes.len()];
    for step in &plan.steps {
        if let (Some(lane), Action::Compute(work)) = (step.lane, &step.action) {
            let lane = lane.0 as usize;
            layers[lane].extend(work.segment.layers().map(|layer| (work.model, layer)));
            activations[lane] = activations[lane].max(problem.model(work.model).graph.activations(work));
        }
    }
    let parameters = |&(model, layer): &(ModelId, LayerId)| problem.model(model).graph.layer(layer).parameters;
    layers
        .iter()
        .zip(activations)
        .map(|(layers, live)| layers.iter().map(parameters).sum::<Bytes>() + live)
        .collect()
}

/// A part of a layer's output on a device, and the step that put it there.
struct Held {
    by: StepId,
    region: Region,
}

/// What steps put where, by device, model and layer; each list in order of its first sample.
struct Holdings {
    computed: BTreeMap<(ModelId, LayerId), Vec<Held>>,
    on_device: BTreeMap<(DeviceId, ModelId, LayerId), Vec<Held>>,
    /// The most samples that one entry covers.
    samples_max: u32,
}

impl Holdings {
    fn of(plan: &Plan, problem: &Problem) -> Holdings {
        let mut holdings = Holdings {
            computed: BTreeMap::new(),
            on_device: BTreeMap::new(),
            samples_max: 0,
        };
        for by in plan.step_ids() {
            let step = plan.step_at(by);
            match (&step.action, step.lane.map(|lane| plan.lane_at(lane))) {
                (Action::Compute(work), Some(&Lane::Compute { device, .. })) => {
                    let graph = &problem.model(work.model).graph;
                    for layer in graph.exposed(&work.segment) {
                        let rows = if layer == work.segment.last() {
                            work.region.rows.clone()
                        } else {
                            0..graph.layer(layer).output.rows
                        };
                        let region = Region {
                            samples: work.region.samples.clone(),
                            rows,
                        };
                        let computed = holdings.computed.entry((work.model, layer)).or_default();
                        computed.push(Held {
                            by,
                            region: region.clone(),
                        });
                        holdings.hold((device, work.model, layer), Held { by, region });
                    }
                }
                (
                    Action::Transfer {
                        model,
                        layer,
                        region,
                        to,
                    },
                    _,
                ) => {
                    holdings.hold(
                        (*to, *model, *layer),
                        Held {
                            by,
                            region: region.clone(),
                        },
                    );
                }
                _ => {}
            }
        }
        for held in holdings.computed.values_mut().chain(holdings.on_device.values_mut()) {
            held.sort_by_key(|held| (held.region.samples.start, held.by));
        }
        holdings
    }

    fn hold(&mut self, place: (DeviceId, ModelId, LayerId), held: Held) {
        self.samples_max = self.samples_max.max(held.region.samples.len() as u32);
        self.on_device.entry(place).or_default().push(held);
    }

    /// What `place` is given of `samples`.
    fn around(&self, place: (DeviceId, ModelId, LayerId), samples: &Range<u32>) -> impl Iterator<Item = &Held> {
        let held = self.on_device.get(&place).map_or(&[][..], Vec::as_slice);
        let first = samples.start.saturating_sub(self.samples_max);
        let from = held.partition_point(|held| held.region.samples.start < first);
        let to = held.partition_point(|held| held.region.samples.start < samples.end);
        held[from..to]
            .iter()
            .filter(|held| held.region.samples.end > samples.start)
    }
}

fn check_inputs(plan: &Plan, problem: &Problem, holdings: &Holdings, found: &mut Vec<Violation>) {
    let order = Order::of(plan);
    for id in plan.step_ids() {
        let step = plan.step_at(id);
        let mut read = |device: DeviceId, model: ModelId, layer: LayerId, region: Region| {
            let Model { graph, home, .. } = problem.model(model);
            if graph.is_input(layer) && home.is_none_or(|home| home == device) {
                return;
            }
            let candidates: Vec<&Held> = holdings.around((device, model, layer), &region.samples).collect();
            let there = order.before(plan, id, candidates);
            if let Some(region) = uncovered(&region, &there) {
                let layer = graph.layer(layer).name.clone();
                let device = problem.platform.device(device).name.clone();
                found.push(Violation::MissingInput {
                    step: id,
                    region,
                    layer,
                    model: graph.name().to_owned(),
                    device,
                });
            }
        };
        match (&step.action, step.lane.map(|lane| plan.lane_at(lane))) {
            (Action::Compute(work), Some(&Lane::Compute { device, .. })) => {
                let graph = &problem.model(work.model).graph;
                for (layer, rows) in graph.rows_needed(&work.segment, &work.region.rows) {
                    if !work.segment.contains(layer) && !rows.is_empty() {
                        read(
                            device,
                            work.model,
                            layer,
                            Region {
                                samples: work.region.samples.clone(),
                                rows,
                            },
                        );
                    }
                }
            }
            (
                Action::Transfer {
                    model,
                    layer,
                    region,
                    to,
                },
                Some(&Lane::Link(link)),
            ) => {
                let link = problem.platform.link(link);
                let from = if link.to == *to { link.from } else { link.to };
                read(from, *model, *layer, region.clone());
            }
            _ => {}
        }
    }
}

use crate::problem::Model;

/// Which steps have ended before which begin.
struct Order {
    before_on_lane: Vec<Option<StepId>>,
}

impl Order {
    fn of(plan: &Plan) -> Order {
        let mut last = vec![None; plan.lanes.len()];
        let before = |id: StepId| plan.step_at(id).lane.and_then(|lane| last[lane.0 as usize].replace(id));
        Order {
            before_on_lane: plan.step_ids().map(before).collect(),
        }
    }

    /// The regions of those candidates that `step` waits for, directly or not.
    fn before<'a>(&self, plan: &Plan, step: StepId, candidates: Vec<&'a Held>) -> Vec<&'a Region> {
        let (mut there, mut open) = (Vec::new(), Vec::new());
        for held in candidates {
            let same_lane = plan.step_at(held.by).lane == plan.step_at(step).lane && held.by < step;
            let waited_for = same_lane || plan.step_at(step).after.contains(&held.by);
            if waited_for {
                there.push(&held.region)
            } else if held.by < step {
                open.push(held)
            }
        }
        let Some(earliest) = open.iter().map(|held| held.by).min() else {
            return there;
        };
        // Walk back from `step`; what is earlier than every candidate cannot lead to one.
        let mut reached = BTreeSet::new();
        let mut ahead = vec![step];
        while let Some(at) = ahead.pop() {
            let before = plan
                .step_at(at)
                .after
                .iter()
                .copied()
                .chain(self.before_on_lane[at.0 as usize]);
            ahead.extend(before.filter(|&id| id >= earliest && reached.insert(id)));
        }
        there.extend(
            open.iter()
                .filter(|held| reached.contains(&held.by))
                .map(|held| &held.region),
        );
        there
    }
}

fn check_outputs(problem: &Problem, holdings: &Holdings, found: &mut Vec<Violation>) {
    for (&(model, layer), computed) in &holdings.computed {
        let graph = &problem.model(model).graph;
        let mut open: Vec<&Held> = Vec::new();
        for held in computed {
            open.retain(|earlier| earlier.region.samples.end > held.region.samples.start);
            for earlier in &open {
                if let Some(region) = intersection(&earlier.region, &held.region) {
                    let (first, second) = (earlier.by.min(held.by), earlier.by.max(held.by));
                    let (layer, model) = (graph.layer(layer).name.clone(), graph.name().to_owned());
                    found.push(Violation::ComputedTwice {
                        first,
                        second,
                        layer,
                        model,
                        region,
                    });
                }
            }
            open.push(held);
        }
    }
    for (index, Model { graph, home, .. }) in problem.models.iter().enumerate() {
        let (model, output) = (ModelId(index as u32), graph.output());
        let all = Region {
            samples: 0..problem.samples(),
            rows: 0..graph.layer(output).output.rows,
        };
        if graph.is_input(output) {
            continue;
        }
        let computed: Vec<&Region> = holdings
            .computed
            .get(&(model, output))
            .into_iter()
            .flatten()
            .map(|h| &h.region)
            .collect();
        if let Some(region) = uncovered(&all, &computed) {
            found.push(Violation::NotComputed {
                region,
                model: graph.name().to_owned(),
            });
        } else if let Some(home) = *home {
            let returned: Vec<&Region> = holdings
                .around((home, model, output), &all.samples)
                .map(|h| &h.region)
                .collect();
            if let Some(region) = uncovered(&all, &returned) {
                let home = problem.platform.device(home).name.clone();
                found.push(Violation::NotReturned {
                    region,
                    model: graph.name().to_owned(),
                    home,
                });
            }
        }
    }
}

fn intersection(a: &Region, b: &Region) -> Option<Region> {
    let both = |a: &Range<u32>, b: &Range<u32>| a.start.max(b.start)..a.end.min(b.end);
    let region = Region {
        samples: both(&a.samples, &b.samples),
        rows: both(&a.rows, &b.rows),
    };
    (!region.is_empty()).then_some(region)
}

/// A part of `wanted` that none of `parts` covers, if there is one.
fn uncovered(wanted: &Region, parts: &[&Region]) -> Option<Region> {
    let whole = |part: &&&Region| intersection(wanted, part).as_ref() == Some(wanted);
    if parts.iter().find(whole).is_some() {
        return None;
    }
    // Between two neighbouring ends of parts, the set of parts is the same for every sample.
    let inside = |sample: &u32| wanted.samples.contains(sample);
    let ends = parts
        .iter()
        .flat_map(|part| [part.samples.start, part.samples.end])
        .filter(inside);
    let mut cuts: Vec<u32> = ends.chain([wanted.samples.start, wanted.samples.end]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut parts: Vec<&&Region> = parts
        .iter()
        .filter(|part| intersection(wanted, part).is_some())
        .collect();
    parts.sort_by_key(|part| part.samples.start);
    let mut next = 0;
    let mut open: Vec<&Region> = Vec::new();
    for cut in cuts.windows(2) {
        open.retain(|part| part.samples.end > cut[0]);
        while next < parts.len() && parts[next].samples.start <= cut[0] {
            open.push(parts[next]);
            next += 1;
        }
        open.retain(|part| part.samples.end > cut[0]);
        open.sort_by_key(|part| part.rows.start);
        let mut reached = wanted.rows.start;
        for part in &open {
            if part.rows.start <= reached {
                reached = reached.max(part.rows.end);
            }
        }
        if reached < wanted.rows.end {
            let end = open
                .iter()
                .map(|part| part.rows.start)
                .filter(|&start| start > reached)
                .min();
            let rows = reached..end.unwrap_or(wanted.rows.end).min(wanted.rows.end);
            return Some(Region {
                samples: cut[0]..cut[1],
                rows,
            });
        }
    }
    None
}
