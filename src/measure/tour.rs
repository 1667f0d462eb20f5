//! The visits of a profile, one after the other, with looks at the sentinel before, between and after them.

use std::collections::BTreeSet;

use super::bench::Bench;
use super::sentinel::{self, Speeds};
use super::{MeasureError, Visit, Watch};
use crate::platform::DeviceId;
use crate::replay::profile::Target;

/// Visits between two looks at the sentinel.
const SENTINEL_EVERY: usize = 12;

/// What a visit is to measure of a network.
#[derive(Clone, Copy)]
pub(super) enum Visited<'a> {
    Alone(&'a Target),
    /// With as many steps on each as balance what was measured of them alone.
    Pair(&'a [DeviceId; 2]),
}

/// A visit that is to be made: its name, the network, and what of it.
pub(super) type Due<'a> = (String, usize, Visited<'a>);

/// The visits of a schedule that `visits` does not have: all of them, or those that were made so many times `before` and
/// never found the devices at their usual speed.
pub(super) fn due<'a>(schedule: &[(usize, Visited<'a>)], before: u32, visits: &[Visit]) -> Vec<Due<'a>> {
    let known: BTreeSet<&str> = visits.iter().map(|visit| visit.name.as_str()).collect();
    let unsteady = (before > 0).then(|| Speeds::of(visits).unsteady());
    let name = |(index, &(network, visited)): (usize, &(usize, Visited<'a>))| {
        let first = match visited {
            Visited::Alone(_) => index.to_string(),
            Visited::Pair(_) => format!("pair {index}"),
        };
        let is_due = unsteady.as_ref().is_none_or(|unsteady| unsteady.contains(first.as_str()));
        let name = sentinel::again(&first, before);
        (is_due && !known.contains(name.as_str())).then_some((name, network, visited))
    };
    schedule.iter().enumerate().filter_map(name).collect()
}

/// Visits that are being made.
pub(super) struct Tour<'a, E> {
    pub(super) bench: Bench<'a>,
    pub(super) visits: &'a mut Vec<Visit>,
    /// Keeps each visit where an interruption does not lose it.
    pub(super) keep: &'a mut dyn FnMut(&Visit) -> Result<(), E>,
    pub(super) devices: &'a [DeviceId],
    pub(super) watch: &'a Watch<'a>,
}

impl<E: From<MeasureError>> Tour<'_, E> {
    /// Makes the visits, with looks at the sentinel before, between and after them.
    pub(super) fn make(&mut self, due: &[Due<'_>], what: &'static str) -> Result<(), E> {
        let looks = due.len().div_ceil(SENTINEL_EVERY) + 1;
        self.watch.begin((due.len() + looks) as u64, what);
        for block in due.chunks(SENTINEL_EVERY) {
            self.look()?;
            for (name, network, visited) in block {
                let target = match visited {
                    Visited::Alone(target) => (*target).clone(),
                    Visited::Pair(pair) => Bench::balanced(self.visits, *network, pair),
                };
                self.visit(name.clone(), *network, &target)?;
                self.watch.advance();
            }
        }
        self.look()?;
        self.watch.end();
        Ok(())
    }

    fn look(&mut self) -> Result<(), E> {
        let after = self.visits.len();
        for &device in self.devices {
            self.visit(sentinel::look(after, device), 0, &Target::Whole { device, batch: 1 })?;
        }
        self.watch.advance();
        Ok(())
    }

    fn visit(&mut self, name: String, network: usize, target: &Target) -> Result<(), E> {
        let visit = self.bench.visit(name, network, target)?;
        (self.keep)(&visit)?;
        self.visits.push(visit);
        Ok(())
    }
}
