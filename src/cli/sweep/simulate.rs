//! Simulates points, several at a time, and keeps each as soon as it is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use rayon::prelude::*;

use super::record::{Attempt, Record};
use super::store::Store;
use crate::cli::Error;
use crate::cli::caught::caught;
use crate::evaluate::{Evaluated, Reference};
use crate::metrics::Failure;
use crate::scenario::{Case, Points, Scenario};

/// Simulates the points that `store` does not have, on the threads of the current pool. Returns early once `stop` is
/// set, when points in flight are done.
pub(super) fn simulate(
    scenario: &Scenario,
    points: &Points,
    store: &mut Store,
    stop: &AtomicBool,
    progress: &ProgressBar,
) -> Result<(), Error> {
    let missing = store.missing();
    let store = Mutex::new(store);
    // One point at a time: some take a thousand times as long as others.
    missing.par_iter().with_max_len(1).try_for_each(|&position| {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let line = simulated(scenario, points, position)?;
        store.lock().unwrap_or_else(PoisonError::into_inner).add(position, &line)?;
        progress.inc(1);
        Ok(())
    })
}

/// The line of the point at `position`.
pub(super) fn simulated(scenario: &Scenario, points: &Points, position: usize) -> Result<String, Error> {
    let point = points.point(position);
    let (results, panicked) = attempts(&scenario.case_at(&point)?, |run| run.outcome);
    Ok(line(points, position, results, panicked))
}

/// The line that says what came of the point at `position`.
pub(super) fn line(points: &Points, position: usize, results: Vec<Attempt>, panicked: bool) -> String {
    Record::new(&points.point(position), results).line(points.key(position), points.index(position), panicked)
}

/// What is kept of what each strategy did, and whether one panicked.
pub(in crate::cli) fn attempts<T>(case: &Case, keep: impl Fn(Evaluated) -> T) -> (Vec<Result<T, Failure>>, bool) {
    let mut panicked = false;
    let mut failure = |strategy: &str, reason: String| {
        panicked = true;
        Failure::new(strategy, &reason)
    };
    let results = match caught(|| Reference::of(case)) {
        Ok(reference) => {
            let attempt = |entry: &crate::scenario::Entry| match caught(|| reference.evaluate(case, entry)) {
                Ok(result) => result.map(&keep).map_err(|error| Failure::new(&entry.name, &error)),
                Err(reason) => Err(failure(&entry.name, reason)),
            };
            case.strategies.iter().map(attempt).collect()
        }
        Err(reason) => case.strategies.iter().map(|entry| Err(failure(&entry.name, reason.clone()))).collect(),
    };
    (results, panicked)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::Plan;
    use crate::problem::Problem;
    use crate::scenario::Entry;
    use crate::strategy::{PlanError, Strategy};

    struct Panicking;

    impl Strategy for Panicking {
        fn name(&self) -> &'static str {
            "panicking"
        }

        fn plan(&self, _: &Problem) -> Result<Plan, PlanError> {
            panic!("no samples are left")
        }
    }

    #[test]
    fn a_strategy_that_panics_fails_and_the_others_have_their_results() {
        let scenario = Scenario::read(Path::new("tests/broken/sound.toml"), &[]).unwrap();
        let mut case = scenario.case().unwrap();
        case.strategies.insert(1, Entry { name: "bad".into(), strategy: Box::new(Panicking) });
        let (results, panicked) = attempts(&case, |run| run.outcome);
        assert!(panicked);
        assert!(results[0].is_ok() && results[2].is_ok());
        let Failure { strategy, reason } = results[1].as_ref().unwrap_err();
        assert_eq!(strategy, "bad");
        assert!(reason.contains("simulate.rs") && reason.contains("no samples are left"), "{reason}");
    }
}
