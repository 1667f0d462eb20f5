//! What holds when queries arrive, times vary and devices break.

use coinfer::engine::{Fate, Issue, Query, Question, Served, Streams, serve};
use coinfer::problem::{Dispatch, Load, Problem, Server, Tenant};
use coinfer::scenario::Case;
use coinfer::strategy::Strategy;
use coinfer::units::{Duration, Time};

use super::naive;
use super::rules::Findings;

/// Serves the load of `case`; `makespan` is what the strategy's plan for one query takes by itself.
pub(super) fn judge(case: &Case, strategy: &dyn Strategy, makespan: Duration, findings: &mut Findings) -> &'static str {
    let problem = &case.problem;
    let [served, again] = [(); 2].map(|()| {
        let mut planner = |Question { problem: question, .. }: &Question| {
            let proposal = strategy.propose(question).map_err(|error| error.to_string())?;
            let plans = std::iter::once(proposal.plan).chain(proposal.alternatives);
            plans.map(|plan| findings.checked(plan, question).map_err(|found| format!("{found:?}"))).collect()
        };
        serve(problem, &mut planner, &Streams::new(case.seed, 0))
    });
    let is_equal = format!("{served:?}") == format!("{again:?}");
    findings.demand("equal input gives equal service", is_equal, || "a load is served in two ways".to_owned());
    let Ok(served) = served else { return "not served" };
    let is_plain = problem.variation.is_none() && problem.faults.is_empty();
    if let (Load::Offline { .. }, true) = (&problem.load, is_plain) {
        let took = served.timeline.makespan();
        findings.demand("an offline load is served as its plan is simulated", took == makespan, || {
            format!("{took} and {makespan}")
        });
    }
    check_queries(problem, &served, is_plain, findings);
    if is_plain {
        let (plan, timeline, _) = served.recorded(usize::MAX);
        findings.demand("a service obeys its plans", timeline.obeys(&plan, &problem.platform), || {
            format!("{plan:?} {timeline:?}")
        });
        let is_split = matches!(problem.load, Load::PerModel(_));
        let issued = |tenant: usize| {
            let own = served.issues.iter().filter(|issue| !is_split || issue.tenant as usize == tenant);
            own.map(|issue| issue.samples).sum()
        };
        let samples: Vec<u32> = (0..problem.models.len()).map(issued).collect();
        let flow = naive::flow(problem, &plan, &timeline, &samples);
        findings.demand("what is read is there", flow.is_ok(), || format!("{flow:?}"));
        let steps_of = |issue: &Issue| {
            let first = issue.first_step.0 as usize;
            (issue.at, first..first + served.plans[issue.plan as usize].steps.len())
        };
        let issued: Vec<_> = served.issues.iter().map(steps_of).collect();
        let room = naive::room(problem, &plan, &timeline, &issued);
        findings.demand("what a device holds of all plans under way fits", room.is_ok(), || format!("{room:?}"));
    }
    "served"
}

fn check_queries(problem: &Problem, served: &Served, is_plain: bool, findings: &mut Findings) {
    for query in &served.queries {
        let is_ordered = query.arrived <= query.begun && query.begun <= query.ended;
        findings.demand("a query arrives, begins and ends", is_ordered, || format!("{query:?}"));
    }
    match &problem.load {
        Load::PerModel(tenants) => {
            for (tenant, own) in (0..).zip(tenants) {
                check_load(&own.load, served, tenant, is_plain, findings);
            }
            check_priorities(problem, tenants, served, findings);
        }
        load => check_load(load, served, 0, is_plain, findings),
    }
    if let Dispatch::PerQuery { in_flight_max } = problem.dispatch {
        let under_way: Vec<(Time, Time)> = served.done().map(|query| (query.begun, query.ended)).collect();
        check_most("no more queries are under way than may be", in_flight_max, &under_way, findings);
    }
}

/// What holds for one load, whose queries are those of `tenant`.
fn check_load(load: &Load, served: &Served, tenant: u16, is_plain: bool, findings: &mut Findings) {
    let (expected, open_max) = match load {
        Load::SingleStream { queries, clients } | Load::MultiStream { queries, clients, .. } => {
            (*queries, Some(*clients))
        }
        load => (load.queries(), None),
    };
    let queries: Vec<&Query> = served.queries.iter().filter(|query| query.tenant == tenant).collect();
    let count = queries.len() as u32;
    findings.demand("every query arrives", count == expected, || format!("{count} of {expected}"));
    let done: Vec<&Query> = queries.iter().copied().filter(|query| query.fate == Fate::Done).collect();
    let dropped = queries.len() - done.len();
    let may_drop = matches!(load, Load::Server(server) if server.queue_max.is_some() || server.drop_late);
    findings.demand("only who may is dropped", dropped == 0 || may_drop, || format!("{dropped} are dropped"));
    let arrived: u64 = queries.iter().map(|query| u64::from(query.samples)).sum();
    findings.demand("queries have the samples of the load", arrived == load.samples_in_all(), || {
        format!("{arrived} instead of {}", load.samples_in_all())
    });
    if is_plain {
        if let Load::Server(Server { deadline: Some(deadline), drop_late: true, .. }) = load {
            let late = done.iter().find(|query| query.begun > query.arrived + *deadline);
            findings.demand("what is late is not begun", late.is_none(), || format!("{late:?} of {deadline}"));
        }
        let issues = || served.issues.iter().filter(|issue| issue.tenant == tenant);
        let issued = (issues().map(|issue| issue.queries).sum(), issues().map(|issue| issue.samples).sum());
        let begun = (done.len() as u32, done.iter().map(|query| query.samples).sum::<u32>());
        findings.demand("what arrives is done or dropped", issued == begun, || {
            format!(
                "{count} came, {dropped} were dropped, queries and samples {issued:?} were issued and {begun:?} done"
            )
        });
    }
    let open: Vec<(Time, Time)> = queries.iter().map(|query| (query.arrived, query.ended)).collect();
    check_most("clients wait for their queries", open_max, &open, findings);
}

/// Where one query is under way at a time, none begins before another of a higher priority that waits.
fn check_priorities(problem: &Problem, tenants: &[Tenant], served: &Served, findings: &mut Findings) {
    let is_one_by_one = matches!(problem.dispatch, Dispatch::PerQuery { in_flight_max: Some(1) });
    if !is_one_by_one || !problem.faults.is_empty() {
        return;
    }
    let priority = |query: &Query| tenants[query.tenant as usize].priority;
    for first in served.done() {
        let waits = |query: &&Query| query.arrived < first.begun && first.begun < query.begun;
        let passed = served.done().filter(waits).find(|query| priority(query) > priority(first));
        findings.demand("who has priority begins first", passed.is_none(), || format!("{first:?} before {passed:?}"));
    }
}

fn check_most(rule: &'static str, most: Option<u32>, spans: &[(Time, Time)], findings: &mut Findings) {
    let at = |time: Time| spans.iter().filter(|(from, to)| (*from..*to).contains(&time)).count();
    let found = spans.iter().map(|span| at(span.0)).max().unwrap_or(0);
    findings.demand(rule, most.is_none_or(|most| found <= most as usize), || format!("{found} at a time"));
}
