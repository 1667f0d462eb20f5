//! Quantities of time, data and device share, with their text forms.
//!
//! One newtype per unit and only the operators that mean something. Floats become
//! nanoseconds in this file only.

mod macs_per_sec;
mod per_sec;
mod power;

use std::fmt;
use std::ops::{Add, AddAssign, Div, Mul, Sub};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use macs_per_sec::MacsPerSec;
pub use per_sec::PerSec;
pub use power::{JoulesPerByte, Watts};

/// A point on the run's clock, in nanoseconds since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(u64);

/// A difference of two times, in nanoseconds. Sums saturate at 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(u64);

/// A size in bytes. Sums and products saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A number of multiply-accumulates. Sums and products saturate.
///
/// A multiply-accumulate is two floating-point operations; see [`Macs::flops`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Macs(pub u64);

/// A transfer rate in bytes per second. Invariant: finite and positive.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct BytesPerSec(f64);

/// A fraction of a device's compute units, in hundredths of a percent. Invariant: `0 < s <= 10_000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Share(u16);

impl Time {
    /// The start of the run.
    pub const ZERO: Time = Time(0);
    /// The last point there is, 584 years later, where sums saturate.
    pub const MAX: Time = Time(u64::MAX);

    /// Nanoseconds since the run began.
    pub fn from_nanos(nanos: u64) -> Time {
        Time(nanos)
    }

    /// Nanoseconds since the run began.
    pub fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time since the run began.
    pub fn since_start(self) -> Duration {
        Duration(self.0)
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(duration.0))
    }
}

impl Sub for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        Duration(self.0.checked_sub(earlier.0).expect("`earlier` precedes `self`"))
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Duration = Duration(0);
    /// The longest duration, which sums saturate at.
    pub const MAX: Duration = Duration(u64::MAX);

    /// Whole nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Duration {
        Duration(nanos)
    }

    /// Whole nanoseconds.
    pub fn as_nanos(self) -> u64 {
        self.0
    }

    /// Nanoseconds, rounded to the nearest whole one. Negative and NaN give zero.
    pub fn from_nanos_f64(nanos: f64) -> Duration {
        if nanos < i64::MAX as f64 {
            // Processors convert signed numbers by one instruction, and drop the fraction.
            let whole = (nanos as i64).max(0);
            return Duration(whole as u64 + u64::from(nanos - whole as f64 >= 0.5));
        }
        Duration(nanos as u64)
    }

    /// Nanoseconds as a float; exact up to 104 days.
    pub fn as_nanos_f64(self) -> f64 {
        self.0 as f64
    }

    /// Milliseconds, rounded to the nearest nanosecond. Negative and NaN give zero.
    pub fn from_millis_f64(millis: f64) -> Duration {
        Duration::from_nanos_f64(millis * 1e6)
    }

    /// Milliseconds.
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The difference, or zero if `other` is longer.
    pub fn saturating_sub(self, other: Duration) -> Duration {
        Duration(self.0.saturating_sub(other.0))
    }
}

impl Add for Duration {
    type Output = Duration;
    fn add(self, other: Duration) -> Duration {
        Duration(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Duration {
    fn add_assign(&mut self, other: Duration) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Duration {
    fn sum<I: Iterator<Item = Duration>>(durations: I) -> Duration {
        durations.fold(Duration::ZERO, Add::add)
    }
}

impl Mul<u32> for Duration {
    type Output = Duration;
    fn mul(self, times: u32) -> Duration {
        Duration(self.0.saturating_mul(u64::from(times)))
    }
}

impl fmt::Display for Duration {
    /// Milliseconds with three decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} ms", self.as_millis_f64())
    }
}

impl Add for Bytes {
    type Output = Bytes;
    fn add(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Bytes {
    fn sum<I: Iterator<Item = Bytes>>(sizes: I) -> Bytes {
        sizes.fold(Bytes(0), Add::add)
    }
}

impl Mul<u64> for Bytes {
    type Output = Bytes;
    fn mul(self, times: u64) -> Bytes {
        Bytes(self.0.saturating_mul(times))
    }
}

impl Div<BytesPerSec> for Bytes {
    type Output = Duration;
    fn div(self, rate: BytesPerSec) -> Duration {
        Duration::from_nanos_f64(self.0 as f64 / rate.0 * 1e9)
    }
}

impl fmt::Display for Bytes {
    /// The largest binary unit that keeps the number at one or above.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, divisor) = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
            .into_iter()
            .find(|&(_, divisor)| self.0 >= divisor)
            .unwrap_or(("B", 1));
        let value = self.0 as f64 / divisor as f64;
        if value.fract() == 0.0 { write!(f, "{value} {unit}") } else { write!(f, "{value:.2} {unit}") }
    }
}

impl Macs {
    /// Floating-point operations: two for each multiply-accumulate.
    pub fn flops(self) -> u64 {
        self.0.saturating_mul(2)
    }
}

impl Add for Macs {
    type Output = Macs;
    fn add(self, other: Macs) -> Macs {
        Macs(self.0.saturating_add(other.0))
    }
}

impl std::iter::Sum for Macs {
    fn sum<I: Iterator<Item = Macs>>(counts: I) -> Macs {
        counts.fold(Macs(0), Add::add)
    }
}

impl Mul<u64> for Macs {
    type Output = Macs;
    fn mul(self, times: u64) -> Macs {
        Macs(self.0.saturating_mul(times))
    }
}

impl BytesPerSec {
    /// A byte per second.
    pub const ONE: BytesPerSec = BytesPerSec(1.0);

    /// `None` unless `rate` is finite and positive.
    pub fn new(rate: f64) -> Option<BytesPerSec> {
        (rate.is_finite() && rate > 0.0).then_some(BytesPerSec(rate))
    }

    /// Bytes per second.
    pub fn as_f64(self) -> f64 {
        self.0
    }
}

impl Share {
    /// The whole device.
    pub const FULL: Share = Share(10_000);

    /// `None` unless `0 < points <= 10_000`.
    pub fn from_basis_points(points: u16) -> Option<Share> {
        (1..=10_000).contains(&points).then_some(Share(points))
    }

    /// So many of the device's compute units, rounded down so that shares of all units are no more than the whole; `None`
    /// unless `0 < count <= units`.
    pub fn of_units(count: u32, units: u32) -> Option<Share> {
        let points = (count <= units).then(|| u64::from(count) * 10_000 / u64::from(units.max(1)))?;
        Share::from_basis_points(points as u16)
    }

    /// How many of the device's compute units it is, where [`Share::of_units`] rounded.
    pub fn units_of(self, units: u32) -> u32 {
        (u64::from(self.0) * u64::from(units)).div_ceil(10_000) as u32
    }

    /// Hundredths of a percent.
    pub fn basis_points(self) -> u16 {
        self.0
    }

    /// The part of the whole.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / f64::from(Share::FULL.0)
    }
}

impl TryFrom<u16> for Share {
    type Error = String;
    fn try_from(points: u16) -> Result<Share, String> {
        Share::from_basis_points(points)
            .ok_or_else(|| format!("a share is 1 to 10000 hundredths of a percent, not {points}"))
    }
}

impl From<Share> for u16 {
    fn from(share: Share) -> u16 {
        share.0
    }
}

/// Why a text is not a quantity: says what was found, what is accepted, and gives an example.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// There is no number, or it is not finite.
    #[error("`{text}` does not start with a finite number; write for example \"{example}\"")]
    Number {
        /// What was written.
        text: String,
        /// A correct one.
        example: &'static str,
    },
    /// There is no unit.
    #[error("`{text}` has no unit; use one of {accepted}, for example \"{example}\"")]
    NoUnit {
        /// What was written.
        text: String,
        /// The units that fit.
        accepted: String,
        /// A correct one.
        example: &'static str,
    },
    /// The unit is not one of this quantity.
    #[error("`{unit}` is not a unit of {quantity}; use one of {accepted}, for example \"{example}\"")]
    Unit {
        /// What was written after the number.
        unit: String,
        /// What is measured.
        quantity: &'static str,
        /// The units that fit.
        accepted: String,
        /// A correct one.
        example: &'static str,
    },
    /// The number is out of range.
    #[error("`{text}` is out of range: {quantity} must be {range}")]
    Range {
        /// What was written.
        text: String,
        /// What is measured.
        quantity: &'static str,
        /// The range in words.
        range: &'static str,
    },
}

/// The units of a quantity.
struct Scale {
    quantity: &'static str,
    example: &'static str,
    units: &'static [(&'static str, f64)],
}

const DURATION: Scale =
    Scale { quantity: "time", example: "107 us", units: &[("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)] };
const BYTES: Scale = Scale {
    quantity: "size",
    example: "4 GiB",
    units: &[
        ("B", 1.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
    ],
};
const RATE: Scale = Scale {
    quantity: "bandwidth",
    example: "9.99 GB/s",
    units: &[
        ("B/s", 1.0),
        ("kB/s", 1e3),
        ("MB/s", 1e6),
        ("GB/s", 1e9),
        ("KiB/s", 1024.0),
        ("MiB/s", 1_048_576.0),
        ("GiB/s", 1_073_741_824.0),
        ("kbit/s", 125.0),
        ("Mbit/s", 125e3),
        ("Gbit/s", 125e6),
    ],
};

impl Scale {
    /// The number in the base unit.
    fn parse(&self, text: &str) -> Result<f64, QuantityError> {
        let trimmed = text.trim();
        let digits =
            trimmed.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+' | '_')).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim();
        let number = number
            .replace('_', "")
            .parse::<f64>()
            .ok()
            .filter(|n| n.is_finite())
            .ok_or_else(|| QuantityError::Number { text: text.to_owned(), example: self.example })?;
        let accepted = || self.units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        if unit.is_empty() {
            return Err(QuantityError::NoUnit { text: text.to_owned(), accepted: accepted(), example: self.example });
        }
        let scale = self.units.iter().find(|(name, _)| *name == unit).ok_or_else(|| QuantityError::Unit {
            unit: unit.to_owned(),
            quantity: self.quantity,
            accepted: accepted(),
            example: self.example,
        })?;
        Ok(number * scale.1)
    }

    fn range<T>(&self, text: &str, range: &'static str) -> Result<T, QuantityError> {
        Err(QuantityError::Range { text: text.to_owned(), quantity: self.quantity, range })
    }
}

impl FromStr for Duration {
    type Err = QuantityError;
    /// A number and one of `ns us ms s`, at most 1000 days.
    fn from_str(text: &str) -> Result<Duration, QuantityError> {
        let nanos = DURATION.parse(text)?;
        if !(0.0..=8.64e16).contains(&nanos) {
            return DURATION.range(text, "from 0 s to 1000 days");
        }
        Ok(Duration::from_nanos_f64(nanos))
    }
}

impl FromStr for Bytes {
    type Err = QuantityError;
    /// A number and one of `B kB MB GB KiB MiB GiB`, at most 2^50 bytes.
    fn from_str(text: &str) -> Result<Bytes, QuantityError> {
        let bytes = BYTES.parse(text)?;
        if !(0.0..=(1u64 << 50) as f64).contains(&bytes) {
            return BYTES.range(text, "from 0 B to 1048576 GiB");
        }
        Ok(Bytes(bytes.round() as u64))
    }
}

impl FromStr for BytesPerSec {
    type Err = QuantityError;
    /// A number and a unit such as `MB/s`, `MiB/s` or `Mbit/s`; one byte per second at least.
    fn from_str(text: &str) -> Result<BytesPerSec, QuantityError> {
        let rate = RATE.parse(text)?;
        if !(1.0..=1e15).contains(&rate) {
            return RATE.range(text, "from 1 B/s to 1000000 GB/s");
        }
        Ok(BytesPerSec(rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: FromStr<Err = QuantityError> + fmt::Debug>(text: &str) -> String {
        text.parse::<T>().unwrap_err().to_string()
    }

    #[test]
    fn quantities_are_read_with_their_units() {
        assert_eq!("107 us".parse(), Ok(Duration::from_nanos(107_000)));
        assert_eq!("0.5ms".parse(), Ok(Duration::from_nanos(500_000)));
        assert_eq!("4 GiB".parse(), Ok(Bytes(4 << 30)));
        assert_eq!("602_112 B".parse(), Ok(Bytes(602_112)));
        assert_eq!("100 Mbit/s".parse::<BytesPerSec>().unwrap(), BytesPerSec::new(12.5e6).unwrap());
    }

    #[test]
    fn a_wrong_quantity_says_what_is_accepted() {
        assert_eq!(message::<Bytes>("fast"), "`fast` does not start with a finite number; write for example \"4 GiB\"");
        assert_eq!(
            message::<Bytes>("4 Gib"),
            "`Gib` is not a unit of size; use one of B, kB, MB, GB, KiB, MiB, GiB, for example \"4 GiB\""
        );
        assert_eq!(message::<Duration>("-1 ms"), "`-1 ms` is out of range: time must be from 0 s to 1000 days");
        assert_eq!(message::<Duration>("12"), "`12` has no unit; use one of ns, us, ms, s, for example \"107 us\"");
        assert_eq!(
            message::<BytesPerSec>("0 GB/s"),
            "`0 GB/s` is out of range: bandwidth must be from 1 B/s to 1000000 GB/s"
        );
        assert_eq!(
            message::<Duration>("NaN ms"),
            "`NaN ms` does not start with a finite number; write for example \"107 us\""
        );
    }

    #[test]
    fn sums_saturate_instead_of_overflowing() {
        assert_eq!(Duration::MAX + Duration::from_nanos(1), Duration::MAX);
        assert_eq!(Bytes(u64::MAX) * 2, Bytes(u64::MAX));
        assert_eq!(Duration::from_millis_f64(1e300), Duration::MAX);
    }

    #[test]
    fn floats_are_rounded_to_the_nearest_nanosecond() {
        let rounded = |nanos: f64| Duration::from_nanos_f64(nanos).as_nanos();
        assert_eq!([0.49999999999999994, 0.5, 1.5, -1.0, f64::NAN].map(rounded), [0, 1, 2, 0, 0]);
        assert_eq!(rounded(4503599627370497.0), 4503599627370497);
    }
}
