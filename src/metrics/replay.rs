//! What replays say of predictions: errors of steps and makespans, the ranking of strategies, and a verdict.

use serde::{Deserialize, Serialize};

use super::boards::{Lost, RemoteDevice};
use super::floor::NoiseFloor;
use crate::plan::{Action, CheckedPlan, StepId};
use crate::replay::Round;
use crate::statistics::{Errors, kendall_tau, median, quantile};
use crate::timeline::{Origin, Timeline};
use crate::units::Duration;

/// The rounds of one plan beside their predictions.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The strategy's name.
    pub strategy: String,
    /// The first strategy of the run that made the same plan, if it is another one.
    pub same_plan_as: Option<String>,
    /// As the traces say.
    pub predicted: Timeline,
    /// How many times as long the plan takes, in the median of random worlds, if times vary as the problem says: who waits
    /// for several waits for the slowest. 1 if they do not vary.
    pub stretch: f64,
    /// Each round, with what the traces say if devices are as fast as they were just before it.
    pub rounds: Vec<(Round, Timeline)>,
    /// The largest difference of the outputs from those of a single device, over their magnitude; `None` if the
    /// backend computes nothing.
    pub difference: Option<f64>,
}

/// How far the prediction for one plan was off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The strategy's name.
    pub strategy: String,
    /// The first strategy of the run that made the same plan, if it is another one.
    pub same_plan_as: Option<String>,
    /// The makespan that the traces predict, in milliseconds.
    pub predicted_ms: f64,
    /// The median of the makespans that they predict for the speed of the devices just before each round.
    pub recalibrated_ms: f64,
    /// The median of the measured makespans.
    pub measured_ms: f64,
    /// The shortest.
    pub measured_ms_min: f64,
    /// The longest.
    pub measured_ms_max: f64,
    /// Rounds.
    pub rounds: usize,
    /// The median over rounds of `recalibrated / measured - 1`.
    pub error: f64,
    /// `predicted / measured - 1`.
    pub error_as_profiled: f64,
    /// Errors of the steps that compute, over all rounds; `None` if none does.
    pub steps: Option<Errors>,
    /// The median over steps that compute of their span over the time that the hardware was busy: 1 if nothing else
    /// ran on their cores.
    pub isolation: f64,
    /// The largest difference of the outputs from those of a single device, over their magnitude; not known if nothing is
    /// computed, or of outputs that are no numbers, of which an objection tells.
    pub difference: Option<f64>,
}

/// All plans of a run, and whether the predictions hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// The scenario's name.
    pub scenario: String,
    /// What the plans ran on.
    pub backend: String,
    /// The runtime that executed them.
    pub runtime: String,
    /// Whether real hardware computed.
    pub is_real: bool,
    /// Devices of which no hardware took part, if it did of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreal: Vec<String>,
    /// Whether timelines were put together from steps that were timed one by one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_assembled: bool,
    /// Whether predictions are for devices as they were profiled, and not for their speed just before each round.
    pub is_as_profiled: bool,
    /// Devices that are slowed on purpose.
    pub emulated: Vec<String>,
    /// Devices on other machines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boards: Vec<RemoteDevice>,
    /// Devices that were lost meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
    /// By strategy.
    pub comparisons: Vec<Comparison>,
    /// How far the machine repeats itself; `None` if no plan was replayed twice.
    pub floor: Option<NoiseFloor>,
    /// Rank correlation of the makespans that the traces predict and the measured ones (Kendall's tau-b), each distinct
    /// plan once; `None` if all of a side are equal.
    pub kendall_tau: Option<f64>,
    /// What else a reader should know.
    pub notes: Vec<String>,
    /// The largest error of a makespan that passes.
    pub tolerance: f64,
    /// Why the predictions do not hold, or are of no hardware.
    pub objections: Vec<String>,
    /// Why the machine is not steady enough to judge them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<String>,
}

/// Whether predictions hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Nothing speaks against them.
    Valid,
    /// They do not hold, or nothing real was measured.
    Invalid,
    /// The machine does not repeat itself well enough to tell.
    Inconclusive,
}

/// The largest relative difference of outputs that rounding explains.
pub(crate) const DIFFERENCE_MAX: f64 = 1e-4;
/// Above this, other programs took part of the cores' time.
pub(super) const ISOLATION_MAX: f64 = 1.05;
/// A machine drifts by less than this; beyond it, the profile is of something else.
const SPEED_CHANGE_MAX: f64 = 0.25;
/// Shorter steps tell nothing of isolation.
const ISOLATION_TIME_MIN: Duration = Duration::from_nanos(1_000_000);

impl Comparison {
    /// Of a plan that was replayed at least once.
    ///
    /// # Panics
    /// If there is no round.
    pub fn new(plan: &CheckedPlan, replayed: &Replayed) -> Comparison {
        let rounds = &replayed.rounds;
        let measured = sorted(rounds.iter().map(|(round, _)| millis(&round.timeline)));
        let typical = |predicted: &Timeline| millis(predicted) * replayed.stretch;
        let recalibrated = median(rounds.iter().map(|(_, predicted)| typical(predicted)));
        let errors = rounds.iter().map(|(round, predicted)| relative(typical(predicted), millis(&round.timeline)));
        let isolation = median(rounds.iter().flat_map(|(round, _)| stretches(plan, round)));
        let predicted_ms = typical(&replayed.predicted);
        let measured_ms = quantile(&measured, 0.5);
        Comparison {
            strategy: replayed.strategy.clone(),
            same_plan_as: replayed.same_plan_as.clone(),
            predicted_ms,
            recalibrated_ms: recalibrated.expect("there is a round"),
            measured_ms,
            measured_ms_min: measured[0],
            measured_ms_max: measured[measured.len() - 1],
            rounds: rounds.len(),
            error: median(errors).expect("there is a round"),
            error_as_profiled: relative(predicted_ms, measured_ms),
            steps: Errors::of(rounds.iter().flat_map(|(round, predicted)| step_errors(plan, round, predicted))),
            isolation: isolation.unwrap_or(1.0),
            difference: replayed.difference,
        }
    }
}

fn computing(plan: &CheckedPlan) -> impl Iterator<Item = StepId> {
    plan.step_ids().filter(|&step| matches!(plan.step_at(step).action, Action::Compute(_)))
}

/// The errors of the steps of a round that compute.
fn step_errors(plan: &CheckedPlan, round: &Round, predicted: &Timeline) -> impl Iterator<Item = f64> {
    let predicted = |step| predicted.span(step).duration().as_nanos_f64();
    computing(plan).map(move |step| relative(predicted(step), round.duration(step).as_nanos_f64()))
}

/// How many times as long as the hardware was busy the longer steps of a round took.
fn stretches(plan: &CheckedPlan, round: &Round) -> impl Iterator<Item = f64> {
    let spans = computing(plan).map(|step| (round.duration(step), round.busy[step.0 as usize]));
    // Steps that were timed alone are isolated; an assembled timeline stretches them afterwards.
    let is_measured = round.timeline.origin == Origin::Measured;
    let long = spans.filter(move |&(span, _)| is_measured && span >= ISOLATION_TIME_MIN);
    long.map(|(span, busy)| span.as_nanos_f64() / busy.as_nanos_f64().max(1.0))
}

impl Replay {
    /// The replay with its verdict: what speaks against each comparison on hardware is added to the objections.
    pub fn judged(mut self) -> Replay {
        if !self.is_real {
            self.objections.push("no hardware took part".into());
        }
        let unreal = self.unreal.iter().map(|device| format!("no hardware of `{device}` took part"));
        self.objections.extend(unreal);
        if self.is_assembled {
            let reason = "no plan ran as a whole: steps were timed one by one, and transfers, and what steps that run at \
                          once take from each other, are as predicted";
            self.objections.push(reason.into());
        }
        let lost = self.lost.iter().filter(|lost| !lost.is_replanned);
        self.objections.extend(lost.map(Lost::sentence));
        if self.comparisons.is_empty() {
            self.objections.push("no plan was replayed".into());
        }
        // What sleeps instead of computing is neither isolated nor exact, and says nothing of predictions. A plan that several
        // strategies made is judged once.
        let judged = self.distinct().filter(|_| self.is_real);
        let (mut objections, mut doubts, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for comparison in judged {
            objections.extend(comparison.objection());
            doubts.extend(comparison.doubt());
            errors.extend(comparison.excess(self.tolerance));
        }
        if self.is_real && !self.is_assembled && !self.comparisons.is_empty() {
            match &self.floor {
                Some(floor) => doubts.extend(floor.doubt(self.tolerance)),
                None => doubts.push("fewer than two rounds do not show how far this machine repeats itself".into()),
            }
        }
        // What a machine that does not repeat itself shows says nothing of predictions.
        objections.extend(errors.into_iter().filter(|_| doubts.is_empty()));
        self.objections.extend(objections);
        self.doubts.extend(doubts);
        let makespans: Vec<(f64, f64)> =
            self.distinct().map(|comparison| (comparison.predicted_ms, comparison.measured_ms)).collect();
        self.kendall_tau = kendall_tau(&makespans);
        self
    }

    /// The comparisons without those of a plan that an earlier strategy made too.
    pub(crate) fn distinct(&self) -> impl Iterator<Item = &Comparison> {
        self.comparisons.iter().filter(|comparison| comparison.same_plan_as.is_none())
    }

    /// The verdict, and why.
    pub fn sentence(&self) -> String {
        match self.verdict() {
            Verdict::Valid => format!("VALID: every makespan is within {:.1} %", self.tolerance * 100.0),
            Verdict::Invalid => format!("INVALID: {}", self.objections.join("; ")),
            Verdict::Inconclusive => format!("INCONCLUSIVE: {}", self.doubts.join("; ")),
        }
    }

    /// Whether the predictions hold.
    pub fn verdict(&self) -> Verdict {
        match (self.objections.is_empty(), self.doubts.is_empty()) {
            (false, _) => Verdict::Invalid,
            (true, false) => Verdict::Inconclusive,
            (true, true) => Verdict::Valid,
        }
    }
}

impl Comparison {
    /// Why this plan does not do what it should.
    fn objection(&self) -> Option<String> {
        let is_wrong = |difference: &f64| difference.is_nan() || *difference > DIFFERENCE_MAX;
        let difference = self.difference.filter(is_wrong)?;
        Some(format!("{}: outputs differ from a single device's by {difference:.1e}", self.strategy))
    }

    /// Why what it took may say nothing of its prediction.
    fn doubt(&self) -> Option<String> {
        let Comparison { strategy, isolation, .. } = self;
        if *isolation > ISOLATION_MAX {
            return Some(format!("{strategy}: not isolated, steps took {isolation:.2} times their computing time"));
        }
        let speed = self.recalibrated_ms / self.predicted_ms;
        ((speed - 1.0).abs() > SPEED_CHANGE_MAX).then(|| {
            format!("{strategy}: devices took {speed:.2} times as long as they were profiled to; run `coinfer profile`")
        })
    }

    /// That its prediction is off by more than `tolerance`, if it is.
    fn excess(&self, tolerance: f64) -> Option<String> {
        let Comparison { strategy, error, .. } = self;
        let (percent, percent_max) = (error * 100.0, tolerance * 100.0);
        let is_off = error.is_nan() || error.abs() > tolerance;
        is_off.then(|| format!("{strategy}: the makespan is off by {percent:+.1} %, more than {percent_max:.1} %"))
    }
}

impl NoiseFloor {
    /// That equal plans may differ by more than `tolerance`, if they may.
    fn doubt(&self, tolerance: f64) -> Option<String> {
        let (percent, percent_max) = (self.most() * 100.0, tolerance * 100.0);
        (self.most() > tolerance).then(|| {
            format!(
                "equal plans differ by up to {percent:.1} % here (95 % confidence), more than {percent_max:.1} %: replay more \
                 rounds, or make the machine idle"
            )
        })
    }
}

fn millis(timeline: &Timeline) -> f64 {
    timeline.makespan().as_millis_f64()
}

/// `predicted / measured - 1`, or 0 if nothing took time.
pub(crate) fn relative(predicted: f64, measured: f64) -> f64 {
    if measured > 0.0 { predicted / measured - 1.0 } else { 0.0 }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::example::{self, Example};
    use crate::timeline::Span;
    use crate::units::Time;

    /// A plan of two steps on the CPU and on the GPU, a transfer and a join.
    fn run() -> Example {
        example::run(&[(0, 0..4, 0..8), (2, 4..10, 0..8)])
    }

    /// The steps' spans in microseconds.
    fn timeline(origin: Origin, micros: [(u64, u64); 4]) -> Timeline {
        let at = |micros: u64| Time::from_nanos(micros * 1000);
        let spans = micros.map(|(start, end)| Span { start: at(start), end: at(end) });
        Timeline::new(origin, spans.into())
    }

    fn predicted(micros: [(u64, u64); 4]) -> Timeline {
        timeline(Origin::Simulated, micros)
    }

    /// A round whose steps were busy for these microseconds.
    fn round(micros: [(u64, u64); 4], busy: [u64; 4]) -> Round {
        let busy = busy.map(|micros| Duration::from_nanos(micros * 1000)).into();
        Round { timeline: timeline(Origin::Measured, micros), busy, there: vec![] }
    }

    const PLANNED: [(u64, u64); 4] = [(0, 8000), (0, 6000), (6000, 7000), (8000, 8000)];

    /// A makespan of 10 ms where 9 ms were expected for the speed of the devices, and one of 8 ms where 10 were.
    fn replayed() -> Replayed {
        let slow = ([(0, 10_000), (0, 6000), (6000, 7500), (10_000, 10_000)], [(0, 9000), (0, 6600), (7000, 7000)]);
        let fast = ([(0, 8000), (0, 5000), (5000, 6000), (8000, 8000)], [(0, 10_000), (0, 5000), (6000, 6000)]);
        let of = |(measured, [one, two, three]): ([_; 4], [_; 3]), busy| {
            (round(measured, busy), predicted([one, two, three, three]))
        };
        Replayed {
            strategy: "greedy".into(),
            same_plan_as: None,
            predicted: predicted(PLANNED),
            stretch: 1.0,
            rounds: vec![of(slow, [10_000, 5000, 10, 0]), of(fast, [8000, 5000, 10, 0])],
            difference: Some(1e-6),
        }
    }

    #[test]
    fn figures_of_a_plan_are_those_of_its_rounds() {
        let comparison = Comparison::new(&run().plan, &replayed());
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        near(comparison.predicted_ms, 8.0);
        near(comparison.recalibrated_ms, 9.5);
        near(comparison.measured_ms, 9.0);
        assert_eq!((comparison.measured_ms_min, comparison.measured_ms_max, comparison.rounds), (8.0, 10.0, 2));
        near(comparison.error, (-0.1 + 0.25) / 2.0);
        near(comparison.error_as_profiled, 8.0 / 9.0 - 1.0);
        // Only steps that compute count, in every round: 9/10, 6.6/6, 10/8 and 5/5.
        let steps = comparison.steps.unwrap();
        assert_eq!(steps.count, 4);
        near(steps.max, 0.25);
        near(steps.median, 0.1);
        // 1, 1.2, 1 and 1.
        near(comparison.isolation, 1.0);
    }

    #[test]
    fn plans_that_take_longer_where_times_vary_are_predicted_so_and_steps_are_not() {
        let (plain, stretched) = (replayed(), Replayed { stretch: 1.5, ..replayed() });
        let [plain, stretched] = [plain, stretched].map(|replayed| Comparison::new(&run().plan, &replayed));
        assert_eq!(stretched.predicted_ms, plain.predicted_ms * 1.5);
        assert_eq!(stretched.recalibrated_ms, plain.recalibrated_ms * 1.5);
        assert!((stretched.error - ((plain.error + 1.0) * 1.5 - 1.0)).abs() < 1e-12);
        assert_eq!(stretched.steps, plain.steps);
    }

    #[test]
    fn steps_below_a_millisecond_say_nothing_of_isolation() {
        let short = [(0, 900), (0, 1200), (6000, 7000), (7000, 7000)];
        let rounds = vec![(round(short, [90, 1000, 0, 0]), predicted(PLANNED))];
        let comparison = Comparison::new(&run().plan, &Replayed { rounds, ..replayed() });
        assert!((comparison.isolation - 1.2).abs() < 1e-12, "{}", comparison.isolation);
    }

    #[test]
    fn steps_that_take_no_time_give_finite_figures() {
        let nothing = [(0, 0); 4];
        let rounds = vec![(round(nothing, [0; 4]), predicted(PLANNED))];
        let comparison = Comparison::new(&run().plan, &Replayed { rounds, ..replayed() });
        assert_eq!((comparison.error, comparison.error_as_profiled, comparison.isolation), (0.0, 0.0, 1.0));
    }

    /// A comparison that confirms its prediction, and what is told of it after `change`.
    fn verdict(change: impl FnOnce(&mut Replay)) -> Vec<String> {
        let mut comparison = Comparison::new(&run().plan, &replayed());
        comparison.error = 0.05;
        let floor = NoiseFloor::of("greedy", [(1.0, 1.0); 2]);
        let mut replay = Replay { comparisons: vec![comparison], floor, ..example::replay() };
        change(&mut replay);
        let replay = replay.judged();
        let expected = match (replay.objections.as_slice(), replay.doubts.as_slice()) {
            ([], []) => Verdict::Valid,
            ([], _) => Verdict::Inconclusive,
            _ => Verdict::Invalid,
        };
        assert_eq!(replay.verdict(), expected);
        [replay.objections, replay.doubts].concat()
    }

    #[test]
    fn predictions_hold_if_nothing_speaks_against_them() {
        assert_eq!(verdict(|_| {}), Vec::<String>::new());
        assert_eq!(verdict(|replay| replay.comparisons[0].error = -0.1), Vec::<String>::new());
        assert_eq!(verdict(|replay| replay.comparisons[0].difference = None), Vec::<String>::new());
        assert_eq!(verdict(|replay| replay.comparisons[0].difference = Some(1e-4)), Vec::<String>::new());
    }

    #[test]
    fn whatever_speaks_against_predictions_is_told() {
        assert_eq!(verdict(|replay| replay.is_real = false), ["no hardware took part"]);
        assert_eq!(verdict(|replay| replay.comparisons.clear()), ["no plan was replayed"]);
        assert_eq!(
            verdict(|replay| replay.floor = None),
            ["fewer than two rounds do not show how far this machine repeats itself"]
        );
        assert_eq!(verdict(|replay| replay.objections.push("a foreign trace".into())), ["a foreign trace"]);
        assert_eq!(
            verdict(|replay| replay.comparisons[0].error = -0.1001),
            ["greedy: the makespan is off by -10.0 %, more than 10.0 %"]
        );
        assert_eq!(
            verdict(|replay| replay.comparisons[0].error = f64::NAN),
            ["greedy: the makespan is off by NaN %, more than 10.0 %"]
        );
        assert_eq!(
            verdict(|replay| replay.comparisons[0].isolation = 1.06),
            ["greedy: not isolated, steps took 1.06 times their computing time"]
        );
        for (difference, shown) in [(1.1e-4, "1.1e-4"), (f64::NAN, "NaN"), (f64::INFINITY, "inf")] {
            assert_eq!(
                verdict(|replay| replay.comparisons[0].difference = Some(difference)),
                [format!("greedy: outputs differ from a single device's by {shown}")]
            );
        }
    }

    #[test]
    fn a_machine_that_does_not_repeat_itself_neither_confirms_nor_refutes() {
        let floor = |share: f64| NoiseFloor::of("exact", [(1.0, 1.0 + share), (1.0, 1.0 + share)]);
        let judged = |floor: Option<NoiseFloor>, error: f64, isolation: f64| {
            let mut comparison = Comparison::new(&run().plan, &replayed());
            (comparison.error, comparison.isolation) = (error, isolation);
            Replay { comparisons: vec![comparison], floor, ..example::replay() }.judged()
        };
        assert_eq!(judged(floor(0.09), 0.05, 1.0).verdict(), Verdict::Valid);
        assert_eq!(judged(floor(0.09), 0.15, 1.0).verdict(), Verdict::Invalid);
        for error in [0.05, 0.15] {
            let replay = judged(floor(0.11), error, 1.0);
            assert_eq!((replay.verdict(), replay.objections.len()), (Verdict::Inconclusive, 0));
            let said = "equal plans differ by up to 11.0 % here (95 % confidence), more than 10.0 %: replay more rounds, or \
                        make the machine idle";
            assert_eq!(replay.doubts, [said]);
            assert_eq!(judged(floor(0.0), error, 1.06).verdict(), Verdict::Inconclusive);
        }
        let mut wrong = judged(floor(0.11), 0.05, 1.0);
        wrong.comparisons[0].difference = Some(1.0);
        assert_eq!(wrong.judged().verdict(), Verdict::Invalid, "outputs are wrong on any machine");
    }

    #[test]
    fn each_distinct_plan_counts_once_in_the_ranking_of_what_was_predicted_as_profiled() {
        let comparison = Comparison::new(&run().plan, &replayed());
        let of = |predicted_ms, measured_ms, same: Option<&str>| Comparison {
            predicted_ms,
            measured_ms,
            recalibrated_ms: -predicted_ms,
            same_plan_as: same.map(str::to_owned),
            ..comparison.clone()
        };
        let tau = |comparisons| Replay { comparisons, ..example::replay() }.judged().kendall_tau;
        // The second measurement of the same plan would make a tie that is none.
        let all = vec![of(1.0, 10.0, None), of(1.0, 35.0, Some("greedy")), of(2.0, 20.0, None), of(3.0, 30.0, None)];
        assert_eq!(tau(all), Some(1.0));
        assert_eq!(tau(vec![of(1.0, 10.0, None), of(1.0, 35.0, Some("greedy"))]), None);
    }
}
