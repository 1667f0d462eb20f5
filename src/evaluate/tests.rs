//! Tests of what strategies are asked.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::*;
use crate::plan::Plan;
use crate::problem::{Profiling, SearchCost};
use crate::scenario::Scenario;
use crate::strategy::{PlanError, Strategy};

/// Plans as `single` does, and keeps for how many samples it was asked.
#[derive(Default)]
struct Counting(Arc<Mutex<Vec<u32>>>);

impl Strategy for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        self.0.lock().unwrap().push(problem.samples());
        // Strategies share their work among the threads that run replications.
        let plans: Vec<_> = (0..8).into_par_iter().map(|_| Single::default().plan(problem)).collect();
        plans.into_iter().next().expect("there are several")
    }
}

/// How often `counting` plans in a scenario with such changes, and what came of it.
fn counted(file: &str, overrides: &[&str], profiling: Option<Profiling>) -> (Vec<u32>, Evaluated) {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    let mut case = Scenario::read(Path::new(file), &overrides).unwrap().case().unwrap();
    case.profiling = profiling;
    let counting = Counting::default();
    let asked = counting.0.clone();
    let entry = Entry { name: "counting".into(), strategy: Box::new(counting) };
    let evaluated = Reference::of(&case).evaluate(&case, &entry).unwrap();
    let asked = asked.lock().unwrap().clone();
    (asked, evaluated)
}

#[test]
fn a_strategy_plans_once_and_what_it_asked_is_known_from_that() {
    let build = Duration::from_nanos(1_000_000);
    let profiling = Profiling { build, session: Duration::ZERO, warm_up: 0, repeats: 1 };
    let (asked, evaluated) = counted("tests/broken/sound.toml", &[], None);
    assert_eq!((asked.len(), evaluated.outcome.search), (1, None));
    let (asked, evaluated) = counted("tests/broken/sound.toml", &[], Some(profiling));
    assert_eq!(asked.len(), 1);
    assert!(evaluated.outcome.search.is_some_and(|search: SearchCost| search.profiles > 0));
}

#[test]
fn replications_share_plans_on_any_number_of_threads() {
    let serve = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let server = "scenarios/kcc2020-vgg16-server.toml";
        let (asked, evaluated) =
            pool.install(|| counted(server, &["load.server.queries=200", "replications.max=20"], None));
        (asked, evaluated.outcome)
    };
    let (asked, alone) = serve(1);
    let distinct: std::collections::BTreeSet<u32> = asked.iter().copied().collect();
    assert!(distinct.len() > 1 && alone.chance.is_some(), "there are batches and replications");
    assert_eq!(distinct.len(), asked.len(), "no number of samples is planned twice: {asked:?}");
    // With more threads than replications run at a time, each planning on all of them, nobody waits for itself.
    assert_eq!(serve(20).1, alone);
}
