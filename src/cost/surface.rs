//! The time of a whole network on a part of a device, by the part and the batch together.

use std::collections::BTreeMap;

use serde::Serialize;

use super::curve::Curve;
use super::lookup::Lookup;
use super::{Basis, Estimate};
use crate::units::{Duration, Share};

/// Milliseconds of a batch of `b` samples on a share `s`: `max(floor, fixed + scaled / s + sample_scaled b / s + sample b)`.
///
/// A pass takes the host a floor at least. What has enough work for all compute units takes longer on fewer of them, and what
/// waits for memory or for the host does not; both are there once in a pass and for each sample. Times that are inversely
/// proportional to the share would be far off: with 32 samples on 80 % of a V100, AlexNet and VGG-19 take 1.43 and 1.08 times what
/// would follow so from 20 % (traces/igniter-v100.csv, of Xu et al., 2022).
#[derive(Clone, Debug)]
struct FittedForm {
    floor: f64,
    /// `fixed`, `scaled`, `sample_scaled`, `sample`; none is negative.
    terms: [f64; TERMS],
}

const TERMS: usize = 4;

/// A time in milliseconds that was measured.
#[derive(Clone, Copy, Debug)]
struct MeasuredTime {
    share: Share,
    batch: u32,
    millis: f64,
}

/// Times this close to the least one are taken for the floor.
const FLOOR_SPREAD: f64 = 1.05;
/// The fit improves a coefficient at a time until none changes its share of the times by more than this, or so many times.
const CHANGE_MIN: f64 = 1e-12;
const ROUNDS_MAX: usize = 100_000;

impl FittedForm {
    /// The form with the least squares of relative errors, without a floor or with one, whichever is closer; `None` of too few
    /// points.
    fn fit(points: &[MeasuredTime]) -> Option<FittedForm> {
        let least = points.iter().map(|point| point.millis).fold(f64::INFINITY, f64::min);
        let with_floor = |floor: f64| {
            let is_above = |point: &&MeasuredTime| floor == 0.0 || point.millis > floor * FLOOR_SPREAD;
            let above: Vec<&MeasuredTime> = points.iter().filter(is_above).collect();
            (above.len() > TERMS).then(|| FittedForm { floor, terms: non_negative_fit(&above) })
        };
        let squares = |form: &FittedForm| -> f64 {
            let error = |point: &MeasuredTime| form.millis(point.share, point.batch) / point.millis - 1.0;
            points.iter().map(|point| error(point) * error(point)).sum()
        };
        let forms = [0.0, least].into_iter().filter_map(with_floor);
        forms.map(|form| (squares(&form), form)).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, form)| form)
    }

    fn millis(&self, share: Share, batch: u32) -> f64 {
        let terms = features(share, batch).into_iter().zip(&self.terms).map(|(feature, term)| feature * term);
        terms.sum::<f64>().max(self.floor)
    }
}

fn features(share: Share, batch: u32) -> [f64; TERMS] {
    let (share, batch) = (share.fraction(), f64::from(batch));
    [1.0, 1.0 / share, batch / share, batch]
}

/// The coefficients, none negative, with the least squares of relative errors: each in turn is made the best beside the others
/// (coordinate descent, which ends at the least, since it is convex).
fn non_negative_fit(points: &[&MeasuredTime]) -> [f64; TERMS] {
    let rows: Vec<[f64; TERMS]> =
        points.iter().map(|point| features(point.share, point.batch).map(|feature| feature / point.millis)).collect();
    let products = |a: usize, b: usize| rows.iter().map(|row| row[a] * row[b]).sum::<f64>();
    let gram: [[f64; TERMS]; TERMS] = std::array::from_fn(|a| std::array::from_fn(|b| products(a, b)));
    let sums: [f64; TERMS] = std::array::from_fn(|a| rows.iter().map(|row| row[a]).sum());
    let mut terms = [0.0; TERMS];
    for _ in 0..ROUNDS_MAX {
        let mut change = 0f64;
        for a in 0..TERMS {
            let others: f64 = (0..TERMS).filter(|&b| b != a).map(|b| gram[a][b] * terms[b]).sum();
            let best = ((sums[a] - others) / gram[a][a]).max(0.0);
            change = change.max((best - terms[a]).abs() * gram[a][a].sqrt());
            terms[a] = best;
        }
        if change < CHANGE_MIN {
            break;
        }
    }
    terms
}

/// Times of all shares and batches of a whole network on a device, from those of some.
#[derive(Clone, Debug)]
pub(super) struct Surface {
    form: FittedForm,
    /// What was measured, by share.
    curves: BTreeMap<Share, Curve>,
}

impl Surface {
    /// The form that `curves` have; `None` if shares that are left out are closer to what lies between their neighbours, or
    /// if too little was measured to tell.
    pub(super) fn new(curves: BTreeMap<Share, Curve>) -> Option<Surface> {
        let is_fitted = |curve: &Curve| {
            matches!(curve.form(), Lookup::PiecewiseLinear | Lookup::Affine | Lookup::AffineAll | Lookup::Wave)
        };
        if !curves.values().all(|curve| is_fitted(curve) && curve.unpredictable().is_none()) {
            return None;
        }
        shares_left_out(&curves).filter(ShareErrors::is_form)?;
        Surface::of(curves)
    }

    fn of(curves: BTreeMap<Share, Curve>) -> Option<Surface> {
        Some(Surface { form: FittedForm::fit(&points(&curves))?, curves })
    }

    /// The time of a batch on a share; `None` where the share's own curve was measured, and of shares beyond those measured.
    pub(super) fn estimate(&self, share: Share, batch: u32) -> Option<Estimate> {
        let is_measured = self.curves.get(&share).is_some_and(|curve| curve.profiles(batch));
        let (below, above) = (|| self.curves.range(..=share), || self.curves.range(share..));
        if batch == 0 || is_measured || below().next().is_none() || above().next().is_none() {
            return None;
        }
        let has_batch = |(_, curve): (&Share, &Curve)| curve.profiles(batch);
        let is_inside = below().any(has_batch) && above().any(has_batch);
        let basis = if is_inside { Basis::Interpolated } else { Basis::Extrapolated };
        let at_points = self.curves.values().map(Curve::at_points).max()?;
        let time = Duration::from_millis_f64(self.form.millis(share, batch)).max(Duration::from_nanos(1));
        Some(Estimate { time, basis: basis.max(at_points) })
    }

    /// The least nanoseconds of the whole device for a sample, in batches up to `most` on any share that was measured or lies
    /// between.
    ///
    /// Of the form, a share for its time falls as the batch grows and rises with the share. Rounding takes half a nanosecond.
    pub(super) fn least(&self, most: u32) -> Option<f64> {
        let (share, _) = self.curves.first_key_value()?;
        let nanos = self.form.millis(*share, most.max(1)) * 1e6 - 0.5;
        Some((nanos * share.fraction() / f64::from(most.max(1))).max(0.0))
    }

    /// As another profile might have given it; `None` if nothing says how far times are off.
    pub(super) fn resampled(&self, draw: u64) -> Option<Surface> {
        let mut is_any = false;
        let resampled = |(share, curve): (&Share, &Curve)| {
            let resampled = curve.resampled(draw);
            is_any |= resampled.is_some();
            (*share, resampled.unwrap_or_else(|| curve.clone()))
        };
        let surface = Surface::of(self.curves.iter().map(resampled).collect());
        surface.filter(|_| is_any)
    }
}

/// How far times on shares of a device are off that are predicted from those on other shares; of batches that smaller and larger
/// shares were measured with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ShareErrors {
    /// Times that were predicted.
    pub count: usize,
    /// The mean absolute relative error of the form that fits all other shares.
    pub form: f64,
    /// The same of a speed that is linear between the neighbouring shares.
    pub between: f64,
}

impl ShareErrors {
    /// Whether the form is what costs have.
    pub fn is_form(&self) -> bool {
        self.form < self.between
    }
}

/// The errors of each share that others lie below and above; `None` if there is none that can be predicted.
pub(super) fn shares_left_out(curves: &BTreeMap<Share, Curve>) -> Option<ShareErrors> {
    let points = points(curves);
    let mut errors = ShareErrors { count: 0, form: 0.0, between: 0.0 };
    for share in curves.keys().skip(1).take(curves.len().saturating_sub(2)) {
        let others: Vec<MeasuredTime> = points.iter().copied().filter(|point| point.share != *share).collect();
        let form = FittedForm::fit(&others)?;
        for point in points.iter().filter(|point| point.share == *share) {
            if let Some(between) = between(&others, point) {
                errors.count += 1;
                errors.form += (form.millis(*share, point.batch) / point.millis - 1.0).abs();
                errors.between += (between / point.millis - 1.0).abs();
            }
        }
    }
    let mean = |sum: f64| sum / errors.count as f64;
    (errors.count > 0).then(|| ShareErrors { form: mean(errors.form), between: mean(errors.between), ..errors })
}

fn points(curves: &BTreeMap<Share, Curve>) -> Vec<MeasuredTime> {
    let of_curve = |(share, curve): (&Share, &Curve)| {
        let share = *share;
        let point = move |(batch, millis): (u32, f64)| MeasuredTime { share, batch, millis };
        curve.measured().map(point).collect::<Vec<_>>()
    };
    curves.iter().flat_map(of_curve).collect()
}

/// What lies at `point` between others of its batch, if the speed is linear in the share.
fn between(others: &[MeasuredTime], point: &MeasuredTime) -> Option<f64> {
    let of_batch = || others.iter().filter(|other| other.batch == point.batch);
    let below = of_batch().filter(|other| other.share < point.share).max_by_key(|other| other.share)?;
    let above = of_batch().filter(|other| other.share > point.share).min_by_key(|other| other.share)?;
    let along = (point.share.fraction() - below.share.fraction()) / (above.share.fraction() - below.share.fraction());
    Some(1.0 / ((1.0 - along) / below.millis + along / above.millis))
}
