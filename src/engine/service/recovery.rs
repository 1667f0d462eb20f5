//! What came of each fault.

use super::Recovery;
use crate::problem::Fault;
use crate::units::Time;

#[derive(Default)]
pub(super) struct Recoveries {
    all: Vec<Recovery>,
    /// Faults that are not made good yet.
    unrecovered: Vec<Unrecovered>,
}

struct Unrecovered {
    /// By its place among all.
    recovery: usize,
    /// Queries that were open before.
    open: u32,
    /// Groups that lost samples.
    groups: Vec<u32>,
}

impl Recoveries {
    /// A fault, while so many queries were open, by which these groups lost samples.
    pub(super) fn add(&mut self, fault: Fault, open: u32, groups: Vec<u32>) {
        self.all.push(Recovery { fault, time: None });
        self.unrecovered.push(Unrecovered { recovery: self.all.len() - 1, open, groups });
    }

    /// Nothing is left to do of the group.
    pub(super) fn forget(&mut self, group: u32) {
        self.unrecovered.iter_mut().for_each(|fault| fault.groups.retain(|other| *other != group));
    }

    /// So many queries are open now.
    pub(super) fn note(&mut self, open: u32, now: Time) {
        let all = &mut self.all;
        self.unrecovered.retain(|fault| {
            let is_made_good = fault.groups.is_empty() && open <= fault.open;
            if is_made_good {
                let recovery = &mut all[fault.recovery];
                recovery.time = Some(now - recovery.fault.at);
            }
            !is_made_good
        });
    }

    pub(super) fn into_all(self) -> Vec<Recovery> {
        self.all
    }
}
