//! How fast any plan could be: lower bounds of the makespan.

use super::rows::Chain;
use super::stages::samples_max;
use crate::model::{Graph, ModelId, Region, Segment, Work};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::units::{Bytes, Duration, Share};

/// A time that no plan on whole devices can beat.
///
/// The dual of the linear programme that divides all parts of all networks over all devices: let each device `d` have a
/// weight `w_d`. A part `p` costs at least `y_p = min over d of w_d t_pd`, and a sample of a network run whole at least
/// `min over d of w_d t_d`; a sample costs the less of that and the sum of its parts, and devices have `T sum of w_d` to
/// give, so that `T >= cost of all samples / sum of w_d` whatever the weights. Those in use are each device's best rate,
/// and what ascent makes of them.
///
/// `t` are the shortest times for each sample: of the whole network, in all batches that memory holds; of a part, which is
/// the shortest run of units whose time is known, for one sample and for all, and for all rows, halves of them, in turn,
/// down to one. What a step costs by itself is left out of the times of parts, since they may be fused; that longer runs which
/// were profiled as one step take even less is left out of account.
///
/// Devices other than the home of the data have nothing to do before a message has reached them, and nothing that still
/// counts when no message could get back. Contention only slows, so the bound also holds with it. `None` if it is not
/// known: no calibration, devices whose parts were profiled in different runs, or a step that takes no time.
pub fn lower_bound(problem: &Problem) -> Option<Duration> {
    let models = (0..problem.models.len() as u32).map(ModelId);
    let costs: Vec<Costs> = models.map(|model| Costs::of(problem, model)).collect::<Option<_>>()?;
    let away: Vec<f64> = problem.platform.device_ids().map(|device| away(problem, device)).collect();
    let samples = f64::from(problem.samples());
    let time = |weights: &[f64]| {
        let work: f64 = costs.iter().map(|costs| costs.cheapest(weights)).sum::<f64>() * samples;
        earliest(away.iter().copied().zip(weights.iter().copied()).collect(), work)
    };
    let mut weights: Vec<f64> =
        (0..away.len()).map(|device| costs.iter().map(|costs| costs.rate(device)).sum()).collect();
    let mut best = time(&weights)?;
    let mut step = 0.5;
    while step > 1e-4 && away.len() <= ASCENT_DEVICES_MAX {
        let before = best;
        for device in 0..weights.len() {
            for factor in [1.0 + step, 1.0 / (1.0 + step)] {
                let known = weights[device];
                weights[device] *= factor;
                match time(&weights).filter(|&time| time > best * (1.0 + 1e-9)) {
                    Some(time) => best = time,
                    None => weights[device] = known,
                }
            }
        }
        if best == before {
            step /= 2.0;
        }
    }
    // Rounded down by more than the error of the sums, so that it stays a bound.
    Some(Duration::from_nanos_f64((best * (1.0 - 1e-12) - 0.5).max(0.0)))
}

/// Of more devices, only their best rates are weights: each step of the ascent looks at all parts on all devices, twice for
/// each device.
const ASCENT_DEVICES_MAX: usize = 16;

/// Look-ups of times for the bound, at most: a few seconds.
const LOOKUPS_MAX: u64 = 3_000_000;

/// When devices that are away for some time and then work at some rate have done `work`; `None` if never, or at once.
fn earliest(mut devices: Vec<(f64, f64)>, work: f64) -> Option<f64> {
    devices.retain(|&(_, rate)| rate > 0.0);
    devices.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rate, mut lost) = (0.0, 0.0);
    let mut time = f64::INFINITY;
    for (away, own) in devices {
        if away >= time {
            break; // all is done before it could help
        }
        rate += own;
        lost += own * away;
        time = (work + lost) / rate;
    }
    (rate.is_finite() && time.is_finite() && work > 0.0).then_some(time)
}

/// Nanoseconds of a run in which a device cannot be of use, since all data is on its way from home or back.
fn away(problem: &Problem, device: DeviceId) -> f64 {
    let time = |from, to| {
        let route = problem.platform.route(from, to).unwrap_or_default();
        let hops = route.into_iter().filter_map(|(link, _)| problem.arrival(link, Bytes(1)).ok());
        hops.map(Duration::as_nanos_f64).sum::<f64>()
    };
    let of_model = |home: Option<DeviceId>| match home.filter(|&home| home != device) {
        Some(home) => time(home, device) + time(device, home),
        None => 0.0,
    };
    problem.models.iter().map(|model| of_model(model.home)).fold(f64::INFINITY, f64::min)
}

/// What a network takes, by device, in nanoseconds of a sample at the best; infinite where a device cannot run it, or
/// nobody knows.
struct Costs {
    whole: Vec<f64>,
    /// Of each part; empty if nobody knows what parts take.
    parts: Vec<Vec<f64>>,
}

impl Costs {
    /// `None` if nobody knows enough.
    fn of(problem: &Problem, model: ModelId) -> Option<Costs> {
        let graph = &problem.model(model).graph;
        let network = Network { problem, model, graph };
        let whole = graph.whole()?;
        let devices: Vec<DeviceId> = problem.platform.device_ids().collect();
        let alone = devices.iter().map(|&device| {
            let rates = (1..=network.most(device, &whole)).filter_map(|samples| {
                Some(network.time(device, &whole, network.height(&whole), samples)? / f64::from(samples))
            });
            rates.fold(f64::INFINITY, f64::min)
        });
        let alone: Vec<f64> = alone.collect();
        let parts = network.parts()?;
        let parts = match parts.len() {
            0 | 1 => Vec::new(),
            _ => network.times(&parts)?,
        };
        let is_known = |times: &Vec<f64>| times.iter().any(|time| time.is_finite());
        (is_known(&alone) || !parts.is_empty()).then_some(Costs { whole: alone, parts })
    }

    /// The least that a sample can cost if a nanosecond of each device costs its weight.
    fn cheapest(&self, weights: &[f64]) -> f64 {
        let least = |times: &Vec<f64>| {
            let costs = times.iter().zip(weights).filter(|(time, _)| time.is_finite());
            costs.map(|(time, weight)| time * weight).fold(f64::INFINITY, f64::min)
        };
        let of_parts = if self.parts.is_empty() { f64::INFINITY } else { self.parts.iter().map(least).sum() };
        least(&self.whole).min(of_parts)
    }

    /// The most of a sample, in what its parts take on the devices that are fastest with them, that a device can do in a
    /// nanosecond.
    fn rate(&self, device: usize) -> f64 {
        let fastest = |times: &Vec<f64>| times.iter().copied().fold(f64::INFINITY, f64::min);
        let work: f64 = if self.parts.is_empty() { 1.0 } else { self.parts.iter().map(fastest).sum() };
        let of_parts = self.parts.iter().map(|times| fastest(times) / times[device]);
        // A part that takes no time says nothing.
        of_parts.chain([work / self.whole[device]]).filter(|rate| rate.is_finite()).fold(0.0, f64::max)
    }
}

/// A network whose parts, runs of units, are priced.
struct Network<'a> {
    problem: &'a Problem,
    model: ModelId,
    graph: &'a Graph,
}

impl Network<'_> {
    /// The shortest runs of units that follow each other and whose times some device knows; none if no part is known.
    ///
    /// `None` if they do not make up the network, or if a device knows some of them in longer runs only, so that nobody
    /// knows what it takes for each.
    fn parts(&self) -> Option<Vec<Segment>> {
        let chain = Chain::whole(self.graph);
        let devices: Vec<DeviceId> = self.problem.platform.device_ids().collect();
        let mut ends = vec![0];
        for end in 1..=chain.len() {
            let run = chain.segment(ends[ends.len() - 1]..end);
            if devices.iter().any(|&device| self.knows(device, &run)) {
                ends.push(end);
            }
        }
        let count = ends.len() - 1;
        let run = |first: usize, last: usize| chain.segment(ends[first]..ends[last]);
        let knows_runs_only = |&device: &DeviceId| {
            let is_missing = |&part: &usize| {
                let part = run(part, part + 1);
                self.problem.platform.device(device).lacks(self.graph, &part).is_none() && !self.knows(device, &part)
            };
            let mut missing = (0..count).filter(is_missing);
            missing.any(|part| {
                let mut longer = (0..=part).flat_map(|first| (part + 1..=count).map(move |last| (first, last)));
                longer.any(|(first, last)| last - first < count && self.knows(device, &run(first, last)))
            })
        };
        if count > 0 && (ends[count] < chain.len() || devices.iter().any(knows_runs_only)) {
            return None;
        }
        Some((0..count).map(|part| run(part, part + 1)).collect())
    }

    /// By part and device, nanoseconds of a sample at the best; `None` if that would take too long to find out.
    fn times(&self, parts: &[Segment]) -> Option<Vec<Vec<f64>>> {
        let mut times = vec![Vec::new(); parts.len()];
        let mut lookups = 0;
        for device in self.problem.platform.device_ids() {
            let most = parts.iter().map(|part| self.most(device, part)).max().unwrap_or(0);
            lookups += u64::from(most) * parts.len() as u64;
            if lookups > LOOKUPS_MAX {
                return None;
            }
            let mut best = vec![f64::INFINITY; parts.len()];
            for samples in 1..=most {
                let step = self.step(device, parts, samples);
                for (best, part) in best.iter_mut().zip(parts) {
                    let height = self.height(part);
                    let halves = std::iter::successors(Some(height), |&rows| (rows > 1).then_some(rows.div_ceil(2)));
                    let tried = if samples == 1 || samples == most { usize::MAX } else { 1 };
                    for rows in halves.take(tried) {
                        if let Some(time) = self.time(device, part, rows, samples) {
                            let of_sample = (time - step).max(0.0) / f64::from(samples);
                            *best = best.min(of_sample * f64::from(height) / f64::from(rows));
                        }
                    }
                }
            }
            times.iter_mut().zip(best).for_each(|(times, best)| times.push(best));
        }
        Some(times)
    }

    /// Nanoseconds by which parts that a device can run, each in a step of its own, take longer than in one step, for each
    /// step more.
    fn step(&self, device: DeviceId, parts: &[Segment], samples: u32) -> f64 {
        let time = |part: &Segment| self.time(device, part, self.height(part), samples);
        let own: Vec<(&Segment, f64)> = parts.iter().filter_map(|part| Some((part, time(part)?))).collect();
        let mut layers: Vec<_> = own.iter().flat_map(|(part, _)| part.layers()).collect();
        layers.sort_unstable();
        let apart: f64 = own.iter().map(|(_, time)| time).sum();
        match (Segment::new(layers).ok().and_then(|all| time(&all)), own.len()) {
            (Some(together), 2..) => ((apart - together) / (own.len() - 1) as f64).max(0.0),
            _ => 0.0,
        }
    }

    /// The most samples that a step of `segment` can have on a device, of those that there are.
    fn most(&self, device: DeviceId, segment: &Segment) -> u32 {
        samples_max(self.problem, device, (self.model, segment)).min(self.problem.samples())
    }

    /// Whether anybody knows what `segment` takes on a device, for all samples or a power of two of them.
    fn knows(&self, device: DeviceId, segment: &Segment) -> bool {
        let most = self.problem.samples();
        let mut some = (0..32).map(|power| 1 << power).take_while(|&samples| samples < most).chain([most]);
        some.any(|samples| self.time(device, segment, self.height(segment), samples).is_some())
    }

    /// Nanoseconds of rows of a segment; `None` if the device cannot run it, or nobody knows.
    fn time(&self, device: DeviceId, segment: &Segment, rows: u32, samples: u32) -> Option<f64> {
        if self.problem.platform.device(device).lacks(self.graph, segment).is_some() {
            return None;
        }
        let region = Region { samples: 0..samples, rows: 0..rows };
        let work = Work { model: self.model, segment: segment.clone(), region };
        Some(self.problem.costs.compute(device, Share::FULL, &work).ok()?.time.as_nanos_f64())
    }

    fn height(&self, segment: &Segment) -> u32 {
        self.graph.shape(segment.last()).rows
    }
}
