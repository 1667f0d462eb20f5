//! In which order a network is computed whose requests all wait: how many go through its layers together, and in which
//! batches each layer takes them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::iter::successors;
use std::num::NonZeroU32;

use super::LoopOrder;
use crate::model::{Graph, ModelId, Region, Segment, Work, units};
use crate::platform::{DeviceId, Paging};
use crate::problem::Problem;
use crate::units::{Bytes, Share};

/// A network on a device.
pub(super) struct Tenancy<'a> {
    problem: &'a Problem,
    device: DeviceId,
    pub(super) model: ModelId,
    /// Its layers one by one, and all of them as one.
    cuts: [Vec<LayerStep>; 2],
    /// How the memory pages, if it does.
    paging: Option<&'a Paging>,
    order: LoopOrder,
    batch: Option<NonZeroU32>,
    times: RefCell<Times>,
}

/// Nanoseconds of batches, by cut, step, share and batch; `None` if they are not known.
type Times = BTreeMap<(usize, usize, Share, u32), Option<f64>>;

/// Layers that are computed in one step, and what they take of a memory.
struct LayerStep {
    segment: Segment,
    weights: u64,
    /// Of a sample, while it is computed.
    activations: u64,
    /// Of a sample, what is read that other pieces have computed.
    read: u64,
    /// Of a sample, all that waits while the piece runs, with what it reads and leaves.
    waiting: u64,
}

/// How a network is computed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Loop {
    /// Requests that go through all layers together.
    pub(super) group: u32,
    /// Its layers in steps, each with the samples of a batch.
    pub(super) steps: Vec<(Segment, u32)>,
    /// Nanoseconds that it is expected to take, page faults included.
    pub(super) nanos: f64,
}

/// What a network may use on a device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means {
    pub(super) share: Share,
    /// Bytes of memory.
    pub(super) quota: u64,
}

/// Whether the weights are there when it begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    Cold,
    Warm,
}

impl<'a> Tenancy<'a> {
    pub(super) fn new(
        problem: &'a Problem,
        device: DeviceId,
        model: ModelId,
        (order, batch): (LoopOrder, Option<NonZeroU32>),
    ) -> Tenancy<'a> {
        let graph = &problem.model(model).graph;
        let memories = problem.platform.memories.iter();
        let paging = memories.filter(|memory| memory.users.contains(&device)).find_map(|memory| memory.paging.as_ref());
        let pieces = |segments: Vec<Segment>| pieces(problem, device, model, segments);
        let cuts = [pieces(units(graph)), pieces(graph.whole().into_iter().collect())];
        Tenancy { problem, device, model, cuts, paging, order, batch, times: RefCell::default() }
    }

    pub(super) fn device(&self) -> DeviceId {
        self.device
    }

    fn graph(&self) -> &'a Graph {
        &self.problem.model(self.model).graph
    }

    /// Nanoseconds of a batch of a piece.
    fn time(&self, cut: usize, piece: usize, share: Share, batch: u32) -> Option<f64> {
        *self.times.borrow_mut().entry((cut, piece, share, batch)).or_insert_with(|| {
            let segment = self.cuts[cut][piece].segment.clone();
            let rows = 0..self.graph().shape(segment.last()).rows;
            let work = Work { model: self.model, segment, region: Region { samples: 0..batch, rows } };
            Some(self.problem.costs.compute(self.device, share, &work).ok()?.time.as_nanos_f64())
        })
    }

    /// Amounts of memory from which on it may take less time, ascending: what its largest piece needs, what all that waits
    /// needs, and what all weights need beside that.
    pub(super) fn quotas(&self, samples: u32) -> Vec<u64> {
        let mut quotas = Vec::new();
        for pieces in self.cuts.iter().filter(|pieces| !pieces.is_empty()) {
            let weights: u64 = pieces.iter().map(|piece| piece.weights).sum();
            for group in self.groups(samples) {
                let most = |of: &dyn Fn(&LayerStep) -> u64| pieces.iter().map(of).max().unwrap_or(0);
                let alone = most(&|piece| piece.alone(1));
                let all = most(&|piece| piece.demand(group, group)).saturating_add(weights);
                quotas.extend([alone, most(&|piece| piece.weights.saturating_add(piece.demand(group, group))), all]);
            }
            if self.paging.is_none() {
                quotas.retain(|quota| *quota >= weights);
            }
        }
        quotas.sort_unstable();
        quotas.dedup();
        quotas
    }

    /// Sizes of groups that are looked at.
    fn groups(&self, samples: u32) -> Vec<u32> {
        let fixed = self.batch.map(|batch| batch.get().min(samples));
        match (self.order, fixed) {
            (LoopOrder::BreadthFirst, _) => vec![samples],
            (LoopOrder::DepthFirst, Some(batch)) => vec![batch],
            _ => doubled(fixed.unwrap_or(1), samples),
        }
    }

    /// The fastest way that is found for so many samples; `None` if there is none whose times are known.
    pub(super) fn best(&self, means: Means, samples: u32, start: Beginning) -> Option<Loop> {
        self.all(means, samples, start).min_by(|a, b| a.nanos.total_cmp(&b.nanos))
    }

    /// Ways for so many samples, one for each size of groups.
    pub(super) fn all(&self, means: Means, samples: u32, start: Beginning) -> impl Iterator<Item = Loop> {
        let cuts = self.cuts.len();
        let all = self.groups(samples).into_iter().flat_map(move |group| (0..cuts).map(move |cut| (cut, group)));
        all.filter_map(move |(cut, group)| self.loop_of(cut, group, means, samples, start))
    }

    /// That of groups of one size, each piece in batches that cost least: their time and what waits for memory meanwhile, by
    /// request; of equal ones the larger.
    fn loop_of(&self, cut: usize, group: u32, means: Means, samples: u32, start: Beginning) -> Option<Loop> {
        let pieces = &self.cuts[cut];
        let limit = self.problem.platform.device(self.device).limits.batch_max.unwrap_or(u32::MAX);
        let weights: u64 = pieces.iter().map(|piece| piece.weights).sum();
        if self.paging.is_none() && weights > means.quota {
            return None;
        }
        let mut steps = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let batches = match (self.order, self.batch) {
                (_, Some(batch)) => vec![batch.get().min(group)],
                (LoopOrder::DepthFirst, None) => vec![group],
                _ => doubled(1, group),
            };
            // All batches that a group comes to take no more than one that is full, and one that is not.
            let score = |batch: u32| {
                let is_held = batch <= limit && piece.alone(batch) <= means.quota;
                let rest = group % batch;
                let of_rest = if rest > 0 { self.time(cut, index, means.share, rest)? } else { 0.0 };
                let full = self.time(cut, index, means.share, batch).filter(|_| is_held)?;
                let computing = full * f64::from(group / batch) + of_rest;
                Some((computing, computing + self.spill(piece, group, batch, means.quota)))
            };
            let scored = batches.into_iter().filter_map(|batch| Some((batch, score(batch)?)));
            let best = scored.min_by(|(a, (_, one)), (b, (_, other))| one.total_cmp(other).then(b.cmp(a)))?;
            steps.push(best);
        }
        let of_group: f64 = steps.iter().map(|(_, (_, all))| all).sum();
        let groups = f64::from(samples) / f64::from(group);
        // Weights stay if there is room for all of them beside what waits; what is used in turn and does not fit is all gone.
        let data = pieces.iter().zip(&steps).map(|(piece, (batch, _))| piece.demand(group, *batch)).max().unwrap_or(0);
        let stay = weights.saturating_add(data) <= means.quota;
        let loads = match (start, stay) {
            (Beginning::Warm, true) => 0.0,
            (Beginning::Cold, true) => 1.0,
            (_, false) => groups.ceil(),
        };
        let load: f64 = pieces.iter().map(|piece| self.moved(piece.weights, !stay)).sum();
        let nanos = of_group * groups + load * loads;
        let steps = pieces.iter().zip(steps).map(|(piece, (batch, _))| (piece.segment.clone(), batch)).collect();
        Some(Loop { group, steps, nanos })
    }

    /// Nanoseconds in which what a group has left for a piece comes back, if there was no room for it.
    fn spill(&self, piece: &LayerStep, group: u32, batch: u32, quota: u64) -> f64 {
        let is_held = piece.weights.saturating_add(piece.demand(group, batch)) <= quota;
        let batches = f64::from(group.div_ceil(batch));
        if is_held { 0.0 } else { self.moved(piece.read.saturating_mul(batch.into()), true) * batches }
    }

    /// Nanoseconds in which so many bytes come in, and as many go if they have to.
    fn moved(&self, bytes: u64, evicts: bool) -> f64 {
        self.paging.map_or(0.0, |paging| {
            let evicted = if evicts { bytes.div_ceil(paging.block.0) } else { 0 };
            paging.time(Bytes(bytes), evicted).as_nanos_f64()
        })
    }
}

impl Loop {
    /// Whether steps are the same, whatever is expected of them.
    pub(super) fn is_like(&self, other: &Loop) -> bool {
        (self.group, &self.steps) == (other.group, &other.steps)
    }
}

impl LayerStep {
    /// Bytes beside weights while a group is under way, in batches of this piece.
    fn demand(&self, group: u32, batch: u32) -> u64 {
        let computed = self.activations.saturating_sub(self.waiting).saturating_mul(batch.into());
        self.waiting.saturating_mul(group.into()).saturating_add(computed)
    }

    /// Bytes that a batch needs by itself.
    fn alone(&self, batch: u32) -> u64 {
        self.weights.saturating_add(self.activations.saturating_mul(batch.into()))
    }
}

/// Segments that follow each other, with what they take.
fn pieces(problem: &Problem, device: DeviceId, model: ModelId, segments: Vec<Segment>) -> Vec<LayerStep> {
    let (graph, sizes) = (&problem.model(model).graph, problem.sizes(model, device));
    let region = |layer| Region { samples: 0..1, rows: 0..graph.shape(layer).rows };
    let bytes = |layer| sizes.bytes(layer, &region(layer)).0;
    let reads: Vec<_> = segments.iter().map(|segment| graph.read_by(segment)).collect();
    let last_reader =
        |segment: &Segment| reads.iter().rposition(|read| read.iter().any(|layer| segment.contains(*layer)));
    let last_readers: Vec<Option<usize>> = segments.iter().map(last_reader).collect();
    let piece = |(index, segment): (usize, &Segment)| {
        let is_waited_for = |of: &usize| last_readers[*of].is_some_and(|last| last >= index);
        let waiting = (0..index).filter(is_waited_for).map(|of| bytes(segments[of].last())).sum::<u64>();
        let work = Work { model, segment: segment.clone(), region: region(segment.last()) };
        LayerStep {
            weights: sizes.parameters(segment).0,
            activations: sizes.activations(&work).0,
            read: reads[index].iter().filter(|layer| !graph.is_input(**layer)).map(|layer| bytes(*layer)).sum(),
            waiting: waiting + bytes(segment.last()),
            segment: segment.clone(),
        }
    };
    segments.iter().enumerate().map(piece).collect()
}

/// From `first` on twice as many each, and `last`.
fn doubled(first: u32, last: u32) -> Vec<u32> {
    let more = successors(Some(first), |size| size.checked_mul(2)).take_while(|size| *size < last);
    more.chain([last]).collect()
}
