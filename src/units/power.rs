//! Power and energy.

use std::str::FromStr;

use super::{QuantityError, Scale};

/// Power in watts. Invariant: finite and not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Watts(f64);

/// Energy for each byte that is sent, in joules. Invariant: finite and not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct JoulesPerByte(f64);

const POWER: Scale =
    Scale { quantity: "power", example: "15 W", units: &[("W", 1.0), ("mW", 1e-3), ("uW", 1e-6), ("kW", 1e3)] };
const ENERGY_PER_BYTE: Scale = Scale {
    quantity: "energy per byte",
    example: "100 nJ/B",
    units: &[("J/B", 1.0), ("mJ/B", 1e-3), ("uJ/B", 1e-6), ("nJ/B", 1e-9), ("pJ/B", 1e-12)],
};

impl Watts {
    /// `None` unless `watts` is finite and not negative.
    pub fn new(watts: f64) -> Option<Watts> {
        (watts.is_finite() && watts >= 0.0).then_some(Watts(watts))
    }

    /// Watts.
    pub fn as_f64(self) -> f64 {
        self.0
    }
}

impl JoulesPerByte {
    /// `None` unless `joules` is finite and not negative.
    pub fn new(joules: f64) -> Option<JoulesPerByte> {
        (joules.is_finite() && joules >= 0.0).then_some(JoulesPerByte(joules))
    }

    /// Joules for each byte.
    pub fn as_f64(self) -> f64 {
        self.0
    }
}

impl FromStr for Watts {
    type Err = QuantityError;
    /// A number and one of `uW mW W kW`, at most 1 MW.
    fn from_str(text: &str) -> Result<Watts, QuantityError> {
        let watts = POWER.parse(text)?;
        if !(0.0..=1e6).contains(&watts) {
            return POWER.range(text, "from 0 W to 1000 kW");
        }
        Ok(Watts(watts))
    }
}

impl FromStr for JoulesPerByte {
    type Err = QuantityError;
    /// A number and one of `pJ/B nJ/B uJ/B mJ/B J/B`, at most 1 J a byte.
    fn from_str(text: &str) -> Result<JoulesPerByte, QuantityError> {
        let joules = ENERGY_PER_BYTE.parse(text)?;
        if !(0.0..=1.0).contains(&joules) {
            return ENERGY_PER_BYTE.range(text, "from 0 J/B to 1 J/B");
        }
        Ok(JoulesPerByte(joules))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_and_energy_are_read_with_their_units() {
        assert_eq!("15 W".parse(), Ok(Watts(15.0)));
        assert_eq!("250mW".parse(), Ok(Watts(0.25)));
        assert_eq!("100 nJ/B".parse::<JoulesPerByte>().unwrap().as_f64(), 100.0 * 1e-9);
        assert_eq!(
            "-1 W".parse::<Watts>().unwrap_err().to_string(),
            "`-1 W` is out of range: power must be from 0 W to 1000 kW"
        );
        assert_eq!(
            "3 W".parse::<JoulesPerByte>().unwrap_err().to_string(),
            "`W` is not a unit of energy per byte; use one of J/B, mJ/B, uJ/B, nJ/B, pJ/B, for example \"100 nJ/B\""
        );
    }
}
