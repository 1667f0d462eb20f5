//! `coinfer sweep`: simulates a scenario at every point of its sweep, several points at a time.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use rayon::prelude::*;

use super::evaluate::{Evaluated, evaluate};
use super::results::Results;
use super::run::Format;
use super::{Error, ScenarioArgs, Terminal};
use crate::report::{Failure, Outcome, ResultRow, plot, results_csv, sweep_json, sweep_table};
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
        let results = Results::begin(&self.out, "sweep-", "sweep", &scenario, overrides)?;

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
        write_figure(&results, scenario.name(), &rows)?;
        let folder = results.commit()?;
        terminal.print(match self.format {
            Format::Table => sweep_table(scenario.name(), &rows, terminal.is_bold()).into_bytes(),
            Format::Csv => csv,
            Format::Json => sweep_json(scenario.name(), &rows).into_bytes(),
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

fn settings(point: &Point) -> Vec<(String, String)> {
    point.settings().iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// Draws throughput against the batch where the sweep is over nothing else.
fn write_figure(results: &Results, title: &str, rows: &[ResultRow<'_>]) -> Result<(), Error> {
    let rows = plot::throughput_rows(rows);
    if !rows.is_empty() {
        results.write("throughput.csv", plot::throughput_csv(&rows))?;
        results.write("throughput.svg", plot::throughput_svg(title, &rows))?;
    }
    Ok(())
}
