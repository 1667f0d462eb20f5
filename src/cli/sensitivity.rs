//! `coinfer sensitivity`: what results owe to constants of a scenario, scaled one at a time.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::{Args, ValueEnum};
use rayon::prelude::*;

use super::hardware::interruption;
use super::results::Results;
use super::run::{Format, baseline_name};
use super::sweep::{Attempt, attempts};
use super::{Error, ScenarioArgs, Terminal};
use crate::figures::Width;
use crate::figures::tornados;
use crate::metrics::{Failure, Outcome};
use crate::output::{Effect, Gauge, Sensitivity};
use crate::output::{sensitivity_csv, sensitivity_json, sensitivity_table};
use crate::scenario::{Case, Constants, End, Scenario, Study};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer sensitivity scenarios/legion-vgg16.toml --vary devices.f.speed.rate \
                        --vary switches.lan.bandwidth\n  \
                        coinfer sensitivity scenarios/legion-vgg16.toml --vary devices.f.speed.step --by 50 \
                        --strategy legion --figure-of makespan\n\n\
                        One constant at a time is scaled by 1 - P/100 and by 1 + P/100; everything else stays, and the \
                        strategies plan anew. Speed-ups are over the baseline with the same constants.\n\
                        Exit codes: 0 done, 1 failed, 2 wrong input, 3 some results failed, 130 interrupted")]
pub(super) struct Sensitivities {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Constant to scale: a path as in --set to a number, or to a text with a number and a unit
    #[arg(long, value_name = "KEY", required = true)]
    vary: Vec<String>,
    /// By how many percent constants become less and more, from 1 to 90
    #[arg(long, value_name = "P", default_value = "20")]
    by: String,
    /// Only this strategy; all of the scenario if absent
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
    /// Which figure to look at; the speed-up if absent, or the makespan where there is no baseline
    #[arg(long, value_enum, value_name = "FIGURE")]
    figure_of: Option<FigureOf>,
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Folder for results; they go to DIR/<scenario>/sensitivity-<run>
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
}

/// What constants have an effect on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FigureOf {
    /// The baseline's makespan over that of the strategy
    Speedup,
    /// Time from the first start to the last end
    Makespan,
}

impl Sensitivities {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let ScenarioArgs { scenario: path, overrides } = &self.scenario;
        let scenario = Scenario::read(path, overrides)?;
        let study = Study { vary: self.vary.clone(), by: self.by.clone(), strategy: self.strategy.clone() };
        let constants = scenario.constants(&study)?;
        let settings = [overrides.as_slice(), &self.settings()].concat();
        let points = self.simulate(&scenario, &constants, terminal)?;
        let gauge = self.gauge(&points[0])?;
        let results = Results::begin(&self.out, "sensitivity-", "sensitivity", &scenario, &settings)?;
        let effects = effects(&constants, gauge, &points);
        let found = Sensitivity::new(scenario.name(), &baseline_name(&scenario.case()?), effects);
        let csv = sensitivity_csv(&found.effects);
        results.write("sensitivity.csv", &csv)?;
        for figure in tornados(scenario.name(), &found.effects, Width::Page) {
            results.write(&format!("{}.svg", figure.path), figure.svg)?;
        }
        let folder = results.commit()?;
        match self.format {
            Format::Table => terminal.print(sensitivity_table(&found, terminal.is_bold()))?,
            Format::Csv => terminal.print(csv)?,
            Format::Json => terminal.print(sensitivity_json(&found))?,
        }
        terminal.tell(&format!("results in {}", folder.display()));
        verdict(&points)
    }

    /// What the results depend on besides the scenario, for provenance.
    fn settings(&self) -> Vec<String> {
        let vary = self.vary.iter().map(|key| format!("--vary = {}", key.trim()));
        let strategy = self.strategy.iter().map(|name| format!("--strategy = {name}"));
        let figure = self.figure_of.iter().map(|figure| format!("--figure-of = {figure:?}").to_lowercase());
        vary.chain([format!("--by = {}", self.by.trim())]).chain(strategy).chain(figure).collect()
    }

    /// What each strategy does as things stand, and then with each constant less and more.
    fn simulate(
        &self,
        scenario: &Scenario,
        constants: &Constants,
        terminal: &Terminal,
    ) -> Result<Vec<Vec<Attempt>>, Error> {
        let ends = constants.all.iter().flat_map(|constant| [Some((constant, End::Low)), Some((constant, End::High))]);
        let points: Vec<_> = [None].into_iter().chain(ends).collect();
        let stop = interruption();
        let progress = terminal.progress(points.len() as u64, "points");
        let simulated = |point: &Option<_>| {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let case = match *point {
                None => scenario.case()?,
                Some((constant, end)) => scenario.case_with(constant, end)?,
            };
            let (results, _) = attempts(&self.asked_for(case), |run| run.outcome);
            progress.inc(1);
            Ok(results)
        };
        // One point at a time: some take longer than others.
        let found = points.par_iter().with_max_len(1).map(simulated).collect();
        progress.finish_and_clear();
        found
    }

    /// The case with the strategies that count.
    fn asked_for(&self, mut case: Case) -> Case {
        if let Some(name) = &self.strategy {
            case.strategies.retain(|entry| entry.name == *name);
        }
        case
    }

    /// The figure asked for, or the one that there is as things stand.
    fn gauge(&self, base: &[Attempt]) -> Result<Gauge, Error> {
        let has_speedup = base.iter().flatten().any(|outcome| outcome.speedup.is_some());
        match self.figure_of {
            Some(FigureOf::Speedup) if !has_speedup && base.iter().any(Result::is_ok) => Err(Error::Usage(
                "--figure-of speedup: there are no speed-ups, since the load has no baseline, or that has no result; \
                 use --figure-of makespan"
                    .into(),
            )),
            Some(FigureOf::Speedup) => Ok(Gauge::Speedup),
            Some(FigureOf::Makespan) => Ok(Gauge::MakespanMs),
            None if has_speedup => Ok(Gauge::Speedup),
            None => Ok(Gauge::MakespanMs),
        }
    }
}

/// What each constant does to each strategy, strategy after strategy. Of `points`, the first is the scenario as it
/// stands, and two follow for each constant.
fn effects(constants: &Constants, gauge: Gauge, points: &[Vec<Attempt>]) -> Vec<Effect> {
    let (base, ends) = points.split_first().expect("the scenario as it stands is a point");
    let strategies = 0..base.len();
    let of_strategy = strategies.flat_map(|strategy| {
        constants.all.iter().zip(ends.chunks_exact(2)).map(move |(constant, ends)| {
            let attempts = [&ends[0][strategy], &base[strategy], &ends[1][strategy]];
            let words = ["less", "as it stands", "more"].into_iter().zip(attempts);
            let reasons: Vec<String> = words
                .filter_map(|(word, attempt)| Some(format!("{word}: {}", attempt.as_ref().err()?.reason)))
                .collect();
            Effect {
                strategy: name(&base[strategy]).to_owned(),
                key: constant.key().to_owned(),
                percent: constants.percent,
                values: constant.values(),
                gauge,
                figures: attempts.map(|attempt| figure(gauge, attempt.as_ref().ok()?)),
                error: (!reasons.is_empty()).then(|| reasons.join("; ")),
            }
        })
    });
    of_strategy.collect()
}

fn name(attempt: &Attempt) -> &str {
    match attempt {
        Ok(outcome) => &outcome.strategy,
        Err(failure) => &failure.strategy,
    }
}

fn figure(gauge: Gauge, outcome: &Outcome) -> Option<f64> {
    match gauge {
        Gauge::Speedup => outcome.speedup,
        Gauge::MakespanMs => Some(outcome.makespan.as_millis_f64()),
    }
}

/// How the command ends once its results are in place: not well if some of them failed.
fn verdict(points: &[Vec<Attempt>]) -> Result<(), Error> {
    let all = points.iter().flatten();
    let (count, mut failures) = (all.clone().count(), all.filter_map(|attempt| attempt.as_ref().err()).peekable());
    let Some(Failure { strategy, reason }) = failures.peek().copied() else { return Ok(()) };
    let failed = failures.count();
    Err(Error::Partial(format!("{failed} of {count} results failed; the first: {strategy}: {reason}")))
}
