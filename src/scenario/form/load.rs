//! When queries arrive, when plans are issued for them, and how often that is repeated.

use std::any::Any;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use crate::problem::WarmUpRule;
use crate::scenario::decode::{At, form, shorten};
use crate::scenario::document::Value;
use crate::scenario::scalar::{FileName, Misfit, Scalar, Word};
use crate::units::{Duration, PerSec};

form! {
    /// When queries arrive, in the terms of MLPerf inference.
    LoadForm("the load") {
        @one_of "offline = { samples = 100 }" as dyn Any {
            /// All samples are present at the start.
            offline: OfflineForm,
            /// Queries of one sample; a client sends its next when the last is done.
            single_stream: SingleStreamForm,
            /// Queries of several samples; a client sends its next when the last is done.
            multi_stream: MultiStreamForm,
            /// Queries come whether or not others are done.
            server: ServerForm,
        }
    }

    /// All samples are present at the start.
    OfflineForm("the offline load") {
        /// Samples of each model, from 1 to 1000000.
        samples: At<u64> = "samples = 100",
    }

    /// Queries of one sample; a client sends its next when the last is done.
    SingleStreamForm("the single-stream load") {
        /// Queries in all, from 1 to 10000000.
        queries: At<u64> = "queries = 1000",
        /// Clients that send, at most one for each query; 1 if absent.
        clients: At<u64>,
    }

    /// Queries of several samples; a client sends its next when the last is done.
    MultiStreamForm("the multi-stream load") {
        /// Samples of each model in a query, from 1 to 1000000.
        samples: At<u64> = "samples = 8",
        /// Queries in all, from 1 to 10000000.
        queries: At<u64> = "queries = 1000",
        /// Clients that send, at most one for each query; 1 if absent.
        clients: At<u64>,
    }

    /// Queries come whether or not others are done.
    ServerForm("the server load") {
        /// When they come.
        arrivals: ArrivalsForm = "arrivals = { poisson = { rate = \"200/s\" } }",
        /// Queries in all, from 1 to 10000000; as many as are recorded if absent.
        queries: At<u64>,
        /// Samples of each model in a query, from 1 to 1000000; 1 if absent.
        samples: At<u64>,
        /// Queries that come at each arrival; 1 if absent.
        together: At<u64>,
        /// Queries that may wait, from 0: who cannot begin at once and finds as many waiting is dropped. All may wait if
        /// absent. Ends and arrivals of one time come before it is decided who begins; of those that arrive together the
        /// last is dropped first.
        queue_max: At<u64>,
        /// A query that takes longer than this is late.
        deadline: At<Duration>,
        /// Whether queries that wait are dropped when their deadline passes; false if absent. Who was begun is done to
        /// its end, unless a fault loses all of it.
        drop_late: At<bool>,
    }

    /// When queries arrive.
    ArrivalsForm("`arrivals`") {
        @one_of "poisson = { rate = \"200/s\" }" as dyn Any {
            /// At random and without memory.
            poisson: PoissonForm,
            /// At equal distances.
            deterministic: DeterministicForm,
            /// At random, at a rate that changes between calm and bursts.
            bursty: BurstyForm,
            /// As a file says.
            recorded: RecordedForm,
        }
    }

    /// Arrivals at random and without memory.
    PoissonForm("`poisson`") {
        /// Arrivals per time, on average.
        rate: At<PerSec> = "rate = \"200/s\"",
    }

    /// Arrivals at equal distances.
    DeterministicForm("`deterministic`") {
        /// Arrivals per time.
        rate: At<PerSec> = "rate = \"200/s\"",
    }

    /// Poisson arrivals whose rate changes between two states of random length.
    BurstyForm("`bursty`") {
        /// Arrivals per time while calm, on average.
        rate_calm: At<PerSec> = "rate_calm = \"50/s\"",
        /// Arrivals per time in a burst, on average.
        rate_burst: At<PerSec> = "rate_burst = \"500/s\"",
        /// How long calm lasts, on average.
        calm_mean: At<Duration> = "calm_mean = \"1 s\"",
        /// How long a burst lasts, on average.
        burst_mean: At<Duration> = "burst_mean = \"100 ms\"",
    }

    /// Arrivals that a file lists.
    RecordedForm("`recorded`") {
        /// A CSV file with a column `arrival_s`, `arrival_ms`, `arrival_us` or `arrival_ns`: times since the start, in
        /// ascending order. A column `model` says which network a query is of, and `samples` how many samples it has; others
        /// say nothing. Relative to the scenario file.
        file: At<FileName> = "file = \"arrivals.csv\"",
        /// The column with the times, if it has another name.
        column: At<String>,
        /// The unit of that column; if absent, what its name ends with, such as `_ms`.
        unit: At<Word<TimeUnit>>,
        /// Arrivals before this time are left out, and the run starts then, for example `3600 s`. If absent, the run starts
        /// at time 0, or with the first arrival if there is `until`.
        from: At<Moment>,
        /// Arrivals from this time on are left out.
        until: At<Moment>,
    }

    /// When plans are issued for queries.
    DispatchForm("`dispatch`") {
        @one_of "batch = { batch_max = 64, delay_max = \"2 ms\" }" as dyn Any {
            /// A plan for each query, in the order of arrival.
            per_query: PerQueryForm,
            /// One plan for all that wait.
            batch: BatchForm,
        }
    }

    /// A plan for each query, in the order of arrival.
    PerQueryForm("`per_query`") {
        /// Queries under way at a time, those that wait to be computed again included; any number if absent.
        in_flight_max: At<u64>,
    }

    /// One plan for all that wait, of each network by itself where networks have loads of their own.
    BatchForm("`batch`") {
        /// Samples in a batch; at least those of one query.
        batch_max: At<u64> = "batch_max = 64",
        /// How long the first of a batch that is not full is kept waiting for more; not at all if absent.
        delay_max: At<Duration>,
        /// Batches of a network that are under way at a time. If absent, one, or as many as a strategy offers plans to choose
        /// from: `first_free` then gives each free device a batch.
        in_flight_max: At<u64>,
    }

    /// How often a run in which something is left to chance is repeated, and what of each counts.
    ReplicationsForm("`replications`") {
        /// This many, neither fewer nor more.
        count: At<u64>,
        /// So many in any case, 2 or more; 20 if absent.
        min: At<u64>,
        /// So many at most, even if figures are not yet known well enough; 200 if absent.
        max: At<u64>,
        /// Half width of the 95 % confidence interval of a mean that is narrow enough, as a share of it; 0.01 if
        /// neither this nor `p99_error` is there.
        mean_error: At<f64>,
        /// The same of the 99th percentile of latencies; 0.05 if neither this nor `mean_error` is there.
        p99_error: At<f64>,
        /// What is left out at the start of each run: `mser5` finds it, `none`, or a time such as `10 s`. If absent,
        /// `mser5` for server loads, but `none` if arrivals are recorded or something breaks.
        warm_up: At<WarmUp>,
    }
}

/// The unit of a column of times.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
pub(in crate::scenario) enum TimeUnit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Microseconds.
    #[serde(rename = "us")]
    Microseconds,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanoseconds,
}

impl TimeUnit {
    pub(in crate::scenario) fn nanos(self) -> f64 {
        match self {
            TimeUnit::Seconds => 1e9,
            TimeUnit::Milliseconds => 1e6,
            TimeUnit::Microseconds => 1e3,
            TimeUnit::Nanoseconds => 1.0,
        }
    }
}

/// A time on any clock, such as seconds since 1970: in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(in crate::scenario) struct Moment(pub(in crate::scenario) f64);

impl Scalar for Moment {
    const NOUN: &'static str = "a time";
    const REMEDY: &'static str = "write a number and one of `ns us ms s`, for example \"3600 s\"";

    fn read(value: &Value) -> Result<Self, Misfit> {
        let Value::String(text) = value else { return Err(Misfit::Type) };
        let text = text.trim();
        let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let unit = match &text[split..] {
            "s" => Some(1e9),
            "ms" => Some(1e6),
            "us" => Some(1e3),
            "ns" => Some(1.0),
            _ => None,
        };
        let number = text[..split].trim().replace('_', "").parse::<f64>().ok();
        let nanos = unit.zip(number).map(|(unit, number)| number * unit).filter(|nanos| *nanos >= 0.0);
        nanos.map(Moment).ok_or_else(|| Misfit::Value(format!("`{}` is not a time", shorten(text)), None))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\s*[0-9][0-9_]*(\.[0-9_]+)?\s*(ns|us|ms|s)\s*$" })
    }
}

/// What is left out at the start of each run.
#[derive(Clone, Copy, Debug)]
pub(in crate::scenario) struct WarmUp(pub(in crate::scenario) WarmUpRule);

impl Scalar for WarmUp {
    const NOUN: &'static str = "a warm-up";
    const REMEDY: &'static str = "write \"mser5\", \"none\", or a time such as \"10 s\"";

    fn read(value: &Value) -> Result<Self, Misfit> {
        let Value::String(text) = value else { return Err(Misfit::Type) };
        let rule = match text.as_str() {
            "none" => Some(WarmUpRule::None),
            "mser5" => Some(WarmUpRule::Mser5),
            _ => text.parse().ok().filter(|_| text.len() <= 100).map(WarmUpRule::Fixed),
        };
        rule.map(WarmUp).ok_or_else(|| Misfit::Value(format!("`{}` is not a warm-up", shorten(text)), None))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^(none|mser5|\s*[0-9][0-9_]*(\.[0-9_]+)?\s*(ns|us|ms|s)\s*)$",
        })
    }
}
