//! What happened, simulated or measured: when each step of a plan began and ended.

mod perfetto;
mod picture;

pub use perfetto::chrome_trace;
pub use picture::picture;

use crate::plan::{Lane, Plan, StepId};
use crate::platform::Platform;
use crate::units::{Bytes, Duration, Time};

/// When one step ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub start: Time,
    /// When it ended: of a transfer, when all of it had arrived.
    pub end: Time,
}

/// Where a timeline comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The engine, by the costs of the problem.
    Simulated,
    /// The clock of a replay.
    Measured,
    /// The engine, by times of steps that were measured one by one.
    Assembled,
}

/// When every step of one run of a plan began and ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Where it comes from.
    pub origin: Origin,
    /// The span of each step, by step id.
    pub spans: Vec<Span>,
    /// What steps waited for that used memory which pages, by step id; of others there is nothing.
    pub faults: Vec<PageFaults>,
}

/// What a step found missing in memory that pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFaults {
    /// The step.
    pub step: StepId,
    /// From its start until it had all that it uses.
    pub wait: Duration,
    /// What came in from outside.
    pub moved_in: Bytes,
    /// What was evicted to outside.
    pub moved_out: Bytes,
    /// Blocks that were evicted.
    pub evicted: u64,
}

impl Span {
    /// How long it lasted.
    pub fn duration(&self) -> Duration {
        self.end - self.start
    }

    /// The part in which it kept its lane: of a simulated transfer, until the latency of its link before its end.
    pub fn on_lane(self, lane: &Lane, platform: &Platform) -> Span {
        let under_way = match lane {
            Lane::Compute { .. } => Duration::ZERO,
            Lane::Link(link) => platform.link(*link).latency,
        };
        let sent = Time::ZERO + self.end.since_start().saturating_sub(under_way);
        Span { end: sent.max(self.start), ..self }
    }
}

/// The rows on which spans are drawn, ascending by their start, so that none hides another: for each the first row that is
/// free. A link carries further transfers while one is on its way.
pub(crate) fn rows(spans: impl IntoIterator<Item = Span>) -> impl Iterator<Item = usize> {
    let mut free: Vec<Time> = Vec::new();
    spans.into_iter().map(move |span| {
        let row = free.iter().position(|end| *end <= span.start).unwrap_or(free.len());
        free.resize(free.len().max(row + 1), Time::ZERO);
        free[row] = span.end;
        row
    })
}

impl Timeline {
    /// The timeline of steps that never waited for memory.
    pub fn new(origin: Origin, spans: Vec<Span>) -> Timeline {
        Timeline { origin, spans, faults: Vec::new() }
    }

    /// By step, what it waited for pages.
    pub fn waits(&self) -> Vec<Duration> {
        let mut waits = vec![Duration::ZERO; self.spans.len()];
        self.faults.iter().for_each(|faults| waits[faults.step.0 as usize] = faults.wait);
        waits
    }

    /// The span of `step`.
    pub fn span(&self, step: StepId) -> Span {
        self.spans[step.0 as usize]
    }

    /// Time from the first start to the last end.
    pub fn makespan(&self) -> Duration {
        let start = self.spans.iter().map(|span| span.start).min().unwrap_or_default();
        let end = self.spans.iter().map(|span| span.end).max().unwrap_or_default();
        end - start
    }

    /// Whether every step began after the steps it waits for had ended, and after its lane was free of the one before.
    pub fn obeys(&self, plan: &Plan, platform: &Platform) -> bool {
        let mut free = vec![Time::ZERO; plan.lanes.len()];
        self.spans.len() == plan.steps.len()
            && plan.steps.iter().zip(&self.spans).all(|(step, span)| {
                let waited = step.after.iter().all(|&on| self.span(on).end <= span.start);
                let queued = step.lane.is_none_or(|lane| {
                    let until = span.on_lane(plan.lane_at(lane), platform).end;
                    std::mem::replace(&mut free[lane.0 as usize], until) <= span.start
                });
                waited && queued && span.start <= span.end
            })
    }
}
