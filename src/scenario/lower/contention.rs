//! What devices and links contend for, as the platform has it.

use std::collections::BTreeMap;

use crate::platform::{DeviceId, Host, Interference, Package, Platform, Slowdown};
use crate::scenario::decode::At;
use crate::scenario::diagnostic::{Mistakes, Span};
use crate::scenario::document::Value;
use crate::scenario::form::{DeviceForm, HostForm, MemoryForm, PackageForm, ScenarioForm, SlowdownForm};
use crate::scenario::names::Names;

/// Threads of a processor.
const THREADS_MAX: u64 = 1024;

/// What the devices contend for beside memories; nothing of the links. If there are mistakes, it is not whole.
pub(super) fn lower(form: &ScenarioForm, devices: &Names, mistakes: &mut Mistakes) -> Interference {
    let mut interference = Interference::default();
    let mut seen = BTreeMap::new();
    for slowdown in form.slowdowns.iter().flatten() {
        interference.slowdowns.extend(lower_slowdown(slowdown, devices, &mut seen, mistakes));
    }
    let forms: Vec<&DeviceForm> = form.devices.iter().flatten().collect();
    let (mut names, mut members) = (Names::new("packages"), Members::new("packages"));
    for package in form.packages.iter().flatten() {
        names.insert(package.name.as_ref(), mistakes);
        interference.packages.extend(lower_package(package, &forms, devices, &mut members, mistakes));
    }
    let mut seen = BTreeMap::new();
    for host in form.hosts.iter().flatten() {
        interference.hosts.extend(lower_host(host, devices, &mut seen, mistakes));
    }
    interference
}

/// Whether the scenario says itself what devices contend for, if only that it is nothing.
pub(super) fn is_stated(form: &ScenarioForm) -> bool {
    // A memory may only say what it holds.
    let states =
        |memories: &Vec<MemoryForm>| memories.is_empty() || memories.iter().any(|memory| memory.kind().is_some());
    form.slowdowns.is_some()
        || form.memories.as_ref().is_some_and(states)
        || form.packages.is_some()
        || form.hosts.is_some()
}

/// What is stated and has no effect where contention is off. Slowdowns alone are what runs are compared with and
/// without.
pub(super) fn idle_note(platform: &Platform) -> Option<String> {
    let Interference { packages, hosts, .. } = &platform.interference;
    let is_unslowed = platform.contended_memories().next().is_none();
    let stated = [("`memories`", is_unslowed), ("`packages`", packages.is_empty()), ("`hosts`", hosts.is_empty())];
    let stated: Vec<&str> = stated.into_iter().filter_map(|(name, is_empty)| (!is_empty).then_some(name)).collect();
    (!stated.is_empty()).then(|| format!("{} have no effect without `contention = true`", stated.join(", ")))
}

fn lower_slowdown(
    form: &SlowdownForm,
    devices: &Names,
    seen: &mut BTreeMap<(u32, u32), Span>,
    mistakes: &mut Mistakes,
) -> Option<Slowdown> {
    let factor = form.factor.as_ref().map(|factor| {
        if !(1.0..=100.0).contains(&factor.value) {
            let cause = format!("the factor {} is out of range", factor.value);
            mistakes.add(&factor.at, cause, "use how many times as long steps take, from 1 to 100");
        }
        factor.value
    });
    let device = form.device.as_ref().and_then(|name| devices.find(name, mistakes));
    let busy = form.while_busy.as_ref().and_then(|name| devices.find(name, mistakes));
    let (device, busy) = (device?, busy?);
    if let Some(first) = seen.insert((device, busy), form.at.clone()) {
        let cause = "this slowdown is stated twice";
        mistakes.add(&form.at, cause, "keep one of them").label("second").beside(&first, "first");
    }
    Some(Slowdown {
        device: DeviceId(device),
        busy: DeviceId(busy),
        excess_ppm: ((factor? - 1.0) * 1e6).round() as u32,
    })
}

/// Which devices have been named in a list whose entries share none.
pub(super) struct Members {
    /// What the entries are, in the plural.
    list: &'static str,
    seen: BTreeMap<DeviceId, Span>,
}

impl Members {
    pub(super) fn new(list: &'static str) -> Members {
        Members { list, seen: BTreeMap::new() }
    }

    /// The devices with these names, each once and in no entry before; `None` for a name that is wrong.
    pub(super) fn find(
        &mut self,
        named: &[At<String>],
        devices: &Names,
        mistakes: &mut Mistakes,
    ) -> Vec<Option<DeviceId>> {
        let found: Vec<Option<DeviceId>> =
            named.iter().map(|name| Some(DeviceId(devices.find(name, mistakes)?))).collect();
        for (name, device) in named.iter().zip(&found) {
            let Some(device) = device else { continue };
            if let Some(first) = self.seen.insert(*device, name.at.clone()) {
                let cause = format!("`{}` is named twice among the {}", name.value, self.list);
                mistakes.add(&name.at, cause, "name it once").label("second").beside(&first, "first");
            }
        }
        found
    }
}

fn lower_package(
    form: &PackageForm,
    forms: &[&DeviceForm],
    names: &Names,
    members: &mut Members,
    mistakes: &mut Mistakes,
) -> Option<Package> {
    let exponent = form.exponent.as_ref().map_or(3.0, |exponent| exponent.value);
    if !(1.0..=3.0).contains(&exponent) {
        let cause = format!("the exponent {exponent} is out of range");
        let remedy = "use 1 if only the clock falls, and up to 3 if the voltage falls with it";
        mistakes.add(&form.exponent.as_ref()?.at, cause, remedy);
    }
    let named = form.devices.as_deref()?;
    if named.is_empty() {
        mistakes.add(&form.at, "the package has no devices", "name one or more, or remove it");
    }
    let devices = members.find(named, names, mistakes);
    let mut idle = 0.0;
    for (name, device) in named.iter().zip(&devices).filter_map(|(name, device)| Some((name, (*device)?))) {
        match &forms[device.0 as usize].power {
            Some(power) => idle += power.idle.as_ref()?.value.as_f64(),
            None => {
                let cause = format!("what `{}` draws is not known", name.value);
                let remedy = "add `power = { idle = \"5 W\", active = \"30 W\" }` to the device, with its own figures";
                mistakes.add(&name.at, cause, remedy);
            }
        }
    }
    let budget = form.budget.as_ref()?;
    if budget.value.as_f64() <= idle {
        let cause = format!("the devices draw {idle} W even while they are idle, which leaves nothing to compute with");
        mistakes.add(&budget.at, cause, format!("use more than {idle} W"));
    }
    Some(Package { devices: devices.into_iter().collect::<Option<_>>()?, budget: budget.value, exponent })
}

fn lower_host(
    form: &HostForm,
    devices: &Names,
    seen: &mut BTreeMap<u32, Span>,
    mistakes: &mut Mistakes,
) -> Option<Host> {
    let device = form.device.as_ref().and_then(|name| devices.find(name, mistakes));
    if let (Some(device), Some(At { value, at })) = (device, &form.device)
        && let Some(first) = seen.insert(device, at.clone())
    {
        let cause = format!("`{value}` is a host twice");
        mistakes.add(at, cause, "name all that it drives in one entry").label("second").beside(&first, "first");
    }
    let threads = form.threads.as_ref().map(|threads| {
        if !(1..=THREADS_MAX).contains(&threads.value) {
            let cause = format!("a processor of {} threads cannot be simulated", threads.value);
            mistakes.add(&threads.at, cause, format!("use 1 to {THREADS_MAX}"));
        }
        threads.value
    });
    let mut holds = Vec::new();
    for (name, held) in &form.holds.as_ref()?.0 {
        let holder = devices.find(name, mistakes);
        if holder.is_some() && holder == device {
            mistakes.add(&name.at, "the steps of a processor use all its threads anyway", "name other devices only");
        }
        let most = threads.unwrap_or(THREADS_MAX).clamp(1, THREADS_MAX);
        let count = match held.value {
            Value::Integer(count) => u32::try_from(count).ok().filter(|count| (1..=most).contains(&u64::from(*count))),
            _ => None,
        };
        if count.is_none() {
            let cause = format!("`{}` cannot hold {} of {most} threads", name.value, held.value);
            mistakes.add(&held.at, cause, format!("use a whole number from 1 to {most}"));
        }
        holds.extend(holder.map(DeviceId).zip(count));
    }
    if form.holds.as_ref()?.0.is_empty() {
        mistakes.add(&form.at, "no device holds threads of this host", "name one, for example `holds = { gpu = 1 }`");
    }
    Some(Host { device: DeviceId(device?), threads: threads? as u32, holds })
}
