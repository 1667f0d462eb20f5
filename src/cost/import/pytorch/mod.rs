//! Chrome traces of PyTorch's profiler: steps around operators, which may launch kernels on a GPU.
//!
//! A run is a `ProfilerStep#`, or else an outermost annotation, or else all that was recorded. Its layers are the
//! outermost annotations and operators in it: what they call lies within them and is not counted again. On a GPU,
//! the time of a layer is that of its kernels.

mod events;

use std::collections::{BTreeMap, BTreeSet};

use super::super::trace::LayerKey;
use super::Class;
use super::build::{At, Subject, TraceBuilder, fault};
use super::name::{Names, brief};
use super::text::Text;
use events::{Event, Sort, read as read_events};

const STEP: &str = "ProfilerStep#";

/// Adds the runs of each file.
pub(super) fn read(texts: &[&Text], builder: &mut TraceBuilder) {
    for text in texts {
        builder.of_program(text.source, "PyTorch profiler (Kineto), version not stated");
        if let Some((events, device)) = read_events(text, builder) {
            read_file(text.source, &events, device.as_deref(), builder);
        }
    }
}

/// A run of the network: when, and its layers in order.
struct TorchRun {
    at: At,
    /// The event that marks it.
    event: Option<usize>,
    name: String,
    thread: (String, String),
    start: i64,
    end: i64,
    is_warm_up: bool,
    layers: Vec<TorchLayer>,
}

/// An outermost event of a run.
struct TorchLayer {
    at: At,
    name: String,
    start: i64,
    end: i64,
    leading: Option<i64>,
    /// Begin, end and duration of what it did on the device.
    kernels: Vec<(i64, i64)>,
}

fn read_file(source: usize, events: &[Event], stated: Option<&str>, builder: &mut TraceBuilder) {
    let Some(mut runs) = find_runs(events) else {
        let cause = "the trace has no operator";
        let remedy = "export the trace in on_trace_ready, or without a schedule, so that events are kept";
        builder.refuse(source, fault(1, cause, remedy));
        return;
    };
    let owners = find_layers(events, &mut runs, builder);
    let on_gpu = events.iter().any(|event| event.sort == Sort::Kernel && event.end > event.start);
    let copies = attribute(events, &mut runs, &owners, builder);
    let stated = stated.filter(|_| on_gpu);
    if let Some(hardware) = stated {
        builder.state(source, "hardware", hardware);
    }
    let (device, model) = (builder.device(source, stated), builder.model(source, None));
    for (run, copied) in runs.iter().zip(copies) {
        let (class, why) = match (run.layers.is_empty(), run.is_warm_up) {
            (true, _) => (Class::Dropped, "a step without operators"),
            (_, true) => (Class::Dropped, "the first step, a warm-up"),
            _ => (Class::Whole, "a run of the network"),
        };
        builder.reading(run.at, &run.name, class, why, Some((run.end - run.start) as f64 / 1e6));
        if class != Class::Whole {
            for layer in &run.layers {
                let time_ms = (layer.end - layer.start) as f64 / 1e6;
                builder.reading(layer.at, &layer.name, Class::Dropped, "belongs to a warm-up run", Some(time_ms));
            }
            continue;
        }
        let batch = builder.batch(run.at, run.layers.iter().find_map(|layer| layer.leading));
        if let (Some(device), Some(model), Some(batch)) = (&device, &model, batch) {
            let (device, model, precision) = (device.clone(), model.clone(), builder.precision(None));
            let whole = Subject { device, model, precision, batch, layer: LayerKey::Whole };
            add_run(run, on_gpu, copied, &whole, builder);
        }
    }
}

/// The runs in order of time; none if there is no operator.
fn find_runs(events: &[Event]) -> Option<Vec<TorchRun>> {
    let first = events.iter().filter(|event| event.sort == Sort::Operator).min_by_key(|event| event.start)?;
    let mut found: Vec<usize> = (0..events.len()).filter(|&index| events[index].sort == Sort::Annotation).collect();
    found.sort_by_key(|&index| (events[index].start, -events[index].end));
    let is_step = |index: &usize| events[*index].name.starts_with(STEP);
    let thread = found.iter().find(|index| is_step(index)).map_or(&first.thread, |&step| &events[step].thread);
    found.retain(|&index| events[index].thread == *thread);
    let has_steps = found.iter().any(is_step);
    if has_steps {
        found.retain(is_step);
    } else {
        let mut end = i64::MIN;
        found.retain(|&index| {
            let outermost = events[index].start >= end;
            end = if outermost { events[index].end } else { end };
            outermost
        });
        let name = found.first().map(|&index| events[index].name.as_str());
        found.retain(|&index| Some(events[index].name.as_str()) == name);
    }
    // A step after others that were not recorded is no warm-up.
    let warmed = has_steps && found.first().is_some_and(|&index| events[index].name != "ProfilerStep#0");
    let several = found.len() > 1;
    let mut runs: Vec<TorchRun> = vec![];
    for index in found {
        let event = &events[index];
        // Steps that overlap would claim the same operators.
        let start = runs.last().map_or(event.start, |last: &TorchRun| event.start.max(last.end));
        runs.push(TorchRun {
            at: event.at,
            event: Some(index),
            name: event.name.clone(),
            thread: thread.clone(),
            start,
            end: event.end.max(start),
            is_warm_up: several && !warmed && runs.is_empty(),
            layers: vec![],
        });
    }
    if runs.is_empty() {
        let of_thread = events.iter().filter(|event| event.sort == Sort::Operator && event.thread == *thread);
        runs.push(TorchRun {
            at: first.at,
            event: None,
            name: "all that was recorded".to_owned(),
            thread: thread.clone(),
            start: first.start,
            end: of_thread.map(|event| event.end).max().unwrap_or(first.end) + 1,
            is_warm_up: false,
            layers: vec![],
        });
    }
    Some(runs)
}

/// The run and the layer of each operator, by its external number.
type Owners = BTreeMap<i64, (usize, usize)>;

/// Fills in the layers of runs.
fn find_layers(events: &[Event], runs: &mut [TorchRun], builder: &mut TraceBuilder) -> Owners {
    let mut owners = Owners::new();
    let starts: Vec<i64> = runs.iter().map(|run| run.start).collect();
    let of_runs: BTreeSet<usize> = runs.iter().filter_map(|run| run.event).collect();
    let mut nested: Vec<usize> = (0..events.len())
        .filter(|index| matches!(events[*index].sort, Sort::Annotation | Sort::Operator) && !of_runs.contains(index))
        .collect();
    nested.sort_by_key(|&index| (events[index].start, -events[index].end, events[index].sort == Sort::Operator));
    let mut within: Vec<Vec<&Event>> = runs.iter().map(|_| vec![]).collect();
    for index in nested {
        let event = &events[index];
        let run = starts.partition_point(|&start| start <= event.start).checked_sub(1);
        match run.filter(|&run| event.start < runs[run].end && event.thread == runs[run].thread) {
            Some(run) => within[run].push(event),
            None => {
                let why = "outside of all runs, or in another thread";
                builder.reading(event.at, &event.name, Class::Dropped, why, Some(event.time_ms()));
            }
        }
    }
    for (index, (run, inside)) in runs.iter_mut().zip(within).enumerate() {
        // An annotation around everything names the run, not a layer of it.
        let mut inside = inside.as_slice();
        while let [first, rest @ ..] = inside
            && first.sort == Sort::Annotation
            && rest.last().is_some_and(|last| last.start < first.end)
        {
            let why = "around all of the run";
            builder.reading(first.at, &first.name, Class::Dropped, why, Some(first.time_ms()));
            inside = rest;
        }
        for event in inside {
            match run.layers.last_mut() {
                Some(last) if event.start < last.end => {
                    let why = format!("lies within `{}`", brief(&last.name));
                    last.leading = last.leading.or(event.leading);
                    builder.reading(event.at, &event.name, Class::Dropped, why, Some(event.time_ms()));
                }
                _ => run.layers.push(TorchLayer {
                    at: event.at,
                    name: event.name.clone(),
                    start: event.start,
                    end: event.end,
                    leading: event.leading,
                    kernels: vec![],
                }),
            }
            if let Some(external) = event.external.filter(|_| event.sort == Sort::Operator) {
                owners.insert(external, (index, run.layers.len() - 1));
            }
        }
    }
    owners
}

/// Gives what ran on the device to the layers that launched it; milliseconds of copies of each run.
fn attribute(events: &[Event], runs: &mut [TorchRun], owners: &Owners, builder: &mut TraceBuilder) -> Vec<f64> {
    let mut launches: BTreeMap<i64, Option<(usize, usize)>> = BTreeMap::new();
    let around = |runs: &[TorchRun], time: i64| {
        let run = runs.partition_point(|run| run.start <= time).checked_sub(1)?;
        let layer = runs[run].layers.partition_point(|layer| layer.start <= time).checked_sub(1)?;
        (time < runs[run].layers[layer].end).then_some((run, layer))
    };
    for event in events.iter().filter(|event| event.sort == Sort::Runtime) {
        let owner = event.external.and_then(|external| owners.get(&external).copied());
        if let Some(correlation) = event.correlation {
            launches.insert(correlation, owner.or_else(|| around(runs, event.start)));
        }
    }
    let mut copies = vec![0.0; runs.len()];
    for event in events {
        let (class, why) = match event.sort {
            Sort::Annotation | Sort::Operator => continue,
            Sort::Runtime => (Class::Dropped, "the host's side of a launch".to_owned()),
            Sort::Other => (Class::Dropped, "no operator, kernel or copy".to_owned()),
            Sort::Kernel | Sort::Copy if event.end == event.start => {
                builder.note("kernels without a duration were left out: the profiler lost them");
                (Class::Dropped, "without a duration".to_owned())
            }
            Sort::Kernel | Sort::Copy => {
                let by_launch = event.correlation.and_then(|correlation| launches.get(&correlation).copied().flatten());
                let owner = by_launch.or_else(|| owners.get(&event.external?).copied());
                match owner {
                    None => (Class::Dropped, "no operator of a run launched it".to_owned()),
                    Some((run, layer)) if event.sort == Sort::Kernel => {
                        let layer = &mut runs[run].layers[layer];
                        layer.kernels.push((event.start, event.end));
                        (Class::Layer, format!("a kernel of `{}`", brief(&layer.name)))
                    }
                    Some((run, _)) => {
                        copies[run] += event.time_ms();
                        (Class::Transfer, "a copy".to_owned())
                    }
                }
            }
        };
        builder.reading(event.at, &event.name, class, why, Some(event.time_ms()));
    }
    copies
}

fn add_run(run: &TorchRun, on_gpu: bool, copied: f64, whole: &Subject, builder: &mut TraceBuilder) {
    let kernels = || run.layers.iter().flat_map(|layer| layer.kernels.iter());
    let (start, end) = if on_gpu {
        (kernels().map(|kernel| kernel.0).min(), kernels().map(|kernel| kernel.1).max())
    } else {
        (run.layers.iter().map(|layer| layer.start).min(), run.layers.iter().map(|layer| layer.end).max())
    };
    let (Some(start), Some(end)) = (start, end) else {
        builder.note(format!("`{}` launched no kernel and was left out", brief(&run.name)));
        return;
    };
    builder.note(if on_gpu {
        "the time of a run is that from the first to the end of its last kernel"
    } else {
        "the time of a run is that from the first to the end of its last operator"
    });
    builder.repeat(run.at, whole.clone(), (end - start) as f64 / 1e6);
    if copied > 0.0 {
        builder.repeat(run.at, Subject { layer: LayerKey::Io, ..whole.clone() }, copied);
    }
    let mut names = Names::default();
    for layer in &run.layers {
        let time_ms = if on_gpu {
            layer.kernels.iter().map(|(start, end)| (end - start) as f64 / 1e6).sum()
        } else {
            (layer.end - layer.start) as f64 / 1e6
        };
        let name = names.unique(&layer.name);
        if on_gpu && layer.kernels.is_empty() {
            builder.reading(layer.at, &layer.name, Class::Dropped, "launched no kernel", None);
            continue;
        }
        builder.reading(layer.at, &layer.name, Class::Layer, format!("`{name}`, outermost in its run"), Some(time_ms));
        builder.repeat(layer.at, Subject { layer: LayerKey::Named(name), ..whole.clone() }, time_ms);
    }
}

#[cfg(test)]
mod tests;
