//! How queries were served, as a table for a terminal of 80 columns.

use super::grid::{decimals, named_grid, or_dash};
use crate::metrics::{MovedPages, Outcome, Service};

/// Each column's title and unit.
const TITLES: [(&str, &str); 9] = [
    ("strategy", ""),
    ("queries", "/s"),
    ("latency", "mean ms"),
    ("+-", "ms"),
    ("p50", "ms"),
    ("p99", "ms"),
    ("+-", "ms"),
    ("missed", "%"),
    ("busy", "%"),
];
/// A line for each outcome that has a service, and below it one for each network with a load of its own.
pub(crate) fn service_grid(outcomes: &[Outcome], bold: bool) -> Vec<String> {
    let services = || outcomes.iter().filter_map(|outcome| outcome.service.as_ref());
    let means = || services().filter_map(|service| service.latency_mean_ms).map(|interval| interval.mean);
    // Latencies of hours do not fit as milliseconds.
    let (unit, scale) = if means().any(|mean| mean >= 1e6) { ("s", 1e-3) } else { ("ms", 1.0) };
    let titles = TITLES.map(|(title, of)| match of {
        "ms" => (title, unit),
        "mean ms" if unit == "s" => (title, "mean s"),
        _ => (title, of),
    });
    let places = decimals(4, means().map(|mean| mean * scale));
    let rates = decimals(4, services().map(|service| service.qps.mean));
    let number = |value: Option<f64>| or_dash(value.map(|value| value * scale), places);
    let half = |width: Option<f64>| {
        width.filter(|width| *width > 0.0).map_or_else(|| "-".to_owned(), |width| short(width * scale))
    };
    let numbers = |service: &Service, busy: String| {
        let percentiles = service.percentiles;
        let p99 = percentiles.map(|percentiles| percentiles.p99);
        vec![
            format!("{:.rates$}", service.qps.mean),
            number(service.latency_mean_ms.map(|interval| interval.mean)),
            half(service.latency_mean_ms.map(|interval| interval.half_width)),
            number(percentiles.map(|percentiles| percentiles.p50)),
            number(p99.map(|percentile| percentile.value)),
            half(p99.and_then(|percentile| percentile.reach())),
            missed(service),
            busy,
        ]
    };
    let mut rows = Vec::new();
    for outcome in outcomes {
        let of_all = outcome.service.as_ref().map(|service| numbers(service, busy(outcome)));
        rows.push((outcome.strategy.clone(), of_all.unwrap_or_default()));
        let of_network =
            |(network, service): &(String, Service)| (format!("  {network}"), numbers(service, String::new()));
        rows.extend(outcome.networks.iter().map(of_network));
    }
    named_grid(&titles, rows, bold)
}

/// Two significant digits.
fn short(value: f64) -> String {
    if value < 1e-3 {
        return "<0.001".to_owned();
    }
    let places = (1.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.places$}")
}

/// The share of queries that were dropped or late, in percent.
fn missed(service: &Service) -> String {
    match service.queries {
        0 => "-".to_owned(),
        queries => format!("{:.1}", (service.dropped + service.late) as f64 / queries as f64 * 100.0),
    }
}

/// How busy the busiest device was, in percent.
fn busy(outcome: &Outcome) -> String {
    let busiest = outcome.utilisation.iter().map(|(_, share)| *share).fold(0.0, f64::max);
    format!("{:.1}", busiest * 100.0)
}

/// What the columns mean.
pub(crate) fn service_captions(outcomes: &[Outcome]) -> Vec<String> {
    let mut captions = vec![
        "latency: from arrival until the plan with the query ends; p50, p99: percentiles".to_owned(),
        "missed: dropped, or done after the deadline; busy: the busiest device".to_owned(),
    ];
    if outcomes.iter().any(|outcome| !outcome.networks.is_empty()) {
        captions.push("below each strategy: the queries of each network".to_owned());
    }
    captions.extend(chance_caption(outcomes));
    captions
}

/// How often runs with chance were repeated.
pub(crate) fn chance_caption(outcomes: &[Outcome]) -> Vec<String> {
    let counts = || outcomes.iter().filter_map(|outcome| Some(outcome.chance.as_ref()?.replications));
    let (Some(least), Some(most)) = (counts().min(), counts().max()) else { return Vec::new() };
    let counted = if least == most { least.to_string() } else { format!("{least} to {most}") };
    vec![format!("+-: how far the 95 % confidence interval over {counted} replications reaches")]
}

/// Energy, recovery and pages, where they are known.
pub(crate) fn cost_captions(outcomes: &[Outcome]) -> Vec<String> {
    let list = |figure: &dyn Fn(&Outcome) -> Option<String>| {
        let known: Vec<String> =
            outcomes.iter().filter_map(|outcome| Some(format!("{} {}", outcome.strategy, figure(outcome)?))).collect();
        (!known.is_empty()).then(|| known.join(", "))
    };
    let energy = list(&|outcome| Some(format!("{:.4}", outcome.energy_j? / f64::from(outcome.samples.max(1)))));
    let recovery = list(&|outcome| Some(format!("{:.1}", outcome.recovery?.as_millis_f64())));
    let energy = energy.map(|energy| format!("energy per sample in J: {energy}"));
    let recovery = recovery.map(|recovery| {
        format!(
            "longest recovery from a fault in ms, until what was lost is computed and no more queries wait: {recovery}"
        )
    });
    let pages = list(&|outcome| {
        let MovedPages { waited, moved_in, moved_out, .. } = outcome.pages?;
        Some(format!("{:.1} ({moved_in} in, {moved_out} out)", waited * 100.0))
    });
    let pages = pages.map(|pages| format!("% of the time of steps that they waited for pages: {pages}"));
    energy.into_iter().chain(recovery).chain(pages).collect()
}
