//! What a profile measures: plans of one network, of which single steps are timed.
//!
//! A measurement runs through the same loop as a replay, so that a profile measures what a replay will do.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Round;
use super::speed::NoCosts;
use crate::cost::{LayerKey, Rows};
use crate::model::{Graph, LayerId, ModelId, Region, Segment, Work, unit_name, units};
use crate::plan::{Action, CheckedPlan, Lane, LaneId, Plan, StepId, Violation, check};
use crate::platform::{DeviceId, Platform};
use crate::problem::{Load, Model, Problem};
use crate::units::{Duration, Share};

/// Something that a profile measures.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A whole network on a device that runs alone.
    Whole {
        /// Where.
        device: DeviceId,
        /// Samples in one step.
        batch: u32,
    },
    /// Each unit of a network, see [`units`], on a device that runs alone.
    Units {
        /// Where.
        device: DeviceId,
        /// Samples in one step.
        batch: u32,
        /// Parts that the rows of each output are cut into, as far as there are rows.
        parts: u32,
    },
    /// Layers as one step, on a device that runs alone. What comes before and after them is not timed.
    Segment {
        /// Where.
        device: DeviceId,
        /// Samples in one step.
        batch: u32,
        /// Parts that the rows of the output are cut into, as far as there are rows.
        parts: u32,
        /// The layers, as [`Graph::find_segment`] finds them.
        layers: String,
    },
    /// A whole network on two devices at once.
    Pair {
        /// Where, and how many steps each does, so that both take about as long.
        lanes: [(DeviceId, u32); 2],
        /// Samples in one step.
        batch: u32,
    },
}

/// A timed step.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Measured {
    /// Where.
    pub device: DeviceId,
    /// What of the network.
    pub layer: LayerKey,
    /// Samples.
    pub batch: u32,
    /// Rows of the output.
    pub rows: Rows,
    /// The device that ran the same network all the time.
    pub beside: Option<DeviceId>,
    /// How long it took.
    pub time: Duration,
}

/// A plan that measures a target.
pub struct Measurement {
    /// The plan.
    pub plan: CheckedPlan,
    /// What each timed step is of.
    steps: BTreeMap<StepId, Measured>,
}

impl Target {
    /// Samples that it needs.
    pub fn samples(&self) -> u32 {
        match self {
            Target::Whole { batch, .. } | Target::Units { batch, .. } | Target::Segment { batch, .. } => *batch,
            Target::Pair { lanes, batch } => batch.saturating_mul(lanes[0].1 + lanes[1].1),
        }
    }

    /// The devices that it measures.
    pub fn devices(&self) -> Vec<DeviceId> {
        match self {
            Target::Whole { device, .. } | Target::Units { device, .. } | Target::Segment { device, .. } => {
                vec![*device]
            }
            Target::Pair { lanes, .. } => lanes.iter().map(|(device, _)| *device).collect(),
        }
    }

    /// Whether `graph` has what it measures.
    pub fn is_of(&self, graph: &Graph) -> bool {
        match self {
            Target::Segment { layers, .. } => graph.find_segment(layers).is_some(),
            Target::Whole { .. } | Target::Units { .. } | Target::Pair { .. } => true,
        }
    }

    /// The plan that measures it for `model` of the networks `graphs` on `platform`.
    ///
    /// # Errors
    /// A device cannot run the network.
    ///
    /// # Panics
    /// If the graph does not have what it measures, see [`Target::is_of`].
    pub fn measurement(
        &self,
        platform: &Platform,
        graphs: &[&Graph],
        model: ModelId,
    ) -> Result<Measurement, Vec<Violation>> {
        let graph = graphs[model.0 as usize];
        let mut drafts = Drafts { platform, graph, model, plan: Plan::default(), steps: BTreeMap::new() };
        match *self {
            Target::Whole { device, batch } => {
                let lane = drafts.lane(device);
                drafts.whole(lane, device, 0..batch, None);
            }
            Target::Units { device, batch, parts } => drafts.units(device, batch, parts),
            Target::Segment { device, batch, parts, ref layers } => {
                let segment = graph.find_segment(layers).expect("the caller asks of what there is");
                drafts.segment(device, batch, parts, &segment);
            }
            Target::Pair { lanes: [(first, first_count), (second, second_count)], batch } => {
                let lanes = [drafts.lane(first), drafts.lane(second)];
                let mut samples = 0;
                for (lane, device, beside, count) in
                    [(lanes[0], first, second, first_count), (lanes[1], second, first, second_count)]
                {
                    for _ in 0..count {
                        drafts.whole(lane, device, samples..samples + batch, Some(beside));
                        samples += batch;
                    }
                }
            }
        }
        let Drafts { plan, steps, .. } = drafts;
        let models = graphs.iter().map(|&graph| Model { graph: graph.clone(), home: None }).collect();
        let (mut platform, load) = (platform.clone(), Load::Offline { samples: self.samples() });
        // One segment after the other is loaded, whatever a device could keep of them at once.
        platform.devices.iter_mut().for_each(|device| device.limits.loadables_max = None);
        let problem = Problem::new(models, platform, load, NoCosts);
        Ok(Measurement { plan: check(plan, &problem)?, steps })
    }
}

impl Measurement {
    /// What is timed, without times.
    pub fn timed(&self) -> impl Iterator<Item = (&Work, &Measured)> {
        self.steps.iter().map(|(&step, measured)| match &self.plan.step_at(step).action {
            Action::Compute(work) => (work, measured),
            Action::Transfer { .. } | Action::Join => unreachable!("only steps that compute are timed"),
        })
    }

    /// The timed steps of a round. Of two devices that ran at once, only steps during which the other was at work.
    pub fn read(&self, round: &Round) -> Vec<Measured> {
        let mut busy: BTreeMap<DeviceId, (_, _)> = BTreeMap::new();
        for (&step, measured) in &self.steps {
            let span = round.timeline.span(step);
            let entry = busy.entry(measured.device).or_insert((span.start, span.end));
            *entry = (entry.0.min(span.start), entry.1.max(span.end));
        }
        let timed = self.steps.iter().filter(|(step, measured)| {
            let span = round.timeline.span(**step);
            let beside = measured.beside.map(|beside| busy[&beside]);
            beside.is_none_or(|(start, end)| start <= span.start && span.end <= end)
        });
        timed.map(|(&step, measured)| Measured { time: round.duration(step), ..measured.clone() }).collect()
    }
}

struct Drafts<'a> {
    platform: &'a Platform,
    graph: &'a Graph,
    model: ModelId,
    plan: Plan,
    steps: BTreeMap<StepId, Measured>,
}

impl Drafts<'_> {
    fn lane(&mut self, device: DeviceId) -> LaneId {
        let memory = self.platform.capacity(device);
        self.plan.lane(Lane::Compute { device, share: Share::FULL, memory })
    }

    /// All layers over `samples`.
    fn whole(&mut self, lane: LaneId, device: DeviceId, samples: Range<u32>, beside: Option<DeviceId>) {
        let Some(segment) = self.graph.whole() else { return };
        let batch = samples.len() as u32;
        let rows = 0..self.graph.shape(segment.last()).rows;
        let step = self.compute(lane, segment, Region { samples, rows }, &[]);
        let (layer, rows, time) = (LayerKey::Whole, Rows::All, Duration::ZERO);
        self.steps.insert(step, Measured { device, layer, batch, rows, beside, time });
    }

    /// One unit after the other, each in parts.
    fn units(&mut self, device: DeviceId, batch: u32, parts: u32) {
        let lane = self.lane(device);
        let mut last = Vec::new();
        for unit in units(self.graph) {
            last = self.parts((lane, device), batch, parts, &unit, &last);
        }
    }

    /// `segment` in parts, with what comes before and after it in one step each.
    fn segment(&mut self, device: DeviceId, batch: u32, parts: u32, segment: &Segment) {
        let lane = self.lane(device);
        let computed = |layer: &LayerId| !self.graph.is_input(*layer);
        let rest = |is_there: &dyn Fn(LayerId) -> bool| {
            Segment::new(self.graph.layer_ids().filter(computed).filter(|&layer| is_there(layer))).ok()
        };
        let (before, after) = (rest(&|layer| layer < segment.first()), rest(&|layer| layer > segment.last()));
        let all =
            |graph: &Graph, segment: &Segment| Region { samples: 0..batch, rows: 0..graph.shape(segment.last()).rows };
        let mut last = Vec::new();
        if let Some(before) = before {
            let region = all(self.graph, &before);
            last = vec![self.compute(lane, before, region, &last)];
        }
        last = self.parts((lane, device), batch, parts, segment, &last);
        if let Some(after) = after {
            let region = all(self.graph, &after);
            self.compute(lane, after, region, &last);
        }
    }

    /// Times `segment` in parts, the first of which waits for `last`; what the next step waits for.
    fn parts(
        &mut self,
        (lane, device): (LaneId, DeviceId),
        batch: u32,
        parts: u32,
        segment: &Segment,
        last: &[StepId],
    ) -> Vec<StepId> {
        let height = self.graph.shape(segment.last()).rows;
        let parts = parts.min(height);
        let name = unit_name(self.graph, segment);
        let mut last = last.to_vec();
        for part in 0..parts {
            let cut = |part: u32| (u64::from(part) * u64::from(height) / u64::from(parts)) as u32;
            let rows = cut(part)..cut(part + 1);
            let count = if parts == 1 { Rows::All } else { Rows::Count(rows.len() as u32) };
            let step = self.compute(lane, segment.clone(), Region { samples: 0..batch, rows }, &last);
            last = vec![step];
            let (layer, beside, time) = (LayerKey::Named(name.clone()), None, Duration::ZERO);
            self.steps.insert(step, Measured { device, layer, batch, rows: count, beside, time });
        }
        last
    }

    fn compute(&mut self, lane: LaneId, segment: Segment, region: Region, after: &[StepId]) -> StepId {
        self.plan.step(lane, Action::Compute(Work { model: self.model, segment, region }), after)
    }
}

impl std::fmt::Debug for Measurement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Measurement").field("steps", &self.steps.len()).finish_non_exhaustive()
    }
}
