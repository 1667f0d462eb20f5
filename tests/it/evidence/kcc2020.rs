//! The published measurements of the greedy batch split, and problems made of them.

use std::collections::BTreeSet;
use std::path::Path;

use coinfer::cost::{Curve, Lookup, Profile, Trace, TraceCosts};
use coinfer::engine::simulate;
use coinfer::model::{Graph, ModelId, Region, Work};
use coinfer::plan::{Action, Lane, Plan, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, Platform, Precision};
use coinfer::problem::{Load, Model, Problem};
use coinfer::strategy::{PlanError, Strategy};
use coinfer::units::{Bytes, Duration, Share};

/// Devices in the published order, with their names in the traces.
pub(super) const DEVICES: [(&str, DeviceKind, &str); 3] = [
    ("cpu", DeviceKind::Cpu, "i7-9700K"),
    ("igpu", DeviceKind::Igpu, "UHD-630"),
    ("gpu", DeviceKind::Gpu, "GTX-1050-Ti"),
];
/// Indices of `DEVICES`.
pub(super) const CPU: usize = 0;
pub(super) const IGPU: usize = 1;
pub(super) const GPU: usize = 2;

/// The networks whose tables grow in proportion to the batch.
pub(super) const PREDICTABLE: [&str; 7] =
    ["squeezenet_v1.1", "mobilenet", "vgg-16", "vgg-19", "resnet-34", "resnet-50", "inception_v3"];

/// One value for each device, in the order of `DEVICES`.
pub(super) type OfDevice<T> = [T; 3];

/// One recorded run at threshold 1.0.
pub(super) struct Run {
    pub(super) model: String,
    pub(super) batch: u32,
    pub(super) split: OfDevice<u32>,
    /// Milliseconds; 0 where a device had nothing to do.
    pub(super) measured: OfDevice<f64>,
    /// As the authors predicted them.
    pub(super) predicted: OfDevice<f64>,
}

/// One row of the published figure.
pub(super) struct Bar {
    pub(super) model: String,
    pub(super) batch: u32,
    pub(super) split: OfDevice<u32>,
    pub(super) measured: OfDevice<f64>,
    pub(super) gpu_alone: f64,
    pub(super) speedup: f64,
}

pub(super) fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The networks that `trace` has on a device.
pub(super) fn models<'a>(trace: &'a Trace, device: &str) -> BTreeSet<&'a str> {
    trace.rows.iter().filter(|row| row.device == device).map(|row| row.model.as_str()).collect()
}

pub(super) fn trace(name: &str) -> Trace {
    Trace::parse(read(&format!("traces/{name}.csv")).as_bytes()).unwrap()
}

/// The table behind the published splits.
pub(super) fn profile() -> Trace {
    trace("kcc2020-profile")
}

pub(super) fn runs() -> Vec<Run> {
    let run = |row: Row| Run {
        model: row.text("model").to_owned(),
        batch: row.number("batch") as u32,
        split: row.of_device("").map(|samples| samples as u32),
        measured: row.of_device("_ms"),
        predicted: row.of_device("_predicted_ms"),
    };
    rows("kcc2020-runs").into_iter().map(run).collect()
}

pub(super) fn figure() -> Vec<Bar> {
    let bar = |row: Row| Bar {
        model: row.text("model").to_owned(),
        batch: row.number("batch") as u32,
        split: row.of_device("").map(|samples| samples as u32),
        measured: row.of_device("_ms"),
        gpu_alone: row.number("gpu_alone_extrapolated_ms"),
        speedup: row.number("speedup"),
    };
    rows("kcc2020-figure").into_iter().map(bar).collect()
}

struct Row {
    columns: csv::StringRecord,
    values: csv::StringRecord,
}

impl Row {
    fn text(&self, column: &str) -> &str {
        let index = self.columns.iter().position(|name| name == column);
        &self.values[index.unwrap_or_else(|| panic!("no column {column}"))]
    }

    /// The number in a column; 0 if it is empty.
    fn number(&self, column: &str) -> f64 {
        match self.text(column) {
            "" => 0.0,
            text => text.parse().unwrap(),
        }
    }

    fn of_device(&self, suffix: &str) -> OfDevice<f64> {
        DEVICES.map(|(name, ..)| self.number(&format!("{name}{suffix}")))
    }
}

fn rows(name: &str) -> Vec<Row> {
    let text = read(&format!("tests/data/{name}.csv"));
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(text.as_bytes());
    let columns = reader.headers().unwrap().clone();
    let row = |values: Result<csv::StringRecord, csv::Error>| Row { columns: columns.clone(), values: values.unwrap() };
    reader.records().map(row).collect()
}

/// One batch of one network on the three devices. Memory plays no part, as in the published method.
pub(super) fn problem(trace: &Trace, lookup: Lookup, model: &str, samples: u32) -> Problem {
    build(trace, lookup, model, samples, false)
}

/// As `problem`, with the published rule beyond every table, those that cannot be trusted too.
pub(super) fn published(trace: &Trace, model: &str, samples: u32) -> Problem {
    build(trace, Lookup::Kcc2020, model, samples, true)
}

fn build(trace: &Trace, lookup: Lookup, model: &str, samples: u32, extrapolate_unpredictable: bool) -> Problem {
    let device = |(name, kind, _): (&str, DeviceKind, &str)| (Device::new(name, kind), Bytes(1 << 50));
    let platform = Platform::new(DEVICES.map(device));
    let models = vec![Model { graph: Graph::opaque(model, 1, 1, Bytes(1), Bytes(1)).unwrap(), home: None }];
    let costs = TraceCosts::new(&platform, &[&models[0].graph], |device, _| {
        let (.., profile) = DEVICES[device.0 as usize];
        let whole = Curve::new(trace, profile, Precision::Fp32, model, lookup, extrapolate_unpredictable);
        Profile { whole, ..Profile::default() }
    });
    Problem::new(models, platform, Load::Offline { samples }, costs)
}

/// Milliseconds of `batch` samples on a device alone; none take no time.
pub(super) fn time(problem: &Problem, device: usize, batch: u32) -> f64 {
    if batch == 0 {
        return 0.0;
    }
    let graph = &problem.models[0].graph;
    let work = Work {
        model: ModelId(0),
        segment: graph.whole().unwrap(),
        region: Region { samples: 0..batch, rows: 0..graph.shape(graph.output()).rows },
    };
    let estimate = problem.costs.compute(DeviceId(device as u32), Share::FULL, &work);
    estimate.unwrap().time.as_millis_f64()
}

/// Samples that a plan gives to each device.
pub(super) fn split(plan: &Plan) -> OfDevice<u32> {
    let mut split = [0; 3];
    for step in &plan.steps {
        if let (Action::Compute(work), Some(lane)) = (&step.action, step.lane)
            && let Lane::Compute { device, .. } = plan.lane_at(lane)
        {
            split[device.0 as usize] += work.region.samples.len() as u32;
        }
    }
    split
}

/// What a strategy does with a problem: its split, and the makespan of its checked plan.
pub(super) fn run(strategy: &dyn Strategy, problem: &Problem) -> Result<(OfDevice<u32>, Duration), PlanError> {
    let plan = strategy.plan(problem)?;
    let plan = check(plan, problem).unwrap();
    let makespan = simulate(problem, &plan)?.makespan();
    Ok((split(&plan), makespan))
}

/// As `run`, in milliseconds.
pub(super) fn makespan(strategy: &dyn Strategy, problem: &Problem) -> f64 {
    run(strategy, problem).unwrap().1.as_millis_f64()
}

pub(super) fn longest(times: OfDevice<f64>) -> f64 {
    times.into_iter().fold(0.0, f64::max)
}
