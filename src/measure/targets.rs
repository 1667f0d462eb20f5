//! What a profile measures: which devices, of which batches and parts, and which of them together.

use std::collections::BTreeSet;

use super::{Asked, Network, Watch};
use crate::platform::{Device, DeviceId};
use crate::replay::profile::Target;
use crate::scenario::Case;

/// The devices that are measured: hardware that can run the networks; of several with one profile, the first.
pub(super) fn devices(case: &Case, networks: &[Network], watch: &Watch<'_>) -> Vec<DeviceId> {
    let platform = &case.problem.platform;
    let is_hardware = |device: &DeviceId| platform.device(*device).runtime.is_hardware();
    let mut devices: Vec<DeviceId> = Vec::new();
    for device in platform.device_ids().filter(is_hardware) {
        let Device { name, unsupported, class, .. } = platform.device(device);
        let mut layers = networks.iter().flat_map(|network| network.graph.layers());
        if let Some(layer) = layers.find(|layer| unsupported.contains(&layer.op.kind())) {
            watch.say(&format!("{name} is not measured: it does not support `{}`", layer.name));
            continue;
        }
        let trace = |device: DeviceId| case.profiles[device.0 as usize].as_ref().map(|profile| &profile.trace);
        let same = |&&other: &&DeviceId| platform.device(other).class == *class && trace(other) == trace(device);
        match devices.iter().find(same) {
            Some(&other) => {
                let other = &platform.device(other).name;
                watch.say(&format!("{name} is not measured: it has the profile of {other}"));
            }
            None => devices.push(device),
        }
    }
    devices
}

/// What is measured of each network, alone.
pub(super) fn targets(asked: &Asked, devices: &[DeviceId], samples: u32) -> Vec<Target> {
    let mut batches: BTreeSet<u32> = asked.batches.iter().copied().collect();
    if batches.is_empty() {
        batches.extend((0..).map(|power| 1u32 << power).take_while(|&batch| batch < samples));
        batches.insert(samples);
    }
    let mut targets = Vec::new();
    for &device in devices {
        for &batch in &batches {
            targets.push(Target::Whole { device, batch });
            for &parts in &asked.parts.iter().copied().collect::<BTreeSet<u32>>() {
                targets.extend(asked.units.then_some(Target::Units { device, batch, parts }));
                let segments: BTreeSet<&String> = asked.segments.iter().collect();
                let target = |layers: &String| Target::Segment { device, batch, parts, layers: layers.clone() };
                targets.extend(segments.into_iter().map(target));
            }
        }
    }
    targets
}

/// The devices that are measured together.
pub(super) fn pairs(case: &Case, asked: &Asked, devices: &[DeviceId], watch: &Watch<'_>) -> Vec<[DeviceId; 2]> {
    if asked.alone {
        return Vec::new();
    }
    let of = |(index, &first): (usize, &DeviceId)| devices[index + 1..].iter().map(move |&second| [first, second]);
    let all: Vec<[DeviceId; 2]> = devices.iter().enumerate().flat_map(of).collect();
    let device = |device: DeviceId| case.problem.platform.device(device);
    let is_board = |of: DeviceId| device(of).runtime.tensorrt().is_some();
    let (kept, apart): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|&[first, second]| is_board(first) == is_board(second));
    for pair in apart {
        let [first, second] = pair.map(|of| &device(of).name);
        watch.say(&format!("{first} and {second} are not measured together: TensorRT runs one of them only"));
    }
    kept
}
