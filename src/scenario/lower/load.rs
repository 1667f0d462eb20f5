//! The load of the form, when plans are issued for its queries, and how often that is repeated.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::problem::{Arrivals, Dispatch, Load, Replications, Server, WarmUpRule};
use crate::scenario::decode::At;
use crate::scenario::diagnostic::Faults;
use crate::scenario::form::{ArrivalsForm, DispatchForm, LoadForm, ReplicationsForm, ScenarioForm, ServerForm};
use crate::scenario::text_files::TextFiles;
use crate::units::{Duration, PerSec, Time};

/// Recorded arrivals that the scenario names.
type Recorded = TextFiles<Arc<[Time]>>;

/// Samples of a load, of a query or of a batch.
const SAMPLES: RangeInclusive<u64> = 1..=1_000_000;

/// Queries of a load, and what goes by their number.
const QUERIES: RangeInclusive<u64> = 1..=10_000_000;

/// Replications of a run.
const REPLICATIONS: RangeInclusive<u64> = 2..=100_000;

/// Errors of figures.
const ERRORS: RangeInclusive<f64> = 1e-4..=1.0;

/// The number of `field`, which must lie in `range`; `None` if it is missing or does not, which `cause` explains.
fn within(
    field: Option<&At<u64>>,
    range: RangeInclusive<u64>,
    faults: &mut Faults,
    cause: impl FnOnce(u64) -> String,
) -> Option<u32> {
    let &At { value, ref at } = field?;
    if !range.contains(&value) {
        faults.add(at, cause(value), format!("use {} to {}", range.start(), range.end()));
        return None;
    }
    Some(u32::try_from(value).expect("no range goes beyond 32 bits"))
}

/// The number of `noun`, which must lie in `range`; `None` if it is missing or does not.
fn number_of(field: Option<&At<u64>>, noun: &str, range: RangeInclusive<u64>, faults: &mut Faults) -> Option<u32> {
    within(field, range, faults, |value| format!("{value} {noun} cannot be simulated"))
}

/// The load. `None` if it has faults.
pub(super) fn lower(form: &LoadForm, files: &Recorded, faults: &mut Faults) -> Option<Load> {
    let known = faults.len();
    let load = if let Some(offline) = &form.offline {
        let cause = |value| format!("a load of {value} samples cannot be simulated");
        Load::Offline { samples: within(offline.samples.as_ref(), SAMPLES, faults, cause)? }
    } else if let Some(stream) = &form.single_stream {
        let (queries, clients) = lower_stream(stream.queries.as_ref(), stream.clients.as_ref(), faults);
        Load::SingleStream { queries: queries?, clients: clients? }
    } else if let Some(stream) = &form.multi_stream {
        let samples = number_of(stream.samples.as_ref(), "samples in a query", SAMPLES, faults);
        let (queries, clients) = lower_stream(stream.queries.as_ref(), stream.clients.as_ref(), faults);
        Load::MultiStream { samples: samples?, queries: queries?, clients: clients? }
    } else {
        Load::Server(lower_server(form.server.as_ref()?, files, faults)?)
    };
    (faults.len() == known).then_some(load)
}

/// Queries and clients.
fn lower_stream(
    queries: Option<&At<u64>>,
    clients: Option<&At<u64>>,
    faults: &mut Faults,
) -> (Option<u32>, Option<u32>) {
    let count = number_of(queries, "queries", QUERIES, faults);
    if clients.is_none() {
        return (count, Some(1));
    }
    let range = 1..=count.map_or(*QUERIES.end(), u64::from);
    let clients = within(clients, range, faults, |value| match value {
        0 => "without clients no query is sent".to_owned(),
        _ => format!("there is not a query for each of {value} clients"),
    });
    (count, clients)
}

fn lower_server(form: &ServerForm, files: &Recorded, faults: &mut Faults) -> Option<Server> {
    let samples = number_of(form.samples.as_ref(), "samples in a query", SAMPLES, faults);
    let together = number_of(form.together.as_ref(), "queries at an arrival", QUERIES, faults);
    let queries = number_of(form.queries.as_ref(), "queries", QUERIES, faults);
    let queue_max = within(form.queue_max.as_ref(), 0..=*QUERIES.end(), faults, |value| {
        format!("a queue of {value} queries cannot be simulated")
    });
    let deadline = above_zero(form.deadline.as_ref(), "every query is late at a deadline of 0", faults);
    if let Some(At { value: true, at }) = &form.drop_late
        && form.deadline.is_none()
    {
        faults.add(at, "without a deadline no query is late", "add for example `deadline = \"100 ms\"`");
    }
    if let (Some(together), Some(queries), Some(At { at, .. })) = (together, queries, &form.together)
        && together > queries
    {
        let cause = format!("{together} queries at an arrival are more than the {queries} of the load");
        faults.add(at, cause, "use more `queries`, or fewer at an arrival");
    }
    let arrivals = lower_arrivals(form.arrivals.as_ref()?, files, faults);
    let together = together.unwrap_or(1);
    let (arrivals, queries) = match arrivals? {
        Arrivals::Recorded { times, .. } => recorded(form, times, together, queries, faults)?,
        arrivals => {
            if form.queries.is_none() {
                let cause = "the server load has no `queries`, and only recorded arrivals come to an end";
                faults.add(&form.at, cause, "add for example `queries = 100000`");
            }
            (arrivals, queries?)
        }
    };
    Some(Server {
        arrivals,
        together,
        samples: samples.unwrap_or(1),
        queries,
        queue_max,
        deadline,
        drop_late: form.drop_late.as_ref().is_some_and(|drop| drop.value),
    })
}

/// As many of the recorded arrivals as `queries` need, or all.
fn recorded(
    form: &ServerForm,
    mut times: Vec<Time>,
    together: u32,
    queries: Option<u32>,
    faults: &mut Faults,
) -> Option<(Arrivals, u32)> {
    let most = times.len() as u64 * u64::from(together);
    let count = match (&form.queries, queries) {
        (None, _) => u32::try_from(most.min(*QUERIES.end())).expect("no load has more queries than 32 bits"),
        (Some(At { at, .. }), Some(queries)) if u64::from(queries) > most => {
            let cause = format!("{queries} queries are more than the {most} that are recorded");
            faults.add(at, cause, format!("use at most {most}, or leave `queries` out"));
            return None;
        }
        (Some(_), queries) => queries?,
    };
    times.truncate(count.div_ceil(together) as usize);
    Some((Arrivals::Recorded { times, samples: Vec::new() }, count))
}

fn lower_arrivals(form: &ArrivalsForm, files: &Recorded, faults: &mut Faults) -> Option<Arrivals> {
    let gap = |rate: &Option<At<PerSec>>| Some(rate.as_ref()?.value.gap_mean());
    if let Some(poisson) = &form.poisson {
        return Some(Arrivals::Poisson { gap_mean: gap(&poisson.rate)? });
    }
    if let Some(deterministic) = &form.deterministic {
        return Some(Arrivals::Deterministic { gap: gap(&deterministic.rate)? });
    }
    if let Some(recorded) = &form.recorded {
        let times = files.get(&recorded.file.as_ref()?.value)?;
        return Some(Arrivals::Recorded { times: times.to_vec(), samples: Vec::new() });
    }
    let bursty = form.bursty.as_ref()?;
    let calm_mean = above_zero(bursty.calm_mean.as_ref(), "a calm of 0 has no arrivals", faults);
    let burst_mean = above_zero(bursty.burst_mean.as_ref(), "a burst of 0 has no arrivals", faults);
    let arrivals = Arrivals::Bursty {
        gap_mean_calm: gap(&bursty.rate_calm)?,
        gap_mean_burst: gap(&bursty.rate_burst)?,
        calm_mean: calm_mean?,
        burst_mean: burst_mean?,
    };
    if let Err(error) = arrivals.check() {
        faults.add(&bursty.at, error.to_string(), "let calm and bursts last longer, or use `poisson`");
    }
    Some(arrivals)
}

/// The time of `field`; zero is a fault, whose cause is `cause`.
fn above_zero(field: Option<&At<Duration>>, cause: &str, faults: &mut Faults) -> Option<Duration> {
    let At { value, at } = field?;
    if *value == Duration::ZERO {
        faults.add(at, cause, "use a time above 0, for example \"100 ms\"");
        return None;
    }
    Some(*value)
}

/// When plans are issued for the queries of `load`, which is `None` if it has faults.
pub(super) fn lower_dispatch(
    form: Option<&DispatchForm>,
    load: Option<&Load>,
    faults: &mut Faults,
) -> Option<Dispatch> {
    let Some(form) = form else { return Some(Dispatch::default()) };
    if let Some(Load::Offline { .. }) = load {
        let cause = "an offline load has no queries that plans could be issued for";
        faults.add(&form.at, cause, "remove `dispatch`, or use a load with queries, such as `server`");
    }
    if let Some(per_query) = &form.per_query {
        let in_flight_max = within(per_query.in_flight_max.as_ref(), QUERIES, faults, |value| match value {
            0 => "where no query may be under way, none is answered".to_owned(),
            _ => format!("{value} queries under way cannot be simulated"),
        });
        return Some(Dispatch::PerQuery { in_flight_max });
    }
    let batch = form.batch.as_ref()?;
    let batch_max = number_of(batch.batch_max.as_ref(), "samples in a batch", SAMPLES, faults)?;
    if let (Some(load), Some(At { at, .. })) = (load, &batch.batch_max)
        && batch_max < load.samples()
    {
        let samples = load.samples();
        let cause = format!("a query of {samples} samples does not fit into a batch of {batch_max}");
        faults.add(at, cause, format!("use {samples} or more"));
    }
    let delay_max = batch.delay_max.as_ref().map_or(Duration::ZERO, |delay| delay.value);
    let in_flight_max = within(batch.in_flight_max.as_ref(), QUERIES, faults, |value| match value {
        0 => "where no batch may be under way, no query is answered".to_owned(),
        _ => format!("{value} batches under way cannot be simulated"),
    });
    Some(Dispatch::Batch { batch_max, delay_max, in_flight_max })
}

/// A batch that is kept waiting needs a place for its queries.
pub(super) fn check_queue(load: Option<&Load>, form: &ScenarioForm, dispatch: Option<Dispatch>, faults: &mut Faults) {
    if let Some(Load::Server(Server { queue_max: Some(0), .. })) = load
        && let Some(Dispatch::Batch { delay_max, .. }) = dispatch
        && delay_max > Duration::ZERO
        && let Some(queue) = form.load.as_ref().and_then(|load| load.server.as_ref()?.queue_max.as_ref())
        && let Some(delay) = form.dispatch.as_ref().and_then(|form| form.batch.as_ref()?.delay_max.as_ref())
    {
        let cause = "where no query may wait, none can be kept waiting for more";
        faults.add(&queue.at, cause, "let some wait, or remove `delay_max`").beside(&delay.at, "they would wait");
    }
}

/// How often a run of `load` is repeated; `is_disturbed` if something breaks meanwhile.
pub(super) fn lower_replications(
    form: Option<&ReplicationsForm>,
    load: Option<&Load>,
    is_disturbed: bool,
    faults: &mut Faults,
) -> Replications {
    let settles = match load {
        Some(Load::Server(server)) => !matches!(server.arrivals, Arrivals::Recorded { .. }) && !is_disturbed,
        _ => false,
    };
    let warm_up = if settles { WarmUpRule::Mser5 } else { WarmUpRule::None };
    let default = Replications { warm_up, ..Replications::default() };
    let Some(form) = form else { return default };
    let mut replications = |field: &Option<At<u64>>| {
        within(field.as_ref(), REPLICATIONS, faults, |value| match value {
            0 => "without a replication there is no result".to_owned(),
            1 => "one replication says nothing about chance".to_owned(),
            _ => format!("{value} replications cannot be simulated"),
        })
    };
    let (count, min, max) = (replications(&form.count), replications(&form.min), replications(&form.max));
    if let (Some(min), Some(max), Some(At { at, .. })) = (min, max, &form.max)
        && max < min
    {
        faults.add(
            at,
            format!("at most {max} replications are fewer than {min} at least"),
            "let `max` be `min` or more",
        );
    }
    let mut error = |field: &Option<At<f64>>| {
        let At { value, at } = field.as_ref()?;
        if !ERRORS.contains(value) {
            let cause = format!("{value} is out of range for the error of a figure");
            faults.add(at, cause, format!("use {} to {}, for example 0.01 for 1 %", ERRORS.start(), ERRORS.end()));
        }
        Some(*value)
    };
    let (mean_error, p99_error) = (error(&form.mean_error), error(&form.p99_error));
    let at = |field: &Option<At<u64>>| field.as_ref().map(|field| field.at.clone());
    let error_at = |field: &Option<At<f64>>| field.as_ref().map(|field| field.at.clone());
    if let Some(count_at) = at(&form.count)
        && let Some(other) =
            at(&form.min).or(at(&form.max)).or(error_at(&form.mean_error)).or(error_at(&form.p99_error))
    {
        let cause = "`count` says how many replications there are, whatever they show";
        faults.add(&count_at, cause, "keep either `count`, or bounds and errors").beside(&other, "this is left out");
    }
    let warm_up = form.warm_up.as_ref().map_or(warm_up, |warm_up| warm_up.value.0);
    if let Some(count) = count {
        return Replications { min: count, max: count, mean_error: None, p99_error: None, warm_up };
    }
    let (mean_error, p99_error) = match (mean_error, p99_error) {
        (None, None) => (default.mean_error, default.p99_error),
        stated => stated,
    };
    let least = min.unwrap_or(default.min);
    let most = max.unwrap_or(default.max.max(least));
    Replications { min: least.min(most), max: most, mean_error, p99_error, warm_up }
}
