//! What breaks, and what is planned again.

use super::Floor;
use crate::engine::simulator::Simulator;
use crate::problem::{Change, Fault, Questions};
use crate::units::{Duration, Time};

impl Floor<'_, '_> {
    /// The fault happens. Returns the deadlines of queries of which something was lost.
    pub(in crate::engine::service) fn break_down(&mut self, fault: Fault, simulator: &mut Simulator) -> Vec<Time> {
        self.condition.apply(fault.change);
        let (mut groups, mut deadlines) = (Vec::new(), Vec::new());
        match fault.change {
            Change::Speed { device, health } => simulator.set_device_health(device, health),
            Change::Bandwidth { link, health } => simulator.set_link_health(link, health),
            Change::Back { device } => simulator.set_device_health(device, 1.0),
            Change::Out { device } => {
                let losses = self.flights.lose(&self.templates, device, simulator);
                groups.extend(losses.iter().map(|loss| loss.group));
                for group in groups.iter().map(|group| self.groups.at(*group)) {
                    let deadline = self.tenants[group.tenant].drop_after();
                    let of_query = |id: &u32| Some(self.queries[*id as usize].arrived + deadline?);
                    deadlines.extend(group.queries.iter().filter_map(of_query));
                }
                let is_planned_again = self.problem.faults.replanning.is_some();
                self.groups.redo(losses, Some(device).filter(|_| !is_planned_again));
            }
        }
        self.recoveries.add(fault, self.open, groups);
        if self.problem.faults.replanning.is_some() {
            self.degraded = Some(Questions::from(&self.problem.under(&self.condition)));
            self.tenants.iter_mut().for_each(|tenant| tenant.plans.clear());
        }
        deadlines
    }

    /// There are new plans: what has not begun is planned again.
    pub(in crate::engine::service) fn recall(&mut self, simulator: &mut Simulator) {
        let recalled = self.flights.recall(&self.templates, simulator);
        self.groups.redo(recalled, None);
    }

    /// What planning again takes.
    pub(in crate::engine::service) fn replanning(&self) -> Option<Duration> {
        self.problem.faults.replanning
    }
}
