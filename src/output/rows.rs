//! Results as CSV: a line for each strategy, and in a sweep for each point and strategy.

use std::collections::BTreeSet;

use super::summary::basis_name;
use crate::metrics::{Failure, Outcome, Service};
use crate::units::Duration;

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
    csv_bytes(columns.header(), rows.iter().map(|row| columns.line(row)))
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
        csv_bytes(self.header(), [])
    }

    /// Rows as CSV, without a header.
    pub fn lines_csv(&self, rows: &[ResultRow<'_>]) -> Vec<u8> {
        csv_lines(rows.iter().map(|row| self.line(row)))
    }

    fn header(&self) -> Vec<String> {
        let mut header = self.settings.clone();
        header.push("strategy".into());
        header.extend(METRICS.map(|(name, _)| name.to_owned()));
        header.extend(self.devices.iter().map(|device| format!("split_{device}")));
        header.extend(self.devices.iter().map(|device| format!("utilisation_{device}")));
        for network in &self.networks {
            header.extend(NETWORK_METRICS.map(|(name, _)| format!("{name}_{network}")));
        }
        header.push("error".into());
        header
    }

    fn line(&self, row: &ResultRow<'_>) -> Vec<String> {
        let mut line: Vec<String> = self.settings.iter().map(|name| value_of(row.settings, name)).collect();
        match row.result {
            Ok(outcome) => {
                line.push(outcome.strategy.clone());
                line.extend(METRICS.map(|(_, metric)| metric(outcome)));
                line.extend(self.devices.iter().map(|device| value_of(&outcome.split, device)));
                line.extend(self.devices.iter().map(|device| value_of(&outcome.utilisation, device)));
                for network in &self.networks {
                    let service = outcome.networks.iter().find(|(name, _)| name == network).map(|(_, service)| service);
                    line.extend(NETWORK_METRICS.map(|(_, metric)| text(service.and_then(metric))));
                }
                line.push(String::new());
            }
            Err(failure) => {
                line.push(failure.strategy.clone());
                let networks = NETWORK_METRICS.len() * self.networks.len();
                line.extend(vec![String::new(); METRICS.len() + 2 * self.devices.len() + networks]);
                line.push(failure.reason.clone());
            }
        }
        line
    }
}

/// Lines as CSV below a header of equal length.
pub(crate) fn csv_bytes<H: AsRef<[u8]>>(
    header: impl IntoIterator<Item = H>,
    lines: impl IntoIterator<Item = Vec<String>>,
) -> Vec<u8> {
    let mut bytes = csv_lines([header]);
    bytes.extend(csv_lines(lines));
    bytes
}

/// Lines as CSV.
fn csv_lines<F: AsRef<[u8]>>(lines: impl IntoIterator<Item = impl IntoIterator<Item = F>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.write_record(line).expect("lines have equal lengths and writing to memory succeeds");
    }
    writer.into_inner().expect("writing to memory succeeds")
}

/// The value's shortest text that reads back as the same float, or nothing.
pub(crate) fn text<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// Each name once, in the order of first appearance.
pub(crate) fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|&name| seen.insert(name)).collect()
}

type Metric = fn(&Outcome) -> String;

const METRICS: [(&str, Metric); 37] = [
    ("samples", |outcome| outcome.samples.to_string()),
    ("makespan_ms", |outcome| outcome.makespan.as_millis_f64().to_string()),
    ("samples_per_s", |outcome| outcome.samples_per_s.to_string()),
    ("speedup", |outcome| text(outcome.speedup)),
    ("lower_bound_ms", |outcome| text(outcome.lower_bound.map(Duration::as_millis_f64))),
    ("gap", |outcome| text(outcome.gap)),
    ("measured_share", |outcome| outcome.measured_share.to_string()),
    ("expected_ms", |outcome| text(outcome.expected.map(Duration::as_millis_f64))),
    ("profiles", |outcome| text(outcome.search.map(|search| search.profiles))),
    ("layers_built", |outcome| text(outcome.search.map(|search| search.layers_built))),
    ("search_s", |outcome| text(outcome.search.map(|search| search.total().as_secs_f64()))),
    ("basis", |outcome| basis_name(outcome.basis).to_owned()),
    ("steps", |outcome| outcome.steps.to_string()),
    ("replications", |outcome| text(outcome.chance.as_ref().map(|chance| chance.replications))),
    ("makespan_low_ms", |outcome| text(outcome.chance.as_ref().map(|chance| chance.makespan_ms.low()))),
    ("makespan_high_ms", |outcome| text(outcome.chance.as_ref().map(|chance| chance.makespan_ms.high()))),
    ("queries", |outcome| of_service(outcome, |service| Some(service.queries as f64))),
    ("completed", |outcome| of_service(outcome, |service| Some(service.completed as f64))),
    ("dropped", |outcome| of_service(outcome, |service| Some(service.dropped as f64))),
    ("late", |outcome| of_service(outcome, |service| Some(service.late as f64))),
    ("qps", |outcome| of_service(outcome, |service| Some(service.qps.mean))),
    ("qps_low", |outcome| of_service(outcome, |service| Some(service.qps.low()))),
    ("qps_high", |outcome| of_service(outcome, |service| Some(service.qps.high()))),
    ("latency_mean_ms", |outcome| of_service(outcome, |service| Some(service.latency_mean_ms?.mean))),
    ("latency_mean_low_ms", |outcome| of_service(outcome, |service| Some(service.latency_mean_ms?.low()))),
    ("latency_mean_high_ms", |outcome| of_service(outcome, |service| Some(service.latency_mean_ms?.high()))),
    ("latency_p50_ms", |outcome| of_service(outcome, |service| Some(service.percentiles?.p50))),
    ("latency_p90_ms", |outcome| of_service(outcome, |service| Some(service.percentiles?.p90))),
    ("latency_p95_ms", |outcome| of_service(outcome, |service| Some(service.percentiles?.p95))),
    ("latency_p99_ms", |outcome| of_service(outcome, |service| Some(service.percentiles?.p99.value))),
    ("latency_p99_low_ms", |outcome| of_service(outcome, |service| service.percentiles?.p99.low)),
    ("latency_p99_high_ms", |outcome| of_service(outcome, |service| service.percentiles?.p99.high)),
    ("latency_p999_ms", |outcome| of_service(outcome, |service| Some(service.percentiles?.p999))),
    ("queue_mean", |outcome| of_service(outcome, |service| Some(service.queue_mean))),
    ("queue_max", |outcome| of_service(outcome, |service| Some(f64::from(service.queue_max)))),
    ("energy_j", |outcome| text(outcome.energy_j)),
    ("recovery_ms", |outcome| text(outcome.recovery.map(Duration::as_millis_f64))),
];

/// A column's name, and its figure if there is one.
type NetworkMetric = (&'static str, fn(&Service) -> Option<f64>);

/// What is said of each network that has a load of its own.
const NETWORK_METRICS: [NetworkMetric; 8] = [
    ("queries", |service| Some(service.queries as f64)),
    ("completed", |service| Some(service.completed as f64)),
    ("dropped", |service| Some(service.dropped as f64)),
    ("late", |service| Some(service.late as f64)),
    ("qps", |service| Some(service.qps.mean)),
    ("latency_mean_ms", |service| Some(service.latency_mean_ms?.mean)),
    ("latency_p50_ms", |service| Some(service.percentiles?.p50)),
    ("latency_p99_ms", |service| Some(service.percentiles?.p99.value)),
];

fn of_service(outcome: &Outcome, figure: impl Fn(&Service) -> Option<f64>) -> String {
    text(outcome.service.as_ref().and_then(figure))
}

fn value_of<T: ToString>(pairs: &[(String, T)], name: &str) -> String {
    text(pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.to_string()))
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
        strategy,samples,makespan_ms,samples_per_s,speedup,lower_bound_ms,gap,measured_share,expected_ms,profiles,layers_built,search_s,basis,steps,replications,makespan_low_ms,makespan_high_ms,queries,completed,dropped,late,qps,qps_low,qps_high,latency_mean_ms,latency_mean_low_ms,latency_mean_high_ms,latency_p50_ms,latency_p90_ms,latency_p95_ms,latency_p99_ms,latency_p99_low_ms,latency_p99_high_ms,latency_p999_ms,queue_mean,queue_max,energy_j,recovery_ms,split_cpu,split_igpu,split_gpu,utilisation_cpu,utilisation_igpu,utilisation_gpu,error
        greedy,10,18,555.5555555555555,1.1111111111111112,5,2.6,0.782608695652174,,,,,modelled,4,,,,,,,,,,,,,,,,,,,,,,,,,6,0,4,1,0,0.2222222222222222,
        exact,10,15,666.6666666666667,1.3333333333333333,5,2,0.7142857142857143,,,,,modelled,4,,,,,,,,,,,,,,,,,,,,,,,,,5,0,5,1,0,0.3333333333333333,
        legion,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,"no link leads from `cpu` to `gpu`, and so on"
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
        batch,link.bandwidth,strategy,samples,makespan_ms,samples_per_s,speedup,lower_bound_ms,gap,measured_share,expected_ms,profiles,layers_built,search_s,basis,steps,replications,makespan_low_ms,makespan_high_ms,queries,completed,dropped,late,qps,qps_low,qps_high,latency_mean_ms,latency_mean_low_ms,latency_mean_high_ms,latency_p50_ms,latency_p90_ms,latency_p95_ms,latency_p99_ms,latency_p99_low_ms,latency_p99_high_ms,latency_p999_ms,queue_mean,queue_max,energy_j,recovery_ms,split_cpu,split_igpu,split_gpu,utilisation_cpu,utilisation_igpu,utilisation_gpu,error
        8,,greedy,10,18,555.5555555555555,1.1111111111111112,5,2.6,0.782608695652174,,,,,modelled,4,,,,,,,,,,,,,,,,,,,,,,,,,6,0,4,1,0,0.2222222222222222,
        16,"1 GB/s, shared",greedy,10,18,555.5555555555555,1.1111111111111112,5,2.6,0.782608695652174,,,,,modelled,4,,,,,,,,,,,,,,,,,,,,,,,,,6,0,4,1,0,0.2222222222222222,
        "#);
    }

    #[test]
    fn no_rows_still_have_a_header() {
        insta::assert_snapshot!(csv(&[]), @"strategy,samples,makespan_ms,samples_per_s,speedup,lower_bound_ms,gap,measured_share,expected_ms,profiles,layers_built,search_s,basis,steps,replications,makespan_low_ms,makespan_high_ms,queries,completed,dropped,late,qps,qps_low,qps_high,latency_mean_ms,latency_mean_low_ms,latency_mean_high_ms,latency_p50_ms,latency_p90_ms,latency_p95_ms,latency_p99_ms,latency_p99_low_ms,latency_p99_high_ms,latency_p999_ms,queue_mean,queue_max,energy_j,recovery_ms,error");
    }
}
