//! The figures that a results folder can have, each by its name.

use super::accuracy::accuracy_svg;
use super::breakdown::breakdown_svg;
use super::canvas::Width;
use super::cdf::{Latencies, cdf_svg};
use super::finish_times::finish_times_svg;
use super::gain::gain_svg;
use super::heatmap::split_heatmap_svg;
use super::lines::lines_svg;
use super::metric::Metric;
use super::pareto::{Against, pareto_svg};
use super::published::PublishedPoint;
use super::search::search_svg;
use super::speedup::speedup_svg;
use super::swept::Swept;
use super::timeline::timeline_svg;
use super::tornado::tornado_svg;
use crate::output::Accuracy;
use crate::output::FinishRow;
use crate::output::LatencyRow;
use crate::output::ResultsTable;
use crate::output::TimelineRow;
use crate::output::distinct;
use crate::output::{Effect, slugs};

/// A kind of figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Samples or queries a second along a swept setting, a line a strategy.
    Throughput,
    /// When each device was done under each strategy.
    FinishTimes,
    /// Speed-up over the baseline: bars of a run, lines of a sweep.
    Speedup,
    /// Throughput and speed-up over the baseline along a swept setting: bars, and a line on an axis of its own.
    Gain,
    /// The steps of a strategy over time, a line a lane.
    Timeline,
    /// Shares of the makespan in which devices compute, data is on its way, or neither.
    Breakdown,
    /// Which share of the queries was answered within a time.
    Cdf,
    /// Time against throughput or energy, with the points that none beats in both.
    Pareto,
    /// How good plans are against the time to find them, a marker a strategy.
    Search,
    /// Share of the samples that each device computes along a swept setting.
    SplitHeatmap,
    /// Predicted against measured times, of a replay or a calibration.
    Accuracy,
    /// How far results change with constants of the scenario.
    Tornado,
}

impl Preset {
    /// All of them, in the order in which a report has them.
    pub const ALL: [Preset; 12] = [
        Preset::Throughput,
        Preset::Speedup,
        Preset::Gain,
        Preset::FinishTimes,
        Preset::Breakdown,
        Preset::Timeline,
        Preset::Cdf,
        Preset::Pareto,
        Preset::Search,
        Preset::SplitHeatmap,
        Preset::Accuracy,
        Preset::Tornado,
    ];

    /// Its name, which is also that of its file.
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// What it shows, on a line.
    pub fn meaning(self) -> &'static str {
        self.words().1
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Preset::Throughput => ("throughput", "Samples or queries a second along a swept setting"),
            Preset::FinishTimes => ("finish-times", "When each device was done under each strategy"),
            Preset::Speedup => ("speedup", "Speed-up over the baseline: bars of a run, lines of a sweep"),
            Preset::Gain => ("gain", "Bars of throughput along a swept setting, with the speed-up on a second axis"),
            Preset::Timeline => ("timeline", "The steps of each strategy over time, a line a lane"),
            Preset::Breakdown => ("breakdown", "Shares of the makespan in which devices compute, transfer and wait"),
            Preset::Cdf => ("cdf", "Which share of the queries was answered within a time"),
            Preset::Pareto => ("pareto", "Time against throughput and energy, with the best points of each strategy"),
            Preset::Search => {
                ("search", "How good plans are against the time to find them, with the best within a time")
            }
            Preset::SplitHeatmap => {
                ("split-heatmap", "Share of the samples that each device computes along a swept setting")
            }
            Preset::Accuracy => ("accuracy", "Predicted against measured times of a replay or a calibration"),
            Preset::Tornado => {
                ("tornado", "How far results change with constants of the scenario, the largest effect on top")
            }
        }
    }

    /// Whether it has [`Look::published`].
    pub fn has_published(self) -> bool {
        matches!(self, Preset::Throughput | Preset::Gain)
    }
}

/// What a results folder has to draw from. What it does not have is empty.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// The title of figures: the scenario's name.
    pub title: String,
    /// What speed-ups are relative to, if the folder says so; that of a sweep does not.
    pub baseline: Option<String>,
    /// `results.csv`.
    pub results: Option<ResultsTable>,
    /// `finish-times.csv`.
    pub finish: Vec<FinishRow>,
    /// Strategies that have a folder, in the order of `results`.
    pub strategies: Vec<StrategyMaterial>,
    /// `replay.json` or `predicted-measured.csv`.
    pub accuracy: Accuracy,
    /// `sensitivity.csv`.
    pub effects: Vec<Effect>,
}

impl Material {
    /// What speed-ups of `table` are relative to, if that is known.
    pub(super) fn baseline<'a>(&'a self, table: &'a ResultsTable) -> Option<&'a str> {
        self.baseline.as_deref().or(table.baseline.as_deref())
    }
}

/// What the folder of one strategy has.
#[derive(Clone, Debug)]
pub struct StrategyMaterial {
    /// The strategy's name.
    pub name: String,
    /// The folder's name.
    pub folder: String,
    /// Its place among all strategies of the run, by which it looks different from others.
    pub index: usize,
    /// `timeline.csv`.
    pub timeline: Vec<TimelineRow>,
    /// `latency.csv`.
    pub latencies: Vec<LatencyRow>,
}

/// A figure that was drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its file's path in the results folder, without `.svg`; parts are separated by `/`.
    pub path: String,
    /// What it shows, for the heading above it.
    pub heading: String,
    /// The drawing.
    pub svg: String,
}

/// How figures are drawn.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// How wide they are.
    pub width: Width,
    /// The setting that figures of sweeps have to the right; without it, the one with the most numbers.
    pub against: Option<String>,
    /// What was published, beside the results; for presets that have it.
    pub published: Vec<PublishedPoint>,
}

/// The figures of a preset, one or more.
///
/// # Errors
/// What it needs that there is not, with the command that makes it.
pub fn figures(preset: Preset, material: &Material, look: &Look) -> Result<Vec<Figure>, String> {
    let title = material.title.as_str();
    let (width, against) = (look.width, look.against.as_deref());
    let one = |heading: &str, svg| vec![Figure { path: preset.name().to_owned(), heading: heading.to_owned(), svg }];
    match preset {
        Preset::Throughput => {
            let table = results(material)?;
            let swept = Swept::new(table, against)?;
            let axis_title = Metric::Throughput.title(table);
            Ok(one("Throughput", lines_svg(title, &swept, Metric::Throughput, axis_title, look)))
        }
        Preset::Speedup => {
            let table = results(material)?;
            Ok(one("Speed-up", speedup_svg(title, table, material.baseline(table), look)?))
        }
        Preset::Gain => Ok(one("Throughput and speed-up", gain_svg(material, results(material)?, look)?)),
        Preset::FinishTimes if material.finish.is_empty() => Err(of_run("finish-times.csv")),
        Preset::FinishTimes => Ok(one("Finish times", finish_times_svg(title, &material.finish, width))),
        Preset::Breakdown => {
            let timelines = with_timeline(material)?;
            let timelines: Vec<(&str, &[TimelineRow])> =
                timelines.iter().map(|strategy| (&*strategy.name, &*strategy.timeline)).collect();
            Ok(one("Breakdown of time", breakdown_svg(title, &timelines, width)))
        }
        Preset::Timeline => Ok(with_timeline(material)?.into_iter().map(|it| timeline(title, it, width)).collect()),
        Preset::Cdf => cdf(material, width).map(|svg| one("Latency", svg)),
        Preset::Pareto => pareto(material, width),
        Preset::Search => Ok(one("Price of the search", search_svg(title, results(material)?, width)?)),
        Preset::SplitHeatmap => split_heatmaps(material, against, width),
        Preset::Accuracy if material.accuracy.rows.is_empty() => {
            Err("replay.json or predicted-measured.csv; `coinfer run SCENARIO --replay` or `coinfer calibrate TRACE` \
                 makes one"
                .into())
        }
        Preset::Accuracy => Ok(one("Predicted and measured", accuracy_svg(title, &material.accuracy, width))),
        Preset::Tornado if material.effects.is_empty() => {
            Err("sensitivity.csv; `coinfer sensitivity SCENARIO --vary KEY` makes it".into())
        }
        Preset::Tornado => Ok(tornados(title, &material.effects, width)),
    }
}

/// The figure of the throughput that `coinfer sweep` writes beside `results.csv`; `None` if nothing with numbers is
/// swept.
pub fn throughput_figure(title: &str, results_csv: &[u8]) -> Option<Figure> {
    let results = ResultsTable::read(results_csv).ok()?;
    let material = Material { title: title.to_owned(), results: Some(results), ..Material::default() };
    figures(Preset::Throughput, &material, &Look::default()).ok()?.pop()
}

/// The figures of effects, one for each strategy that has a result as things stand, named after it if there are several
/// strategies.
pub fn tornados(title: &str, effects: &[Effect], width: Width) -> Vec<Figure> {
    let strategies = distinct(effects.iter().map(|effect| effect.strategy.as_str()));
    let has_result = |effect: &&Effect| effect.figures[1].is_some();
    let name = Preset::Tornado.name();
    let of_strategy = strategies.iter().zip(slugs(strategies.iter().copied())).filter_map(|(&strategy, slug)| {
        let effects: Vec<&Effect> = effects.iter().filter(|effect| effect.strategy == strategy).collect();
        effects.iter().any(has_result).then(|| Figure {
            path: if strategies.len() == 1 { name.to_owned() } else { format!("{name}-{slug}") },
            heading: format!("What {strategy} owes to constants"),
            svg: tornado_svg(&format!("{title}: {strategy}"), &effects, width),
        })
    });
    of_strategy.collect()
}

fn of_run(file: &str) -> String {
    format!("{file}; `coinfer run SCENARIO` makes it")
}

fn results(material: &Material) -> Result<&ResultsTable, String> {
    material.results.as_ref().ok_or_else(|| "results.csv; `coinfer sweep SCENARIO` makes it".into())
}

fn with_timeline(material: &Material) -> Result<Vec<&StrategyMaterial>, String> {
    let found: Vec<_> = material.strategies.iter().filter(|strategy| !strategy.timeline.is_empty()).collect();
    if found.is_empty() { Err(of_run("<strategy>/timeline.csv")) } else { Ok(found) }
}

fn timeline(title: &str, strategy: &StrategyMaterial, width: Width) -> Figure {
    let StrategyMaterial { name, folder, timeline, .. } = strategy;
    Figure {
        path: format!("{folder}/{}", Preset::Timeline.name()),
        heading: format!("Timeline of {name}"),
        svg: timeline_svg(&format!("{title}: {name}"), timeline, width),
    }
}

fn cdf(material: &Material, width: Width) -> Result<String, String> {
    let found = material.strategies.iter().filter(|strategy| !strategy.latencies.is_empty());
    let all: Vec<Latencies<'_>> = found
        .map(|strategy| Latencies { name: &strategy.name, index: strategy.index, rows: &strategy.latencies })
        .collect();
    if all.is_empty() {
        return Err("<strategy>/latency.csv; `coinfer run SCENARIO` makes it if the load has queries, as \
                    `single_stream`, `multi_stream` and `server` have"
            .into());
    }
    Ok(cdf_svg(&material.title, &all, width))
}

/// One against throughput, and one against energy where that is known.
fn pareto(material: &Material, width: Width) -> Result<Vec<Figure>, String> {
    let table = results(material)?;
    let mut figures = vec![Figure {
        path: Preset::Pareto.name().into(),
        heading: "Time against throughput".into(),
        svg: pareto_svg(&material.title, table, Against::Throughput, width)?,
    }];
    if table.has("energy_j") {
        figures.extend(pareto_svg(&material.title, table, Against::Energy, width).ok().map(|svg| Figure {
            path: format!("{}-energy", Preset::Pareto.name()),
            heading: "Time against energy".into(),
            svg,
        }));
    }
    Ok(figures)
}

/// One for each series of the sweep.
fn split_heatmaps(material: &Material, against: Option<&str>, width: Width) -> Result<Vec<Figure>, String> {
    let table = results(material)?;
    let swept = Swept::new(table, against)?;
    let devices = table.devices();
    if devices.is_empty() {
        return Err("columns split_<device> in results.csv; `coinfer sweep SCENARIO` writes them".into());
    }
    let folders = slugs(swept.series.iter().map(|series| series.name.as_str()));
    let figures = swept.series.iter().zip(folders).map(|(series, folder)| {
        let title = format!("{}: {}", material.title, series.name);
        Figure {
            path: format!("{}-{folder}", Preset::SplitHeatmap.name()),
            heading: format!("Split of {}", series.name),
            svg: split_heatmap_svg(&title, &swept, series, &devices, width),
        }
    });
    Ok(figures.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::output::LatencyRow;
    use crate::platform::DeviceId;
    use crate::units::Time;

    /// Numbers as a broken or a strange file may have them, and what is none.
    fn cell() -> impl Strategy<Value = String> {
        let number = proptest::num::f64::ANY.prop_map(|value| value.to_string());
        let usual = (0u32..50).prop_map(|value| value.to_string());
        prop_oneof![2 => number, 4 => usual, 1 => Just(String::new()), 1 => Just("1 GB/s".to_owned())]
    }

    /// What is no number is left out behind the strategy, where readers refuse it.
    fn known(cell: &str) -> &str {
        if cell.parse().is_ok_and(|value: f64| value.is_finite()) { cell } else { "" }
    }

    proptest! {
        #[test]
        fn whatever_results_say_figures_are_drawn_or_refused(
            lines in proptest::collection::vec((proptest::array::uniform2(cell()), 0u8..3, proptest::array::uniform10(cell())), 0..12),
            spans in proptest::collection::vec((0u32..3, proptest::option::of(0u32..3), any::<u64>(), any::<u64>()), 0..8),
            latencies in proptest::collection::vec((proptest::num::f64::POSITIVE, any::<u64>()), 0..8),
        ) {
            let mut text = "b,seed,strategy,samples,makespan_ms,samples_per_s,speedup,qps,qps_low,qps_high,split_cpu,energy_j,search_s\n".to_owned();
            for (settings, strategy, cells) in &lines {
                text += &format!("{},s{strategy},{}\n", settings.join(","), cells.each_ref().map(|text| known(text)).join(","));
            }
            let row = |&(lane, device, start, length): &(u32, Option<u32>, u64, u64)| TimelineRow {
                lane,
                place: format!("lane {lane}"),
                device: device.map(DeviceId),
                samples: 1,
                start: Time::from_nanos(start),
                end: Time::from_nanos(start.saturating_add(length)),
                waited: crate::units::Duration::from_nanos(length / 2),
            };
            let strategy = StrategyMaterial {
                name: "s0".into(),
                folder: "s0".into(),
                index: 0,
                timeline: spans.iter().map(row).collect(),
                latencies: latencies.iter().map(|&(latency_ms, count)| LatencyRow { latency_ms, count }).collect(),
            };
            let results = Some(ResultsTable::read(text.as_bytes()).unwrap());
            let material = Material { results, strategies: vec![strategy], ..Material::default() };
            for width in [Width::Column, Width::Page] {
                for preset in Preset::ALL {
                    let look = Look { width, ..Look::default() };
                    for figure in figures(preset, &material, &look).unwrap_or_default() {
                        prop_assert!(figure.svg.ends_with("</svg>\n") && !figure.svg.contains("=\"NaN"), "{}", figure.svg);
                    }
                }
            }
            let page = crate::figures::html::report_html(&material, &Default::default(), &Look::default());
            prop_assert!(page.ends_with("</html>\n"));
        }
    }
}
