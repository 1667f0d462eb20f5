//! What holds weights and data, and how devices slow each other there.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::contention::Members;
use super::is_misspelt;
use crate::platform::{BandwidthRule, BandwidthTable, DeviceId, Memory, Paging};
use crate::scenario::decode::At;
use crate::scenario::diagnostic::Mistakes;
use crate::scenario::document::Node;
use crate::scenario::form::{DeviceForm, MemoryForm, PagingForm, ScenarioForm};
use crate::scenario::names::Names;
use crate::scenario::text_files::TextFiles;
use crate::units::{Bytes, Duration};

/// Measured bandwidths that the scenario names.
type Tables = TextFiles<Arc<BandwidthTable>>;

/// The memories of devices, in their order, and those that several share. If there are mistakes, they are not whole.
pub(super) fn lower(
    root: &Node,
    form: &ScenarioForm,
    devices: &Names,
    files: &Tables,
    mistakes: &mut Mistakes,
) -> Vec<Memory> {
    let forms: Vec<&DeviceForm> = form.devices.iter().flatten().collect();
    let own = |(index, form): (u32, &&DeviceForm)| {
        let (name, capacity) = (form.name.as_ref()?.value.clone(), Some(form.memory.as_ref()?.value));
        Some(Memory { name, capacity, users: vec![DeviceId(index)], rule: None, paging: None })
    };
    let mut memories = Vec::new();
    for (index, form) in (0..).zip(&forms) {
        let paging = form.paging.as_ref().and_then(|paging| lower_paging(paging, form.memory.is_some(), mistakes));
        memories.extend(own((index, form)).map(|memory| Memory { paging, ..memory }));
    }
    let (mut names, mut members) = (Names::new("memories"), Members::new("memories"));
    for memory in form.memories.iter().flatten() {
        names.insert(memory.name.as_ref(), mistakes);
        memories.extend(lower_memory(memory, &forms, devices, files, &mut members, mistakes));
    }
    let with_capacity = form.memories.iter().flatten().filter(|memory| memory.capacity.is_some());
    let shared: BTreeSet<&str> =
        with_capacity.flat_map(|memory| memory.devices.iter().flatten()).map(|name| name.value.as_str()).collect();
    let lacks = |form: &DeviceForm| {
        form.memory.is_none() && !form.name.as_ref().is_some_and(|name| shared.contains(name.value.as_str()))
    };
    for node in root.get("devices").and_then(Node::as_list).into_iter().flatten() {
        let is_missing = node.as_table().is_some() && node.get("memory").is_none() && !is_misspelt(node, "memory");
        if is_missing && forms.iter().any(|form| form.at == node.at && lacks(form)) {
            let remedy = "add for example `memory = \"4 GiB\"`, or name it in `memories` with a `capacity`";
            mistakes.add(&node.at, "the device has no `memory`", remedy);
        }
    }
    memories
}

fn lower_memory(
    form: &MemoryForm,
    forms: &[&DeviceForm],
    names: &Names,
    files: &Tables,
    members: &mut Members,
    mistakes: &mut Mistakes,
) -> Option<Memory> {
    let named = form.devices.as_deref();
    if let Some(named) = named
        && named.len() < 2
    {
        let at = named.first().map_or(&form.at, |name| &name.at);
        let remedy = "name two devices or more, or remove it; what one holds is its `memory`";
        mistakes.add(at, "no two devices share this memory", remedy);
    }
    let users = named.map(|named| members.find(named, names, mistakes));
    if let Some(At { value: capacity, at }) = &form.capacity {
        if *capacity == Bytes(0) {
            mistakes.add(at, "a memory without capacity can hold nothing", "write for example `capacity = \"8 GB\"`");
        }
        let parts = users.iter().flatten().flatten().filter_map(|device| forms[device.0 as usize].memory.as_ref());
        for part in parts.filter(|part| part.value > *capacity) {
            let remedy = "use at most its capacity, or remove it: the device may then hold all that others leave";
            mistakes.add(&part.at, "this is a part of a smaller memory", remedy).beside(at, "its capacity");
        }
    }
    let paging = form.paging.as_ref().and_then(|paging| lower_paging(paging, form.capacity.is_some(), mistakes));
    let rule = form.kind().map(|_| lower_rule(form, files, mistakes));
    let all = named?.iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join(" + ");
    Some(Memory {
        name: form.name.as_ref().map_or(all, |name| name.value.clone()),
        capacity: form.capacity.as_ref().map(|capacity| capacity.value),
        users: users?.into_iter().collect::<Option<_>>()?,
        rule: match rule {
            Some(rule) => Some(rule?),
            None => None,
        },
        paging,
    })
}

/// How a memory pages, of which it is known whether it has a size.
fn lower_paging(form: &PagingForm, has_size: bool, mistakes: &mut Mistakes) -> Option<Paging> {
    if !has_size {
        let remedy = "say how much it holds: `memory` of a device, `capacity` of one that several share";
        mistakes.add(&form.at, "a memory without a size never has to page", remedy);
    }
    let usual = match form.prefetch.as_ref().is_none_or(|prefetch| prefetch.value) {
        true => Paging::prefetching(),
        false => Paging::on_demand(),
    };
    let mut size = |given: &Option<At<Bytes>>, usual: Bytes| match given {
        Some(At { value: Bytes(0), at }) => {
            mistakes.add(at, "nothing can be brought in parts of no bytes", "write for example `\"2 MiB\"`");
            usual
        }
        given => given.as_ref().map_or(usual, |given| given.value),
    };
    let (batch, block) = (size(&form.batch, usual.batch), size(&form.block, usual.block));
    let time = |given: &Option<At<Duration>>, usual: Duration| given.as_ref().map_or(usual, |given| given.value);
    Some(Paging {
        start: time(&form.start, usual.start),
        batch,
        overhead: time(&form.overhead, usual.overhead),
        per_block: time(&form.per_block, usual.per_block),
        blocks_max: usual.blocks_max,
        bandwidth: form.bandwidth.as_ref().map_or(usual.bandwidth, |bandwidth| bandwidth.value),
        block,
        eviction: time(&form.eviction, usual.eviction),
    })
}

fn lower_rule(form: &MemoryForm, files: &Tables, mistakes: &mut Mistakes) -> Option<BandwidthRule> {
    if let Some(proportional) = &form.proportional {
        return Some(BandwidthRule::Proportional { peak: proportional.peak.as_ref()?.value });
    }
    if let Some(residual) = &form.residual_or_floor {
        let (peak, floor) = (residual.peak.as_ref()?, residual.floor.as_ref()?);
        if floor.value > peak.value {
            let fault =
                mistakes.add(&floor.at, "a device would get more than the memory delivers", "use at most `peak`");
            fault.beside(&peak.at, "what it delivers");
        }
        return Some(BandwidthRule::ResidualOrFloor { peak: peak.value, floor: floor.value });
    }
    if let Some(table) = &form.table {
        // What is wrong with the file has been said.
        return Some(BandwidthRule::Table(files.get(&table.file.as_ref()?.value)?.clone()));
    }
    let smooth = form.smooth.as_ref()?;
    let exponent = smooth.exponent.as_ref()?;
    if !(0.01..=100.0).contains(&exponent.value) {
        let cause = format!("the exponent {} is out of range", exponent.value);
        mistakes.add(&exponent.at, cause, "use 0.01 to 100, for example 0.91");
    }
    Some(BandwidthRule::Smooth {
        threshold: smooth.threshold.as_ref()?.value,
        cap: smooth.cap.as_ref()?.value,
        width: smooth.width.as_ref()?.value,
        exponent: exponent.value,
    })
}
