//! How devices and links that work at the same time slow each other.
//!
//! Facts only: which speed follows from them at a moment is the engine's business, except where a published rule
//! gives it in closed form.

use std::sync::Arc;

use super::{BandwidthTable, DeviceId, LinkId};
use crate::units::{BytesPerSec, Watts};

/// Everything that concurrent work contends for, beside [`super::Memory`].
///
/// Several effects on one device multiply.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interference {
    /// Factors between pairs of devices, as `profile` measures them.
    pub slowdowns: Vec<Slowdown>,
    /// Chips whose devices share a power budget.
    pub packages: Vec<Package>,
    /// Processors whose threads drive other devices.
    pub hosts: Vec<Host>,
    /// Network interfaces that several links share. They hold even where contention is off, as links do.
    pub nics: Vec<Nic>,
}

/// How much longer a step on `device` takes while `busy` computes as well.
///
/// Slowdowns of several busy devices add up: two of 12 % make 24 %. Of a device by itself, it is what each lane with a part of it
/// suffers from each other one that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slowdown {
    /// The device that is slowed.
    pub device: DeviceId,
    /// The device whose work slows it.
    pub busy: DeviceId,
    /// Additional time, in millionths of the isolated time.
    pub excess_ppm: u32,
}

/// The speed of a device that would read and write `own` bytes per second alone, beside others' `others`. It is relative to
/// running alone, as the device's times are. So others take no more than they need, whatever a formula says, which was fitted
/// beside others that need much: a device keeps `(own - others) / own` at least, and all of its speed if it is alone.
#[derive(Clone, Debug, PartialEq)]
pub enum BandwidthRule {
    /// All get the same part of what they need, so that together they need `peak`.
    Proportional {
        /// What the memory delivers.
        peak: BytesPerSec,
    },
    /// A device gets what others leave, or `floor` if that is more.
    ResidualOrFloor {
        /// What the memory delivers.
        peak: BytesPerSec,
        /// What a device gets at least.
        floor: BytesPerSec,
    },
    /// `1 / (1 + (max(0, own + min(others, cap) - threshold) / width)^exponent)`.
    Smooth {
        /// Below this sum nothing slows.
        threshold: BytesPerSec,
        /// Others slow no more than this much traffic would.
        cap: BytesPerSec,
        /// The excess at which the speed is a half.
        width: BytesPerSec,
        /// How steep the speed falls around that; positive.
        exponent: f64,
    },
    /// As it was measured, which is 1 where `others` is 0.
    Table(Arc<BandwidthTable>),
}

impl BandwidthRule {
    /// What the memory delivers, if the rule says so. Nobody moves more alone.
    pub fn peak(&self) -> Option<BytesPerSec> {
        match self {
            BandwidthRule::Proportional { peak } | BandwidthRule::ResidualOrFloor { peak, .. } => Some(*peak),
            BandwidthRule::Smooth { .. } | BandwidthRule::Table(_) => None,
        }
    }

    /// The part of its isolated speed that a device keeps, in (0, 1], both in bytes per second; 1 if `others` is 0.
    pub fn speed(&self, own: f64, others: f64) -> f64 {
        if own <= 0.0 {
            return 1.0;
        }
        let speed = match self {
            BandwidthRule::Proportional { peak } => peak.as_f64() / (own + others),
            BandwidthRule::ResidualOrFloor { peak, floor } => (peak.as_f64() - others).max(floor.as_f64()) / own,
            BandwidthRule::Smooth { threshold, cap, width, exponent } => {
                let excess = (own + others.min(cap.as_f64()) - threshold.as_f64()).max(0.0);
                1.0 / (1.0 + libm::pow(excess / width.as_f64(), *exponent))
            }
            BandwidthRule::Table(table) => return table.speed(own, others),
        };
        speed.max(1.0 - others / own).min(1.0)
    }
}

/// A chip whose devices share a power budget.
///
/// While the busy ones would draw more than the budget, all of them are clocked down. Dynamic power grows with the
/// clock to the power of `exponent`: 1 if only the clock falls, up to 3 if the voltage falls with it
/// (Mudge, IEEE Computer 2001). Times of a device are those at the clock that the budget leaves it alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Package {
    /// Its devices; each has a [`super::Power`], and belongs to one package at most.
    pub devices: Vec<DeviceId>,
    /// What they may draw together, idle power included.
    pub budget: Watts,
    /// From 1 to 3.
    pub exponent: f64,
}

/// A processor some of whose threads drive other devices while these are busy, polling for their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The processor.
    pub device: DeviceId,
    /// Threads that its steps use when nothing else needs one.
    pub threads: u32,
    /// Which devices hold how many of its threads while they are busy.
    pub holds: Vec<(DeviceId, u32)>,
}

/// A network interface of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Nic {
    /// The links that pass through it: those in one direction, or in both if it is half duplex.
    pub links: Vec<LinkId>,
    /// What it carries altogether.
    pub bandwidth: BytesPerSec,
    /// Who goes first.
    pub sharing: Sharing,
}

/// How transfers share an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Max-min fair, as long-lived TCP flows come near to (Bertsekas and Gallager, Data Networks, 1992, section 6.5).
    Fair,
    /// One after the other, in the order in which they began.
    Serial,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(giga: f64) -> BytesPerSec {
        BytesPerSec::new(giga * 1e9).unwrap()
    }

    #[test]
    fn every_rule_leaves_a_device_alone_undisturbed_and_slows_the_more_the_others_need() {
        let smooth =
            BandwidthRule::Smooth { threshold: rate(76.5), cap: rate(40.6), width: rate(71.0), exponent: 0.91 };
        let residual = BandwidthRule::ResidualOrFloor { peak: rate(78.0), floor: rate(46.0) };
        let table =
            BandwidthTable::new(&[rate(50.0)], &[rate(20.0), rate(80.0)], |_, column| [rate(48.0), rate(30.0)][column]);
        let table = BandwidthRule::Table(Arc::new(table));
        for rule in [BandwidthRule::Proportional { peak: rate(100.0) }, residual, smooth, table] {
            for own in [0.0, 1.0, 50e9, 78e9, 100e9, 1e12, 1e15] {
                assert_eq!(rule.speed(own, 0.0), 1.0, "{rule:?} at {own}");
            }
            assert_eq!(rule.speed(0.0, 1e12), 1.0);
            let speeds: Vec<f64> = (0..12).map(|others| rule.speed(60e9, f64::from(others) * 1e10)).collect();
            assert!(speeds.is_sorted_by(|a, b| a >= b) && speeds[11] < 0.9 && speeds[11] > 0.0, "{speeds:?}");
        }
    }
}
