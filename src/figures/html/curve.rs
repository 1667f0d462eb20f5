//! Interactive curves: data for uPlot, with the looks that figures have.

use serde::Serialize;

use crate::figures::Material;
use crate::figures::metric::Metric;
use crate::figures::style::{colour_css, dash_pixels};
use crate::figures::swept::Swept;
use crate::output::LatencyRow;

/// A chart. Values that are not known are `null`.
#[derive(Serialize)]
pub(super) struct Curve {
    pub(super) title: String,
    x_title: String,
    y_title: String,
    /// The base of a logarithmic axis to the right.
    log: Option<u32>,
    x: Vec<f64>,
    series: Vec<CurveLine>,
}

#[derive(Serialize)]
struct CurveLine {
    name: String,
    /// `None` for the colour of text.
    colour: Option<String>,
    /// Pixels of dashes and gaps.
    dash: Vec<f64>,
    y: Vec<Option<f64>>,
    /// The ends of confidence intervals, if there are some.
    low: Option<Vec<Option<f64>>>,
    high: Option<Vec<Option<f64>>>,
}

impl Curve {
    /// Whether some of its values have a confidence interval.
    pub(super) fn has_bands(&self) -> bool {
        self.series.iter().any(|series| series.low.is_some())
    }
}

const METRICS: [Metric; 6] = [
    Metric::Throughput,
    Metric::Speedup,
    Metric::MakespanMs,
    Metric::LatencyMeanMs,
    Metric::LatencyP99Ms,
    Metric::Energy,
];

/// A chart for each quantity of a sweep, and one for the latencies of a run.
pub(super) fn curves(material: &Material, against: Option<&str>) -> Vec<Curve> {
    let mut curves = Vec::new();
    if let Some(table) = &material.results
        && let Ok(swept) = Swept::new(table, against)
    {
        // Where queries arrive, the makespan says when the last one did.
        let is_told = |metric: &Metric| *metric != Metric::MakespanMs || !table.has("latency_mean_ms");
        let all = METRICS.into_iter().filter(is_told).map(|metric| of_sweep(&swept, metric, metric.title(table)));
        curves.extend(all.flatten());
    }
    curves.extend(latencies(material));
    curves
}

fn series(name: &str, index: usize, y: Vec<Option<f64>>) -> CurveLine {
    let colour = (index % 7 != 6).then(|| colour_css(index));
    CurveLine { name: name.to_owned(), colour, dash: dash_pixels(index), y, low: None, high: None }
}

/// `None` if no result says anything of it.
fn of_sweep(swept: &Swept<'_>, metric: Metric, y_title: &str) -> Option<Curve> {
    let mut all = Vec::new();
    for line in &swept.series {
        let found = swept.values.iter().map(|value| {
            let point = line.points.binary_search_by(|(x, _)| x.total_cmp(value)).ok()?;
            swept.value(&line.points[point].1, metric)
        });
        let found: Vec<_> = found.collect();
        let of_line = series(&line.name, line.index, found.iter().map(|it| Some(it.as_ref()?.value)).collect());
        let bands: Vec<Option<(f64, f64)>> = found.iter().map(|it| it.as_ref()?.band).collect();
        let end = |of: fn((f64, f64)) -> f64| Some(bands.iter().map(|band| band.map(of)).collect());
        all.push(match bands.iter().any(Option::is_some) {
            true => CurveLine { low: end(|band| band.0), high: end(|band| band.1), ..of_line },
            false => of_line,
        });
    }
    let is_known = all.iter().any(|series| series.y.iter().any(Option::is_some));
    is_known.then(|| Curve {
        title: format!("{y_title} against {}", swept.title),
        x_title: swept.title.clone(),
        y_title: y_title.to_owned(),
        log: swept.is_geometric().then_some(2),
        x: swept.values.clone(),
        series: all,
    })
}

/// The share of queries within a time; all strategies at the same times.
fn latencies(material: &Material) -> Option<Curve> {
    let found: Vec<_> = material.strategies.iter().filter(|strategy| !strategy.latencies.is_empty()).collect();
    let all = || found.iter().flat_map(|strategy| &strategy.latencies).filter(|row| row.latency_ms > 0.0);
    let min = all().map(|row| row.latency_ms).reduce(f64::min)?;
    let max = all().map(|row| row.latency_ms).reduce(f64::max)?;
    let factor = (max / min).powf(1.0 / f64::from(TIMES));
    // Rounding must leave out none of the slowest.
    let mut x: Vec<f64> = (0..TIMES).map(|index| min * factor.powf(f64::from(index))).chain([max]).collect();
    x.dedup();
    let of_strategy = found.iter().map(|strategy| {
        let y = shares(&strategy.latencies, &x);
        series(&strategy.name, strategy.index, y)
    });
    Some(Curve {
        title: "share of queries that were answered within a time".into(),
        x_title: "latency (ms)".into(),
        y_title: "share of queries".into(),
        log: Some(10),
        series: of_strategy.collect(),
        x,
    })
}

/// Times at which shares are told.
const TIMES: u32 = 300;

fn shares(rows: &[LatencyRow], times: &[f64]) -> Vec<Option<f64>> {
    let all: f64 = rows.iter().map(|row| row.count as f64).sum();
    let (mut next, mut reached) = (0, 0.0);
    let share = |&time: &f64| {
        while let Some(row) = rows.get(next).filter(|row| row.latency_ms <= time) {
            reached += row.count as f64;
            next += 1;
        }
        Some(reached / all).filter(|share| share.is_finite())
    };
    times.iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::StrategyMaterial;
    use crate::output::ResultsTable;

    #[test]
    fn a_sweep_has_a_curve_for_each_quantity_that_is_known() {
        let text = "b,strategy,samples,makespan_ms,samples_per_s,makespan_low_ms,makespan_high_ms\n\
                    1,x,1,10,100,5,20\n4,x,4,20,200,,\n2,y,2,8,250,,\n";
        let results = Some(ResultsTable::read(text.as_bytes()).unwrap());
        let material = Material { results, ..Material::default() };
        let curves = curves(&material, None);
        insta::assert_snapshot!(serde_json::to_string(&curves[0]).unwrap().replace("},{", "},\n{"), @r##"
        {"title":"throughput (samples/s) against b","x_title":"b","y_title":"throughput (samples/s)","log":2,"x":[1.0,2.0,4.0],"series":[{"name":"x","colour":"#0072b2","dash":[],"y":[100.0,null,200.0],"low":[50.0,null,null],"high":[200.0,null,null]},
        {"name":"y","colour":"#e69f00","dash":[10.0,4.0],"y":[null,250.0,null],"low":null,"high":null}]}
        "##);
        assert_eq!(
            curves.iter().map(|curve| curve.title.as_str()).collect::<Vec<_>>(),
            ["throughput (samples/s) against b", "makespan (ms) against b"]
        );
    }

    #[test]
    fn latencies_of_all_strategies_are_told_at_the_same_times() {
        let strategy = |index, rows: &[(f64, u64)]| StrategyMaterial {
            name: format!("s{index}"),
            folder: String::new(),
            index,
            timeline: vec![],
            latencies: rows.iter().map(|&(latency_ms, count)| LatencyRow { latency_ms, count }).collect(),
        };
        let strategies = vec![strategy(0, &[(1.0, 1), (4.0, 3)]), strategy(6, &[(2.0, 1), (8.0, 1)])];
        let curve = latencies(&Material { strategies, ..Material::default() }).unwrap();
        let ends = |series: &CurveLine| (series.y[0], series.y[curve.x.len() - 1]);
        assert_eq!((curve.x[0], curve.x[curve.x.len() - 1]), (1.0, 8.0));
        assert_eq!(
            curve.series.iter().map(ends).collect::<Vec<_>>(),
            [(Some(0.25), Some(1.0)), (Some(0.0), Some(1.0))]
        );
        assert_eq!((curve.series[0].colour.as_deref(), &curve.series[1].colour), (Some("#0072b2"), &None));
    }
}
