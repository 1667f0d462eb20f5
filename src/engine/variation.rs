//! Draws how long steps take from how they vary.

use rand::RngExt;
use rand::distr::{Distribution, StandardUniform};
use rand_distr::{Gamma, StandardNormal};

use super::random::{Purpose, Stream, Streams};
use crate::platform::{DeviceId, LinkId};
use crate::problem::{Effect, Jitter, Ratios, Shape, Spikes, Variation};
use crate::units::Duration;

/// Stretches the estimates of one device or link, step by step in the order in which they start.
///
/// The n-th step takes the n-th draw of its device or link, whatever the strategy has done elsewhere.
#[derive(Debug)]
pub struct Sampler {
    factor: Option<(Factor, Stream)>,
    spikes: Option<(Spikes, Stream)>,
}

#[derive(Clone, Debug)]
enum Factor {
    Lognormal { mu: f64, sigma: f64 },
    Gamma { shift: f64, above: Gamma<f64> },
    Empirical(Ratios),
}

impl Sampler {
    /// For the steps on a device.
    pub fn of_device(variation: &Variation, streams: &Streams, device: DeviceId) -> Sampler {
        let jitter = variation.of_device(device);
        Sampler::new(jitter, streams, [Purpose::Compute, Purpose::ComputeSpikes], device.0)
    }

    /// For the transfers over a link.
    pub fn of_link(variation: &Variation, streams: &Streams, link: LinkId) -> Sampler {
        let jitter = variation.of_link(link);
        Sampler::new(jitter, streams, [Purpose::Transfer, Purpose::TransferSpikes], link.0)
    }

    fn new(jitter: &Jitter, streams: &Streams, purposes: [Purpose; 2], entity: u32) -> Sampler {
        let [factors, spikes] = purposes.map(|purpose| move || streams.stream(purpose, entity));
        // A gamma distribution of a shape below 1 takes a third number beside the two of others.
        let is_wide = matches!(*jitter.shape(), Shape::Gamma { cv, shift } if cv > 1.0 - shift);
        let factors = || if is_wide { factors().widened() } else { factors() };
        Sampler {
            factor: Factor::of(jitter.shape()).map(|factor| (factor, factors())),
            spikes: jitter.spikes().map(|kind| (kind, spikes())),
        }
    }

    /// How long the next step takes whose estimate is `isolated`. Without variation it is exactly that.
    #[inline]
    pub fn stretch(&mut self, isolated: Duration) -> Duration {
        let factor = self.factor.as_mut().map(|(factor, stream)| factor.sample(stream));
        let effect = self.spikes.as_mut().and_then(|(spikes, stream)| sample_spike(spikes, stream));
        let nanos = isolated.as_nanos_f64() * factor.unwrap_or(1.0);
        match (factor, effect) {
            (None, None) => isolated,
            (_, None) => Duration::from_nanos_f64(nanos),
            (_, Some(Effect::Factor(factor))) => Duration::from_nanos_f64(nanos * factor),
            (_, Some(Effect::Added(more))) => Duration::from_nanos_f64(nanos) + more,
        }
    }

    /// Makes the draws with this index the next, for steps that are known by a number of their own.
    pub fn seek(&mut self, index: u64) {
        let streams = [self.factor.as_mut().map(|(_, stream)| stream), self.spikes.as_mut().map(|(_, stream)| stream)];
        streams.into_iter().flatten().for_each(|stream| stream.seek(index));
    }
}

fn sample_spike(spikes: &Spikes, stream: &mut Stream) -> Option<Effect> {
    let share: f64 = stream.sample(&StandardUniform);
    (share < spikes.probability).then_some(spikes.effect)
}

impl Factor {
    /// `None` if it is always 1.
    fn of(shape: &Shape) -> Option<Factor> {
        match *shape {
            Shape::None | Shape::Lognormal { cv: 0.0 } | Shape::Gamma { cv: 0.0, .. } => None,
            Shape::Lognormal { cv } => {
                // Mean exp(mu + sigma^2 / 2) = 1, squared variation exp(sigma^2) - 1.
                let variance = (cv * cv).ln_1p();
                Some(Factor::Lognormal { mu: -variance / 2.0, sigma: variance.sqrt() })
            }
            Shape::Gamma { cv, shift } => {
                // Above the shift: mean 1 - shift, standard deviation cv.
                let mean = 1.0 - shift;
                let above = Gamma::new((mean / cv).powi(2), cv * cv / mean);
                Some(Factor::Gamma { shift, above: above.expect("a jitter's figures are above 0 and finite") })
            }
            Shape::Empirical { ref ratios } => Some(Factor::Empirical(ratios.clone())),
        }
    }

    #[inline]
    fn sample(&self, stream: &mut Stream) -> f64 {
        let mut draw = stream.draw();
        match self {
            Factor::Lognormal { mu, sigma } => {
                let normal: f64 = StandardNormal.sample(&mut draw);
                (mu + sigma * normal).exp()
            }
            Factor::Gamma { shift, above } => shift + above.sample(&mut draw),
            Factor::Empirical(ratios) => ratios.as_slice()[draw.random_range(0..ratios.as_slice().len())],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::statistics::{mean, quantile};

    const SECOND: Duration = Duration::from_nanos(1_000_000_000);

    fn sampler(shape: Shape, spikes: Option<Spikes>, seed: u64) -> Sampler {
        let variation = Variation { devices: vec![Jitter::new(shape, spikes).unwrap()], links: vec![] };
        Sampler::of_device(&variation, &Streams::new(seed, 0), DeviceId(0))
    }

    /// Factors in ascending order.
    fn factors(shape: Shape, spikes: Option<Spikes>) -> Vec<f64> {
        let mut sampler = sampler(shape, spikes, 11);
        let mut factors: Vec<f64> = (0..200_000).map(|_| sampler.stretch(SECOND).as_secs_f64()).collect();
        factors.sort_by(f64::total_cmp);
        factors
    }

    fn moments(factors: &[f64]) -> (f64, f64) {
        let mean = mean(factors).unwrap();
        let variance = factors.iter().map(|factor| (factor - mean).powi(2)).sum::<f64>() / factors.len() as f64;
        (mean, variance.sqrt())
    }

    #[test]
    fn factors_have_mean_1_and_the_variation_asked_for() {
        let ratios = Ratios::new([0.9, 0.95, 1.0, 1.0, 1.4]).unwrap();
        let (_, deviation) = moments(ratios.as_slice());
        for (shape, cv) in [
            (Shape::Lognormal { cv: 0.05 }, 0.05),
            (Shape::Lognormal { cv: 0.5 }, 0.5),
            (Shape::Gamma { cv: 0.2, shift: 0.0 }, 0.2),
            (Shape::Gamma { cv: 0.2, shift: 0.7 }, 0.2),
            (Shape::Gamma { cv: 1.0, shift: 0.0 }, 1.0),
            (Shape::Gamma { cv: 1.0, shift: 0.5 }, 1.0),
            (Shape::Empirical { ratios }, deviation),
        ] {
            let (mean, found) = moments(&factors(shape.clone(), None));
            assert!((mean - 1.0).abs() < 4.0 * cv / 200_000f64.sqrt(), "{shape:?}: mean {mean}");
            assert!((found / cv - 1.0).abs() < 0.02, "{shape:?}: variation {found}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_distributions() {
        // Standard normal quantiles: -1.2816, 0, 2.3263.
        let lognormal = factors(Shape::Lognormal { cv: 0.3 }, None);
        let variance = 1.09f64.ln();
        for (share, normal) in [(0.1, -1.28155), (0.5, 0.0), (0.99, 2.32635)] {
            let expected = (variance.sqrt() * normal - variance / 2.0).exp();
            assert!((quantile(&lognormal, share) / expected - 1.0).abs() < 0.005, "lognormal {share}");
        }
        let exponential = factors(Shape::Gamma { cv: 1.0, shift: 0.0 }, None);
        for share in [0.1, 0.5, 0.99] {
            let expected = -f64::ln(1.0 - share);
            assert!((quantile(&exponential, share) / expected - 1.0).abs() < 0.02, "exponential {share}");
        }
        let shifted = factors(Shape::Gamma { cv: 0.3, shift: 0.7 }, None);
        assert!(shifted[0] >= 0.7 && shifted[0] < 0.7001);
        assert!((quantile(&shifted, 0.5) - (0.7 + 0.3 * 2f64.ln())).abs() < 0.003);
    }

    #[test]
    fn an_empirical_factor_takes_each_ratio_equally_often() {
        let ratios = Ratios::new([0.9, 1.0, 1.1]).unwrap();
        let found = factors(Shape::Empirical { ratios }, None);
        for ratio in [0.9, 1.0, 1.1] {
            let count = found.iter().filter(|&&factor| (factor - ratio).abs() < 1e-9).count();
            assert!((count as f64 - 200_000.0 / 3.0).abs() < 900.0, "{ratio}: {count}");
        }
    }

    #[test]
    fn spikes_come_as_often_as_they_should_and_leave_the_others_alone() {
        let shape = Shape::Lognormal { cv: 0.1 };
        for (effect, longer) in [(Effect::Factor(5.0), 4.0), (Effect::Added(SECOND * 3), 3.0)] {
            let spikes = Some(Spikes { probability: 0.01, effect });
            let (mut plain, mut spiked) = (sampler(shape.clone(), None, 1), sampler(shape.clone(), spikes, 1));
            let pairs: Vec<_> = (0..100_000).map(|_| (plain.stretch(SECOND), spiked.stretch(SECOND))).collect();
            let count = pairs.iter().filter(|(plain, spiked)| plain != spiked).count();
            assert!((900..=1100).contains(&count), "{count}");
            let total = |pick: fn(&(Duration, Duration)) -> Duration| pairs.iter().map(pick).sum::<Duration>();
            let more = total(|pair| pair.1).saturating_sub(total(|pair| pair.0)).as_secs_f64();
            assert!((more / count as f64 / longer - 1.0).abs() < 0.02, "{more}");
        }
    }

    #[test]
    fn without_variation_every_step_takes_its_estimate() {
        let long = Duration::from_nanos((1 << 60) + 1);
        for shape in [Shape::None, Shape::Lognormal { cv: 0.0 }, Shape::Gamma { cv: 0.0, shift: 0.5 }] {
            assert_eq!(sampler(shape, None, 0).stretch(long), long);
        }
        let streams = Streams::new(0, 0);
        assert_eq!(Sampler::of_link(&Variation::default(), &streams, LinkId(3)).stretch(long), long);
    }

    proptest! {
        #[test]
        fn every_jitter_gives_durations_and_its_mean_is_the_estimate(cv in 0.0..10.0, shift in 0.0..0.999) {
            for shape in [Shape::Lognormal { cv }, Shape::Gamma { cv, shift }] {
                let mut sampler = sampler(shape, None, 3);
                for index in 0..20 {
                    let next = sampler.stretch(SECOND);
                    prop_assert!(next < SECOND * 1_000_000);
                    sampler.seek(index);
                    prop_assert_eq!(sampler.stretch(SECOND), next);
                }
            }
        }
    }
}
