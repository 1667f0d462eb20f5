//! What is said of a calibration: a table for a terminal of 80 columns, and files.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::calibration_table::TOTALS;
use super::encode::json_text;
use super::record::records_csv;
use crate::cost::{
    Group, Lookup, Ranking, RankingSummary, Scheme, SeriesValidation, SharesValidation, Target, Validation,
};
use crate::cost::{group, targets};
use crate::statistics::Errors;

/// A validation with what a reader should know.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// What it is of: the name of the trace.
    pub name: String,
    /// What was found.
    pub validation: Validation,
    /// What the reader should know, a sentence each.
    pub notes: Vec<String>,
}

/// Series that are told of as one.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SeriesView<'a> {
    /// Empty for totals.
    pub(crate) device: &'a str,
    /// The network's name, or which series a total is over.
    pub(crate) model: &'a str,
    /// `whole`, a layer's name, or how many layers.
    pub(crate) part: String,
    /// Where all its series have the same one.
    pub(crate) form: Option<Lookup>,
    #[serde(flatten)]
    pub(crate) group: Group,
}

impl<'a> SeriesView<'a> {
    fn new(device: &'a str, model: &'a str, part: String, series: &[&SeriesValidation]) -> SeriesView<'a> {
        let form = series.first().map(|first| first.form);
        let form = form.filter(|&form| series.iter().all(|series| series.form == form));
        SeriesView { device, model, part, form, group: group(series.iter().copied()) }
    }
}

impl Calibration {
    /// An entry for each network on each device and one for its layers, or one for each layer.
    pub(crate) fn entries(&self, each_layer: bool) -> Vec<SeriesView<'_>> {
        let series = &self.validation.series;
        let mut seen = BTreeSet::new();
        let pairs = series.iter().map(|series| (series.device.as_str(), series.model.as_str()));
        // Networks of one device stand together.
        let mut pairs: Vec<(&str, &str)> = pairs.filter(|pair| seen.insert(*pair)).collect();
        let place = |device: &str| series.iter().position(|series| series.device == device);
        pairs.sort_by_key(|(device, _)| place(device));
        let mut entries = Vec::new();
        for (device, model) in pairs {
            let of_pair = series.iter().filter(|series| series.device == device && series.model == model);
            let (whole, layers): (Vec<_>, Vec<_>) = of_pair.partition(|series| series.layer.is_none());
            if !whole.is_empty() {
                entries.push(SeriesView::new(device, model, "whole".into(), &whole));
            }
            if each_layer {
                let entry = |layer: &&SeriesValidation| {
                    SeriesView::new(device, model, layer.layer.clone().unwrap_or_default(), &[layer])
                };
                entries.extend(layers.iter().map(entry));
            } else if !layers.is_empty() {
                let part = format!("{} layer{}", layers.len(), if layers.len() == 1 { "" } else { "s" });
                entries.push(SeriesView::new(device, model, part, &layers));
            }
        }
        entries
    }

    /// Networks, and layers if there are any: all of them, and those that can be trusted if not all can.
    pub(crate) fn totals(&self) -> Vec<SeriesView<'_>> {
        let mut totals = Vec::new();
        for (part, is_layer) in [("whole", false), ("layers", true)] {
            let series = || self.validation.series.iter().filter(|series| series.layer.is_some() == is_layer);
            let all: Vec<_> = series().collect();
            let trusted: Vec<_> = series().filter(|series| series.unpredictable.is_none()).collect();
            for (index, chosen) in [&all, &trusted].into_iter().enumerate() {
                let tells_more = index == 0 || chosen.len() < all.len();
                if !chosen.is_empty() && tells_more {
                    totals.push(SeriesView::new("", TOTALS[usize::from(is_layer)][index], part.into(), chosen));
                }
            }
        }
        totals
    }

    /// The ranking of plans of the networks that can be trusted.
    pub(crate) fn ranking(&self) -> Option<RankingSummary> {
        let trusted = self.validation.rankings.iter().filter(|ranking| ranking.is_predictable);
        RankingSummary::of(trusted.flat_map(|ranking| &ranking.choices))
    }
}

/// The calibration as one JSON object with a newline at its end. Errors and shares are fractions, times milliseconds.
pub fn calibration_json(calibration: &Calibration) -> String {
    let target = |target: Target| TargetEntry { target, met: target.is_met() };
    json_text(&CalibrationView {
        trace: &calibration.name,
        notes: &calibration.notes,
        targets: targets(&calibration.validation).into_iter().map(target).collect(),
        totals: calibration.totals(),
        networks: calibration.entries(false),
        ranking: calibration.ranking(),
        rankings: &calibration.validation.rankings,
        shares: &calibration.validation.shares,
        series: &calibration.validation.series,
    })
}

#[derive(Serialize)]
struct CalibrationView<'a> {
    /// The name of the trace.
    trace: &'a str,
    /// What the reader should know, a sentence each.
    notes: &'a [String],
    /// Figures beside what they should be.
    targets: Vec<TargetEntry>,
    /// What all networks and all layers come to, with and without those that cannot be trusted.
    totals: Vec<SeriesView<'a>>,
    /// What each network comes to on each device, and its layers together.
    networks: Vec<SeriesView<'a>>,
    /// The ranking of plans of the networks that can be trusted.
    ranking: Option<RankingSummary>,
    /// How well plans are ranked, by network; only those that two devices or more have.
    rankings: &'a [Ranking],
    /// How well times on shares of a device follow from other shares.
    shares: &'a [SharesValidation],
    /// Every network and layer on every device, in the trace's order.
    series: &'a [SeriesValidation],
}

#[derive(Serialize)]
struct TargetEntry {
    #[serde(flatten)]
    target: Target,
    /// Whether it is met; not known if the trace does not have the figure.
    met: Option<bool>,
}

/// The errors as CSV: a line for each network or layer on each device and each scheme, then totals.
///
/// Errors are fractions.
pub fn errors_csv(calibration: &Calibration) -> Vec<u8> {
    let entries: Vec<SeriesView<'_>> = calibration.entries(true).into_iter().chain(calibration.totals()).collect();
    let of_entry = |entry: &SeriesView<'_>| {
        let Group { inside, below, beyond, transferred, .. } = entry.group;
        let schemes = [
            (Scheme::Inside, inside),
            (Scheme::Below, below),
            (Scheme::Beyond, beyond),
            (Scheme::Transferred, transferred),
        ];
        let row = |(scheme, errors): (Scheme, Option<Errors>)| {
            let Errors { count, mean, median, p95, max, bias, within_10_percent } = errors?;
            Some(ErrorsRow {
                device: entry.device.to_owned(),
                model: entry.model.to_owned(),
                part: entry.part.clone(),
                form: entry.form,
                unpredictable: entry.group.unpredictable,
                scheme,
                count,
                mean,
                median,
                p95,
                max,
                bias,
                within_10_percent,
            })
        };
        schemes.into_iter().filter_map(row).collect::<Vec<_>>()
    };
    records_csv(entries.iter().flat_map(of_entry))
}

/// A line of `errors.csv`: errors of predictions, as fractions.
#[derive(Serialize, Deserialize)]
struct ErrorsRow {
    /// The device's name; empty for totals.
    device: String,
    /// The network's name, or which series a total is over.
    model: String,
    /// `whole`, a layer's name, or `layers`.
    part: String,
    /// How times between and beyond batches are found; empty where series differ.
    form: Option<Lookup>,
    /// Series whose tables cannot be trusted beyond their ends.
    unpredictable: usize,
    /// From what was predicted: batches on both sides (`inside`), larger ones (`below`), smaller ones (`beyond`), or one
    /// batch and the device's other networks (`transferred`).
    scheme: Scheme,
    /// How many errors there are.
    count: usize,
    /// Mean of their magnitudes.
    mean: f64,
    /// Median of their magnitudes.
    median: f64,
    /// 95th percentile of their magnitudes.
    p95: f64,
    /// Largest magnitude.
    max: f64,
    /// Mean with signs: above 0 if predictions are too long.
    bias: f64,
    /// Share of magnitudes of at most 0.1.
    within_10_percent: f64,
}
