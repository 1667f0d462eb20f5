//! `coinfer sweep`: simulates a scenario at every point of its sweep, several points at a time.

mod again;
mod cluster;
mod dry_run;
mod hyperqueue;
mod record;
mod replay;
mod shard;
mod simulate;
mod slurm;
mod store;
mod write;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::Args;

use super::hardware::interruption;
use super::merge::merge;
use super::replay::ReplayArgs;
use super::results::{Origin, Results};
use super::run::Format;
use super::{Error, Terminal};
use crate::measure::check_load;
use crate::output::{replay_sweep_csv, replay_sweep_json, replay_sweep_table};
use crate::scenario::{Overrides, Points, Scenario};

pub(super) use record::{Attempt, Head, Line};
pub(super) use simulate::attempts;
pub(super) use write::{Lines, print, verdict, write};

use cluster::SweepParts;
use shard::Shard;
use store::{Start, Store};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer sweep scenarios/kcc2020-vgg16-sweep.toml\n  \
                        coinfer sweep scenarios/kcc2020-vgg16.toml --set load.offline.samples=1..=256*2 --seeds 5\n  \
                        coinfer sweep scenarios/kcc2020-vgg16-sweep.toml --resume\n  \
                        coinfer sweep scenarios/kcc2020-vgg16-sweep.toml --slurm 20 --submit --slurm-option time=60\n\n\
                        Each point is kept as soon as it is done, in DIR/<scenario>/sweep-<run>.journal. After Ctrl-C, \
                        a crash or a change of the scenario or of a trace, --resume computes only what is missing.\n\
                        Exit codes: 0 done, 1 failed, 2 wrong input, 3 some results failed, 4 a replay is \
                        inconclusive, 130 interrupted")]
pub(super) struct Sweep {
    /// Scenario file
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    #[command(flatten)]
    changes: Changes,
    /// Points simulated at a time; as many as there are cores if absent
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Go on with what an interrupted sweep has done, and with what no change has touched
    #[arg(long)]
    resume: bool,
    /// Forget what an interrupted sweep has done
    #[arg(long, conflicts_with = "resume")]
    fresh: bool,
    /// List what would be done and estimate how long it takes
    #[arg(long)]
    dry_run: bool,
    /// Do one of several parts, such as 2/8, which `coinfer merge` joins
    #[arg(long, value_name = "I/N", conflicts_with_all = ["replay", "format"])]
    shard: Option<Shard>,
    #[command(flatten)]
    engine: EngineArgs,
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

/// What is swept, besides what the scenario says.
#[derive(Clone, Debug, Args)]
struct Changes {
    /// Set a value of the scenario, or several: a.b=1,2,3, a.b=1..=64 or a.b=1..=2048*2, which doubles
    #[arg(long, value_name = "KEY=VALUES")]
    set: Vec<String>,
    /// Values that advance together with those of every other --zip
    #[arg(long, value_name = "KEY=VALUES")]
    zip: Vec<String>,
    /// Leave out the points with all of these values
    #[arg(long, value_name = "KEY=VALUE,..")]
    exclude: Vec<String>,
    /// Seeds to run every point with: how many, or several such as 1..=20
    #[arg(long, value_name = "SEEDS")]
    seeds: Option<String>,
}

impl Changes {
    fn overrides(&self) -> Overrides {
        let Changes { set, zip, exclude, seeds } = self.clone();
        Overrides { set, zip, exclude, seeds }
    }

    /// All of them as text, for provenance.
    fn settings(&self) -> Vec<String> {
        let named = |name: &'static str, texts: &[String]| -> Vec<String> {
            texts.iter().map(|text| format!("{name} = {text}")).collect()
        };
        let seeds = named("--seeds", self.seeds.as_slice());
        [self.set.clone(), named("--zip", &self.zip), seeds, named("--exclude", &self.exclude)].concat()
    }
}

/// Engines of others that do the parts of a sweep.
#[derive(Clone, Debug, Args)]
struct EngineArgs {
    /// Write a Slurm job array of N parts, and a job that joins them
    #[arg(long, value_name = "N", conflicts_with_all = ["hyperqueue", "shard", "replay", "fresh", "dry_run"])]
    slurm: Option<NonZeroUsize>,
    /// With --slurm: submit both by sbatch
    #[arg(long, requires = "slurm")]
    submit: bool,
    /// With --slurm: an option of sbatch, such as partition=short or time=60
    #[arg(long, value_name = "OPTION", requires = "slurm")]
    slurm_option: Vec<String>,
    /// Submit N parts to HyperQueue by hq, wait for them, and join them
    #[arg(long, value_name = "N", conflicts_with_all = ["shard", "replay", "fresh", "dry_run"])]
    hyperqueue: Option<NonZeroUsize>,
}

/// More threads only wait for each other.
const JOBS_MAX: usize = 1024;

impl Sweep {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let scenario = Scenario::read_sweep(&self.scenario, &self.changes.overrides())?;
        // 0 leaves the choice to rayon.
        let threads = self.jobs.map_or(0, |jobs| jobs.get().min(JOBS_MAX));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| Error::Failed(format!("cannot start {threads} threads: {error}")))?;
        pool.install(|| self.execute_with(&scenario, terminal))
    }

    fn execute_with(&self, scenario: &Scenario, terminal: &Terminal) -> Result<(), Error> {
        let shard = self.shard.unwrap_or_default();
        let points = scenario.points_of(shard.stride())?;
        shard.check(&points)?;
        if self.replay {
            points.iter().try_for_each(|point| check_load(&scenario.case_at(&point)?.problem))?;
        }
        let origin = Origin::of_scenario("sweep", scenario, &self.changes.settings());
        let head = Head::new(&origin, shard.numbers(), points.sweep_len());
        let folder = self.out.join(scenario.name());
        if self.dry_run {
            return dry_run::dry_run(scenario, &points, &folder, &head, terminal);
        }
        if let Some(count) = self.engine.slurm {
            let parts = SweepParts::new(self, scenario, &head, count.get())?;
            return slurm::slurm(&parts, &self.engine.slurm_option, self.engine.submit, terminal);
        }
        if let Some(count) = self.engine.hyperqueue {
            let parts = SweepParts::new(self, scenario, &head, count.get())?;
            hyperqueue::hyperqueue(&parts, terminal)?;
            return merge(&parts.journals(), false, self.format, parts.out(), terminal);
        }
        let prefix = if self.replay { "sweep-replay-" } else { "sweep-" };
        let results = match self.shard {
            None => Some(Results::of_origin(&folder, prefix, origin)?),
            Some(_) => None,
        };
        let start = match (self.resume, self.fresh) {
            (true, _) => Start::Resume,
            (_, true) => Start::Fresh,
            _ => Start::Careful,
        };
        let mut store = Store::open(&folder, &head, &points, start, terminal)?;
        let replayed = match &results {
            Some(results) if self.replay => {
                Some(replay::replay_points(results, scenario, &points, &mut store, &self.options, terminal)?)
            }
            _ => {
                simulate(scenario, &points, &mut store, terminal)?;
                None
            }
        };
        let read = &mut |position| store.line(position);
        let mut lines = Lines { count: points.len(), read };
        let Some(results) = results else {
            let table = lines.table()?;
            let path = store.complete()?;
            terminal.print(format!("{}\n", path.display()))?;
            return verdict(&table);
        };
        let table = write(&results, scenario.name(), &mut lines)?;
        let folder = results.commit()?;
        match (self.format, &replayed) {
            (format, None) => print(format, scenario.name(), &table, &mut lines, &folder, terminal)?,
            (Format::Table, Some(replayed)) => terminal.print(replay_sweep_table(replayed, terminal.is_bold()))?,
            (Format::Csv, Some(replayed)) => terminal.print(replay_sweep_csv(replayed))?,
            (Format::Json, Some(replayed)) => terminal.print(replay_sweep_json(replayed))?,
        }
        store.complete()?;
        terminal.tell(&format!("results in {}", folder.display()));
        verdict(&table)?;
        replayed.map_or(Ok(()), |replayed| replay::conclusion(&replayed))
    }
}

/// Simulates what `store` does not have, unless the user stops it.
fn simulate(scenario: &Scenario, points: &Points, store: &mut Store, terminal: &Terminal) -> Result<(), Error> {
    let stop = interruption();
    let progress = terminal.progress((points.len() - store.done()) as u64, "points");
    let outcome = simulate::simulate(scenario, points, store, stop, &progress);
    progress.finish_and_clear();
    outcome?;
    store.sync()?;
    let (done, all) = (store.done(), points.len());
    if done < all && stop.load(Ordering::Relaxed) {
        let command = again::resuming(std::env::args_os());
        return Err(Error::Stopped(format!("{done} of {all} points are done; go on with:\n  {command}")));
    }
    Ok(())
}
