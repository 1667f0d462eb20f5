//! When queries arrive that come whether or not earlier ones are done.

use serde::{Deserialize, Serialize};

use crate::units::{Duration, Time};

/// When queries arrive. The first comes one gap after the start, but for recorded ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Arrivals {
    /// At random and without memory: gaps are exponential.
    Poisson {
        /// Mean gap between queries, above 0.
        gap_mean: Duration,
    },
    /// At equal distances.
    Deterministic {
        /// Gap between queries, above 0.
        gap: Duration,
    },
    /// Poisson arrivals whose rate changes between two states; their stays are exponential (Fischer and
    /// Meier-Hellstern, The Markov-modulated Poisson process cookbook, 1993). Which state comes first is drawn by how
    /// long it lasts, so that bursts are as likely at the start as later.
    Bursty {
        /// Mean gap while calm, above 0.
        gap_mean_calm: Duration,
        /// Mean gap in a burst, above 0.
        gap_mean_burst: Duration,
        /// Mean length of a calm stay, above 0.
        calm_mean: Duration,
        /// Mean length of a burst, above 0.
        burst_mean: Duration,
    },
    /// At these times.
    Recorded {
        /// In ascending order; equal ones are allowed.
        times: Vec<Time>,
        /// The samples of each query that comes then, 1 or more; empty if all have as many as the load says.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        samples: Vec<u32>,
    },
}

/// Why queries cannot arrive so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ArrivalsError {
    /// A duration is zero.
    #[error("`{0}` is zero: infinitely many queries would arrive at once; give for example \"1 ms\"")]
    Zero(&'static str),
    /// States change far more often than queries arrive.
    #[error(
        "the state changes {changes:.0} times between two arrivals; bursts so short cannot be told from poisson arrivals \
         with a mean gap of {gap_mean}"
    )]
    Flicker {
        /// Changes of state between two arrivals, on average.
        changes: f64,
        /// The mean gap.
        gap_mean: Duration,
    },
    /// Recorded times go back.
    #[error("arrival {number}, at {time}, comes before the one above it; sort the times")]
    Unsorted {
        /// Which, from 1.
        number: usize,
        /// When it is said to arrive.
        time: Duration,
    },
    /// No time is recorded.
    #[error("no arrival is recorded; give at least one time")]
    Nothing,
}

/// More changes of state for each arrival would only cost time.
const CHANGES_MAX: f64 = 1000.0;

impl Arrivals {
    /// Whether they are as their documentation asks.
    pub fn check(&self) -> Result<(), ArrivalsError> {
        let above_zero = |durations: &[(&'static str, Duration)]| {
            let zero = durations.iter().find(|(_, duration)| *duration == Duration::ZERO);
            zero.map_or(Ok(()), |&(name, _)| Err(ArrivalsError::Zero(name)))
        };
        match self {
            &Arrivals::Poisson { gap_mean } => above_zero(&[("gap_mean", gap_mean)]),
            &Arrivals::Deterministic { gap } => above_zero(&[("gap", gap)]),
            &Arrivals::Bursty { gap_mean_calm, gap_mean_burst, calm_mean, burst_mean } => {
                above_zero(&[
                    ("gap_mean_calm", gap_mean_calm),
                    ("gap_mean_burst", gap_mean_burst),
                    ("calm_mean", calm_mean),
                    ("burst_mean", burst_mean),
                ])?;
                let gap_mean = self.gap_mean();
                let changes = 2.0 * gap_mean.as_nanos_f64() / (calm_mean + burst_mean).as_nanos_f64();
                if changes > CHANGES_MAX { Err(ArrivalsError::Flicker { changes, gap_mean }) } else { Ok(()) }
            }
            Arrivals::Recorded { times, .. } => match times.windows(2).position(|pair| pair[0] > pair[1]) {
                Some(index) => Err(ArrivalsError::Unsorted { number: index + 2, time: times[index + 1].since_start() }),
                None if times.is_empty() => Err(ArrivalsError::Nothing),
                None => Ok(()),
            },
        }
    }

    /// The mean gap in the long run, from which offered load follows. Recorded arrivals are counted from the start to
    /// the last of them.
    pub fn gap_mean(&self) -> Duration {
        match self {
            &Arrivals::Poisson { gap_mean } => gap_mean,
            &Arrivals::Deterministic { gap } => gap,
            &Arrivals::Bursty { gap_mean_calm, gap_mean_burst, calm_mean, burst_mean } => {
                let [calm, burst] = [calm_mean, burst_mean].map(Duration::as_nanos_f64);
                let queries = calm / gap_mean_calm.as_nanos_f64() + burst / gap_mean_burst.as_nanos_f64();
                Duration::from_nanos_f64((calm + burst) / queries)
            }
            Arrivals::Recorded { times, .. } => {
                let last = times.last().map_or(0.0, |time| time.since_start().as_nanos_f64());
                Duration::from_nanos_f64(last / times.len() as f64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_that_cannot_be_are_refused_with_the_reason() {
        let ms = Duration::from_nanos(1_000_000);
        let zero = Arrivals::Bursty {
            gap_mean_calm: ms,
            gap_mean_burst: Duration::ZERO,
            calm_mean: ms,
            burst_mean: Duration::ZERO,
        };
        let flicker = Arrivals::Bursty {
            gap_mean_calm: ms,
            gap_mean_burst: ms,
            calm_mean: Duration::from_nanos(500),
            burst_mean: Duration::from_nanos(500),
        };
        let recorded = |nanos: &[u64]| Arrivals::Recorded {
            times: nanos.iter().copied().map(Time::from_nanos).collect(),
            samples: vec![],
        };
        let messages = [zero, flicker, recorded(&[5_000, 5_000, 4_000]), recorded(&[])]
            .map(|arrivals| arrivals.check().unwrap_err().to_string());
        assert_eq!(
            messages,
            [
                "`gap_mean_burst` is zero: infinitely many queries would arrive at once; give for example \"1 ms\"",
                "the state changes 2000 times between two arrivals; bursts so short cannot be told from poisson arrivals \
                 with a mean gap of 1.000 ms",
                "arrival 3, at 0.004 ms, comes before the one above it; sort the times",
                "no arrival is recorded; give at least one time",
            ]
        );
        assert_eq!(recorded(&[0, 0, 7]).check(), Ok(()));
    }

    #[test]
    fn the_mean_gap_of_bursts_weighs_states_by_their_length() {
        let micros = |micros: u64| Duration::from_nanos(micros * 1000);
        let arrivals = Arrivals::Bursty {
            gap_mean_calm: micros(100),
            gap_mean_burst: micros(10),
            calm_mean: micros(9000),
            burst_mean: micros(1000),
        };
        // 90 queries while calm and 100 in a burst, in 10 ms.
        assert_eq!(arrivals.gap_mean(), Duration::from_nanos(52_632));
    }
}
