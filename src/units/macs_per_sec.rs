//! How fast a device multiplies and accumulates.

use std::ops::Div;
use std::str::FromStr;

use super::{Duration, Macs, QuantityError, Scale};

/// Multiply-accumulates per second. Invariant: positive and finite.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct MacsPerSec(f64);

const RATE: Scale = Scale {
    quantity: "computing rate",
    example: "9.7 GMAC/s",
    units: &[("MAC/s", 1.0), ("kMAC/s", 1e3), ("MMAC/s", 1e6), ("GMAC/s", 1e9), ("TMAC/s", 1e12)],
};

impl MacsPerSec {
    /// `None` unless `rate` is positive and finite.
    pub fn new(rate: f64) -> Option<MacsPerSec> {
        (rate.is_finite() && rate > 0.0).then_some(MacsPerSec(rate))
    }

    /// Nanoseconds of one multiply-accumulate.
    pub(crate) fn nanos(self) -> f64 {
        1e9 / self.0
    }
}

impl Div<MacsPerSec> for Macs {
    type Output = Duration;
    fn div(self, rate: MacsPerSec) -> Duration {
        Duration::from_nanos_f64(self.0 as f64 / rate.0 * 1e9)
    }
}

impl FromStr for MacsPerSec {
    type Err = QuantityError;
    /// A number and one of `MAC/s kMAC/s MMAC/s GMAC/s TMAC/s`; a multiply-accumulate is two floating-point operations.
    fn from_str(text: &str) -> Result<MacsPerSec, QuantityError> {
        let rate = RATE.parse(text)?;
        if !(1.0..=1e18).contains(&rate) {
            return RATE.range(text, "from 1 MAC/s to 1000000 TMAC/s");
        }
        Ok(MacsPerSec(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_over_rate_is_time() {
        let rate: MacsPerSec = "9.7 GMAC/s".parse().unwrap();
        assert_eq!(Macs(9_700_000) / rate, Duration::from_nanos(1_000_000));
        assert_eq!(Some("9700 MMAC/s".parse().unwrap()), MacsPerSec::new(9.7e9));
    }

    #[test]
    fn a_rate_that_is_none_or_has_no_unit_is_refused() {
        let message = |text: &str| text.parse::<MacsPerSec>().unwrap_err().to_string();
        assert_eq!(
            message("0 GMAC/s"),
            "`0 GMAC/s` is out of range: computing rate must be from 1 MAC/s to 1000000 TMAC/s"
        );
        assert_eq!(
            message("9.7 GFLOP/s"),
            "`GFLOP/s` is not a unit of computing rate; use one of MAC/s, kMAC/s, MMAC/s, GMAC/s, TMAC/s, for example \
             \"9.7 GMAC/s\""
        );
        assert_eq!(MacsPerSec::new(f64::NAN), None);
    }
}
