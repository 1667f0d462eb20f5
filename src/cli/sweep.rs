//! `coinfer sweep`: simulates a scenario at every point of its sweep, several points at a time.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use rayon::prelude::*;

use super::evaluate::{Evaluated, evaluate};
use super::replay::{Candidate, ReplayArgs, replay};
use super::results::Results;
use super::run::Format;
use super::{Error, ScenarioArgs, Terminal};
use crate::report::{Failure, Outcome, ReplayedPoint, ResultRow, plot, results_csv, sweep_json, sweep_table};
use crate::report::{replay_sweep_csv, replay_sweep_json, replay_sweep_table};
use crate::scenario::{Diagnostics, Point, Scenario};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer sweep scenarios/kcc2020-vgg16-sweep.toml\n  \
                        coinfer sweep scenarios/kcc2020-vgg16.toml --set load.offline.samples=1..=256*2 --jobs 2")]
pub(super) struct Sweep {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Points simulated at a time; as many as there are cores if absent
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Folder for results; they go to DIR/<scenario>/sweep-<run>
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Also run each plan on the cores of this machine, point after point, and compare the times with the prediction
    #[arg(long)]
    replay: bool,
    #[command(flatten)]
    options: ReplayArgs,
}

/// More threads only wait for each other.
const JOBS_MAX: usize = 1024;

/// What a strategy did at one point.
type Attempt = Result<Outcome, Failure>;

impl Sweep {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let ScenarioArgs { scenario: path, overrides } = &self.scenario;
        let scenario = Scenario::read_sweep(path, overrides)?;
        let points = scenario.points()?;
        let results = Results::begin(
            &self.out,
            if self.replay { "sweep-replay-" } else { "sweep-" },
            "sweep",
            &scenario,
            overrides,
        )?;

        let progress = terminal.progress(points.len() as u64, "points");
        // 0 leaves the choice to rayon; more threads than points would have nothing to do.
        let threads = self.jobs.map_or(0, |jobs| jobs.get().min(points.len()).min(JOBS_MAX));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| Error::Failed(format!("cannot start {threads} threads: {error}")))?;
        let of_point = |point| {
            let case = scenario.case_at(point)?;
            let outcomes = evaluate(&case, None).into_iter().map(|run| run.map(|run: Evaluated| run.outcome));
            progress.inc(1);
            Ok(outcomes.collect())
        };
        let outcomes: Result<Vec<Vec<Attempt>>, Diagnostics> =
            pool.install(|| points.par_iter().map(of_point).collect());
        progress.finish_and_clear();
        let outcomes = outcomes?;

        let settings: Vec<Vec<(String, String)>> = points.iter().map(settings).collect();
        let rows: Vec<ResultRow<'_>> = settings
            .iter()
            .zip(&outcomes)
            .flat_map(|(settings, outcomes)| {
                outcomes.iter().map(|outcome| ResultRow { settings, result: outcome.as_ref() })
            })
            .collect();
        let csv = results_csv(&rows);
        results.write("results.csv", &csv)?;
        write_figure(&results, scenario.name(), &csv)?;
        let replayed = if self.replay { Some(self.replay(&results, &scenario, &points, terminal)?) } else { None };
        let folder = results.commit()?;
        terminal.print(match (self.format, &replayed) {
            (Format::Table, None) => sweep_table(scenario.name(), &rows, terminal.is_bold()).into_bytes(),
            (Format::Csv, None) => csv,
            (Format::Json, None) => sweep_json(scenario.name(), &rows).into_bytes(),
            (Format::Table, Some(replayed)) => replay_sweep_table(replayed, terminal.is_bold()).into_bytes(),
            (Format::Csv, Some(replayed)) => replay_sweep_csv(replayed),
            (Format::Json, Some(replayed)) => replay_sweep_json(replayed).into_bytes(),
        })?;
        terminal.tell(&format!("results in {}", folder.display()));
        let failures: Vec<&Failure> = rows.iter().filter_map(|row| row.result.err()).collect();
        let Some(Failure { strategy, reason }) = failures.first() else {
            return Ok(());
        };
        let (failed, all) = (failures.len(), rows.len());
        Err(Error::Failed(format!("{failed} of {all} results failed; the first: {strategy}: {reason}")))
    }
}

impl Sweep {
    /// Replays the plans of every point, one point at a time: the cores are needed for measuring.
    fn replay(
        &self,
        results: &Results,
        scenario: &Scenario,
        points: &[Point],
        terminal: &Terminal,
    ) -> Result<Vec<ReplayedPoint>, Error> {
        let mut replayed = Vec::new();
        for (index, point) in points.iter().enumerate() {
            let settings = settings(point);
            let shown: Vec<String> = settings.iter().map(|(path, value)| format!("{path}={value}")).collect();
            terminal.tell(&format!("point {} of {}: {}", index + 1, points.len(), shown.join(" ")));
            let case = scenario.case_at(point)?;
            let evaluated = evaluate(&case, None);
            let candidates: Vec<Candidate<'_>> = evaluated.iter().flatten().map(Candidate::from).collect();
            let replays = replay(scenario.name(), &case, &candidates, &self.options, terminal)?;
            replayed.push(ReplayedPoint { settings, replay: replays.replay });
        }
        results.write("replay.csv", replay_sweep_csv(&replayed))?;
        results.write("replay.json", replay_sweep_json(&replayed))?;
        Ok(replayed)
    }
}

fn settings(point: &Point) -> Vec<(String, String)> {
    point.settings().iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// Draws the throughput where a setting with numbers is swept.
fn write_figure(results: &Results, title: &str, csv: &[u8]) -> Result<(), Error> {
    if let Some(figure) = plot::throughput_figure(title, csv) {
        results.write(&format!("{}.svg", figure.path), figure.svg)?;
    }
    Ok(())
}
