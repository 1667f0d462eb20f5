//! How often something happens.

use std::str::FromStr;

use super::{Duration, QuantityError, Scale};

/// Events per second. Invariant: positive, and such that the mean gap is a time.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct PerSec(f64);

const FREQUENCY: Scale = Scale {
    quantity: "rate",
    example: "200/s",
    units: &[("/s", 1.0), ("/ms", 1e3), ("/min", 1.0 / 60.0), ("/h", 1.0 / 3600.0)],
};

impl PerSec {
    /// The mean gap between two events, to the nanosecond.
    pub fn gap_mean(self) -> Duration {
        Duration::from_nanos_f64(1e9 / self.0)
    }
}

impl FromStr for PerSec {
    type Err = QuantityError;
    /// A number and one of `/s /ms /min /h`; a microsecond is the shortest gap, so that whole nanoseconds keep it.
    fn from_str(text: &str) -> Result<PerSec, QuantityError> {
        let rate = FREQUENCY.parse(text)?;
        if !(1e-4 / 3600.0..=1e6).contains(&rate) {
            return FREQUENCY.range(text, "from 0.0001/h to 1000000/s");
        }
        Ok(PerSec(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_with_their_units_and_have_a_mean_gap() {
        let gap = |text: &str| text.parse::<PerSec>().unwrap().gap_mean().as_nanos();
        assert_eq!(
            [gap("200/s"), gap("0.5 /ms"), gap("6/min"), gap("1/h")],
            [5_000_000, 2_000_000, 10_u64.pow(10), 3_600_000_000_000]
        );
        assert_eq!(gap("1000/ms"), 1000);
        assert!("0.0001/h".parse::<PerSec>().is_ok());
    }

    #[test]
    fn a_rate_without_events_or_without_gaps_is_refused() {
        let message = |text: &str| text.parse::<PerSec>().unwrap_err().to_string();
        assert_eq!(message("0/s"), "`0/s` is out of range: rate must be from 0.0001/h to 1000000/s");
        assert_eq!(message("1001/ms"), "`1001/ms` is out of range: rate must be from 0.0001/h to 1000000/s");
        assert_eq!(message("5 Hz"), "`Hz` is not a unit of rate; use one of /s, /ms, /min, /h, for example \"200/s\"");
    }
}
