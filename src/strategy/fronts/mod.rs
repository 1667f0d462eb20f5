//! A network cut in two: units of several kinds run the front, each on samples of its own; a GPU runs what is behind.

mod search;
#[cfg(test)]
mod tests;

pub(super) use search::Search;

use super::PlanError;
use super::rows::Chain;
use crate::model::{Graph, LayerId, ModelId, Region, Segment, Work};
use crate::plan::room::samples_max;
use crate::plan::{Builder, Plan, StepId};
use crate::platform::{DeviceId, DeviceKind};
use crate::problem::Problem;
use crate::units::{Bytes, Duration, Share};

pub(super) const MODEL: ModelId = ModelId(0);

/// The most samples that are shared: their times are tables.
const SAMPLES_MAX: u32 = 20_000;

/// One network of a problem, a GPU and accelerators, and where they may cut the network.
pub(super) struct Fronts<'a> {
    problem: &'a Problem,
    /// Runs any part.
    gpu: DeviceId,
    /// Accelerators, equal ones together: each class in the platform's order.
    classes: Vec<Vec<DeviceId>>,
    cuts: Vec<Cut>,
}

/// A place to cut, and what is known of both sides.
struct Cut {
    front: Segment,
    /// What is behind; `None` if the front is all.
    tail: Option<Segment>,
    /// By class and, last, for the GPU: nanoseconds of the front for each number of samples, from 0 on. Infinite where
    /// that does not fit, or nobody knows.
    times: Vec<Vec<f64>>,
    /// Nanoseconds of the tail, likewise.
    tails: Vec<f64>,
    /// By class: nanoseconds that an accelerator takes to hand over what it made; 0 if nothing is behind the front.
    handovers: Vec<Vec<f64>>,
}

/// Samples of one step, and how many steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waves {
    pub(super) batch: u32,
    pub(super) count: u32,
}

/// Who runs how much of the front, and where that ends.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sharing {
    /// The cut by index; `None` runs all of the network on the GPU.
    pub(super) cut: Option<usize>,
    /// By class, of each of its accelerators, and last of the GPU.
    pub(super) rounds: Vec<Waves>,
}

impl<'a> Fronts<'a> {
    /// The cuts of the network of `problem`, with times for up to `samples` samples.
    ///
    /// # Errors
    /// There are several networks, no GPU or several, no accelerator; or nobody knows what parts take.
    pub(super) fn new(problem: &'a Problem, samples: u32) -> Result<Fronts<'a>, PlanError> {
        let unsupported = |reason: &str| PlanError::Unsupported(reason.into());
        if samples > SAMPLES_MAX {
            return Err(PlanError::Unsupported(format!(
                "up to {SAMPLES_MAX} samples are shared over a GPU and accelerators, and there are {samples}"
            )));
        }
        let [model] = problem.models.as_slice() else {
            return Err(unsupported("samples of one network are shared, and the scenario has several"));
        };
        let platform = &problem.platform;
        let of_kind = |wanted: &dyn Fn(DeviceKind) -> bool| -> Vec<DeviceId> {
            platform.device_ids().filter(|&device| wanted(platform.device(device).kind)).collect()
        };
        let gpu = match of_kind(&DeviceKind::is_gpu)[..] {
            [gpu] => gpu,
            [] => return Err(unsupported("there is no GPU, which runs what accelerators do not")),
            _ => return Err(unsupported("there are several GPUs, and one runs what accelerators do not")),
        };
        let accelerators = of_kind(&|kind| kind == DeviceKind::Dla);
        if accelerators.is_empty() {
            return Err(unsupported("there is no device of kind `dla`"));
        }
        let mut classes: Vec<Vec<DeviceId>> = Vec::new();
        for device in accelerators {
            let class = |id: DeviceId| &platform.device(id).class;
            match classes.iter_mut().find(|known| class(known[0]) == class(device)) {
                Some(known) => known.push(device),
                None => classes.push(vec![device]),
            }
        }
        for &accelerator in classes.iter().flatten() {
            platform.route(accelerator, gpu)?;
        }
        let mut fronts = Fronts { problem, gpu, classes, cuts: Vec::new() };
        let chain = Chain::whole(&model.graph);
        let ends = (1..=chain.len()).filter(|&end| chain.is_group(&(0..end)));
        for end in ends {
            let front = chain.segment(0..end);
            if !fronts.accelerators().all(|device| platform.device(device).lacks(&model.graph, &front).is_none()) {
                break; // a longer front does not help
            }
            let tail = (end < chain.len()).then(|| chain.segment(end..chain.len()));
            fronts.cuts.extend(fronts.cut(front, tail, samples));
        }
        if fronts.cuts.is_empty() {
            let name = model.graph.name();
            let reason = "can run, and for which times of both sides are known, on the GPU and all accelerators";
            return Err(PlanError::Infeasible(format!("{name} has no front that the accelerators {reason}")));
        }
        Ok(fronts)
    }

    /// How many accelerators each class has.
    pub(super) fn counts(&self) -> Vec<u32> {
        self.classes.iter().map(|class| class.len() as u32).collect()
    }

    /// The GPU and all accelerators.
    pub(super) fn devices(&self) -> impl Iterator<Item = DeviceId> {
        self.accelerators().chain([self.gpu])
    }

    /// Samples of a sharing.
    pub(super) fn samples(&self, sharing: &Sharing) -> u32 {
        let counts = self.counts().into_iter().chain([1]);
        counts.zip(&sharing.rounds).map(|(count, rounds)| count * rounds.batch * rounds.count).sum()
    }

    fn accelerators(&self) -> impl Iterator<Item = DeviceId> {
        self.classes.iter().flatten().copied()
    }

    fn graph(&self) -> &'a Graph {
        &self.problem.models[0].graph
    }

    /// A cut, if somebody knows what the front takes on all units, and the tail on the GPU.
    fn cut(&self, front: Segment, tail: Option<Segment>, samples: u32) -> Option<Cut> {
        let units = self.classes.iter().map(|class| class[0]).chain([self.gpu]);
        let times: Vec<Vec<f64>> = units.map(|device| self.times(device, &front, samples)).collect::<Option<_>>()?;
        let tails = match &tail {
            Some(tail) => self.times(self.gpu, tail, samples)?,
            None => vec![0.0; samples as usize + 1],
        };
        let handover = |class: &Vec<DeviceId>| match &tail {
            Some(_) => self.handovers(class[0], front.last(), samples),
            None => vec![0.0; samples as usize + 1],
        };
        let handovers = self.classes.iter().map(handover).collect();
        Some(Cut { front, tail, times, tails, handovers })
    }

    /// Nanoseconds at least to hand over a layer's output from a device to the GPU, for each number of samples up to `most`.
    fn handovers(&self, device: DeviceId, layer: LayerId, most: u32) -> Vec<f64> {
        let route = self.problem.platform.route(device, self.gpu).unwrap_or_default();
        let rows = 0..self.graph().shape(layer).rows;
        let time = |samples: u32| -> f64 {
            let region = Region { samples: 0..samples, rows: rows.clone() };
            let size = |hop| self.problem.sent(hop, MODEL, layer, &region);
            let hops = route.iter().filter_map(|&hop| self.problem.arrival(hop.0, size(hop)).ok());
            // Several rounds pass several hops at the same time.
            hops.map(Duration::as_nanos_f64).fold(0.0, f64::max)
        };
        std::iter::once(0.0).chain((1..=most).map(time)).collect()
    }

    /// Nanoseconds of `segment` on `device` for each number of samples from 0 to `most`; `None` if neither that of `most`
    /// nor of any power of two is known.
    fn times(&self, device: DeviceId, segment: &Segment, most: u32) -> Option<Vec<f64>> {
        let rows = self.graph().shape(segment.last()).rows;
        let fit = samples_max(self.problem, device, (MODEL, segment), Bytes(0));
        let region = |samples| Region { samples: 0..samples, rows: 0..rows };
        let mut work = Work { model: MODEL, segment: segment.clone(), region: region(1) };
        let mut time = |samples: u32| {
            if samples > fit {
                return f64::INFINITY;
            }
            work.region = region(samples);
            let estimate = self.problem.costs.compute(device, Share::FULL, &work);
            estimate.map_or(f64::INFINITY, |estimate| estimate.time.as_nanos_f64())
        };
        let mut some = (0..32).map(|power| 1u32 << power).take_while(|&samples| samples < most).chain([most]);
        let is_known = some.any(|samples| time(samples).is_finite());
        is_known.then(|| std::iter::once(0.0).chain((1..=most).map(time)).collect())
    }

    /// Nanoseconds of the whole network on the GPU for each number of samples up to `most`; empty if nobody knows.
    fn whole_times(&self, most: u32) -> Vec<f64> {
        self.graph().whole().and_then(|whole| self.times(self.gpu, &whole, most)).unwrap_or_default()
    }

    /// `samples` samples in one step of the GPU.
    pub(super) fn on_gpu(&self, samples: u32) -> Sharing {
        let mut rounds = vec![Waves::default(); self.classes.len()];
        rounds.push(Waves { batch: samples, count: 1 });
        Sharing { cut: None, rounds }
    }

    /// Adds the steps of the samples of a sharing, which begin with `first`; the last of them.
    pub(super) fn add(&self, builder: &mut Builder<'_>, sharing: &Sharing, first: u32) -> Result<StepId, PlanError> {
        let mut next = first;
        let mut steps = Vec::new();
        let gpu_rounds = sharing.rounds[self.classes.len()];
        let whole = self.graph().whole();
        let front = match sharing.cut {
            Some(cut) => &self.cuts[cut].front,
            None => whole.as_ref().ok_or_else(|| PlanError::Infeasible("there is nothing to compute".into()))?,
        };
        let accelerators = self
            .classes
            .iter()
            .zip(&sharing.rounds)
            .flat_map(|(class, &rounds)| class.iter().map(move |&device| (device, rounds)));
        for (device, rounds) in accelerators.chain([(self.gpu, gpu_rounds)]) {
            for _ in 0..rounds.count {
                let samples = next..next + rounds.batch;
                next = samples.end;
                steps.push(builder.run(device, (MODEL, front), samples, &[])?);
            }
        }
        match sharing.cut.and_then(|cut| self.cuts[cut].tail.as_ref()) {
            Some(tail) => {
                let join = builder.join(&steps);
                Ok(builder.run(self.gpu, (MODEL, tail), first..next, &[join])?)
            }
            None if steps.len() == 1 => Ok(steps[0]),
            None => Ok(builder.join(&steps)),
        }
    }

    /// The plan of one sharing of all samples of `problem`.
    pub(super) fn plan(&self, problem: &Problem, sharing: &Sharing) -> Result<Plan, PlanError> {
        let mut builder = Builder::new(problem);
        self.add(&mut builder, sharing, 0)?;
        builder.bring_home()?;
        Ok(builder.finish())
    }

    /// The same question about `samples` samples that are at hand, at the start and everywhere.
    pub(super) fn at_hand(&self, samples: u32) -> Problem {
        let mut problem = self.problem.offline(samples);
        problem.models.iter_mut().for_each(|model| model.home = None);
        problem
    }
}

impl Cut {
    /// Nanoseconds at least from the end of all fronts to that of the tail of `samples` samples, of which accelerators of
    /// each class have `shares`.
    fn after(&self, shares: &[u32], samples: u32) -> f64 {
        let handovers = shares.iter().zip(&self.handovers).map(|(&own, times)| times[own as usize]);
        handovers.fold(0.0, f64::max) + self.tails[samples as usize]
    }
}
