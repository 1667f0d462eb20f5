//! How well the published tables predict themselves, batch by batch, by form.

use std::collections::BTreeMap;

use coinfer::cost::{Curve, LayerKey, Lookup, RankingSummary, SeriesValidation, Trace, group, validate};
use coinfer::platform::Precision;

use super::kcc2020::{DEVICES, models, trace};

/// Grows as the square of the batch on every device.
const UNPREDICTABLE: &str = "densenet-121";

/// Mean absolute percentage error at inner batches, each predicted from all the others, by form.
fn errors_by_form(series: &[SeriesValidation]) -> BTreeMap<&'static str, f64> {
    let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for series in series.iter().filter(|series| series.model != UNPREDICTABLE) {
        for score in &series.scores {
            let count = score.count as f64;
            let (sum, total) = sums.entry(score.form.name()).or_default();
            *sum += score.mean * count;
            *total += count;
        }
    }
    sums.into_iter().map(|(form, (sum, count))| (form, 100.0 * sum / count)).collect()
}

/// As `errors_by_form`, if every sample took the median time per sample of the other batches.
fn error_of_constant_throughput(trace: &Trace, series: &[SeriesValidation]) -> f64 {
    let mut errors = vec![];
    for series in series.iter().filter(|series| series.model != UNPREDICTABLE) {
        let times = trace.times(&series.device, Precision::Fp32, &series.model, &LayerKey::Whole);
        let rates: Vec<(u32, f64)> = times.iter().map(|(&batch, time)| (batch, time.of_sample(batch))).collect();
        for &(batch, measured) in &rates[1..rates.len() - 1] {
            let mut others: Vec<f64> =
                rates.iter().filter(|(other, _)| *other != batch).map(|&(_, rate)| rate).collect();
            others.sort_by(f64::total_cmp);
            let middle = others.len() / 2;
            let median =
                if others.len() % 2 == 1 { others[middle] } else { (others[middle - 1] + others[middle]) / 2.0 };
            errors.push((median / measured - 1.0).abs());
        }
    }
    100.0 * errors.iter().sum::<f64>() / errors.len() as f64
}

/// The figures of the two shipped tables, in percent: constant throughput, then each form.
///
/// They are of all networks but DenseNet-121: nine in the table with copies, seven in the one behind the published
/// splits. Of the latter two series on the UHD 630 are flagged and count all the same.
#[test]
fn inner_batches_are_predicted_from_the_others_within_3_percent_by_a_monotone_table() {
    let expected = [
        ("kcc2020-profile-with-io", [5.24, 5.18, 3.38, 3.51, 2.90, 2.99]),
        ("kcc2020-profile", [6.57, 6.73, 5.24, 5.79, 3.94, 4.23]),
    ];
    for (name, expected) in expected {
        let trace = trace(name);
        let series = validate(&trace).series;
        let by_form = errors_by_form(&series);
        let forms = ["affine_all", "affine", "wave", "piecewise_linear", "table"].map(|form| by_form[form]);
        let constant = error_of_constant_throughput(&trace, &series);
        println!("{name}: constant throughput {constant:.2} %, {by_form:.2?}");
        for (found, expected) in [constant].into_iter().chain(forms).zip(expected) {
            assert!((found - expected).abs() < 0.02, "{name}: {found} is not {expected}");
        }
    }
}

/// Mean absolute percentage error of whole networks at `tested` batches, predicted from the `profiled` ones.
fn error_at(tested: impl Fn(u32) -> bool, profiled: impl Fn(u32) -> bool, lookup: Lookup) -> f64 {
    let trace = trace("kcc2020-profile-with-io");
    let mut part = trace.clone();
    part.rows.retain(|row| profiled(row.batch));
    let mut errors = vec![];
    for (.., device) in DEVICES {
        for model in models(&trace, device).into_iter().filter(|&model| model != UNPREDICTABLE) {
            let curve = Curve::new(&part, device, Precision::Fp32, model, lookup, true).unwrap();
            for (&batch, time) in trace
                .times(device, Precision::Fp32, model, &LayerKey::Whole)
                .iter()
                .filter(|(batch, _)| tested(**batch))
            {
                let predicted = curve.estimate(batch).unwrap().time.as_millis_f64();
                errors.push((predicted / time.of_batch(batch) - 1.0).abs());
            }
        }
    }
    100.0 * errors.iter().sum::<f64>() / errors.len() as f64
}

/// Beyond the range: batches above 33, predicted from those up to 33.
#[test]
fn an_affine_fit_from_batch_2_on_predicts_batches_beyond_33_within_3_percent() {
    let [affine, all] =
        [Lookup::Affine, Lookup::AffineAll].map(|lookup| error_at(|batch| batch > 33, |batch| batch <= 33, lookup));
    println!("beyond batch 33: affine {affine:.2} %, with batch 1 in the line {all:.2} %");
    assert!((affine - 2.63).abs() < 0.02 && (all - 5.23).abs() < 0.02);
}

/// Batches 1, 2, 8 and 64 alone. The default is affine with fewer than six batches; here lines between them do better.
#[test]
fn four_batches_predict_all_others_within_4_percent() {
    let profiled = |batch: u32| [1, 2, 8, 64].contains(&batch);
    let between = |batch: u32| batch < 64 && !profiled(batch);
    let others = |batch: u32| !profiled(batch);
    let errors = |lookup: Lookup| [error_at(between, profiled, lookup), error_at(others, profiled, lookup)];
    let (affine, table) = (errors(Lookup::PiecewiseLinear), errors(Lookup::Table));
    println!("from batches 1, 2, 8 and 64, those between and all others: affine {affine:.2?} %, table {table:.2?} %");
    for (found, expected) in affine.into_iter().chain(table).zip([3.90, 3.79, 3.48, 3.33]) {
        assert!((found - expected).abs() < 0.02, "{found} is not {expected}");
    }
}

/// All forms are chosen anew without the batch that is predicted. By the rule of one standard error they cost 0.4
/// points against the monotone table throughout.
#[test]
fn the_calibration_of_the_table_with_copies_meets_its_targets() {
    let validation = validate(&trace("kcc2020-profile-with-io"));
    let flagged = validation.series.iter().filter(|series| series.unpredictable.is_some());
    assert!(flagged.clone().count() == 3 && flagged.clone().all(|series| series.model == UNPREDICTABLE));
    let nine = group(validation.series.iter().filter(|series| series.unpredictable.is_none()));
    let choices = validation.rankings.iter().filter(|ranking| ranking.is_predictable);
    let ranking = RankingSummary::of(choices.flat_map(|ranking| &ranking.choices)).unwrap();
    println!("{nine:#.3?}\n{ranking:#.3?}");
    let percent = |errors: Option<coinfer::statistics::Errors>| 100.0 * errors.unwrap().mean;
    assert!((percent(nine.inside) - 3.26).abs() < 0.02, "{}", percent(nine.inside));
    assert!((percent(nine.beyond) - 2.1).abs() < 0.1, "{}", percent(nine.beyond));
    assert!((percent(nine.below) - 77.7).abs() < 0.1, "batch 1 cannot be predicted: profile it");
    assert!((percent(nine.transferred) - 6.7).abs() < 0.1, "{}", percent(nine.transferred));
    let coverage = nine.coverage.unwrap();
    assert!((coverage.share - 0.90).abs() < 0.01, "{coverage:?}");
    assert!((ranking.tau.unwrap() - 0.943).abs() < 0.002 && (ranking.regret - 0.014).abs() < 0.001, "{ranking:?}");
}
