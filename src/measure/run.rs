//! One plan that is being replayed: its rounds, and what was predicted for each.

use super::Candidate;
use crate::cost::Estimate;
use crate::engine::{Sampler, Streams, simulate_estimated};
use crate::metrics::Replayed;
use crate::plan::{CheckedPlan, Lane, Step};
use crate::problem::Problem;
use crate::replay::{BackendError, Hardware, Inputs, Limits, Opened, SpeedProbe, Unfinished};
use crate::statistics::median;
use crate::timeline::Timeline;
use crate::units::Duration;

/// A plan that is being replayed.
pub(super) struct Run<'a> {
    pub(super) candidate: &'a Candidate<'a>,
    opened: Opened,
    pub(super) replayed: Replayed,
}

impl<'a> Run<'a> {
    /// Opens the lanes of `candidate` and runs it once, which warms up and shows whether its outputs are right.
    pub(super) fn open(
        hardware: &Hardware,
        problem: &Problem,
        candidate: &'a Candidate<'a>,
        limits: &Limits<'_>,
    ) -> Result<Run<'a>, BackendError> {
        let Candidate { strategy, plan, estimates } = *candidate;
        // Until a transfer has arrived, as a lane of hardware tells it.
        let arrival = |(step, estimate): (&Step, &Estimate)| match step.lane.map(|lane| plan.lane_at(lane)) {
            Some(Lane::Link(link)) => estimate.time + problem.platform.link(*link).latency,
            _ => estimate.time,
        };
        let predicted: Vec<Duration> = plan.steps.iter().zip(estimates).map(arrival).collect();
        let mut opened = hardware.open(plan, &predicted, Inputs::AtHome)?;
        opened.round(problem, plan, estimates, limits)?;
        let difference = opened.difference(plan, problem.models.len() as u32, problem.samples())?;
        let replayed = Replayed {
            strategy: strategy.to_owned(),
            same_plan_as: None,
            predicted: simulate_estimated(problem, plan, estimates),
            stretch: stretch(problem, plan, estimates),
            rounds: Vec::new(),
            difference,
        };
        Ok(Run { candidate, opened, replayed })
    }

    /// Runs it once more, just after a look at the speed of the devices.
    pub(super) fn round(
        &mut self,
        problem: &Problem,
        speed: Option<&mut SpeedProbe>,
        limits: &Limits<'_>,
    ) -> Result<(), BackendError> {
        let speeds = match speed {
            Some(probe) => probe.measure(limits)?,
            None => vec![1.0; problem.platform.devices.len()],
        };
        let Candidate { plan, estimates, .. } = *self.candidate;
        let round = self.opened.round(problem, plan, estimates, limits)?;
        self.replayed.rounds.push((round, recalibrated(problem, self.candidate, &speeds)));
        Ok(())
    }

    /// What had ended when a round was given up; `None` if none was.
    pub(super) fn unfinished(&self) -> Option<&Unfinished> {
        self.opened.unfinished()
    }

    /// See [`Opened::is_assembled`].
    pub(super) fn is_assembled(&self) -> bool {
        self.opened.is_assembled()
    }
}

/// Random worlds of which the median counts.
pub(super) const WORLDS: u32 = 201;

/// See [`Replayed::stretch`].
fn stretch(problem: &Problem, plan: &CheckedPlan, estimates: &[Estimate]) -> f64 {
    if problem.variation.is_none() {
        return 1.0;
    }
    let makespan = |estimates: &[Estimate]| simulate_estimated(problem, plan, estimates).makespan().as_nanos_f64();
    let worlds = (0..WORLDS).map(|world| {
        let streams = Streams::new(0, world);
        let sampler = |lane: usize| Sampler::of_lane(&problem.variation, &streams, &plan.lanes, lane);
        let mut samplers: Vec<Sampler> = (0..plan.lanes.len()).map(sampler).collect();
        let varied = plan.steps.iter().zip(estimates).map(|(step, estimate)| match step.lane {
            Some(lane) => {
                let of = || step.action.samples().map(|(model, samples)| (model, samples.len() as u32));
                Estimate { time: samplers[lane.0 as usize].stretch_of(estimate.time, of), ..*estimate }
            }
            None => *estimate,
        });
        makespan(&varied.collect::<Vec<_>>())
    });
    let alone = makespan(estimates);
    if alone > 0.0 { median(worlds).map_or(1.0, |typical| typical / alone) } else { 1.0 }
}

/// What the traces predict if devices take `speeds` times as long as they say.
fn recalibrated(problem: &Problem, candidate: &Candidate<'_>, speeds: &[f64]) -> Timeline {
    let scaled = |(estimate, step): (&Estimate, &Step)| match step.lane.map(|lane| candidate.plan.lane_at(lane)) {
        Some(Lane::Compute { device, .. }) => {
            let nanos = estimate.time.as_nanos_f64() * speeds[device.0 as usize];
            Estimate { time: Duration::from_nanos_f64(nanos), ..*estimate }
        }
        _ => *estimate,
    };
    let estimates: Vec<Estimate> = candidate.estimates.iter().zip(&candidate.plan.steps).map(scaled).collect();
    simulate_estimated(problem, candidate.plan, &estimates)
}
