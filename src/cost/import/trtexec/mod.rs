//! What trtexec exports: profile, times and layer information of one engine, and its log.
//!
//! Times of the end-to-end runs are the raw repeats of the whole network. The profile is recorded in a run of its
//! own, without CUDA graphs, and sums to more than that: its layers are scaled to the median of the end-to-end runs.

mod information;
mod log;
mod rows;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::read::TIME_MS_MAX;
use super::super::trace::{LayerKey, Statistic};
use super::Class;
use super::build::{At, Subject, TraceBuilder, fault};
use super::json::{Document, escape_quotes};
use super::text::Text;
use information::Information;
use log::Log;
use rows::{Layers, ProfileRow};

/// A profile: how many iterations its times are summed over, and its rows in order of execution.
#[derive(Default)]
struct Summed {
    source: usize,
    iterations: u32,
    rows: Vec<(At, ProfileRow)>,
}

/// Times of end-to-end runs.
#[derive(Default)]
struct EndToEnd {
    source: usize,
    runs: Vec<(At, Timed)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Timed {
    compute_ms: Option<f64>,
    start_compute_ms: Option<f64>,
    end_compute_ms: Option<f64>,
    #[serde(default)]
    h2d_ms: f64,
    #[serde(default)]
    d2h_ms: f64,
}

impl Timed {
    fn compute(&self) -> Option<f64> {
        self.compute_ms.or_else(|| Some(self.end_compute_ms? - self.start_compute_ms?))
    }
}

#[derive(Deserialize)]
struct Count {
    count: u32,
}

/// Adds one engine.
pub(super) fn read(texts: &[&Text], builder: &mut TraceBuilder) {
    let cleaned: Vec<String> = texts.iter().map(|text| sanitised(&text.text)).collect();
    let (mut profiles, mut times, mut informations, mut log) = (vec![], vec![], vec![], Log::default());
    for (text, cleaned) in texts.iter().zip(&cleaned) {
        builder.of_program(text.source, "TensorRT, by trtexec");
        let start = cleaned.trim_start();
        let document = Document::new(cleaned);
        if start.starts_with('{') {
            builder.describes(text.source);
            informations.extend(information::read(text.source, &document, builder));
        } else if is_array(start) {
            read_array(text.source, &document, &mut profiles, &mut times, builder);
        } else if log.read(text.source, cleaned) {
            builder.describes(text.source);
        } else {
            let cause = "the file is neither an export of trtexec nor its log";
            builder.refuse(text.source, fault(1, cause, "give the files of --exportProfile, --exportTimes and so on"));
        }
    }
    one_of("exportProfile", profiles.iter().map(|profile| profile.source), builder);
    one_of("exportTimes", times.iter().map(|times| times.source), builder);
    one_of("exportLayerInfo", informations.iter().map(|information: &Information| information.source), builder);
    log.state(builder);
    let (profile, times) = (profiles.pop(), times.pop());
    let information = informations.pop().unwrap_or_default();
    let Some(source) = profile.as_ref().map(|profile| profile.source).or(times.as_ref().map(|times| times.source))
    else {
        let source = texts.first().map_or(0, |text| text.source);
        if builder.has_faults() {
            return;
        }
        let remedy = "add the files of --exportProfile and --exportTimes";
        builder.refuse(source, fault(1, "the files have no times, only what describes the engine", remedy));
        return;
    };
    let (device, model) = (builder.device(source, log.device()), builder.model(source, log.model()));
    let batch = builder.batch(At { source, line: 1 }, information.batch());
    let (Some(device), Some(model), Some(batch)) = (device, model, batch) else { return };
    let precision = builder.precision(log.precision());
    let whole = Subject { device, model, precision, batch, layer: LayerKey::Whole };
    let end_to_end = times.as_ref().and_then(|times| add_times(times, &whole, builder));
    if let Some(profile) = profile {
        add_profile(&profile, &information, &log, end_to_end, &whole, builder);
    }
}

/// An array goes on with an object, where a line of a log has a time or a level in brackets.
fn is_array(start: &str) -> bool {
    start
        .strip_prefix('[')
        .is_some_and(|rest| rest.trim_start().is_empty() || rest.trim_start().starts_with(['{', ']']))
}

/// The text with control characters replaced, which trtexec writes into names, and with bare quotes escaped.
fn sanitised(text: &str) -> String {
    let separated = text.replace(['\u{1e}', '\u{1f}'], " + ");
    let blank = |letter: char| letter.is_ascii_control() && !matches!(letter, '\n' | '\r' | '\t');
    let spaced = separated.replace(blank, " ");
    if serde_json::from_str::<serde::de::IgnoredAny>(&spaced).is_ok() || !spaced.trim_start().starts_with(['[', '{']) {
        return spaced;
    }
    let profile = escape_quotes(&spaced, "\"name\" : \"", "\", \"timeMs\"");
    escape_quotes(&profile, "\"Name\": \"", "\",\n")
}

fn one_of(option: &str, sources: impl Iterator<Item = usize>, builder: &mut TraceBuilder) {
    for source in sources.skip(1) {
        let cause = format!("this is a second file of --{option}");
        builder.refuse(source, fault(1, cause, "import one engine at a time, and join the traces after that"));
    }
}

fn read_array(
    source: usize,
    document: &Document,
    profiles: &mut Vec<Summed>,
    times: &mut Vec<EndToEnd>,
    builder: &mut TraceBuilder,
) {
    let elements: Vec<&RawValue> = match document.read() {
        Ok(elements) => elements,
        Err(fault) => return builder.refuse(source, fault),
    };
    let of_profile = |element: &&RawValue| element.get().contains("\"timeMs\"");
    let first_count = elements.first().and_then(|first| serde_json::from_str::<Count>(first.get()).ok());
    let is_profile = first_count.is_some() || elements.iter().any(of_profile);
    if elements.is_empty() {
        builder.refuse(source, fault(1, "the array is empty", "export it again"));
    } else if is_profile {
        let mut profile = Summed { source, iterations: 0, rows: vec![] };
        let mut rest = elements.as_slice();
        match first_count.filter(|first| first.count > 0) {
            Some(first) => {
                profile.iterations = first.count;
                rest = &elements[1..];
            }
            None => {
                let cause = "the profile does not begin with its number of iterations, above 0";
                builder.refuse(source, fault(document.line(elements[0]), cause, "export it again"));
            }
        }
        for element in rest {
            let at = At { source, line: document.line(element) };
            match document.element::<ProfileRow>(element) {
                Ok(row) => {
                    let mut right = true;
                    for time_ms in [Some(row.time_ms), row.average_ms, row.median_ms].into_iter().flatten() {
                        right &= builder.is_time(at, &row.name, time_ms);
                    }
                    profile.rows.extend(right.then_some((at, row)));
                }
                Err(fault) => builder.refuse(source, fault),
            }
        }
        profiles.push(profile);
    } else {
        let mut runs = vec![];
        for element in elements {
            let at = At { source, line: document.line(element) };
            match document.element::<Timed>(element) {
                Ok(run) => runs.push((at, run)),
                Err(fault) => builder.refuse(source, fault),
            }
        }
        times.push(EndToEnd { source, runs });
    }
}

/// Adds the end-to-end runs; their median in milliseconds.
fn add_times(times: &EndToEnd, whole: &Subject, builder: &mut TraceBuilder) -> Option<f64> {
    let mut computed = vec![];
    for (at, run) in &times.runs {
        let Some(time_ms) = run.compute() else {
            builder.refuse(at.source, fault(at.line, "the run has no `computeMs`", "export it again"));
            continue;
        };
        let copies = run.h2d_ms + run.d2h_ms;
        let right = [time_ms, run.h2d_ms, run.d2h_ms, copies].map(|time| builder.is_time(*at, "a run", time));
        if right.contains(&false) {
            continue;
        }
        builder.reading(*at, "run", Class::Whole, "computeMs of an end-to-end run", Some(time_ms));
        builder.repeat(*at, whole.clone(), time_ms);
        computed.push(time_ms);
        if copies > 0.0 {
            builder.reading(*at, "run", Class::Transfer, "h2dMs and d2hMs of an end-to-end run", Some(copies));
            builder.repeat(*at, Subject { layer: LayerKey::Io, ..whole.clone() }, copies);
        }
    }
    computed.sort_by(f64::total_cmp);
    let middle = computed.len() / 2;
    let median = match computed.len() {
        0 => return None,
        odd if odd % 2 == 1 => computed[middle],
        _ => f64::midpoint(computed[middle - 1], computed[middle]),
    };
    Some(median).filter(|median| *median > 0.0)
}

fn add_profile(
    profile: &Summed,
    information: &Information,
    log: &Log,
    end_to_end: Option<f64>,
    whole: &Subject,
    builder: &mut TraceBuilder,
) {
    let Some(rows) = rows::of_one_profile(&profile.rows, builder) else { return };
    let iterations = f64::from(profile.iterations.max(1));
    let layers = Layers::read(&rows, iterations, information, log, builder);
    let total = layers.total_ms();
    let parallel = information.is_parallel() || log.is_parallel();
    let scale = match end_to_end {
        Some(_) if parallel => {
            builder
                .note("the engine uses auxiliary streams: layers overlap, and were not scaled to the end-to-end time");
            1.0
        }
        Some(median) if total > 0.0 => {
            let scale = median / total;
            builder.note(format!(
                "the layers sum to {total:.4} ms and a whole run takes {median:.4} ms (median): \
                 each layer was scaled by {scale:.4}"
            ));
            scale
        }
        _ if parallel => {
            builder.note("the engine uses auxiliary streams: layers overlap, and their sum is no time of the network");
            1.0
        }
        _ => {
            builder.note(
                "the time of the whole network is the sum of its layers in the profiling run, which is more than \
                 an end-to-end run takes; add the file of --exportTimes",
            );
            let at = At { source: profile.source, line: 1 };
            if total <= TIME_MS_MAX {
                builder.statistic(at, whole.clone(), Statistic::Mean, profile.iterations, total);
            }
            1.0
        }
    };
    for (at, name, time_ms) in layers.rows {
        let (scaled, place) = (time_ms * scale, Subject { layer: LayerKey::Named(name.clone()), ..whole.clone() });
        if builder.is_time(at, &name, scaled) {
            builder.statistic(at, place, Statistic::Mean, profile.iterations, scaled);
        }
    }
}

#[cfg(test)]
mod tests;
