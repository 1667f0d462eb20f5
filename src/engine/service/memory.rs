//! What plans under way hold in memories, all together.

use std::collections::BTreeMap;

use super::template::Template;
use crate::model::{LayerId, ModelId};
use crate::plan::{Footprint, Plan, footprints};
use crate::platform::{DeviceId, MemoryId};
use crate::problem::Problem;
use crate::units::Bytes;

/// All memories: weights lie there once for all plans under way that use them, data once for each plan. A plan holds what it
/// does in a memory from when it is issued until the last step that its users need has ended.
pub(super) struct Stock<'a> {
    problem: &'a Problem,
    /// By memory, the data of all plans under way whose footprints are known.
    data: Vec<Bytes>,
    /// By memory, the weights that any plan so far has there: if they fit too, nothing else has to be known.
    weights: Vec<BTreeMap<(DeviceId, ModelId, LayerId), Bytes>>,
    weight_sums: Vec<Bytes>,
    templates: Vec<Holding>,
    /// By the place of a flight that lost steps, what those that are left hold.
    rests: BTreeMap<u32, Holding>,
    /// Whether a template was issued whose footprints are not known.
    has_unknown: bool,
    /// Templates of which a plan waits for memory. Who comes later leaves it to them.
    claims: Vec<u32>,
}

/// What plans hold, by memory of their template.
#[derive(Default)]
struct Holding {
    /// Plans under way that still hold something there.
    counts: Vec<u32>,
    /// What each of them holds. It is not known before something else is under way: a plan alone fits.
    footprints: Option<Vec<(MemoryId, Footprint)>>,
}

impl Holding {
    /// What each of them holds in the memory, and how many do.
    fn held_in(&self, memory: MemoryId) -> Option<(&Footprint, u32)> {
        let found = self.footprints.iter().flatten().zip(&self.counts).find(|((other, _), _)| *other == memory);
        found.map(|((_, footprint), count)| (footprint, *count))
    }
}

impl<'a> Stock<'a> {
    pub(super) fn new(problem: &'a Problem) -> Stock<'a> {
        let count = problem.platform.memories.len();
        Stock {
            problem,
            data: vec![Bytes(0); count],
            weights: vec![BTreeMap::new(); count],
            weight_sums: vec![Bytes(0); count],
            templates: Vec::new(),
            rests: BTreeMap::new(),
            has_unknown: false,
            claims: Vec::new(),
        }
    }

    /// Whether one more plan of the template fits beside those under way, if there are any, and beside those that have
    /// waited for memory longer.
    pub(super) fn has_room(&mut self, templates: &[Template], template: u32, is_any_under_way: bool) -> bool {
        if !is_any_under_way && self.claims.is_empty() {
            return true;
        }
        if std::mem::take(&mut self.has_unknown) {
            (0..templates.len() as u32).for_each(|index| self.know(templates, index));
        }
        self.know(templates, template);
        let fits = |(memory, footprint): &(MemoryId, Footprint)| {
            let at = memory.0 as usize;
            let is_nothing = footprint.data == Bytes(0) && footprint.weights.is_empty();
            let Some(capacity) = self.problem.platform.memory(*memory).most_held().filter(|_| !is_nothing) else {
                return true;
            };
            let claimed = self.claims.iter().filter_map(|claim| self.templates[*claim as usize].held_in(*memory));
            let data = self.data[at] + footprint.data + claimed.map(|(footprint, _)| footprint.data).sum();
            data + self.weight_sums[at] <= capacity || data + self.weights_with(*memory, footprint) <= capacity
        };
        !self.claims.contains(&template) && self.templates[template as usize].footprints.iter().flatten().all(fits)
    }

    /// The weights that plans under way have in the memory, or will have that wait, together with those of one more.
    fn weights_with(&self, memory: MemoryId, footprint: &Footprint) -> Bytes {
        let mut all = footprint.weights.clone();
        let is_claimed = |index: &u32| self.claims.contains(index);
        let of_templates = (0..).zip(&self.templates).map(|(index, holding)| (is_claimed(&index), holding));
        for (is_claimed, holding) in of_templates.chain(self.rests.values().map(|rest| (false, rest))) {
            if let Some((held, count)) = holding.held_in(memory)
                && (is_claimed || count > 0)
            {
                all.extend(&held.weights);
            }
        }
        all.into_values().sum()
    }

    /// A plan of the template waits for memory. What comes later may not take it, until [`Self::release_claims`].
    pub(super) fn claim(&mut self, template: u32) {
        self.claims.push(template);
    }

    /// Who waited is asked again, in order.
    pub(super) fn release_claims(&mut self) {
        self.claims.clear();
    }

    /// Adds a template.
    pub(super) fn add(&mut self, template: &Template) {
        self.templates.push(Holding { counts: vec![0; template.memories.len()], footprints: None });
    }

    /// Finds what a plan of the template holds, unless it is known.
    fn know(&mut self, templates: &[Template], index: u32) {
        if self.templates[index as usize].footprints.is_some() {
            return;
        }
        let Template { plan, memories, .. } = &templates[index as usize];
        let holding = Holding { footprints: Some(self.footprints(plan, memories)), ..Holding::default() };
        let counts = std::mem::take(&mut self.templates[index as usize].counts);
        self.templates[index as usize] = self.counted(holding, counts);
    }

    fn footprints(&self, plan: &Plan, memories: &[MemoryId]) -> Vec<(MemoryId, Footprint)> {
        let mut all = footprints(plan, self.problem);
        memories.iter().map(|&memory| (memory, std::mem::take(&mut all[memory.0 as usize]))).collect()
    }

    /// The holding, as so many plans have it in each of its memories.
    fn counted(&mut self, holding: Holding, counts: Vec<u32>) -> Holding {
        for ((memory, footprint), count) in holding.footprints.iter().flatten().zip(&counts) {
            let at = memory.0 as usize;
            self.data[at] = self.data[at] + footprint.data * u64::from(*count);
            self.weights[at].extend(&footprint.weights);
            self.weight_sums[at] = self.weights[at].values().copied().sum();
        }
        Holding { counts, ..holding }
    }

    /// A plan of the template begins.
    #[inline]
    pub(super) fn take(&mut self, template: u32) {
        let Holding { counts, footprints } = &mut self.templates[template as usize];
        counts.iter_mut().for_each(|count| *count += 1);
        match footprints {
            None => self.has_unknown = true,
            Some(footprints) => footprints.iter().for_each(|(memory, footprint)| {
                let data = &mut self.data[memory.0 as usize];
                *data = *data + footprint.data;
            }),
        }
    }

    /// A flight has ended on all users of one of the memories of its template.
    #[inline]
    pub(super) fn give_back(&mut self, flight: u32, template: u32, place: u16) {
        let rest = if self.rests.is_empty() { None } else { self.rests.get_mut(&flight) };
        let Holding { counts, footprints } = rest.unwrap_or(&mut self.templates[template as usize]);
        counts[place as usize] -= 1;
        if let Some(footprints) = footprints {
            let (memory, footprint) = &footprints[place as usize];
            let data = &mut self.data[memory.0 as usize];
            *data = Bytes(data.0 - footprint.data.0);
        }
    }

    /// Steps of a flight will never run, and it has given back all that it held. What it holds from now on is what a plan of
    /// those steps that are left holds, in the memories that any of them needs: `left_in` says how many do.
    pub(super) fn shrink(
        &mut self,
        flight: u32,
        template: &Template,
        is_left: impl Fn(usize) -> bool,
        left_in: &[u32],
    ) {
        let rest = self.footprints(&template.plan.of_steps(is_left), &template.memories);
        let counts = left_in.iter().map(|left| u32::from(*left > 0)).collect();
        let rest = self.counted(Holding { footprints: Some(rest), ..Holding::default() }, counts);
        self.rests.insert(flight, rest);
    }

    /// Nothing is left of a flight.
    #[inline]
    pub(super) fn forget(&mut self, flight: u32) {
        if !self.rests.is_empty() {
            self.rests.remove(&flight);
        }
    }
}
