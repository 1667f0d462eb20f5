//! How much times vary from one repeat to the next, by device and link.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::ModelId;
use crate::platform::{DeviceId, LinkId};
use crate::statistics::{mean, quantile};
use crate::units::Duration;

/// How the times of steps vary around their estimates. The default is not at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variation {
    /// Of steps that compute, by device; devices beyond the end do not vary.
    pub devices: Vec<Jitter>,
    /// Of transfers, by link; links beyond the end do not vary.
    pub links: Vec<Jitter>,
}

impl Variation {
    /// How steps on a device vary.
    pub fn of_device(&self, device: DeviceId) -> &Jitter {
        self.devices.get(device.0 as usize).unwrap_or(&Jitter::NONE)
    }

    /// How transfers over a link vary.
    pub fn of_link(&self, link: LinkId) -> &Jitter {
        self.links.get(link.0 as usize).unwrap_or(&Jitter::NONE)
    }

    /// Whether nothing varies at all, so that one replication says everything.
    pub fn is_none(&self) -> bool {
        self.devices.iter().chain(&self.links).all(|jitter| *jitter == Jitter::NONE)
    }
}

/// What an estimate is multiplied by: a random factor, and rare spikes on top.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct Jitter {
    shape: Shape,
    spikes: Option<Spikes>,
}

/// The distribution of a factor, with mean 1 but for recorded repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Shape {
    /// Always 1.
    None,
    /// Its logarithm is normal: a product of many small influences.
    Lognormal {
        /// Coefficient of variation, 0 to 10: standard deviation over mean.
        cv: f64,
    },
    /// A least time that is never undercut, and a gamma distribution above it. With `cv` 1 and `shift` 0 it is
    /// exponential.
    Gamma {
        /// Coefficient of variation of the whole factor, 0 to 10.
        cv: f64,
        /// The least factor, from 0 to below 1.
        shift: f64,
    },
    /// As repeats that were recorded: each is as likely as the others of its network and batch. The mean is that of the
    /// repeats, which is not 1 where the estimate is their median.
    Empirical(Repeats),
}

/// What repeats took by the estimate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeats {
    /// Of everything that was recorded, for what was not.
    pub all: Ratios,
    /// Of a network at a batch, ascending by both.
    pub points: Vec<((ModelId, u32), Ratios)>,
}

/// Repeats that take far longer than the others. They make the mean longer than the estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spikes {
    /// How likely a step is to have one, 0 to 1.
    pub probability: f64,
    /// What it does.
    pub effect: Effect,
}

/// What a spike does to a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Makes it take so many times as long, 1 to 10000.
    Factor(f64),
    /// Makes it take so much longer.
    Added(Duration),
}

/// What repeats of the same took by some time: ascending and positive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Ratios(Arc<[f64]>);

/// Why a variation is not one. Each says what is accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VariationError {
    /// The coefficient of variation is out of range.
    #[error("the coefficient of variation is {0}; it must be from 0 to 10, for example 0.05")]
    Cv(f64),
    /// The shift is out of range.
    #[error("the shift is {0}; it must be at least 0 and below 1, for example 0.9")]
    Shift(f64),
    /// The probability is out of range.
    #[error("the probability of a spike is {0}; it must be from 0 to 1, for example 0.001")]
    Probability(f64),
    /// The factor is out of range.
    #[error("a spike takes {0} times as long; the factor must be from 1 to 10000, for example 5")]
    Factor(f64),
    /// There is no ratio.
    #[error("there are no repeats to take ratios of; give at least one, or use another shape")]
    NoRatio,
    /// A ratio is not positive and finite.
    #[error("{0} is not the ratio of two times; ratios are above 0 and finite")]
    Ratio(f64),
    /// Quantiles do not ascend from 0 to 1.
    #[error("quantiles must have shares that ascend within 0 to 1 and times that do not fall; give at least two")]
    Quantiles,
}

impl Jitter {
    /// No variation.
    pub const NONE: Jitter = Jitter { shape: Shape::None, spikes: None };

    /// A variation, if its figures are within the ranges that [`Shape`] and [`Spikes`] name.
    pub fn new(shape: Shape, spikes: Option<Spikes>) -> Result<Jitter, VariationError> {
        let check_cv = |cv: f64| if (0.0..=10.0).contains(&cv) { Ok(()) } else { Err(VariationError::Cv(cv)) };
        match shape {
            Shape::None | Shape::Empirical(_) => {}
            Shape::Lognormal { cv } => check_cv(cv)?,
            Shape::Gamma { cv, shift } => {
                check_cv(cv)?;
                if !(0.0..1.0).contains(&shift) {
                    return Err(VariationError::Shift(shift));
                }
            }
        }
        if let Some(Spikes { probability, effect }) = spikes {
            if !(0.0..=1.0).contains(&probability) {
                return Err(VariationError::Probability(probability));
            }
            if let Effect::Factor(factor) = effect
                && !(1.0..=1e4).contains(&factor)
            {
                return Err(VariationError::Factor(factor));
            }
        }
        Ok(Jitter { shape, spikes })
    }

    /// The distribution of its factor.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Its spikes, if it has any.
    pub fn spikes(&self) -> Option<Spikes> {
        self.spikes
    }
}

impl Default for Jitter {
    fn default() -> Self {
        Jitter::NONE
    }
}

impl Repeats {
    /// The ratios for a network at a batch; those of everything if it was not recorded there.
    pub fn of(&self, model: ModelId, batch: u32) -> &Ratios {
        let found = self.points.binary_search_by_key(&(model, batch), |(point, _)| *point);
        found.map_or(&self.all, |index| &self.points[index].1)
    }
}

impl Ratios {
    /// How many equally likely ratios stand for a quantile function.
    const POINTS: usize = 1000;

    /// Of ratios in any order, such as [`Trace::repeat_ratios`](crate::cost::Trace::repeat_ratios) gives.
    pub fn new(ratios: impl IntoIterator<Item = f64>) -> Result<Ratios, VariationError> {
        let mut ratios: Vec<f64> = ratios.into_iter().collect();
        if let Some(&wrong) = ratios.iter().find(|&&ratio| !(ratio > 0.0 && ratio.is_finite())) {
            return Err(VariationError::Ratio(wrong));
        }
        if ratios.is_empty() {
            return Err(VariationError::NoRatio);
        }
        ratios.sort_by(f64::total_cmp);
        Ok(Ratios(ratios.into()))
    }

    /// Of quantiles `(share, time)` where single repeats were not kept, for example `[(0.0, 9.8), (0.5, 10.0),
    /// (0.95, 10.9), (1.0, 14.0)]` for least, median, 95th percentile and largest; the unit of the times is of no
    /// concern.
    ///
    /// Between quantiles times grow linearly with the share; beyond the outermost ones they stay the same, so that
    /// what was not measured makes nothing vary. A thousand equally likely ratios with mean 1 stand for that function.
    pub fn of_quantiles(quantiles: &[(f64, f64)]) -> Result<Ratios, VariationError> {
        let within = quantiles.iter().all(|(share, _)| (0.0..=1.0).contains(share));
        let ascends = quantiles.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        if !within || !ascends || quantiles.len() < 2 {
            return Err(VariationError::Quantiles);
        }
        let at = |index: usize| (index as f64 + 0.5) / Ratios::POINTS as f64;
        let times: Vec<f64> = (0..Ratios::POINTS).map(|index| interpolated(quantiles, at(index))).collect();
        let mean = mean(&times).ok_or(VariationError::NoRatio)?;
        Ratios::new(times.into_iter().map(|time| time / mean))
    }

    /// The ratios, ascending.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// The ratio that `share` of them do not exceed, linear between two.
    pub fn quantile(&self, share: f64) -> f64 {
        quantile(&self.0, share.clamp(0.0, 1.0))
    }
}

/// The time at `share`, linear between points and constant beyond the outermost ones.
fn interpolated(points: &[(f64, f64)], share: f64) -> f64 {
    let above = points.partition_point(|point| point.0 <= share);
    if above == 0 || above == points.len() {
        return points[above.saturating_sub(1)].1;
    }
    let ((left, low), (right, high)) = (points[above - 1], points[above]);
    low + (high - low) * (share - left) / (right - left)
}

impl TryFrom<Vec<f64>> for Ratios {
    type Error = VariationError;
    fn try_from(ratios: Vec<f64>) -> Result<Ratios, VariationError> {
        Ratios::new(ratios)
    }
}

impl From<Ratios> for Vec<f64> {
    fn from(ratios: Ratios) -> Vec<f64> {
        ratios.0.to_vec()
    }
}

/// A jitter as it is written, before it is checked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    shape: Shape,
    spikes: Option<Spikes>,
}

impl TryFrom<Form> for Jitter {
    type Error = VariationError;
    fn try_from(Form { shape, spikes }: Form) -> Result<Jitter, VariationError> {
        Jitter::new(shape, spikes)
    }
}

impl From<Jitter> for Form {
    fn from(Jitter { shape, spikes }: Jitter) -> Form {
        Form { shape, spikes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(shape: Shape, spikes: Option<Spikes>) -> String {
        Jitter::new(shape, spikes).unwrap_err().to_string()
    }

    #[test]
    fn figures_out_of_range_are_refused_with_the_range() {
        let spikes = |probability, factor| Some(Spikes { probability, effect: Effect::Factor(factor) });
        let texts = [
            message(Shape::Lognormal { cv: -0.1 }, None),
            message(Shape::Gamma { cv: f64::NAN, shift: 0.0 }, None),
            message(Shape::Gamma { cv: 0.1, shift: 1.0 }, None),
            message(Shape::None, spikes(1.5, 2.0)),
            message(Shape::None, spikes(0.1, 0.5)),
            Ratios::new([]).unwrap_err().to_string(),
            Ratios::new([1.0, 0.0]).unwrap_err().to_string(),
            Ratios::of_quantiles(&[(0.5, 2.0), (0.9, 1.0)]).unwrap_err().to_string(),
        ];
        assert_eq!(
            texts,
            [
                "the coefficient of variation is -0.1; it must be from 0 to 10, for example 0.05",
                "the coefficient of variation is NaN; it must be from 0 to 10, for example 0.05",
                "the shift is 1; it must be at least 0 and below 1, for example 0.9",
                "the probability of a spike is 1.5; it must be from 0 to 1, for example 0.001",
                "a spike takes 0.5 times as long; the factor must be from 1 to 10000, for example 5",
                "there are no repeats to take ratios of; give at least one, or use another shape",
                "0 is not the ratio of two times; ratios are above 0 and finite",
                "quantiles must have shares that ascend within 0 to 1 and times that do not fall; give at least two",
            ]
        );
    }

    #[test]
    fn ratios_of_repeats_stay_what_they_are_and_those_of_quantiles_have_mean_1() {
        assert_eq!(Ratios::new([1.2, 1.0, 1.1, 1.1]).unwrap().as_slice(), [1.0, 1.1, 1.1, 1.2]);
        let of_quantiles = Ratios::of_quantiles(&[(0.0, 8.0), (0.5, 10.0), (1.0, 16.0)]).unwrap();
        // The mean of the two lines is (9 + 13) / 2.
        assert!((mean(of_quantiles.as_slice()).unwrap() - 1.0).abs() < 1e-12);
        assert!((of_quantiles.quantile(0.5) - 10.0 / 11.0).abs() < 1e-3);
        assert!((of_quantiles.quantile(1.0) - 16.0 / 11.0).abs() < 1e-3);
    }

    #[test]
    fn beyond_the_outermost_quantiles_nothing_is_made_up() {
        let ratios = Ratios::of_quantiles(&[(0.5, 10.0), (0.95, 12.0)]).unwrap();
        let (least, largest) = (ratios.quantile(0.0), ratios.quantile(1.0));
        assert!((largest / least - 1.2).abs() < 1e-9 && ratios.quantile(0.4) == least);
    }

    #[test]
    fn what_is_written_is_read_back_and_checked() {
        let jitter = Jitter::new(
            Shape::Gamma { cv: 0.2, shift: 0.5 },
            Some(Spikes { probability: 0.001, effect: Effect::Added(Duration::from_nanos(5)) }),
        );
        let variation = Variation { devices: vec![Jitter::NONE, jitter.unwrap()], links: vec![] };
        let text = serde_json::to_string(&variation).unwrap();
        assert_eq!(serde_json::from_str::<Variation>(&text).unwrap(), variation);
        let wrong = serde_json::from_str::<Jitter>(r#"{"shape":{"lognormal":{"cv":11}}}"#).unwrap_err().to_string();
        assert!(wrong.starts_with("the coefficient of variation is 11;"), "{wrong}");
        assert!(!variation.is_none() && *variation.of_device(DeviceId(7)) == Jitter::NONE);
        assert!(Variation { devices: vec![Jitter::NONE], links: vec![] }.is_none());
    }
}
