//! The results of a run as one JSON object, which others script against.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::cost::Basis;
use crate::metrics::Summary;
use crate::metrics::{Chance, Failure, Outcome, Service};
use crate::problem::SearchCost;
use crate::units::Duration;

/// The summary as one JSON object with a newline at its end.
///
/// Keys have a fixed order, and devices the order of the platform. What is not known is `null`. Times are
/// milliseconds, exact to the nanosecond.
pub fn summary_json(summary: &Summary) -> String {
    json_text(&Object::of(summary))
}

/// `value` as indented JSON with a newline at its end.
pub(crate) fn json_text(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("all keys are strings and writing to memory succeeds") + "\n"
}

/// The name of a basis in files.
pub(crate) fn basis_name(basis: Basis) -> &'static str {
    match basis {
        Basis::Measured => "measured",
        Basis::Interpolated => "interpolated",
        Basis::Extrapolated => "extrapolated",
        Basis::Modelled => "modelled",
    }
}

/// What is said of a run.
#[derive(Serialize)]
pub(crate) struct Object<'a> {
    scenario: &'a str,
    results: Vec<Entry<'a>>,
    failures: Vec<FailureEntry<'a>>,
    notes: &'a [String],
    contention: bool,
    baseline: &'a str,
}

impl Object<'_> {
    pub(crate) fn of(summary: &Summary) -> Object<'_> {
        Object {
            scenario: &summary.scenario,
            results: summary.outcomes.iter().map(Entry::from).collect(),
            failures: summary.failures.iter().map(FailureEntry::from).collect(),
            notes: &summary.notes,
            contention: summary.contention,
            baseline: &summary.baseline,
        }
    }
}

/// What is said of an outcome.
#[derive(Serialize)]
pub(crate) struct Entry<'a> {
    strategy: &'a str,
    makespan_ms: f64,
    samples_per_s: f64,
    speedup: Option<f64>,
    lower_bound_ms: Option<f64>,
    gap: Option<f64>,
    measured_share: f64,
    split: Pairs<'a, u32>,
    basis: &'static str,
    samples: u32,
    steps: usize,
    finish_ms: Pairs<'a, Option<f64>>,
    utilisation: Pairs<'a, f64>,
    energy_j: Option<f64>,
    recovery_ms: Option<f64>,
    expected_ms: Option<f64>,
    search: Option<SearchEntry>,
    chance: Option<&'a Chance>,
    service: Option<&'a Service>,
    #[serde(skip_serializing_if = "Pairs::is_empty")]
    networks: Pairs<'a, &'a Service>,
}

impl<'a> From<&'a Outcome> for Entry<'a> {
    fn from(outcome: &'a Outcome) -> Entry<'a> {
        let millis =
            |(device, end): &'a (String, Option<Duration>)| (device.as_str(), end.map(Duration::as_millis_f64));
        Entry {
            strategy: &outcome.strategy,
            makespan_ms: outcome.makespan.as_millis_f64(),
            samples_per_s: outcome.samples_per_s,
            speedup: outcome.speedup,
            lower_bound_ms: outcome.lower_bound.map(Duration::as_millis_f64),
            gap: outcome.gap,
            measured_share: outcome.measured_share,
            split: Pairs(outcome.split.iter().map(|(device, samples)| (device.as_str(), *samples)).collect()),
            basis: basis_name(outcome.basis),
            samples: outcome.samples,
            steps: outcome.steps,
            finish_ms: Pairs(outcome.finish.iter().map(millis).collect()),
            utilisation: Pairs(outcome.utilisation.iter().map(|(device, share)| (device.as_str(), *share)).collect()),
            energy_j: outcome.energy_j,
            recovery_ms: outcome.recovery.map(Duration::as_millis_f64),
            expected_ms: outcome.expected.map(Duration::as_millis_f64),
            search: outcome.search.map(SearchEntry::from),
            chance: outcome.chance.as_ref(),
            service: outcome.service.as_ref(),
            networks: Pairs(outcome.networks.iter().map(|(network, service)| (network.as_str(), service)).collect()),
        }
    }
}

/// What profiling would take, in seconds and bytes.
#[derive(Serialize)]
struct SearchEntry {
    total_s: f64,
    build_s: f64,
    upload_s: f64,
    run_s: f64,
    profiles: u64,
    layers_built: u64,
    uploaded_bytes: u64,
}

impl From<SearchCost> for SearchEntry {
    fn from(cost: SearchCost) -> SearchEntry {
        SearchEntry {
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

/// What is said of a failure.
#[derive(Serialize)]
pub(crate) struct FailureEntry<'a> {
    strategy: &'a str,
    reason: &'a str,
}

impl<'a> From<&'a Failure> for FailureEntry<'a> {
    fn from(failure: &'a Failure) -> FailureEntry<'a> {
        FailureEntry { strategy: &failure.strategy, reason: &failure.reason }
    }
}

/// An object with these keys and values, in the order given.
pub(crate) struct Pairs<'a, T>(pub(crate) Vec<(&'a str, T)>);

impl<T> Pairs<'_, T> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Serialize> Serialize for Pairs<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::example;

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
