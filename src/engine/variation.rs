//! Draws how long steps take from how they vary.

use rand::RngExt;
use rand::distr::{Distribution, StandardUniform};
use rand_distr::{Gamma, StandardNormal};

use super::random::{Purpose, Stream, Streams};
use crate::model::ModelId;
use crate::plan::Lane;
use crate::platform::{DeviceId, LinkId};
use crate::problem::{Effect, Jitter, Repeats, Shape, Spikes, Variation};
use crate::units::Duration;

/// Stretches the estimates of one lane of a device or link, step by step in the order in which they start.
///
/// The n-th step takes the n-th draw of its lane, whatever the strategy has done elsewhere. Of several lanes of a device, the
/// first one of each strategy meets the same chances.
#[derive(Debug)]
pub struct Sampler {
    factor: Option<(Factor, Stream)>,
    spikes: Option<(Spikes, Stream)>,
}

#[derive(Clone, Debug)]
enum Factor {
    Lognormal { mu: f64, sigma: f64 },
    Gamma { shift: f64, above: Gamma<f64> },
    Empirical(Repeats),
}

impl Sampler {
    /// For the steps of a lane on a device, which is the `number`-th there.
    pub fn of_device(variation: &Variation, streams: &Streams, device: DeviceId, number: u32) -> Sampler {
        let jitter = variation.of_device(device);
        Sampler::new(jitter, streams, [Purpose::Compute, Purpose::ComputeSpikes], (device.0, number))
    }

    /// For the transfers of a lane over a link, which is the `number`-th there.
    pub fn of_link(variation: &Variation, streams: &Streams, link: LinkId, number: u32) -> Sampler {
        let jitter = variation.of_link(link);
        Sampler::new(jitter, streams, [Purpose::Transfer, Purpose::TransferSpikes], (link.0, number))
    }

    /// For the steps of the lane at `index` of `lanes`.
    pub fn of_lane(variation: &Variation, streams: &Streams, lanes: &[Lane], index: usize) -> Sampler {
        let number = lanes[..index].iter().filter(|lane| lane.is_beside(&lanes[index])).count() as u32;
        match lanes[index] {
            Lane::Compute { device, .. } => Sampler::of_device(variation, streams, device, number),
            Lane::Link(link) => Sampler::of_link(variation, streams, link, number),
        }
    }

    fn new(jitter: &Jitter, streams: &Streams, purposes: [Purpose; 2], (entity, lane): (u32, u32)) -> Sampler {
        let [factors, spikes] = purposes.map(|purpose| move || streams.stream_of_lane(purpose, entity, lane));
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
        self.stretch_of(isolated, || None)
    }

    /// As [`Sampler::stretch`], of a step that computes what `of` tells: a network and its samples.
    #[inline]
    pub fn stretch_of(&mut self, isolated: Duration, of: impl FnOnce() -> Option<(ModelId, u32)>) -> Duration {
        let factor = self.factor.as_mut().map(|(factor, stream)| factor.sample(stream, of));
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
                let variance = libm::log1p(cv * cv);
                Some(Factor::Lognormal { mu: -variance / 2.0, sigma: variance.sqrt() })
            }
            Shape::Gamma { cv, shift } => {
                // Above the shift: mean 1 - shift, standard deviation cv.
                let mean = 1.0 - shift;
                let above = Gamma::new((mean / cv).powi(2), cv * cv / mean);
                Some(Factor::Gamma { shift, above: above.expect("a jitter's figures are above 0 and finite") })
            }
            Shape::Empirical(ref repeats) => Some(Factor::Empirical(repeats.clone())),
        }
    }

    #[inline]
    fn sample(&self, stream: &mut Stream, of: impl FnOnce() -> Option<(ModelId, u32)>) -> f64 {
        let mut draw = stream.draw();
        match self {
            Factor::Lognormal { mu, sigma } => {
                let normal: f64 = StandardNormal.sample(&mut draw);
                libm::exp(mu + sigma * normal)
            }
            Factor::Gamma { shift, above } => shift + above.sample(&mut draw),
            Factor::Empirical(repeats) => {
                let ratios = of().map_or(&repeats.all, |(model, batch)| repeats.of(model, batch)).as_slice();
                ratios[draw.random_range(0..ratios.len())]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::problem::Ratios;
    use crate::statistics::{mean, quantile};
    use crate::units::{Bytes, Share};

    const SECOND: Duration = Duration::from_nanos(1_000_000_000);

    fn sampler(shape: Shape, spikes: Option<Spikes>, seed: u64) -> Sampler {
        let variation = Variation { devices: vec![Jitter::new(shape, spikes).unwrap()], links: vec![] };
        Sampler::of_device(&variation, &Streams::new(seed, 0), DeviceId(0), 0)
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
        let ratios = Ratios::of_quantiles(&[(0.0, 0.9), (0.5, 1.0), (1.0, 1.4)]).unwrap();
        let (_, deviation) = moments(ratios.as_slice());
        let repeats = Repeats { all: ratios, points: vec![] };
        for (shape, cv) in [
            (Shape::Lognormal { cv: 0.05 }, 0.05),
            (Shape::Lognormal { cv: 0.5 }, 0.5),
            (Shape::Gamma { cv: 0.2, shift: 0.0 }, 0.2),
            (Shape::Gamma { cv: 0.2, shift: 0.7 }, 0.2),
            (Shape::Gamma { cv: 1.0, shift: 0.0 }, 1.0),
            (Shape::Gamma { cv: 1.0, shift: 0.5 }, 1.0),
            (Shape::Empirical(repeats), deviation),
        ] {
            let (mean, found) = moments(&factors(shape.clone(), None));
            assert!((mean - 1.0).abs() < 4.0 * cv / 200_000f64.sqrt(), "{shape:?}: mean {mean}");
            assert!((found / cv - 1.0).abs() < 0.02, "{shape:?}: variation {found}");
        }
    }

    #[test]
    fn lanes_of_a_device_meet_chances_of_their_own_and_the_first_those_of_a_device_with_one_lane() {
        let jitter = Jitter::new(Shape::Lognormal { cv: 0.3 }, None).unwrap();
        let variation = Variation { devices: vec![jitter.clone(); 2], links: vec![jitter] };
        let lane = |device| Lane::Compute { device: DeviceId(device), share: Share::FULL, memory: Bytes(1) };
        let lanes = [lane(0), lane(1), Lane::Link(LinkId(0)), lane(0), Lane::Link(LinkId(0)), lane(0)];
        let streams = Streams::new(4, 2);
        let draws = |mut sampler: Sampler| [(); 8].map(|()| sampler.stretch(SECOND));
        let of_lanes: Vec<_> =
            (0..lanes.len()).map(|index| draws(Sampler::of_lane(&variation, &streams, &lanes, index))).collect();
        for (index, of_lane) in of_lanes.iter().enumerate() {
            assert!(of_lanes[..index].iter().all(|other| other.iter().zip(of_lane).all(|(other, own)| other != own)));
        }
        assert_eq!(of_lanes[0], draws(Sampler::of_device(&variation, &streams, DeviceId(0), 0)));
        assert_eq!(of_lanes[5], draws(Sampler::of_device(&variation, &streams, DeviceId(0), 2)));
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
    fn recorded_repeats_of_a_network_and_batch_come_equally_often_as_they_were() {
        // 1, 2, 4, 2.5 and 7 ms, by their median, and others at another batch.
        let recorded = [1.0, 2.0, 4.0, 2.5, 7.0];
        let ratios = |times: &[f64]| Ratios::new(times.iter().map(|time| time / 2.5)).unwrap();
        let points = vec![((ModelId(0), 1), ratios(&recorded)), ((ModelId(0), 2), ratios(&[3.0]))];
        let shape = Shape::Empirical(Repeats { all: ratios(&[5.0, 6.0]), points });
        let mut sampler = sampler(shape, None, 11);
        let millis = |of: Option<(ModelId, u32)>, sampler: &mut Sampler| {
            let time = sampler.stretch_of(Duration::from_millis_f64(2.5), || of).as_millis_f64();
            (time * 1e6).round() / 1e6
        };
        let found: Vec<f64> = (0..100_000).map(|_| millis(Some((ModelId(0), 1)), &mut sampler)).collect();
        for time in recorded {
            let count = found.iter().filter(|&&other| other == time).count();
            assert!((count as f64 - 20_000.0).abs() < 700.0, "{time}: {count}");
        }
        assert!((mean(&found).unwrap() - 3.3).abs() < 0.03);
        assert_eq!(millis(Some((ModelId(0), 2)), &mut sampler), 3.0);
        assert!([5.0, 6.0].contains(&millis(Some((ModelId(1), 1)), &mut sampler)));
        assert!([5.0, 6.0].contains(&millis(None, &mut sampler)));
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
        assert_eq!(Sampler::of_link(&Variation::default(), &streams, LinkId(3), 0).stretch(long), long);
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
