//! How fast any plan could be: lower bounds of the makespan.

use super::batch_split::Whole;
use super::rows::Chain;
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
/// down to one. What a step costs by itself is left out of the times of parts, since they may be fused.
///
/// Devices other than the home of the data have nothing to do before a message has reached them, and nothing that still
/// counts when no message could get back. Contention only slows, so the bound also holds with it. `None` if it is not
/// known: no calibration, or a step that takes no time.
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
        let hops = route.into_iter().filter_map(|(link, _)| problem.costs.transfer(link, Bytes(1)).ok());
        hops.map(|estimate| estimate.time.as_nanos_f64()).sum::<f64>()
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
    /// `None` if nobody knows anything.
    fn of(problem: &Problem, model: ModelId) -> Option<Costs> {
        let whole = Whole::new(problem, model).ok()?;
        let of_device = |device: DeviceId| {
            let capacity = whole.capacity(device).unwrap_or(0); // what cannot run here adds nothing
            let batches = 1..=problem.samples().min(capacity);
            let times = batches
                .filter_map(|batch| Some(whole.compute_time(device, batch).ok()?.as_nanos_f64() / f64::from(batch)));
            times.fold(f64::INFINITY, f64::min)
        };
        let whole: Vec<f64> = problem.platform.device_ids().map(of_device).collect();
        let parts = Parts { problem, model, graph: &problem.model(model).graph }.times();
        let is_known = |times: &Vec<f64>| times.iter().any(|time| time.is_finite());
        (is_known(&whole) || !parts.is_empty()).then_some(Costs { whole, parts })
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

/// Runs of units of a network, each the shortest whose time is known.
struct Parts<'a> {
    problem: &'a Problem,
    model: ModelId,
    graph: &'a Graph,
}

impl Parts<'_> {
    /// By part and device; empty if nobody knows.
    fn times(&self) -> Vec<Vec<f64>> {
        let chain = Chain::whole(self.graph);
        let devices: Vec<DeviceId> = self.problem.platform.device_ids().collect();
        let mut parts: Vec<Segment> = Vec::new();
        let mut first = 0;
        for end in 1..=chain.len() {
            let segment = chain.segment(first..end);
            if devices.iter().any(|&device| self.time(device, &segment, self.height(&segment), 1).is_some()) {
                parts.push(segment);
                first = end;
            }
        }
        if first < chain.len() || parts.len() < 2 {
            return Vec::new();
        }
        let steps: Vec<f64> = devices.iter().map(|&device| self.step(device, &parts)).collect();
        let of_part = |part: &Segment| -> Vec<f64> {
            devices.iter().zip(&steps).map(|(&device, &step)| self.shortest(device, part, step)).collect()
        };
        parts.iter().map(of_part).collect()
    }

    /// Nanoseconds of a sample of a part on a device, at the best.
    fn shortest(&self, device: DeviceId, part: &Segment, step: f64) -> f64 {
        let height = self.height(part);
        let most = self.problem.samples().max(1);
        let halves = std::iter::successors(Some(height), |&rows| (rows > 1).then_some(rows.div_ceil(2)));
        let in_rows = halves.flat_map(|rows| [(rows, 1), (rows, most)]);
        let times = in_rows.chain((2..most).map(|samples| (height, samples))).filter_map(|(rows, samples)| {
            let time = (self.time(device, part, rows, samples)? - step).max(0.0);
            Some(time / f64::from(samples) * f64::from(height) / f64::from(rows))
        });
        times.fold(f64::INFINITY, f64::min)
    }

    /// Nanoseconds by which parts that a device can run, each in a step of its own, take longer than in one step, for each
    /// step more.
    fn step(&self, device: DeviceId, parts: &[Segment]) -> f64 {
        let time = |part: &Segment| self.time(device, part, self.height(part), 1);
        let own: Vec<&Segment> = parts.iter().filter(|part| time(part).is_some()).collect();
        let mut layers: Vec<_> = own.iter().flat_map(|part| part.layers()).collect();
        layers.sort_unstable();
        let apart: f64 = own.iter().filter_map(|part| time(part)).sum();
        let together = Segment::new(layers).ok().and_then(|all| time(&all));
        match (together, own.len()) {
            (Some(together), 2..) => ((apart - together) / (own.len() - 1) as f64).max(0.0),
            _ => 0.0,
        }
    }

    /// Nanoseconds of rows of a segment; `None` if the device cannot run it, or nobody knows.
    fn time(&self, device: DeviceId, segment: &Segment, rows: u32, samples: u32) -> Option<f64> {
        let unsupported = &self.problem.platform.device(device).unsupported;
        if segment.layers().any(|layer| unsupported.contains(&self.graph.layer(layer).op.kind())) {
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
