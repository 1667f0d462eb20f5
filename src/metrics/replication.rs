//! The figures of one replication of a load, computed from its queries and its timeline.

use std::collections::BTreeSet;
use std::slice::from_ref;

use serde::{Deserialize, Serialize};

use super::outcome;
use crate::cost::{Basis, Estimate, Uncalibrated};
use crate::engine::{Fate, Issue, Query, Served, estimates};
use crate::plan::{Action, CheckedPlan, Lane, StepId};
use crate::platform::{DeviceId, Platform};
use crate::problem::{Load, Problem};
use crate::statistics::Histogram;
use crate::timeline::{PageFaults, Span, Timeline};
use crate::units::{Bytes, Duration, Share, Time};

/// The figures of one replication. Those of queries and of devices' use are of the time after the warm-up.
#[derive(Clone, Debug)]
pub struct Replication {
    /// From the start of the run until the last step ended.
    pub makespan: Duration,
    /// The figures of all queries.
    pub queries: QueryFigures,
    /// Where networks have loads of their own, those of the queries of each.
    pub networks: Vec<QueryFigures>,
    /// Joules in the whole run; `None` where nothing says what devices draw.
    pub energy: Option<f64>,
    /// By device, the part of its compute units and of the time that computed.
    pub utilisation: Vec<f64>,
    /// What steps of the whole run found missing in memories that page; `None` if none does.
    pub pages: Option<MovedPages>,
    /// The longest recovery from a fault; `None` if there was none.
    pub recovery: Option<Duration>,
    /// Faults from which the run did not recover.
    pub unrecovered: u32,
    /// Steps that ran.
    pub steps: usize,
    /// Samples that each device began, for every device in the platform's order.
    pub split: Vec<(String, u32)>,
    /// Share of the steps' isolated time that was measured.
    pub measured_share: f64,
    /// The worst basis among the steps' estimates.
    pub basis: Basis,
}

/// What steps found missing in memories that page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MovedPages {
    /// The part of the time of all computing steps that they waited for it, from 0 to 1.
    pub waited: f64,
    /// Bytes that came in.
    pub moved_in: Bytes,
    /// Bytes that were evicted.
    pub moved_out: Bytes,
    /// Blocks that were evicted.
    pub evicted: u64,
}

impl MovedPages {
    /// Of a run; `None` if no memory pages.
    fn of(problem: &Problem, runs: &Runs<'_>, faults: &[PageFaults]) -> Option<MovedPages> {
        if problem.platform.memories.iter().all(|memory| memory.paging.is_none()) {
            return None;
        }
        let devices: Vec<Vec<Option<(usize, Share)>>> = runs.plans.iter().map(devices_of).collect();
        let mut computed = Duration::ZERO;
        runs.each_step(|plan, index, span| {
            if devices[plan as usize][index].is_some() {
                computed += span.duration();
            }
        });
        let waited: Duration = faults.iter().map(|faults| faults.wait).sum();
        Some(MovedPages {
            waited: if computed > Duration::ZERO { waited.as_nanos_f64() / computed.as_nanos_f64() } else { 0.0 },
            moved_in: faults.iter().map(|faults| faults.moved_in).sum(),
            moved_out: faults.iter().map(|faults| faults.moved_out).sum(),
            evicted: faults.iter().map(|faults| faults.evicted).sum(),
        })
    }

    /// The mean of several runs; `None` if there is none.
    pub(super) fn mean(runs: impl Iterator<Item = MovedPages>) -> Option<MovedPages> {
        let runs: Vec<MovedPages> = runs.collect();
        let mean = |figure: &dyn Fn(&MovedPages) -> f64| runs.iter().map(figure).sum::<f64>() / runs.len() as f64;
        let whole = |figure: &dyn Fn(&MovedPages) -> u64| mean(&|run| figure(run) as f64).round() as u64;
        (!runs.is_empty()).then(|| MovedPages {
            waited: mean(&|run| run.waited),
            moved_in: Bytes(whole(&|run| run.moved_in.0)),
            moved_out: Bytes(whole(&|run| run.moved_out.0)),
            evicted: whole(&|run| run.evicted),
        })
    }
}

/// The figures of queries, of all or of those of one network.
#[derive(Clone, Debug)]
pub struct QueryFigures {
    /// Queries done after the last that was done in the warm-up.
    pub ended: f64,
    /// Seconds from then until the last step ended.
    pub seconds: f64,
    /// Latencies of the queries that were done.
    pub latencies: Histogram,
    /// Their mean in milliseconds; NaN if none was done.
    pub latency_mean: f64,
    /// Queries that waited for a plan, averaged over time.
    pub queue_mean: f64,
    /// The most that waited at once.
    pub queue_max: u32,
    /// Queries done, in the whole run.
    pub completed: u64,
    /// Queries that found the queue full or whose deadline passed while they waited, in the whole run.
    pub dropped: u64,
    /// Queries done after their deadline, in the whole run.
    pub late: u64,
}

impl QueryFigures {
    /// The figures of `queries`, in the order of arrival, in a run from which the time from `start` to `end` counts;
    /// `deadline` gives that of a query.
    fn of(
        queries: &[Query],
        (start, end): (Time, Time),
        deadline: impl Fn(&Query) -> Option<Duration>,
    ) -> QueryFigures {
        let done = || queries.iter().filter(|query| query.fate == Fate::Done);
        let mut latencies = Histogram::new();
        let (mut sum, mut kept) = (0.0, 0u32);
        for query in done().filter(|query| query.arrived >= start) {
            latencies.record(query.latency());
            sum += query.latency().as_millis_f64();
            kept += 1;
        }
        // From an end to an end, so that no batch counts for a part of its time; and whoever arrived before, so that a load
        // that never becomes steady shows the capacity.
        let before = done().map(|query| query.ended).filter(|ended| *ended <= start).max().unwrap_or_default();
        let completed = done().count() as u64;
        let (queue_mean, queue_max) = queue(queries, start, end);
        QueryFigures {
            ended: done().filter(|query| query.ended > before).count() as f64,
            seconds: (end - before.min(end)).as_secs_f64(),
            latencies,
            latency_mean: sum / f64::from(kept),
            queue_mean,
            queue_max,
            completed,
            dropped: queries.len() as u64 - completed,
            late: done().filter(|query| deadline(query).is_some_and(|limit| query.latency() > limit)).count() as u64,
        }
    }
}

/// The deadline of the queries of a load of one kind.
fn deadline_of(load: &Load) -> Option<Duration> {
    match load {
        Load::Server(server) => server.deadline,
        _ => None,
    }
}

impl Replication {
    /// The figures of `served`, which is the load of `problem`.
    ///
    /// # Errors
    /// If a plan has a step of unknown duration, which cannot be if it was served.
    pub fn of(problem: &Problem, served: &Served, warm_up: WarmUpEnd) -> Result<Replication, Uncalibrated> {
        let end = served.timeline.spans.iter().map(|span| span.end).max().unwrap_or_default();
        let start = window_start(problem, served, warm_up);
        let of_plans = OfPlans::new(problem, served)?;
        let (queries, networks) = match &problem.load {
            Load::PerModel(tenants) => {
                let deadline = |query: &Query| deadline_of(&tenants[usize::from(query.tenant)].load);
                let of_network = |index: usize| {
                    let is_own = |query: &&Query| usize::from(query.tenant) == index;
                    let own: Vec<Query> = served.queries.iter().filter(is_own).copied().collect();
                    QueryFigures::of(&own, (start, end), deadline)
                };
                let networks = (0..tenants.len()).map(of_network).collect();
                (QueryFigures::of(&served.queries, (start, end), deadline), networks)
            }
            load => {
                let deadline = deadline_of(load);
                (QueryFigures::of(&served.queries, (start, end), |_| deadline), Vec::new())
            }
        };
        Ok(Replication {
            makespan: end.since_start(),
            queries,
            networks,
            energy: energy(problem, &Runs::from(served), end),
            utilisation: utilisation(problem, &Runs::from(served), start, end),
            pages: MovedPages::of(problem, &Runs::from(served), &served.timeline.faults),
            recovery: served.recoveries.iter().filter_map(|recovery| recovery.time).max(),
            unrecovered: served.recoveries.iter().filter(|recovery| recovery.time.is_none()).count() as u32,
            steps: served.timeline.spans.iter().filter(|span| **span != Default::default()).count(),
            split: of_plans.split,
            measured_share: of_plans.measured_share,
            basis: of_plans.basis,
        })
    }
}

/// What of the start of a run does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUpEnd {
    /// Nothing: every query counts.
    Start,
    /// What came before this time.
    At(Time),
    /// This number of the queries that were done, and what came before the next one arrived.
    Queries(usize),
}

/// When the warm-up is over.
pub(crate) fn window_start(problem: &Problem, served: &Served, warm_up: WarmUpEnd) -> Time {
    match warm_up {
        _ if matches!(problem.load, Load::Offline { .. }) => Time::ZERO,
        WarmUpEnd::Start | WarmUpEnd::Queries(0) => Time::ZERO,
        WarmUpEnd::At(time) => time,
        WarmUpEnd::Queries(count) => served.done().nth(count).map_or(Time::MAX, |query| query.arrived),
    }
}

/// The queries that waited between `start` and `end`: their mean over time, and the most at once.
fn queue(queries: &[Query], start: Time, end: Time) -> (f64, u32) {
    let within = |time: Time| time.clamp(start, end.max(start));
    let waited: f64 = queries.iter().map(|query| (within(query.begun) - within(query.arrived)).as_nanos_f64()).sum();
    let window = (end - start.min(end)).as_nanos_f64();
    let waiting = queries.iter().filter(|query| query.begun > query.arrived && query.begun > start);
    let mut begun: Vec<Time> = waiting.clone().map(|query| query.begun).collect();
    begun.sort_unstable();
    // Queries are in the order of arrival; who begins at the same time no longer waits.
    let mut left = begun.iter().peekable();
    let (mut count, mut most) = (0u32, 0);
    for query in waiting {
        while left.next_if(|&&begun| begun <= query.arrived).is_some() {
            count -= 1;
        }
        count += 1;
        most = most.max(count);
    }
    (if window > 0.0 { waited / window } else { 0.0 }, most)
}

/// Plans that ran, each as often as it was issued.
struct Runs<'a> {
    plans: &'a [CheckedPlan],
    issues: &'a [Issue],
    spans: &'a [Span],
}

impl<'a> From<&'a Served> for Runs<'a> {
    fn from(served: &'a Served) -> Runs<'a> {
        Runs { plans: &served.plans, issues: &served.issues, spans: &served.timeline.spans }
    }
}

impl Runs<'_> {
    /// Calls `each` with every step that took time: its plan and its place there, and its span.
    fn each_step(&self, mut each: impl FnMut(u32, usize, Span)) {
        for issue in self.issues {
            for index in 0..self.plans[issue.plan as usize].steps.len() {
                let span = self.spans[issue.first_step.0 as usize + index];
                if span.end > span.start {
                    each(issue.plan, index, span);
                }
            }
        }
    }
}

/// By device, when it computes from `start` on: spans that do not overlap, in the order of time.
fn busy(problem: &Problem, runs: &Runs<'_>, start: Time) -> Vec<Vec<(Time, Time)>> {
    let devices: Vec<Vec<Option<(usize, Share)>>> = runs.plans.iter().map(devices_of).collect();
    let mut busy: Vec<Vec<(Time, Time)>> = vec![Vec::new(); problem.platform.devices.len()];
    runs.each_step(|plan, index, span| {
        if let Some((device, _)) = devices[plan as usize][index]
            && span.end > start
        {
            extend(&mut busy[device], (span.start.max(start), span.end));
        }
    });
    // Lanes of one device may work at the same time.
    busy.into_iter().map(merged).collect()
}

/// By device, the part of its compute units and of the time from `start` to `end` in which it computed.
fn utilisation(problem: &Problem, runs: &Runs<'_>, start: Time, end: Time) -> Vec<f64> {
    let window = (end - start.min(end)).as_nanos_f64();
    let devices: Vec<Vec<Option<(usize, Share)>>> = runs.plans.iter().map(devices_of).collect();
    // By device, hundredths of a percent of it times nanoseconds.
    let mut busy = vec![0u128; problem.platform.devices.len()];
    runs.each_step(|plan, index, span| {
        if let Some((device, share)) = devices[plan as usize][index]
            && span.end > start
        {
            let time = span.end - span.start.max(start);
            busy[device] += u128::from(time.as_nanos()) * u128::from(share.basis_points());
        }
    });
    let part = |busy: u128| match busy % 10_000 {
        0 => (busy / 10_000) as f64 / window,
        _ => busy as f64 / 1e4 / window,
    };
    busy.into_iter().map(|busy| if window > 0.0 { part(busy) } else { 0.0 }).collect()
}

/// By step, the device that computes it, and how much of it does.
fn devices_of(plan: &CheckedPlan) -> Vec<Option<(usize, Share)>> {
    let device = |step: &crate::plan::Step| match *plan.lane_at(step.lane?) {
        Lane::Compute { device, share, .. } => Some((device.0 as usize, share)),
        Lane::Link(_) => None,
    };
    plan.steps.iter().map(device).collect()
}

/// Adds a span; one that follows the last without a gap makes it longer.
fn extend(spans: &mut Vec<(Time, Time)>, (start, end): (Time, Time)) {
    match spans.last_mut() {
        Some(last) if last.0 <= start && start <= last.1 => last.1 = last.1.max(end),
        _ => spans.push((start, end)),
    }
}

/// The same time as spans in order that do not overlap.
fn merged(mut spans: Vec<(Time, Time)>) -> Vec<(Time, Time)> {
    spans.sort_unstable();
    let mut merged = Vec::with_capacity(spans.len());
    spans.into_iter().for_each(|span| extend(&mut merged, span));
    merged
}

/// Joules that devices draw until `end` and links take for what was sent; `None` if nothing says.
fn energy(problem: &Problem, runs: &Runs<'_>, end: Time) -> Option<f64> {
    let Platform { devices, links, interference, .. } = &problem.platform;
    if devices.iter().all(|device| device.power.is_none()) && links.iter().all(|link| link.energy.is_none()) {
        return None;
    }
    let power = |device: usize| devices[device].power.unwrap_or_default();
    let dynamic = |device: usize| power(device).active.as_f64() - power(device).idle.as_f64();
    let busy = busy(problem, runs, Time::ZERO);
    let idle: f64 = (0..devices.len()).map(|device| power(device).idle.as_f64()).sum();
    let mut joules = idle * end.since_start().as_secs_f64();
    // A package clocks its devices down so that they draw no more than its budget.
    let packages = if problem.contention { interference.packages.as_slice() } else { &[] };
    for package in packages {
        let members: Vec<usize> = package.devices.iter().map(|device| device.0 as usize).collect();
        let idle: f64 = members.iter().map(|&device| power(device).idle.as_f64()).sum();
        let spans = members.iter().flat_map(|&device| busy[device].iter().map(move |&span| (span, dynamic(device))));
        joules += limited(spans, package.budget.as_f64() - idle);
    }
    for (device, spans) in busy.iter().enumerate() {
        if packages.iter().all(|package| !package.devices.contains(&DeviceId(device as u32))) {
            let busy: Duration = spans.iter().map(|&(start, end)| end - start).sum();
            joules += dynamic(device) * busy.as_secs_f64();
        }
    }
    let sent: Vec<Vec<f64>> = runs.plans.iter().map(|plan| joules_sent(problem, plan)).collect();
    runs.each_step(|plan, index, _| joules += sent[plan as usize][index]);
    Some(joules)
}

/// Joules of what draws power in spans, together never more than `budget` watts.
fn limited(spans: impl Iterator<Item = ((Time, Time), f64)>, budget: f64) -> f64 {
    let mut changes: Vec<(Time, f64)> =
        spans.flat_map(|((start, end), watts)| [(start, watts), (end, -watts)]).collect();
    changes.sort_by_key(|(time, _)| *time);
    let (mut joules, mut watts, mut before) = (0.0, 0.0f64, Time::ZERO);
    for (time, change) in changes {
        joules += watts.min(budget).max(0.0) * (time - before).as_secs_f64();
        (watts, before) = (watts + change, time);
    }
    joules
}

/// By step, what the link takes for it.
fn joules_sent(problem: &Problem, plan: &CheckedPlan) -> Vec<f64> {
    let of_step = |step: &crate::plan::Step| match (&step.action, step.lane.map(|lane| plan.lane_at(lane))) {
        (Action::Transfer { model, layer, region, to }, Some(Lane::Link(link))) => {
            let bytes = problem.sent((*link, *to), *model, *layer, region).0 as f64;
            problem.platform.link(*link).energy.map_or(0.0, |energy| energy.as_f64() * bytes)
        }
        _ => 0.0,
    };
    plan.steps.iter().map(of_step).collect()
}

/// What a plan that was run once used.
pub(super) struct Used {
    /// By device, the part of the makespan that it computed.
    pub(super) utilisation: Vec<f64>,
    /// Joules, if anything says what devices draw.
    pub(super) energy: Option<f64>,
    pub(super) pages: Option<MovedPages>,
}

pub(super) fn use_of_plan(problem: &Problem, plan: &CheckedPlan, timeline: &Timeline) -> Used {
    let issue =
        Issue { plan: 0, first_step: StepId(0), at: Time::ZERO, queries: 1, samples: problem.samples(), tenant: 0 };
    let runs = Runs { plans: from_ref(plan), issues: from_ref(&issue), spans: &timeline.spans };
    let end = Time::ZERO + timeline.makespan();
    Used {
        utilisation: utilisation(problem, &runs, Time::ZERO, end),
        energy: energy(problem, &runs, end),
        pages: MovedPages::of(problem, &runs, &timeline.faults),
    }
}

/// What follows from the plans that were issued, and how often each was.
struct OfPlans {
    split: Vec<(String, u32)>,
    measured_share: f64,
    basis: Basis,
}

impl OfPlans {
    fn new(problem: &Problem, served: &Served) -> Result<OfPlans, Uncalibrated> {
        let counts = issue_counts(served);
        let (mut measured, mut all, mut basis) = (0.0, 0.0, Basis::Measured);
        for (plan, count) in served.plans.iter().zip(counts).filter(|(_, count)| *count > 0) {
            for Estimate { time, basis: of_step } in estimates(problem, plan)? {
                let nanos = time.as_nanos_f64() * f64::from(count);
                all += nanos;
                measured += if of_step == Basis::Measured { nanos } else { 0.0 };
                basis = basis.max(of_step);
            }
        }
        let none = f64::from(u8::from(basis == Basis::Measured));
        let measured_share = if all > 0.0 { measured / all } else { none };
        Ok(OfPlans { split: split(problem, served), measured_share, basis })
    }
}

/// By plan, how often it was issued.
fn issue_counts(served: &Served) -> Vec<u32> {
    let mut counts = vec![0; served.plans.len()];
    served.issues.iter().for_each(|issue| counts[issue.plan as usize] += 1);
    counts
}

/// Samples that each device began, without those that were lost. What was computed twice, since it could not
/// be brought home, counts twice.
fn split(problem: &Problem, served: &Served) -> Vec<(String, u32)> {
    let mut split: Vec<(String, u32)> =
        problem.platform.devices.iter().map(|device| (device.name.clone(), 0)).collect();
    let mut add = |samples: Vec<(String, u32)>, times: u32| {
        for (total, (_, samples)) in split.iter_mut().zip(samples) {
            total.1 = total.1.saturating_add(samples.saturating_mul(times));
        }
    };
    if served.recoveries.is_empty() {
        for (plan, times) in served.plans.iter().zip(issue_counts(served)) {
            add(outcome::split(problem, plan, |_| true), times);
        }
        return split;
    }
    let dead: BTreeSet<StepId> = served.dead.iter().copied().collect();
    for issue in &served.issues {
        let has_run = |step: StepId| !dead.contains(&StepId(issue.first_step.0 + step.0));
        add(outcome::split(problem, &served.plans[issue.plan as usize], has_run), 1);
    }
    split
}
