//! The load of the form, when plans are issued for its queries, and how often that is repeated.

use std::ops::RangeInclusive;

use super::recorded::{self, Recorded, Rows};
use crate::model::ModelId;
use crate::problem::{Arrivals, Dispatch, Load, Replications, Server, Tenant, WarmUpRule};
use crate::scenario::decode::{At, shorten};
use crate::scenario::diagnostic::{Mistakes, did_you_mean};
use crate::scenario::form::{
    ArrivalsForm, DispatchForm, LoadForm, ModelForm, ReplicationsForm, ScenarioForm, ServerForm,
};
use crate::units::{Duration, PerSec};

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
    mistakes: &mut Mistakes,
    cause: impl FnOnce(u64) -> String,
) -> Option<u32> {
    let &At { value, ref at } = field?;
    if !range.contains(&value) {
        mistakes.add(at, cause(value), format!("use {} to {}", range.start(), range.end()));
        return None;
    }
    Some(u32::try_from(value).expect("no range goes beyond 32 bits"))
}

/// The number of `noun`, which must lie in `range`; `None` if it is missing or does not.
fn number_of(field: Option<&At<u64>>, noun: &str, range: RangeInclusive<u64>, mistakes: &mut Mistakes) -> Option<u32> {
    within(field, range, mistakes, |value| format!("{value} {noun} cannot be simulated"))
}

/// Files of recorded arrivals, and where it is told what is found in them.
struct Reader<'a> {
    files: &'a Recorded,
    /// Of a load of one network, its name; rows of others are left out.
    model: Option<&'a str>,
    notes: &'a mut Vec<String>,
}

/// The load: one of all networks, or of each its own. `None` if it has mistakes.
pub(super) fn lower(
    form: &ScenarioForm,
    files: &Recorded,
    mistakes: &mut Mistakes,
    notes: &mut Vec<String>,
) -> Option<Load> {
    let models = form.models.as_deref().unwrap_or_default();
    let own = models.iter().filter_map(|model| Some((model, model.load.as_ref()?)));
    if let Some(load) = &form.load {
        for (_, own) in own {
            let cause = "a network has a load of its own beside the one of all networks";
            mistakes.add(&own.at, cause, "keep one of them").label("second").beside(&load.at, "first");
        }
        let lowered = lower_one(load, Reader { files, model: None, notes }, mistakes)?;
        return match lowered {
            Lowered::Whole(load) => Some(load),
            Lowered::ByModel(server, rows) => by_model(form, load, &server, &rows, mistakes),
        };
    }
    own.clone().next()?;
    let mut tenants = Vec::new();
    for (index, model) in (0..).zip(models) {
        let Some(load) = &model.load else {
            let cause = "this network has no load, and others have loads of their own";
            mistakes.add(&model.at, cause, "add for example `load = { single_stream = { queries = 1000 } }`");
            continue;
        };
        let name = model.name.as_ref().map(|name| name.value.as_str());
        let reader = Reader { files, model: name, notes: &mut *notes };
        if let Some(Lowered::Whole(load)) = lower_one(load, reader, mistakes) {
            tenants.push(Tenant { model: ModelId(index), load, priority: lower_priority(model, mistakes) });
        }
    }
    (tenants.len() == models.len()).then_some(Load::PerModel(tenants))
}

fn lower_priority(model: &ModelForm, mistakes: &mut Mistakes) -> u8 {
    let cause = |value| format!("{value} is not a priority");
    within(model.priority.as_ref(), 0..=255, mistakes, cause).map_or(0, |priority| priority as u8)
}

/// A priority says who begins first among networks with loads of their own.
pub(super) fn check_priorities(form: &ScenarioForm, load: Option<&Load>, mistakes: &mut Mistakes) {
    if load.is_none_or(|load| matches!(load, Load::PerModel(_))) {
        return;
    }
    for priority in form.models.iter().flatten().filter_map(|model| model.priority.as_ref()) {
        let cause = "all networks have one load, so that none begins before another";
        mistakes.add(&priority.at, cause, "give each network a `load`, or remove this");
    }
}

/// The recorded queries of each network, as its load.
fn by_model(
    form: &ScenarioForm,
    load: &LoadForm,
    server: &Server,
    rows: &Rows,
    mistakes: &mut Mistakes,
) -> Option<Load> {
    let models = form.models.as_deref().unwrap_or_default();
    let name = |model: &ModelForm| model.name.as_ref().map(|name| name.value.clone());
    let known: Vec<String> = models.iter().filter_map(name).collect();
    if known.len() == models.len()
        && let Some(other) = rows.models.iter().find(|model| !known.iter().any(|known| **known == ***model))
    {
        let cause = format!("the recorded arrivals have queries of `{}`, which is no model", shorten(other));
        mistakes.add(&load.at, cause, did_you_mean(other, &known, "models"));
        return None;
    }
    let mut tenants = Vec::new();
    for (index, model) in (0..).zip(models) {
        let own = rows.of(&name(model)?);
        if own.times.is_empty() {
            let cause = "no recorded arrival is of this network";
            mistakes.add(&model.at, cause, "remove it, or use arrivals that have queries of it");
            continue;
        }
        let last_is_own = rows.models.last().is_some_and(|last| Some(&**last) == name(model).as_deref());
        // Of the last ones to come, some may be too many.
        let excess = rows.times.len() as u32 * server.together - server.queries;
        let queries = own.times.len() as u32 * server.together - if last_is_own { excess } else { 0 };
        let samples = own.samples.iter().copied().max().unwrap_or(server.samples);
        let arrivals = Arrivals::Recorded { times: own.times, samples: own.samples };
        let load = Load::Server(Server { arrivals, samples, queries, ..server.clone() });
        tenants.push(Tenant { model: ModelId(index), load, priority: lower_priority(model, mistakes) });
    }
    (tenants.len() == models.len()).then_some(Load::PerModel(tenants))
}

/// A load of the form.
enum Lowered {
    Whole(Load),
    /// Recorded arrivals that say which network each is of.
    ByModel(Server, Rows),
}

fn lower_one(form: &LoadForm, reader: Reader<'_>, mistakes: &mut Mistakes) -> Option<Lowered> {
    let known = mistakes.len();
    let load = if let Some(offline) = &form.offline {
        let cause = |value| format!("a load of {value} samples cannot be simulated");
        Load::Offline { samples: within(offline.samples.as_ref(), SAMPLES, mistakes, cause)? }
    } else if let Some(stream) = &form.single_stream {
        let (queries, clients) = lower_stream(stream.queries.as_ref(), stream.clients.as_ref(), mistakes);
        Load::SingleStream { queries: queries?, clients: clients? }
    } else if let Some(stream) = &form.multi_stream {
        let samples = number_of(stream.samples.as_ref(), "samples in a query", SAMPLES, mistakes);
        let (queries, clients) = lower_stream(stream.queries.as_ref(), stream.clients.as_ref(), mistakes);
        Load::MultiStream { samples: samples?, queries: queries?, clients: clients? }
    } else {
        let (server, rows) = lower_server(form.server.as_ref()?, reader, mistakes)?;
        if mistakes.len() == known && !rows.models.is_empty() {
            return Some(Lowered::ByModel(server, rows));
        }
        Load::Server(server)
    };
    (mistakes.len() == known).then_some(Lowered::Whole(load))
}

/// Queries and clients.
fn lower_stream(
    queries: Option<&At<u64>>,
    clients: Option<&At<u64>>,
    mistakes: &mut Mistakes,
) -> (Option<u32>, Option<u32>) {
    let count = number_of(queries, "queries", QUERIES, mistakes);
    if clients.is_none() {
        return (count, Some(1));
    }
    let range = 1..=count.map_or(*QUERIES.end(), u64::from);
    let clients = within(clients, range, mistakes, |value| match value {
        0 => "without clients no query is sent".to_owned(),
        _ => format!("there is not a query for each of {value} clients"),
    });
    (count, clients)
}

/// The load, and for each recorded arrival what else is known of it.
fn lower_server(form: &ServerForm, reader: Reader<'_>, mistakes: &mut Mistakes) -> Option<(Server, Rows)> {
    let samples = number_of(form.samples.as_ref(), "samples in a query", SAMPLES, mistakes);
    let together = number_of(form.together.as_ref(), "queries at an arrival", QUERIES, mistakes);
    let queries = number_of(form.queries.as_ref(), "queries", QUERIES, mistakes);
    let queue_max = within(form.queue_max.as_ref(), 0..=*QUERIES.end(), mistakes, |value| {
        format!("a queue of {value} queries cannot be simulated")
    });
    let deadline = above_zero(form.deadline.as_ref(), "every query is late at a deadline of 0", mistakes);
    if let Some(At { value: true, at }) = &form.drop_late
        && form.deadline.is_none()
    {
        mistakes.add(at, "without a deadline no query is late", "add for example `deadline = \"100 ms\"`");
    }
    if let (Some(together), Some(queries), Some(At { at, .. })) = (together, queries, &form.together)
        && together > queries
    {
        let cause = format!("{together} queries at an arrival are more than the {queries} of the load");
        mistakes.add(at, cause, "use more `queries`, or fewer at an arrival");
    }
    let arrivals = form.arrivals.as_ref()?;
    let together = together.unwrap_or(1);
    let mut rows = Rows::default();
    let (arrivals, queries) = match &arrivals.recorded {
        Some(recorded) => {
            let all = recorded::lower(recorded, reader.files, mistakes, reader.notes)?;
            rows = match reader.model.filter(|_| !all.models.is_empty()) {
                Some(model) => all.of(model),
                None => all,
            };
            if rows.times.is_empty() {
                let cause = "no recorded arrival is of this network";
                mistakes.add(&recorded.at, cause, "use arrivals whose column `model` has its name");
                return None;
            }
            let queries = how_many(form, rows.times.len(), together, queries, mistakes)?;
            rows.truncate(queries.div_ceil(together) as usize);
            (Arrivals::Recorded { times: rows.times.clone(), samples: rows.samples.clone() }, queries)
        }
        None => {
            if form.queries.is_none() {
                let cause = "the server load has no `queries`, and only recorded arrivals come to an end";
                mistakes.add(&form.at, cause, "add for example `queries = 100000`");
            }
            (lower_arrivals(arrivals, mistakes)?, queries?)
        }
    };
    if let (Some(At { at, .. }), false) = (&form.samples, rows.samples.is_empty()) {
        let cause = "the recorded arrivals say how many samples each query has";
        mistakes.add(at, cause, "remove this, or the column `samples`");
    }
    let server = Server {
        arrivals,
        together,
        samples: rows.samples.iter().copied().max().or(samples).unwrap_or(1),
        queries,
        queue_max,
        deadline,
        drop_late: form.drop_late.as_ref().is_some_and(|drop| drop.value),
    };
    Some((server, rows))
}

/// How many queries there are of so many recorded arrivals: as many as the form says, or all.
fn how_many(
    form: &ServerForm,
    arrivals: usize,
    together: u32,
    queries: Option<u32>,
    mistakes: &mut Mistakes,
) -> Option<u32> {
    let most = arrivals as u64 * u64::from(together);
    match (&form.queries, queries) {
        (None, _) => Some(u32::try_from(most.min(*QUERIES.end())).expect("no load has more queries than 32 bits")),
        (Some(At { at, .. }), Some(queries)) if u64::from(queries) > most => {
            let cause = format!("{queries} queries are more than the {most} that are recorded");
            mistakes.add(at, cause, format!("use at most {most}, or leave `queries` out"));
            None
        }
        (Some(_), queries) => queries,
    }
}

/// Arrivals that are not recorded.
fn lower_arrivals(form: &ArrivalsForm, mistakes: &mut Mistakes) -> Option<Arrivals> {
    let gap = |rate: &Option<At<PerSec>>| Some(rate.as_ref()?.value.gap_mean());
    if let Some(poisson) = &form.poisson {
        return Some(Arrivals::Poisson { gap_mean: gap(&poisson.rate)? });
    }
    if let Some(deterministic) = &form.deterministic {
        return Some(Arrivals::Deterministic { gap: gap(&deterministic.rate)? });
    }
    let bursty = form.bursty.as_ref()?;
    let calm_mean = above_zero(bursty.calm_mean.as_ref(), "a calm of 0 has no arrivals", mistakes);
    let burst_mean = above_zero(bursty.burst_mean.as_ref(), "a burst of 0 has no arrivals", mistakes);
    let arrivals = Arrivals::Bursty {
        gap_mean_calm: gap(&bursty.rate_calm)?,
        gap_mean_burst: gap(&bursty.rate_burst)?,
        calm_mean: calm_mean?,
        burst_mean: burst_mean?,
    };
    if let Err(error) = arrivals.check() {
        mistakes.add(&bursty.at, error.to_string(), "let calm and bursts last longer, or use `poisson`");
    }
    Some(arrivals)
}

/// The time of `field`; zero is a fault, whose cause is `cause`.
fn above_zero(field: Option<&At<Duration>>, cause: &str, mistakes: &mut Mistakes) -> Option<Duration> {
    let At { value, at } = field?;
    if *value == Duration::ZERO {
        mistakes.add(at, cause, "use a time above 0, for example \"100 ms\"");
        return None;
    }
    Some(*value)
}

/// When plans are issued for the queries of `load`, which is `None` if it has mistakes.
pub(super) fn lower_dispatch(
    form: Option<&DispatchForm>,
    load: Option<&Load>,
    mistakes: &mut Mistakes,
) -> Option<Dispatch> {
    let Some(form) = form else { return Some(Dispatch::default()) };
    if let Some(Load::Offline { .. }) = load {
        let cause = "an offline load has no queries that plans could be issued for";
        mistakes.add(&form.at, cause, "remove `dispatch`, or use a load with queries, such as `server`");
    }
    if let Some(per_query) = &form.per_query {
        let in_flight_max = within(per_query.in_flight_max.as_ref(), QUERIES, mistakes, |value| match value {
            0 => "where no query may be under way, none is answered".to_owned(),
            _ => format!("{value} queries under way cannot be simulated"),
        });
        return Some(Dispatch::PerQuery { in_flight_max });
    }
    let batch = form.batch.as_ref()?;
    let batch_max = number_of(batch.batch_max.as_ref(), "samples in a batch", SAMPLES, mistakes)?;
    if let (Some(load), Some(At { at, .. })) = (load, &batch.batch_max)
        && batch_max < load.samples()
    {
        let samples = load.samples();
        let cause = format!("a query of {samples} samples does not fit into a batch of {batch_max}");
        mistakes.add(at, cause, format!("use {samples} or more"));
    }
    let delay_max = batch.delay_max.as_ref().map_or(Duration::ZERO, |delay| delay.value);
    let in_flight_max = within(batch.in_flight_max.as_ref(), QUERIES, mistakes, |value| match value {
        0 => "where no batch may be under way, no query is answered".to_owned(),
        _ => format!("{value} batches under way cannot be simulated"),
    });
    Some(Dispatch::Batch { batch_max, delay_max, in_flight_max })
}

/// A batch that is kept waiting needs a place for its queries.
pub(super) fn check_queues(form: &ScenarioForm, dispatch: Option<Dispatch>, mistakes: &mut Mistakes) {
    let own = form.models.iter().flatten().filter_map(|model| model.load.as_ref());
    let servers = form.load.iter().chain(own).filter_map(|load| load.server.as_ref());
    let Some(Dispatch::Batch { delay_max, .. }) = dispatch else { return };
    let Some(delay) = form.dispatch.as_ref().and_then(|form| form.batch.as_ref()?.delay_max.as_ref()) else { return };
    for queue in servers.filter_map(|server| server.queue_max.as_ref()) {
        if queue.value == 0 && delay_max > Duration::ZERO {
            let cause = "where no query may wait, none can be kept waiting for more";
            let fault = mistakes.add(&queue.at, cause, "let some wait, or remove `delay_max`");
            fault.beside(&delay.at, "they would wait");
        }
    }
}

/// Whether queries come without end, so that the start is unlike the rest.
fn settles(load: &Load) -> bool {
    match load {
        Load::Server(server) => !matches!(server.arrivals, Arrivals::Recorded { .. }),
        Load::PerModel(tenants) => tenants.iter().all(|tenant| settles(&tenant.load)),
        _ => false,
    }
}

/// How often a run of `load` is repeated; `is_disturbed` if something breaks meanwhile.
pub(super) fn lower_replications(
    form: Option<&ReplicationsForm>,
    load: Option<&Load>,
    is_disturbed: bool,
    mistakes: &mut Mistakes,
) -> Replications {
    let settles = load.is_some_and(settles) && !is_disturbed;
    let warm_up = if settles { WarmUpRule::Mser5 } else { WarmUpRule::None };
    let default = Replications { warm_up, ..Replications::default() };
    let Some(form) = form else { return default };
    let mut replications = |field: &Option<At<u64>>| {
        within(field.as_ref(), REPLICATIONS, mistakes, |value| match value {
            0 => "without a replication there is no result".to_owned(),
            1 => "one replication says nothing about chance".to_owned(),
            _ => format!("{value} replications cannot be simulated"),
        })
    };
    let (count, min, max) = (replications(&form.count), replications(&form.min), replications(&form.max));
    if let (Some(min), Some(max), Some(At { at, .. })) = (min, max, &form.max)
        && max < min
    {
        mistakes.add(
            at,
            format!("at most {max} replications are fewer than {min} at least"),
            "let `max` be `min` or more",
        );
    }
    let mut error = |field: &Option<At<f64>>| {
        let At { value, at } = field.as_ref()?;
        if !ERRORS.contains(value) {
            let cause = format!("{value} is out of range for the error of a figure");
            mistakes.add(at, cause, format!("use {} to {}, for example 0.01 for 1 %", ERRORS.start(), ERRORS.end()));
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
        mistakes.add(&count_at, cause, "keep either `count`, or bounds and errors").beside(&other, "this is left out");
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
