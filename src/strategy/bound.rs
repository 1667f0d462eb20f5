//! How fast any plan could be: lower bounds of the makespan.

use super::batch_split::Whole;
use super::fronts::Fronts;
use crate::model::{Graph, ModelId, Region, Segment, Work, units};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::units::{Bytes, Duration, Share};

/// A time that no plan on whole devices can beat: `B / sum over devices of their best rate` for B samples.
///
/// Every device works at its best rate all the time. That is the largest of `b / t(b)` for the whole network, b being up
/// to what memory holds, and of what it does of a network when it runs parts of it. Let `w_u` be what unit u takes on
/// the device that is fastest with it; then whoever runs rows of it gains `w_u` in proportion, and no faster than its
/// best unit says, looked at for all rows and for halves of them, in turn, down to one. What a step costs by itself is
/// left out there, since units may be fused. (The sum of `w_u` over the sum of these rates is a feasible solution of the
/// dual of the linear programme that divides all units over all devices.)
///
/// Where no parts but fronts of the network for accelerators were profiled, it is the bound of [`Fronts::bound`].
///
/// Devices other than the home of the data have nothing to do before a message has reached them, and nothing that still
/// counts when no message could get back. Contention only slows, so the bound also holds with it. `None` if it is not
/// known: several models, no calibration, or a step that takes no time.
pub fn lower_bound(problem: &Problem) -> Option<Duration> {
    let [model] = problem.models.as_slice() else { return None };
    let whole = Whole::new(problem, ModelId(0)).ok()?;
    let parts = Parts::of(problem, &model.graph);
    if parts.is_none()
        && let Ok(fronts) = Fronts::new(problem, problem.samples())
    {
        return Some(Duration::from_nanos_f64((fronts.bound(problem.samples()) * (1.0 - 1e-12) - 0.5).max(0.0)));
    }
    let work = parts.as_ref().map_or(1.0, |parts| parts.work);
    let best_rate = |device: DeviceId| {
        let capacity = whole.capacity(device).unwrap_or(0); // what cannot run here adds nothing
        let rates = (1..=problem.samples().min(capacity)).filter_map(|batch| {
            let time = whole.compute_time(device, batch).ok()?;
            Some(f64::from(batch) / time.as_nanos_f64() * work)
        });
        let of_parts = parts.as_ref().map_or(0.0, |parts| parts.rate(device));
        rates.fold(of_parts, f64::max)
    };
    let of_device = |device| (away(problem, model.home, device), best_rate(device));
    let devices: Vec<(f64, f64)> = problem.platform.device_ids().map(of_device).collect();
    // Rounded down by more than the error of the sums, so that it stays a bound.
    let nanos = earliest(devices, f64::from(problem.samples()) * work)? * (1.0 - 1e-12);
    Some(Duration::from_nanos_f64((nanos - 0.5).max(0.0)))
}

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
    (rate.is_finite() && time.is_finite()).then_some(time)
}

/// Nanoseconds of a run in which a device cannot be of use, since its data is on its way from home or back.
fn away(problem: &Problem, home: Option<DeviceId>, device: DeviceId) -> f64 {
    let Some(home) = home.filter(|&home| home != device) else { return 0.0 };
    let time = |from, to| {
        let route = problem.platform.route(from, to).unwrap_or_default();
        let hops = route.into_iter().filter_map(|(link, _)| problem.costs.transfer(link, Bytes(1)).ok());
        hops.map(|estimate| estimate.time.as_nanos_f64()).sum::<f64>()
    };
    time(home, device) + time(device, home)
}

/// What devices do of a network when they run parts of it.
struct Parts<'a> {
    problem: &'a Problem,
    graph: &'a Graph,
    units: Vec<Segment>,
    /// By unit, nanoseconds of one sample on the device that is fastest with it.
    weights: Vec<f64>,
    /// Their sum.
    work: f64,
}

impl<'a> Parts<'a> {
    /// `None` if nobody knows what parts take.
    fn of(problem: &'a Problem, graph: &'a Graph) -> Option<Parts<'a>> {
        let units = units(graph);
        let mut parts = Parts { problem, graph, units, weights: Vec::new(), work: 0.0 };
        if parts.units.len() < 2 {
            return None;
        }
        let steps: Vec<f64> = problem.platform.device_ids().map(|device| parts.step(device)).collect();
        let fastest = |unit: &Segment| {
            let time = |device| Some(parts.time(device, unit, all_rows(graph, unit), 1)? - steps[device.0 as usize]);
            let times = problem.platform.device_ids().filter_map(time);
            times.min_by(f64::total_cmp).filter(|&time| time >= 0.0)
        };
        parts.weights = parts.units.iter().map(fastest).collect::<Option<_>>()?;
        parts.work = parts.weights.iter().sum();
        (parts.work > 0.0).then_some(parts)
    }

    /// The most of a sample's work that `device` can do in a nanosecond, as parts.
    fn rate(&self, device: DeviceId) -> f64 {
        let step = self.step(device);
        let of_unit = |(unit, weight): (&Segment, &f64)| {
            let height = all_rows(self.graph, unit);
            let halves = std::iter::successors(Some(height), |&rows| (rows > 1).then_some(rows.div_ceil(2)));
            let rates = halves.flat_map(|rows| {
                let batches = [1, self.problem.samples().max(1)];
                batches.into_iter().filter_map(move |samples| {
                    let time = self.time(device, unit, rows, samples)? - step;
                    let done = weight * f64::from(samples) * f64::from(rows) / f64::from(height);
                    Some(if done > 0.0 { done / time.max(0.0) } else { 0.0 })
                })
            });
            rates.fold(0.0, f64::max)
        };
        self.units.iter().zip(&self.weights).map(of_unit).fold(0.0, f64::max)
    }

    /// Nanoseconds by which units that a device can run, each in a step of its own, take longer than in one step, for
    /// each step more.
    fn step(&self, device: DeviceId) -> f64 {
        let runs = |unit: &&Segment| self.time(device, unit, all_rows(self.graph, unit), 1).is_some();
        let own: Vec<&Segment> = self.units.iter().filter(runs).collect();
        let mut layers: Vec<_> = own.iter().flat_map(|unit| unit.layers()).collect();
        layers.sort_unstable();
        let apart: f64 = own.iter().filter_map(|unit| self.time(device, unit, all_rows(self.graph, unit), 1)).sum();
        let together = Segment::new(layers).ok();
        let together = together.and_then(|all| self.time(device, &all, all_rows(self.graph, &all), 1));
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
        let work = Work { model: ModelId(0), segment: segment.clone(), region };
        Some(self.problem.costs.compute(device, Share::FULL, &work).ok()?.time.as_nanos_f64())
    }
}

fn all_rows(graph: &Graph, segment: &Segment) -> u32 {
    graph.shape(segment.last()).rows
}
