//! What each step of a plan uses in memories that page, which bring it when the step begins.

use std::collections::BTreeMap;

use super::{Action, Passage, device_of};
use crate::model::{LayerId, ModelId};
use crate::plan::Plan;
use crate::plan::StepId;
use crate::plan::presence::Holdings;
use crate::platform::{DeviceId, MemoryId};
use crate::problem::Problem;
use crate::units::Bytes;

/// What a step uses in a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Touch {
    pub(crate) memory: MemoryId,
    pub(crate) what: Touched,
    /// How much of it the step uses.
    pub(crate) bytes: Bytes,
}

/// What is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    /// Weights of a layer, which all plans share.
    Weights(DeviceId, ModelId, LayerId),
    /// Data that was put there before, or lies outside from the start.
    Data(u32),
    /// Data that the step puts there.
    NewData(u32),
    /// What is left of the activations of the step, and of them only while it runs.
    Scratch,
}

/// What the steps of a plan use in memories that page.
#[derive(Clone, Debug, Default)]
pub(crate) struct Touches {
    /// By step, in the order of use.
    pub(crate) of_step: Vec<Vec<Touch>>,
    /// By step, data that it is among the last to use: the data goes when all of these have ended.
    pub(crate) last_uses: Vec<Vec<u32>>,
    /// By data, how many steps it waits for until it goes; what stays to the end of the plan waits for one more.
    pub(crate) uses: Vec<u32>,
}

impl Touches {
    /// `None` if no memory pages that the plan uses.
    pub(crate) fn of(plan: &Plan, problem: &Problem) -> Option<Touches> {
        let pages = |device: DeviceId| {
            let is_it = |memory: &MemoryId| {
                let memory = problem.platform.memory(*memory);
                memory.capacity.is_some() && memory.paging.is_some() && memory.users.contains(&device)
            };
            problem.platform.memory_ids().filter(is_it).collect::<Vec<_>>()
        };
        let paged: Vec<Vec<MemoryId>> = problem.platform.device_ids().map(pages).collect();
        let is_touched =
            |step: StepId| device_of(plan, step).is_some_and(|device| !paged[device.0 as usize].is_empty());
        if !plan.step_ids().any(is_touched) {
            return None;
        }
        let passage = Passage::of(plan, problem, &Holdings::of(plan, problem));
        let count = plan.steps.len();
        let mut touches =
            Touches { of_step: vec![Vec::new(); count], last_uses: vec![Vec::new(); count], uses: vec![] };
        // Reads come before what is written, and weights before both.
        for step in plan.step_ids() {
            let (Action::Compute(work), Some(device)) = (&plan.step_at(step).action, device_of(plan, step)) else {
                continue;
            };
            for &memory in &paged[device.0 as usize] {
                let of_layer = |layer| {
                    let bytes = problem.sizes(work.model, device).layer_parameters(layer);
                    Touch { memory, what: Touched::Weights(device, work.model, layer), bytes }
                };
                let weights = work.segment.layers().map(of_layer).filter(|touch| touch.bytes > Bytes(0));
                touches.of_step[step.0 as usize].extend(weights);
            }
        }
        let mut own: BTreeMap<StepId, Bytes> = BTreeMap::new();
        for item in passage.items.iter().filter(|item| !paged[item.device.0 as usize].is_empty()) {
            let data = touches.uses.len() as u32;
            touches.uses.push(item.until.len() as u32 + u32::from(item.stays || item.until.is_empty()));
            for (&lane, &place) in &item.until {
                touches.last_uses[passage.queues[lane][place as usize].0 as usize].push(data);
            }
            let mut touch = |step: StepId, what, bytes| {
                let all = paged[item.device.0 as usize].iter().map(|&memory| Touch { memory, what, bytes });
                touches.of_step[step.0 as usize].extend(all);
            };
            if let Some(by) = item.by.filter(|by| device_of(plan, *by).is_none()) {
                touch(by, Touched::NewData(data), item.bytes);
            }
            for &(step, bytes) in &item.own {
                touch(step, if item.by == Some(step) { Touched::NewData(data) } else { Touched::Data(data) }, bytes);
                let own = own.entry(step).or_default();
                *own = *own + bytes;
            }
        }
        for step in plan.step_ids() {
            let Some(device) = device_of(plan, step) else { continue };
            let own = own.get(&step).copied().unwrap_or_default();
            let rest = Bytes(passage.activations[step.0 as usize].0.saturating_sub(own.0));
            let scratch = |&memory: &MemoryId| Touch { memory, what: Touched::Scratch, bytes: rest };
            let all = paged[device.0 as usize].iter().map(scratch).filter(|touch| touch.bytes > Bytes(0));
            touches.of_step[step.0 as usize].extend(all);
        }
        Some(touches)
    }
}
