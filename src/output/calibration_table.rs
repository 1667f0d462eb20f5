//! A calibration as tables for a terminal of 80 columns.

use super::calibration::{Calibration, SeriesView};
use super::grid::{NAME_BREAKS, grid, page, room, wrap};
use crate::cost::{Lookup, NOMINAL_COVERAGE, SeriesValidation, SharesValidation, Target, targets};
use crate::statistics::Errors;

/// The names of totals: of networks and of layers, each all of them and those that can be trusted.
pub(crate) const TOTALS: [[&str; 2]; 2] = [["all networks", "all but *"], ["all layers", "all layers but *"]];

/// The calibration as lines of at most 80 columns: errors, what is beyond the range, targets, and what they mean.
///
/// With `each_layer`, layers have a line each. With `bold`, headers are set in bold by ANSI escapes.
pub fn calibration_table(calibration: &Calibration, each_layer: bool, bold: bool) -> String {
    let (entries, totals) = (calibration.entries(each_layer), calibration.totals());
    let has_noise = entries.iter().any(|entry| entry.group.noise.is_some());
    let mut lines = entry_grid(&ERRORS, &entries, &totals, &errors_cells, bold);
    lines.push(String::new());
    let reach = if has_noise { &REACH[..] } else { &REACH[..REACH.len() - 2] };
    lines.extend(entry_grid(reach, &entries, &totals, &reach_cells, bold));
    lines.push(String::new());
    if !calibration.validation.shares.is_empty() {
        lines.extend(grid(&SHARES, 2, calibration.validation.shares.iter().map(share_cells), bold));
        lines.push(String::new());
    }
    let mut targets = grid(&TARGETS, 1, targets(&calibration.validation).iter().map(target_cells), bold);
    // There are no units.
    targets.remove(1);
    lines.extend(targets);
    page(lines, captions(calibration))
}

type Titles = [(&'static str, &'static str)];

/// Of inner batches.
const ERRORS: [(&str, &str); 8] = [
    ("mean", "%"),
    ("median", "%"),
    ("p95", "%"),
    ("largest", "%"),
    ("bias", "%"),
    ("within", "10 %"),
    ("covered", "%"),
    ("n", ""),
];
const REACH: [(&str, &str); 6] =
    [("form", ""), ("below", "%"), ("beyond", "%"), ("transfer", "%"), ("noise", "%"), ("spikes", "%")];
const TARGETS: [(&str, &str); 4] = [("target", ""), ("found", ""), ("wanted", ""), ("met", "")];

const SHARES: [(&str, &str); 7] =
    [("device", ""), ("network", ""), ("shares", ""), ("n", ""), ("form", "%"), ("between", "%"), ("used", "")];

fn share_cells(found: &SharesValidation) -> Vec<String> {
    let SharesValidation { device, model, shares, errors } = found;
    let used = if errors.is_form() { "form" } else { "between" };
    let counts = [*shares, errors.count].map(|count| count.to_string());
    let [shares, count] = counts;
    vec![device.clone(), model.clone(), shares, count, percent(errors.form), percent(errors.between), used.to_owned()]
}

/// A table with the networks below their devices.
fn entry_grid(
    titles: &Titles,
    entries: &[SeriesView<'_>],
    totals: &[SeriesView<'_>],
    cells: &dyn Fn(&SeriesView<'_>) -> Vec<String>,
    bold: bool,
) -> Vec<String> {
    let mut named: Vec<(String, Vec<String>)> = Vec::new();
    let mut device = "";
    for entry in entries {
        if entry.device != device {
            named.push((entry.device.to_owned(), vec![]));
            device = entry.device;
        }
        let mark = if entry.group.unpredictable > 0 { " *" } else { "" };
        let part = if entry.part == "whole" { String::new() } else { format!(", {}", entry.part) };
        named.push((format!("  {}{part}{mark}", entry.model), cells(entry)));
    }
    named.extend(totals.iter().map(|entry| (entry.model.to_owned(), cells(entry))));

    named.iter_mut().for_each(|(_, cells)| cells.truncate(titles.len()));
    let header: Vec<(&str, &str)> = [("device, network", "")].into_iter().chain(titles.iter().copied()).collect();
    let left = room(&header, named.iter().map(|(_, cells)| cells.as_slice())).max(NAMES_MIN);
    let line = |(name, cells): (String, Vec<String>)| {
        let name = wrap(&name, left, "    ", NAME_BREAKS).join("\n");
        [name].into_iter().chain(cells).collect()
    };
    // A form is text, and stands on the left.
    let left_count = if titles[0].0 == REACH[0].0 { 2 } else { 1 };
    grid(&header, left_count, named.into_iter().map(line), bold)
}

/// Names are wrapped to no less than this.
const NAMES_MIN: usize = 14;

/// At most six characters, and a sign.
fn percent(fraction: f64) -> String {
    let percent = 100.0 * fraction;
    if percent.abs() < 9999.95 { format!("{percent:.1}") } else { format!("{percent:.0e}") }
}

fn or_dash(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "-".to_owned(), percent)
}

fn errors_cells(entry: &SeriesView<'_>) -> Vec<String> {
    let figure = |figure: fn(Errors) -> f64| or_dash(entry.group.inside.map(figure));
    let signed = |errors: Errors| match percent(errors.bias).as_str() {
        "-0.0" | "0.0" => "0.0".to_owned(),
        text if errors.bias > 0.0 => format!("+{text}"),
        text => text.to_owned(),
    };
    let bias = entry.group.inside.map_or_else(|| "-".to_owned(), signed);
    vec![
        figure(|errors| errors.mean),
        figure(|errors| errors.median),
        figure(|errors| errors.p95),
        figure(|errors| errors.max),
        bias,
        figure(|errors| errors.within_10_percent),
        or_dash(entry.group.coverage.map(|coverage| coverage.share)),
        entry.group.inside.map_or(0, |errors| errors.count).to_string(),
    ]
}

fn reach_cells(entry: &SeriesView<'_>) -> Vec<String> {
    let mean = |errors: Option<Errors>| or_dash(errors.map(|errors| errors.mean));
    let is_refused = entry.group.refused > 0 && entry.group.beyond.is_none();
    let noise = entry.group.noise;
    vec![
        entry.form.map_or("(several)", Lookup::name).to_owned(),
        mean(entry.group.below),
        if is_refused { "refused".to_owned() } else { mean(entry.group.beyond) },
        mean(entry.group.transferred),
        or_dash(noise.map(|noise| noise.sigma)),
        or_dash(noise.map(|noise| noise.spikes as f64 / noise.repeats as f64)),
    ]
}

fn target_cells(target: &Target) -> Vec<String> {
    let figure = |value: f64| if target.is_percent { format!("{} %", percent(value)) } else { format!("{value:.3}") };
    let sign = if target.is_least { ">=" } else { "<=" };
    let met = match target.is_met() {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known",
    };
    let found = target.figure.map_or_else(|| "-".to_owned(), figure);
    vec![target.name.to_owned(), found, format!("{sign} {}", figure(target.limit)), met.to_owned()]
}

fn captions(calibration: &Calibration) -> Vec<String> {
    let series = &calibration.validation.series;
    let mut captions: Vec<String> = [
        "mean to n: absolute errors of batches inside the profiled range, each predicted from the other batches of \
         its network on its device; the form is chosen anew without it",
        "below, beyond: mean error of the smallest and of the largest batch, predicted from the others",
        "transfer: mean error from the network's median batch alone, with the mean shape of the device's other \
         networks",
        "form: what `lookup = \"cross_validated\"` has in a scenario: the simplest within one standard error of the \
         best",
    ]
    .map(str::to_owned)
    .into();
    let nominal = 100.0 * NOMINAL_COVERAGE;
    captions.push(format!("covered: measurements in intervals that should have {nominal:.0} % of them"));
    if series.iter().any(|series| series.noise.is_some()) {
        captions.push(
            "noise, spikes: spread of raw repeats, and those that took far longer than the others of their batch"
                .to_owned(),
        );
    }
    if !calibration.validation.shares.is_empty() {
        captions.push(
            "form, between: mean error of shares of a device that are left out, by a form fitted to all others, and by a \
             speed that is linear between the neighbours; batches that smaller and larger shares have"
                .to_owned(),
        );
    }
    captions.extend(form_errors(series));
    captions.extend(calibration.ranking().map(|ranking| {
        let (plans, choices, most) = (ranking.plans, ranking.choices, percent(ranking.regret_max));
        format!(
            "plans: {plans} splits of {choices} batches over up to three devices into measured parts, each part \
             predicted without its measurement; largest regret {most} %"
        )
    }));
    captions.push("targets: over what is not marked; calibrated is from other batches, transferred from one".into());
    captions.extend(told_once(series, "* unpredictable, not extrapolated", |series| series.unpredictable.as_deref()));
    captions.extend(told_once(series, "not validated", |series| series.refusal.as_deref()));
    captions.extend(calibration.notes.iter().map(|note| format!("note: {note}")));
    captions
}

/// The mean error that each form alone would have inside the range, over what can be trusted.
fn form_errors(series: &[SeriesValidation]) -> Option<String> {
    let scored = || series.iter().filter(|series| series.unpredictable.is_none() && !series.scores.is_empty());
    let first = scored().next()?;
    let error = |(index, form): (usize, Lookup)| {
        let inner = |series: &SeriesValidation| series.scores[index].count as f64;
        let sum: f64 = scored().map(|series| series.scores[index].mean * inner(series)).sum();
        format!("{} {} %", form.name(), percent(sum / scored().map(inner).sum::<f64>()))
    };
    let errors: Vec<String> = first.scores.iter().map(|score| score.form).enumerate().map(error).collect();
    Some(format!("mean error with one form for all that is not marked: {}", errors.join(", ")))
}

/// A line for each of the first series that `why` is known of; the others are counted.
fn told_once(series: &[SeriesValidation], what: &str, why: impl Fn(&SeriesValidation) -> Option<&str>) -> Vec<String> {
    let found: Vec<(&SeriesValidation, &str)> =
        series.iter().filter_map(|series| Some((series, why(series)?))).collect();
    let line = |(series, why): &(&SeriesValidation, &str)| {
        let layer = series.layer.as_ref().map(|layer| format!(", {layer}")).unwrap_or_default();
        format!("{what}: {}{layer} on {}: {why}", series.model, series.device)
    };
    let mut lines: Vec<String> = found.iter().take(TOLD_MAX).map(line).collect();
    if let Some(more @ 1..) = found.len().checked_sub(TOLD_MAX) {
        lines.push(format!("{what}: and {more} more"));
    }
    lines
}

/// Further series are only counted.
const TOLD_MAX: usize = 8;
