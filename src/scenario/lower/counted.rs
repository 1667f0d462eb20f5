//! Devices of which there are several equal ones, each with a name of its own.

use std::collections::BTreeMap;

use crate::scenario::decode::{At, LIST_MAX};
use crate::scenario::diagnostic::Mistakes;
use crate::scenario::form::{DeviceForm, ScenarioForm};

/// The names of the devices that one entry stands for, by its name.
pub(super) type Counted = BTreeMap<String, Vec<String>>;

/// Replaces each device with a `count` by so many devices, called by its name and numbers from 1 on.
pub(super) fn expand(form: &mut ScenarioForm, mistakes: &mut Mistakes) -> Counted {
    let mut counted = Counted::new();
    let mut devices: Vec<DeviceForm> = Vec::new();
    for device in form.devices.iter().flatten() {
        let Some(count) = &device.count else {
            devices.push(device.clone());
            continue;
        };
        let room = (LIST_MAX as u64).saturating_sub(devices.len() as u64);
        if count.value > room {
            let cause = format!("there cannot be {} of a device", count.value);
            mistakes.add(&count.at, cause, format!("use 0 to {room}: a scenario has {LIST_MAX} devices at most"));
            devices.push(device.clone());
            continue;
        }
        let Some(At { value: name, at }) = &device.name else {
            devices.push(device.clone());
            continue;
        };
        let names: Vec<String> = (1..=count.value).map(|number| format!("{name}{number}")).collect();
        let named = |name: &String| {
            // Traces have one profile of all of them.
            let profile = device.profile.clone().or_else(|| device.name.clone());
            DeviceForm { name: Some(At { value: name.clone(), at: at.clone() }), profile, ..device.clone() }
        };
        devices.extend(names.iter().map(named));
        counted.insert(name.clone(), names);
    }
    if form.devices.is_some() {
        form.devices = Some(devices);
    }
    counted
}
