//! How far the machine was from its usual speed at each visit of a profile, by the sentinel: one sample of the first network,
//! timed again and again on each device.

use std::collections::{BTreeMap, BTreeSet};

use super::Visit;
use crate::platform::DeviceId;
use crate::statistics::median;

/// What visits are called that look at the sentinel.
const NAME: &str = "sentinel";
/// What separates the name of a visit from how many times it was made before.
const AGAIN: &str = " again ";
/// A device keeps its speed if the sentinel takes no more or less than this part of its usual time.
pub(super) const TOLERANCE: f64 = 0.03;

/// The name of a look at a device after so many visits.
pub(super) fn look(after: usize, device: DeviceId) -> String {
    format!("{NAME} {after} {}", device.0)
}

/// The name of a visit that was made so many times before.
pub(super) fn again(name: &str, before: u32) -> String {
    if before == 0 { name.to_owned() } else { format!("{name}{AGAIN}{before}") }
}

/// What all of these visits are repeats of.
fn first(visit: &Visit) -> &str {
    visit.name.split(AGAIN).next().unwrap_or_default()
}

/// Whether the visit was made before.
pub(super) fn is_again(visit: &Visit) -> bool {
    visit.name.contains(AGAIN)
}

fn is_look(visit: &Visit) -> bool {
    visit.name.starts_with(NAME)
}

/// What the sentinel says of visits, which are in the order in which they were made.
pub(super) struct Speeds<'a> {
    visits: &'a [Visit],
    /// By device, the places of the looks at it among the visits, and its time there over the usual one.
    looks: BTreeMap<DeviceId, Vec<(usize, f64)>>,
}

impl<'a> Speeds<'a> {
    pub(super) fn of(visits: &'a [Visit]) -> Speeds<'a> {
        let mut looks: BTreeMap<DeviceId, Vec<(usize, f64)>> = BTreeMap::new();
        for (place, visit) in visits.iter().enumerate().filter(|(_, visit)| is_look(visit)) {
            let Some(device) = visit.measured.first().map(|measured| measured.device) else { continue };
            let times = visit.measured.iter().map(|measured| measured.time.as_nanos_f64());
            looks.entry(device).or_default().extend(median(times).map(|time| (place, time)));
        }
        for looks in looks.values_mut() {
            let usual = usual(looks.iter().map(|(_, time)| *time).collect());
            looks.iter_mut().for_each(|(_, time)| *time /= usual);
        }
        Speeds { visits, looks }
    }

    /// How far its devices were from their usual speed at the visit in this place, as a part of the usual time: just before
    /// or just after, whichever is farther. Infinite if nobody looked.
    fn off(&self, place: usize) -> f64 {
        let visit = &self.visits[place];
        let of_device = |device: DeviceId| {
            let looks = self.looks.get(&device).map_or(&[][..], Vec::as_slice);
            let after = looks.partition_point(|(look, _)| *look < place);
            // A look is off by what it says itself.
            let around = if is_look(visit) { after..after + 1 } else { after.saturating_sub(1)..after + 1 };
            let around = &looks[around.start..around.end.min(looks.len())];
            around.iter().map(|(_, ratio)| (ratio - 1.0).abs()).reduce(f64::max).unwrap_or(f64::INFINITY)
        };
        let devices: BTreeSet<DeviceId> =
            visit.measured.iter().flat_map(|measured| [Some(measured.device), measured.beside]).flatten().collect();
        devices.into_iter().map(of_device).fold(0.0, f64::max)
    }

    /// The names of visits of which none was made at the usual speed.
    pub(super) fn unsteady(&self) -> BTreeSet<&'a str> {
        let (mut all, mut steady) = (BTreeSet::new(), BTreeSet::new());
        for (place, visit) in self.visits.iter().enumerate().filter(|(_, visit)| !is_look(visit)) {
            all.insert(first(visit));
            if self.off(place) <= TOLERANCE {
                steady.insert(first(visit));
            }
        }
        all.difference(&steady).copied().collect()
    }

    /// The visits that a trace is made of, each with how far it was off: those at the usual speed and, of visits of which none
    /// was, the one that was off the least.
    pub(super) fn kept(&self) -> Vec<(&'a Visit, f64)> {
        let unsteady = self.unsteady();
        let mut least: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
        let mut kept = Vec::new();
        for (place, visit) in self.visits.iter().enumerate() {
            let off = self.off(place);
            if off <= TOLERANCE {
                kept.push((place, off));
            } else if unsteady.contains(first(visit)) {
                let known = least.entry(first(visit)).or_insert((off, place));
                if off < known.0 {
                    *known = (off, place);
                }
            }
        }
        kept.extend(least.into_values().map(|(off, place)| (place, off)));
        kept.sort_unstable_by_key(|(place, _)| *place);
        kept.into_iter().map(|(place, off)| (&self.visits[place], off)).collect()
    }

    /// How far the looks at a device are apart at most: the longest over the shortest, less one, of medians of three, which
    /// tell drift from single slow runs.
    pub(super) fn drift(&self) -> f64 {
        let of_device = |looks: &Vec<(usize, f64)>| {
            let medians = looks.windows(3).filter_map(|window| median(window.iter().map(|(_, ratio)| *ratio)));
            let (low, high) = medians.fold((f64::MAX, 0.0f64), |(low, high), time| (low.min(time), high.max(time)));
            if high > 0.0 { high / low - 1.0 } else { 0.0 }
        };
        self.looks.values().map(of_device).fold(0.0, f64::max)
    }
}

/// The time within tolerance of which most of `times` are, the shortest such: a machine that is slowed for a while is off
/// then, and not before and after.
fn usual(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    let near = |&time: &f64| {
        let end = times.partition_point(|&other| other <= time * (1.0 + TOLERANCE));
        end - times.partition_point(|&other| other < time * (1.0 - TOLERANCE))
    };
    let most = times.iter().map(near).max().unwrap_or(0);
    times.iter().copied().find(|time| near(time) == most).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{LayerKey, Rows};
    use crate::replay::profile::Measured;
    use crate::units::Duration;

    const FIRST: DeviceId = DeviceId(0);
    const SECOND: DeviceId = DeviceId(1);

    fn visit(name: &str, devices: &[DeviceId], micros: u64) -> Visit {
        let beside = |device: DeviceId| devices.iter().copied().find(|&other| other != device);
        let of = |&device: &DeviceId| Measured {
            device,
            layer: LayerKey::Whole,
            batch: 1,
            rows: Rows::All,
            beside: beside(device),
            time: Duration::from_nanos(micros * 1000),
        };
        Visit { name: name.into(), network: 0, measured: devices.iter().map(of).collect() }
    }

    /// Looks at one device that take so many microseconds, with a visit called by a letter between every two.
    fn visits(looks: &[u64]) -> Vec<Visit> {
        let mut visits = Vec::new();
        for (index, (&micros, letter)) in looks.iter().zip('a'..).enumerate() {
            visits.push(visit(&look(index, FIRST), &[FIRST], micros));
            visits.push(visit(&letter.to_string(), &[FIRST], 7));
        }
        visits.pop();
        visits
    }

    fn names(kept: &[(&Visit, f64)]) -> Vec<String> {
        kept.iter().filter(|(visit, _)| !is_look(visit)).map(|(visit, _)| visit.name.clone()).collect()
    }

    #[test]
    fn visits_are_unsteady_beside_a_look_that_is_off() {
        let visits = visits(&[1000, 1010, 1500, 990, 1000, 1020]);
        let speeds = Speeds::of(&visits);
        assert_eq!(speeds.unsteady(), BTreeSet::from(["b", "c"]));
        assert_eq!(names(&speeds.kept()), ["a", "b", "c", "d", "e"], "nothing else is known of b and c");
        assert!(speeds.kept().iter().all(|(visit, _)| visit.measured[0].time.as_nanos() != 1_500_000));
        assert!((speeds.drift() - 0.01).abs() < 1e-9, "one slow look is no drift: {}", speeds.drift());
    }

    #[test]
    fn the_usual_speed_is_where_most_looks_are_and_not_in_the_middle() {
        assert_eq!(usual(vec![1000.0, 1010.0, 1005.0, 1400.0, 1500.0, 1600.0, 1700.0]), 1000.0);
        assert_eq!(usual(vec![1700.0, 1705.0, 1690.0, 1000.0, 1300.0]), 1690.0);
        assert_eq!(usual(vec![1000.0, 2000.0]), 1000.0, "the shorter if as many are near");
    }

    #[test]
    fn a_visit_that_is_made_again_counts_if_it_is_steady_and_else_the_one_that_is_off_the_least() {
        let mut all = visits(&[1000, 1000, 1500, 1200, 1000]);
        assert_eq!(Speeds::of(&all).unsteady(), BTreeSet::from(["b", "c", "d"]));
        for name in ["b", "c", "d"] {
            all.push(visit(&again(name, 1), &[FIRST], 9));
            all.push(visit(&look(all.len(), FIRST), &[FIRST], if name == "b" { 1000 } else { 1100 }));
        }
        let speeds = Speeds::of(&all);
        assert_eq!(speeds.unsteady(), BTreeSet::from(["c", "d"]));
        assert_eq!(names(&speeds.kept()), ["a", "b again 1", "c again 1", "d again 1"]);
        let off: Vec<f64> = speeds.kept().iter().filter(|(visit, _)| !is_look(visit)).map(|(_, off)| *off).collect();
        assert!(off[..2].iter().all(|&off| off == 0.0) && off[2..].iter().all(|&off| (off - 0.1).abs() < 1e-9));
    }

    #[test]
    fn two_devices_are_as_unsteady_as_the_worse_of_them_and_one_that_nobody_looked_at_is_never_steady() {
        let mut visits = vec![visit(&look(0, FIRST), &[FIRST], 1000), visit(&look(0, SECOND), &[SECOND], 500)];
        visits.extend([visit("pair", &[FIRST, SECOND], 9), visit("alone", &[FIRST], 9)]);
        visits.extend([visit(&look(4, FIRST), &[FIRST], 1000), visit(&look(4, SECOND), &[SECOND], 530)]);
        assert_eq!(Speeds::of(&visits).unsteady(), BTreeSet::from(["pair"]));
        assert_eq!(Speeds::of(&[visit("a", &[FIRST], 1)]).unsteady(), BTreeSet::from(["a"]));
    }
}
