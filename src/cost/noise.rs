//! What raw repeats say about how much a time varies from one repeat to the next.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::trace::{LayerKey, Row, Rows, Statistic, Trace};
use crate::platform::Precision;
use crate::statistics::{mean, median};

/// The noise of raw repeats: right-skewed, with rare spikes apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Noise {
    /// Raw repeats that this is from.
    pub repeats: usize,
    /// Standard deviation of the logarithm of the time at one batch, spikes left out.
    pub sigma: f64,
    /// Degrees of freedom of `sigma`.
    pub freedom: usize,
    /// Repeats that took far longer than the others of their batch: by more than five times their spread, in robust
    /// terms, and by more than a tenth.
    pub spikes: usize,
}

/// Fewer repeats of a batch have no spread to speak of.
const REPEATS_MIN: usize = 3;

/// The noise at each batch, of rows that differ in nothing else, that has three raw repeats or more.
pub(super) fn noise_by_batch<'a>(rows: impl Iterator<Item = &'a Row>) -> BTreeMap<u32, Noise> {
    let mut repeats: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for row in rows.filter(|row| row.statistic == Statistic::Raw) {
        repeats.entry(row.batch).or_default().push(row.time_ms.ln());
    }
    repeats.into_iter().filter_map(|(batch, logarithms)| Some((batch, of_batch(logarithms)?))).collect()
}

/// At each batch, the standard error of the logarithm of the repeats' median: that of a mean times the root of pi/2, as of a
/// normal distribution. Repeats vary no less than those of all batches do: few of them may agree by chance.
pub(super) fn errors_by_batch(noises: &BTreeMap<u32, Noise>) -> BTreeMap<u32, f64> {
    let all = pooled(noises.values()).map_or(0.0, |noise| noise.sigma);
    let error =
        |noise: &Noise| noise.sigma.max(all) * std::f64::consts::FRAC_PI_2.sqrt() / (noise.freedom as f64 + 1.0).sqrt();
    noises.iter().map(|(batch, noise)| (*batch, error(noise))).collect()
}

/// By network and batch, what raw repeats took by the time of their point, which is their median; of points that have
/// three repeats or more. Those of the whole network stand for it if there are some, or else those of its layers.
pub(super) fn repeat_ratios<'a>(
    trace: &'a Trace,
    device: &str,
    precision: Precision,
) -> BTreeMap<(&'a str, u32), Vec<f64>> {
    let mut points: BTreeMap<(&str, u32, &LayerKey, Rows), Vec<f64>> = BTreeMap::new();
    for row in &trace.rows {
        let of_device = row.device == device && row.precision == precision && row.beside.is_none();
        if of_device && row.statistic == Statistic::Raw {
            points.entry((&row.model, row.batch, &row.layer, row.rows)).or_default().push(row.time_ms);
        }
    }
    let mut ratios: BTreeMap<(&str, u32), Vec<f64>> = BTreeMap::new();
    let mut has_whole: BTreeSet<(&str, u32)> = BTreeSet::new();
    // Whole networks come before their layers.
    for ((model, batch, layer, _), times) in points {
        let Some(middle) = median(times.iter().copied()).filter(|_| times.len() >= REPEATS_MIN) else { continue };
        if *layer == LayerKey::Whole {
            has_whole.insert((model, batch));
        } else if has_whole.contains(&(model, batch)) {
            continue;
        }
        ratios.entry((model, batch)).or_default().extend(times.into_iter().map(|time| time / middle));
    }
    ratios
}

fn of_batch(logarithms: Vec<f64>) -> Option<Noise> {
    if logarithms.len() < REPEATS_MIN {
        return None;
    }
    let middle = median(logarithms.iter().copied())?;
    let deviation = median(logarithms.iter().map(|value| (value - middle).abs()))?;
    // The factor makes the median deviation that of a normal distribution (Hampel, 1974).
    let spread = 1.4826 * deviation;
    let limit = middle + (5.0 * spread).max(1.1f64.ln());
    let usual: Vec<f64> = logarithms.iter().copied().filter(|&value| value <= limit).collect();
    let center = mean(&usual)?;
    let squares: f64 = usual.iter().map(|value| (value - center).powi(2)).sum();
    let freedom = usual.len().saturating_sub(1);
    let sigma = (squares / freedom.max(1) as f64).sqrt();
    Some(Noise { repeats: logarithms.len(), sigma, freedom, spikes: logarithms.len() - usual.len() })
}

/// The noise of several batches as one: variances weighted by their degrees of freedom.
pub(super) fn pooled<'a>(noises: impl IntoIterator<Item = &'a Noise>) -> Option<Noise> {
    let (mut pooled, mut squares) = (Noise { repeats: 0, sigma: 0.0, freedom: 0, spikes: 0 }, 0.0);
    for noise in noises {
        squares += noise.freedom as f64 * noise.sigma.powi(2);
        pooled.freedom += noise.freedom;
        pooled.repeats += noise.repeats;
        pooled.spikes += noise.spikes;
    }
    pooled.sigma = (squares / pooled.freedom as f64).sqrt();
    (pooled.freedom > 0).then_some(pooled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(times: &[f64]) -> Option<Noise> {
        of_batch(times.iter().map(|time| time.ln()).collect())
    }

    fn trace(rows: &str) -> Trace {
        const HEADER: &str = "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: w\n# date: d\n# kind: measured\n\
                              device,model,layer,batch,rows,statistic,repeat,time_ms\n";
        Trace::parse(format!("{HEADER}{rows}").as_bytes()).unwrap()
    }

    #[test]
    fn the_error_of_a_median_falls_with_the_root_of_the_repeats() {
        let rows = |count: usize| {
            let row = |index: usize| format!("d,m,whole,1,all,raw,{index},{}\n", [9.9, 10.1][index % 2]);
            trace(&(0..count).map(row).collect::<String>())
        };
        let error = |count| errors_by_batch(&noise_by_batch(rows(count).rows.iter()))[&1];
        // Of so few, the spread is larger by the root of n / (n - 1).
        let expected = 2.0 * (10.0f64 / 9.0 / (40.0 / 39.0)).sqrt();
        assert!((error(10) / error(40) - expected).abs() < 1e-9);
        assert!((error(40) - 0.01 * 1.2533 / 40f64.sqrt()).abs() < 1e-4);
    }

    #[test]
    fn a_spike_is_counted_and_does_not_widen_the_spread() {
        let steady = noise(&[10.0, 10.1, 9.9, 10.05, 9.95]).unwrap();
        let spiked = noise(&[10.0, 10.1, 9.9, 10.05, 9.95, 40.0]).unwrap();
        assert_eq!((steady.spikes, spiked.spikes), (0, 1));
        assert!((steady.sigma - 0.0079).abs() < 1e-4 && (spiked.sigma - steady.sigma).abs() < 1e-12);
        assert_eq!(noise(&[10.0, 10.0, 10.5]).map(|noise| noise.spikes), Some(0));
    }

    #[test]
    fn ratios_of_repeats_are_by_the_time_of_their_point_need_three_and_are_of_whole_networks_before_layers() {
        let rows = [
            "whole,1,all,raw,0,1",
            "whole,1,all,raw,1,2",
            "whole,1,all,raw,2,6",
            "whole,2,all,raw,0,5",
            "whole,2,all,raw,1,9",
            "a,1,all,raw,0,10",
            "a,1,all,raw,1,10",
            "a,1,all,raw,2,10",
            "a,8,all,raw,0,10",
            "a,8,all,raw,1,10",
            "a,8,all,raw,2,20",
            "whole,4,all,median,9,7",
        ];
        let rows: String = rows.iter().map(|row| format!("d,m,{row}\n")).collect();
        let trace = trace(&format!("{rows}e,m,whole,1,all,raw,0,4\n"));
        let expected = [(("m", 1), vec![0.5, 1.0, 3.0]), (("m", 8), vec![1.0, 1.0, 2.0])];
        assert_eq!(trace.repeat_ratios("d", Precision::Fp32), BTreeMap::from(expected));
        assert!(trace.repeat_ratios("e", Precision::Fp32).is_empty());
    }

    #[test]
    fn two_repeats_have_no_spread_and_batches_are_pooled() {
        assert_eq!(noise(&[1.0, 2.0]), None);
        let (narrow, wide) = (noise(&[1.0, 1.1, 1.2]).unwrap(), noise(&[1.0, 1.2, 1.4, 1.1, 9.0]).unwrap());
        let both = pooled([&narrow, &wide]).unwrap();
        assert_eq!((both.repeats, both.spikes, both.freedom), (8, 1, 5));
        let expected = (2.0 * narrow.sigma.powi(2) + 3.0 * wide.sigma.powi(2)) / 5.0;
        assert!((both.sigma - expected.sqrt()).abs() < 1e-12);
        assert_eq!(pooled([]), None);
    }
}
