//! Profiles of ONNX Runtime: an array of events, one `model_run` around the nodes of each run.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::trace::LayerKey;
use super::Class;
use super::build::{At, Subject, TraceBuilder, fault};
use super::json::Document;
use super::name::{Names, brief};
use super::text::Text;

/// ONNX Runtime stops recording at this many events.
const EVENTS_MAX: usize = 1_000_000;
const SUFFIX: &str = "_kernel_time";
/// Providers that only launch work: how long it takes is in separate rows of kernels.
const LAUNCHING: [&str; 7] = [
    "CUDAExecutionProvider",
    "ROCMExecutionProvider",
    "TensorrtExecutionProvider",
    "NvTensorRTRTXExecutionProvider",
    "DmlExecutionProvider",
    "MIGraphXExecutionProvider",
    "WebGpuExecutionProvider",
];

#[derive(Deserialize)]
struct OrtEvent<'a> {
    #[serde(borrow, default)]
    cat: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    ts: f64,
    #[serde(default)]
    dur: f64,
    #[serde(default)]
    args: Value,
}

impl OrtEvent<'_> {
    fn time_ms(&self) -> f64 {
        self.dur / 1000.0
    }

    /// An argument; all scalars are strings in this format.
    fn argument(&self, key: &str) -> &str {
        self.args.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn is_run(&self) -> bool {
        self.cat == "Session" && self.name == "model_run"
    }

    fn node_name(&self) -> Option<&str> {
        self.name.strip_suffix(SUFFIX).filter(|_| self.cat == "Node")
    }
}

/// Adds the runs of profiles, each on its own.
pub(super) fn read(texts: &[&Text], builder: &mut TraceBuilder) {
    let mut files = vec![];
    for text in texts {
        builder.of_program(text.source, "ONNX Runtime, version not stated");
        files.extend(events(text, builder).map(|events| (text.source, events)));
    }
    let fastest = fastest_graph(&files, builder);
    for (source, events) in &files {
        let is_fastest = fastest.as_ref().is_none_or(|fastest| *fastest == graph(events));
        read_events(*source, events, is_fastest, builder);
    }
}

/// The names of all nodes.
fn graph<'a>(events: &'a Events) -> BTreeSet<&'a str> {
    events.iter().filter_map(|(_, event)| event.node_name()).collect()
}

/// Where the files are of several graphs, as graph optimisation makes them: the graph with the shortest run.
fn fastest_graph<'a>(files: &'a [(usize, Events)], builder: &mut TraceBuilder) -> Option<BTreeSet<&'a str>> {
    let graphs: BTreeSet<BTreeSet<&str>> = files.iter().map(|(_, events)| graph(events)).collect();
    if graphs.len() < 2 {
        return None;
    }
    let shortest = |events: &Events| {
        let runs = events.iter().filter(|(_, event)| event.is_run()).map(|(_, event)| event.dur);
        runs.min_by(f64::total_cmp).unwrap_or(f64::INFINITY)
    };
    let (source, events) = files.iter().min_by(|(_, a), (_, b)| shortest(a).total_cmp(&shortest(b)))?;
    builder.note(format!(
        "the profiles have different layers, as graph optimisation makes them: \
         times of the whole network are those of the graph with the shortest run, in {}",
        builder.name(*source)
    ));
    Some(graph(events))
}

type Events<'a> = Vec<(At, OrtEvent<'a>)>;

fn events<'a>(text: &'a Text, builder: &mut TraceBuilder) -> Option<Events<'a>> {
    let document = Document::new(&text.text);
    let elements: Vec<&RawValue> = match document.read() {
        Ok(elements) => elements,
        Err(fault) => {
            builder.refuse(text.source, fault);
            return None;
        }
    };
    if elements.len() >= EVENTS_MAX {
        builder.note(format!(
            "{} has {} events; ONNX Runtime drops what comes after the first {EVENTS_MAX}: record fewer runs",
            text.name,
            elements.len()
        ));
    }
    let mut events = vec![];
    let mut right = true;
    for element in elements {
        let at = At { source: text.source, line: document.line(element) };
        match document.element::<OrtEvent>(element) {
            Ok(event) => {
                right &= builder.is_time(at, &event.name, event.time_ms());
                events.push((at, event));
            }
            Err(fault) => {
                builder.refuse(text.source, fault);
                right = false;
            }
        }
    }
    right.then_some(events)
}

/// One run of the network.
#[derive(Default)]
struct OrtRun {
    event: usize,
    /// Events of its nodes, in file order.
    nodes: Vec<usize>,
}

fn read_events(source: usize, events: &Events, is_fastest: bool, builder: &mut TraceBuilder) {
    let (device, model) = (builder.device(source, None), builder.model(source, None));
    let mut runs: Vec<OrtRun> = (0..events.len())
        .filter(|&index| events[index].1.is_run())
        .map(|event| OrtRun { event, nodes: vec![] })
        .collect();
    runs.sort_by(|first, second| events[first.event].1.ts.total_cmp(&events[second.event].1.ts));
    if runs.is_empty() {
        let cause = "the profile has no complete `model_run`";
        builder.refuse(source, fault(1, cause, "run the network several times and call end_profiling after that"));
        return;
    }
    for pair in runs.windows(2) {
        let (first, (at, second)) = (&events[pair[0].event].1, &events[pair[1].event]);
        if first.ts + first.dur > second.ts {
            let cause = "this run of the network began before the one before it ended";
            builder.refuse(source, fault(at.line, cause, "record runs one after the other, in one thread"));
        }
    }
    let kernels = kernels(events, builder);
    assign(events, &mut runs, builder);
    let batches: Vec<Option<u32>> = runs.iter().map(|run| batch(events, run, builder)).collect();
    let mut count: BTreeMap<u32, usize> = BTreeMap::new();
    batches.iter().flatten().for_each(|batch| *count.entry(*batch).or_insert(0) += 1);
    let mut seen = BTreeSet::new();
    for (run, batch) in runs.iter().zip(batches) {
        let Some(batch) = batch else { continue };
        let warm_up = seen.insert(batch) && count[&batch] > 1;
        if count[&batch] == 1 {
            builder.note(format!("batch {batch} has one run only, which may have been a warm-up; record more"));
        }
        if let (Some(device), Some(model)) = (&device, &model) {
            let (device, model, precision) = (device.clone(), model.clone(), builder.precision(None));
            let place = Subject { device, model, precision, batch, layer: LayerKey::Whole };
            read_run(events, run, &kernels, (!warm_up).then_some(&place), is_fastest, builder);
        }
    }
}

/// Kernels of each node's event.
fn kernels(events: &Events, builder: &mut TraceBuilder) -> BTreeMap<usize, Vec<usize>> {
    let mut latest: BTreeMap<&str, usize> = BTreeMap::new();
    let mut kernels: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, (at, event)) in events.iter().enumerate() {
        if event.cat == "Node" {
            latest.insert(&event.name, index);
            latest.insert(event.argument("op_name"), index);
        } else if event.cat == "Kernel" {
            let parent = latest.get(event.argument("parent_name")).or_else(|| latest.get(event.argument("op_name")));
            match parent {
                Some(&parent) => kernels.entry(parent).or_default().push(index),
                None => builder.reading(*at, &event.name, Class::Dropped, "no node launched it", Some(event.time_ms())),
            }
        }
    }
    kernels
}

/// Gives each node to the run around it, and says of all other events why they are not used.
fn assign(events: &Events, runs: &mut [OrtRun], builder: &mut TraceBuilder) {
    let starts: Vec<f64> = runs.iter().map(|run| events[run.event].1.ts).collect();
    let mut outside = 0;
    for (index, (at, event)) in events.iter().enumerate() {
        let why = match (event.cat.as_ref(), event.name.as_ref()) {
            ("Session", "model_run") | ("Kernel", _) => continue,
            ("Session", name) if name.ends_with("::Execute") => "lies within `model_run`",
            ("Node", name) if name.ends_with(SUFFIX) => {
                let after = starts.partition_point(|&start| start <= event.ts);
                let run = after.checked_sub(1).and_then(|run| runs.get_mut(run));
                let run = run.filter(|run| event.ts < events[run.event].1.ts + events[run.event].1.dur.max(1.0));
                match run {
                    Some(run) => {
                        run.nodes.push(index);
                        continue;
                    }
                    None => {
                        outside += 1;
                        "no complete `model_run` lies around it"
                    }
                }
            }
            ("Node", _) => "a fence, not computation",
            ("Session", _) => "happens once for a session",
            _ => "not a time of a node",
        };
        builder.reading(*at, &event.name, Class::Dropped, why, Some(event.time_ms()));
    }
    if outside > 0 {
        builder.note(format!(
            "{outside} nodes of an incomplete last run were left out; ONNX Runtime stops at {EVENTS_MAX} events"
        ));
    }
}

/// The leading dimension of the first input of a run's first node.
fn batch(events: &Events, run: &OrtRun, builder: &mut TraceBuilder) -> Option<u32> {
    let first = run.nodes.iter().min_by(|&&a, &&b| events[a].1.ts.total_cmp(&events[b].1.ts));
    let shapes = first.and_then(|&first| events[first].1.args.get("input_type_shape"));
    let shape = shapes.and_then(|shapes| shapes.get(0)?.as_object()?.values().next()?.get(0)?.as_i64());
    builder.batch(events[run.event].0, shape)
}

/// Adds one run, or drops it as a warm-up if it has no `place`.
fn read_run(
    events: &Events,
    run: &OrtRun,
    kernels: &BTreeMap<usize, Vec<usize>>,
    place: Option<&Subject>,
    is_fastest: bool,
    builder: &mut TraceBuilder,
) {
    let (at, event) = &events[run.event];
    let (class, why) = match place {
        Some(_) if is_fastest => (Class::Whole, "a run of the network"),
        Some(_) => (Class::Dropped, "a run of a slower graph; its layers are used"),
        None => (Class::Dropped, "the first run at this batch, a warm-up"),
    };
    builder.reading(*at, &event.name, class, why, Some(event.time_ms()));
    if let Some(place) = place.filter(|_| is_fastest) {
        builder.repeat(*at, place.clone(), event.time_ms());
    }
    // A node of a loop's body runs several times; nodes of equal name differ by their index.
    let mut layers: BTreeMap<(String, u64), (usize, f64)> = BTreeMap::new();
    for &index in &run.nodes {
        let (at, event) = &events[index];
        let (class, why, time_ms) = read_node(events, index, kernels, builder);
        let class = if place.is_some() { class } else { Class::Dropped };
        let why = if place.is_some() { why } else { "belongs to a warm-up run".to_owned() };
        builder.reading(*at, &event.name, class, why, Some(event.time_ms()));
        for &kernel in kernels.get(&index).into_iter().flatten() {
            let (at, kernel) = &events[kernel];
            let why = format!("a kernel of `{}`", brief(event.node_name().unwrap_or_default()));
            builder.reading(*at, &kernel.name, class, why, Some(kernel.time_ms()));
        }
        if let (Some(time_ms), Class::Layer | Class::Reformat) = (time_ms, class) {
            let name = event.node_name().unwrap_or_default().to_owned();
            let index_in_graph = event.argument("node_index").parse().unwrap_or(0);
            layers.entry((name, index_in_graph)).or_insert((index, 0.0)).1 += time_ms;
        }
    }
    let Some(place) = place else { return };
    let mut names = Names::default();
    let mut named: Vec<(usize, String, f64)> =
        layers.into_iter().map(|((name, _), (index, time_ms))| (index, names.unique(&name), time_ms)).collect();
    named.sort_by_key(|(index, _, _)| *index);
    for (index, name, time_ms) in named {
        builder.repeat(events[index].0, Subject { layer: LayerKey::Named(name), ..place.clone() }, time_ms);
    }
}

/// What a node's row is, why, and its time if that is known.
fn read_node(
    events: &Events,
    index: usize,
    kernels: &BTreeMap<usize, Vec<usize>>,
    builder: &mut TraceBuilder,
) -> (Class, String, Option<f64>) {
    let event = &events[index].1;
    let (operator, provider) = (event.argument("op_name"), event.argument("provider"));
    if event.name.contains("TRTKernel_graph_") {
        builder
            .note("a TensorRT subgraph is one row of ONNX Runtime's profile; profile it with trtexec for its layers");
    }
    if event.name.contains("_nchwc") {
        builder.note(
            "some layers are named after their output with `_nchwc`, and may have others fused into them: \
             graph optimisation does that; record once with graph_optimization_level=basic for the names of the model",
        );
    }
    if operator == "MemcpyToHost" || operator == "MemcpyFromHost" {
        return (Class::Transfer, "a copy between host and device".to_owned(), None);
    }
    let class = if operator.starts_with("Reorder") { Class::Reformat } else { Class::Layer };
    let why = if class == Class::Reformat { "a change of layout" } else { "a node" };
    if !LAUNCHING.contains(&provider) {
        return (class, format!("{why} ({operator})"), Some(event.time_ms()));
    }
    match kernels.get(&index) {
        Some(of_node) => {
            let time_ms = of_node.iter().map(|&kernel| events[kernel].1.time_ms()).sum();
            (class, format!("{why} ({operator}), timed by its {} kernels", of_node.len()), Some(time_ms))
        }
        None => {
            builder.note(format!(
                "nodes of {provider} without rows of kernels were left out: their time is that of the launch"
            ));
            (Class::Dropped, "the time of a launch, without rows of its kernels".to_owned(), None)
        }
    }
}

#[cfg(test)]
mod tests;
