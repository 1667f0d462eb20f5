//! What plans under way hold in the memory of devices, all together.

use std::collections::BTreeMap;

use super::template::Template;
use crate::model::{LayerId, ModelId};
use crate::plan::{Footprint, Plan, footprints};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::units::Bytes;

/// The memory of all devices: weights lie there once for all plans under way that use them, data once for each plan. A plan
/// holds what it does on a device from when it is issued until its last step there has ended.
pub(super) struct Memory<'a> {
    problem: &'a Problem,
    /// By device, the data of all plans under way whose footprints are known.
    data: Vec<Bytes>,
    /// By device, the weights that any plan so far has there: if they fit too, nothing else has to be known.
    weights: Vec<BTreeMap<(ModelId, LayerId), Bytes>>,
    weight_sums: Vec<Bytes>,
    templates: Vec<Holding>,
    /// By the place of a flight that lost steps, what those that are left hold.
    rests: BTreeMap<u32, Holding>,
    /// Whether a template was issued whose footprints are not known.
    has_unknown: bool,
    /// Templates of which a plan waits for memory. Who comes later leaves it to them.
    claims: Vec<u32>,
}

/// What plans hold, by device of their template.
#[derive(Default)]
struct Holding {
    /// Plans under way that still hold something there.
    counts: Vec<u32>,
    /// What each of them holds. It is not known before something else is under way: a plan alone fits.
    footprints: Option<Vec<(DeviceId, Footprint)>>,
}

impl Holding {
    /// What each of them holds on the device, and how many do.
    fn on(&self, device: DeviceId) -> Option<(&Footprint, u32)> {
        let found = self.footprints.iter().flatten().zip(&self.counts).find(|((other, _), _)| *other == device);
        found.map(|((_, footprint), count)| (footprint, *count))
    }
}

impl<'a> Memory<'a> {
    pub(super) fn new(problem: &'a Problem) -> Memory<'a> {
        let count = problem.platform.devices.len();
        Memory {
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
        let fits = |(device, footprint): &(DeviceId, Footprint)| {
            let (at, capacity) = (device.0 as usize, self.problem.platform.device(*device).memory);
            let claimed = self.claims.iter().filter_map(|claim| self.templates[*claim as usize].on(*device));
            let data = self.data[at] + footprint.data + claimed.map(|(footprint, _)| footprint.data).sum();
            let is_nothing = footprint.data == Bytes(0) && footprint.weights.is_empty();
            is_nothing
                || data + self.weight_sums[at] <= capacity
                || data + self.weights_with(*device, footprint) <= capacity
        };
        !self.claims.contains(&template) && self.templates[template as usize].footprints.iter().flatten().all(fits)
    }

    /// The weights that plans under way have on the device, or will have that wait, together with those of one more.
    fn weights_with(&self, device: DeviceId, footprint: &Footprint) -> Bytes {
        let mut all = footprint.weights.clone();
        let is_claimed = |index: &u32| self.claims.contains(index);
        let of_templates = (0..).zip(&self.templates).map(|(index, holding)| (is_claimed(&index), holding));
        for (is_claimed, holding) in of_templates.chain(self.rests.values().map(|rest| (false, rest))) {
            if let Some((held, count)) = holding.on(device)
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
        self.templates.push(Holding { counts: vec![0; template.devices.len()], footprints: None });
    }

    /// Finds what a plan of the template holds, unless it is known.
    fn know(&mut self, templates: &[Template], index: u32) {
        if self.templates[index as usize].footprints.is_some() {
            return;
        }
        let Template { plan, devices, .. } = &templates[index as usize];
        let holding = Holding { footprints: Some(self.footprints(plan, devices)), ..Holding::default() };
        let counts = std::mem::take(&mut self.templates[index as usize].counts);
        self.templates[index as usize] = self.counted(holding, counts);
    }

    fn footprints(&self, plan: &Plan, devices: &[DeviceId]) -> Vec<(DeviceId, Footprint)> {
        let mut all = footprints(plan, self.problem);
        devices.iter().map(|&device| (device, std::mem::take(&mut all[device.0 as usize]))).collect()
    }

    /// The holding, as so many plans have it on each of its devices.
    fn counted(&mut self, holding: Holding, counts: Vec<u32>) -> Holding {
        for ((device, footprint), count) in holding.footprints.iter().flatten().zip(&counts) {
            let at = device.0 as usize;
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
            Some(footprints) => footprints.iter().for_each(|(device, footprint)| {
                let data = &mut self.data[device.0 as usize];
                *data = *data + footprint.data;
            }),
        }
    }

    /// A flight has ended on one of the devices of its template.
    #[inline]
    pub(super) fn give_back(&mut self, flight: u32, template: u32, place: u16) {
        let rest = if self.rests.is_empty() { None } else { self.rests.get_mut(&flight) };
        let Holding { counts, footprints } = rest.unwrap_or(&mut self.templates[template as usize]);
        counts[place as usize] -= 1;
        if let Some(footprints) = footprints {
            let (device, footprint) = &footprints[place as usize];
            let data = &mut self.data[device.0 as usize];
            *data = Bytes(data.0 - footprint.data.0);
        }
    }

    /// Steps of a flight will never run, and it has given back all that it held. What it holds from now on is what a plan of
    /// those steps that are left holds, on the devices where any is still to run: `left_on` says how many.
    pub(super) fn shrink(
        &mut self,
        flight: u32,
        template: &Template,
        is_left: impl Fn(usize) -> bool,
        left_on: &[u32],
    ) {
        let rest = self.footprints(&template.plan.of_steps(is_left), &template.devices);
        let counts = left_on.iter().map(|left| u32::from(*left > 0)).collect();
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
