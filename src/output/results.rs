//! What is said of outcomes: one record, whose fields are the keys of JSON, the columns of `results.csv` and those of the
//! table on a page.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::encode::{csv_lines, json_text};
use super::record::cells;
use crate::cost::Basis;
use crate::metrics::{Chance, Failure, MovedPages, Outcome, Service, Summary};
use crate::problem::SearchCost;
use crate::units::Duration;

/// `summary.json`: everything that a run found out.
#[derive(Serialize)]
pub(super) struct SummaryView<'a> {
    /// The scenario's name.
    scenario: &'a str,
    /// What strategies achieved.
    results: Vec<OutcomeView<'a>>,
    /// Strategies that have no result.
    failures: &'a [Failure],
    /// What the reader should know, a sentence each.
    notes: &'a [String],
    /// Whether concurrent steps slowed each other.
    contention: bool,
    /// What speed-ups are relative to.
    baseline: &'a str,
}

impl<'a> From<&'a Summary> for SummaryView<'a> {
    fn from(summary: &'a Summary) -> SummaryView<'a> {
        let Summary { scenario, outcomes, failures, notes, contention, baseline } = summary;
        let results = outcomes.iter().map(OutcomeView::from).collect();
        SummaryView { scenario, results, failures, notes, contention: *contention, baseline }
    }
}

/// What a strategy achieved. What is not known is `null` in JSON and empty in CSV.
#[derive(Serialize)]
pub(super) struct OutcomeView<'a> {
    /// The strategy's name.
    strategy: &'a str,
    /// Milliseconds from the first start to the last end; of several replications the mean.
    makespan_ms: f64,
    /// Samples per second: of the makespan, or of the time from query to query after the warm-up; 0 if nothing took time.
    samples_per_s: f64,
    /// The baseline's makespan over this one; not known without a baseline or where queries arrive.
    speedup: Option<f64>,
    /// Milliseconds that no plan can beat; not known where nothing is proved.
    lower_bound_ms: Option<f64>,
    /// How far the makespan is above the lower bound, as a fraction of the bound.
    gap: Option<f64>,
    /// By how much the plan is expected to be slower than the best plan of the scenario, as a fraction of that: the mean over
    /// profiles drawn anew by how much repeats differ, where times without repeats are certain. Of an offline load that is run
    /// without chance; not known of a single plan, where no time has three repeats, or in a sweep.
    regret: Option<f64>,
    /// Share of the steps' time alone that was measured at just that size, from 0 to 1.
    measured_share: f64,
    /// Samples that each device began.
    split: Pairs<'a, u32>,
    /// The worst basis of a step's time: `measured`, `interpolated`, `extrapolated` or `modelled`.
    basis: Basis,
    /// Samples that the plan covers, over all networks.
    samples: u32,
    /// Steps of the plan, or steps that ran in the first replication.
    steps: usize,
    /// Milliseconds from the first start until each device ended its last step; not known of those that ran none, and of
    /// replications.
    finish_ms: Pairs<'a, Option<f64>>,
    /// The part of the time that each device computed, from 0 to 1; after the warm-up.
    utilisation: Pairs<'a, f64>,
    /// Joules that the run took; not known where nothing says what devices draw.
    energy_j: Option<f64>,
    /// Milliseconds of the longest recovery from a fault, a mean; not known if nothing broke, or a run did not recover.
    recovery_ms: Option<f64>,
    /// What steps found missing in memories that page; nothing if none does.
    pages: Option<PagesView>,
    /// The makespan in milliseconds that the strategy itself expects, if it forecasts one.
    expected_ms: Option<f64>,
    /// What profiling would take that the strategy needs to plan; not known without `[profiling]`.
    search: Option<SearchView>,
    /// What chance did; nothing if it was run once.
    chance: Option<&'a Chance>,
    /// How queries were served; nothing of an offline load.
    service: Option<&'a Service>,
    /// How the queries of each network were served, where networks have loads of their own.
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    networks: Pairs<'a, &'a Service>,
}

impl<'a> From<&'a Outcome> for OutcomeView<'a> {
    fn from(outcome: &'a Outcome) -> OutcomeView<'a> {
        OutcomeView {
            strategy: &outcome.strategy,
            makespan_ms: outcome.makespan.as_millis_f64(),
            samples_per_s: outcome.samples_per_s,
            speedup: outcome.speedup,
            lower_bound_ms: outcome.lower_bound.map(Duration::as_millis_f64),
            gap: outcome.gap,
            regret: outcome.regret,
            measured_share: outcome.measured_share,
            split: Pairs::of(&outcome.split, |samples| *samples),
            basis: outcome.basis,
            samples: outcome.samples,
            steps: outcome.steps,
            finish_ms: Pairs::of(&outcome.finish, |time| time.map(Duration::as_millis_f64)),
            utilisation: Pairs::of(&outcome.utilisation, |share| *share),
            energy_j: outcome.energy_j,
            recovery_ms: outcome.recovery.map(Duration::as_millis_f64),
            pages: outcome.pages.map(PagesView::from),
            expected_ms: outcome.expected.map(Duration::as_millis_f64),
            search: outcome.search.map(SearchView::from),
            chance: outcome.chance.as_ref(),
            service: outcome.service.as_ref(),
            networks: Pairs::of(&outcome.networks, |service| service),
        }
    }
}

/// What profiling would take that a strategy needs to plan.
#[derive(Serialize)]
struct SearchView {
    /// Seconds in all.
    total_s: f64,
    /// Seconds to build.
    build_s: f64,
    /// Seconds to send what was built and to open it.
    upload_s: f64,
    /// Seconds to run; devices run at the same time, and the busiest counts.
    run_s: f64,
    /// Works that are timed, on each device.
    profiles: u64,
    /// Layers that are built.
    layers_built: u64,
    /// Bytes of weights that are sent to devices.
    uploaded_bytes: u64,
}

impl From<SearchCost> for SearchView {
    fn from(cost: SearchCost) -> SearchView {
        SearchView {
            total_s: cost.total().as_secs_f64(),
            build_s: cost.build.as_secs_f64(),
            upload_s: cost.upload.as_secs_f64(),
            run_s: cost.run.as_secs_f64(),
            profiles: cost.profiles,
            layers_built: cost.layers_built,
            uploaded_bytes: cost.uploaded.0,
        }
    }
}

/// What steps found missing in memories that page.
#[derive(Serialize)]
struct PagesView {
    /// The part of the time of all computing steps that they waited for it, from 0 to 1.
    waited_share: f64,
    /// Bytes that came in.
    in_bytes: u64,
    /// Bytes that were evicted.
    out_bytes: u64,
    /// Blocks that were evicted.
    evicted_blocks: u64,
}

impl From<MovedPages> for PagesView {
    fn from(pages: MovedPages) -> PagesView {
        PagesView {
            waited_share: pages.waited,
            in_bytes: pages.moved_in.0,
            out_bytes: pages.moved_out.0,
            evicted_blocks: pages.evicted,
        }
    }
}

/// Values by name as an object, in their order.
pub(super) struct Pairs<'a, T>(Vec<(&'a str, T)>);

impl<'a, T> Pairs<'a, T> {
    pub(super) fn of<V>(pairs: &'a [(String, V)], value: impl Fn(&'a V) -> T) -> Pairs<'a, T> {
        Pairs(pairs.iter().map(|(name, found)| (name.as_str(), value(found))).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize> Serialize for Pairs<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// The summary as one JSON object with a newline at its end.
///
/// Keys have a fixed order, and devices the order of the platform. What is not known is `null`. Times are
/// milliseconds, exact to the nanosecond.
pub fn summary_json(summary: &Summary) -> String {
    json_text(&SummaryView::from(summary))
}

/// A column of `results.csv`, and what it is on a page.
pub(crate) struct ResultColumn {
    /// Its name in the header.
    pub(crate) name: &'static str,
    /// The path of its field in [`OutcomeView`]; `low` and `high` of an interval are its ends.
    path: &'static str,
    /// Its title on a page; empty if it has no column of its own there.
    pub(crate) title: &'static str,
    /// Below the title.
    pub(crate) unit: &'static str,
}

impl ResultColumn {
    /// By how much values are multiplied for a page.
    pub(crate) fn factor(&self) -> f64 {
        if self.unit.starts_with('%') { 100.0 } else { 1.0 }
    }

    /// The names of the columns that have the ends of its interval, if there are such.
    pub(crate) fn ends(&self) -> [String; 2] {
        let (name, unit) = self.name.split_at(self.name.strip_suffix("_ms").map_or(self.name.len(), str::len));
        ["low", "high"].map(|end| format!("{name}_{end}{unit}"))
    }
}

const fn column(name: &'static str, path: &'static str, title: &'static str, unit: &'static str) -> ResultColumn {
    ResultColumn { name, path, title, unit }
}

/// What is said of each result, behind the strategy.
pub(crate) const COLUMNS: [ResultColumn; 42] = [
    column("samples", "samples", "samples", ""),
    column("makespan_ms", "makespan_ms", "makespan", "ms"),
    column("samples_per_s", "samples_per_s", "throughput", "samples/s"),
    column("speedup", "speedup", "speed-up", "over the baseline"),
    column("lower_bound_ms", "lower_bound_ms", "lower bound", "ms"),
    column("gap", "gap", "gap", "% above the bound"),
    column("regret", "regret", "regret", "% of the best"),
    column("measured_share", "measured_share", "measured", "% of the time"),
    column("expected_ms", "expected_ms", "expected", "ms"),
    column("profiles", "search.profiles", "profiles", ""),
    column("layers_built", "search.layers_built", "layers built", ""),
    column("search_s", "search.total_s", "search", "s"),
    column("basis", "basis", "", ""),
    column("steps", "steps", "steps", ""),
    column("replications", "chance.replications", "replications", ""),
    column("makespan_low_ms", "chance.makespan_ms.low", "", ""),
    column("makespan_high_ms", "chance.makespan_ms.high", "", ""),
    column("queries", "service.queries", "queries", ""),
    column("completed", "service.completed", "completed", "queries"),
    column("dropped", "service.dropped", "dropped", "queries"),
    column("late", "service.late", "late", "queries"),
    column("qps", "service.qps.mean", "throughput", "queries/s"),
    column("qps_low", "service.qps.low", "", ""),
    column("qps_high", "service.qps.high", "", ""),
    column("latency_mean_ms", "service.latency_mean_ms.mean", "mean", "latency, ms"),
    column("latency_mean_low_ms", "service.latency_mean_ms.low", "", ""),
    column("latency_mean_high_ms", "service.latency_mean_ms.high", "", ""),
    column("latency_p50_ms", "service.percentiles.p50", "p50", "latency, ms"),
    column("latency_p90_ms", "service.percentiles.p90", "p90", "latency, ms"),
    column("latency_p95_ms", "service.percentiles.p95", "p95", "latency, ms"),
    column("latency_p99_ms", "service.percentiles.p99.value", "p99", "latency, ms"),
    column("latency_p99_low_ms", "service.percentiles.p99.low", "", ""),
    column("latency_p99_high_ms", "service.percentiles.p99.high", "", ""),
    column("latency_p999_ms", "service.percentiles.p999", "p99.9", "latency, ms"),
    column("queue_mean", "service.queue_mean", "mean queue", "queries"),
    column("queue_max", "service.queue_max", "longest queue", "queries"),
    column("energy_j", "energy_j", "energy", "J"),
    column("recovery_ms", "recovery_ms", "recovery", "ms"),
    column("waited_share", "pages.waited_share", "waited for pages", "% of the time"),
    column("pages_in_bytes", "pages.in_bytes", "", ""),
    column("pages_out_bytes", "pages.out_bytes", "", ""),
    column("evicted_blocks", "pages.evicted_blocks", "evicted", "blocks"),
];

/// Of these, what is said of each network that has a load of its own.
const NETWORK_COLUMNS: [&str; 8] =
    ["queries", "completed", "dropped", "late", "qps", "latency_mean_ms", "latency_p50_ms", "latency_p99_ms"];

/// One line of a table of results.
#[derive(Clone, Copy, Debug)]
pub struct ResultRow<'a> {
    /// The point's settings, name and value; they become the leading columns.
    pub settings: &'a [(String, String)],
    /// What a strategy achieved at this point, or why it did not.
    pub result: Result<&'a Outcome, &'a Failure>,
}

/// The rows as CSV with one header.
///
/// Settings come first, then the strategy and its metrics, then columns `split_<device>` and `utilisation_<device>`
/// for each device, for each network with a load of its own columns such as `latency_mean_ms_<network>`, and last `error`,
/// which is empty for outcomes. What is not known is empty. Settings, devices and networks that only some rows have get
/// columns too, in the order in which they first appear.
pub fn results_csv(rows: &[ResultRow<'_>]) -> Vec<u8> {
    let mut columns = ResultColumns::default();
    rows.iter().for_each(|row| columns.add(row));
    [columns.header_csv(), columns.lines_csv(rows)].concat()
}

/// The columns of [`results_csv`] that depend on its rows, for results of which not all are at hand at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultColumns {
    settings: Vec<String>,
    devices: Vec<String>,
    networks: Vec<String>,
}

impl ResultColumns {
    /// Adds the columns that `row` has and those before it had not.
    pub fn add(&mut self, row: &ResultRow<'_>) {
        let add = |known: &mut Vec<String>, name: &String| {
            if !known.contains(name) {
                known.push(name.clone());
            }
        };
        row.settings.iter().for_each(|(name, _)| add(&mut self.settings, name));
        let split = row.result.iter().flat_map(|outcome| &outcome.split);
        split.for_each(|(device, _)| add(&mut self.devices, device));
        let networks = row.result.iter().flat_map(|outcome| &outcome.networks);
        networks.for_each(|(network, _)| add(&mut self.networks, network));
    }

    /// The header as CSV.
    pub fn header_csv(&self) -> Vec<u8> {
        csv_lines([self.all().map(|(name, _)| name)])
    }

    /// Rows as CSV, without a header.
    pub fn lines_csv(&self, rows: &[ResultRow<'_>]) -> Vec<u8> {
        let paths: Vec<String> = self.all().map(|(_, path)| path).collect();
        csv_lines(rows.iter().map(|row| line(row, &paths)))
    }

    /// The name of each column and the path of its field.
    fn all(&self) -> impl Iterator<Item = (String, String)> {
        let settings = self.settings.iter().map(|name| (name.clone(), format!("settings.{name}")));
        let own = |name: &str, path: &str| (name.to_owned(), path.to_owned());
        let fixed = COLUMNS.iter().map(move |column| own(column.name, column.path));
        let of_devices = |field: &'static str| {
            self.devices.iter().map(move |device| (format!("{field}_{device}"), format!("{field}.{device}")))
        };
        let of_network = |network: &String| {
            let columns = COLUMNS.iter().filter(|column| NETWORK_COLUMNS.contains(&column.name));
            let of = |column: &ResultColumn| {
                let path = column.path.replacen("service", &format!("networks.{network}"), 1);
                (format!("{}_{network}", column.name), path)
            };
            columns.map(of).collect::<Vec<_>>()
        };
        settings
            .chain([own("strategy", "strategy")])
            .chain(fixed)
            .chain(of_devices("split"))
            .chain(of_devices("utilisation"))
            .chain(self.networks.iter().flat_map(of_network))
            .chain([own("error", "reason")])
    }
}

/// The text that a row has at each path.
fn line(row: &ResultRow<'_>, paths: &[String]) -> Vec<String> {
    let found = row.result.map_or_else(cells, |outcome| cells(&OutcomeView::from(outcome)));
    let mut texts: BTreeMap<String, String> = found.into_iter().collect();
    texts.extend(row.settings.iter().map(|(name, value)| (format!("settings.{name}"), value.clone())));
    paths.iter().map(|path| texts.get(path).cloned().or_else(|| end(&texts, path)).unwrap_or_default()).collect()
}

/// The lower or upper end of an interval of which the middle and the half width are known.
fn end(texts: &BTreeMap<String, String>, path: &str) -> Option<String> {
    let (interval, end) = path.rsplit_once('.')?;
    let value = |name: &str| texts.get(&format!("{interval}.{name}"))?.parse::<f64>().ok();
    let (middle, half_width) = (value("mean")?, value("half_width")?);
    match end {
        "low" => Some((middle - half_width).to_string()),
        "high" => Some((middle + half_width).to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::example;

    fn csv(rows: &[ResultRow<'_>]) -> String {
        String::from_utf8(results_csv(rows)).unwrap()
    }

    #[test]
    fn every_strategy_has_a_line_even_one_that_failed() {
        let summary = example::summary(&["greedy", "exact"]);
        let failure =
            Failure { strategy: "legion".into(), reason: "no link leads from `cpu` to `gpu`, and so on".into() };
        let results = summary.outcomes.iter().map(Ok).chain([Err(&failure)]);
        let rows: Vec<_> = results.map(|result| ResultRow { settings: &[], result }).collect();
        insta::assert_snapshot!(csv(&rows), @r#"
        strategy,samples,makespan_ms,samples_per_s,speedup,lower_bound_ms,gap,regret,measured_share,expected_ms,profiles,layers_built,search_s,basis,steps,replications,makespan_low_ms,makespan_high_ms,queries,completed,dropped,late,qps,qps_low,qps_high,latency_mean_ms,latency_mean_low_ms,latency_mean_high_ms,latency_p50_ms,latency_p90_ms,latency_p95_ms,latency_p99_ms,latency_p99_low_ms,latency_p99_high_ms,latency_p999_ms,queue_mean,queue_max,energy_j,recovery_ms,waited_share,pages_in_bytes,pages_out_bytes,evicted_blocks,split_cpu,split_igpu,split_gpu,utilisation_cpu,utilisation_igpu,utilisation_gpu,error
        greedy,10,18,555.5555555555555,1.1111111111111112,5,2.6,,0.782608695652174,,,,,modelled,4,,,,,,,,,,,,,,,,,,,,,,,,,,,,,6,0,4,1,0,0.2222222222222222,
        exact,10,15,666.6666666666667,1.3333333333333333,5,2,,0.7142857142857143,,,,,modelled,4,,,,,,,,,,,,,,,,,,,,,,,,,,,,,5,0,5,1,0,0.3333333333333333,
        legion,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,"no link leads from `cpu` to `gpu`, and so on"
        "#);
    }

    #[test]
    fn settings_lead_and_missing_ones_are_empty() {
        let summary = example::summary(&["greedy"]);
        let point = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|&(name, value)| (name.into(), value.into())).collect()
        };
        let points = [point(&[("batch", "8")]), point(&[("batch", "16"), ("link.bandwidth", "1 GB/s, shared")])];
        let row = |settings| ResultRow { settings, result: Ok(&summary.outcomes[0]) };
        insta::assert_snapshot!(csv(&[row(&points[0]), row(&points[1])]), @r#"
        batch,link.bandwidth,strategy,samples,makespan_ms,samples_per_s,speedup,lower_bound_ms,gap,regret,measured_share,expected_ms,profiles,layers_built,search_s,basis,steps,replications,makespan_low_ms,makespan_high_ms,queries,completed,dropped,late,qps,qps_low,qps_high,latency_mean_ms,latency_mean_low_ms,latency_mean_high_ms,latency_p50_ms,latency_p90_ms,latency_p95_ms,latency_p99_ms,latency_p99_low_ms,latency_p99_high_ms,latency_p999_ms,queue_mean,queue_max,energy_j,recovery_ms,waited_share,pages_in_bytes,pages_out_bytes,evicted_blocks,split_cpu,split_igpu,split_gpu,utilisation_cpu,utilisation_igpu,utilisation_gpu,error
        8,,greedy,10,18,555.5555555555555,1.1111111111111112,5,2.6,,0.782608695652174,,,,,modelled,4,,,,,,,,,,,,,,,,,,,,,,,,,,,,,6,0,4,1,0,0.2222222222222222,
        16,"1 GB/s, shared",greedy,10,18,555.5555555555555,1.1111111111111112,5,2.6,,0.782608695652174,,,,,modelled,4,,,,,,,,,,,,,,,,,,,,,,,,,,,,,6,0,4,1,0,0.2222222222222222,
        "#);
    }

    #[test]
    fn no_rows_still_have_a_header() {
        insta::assert_snapshot!(csv(&[]), @"strategy,samples,makespan_ms,samples_per_s,speedup,lower_bound_ms,gap,regret,measured_share,expected_ms,profiles,layers_built,search_s,basis,steps,replications,makespan_low_ms,makespan_high_ms,queries,completed,dropped,late,qps,qps_low,qps_high,latency_mean_ms,latency_mean_low_ms,latency_mean_high_ms,latency_p50_ms,latency_p90_ms,latency_p95_ms,latency_p99_ms,latency_p99_low_ms,latency_p99_high_ms,latency_p999_ms,queue_mean,queue_max,energy_j,recovery_ms,waited_share,pages_in_bytes,pages_out_bytes,evicted_blocks,error");
    }

    #[test]
    fn the_object_has_the_promised_keys_in_the_promised_order() {
        let mut summary = example::summary(&["greedy"]);
        summary.notes.push("a note".into());
        summary.failures.push(Failure { strategy: "legion".into(), reason: "no \"rows\" to split".into() });
        insta::assert_snapshot!(summary_json(&summary), @r#"
        {
          "scenario": "three devices",
          "results": [
            {
              "strategy": "greedy",
              "makespan_ms": 18.0,
              "samples_per_s": 555.5555555555555,
              "speedup": 1.1111111111111112,
              "lower_bound_ms": 5.0,
              "gap": 2.6,
              "regret": null,
              "measured_share": 0.782608695652174,
              "split": {
                "cpu": 6,
                "igpu": 0,
                "gpu": 4
              },
              "basis": "modelled",
              "samples": 10,
              "steps": 4,
              "finish_ms": {
                "cpu": 18.0,
                "igpu": null,
                "gpu": 4.0
              },
              "utilisation": {
                "cpu": 1.0,
                "igpu": 0.0,
                "gpu": 0.2222222222222222
              },
              "energy_j": null,
              "recovery_ms": null,
              "pages": null,
              "expected_ms": null,
              "search": null,
              "chance": null,
              "service": null
            }
          ],
          "failures": [
            {
              "strategy": "legion",
              "reason": "no \"rows\" to split"
            }
          ],
          "notes": [
            "a note"
          ],
          "contention": false,
          "baseline": "single on gpu"
        }
        "#);
    }

    #[test]
    fn what_is_unknown_is_null() {
        let mut summary = example::summary(&["greedy"]);
        summary.outcomes[0].speedup = None;
        summary.outcomes[0].lower_bound = None;
        summary.outcomes[0].gap = None;
        let value: serde_json::Value = serde_json::from_str(&summary_json(&summary)).unwrap();
        for key in ["speedup", "lower_bound_ms", "gap"] {
            assert!(value["results"][0][key].is_null(), "{key}");
        }
    }
}
