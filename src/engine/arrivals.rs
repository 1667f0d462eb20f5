//! Draws when queries arrive.

use rand::distr::StandardUniform;
use rand_distr::Exp1;

use super::random::{Purpose, Stream, Streams};
use crate::problem::Arrivals;
use crate::units::{Duration, Time};

/// The times at which queries arrive, in ascending order; without end unless they are recorded.
#[derive(Debug)]
pub struct ArrivalTimes<'a> {
    arrivals: &'a Arrivals,
    stream: Stream,
    /// When the last came.
    now: Time,
    /// How many have come.
    count: usize,
    /// Of bursty arrivals, once the first was asked for.
    state: Option<State>,
}

/// Which rate bursty arrivals have, and until when.
#[derive(Clone, Copy, Debug)]
struct State {
    is_burst: bool,
    end: Time,
}

impl<'a> ArrivalTimes<'a> {
    /// Those of a source of queries; sources are numbered from 0.
    pub fn new(arrivals: &'a Arrivals, streams: &Streams, source: u32) -> ArrivalTimes<'a> {
        let stream = streams.stream(Purpose::Arrivals, source);
        ArrivalTimes { arrivals, stream, now: Time::ZERO, count: 0, state: None }
    }

    /// An exponential duration, rounded to the nearest nanosecond.
    #[inline]
    fn exponential(&mut self, mean: Duration) -> Duration {
        let factor: f64 = self.stream.sample(&Exp1);
        Duration::from_nanos_f64(factor * mean.as_nanos_f64())
    }

    /// The next arrival of a process with two states. A change of state starts the gap anew, at the new rate: gaps have
    /// no memory, so that this is exact.
    fn next_of_bursts(&mut self, gap_means: [Duration; 2], stay_means: [Duration; 2]) -> Time {
        let mut state = self.state.unwrap_or_else(|| {
            let [calm, burst] = stay_means.map(Duration::as_nanos_f64);
            let share: f64 = self.stream.sample(&StandardUniform);
            let is_burst = share * (calm + burst) < burst;
            State { is_burst, end: Time::ZERO + self.exponential(stay_means[usize::from(is_burst)]) }
        });
        let arrival = loop {
            let gap = self.exponential(gap_means[usize::from(state.is_burst)]);
            if self.now + gap < state.end || state.end == Time::ZERO + Duration::MAX {
                break self.now + gap;
            }
            self.now = state.end;
            state.is_burst = !state.is_burst;
            state.end = self.now + self.exponential(stay_means[usize::from(state.is_burst)]);
        };
        self.state = Some(state);
        arrival
    }
}

impl Iterator for ArrivalTimes<'_> {
    type Item = Time;

    #[inline]
    fn next(&mut self) -> Option<Time> {
        self.now = match *self.arrivals {
            Arrivals::Poisson { gap_mean } => self.now + self.exponential(gap_mean),
            Arrivals::Deterministic { gap } => self.now + gap,
            Arrivals::Bursty { gap_mean_calm, gap_mean_burst, calm_mean, burst_mean } => {
                self.next_of_bursts([gap_mean_calm, gap_mean_burst], [calm_mean, burst_mean])
            }
            Arrivals::Recorded { ref times, .. } => *times.get(self.count)?,
        };
        self.count += 1;
        Some(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::mean;

    const MS: Duration = Duration::from_nanos(1_000_000);

    fn times(arrivals: &Arrivals, count: usize) -> Vec<Time> {
        ArrivalTimes::new(arrivals, &Streams::new(17, 0), 0).take(count).collect()
    }

    /// Gaps in milliseconds.
    fn gaps(arrivals: &Arrivals, count: usize) -> Vec<f64> {
        times(arrivals, count).windows(2).map(|pair| (pair[1] - pair[0]).as_millis_f64()).collect()
    }

    fn variation(values: &[f64]) -> f64 {
        let mean = mean(values).unwrap();
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (squares / values.len() as f64).sqrt() / mean
    }

    #[test]
    fn poisson_gaps_are_exponential_and_independent() {
        let gaps = gaps(&Arrivals::Poisson { gap_mean: MS }, 200_000);
        assert!((mean(&gaps).unwrap() - 1.0).abs() < 0.01);
        assert!((variation(&gaps) - 1.0).abs() < 0.01);
        let beyond = gaps.iter().filter(|&&gap| gap > 3.0).count() as f64 / gaps.len() as f64;
        assert!((beyond / (-3f64).exp() - 1.0).abs() < 0.04);
        let products: Vec<f64> = gaps.windows(2).map(|pair| (pair[0] - 1.0) * (pair[1] - 1.0)).collect();
        assert!(mean(&products).unwrap().abs() < 0.01);
    }

    #[test]
    fn deterministic_and_recorded_arrivals_come_as_they_are_said() {
        let nanos = |times: Vec<Time>| times.into_iter().map(Time::as_nanos).collect::<Vec<_>>();
        assert_eq!(nanos(times(&Arrivals::Deterministic { gap: MS }, 3)), [1_000_000, 2_000_000, 3_000_000]);
        let recorded = Arrivals::Recorded { times: [0, 0, 7].map(Time::from_nanos).into(), samples: vec![] };
        assert_eq!(nanos(times(&recorded, 10)), [0, 0, 7]);
    }

    #[test]
    fn sources_and_replications_have_times_of_their_own() {
        let arrivals = Arrivals::Poisson { gap_mean: MS };
        let first =
            |replication, source| ArrivalTimes::new(&arrivals, &Streams::new(17, replication), source).next().unwrap();
        assert_eq!(first(0, 0), first(0, 0));
        assert!(first(0, 0) != first(0, 1) && first(0, 0) != first(1, 0));
    }

    #[test]
    fn bursts_have_the_rate_and_the_spread_of_theory() {
        let (calm_rate, burst_rate, calm_end, burst_end) = (0.2, 2.0, 0.02, 0.1);
        let of_rate = |rate: f64| Duration::from_millis_f64(1.0 / rate);
        let arrivals = Arrivals::Bursty {
            gap_mean_calm: of_rate(calm_rate),
            gap_mean_burst: of_rate(burst_rate),
            calm_mean: of_rate(calm_end),
            burst_mean: of_rate(burst_end),
        };
        let rate = (calm_rate * burst_end + burst_rate * calm_end) / (calm_end + burst_end);
        assert!((arrivals.gap_mean().as_millis_f64() * rate - 1.0).abs() < 1e-5);
        // Variance over mean of the count in a window (Fischer and Meier-Hellstern, 1993, section 3).
        let (window, ends) = (50.0, calm_end + burst_end);
        let spread = 2.0 * calm_end * burst_end * (calm_rate - burst_rate).powi(2) / (ends.powi(3) * rate);
        let expected = 1.0 + spread * (1.0 - (1.0 - (-ends * window).exp()) / (ends * window));
        let mut counts = vec![0f64; 20_000];
        for time in ArrivalTimes::new(&arrivals, &Streams::new(17, 0), 0) {
            let index = (time.since_start().as_millis_f64() / window) as usize;
            match counts.get_mut(index) {
                Some(count) => *count += 1.0,
                None => break,
            }
        }
        let found = mean(&counts).unwrap();
        assert!((found / (rate * window) - 1.0).abs() < 0.02, "{found}");
        let dispersion = variation(&counts).powi(2) * found;
        assert!((dispersion / expected - 1.0).abs() < 0.05, "{dispersion} instead of {expected}");
    }

    #[test]
    fn bursts_are_as_likely_at_the_start_as_later() {
        let arrivals = Arrivals::Bursty {
            gap_mean_calm: MS * 1000,
            gap_mean_burst: Duration::from_nanos(1000),
            calm_mean: MS * 3,
            burst_mean: MS,
        };
        let early = |replication| {
            let mut times = ArrivalTimes::new(&arrivals, &Streams::new(1, replication), 0);
            times.next().unwrap() < Time::ZERO + Duration::from_nanos(10_000)
        };
        let count = (0..1000).filter(|&replication| early(replication)).count();
        assert!((210..=290).contains(&count), "{count}");
    }

    #[test]
    fn arrivals_that_hardly_ever_come_end_at_the_end_of_time() {
        let rare = Arrivals::Bursty {
            gap_mean_calm: Duration::MAX,
            gap_mean_burst: Duration::MAX,
            calm_mean: Duration::MAX,
            burst_mean: Duration::MAX,
        };
        assert!(times(&rare, 20).is_sorted());
    }
}
