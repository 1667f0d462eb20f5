//! Who may not wait.

use super::Floor;
use crate::engine::service::Fate;
use crate::engine::service::tenant::Tenant;
use crate::units::Time;

impl Floor<'_, '_> {
    fn drop(&mut self, id: u32, fate: Fate, now: Time) {
        let query = &mut self.queries[id as usize];
        (query.ended, query.fate) = (now, fate);
        self.open -= 1;
    }

    /// Drops the last of those that wait, as far as they are more than may. Called when all that could be issued was: who
    /// need not wait is never dropped.
    pub(in crate::engine::service) fn drop_excess(&mut self, now: Time) {
        for tenant in 0..self.tenants.len() {
            let limit = self.tenants[tenant].queue_max();
            while limit.is_some_and(|limit| self.tenants[tenant].waiting.len() > limit)
                && let Some(id) = self.tenants[tenant].waiting.pop_back()
            {
                self.queries[id as usize].begun = now;
                self.drop(id, Fate::Dropped, now);
            }
        }
    }

    /// Drops who waits and is late, and who was begun and must wait again since all of it was lost. Returns whether anything may
    /// begin in the place of what was dropped.
    pub(in crate::engine::service) fn drop_late(&mut self, now: Time) -> bool {
        let mut has_dropped = false;
        for tenant in 0..self.tenants.len() {
            while self.deadline(tenant).is_some_and(|deadline| deadline <= now)
                && let Some(id) = self.tenants[tenant].waiting.pop_front()
            {
                self.queries[id as usize].begun = now;
                self.drop(id, Fate::Expired, now);
                has_dropped = true;
            }
        }
        for group in self.groups.lost() {
            has_dropped |= self.drop_late_of(group, now);
        }
        has_dropped
    }

    /// When the first query of `tenant` that waits is to be dropped.
    pub(in crate::engine::service) fn deadline(&self, tenant: usize) -> Option<Time> {
        let Tenant { waiting, .. } = &self.tenants[tenant];
        Some(self.queries[*waiting.front()? as usize].arrived + self.tenants[tenant].drop_after()?)
    }

    /// Drops the queries of a group that are late, of which nothing is under way. Returns whether none is left.
    fn drop_late_of(&mut self, place: u32, now: Time) -> bool {
        let Some(deadline) = self.tenants[self.groups.at(place).tenant].drop_after() else { return false };
        let mut queries = std::mem::take(&mut self.groups.at_mut(place).queries);
        queries.retain(|&id| {
            let is_late = self.queries[id as usize].arrived + deadline <= now;
            if is_late {
                self.drop(id, Fate::Expired, now);
            }
            !is_late
        });
        // What is lost is known by its number only: no more than whoever is left has.
        let parts = self.groups.limit(place, self.samples_of(&queries));
        let group = self.groups.at_mut(place);
        (group.parts, group.queries) = (parts, queries);
        if parts == 0 {
            self.remove_group(place, now);
        }
        parts == 0
    }
}
