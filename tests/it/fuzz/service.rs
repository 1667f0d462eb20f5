//! What holds when queries arrive, times vary and devices break.

use coinfer::engine::{Fate, Issue, Question, Served, Streams, serve};
use coinfer::problem::{Dispatch, Load, Problem};
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
        let samples = served.issues.iter().map(|issue| issue.samples).sum();
        let flow = naive::flow(&problem.offline(samples), &plan, &timeline);
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
    let (expected, open_max) = match &problem.load {
        Load::Offline { .. } => (1, None),
        Load::SingleStream { queries, clients } | Load::MultiStream { queries, clients, .. } => {
            (*queries, Some(*clients))
        }
        Load::Server(server) => (server.queries, None),
        Load::PerModel(_) => (problem.load.queries(), None),
    };
    let count = served.queries.len() as u32;
    findings.demand("every query arrives", count == expected, || format!("{count} of {expected}"));
    let done: Vec<_> = served.done().copied().collect();
    let dropped = served.queries.iter().filter(|query| query.fate != Fate::Done).count();
    let may_drop = matches!(&problem.load, Load::Server(server) if server.queue_max.is_some() || server.drop_late);
    findings.demand("only who may is dropped", dropped == 0 || may_drop, || format!("{dropped} are dropped"));
    for query in &served.queries {
        let is_ordered = query.arrived <= query.begun && query.begun <= query.ended;
        findings.demand("a query arrives, begins and ends", is_ordered, || format!("{query:?}"));
    }
    if let (Load::Server(server), true) = (&problem.load, is_plain)
        && let (Some(deadline), true) = (server.deadline, server.drop_late)
    {
        let late = done.iter().find(|query| query.begun > query.arrived + deadline);
        findings.demand("what is late is not begun", late.is_none(), || format!("{late:?} of {deadline}"));
    }
    if is_plain {
        let issued: u32 = served.issues.iter().map(|issue| issue.queries).sum();
        let samples: u32 = served.issues.iter().map(|issue| issue.samples).sum();
        let is_conserved = issued == done.len() as u32 && samples == issued * problem.samples();
        findings.demand("what arrives is done or dropped", is_conserved, || {
            format!("{count} came, {issued} with {samples} samples were issued, {} done, {dropped} dropped", done.len())
        });
    }
    let open: Vec<(Time, Time)> = served.queries.iter().map(|query| (query.arrived, query.ended)).collect();
    check_most("clients wait for their queries", open_max, &open, findings);
    if let Dispatch::PerQuery { in_flight_max } = problem.dispatch {
        let under_way: Vec<(Time, Time)> = done.iter().map(|query| (query.begun, query.ended)).collect();
        check_most("no more queries are under way than may be", in_flight_max, &under_way, findings);
    }
}

fn check_most(rule: &'static str, most: Option<u32>, spans: &[(Time, Time)], findings: &mut Findings) {
    let at = |time: Time| spans.iter().filter(|(from, to)| (*from..*to).contains(&time)).count();
    let found = spans.iter().map(|span| at(span.0)).max().unwrap_or(0);
    findings.demand(rule, most.is_none_or(|most| found <= most as usize), || format!("{found} at a time"));
}
