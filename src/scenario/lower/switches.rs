//! Switches of the form, as links between every two of their devices and an interface for each.

use super::counted::Counted;
use super::hardware::Hardware;
use super::nics;
use crate::platform::{DeviceId, Direction, Link, LinkId, Nic};
use crate::scenario::decode::{At, shorten};
use crate::scenario::diagnostic::Mistakes;
use crate::scenario::form::{NicDuplex, ScenarioForm, SwitchForm};
use crate::scenario::scalar::Word;
use crate::units::Duration;

/// Adds the links of all switches to the platform. Their ports.
pub(super) fn lower(
    form: &ScenarioForm,
    counted: &Counted,
    hardware: &mut Hardware,
    mistakes: &mut Mistakes,
) -> Vec<Nic> {
    let switches = form.switches.iter().flatten();
    switches.flat_map(|switch| lower_switch(switch, counted, hardware, mistakes).unwrap_or_default()).collect()
}

fn lower_switch(
    form: &SwitchForm,
    counted: &Counted,
    hardware: &mut Hardware,
    mistakes: &mut Mistakes,
) -> Option<Vec<Nic>> {
    hardware.links.insert(form.name.as_ref(), mistakes);
    let devices = devices(form, counted, hardware, mistakes)?;
    let (name, bandwidth) = (&form.name.as_ref()?.value, form.bandwidth.as_ref()?.value);
    if name.contains('>') {
        let at = &form.name.as_ref()?.at;
        mistakes.add(at, "a switch's name has no `>`, which tells directions apart", "use another name");
    }
    let [overhead, latency] =
        [&form.overhead, &form.latency].map(|time| time.as_ref().map_or(Duration::ZERO, |time| time.value));
    let platform = &mut hardware.platform;
    let first = platform.links.len() as u32;
    for &from in &devices {
        for &to in devices.iter().filter(|&&to| to != from) {
            if let Some(joined) = platform.links.iter().find(|link| link.leads(from, to)) {
                let [from, to] = [from, to].map(|device| platform.device(device).name.clone());
                let cause = format!("`{}` leads from `{from}` to `{to}` already", joined.name);
                mistakes.add(&form.at, cause, "leave one of the devices out, or remove the other link");
                return None;
            }
            let [here, there] = [from, to].map(|device| &platform.device(device).name);
            let link = Link {
                overhead,
                latency,
                ..Link::new(format!("{name}:{here}>{there}"), (from, to), Direction::OneWay, bandwidth)
            };
            platform.links.push(link);
        }
    }
    let added = (first..platform.links.len() as u32).map(LinkId);
    let sharing = nics::sharing(form.sharing.as_ref());
    let port = |passes: &dyn Fn(&Link) -> bool| {
        let links: Vec<LinkId> = added.clone().filter(|&link| passes(platform.link(link))).collect();
        (!links.is_empty()).then_some(Nic { links, bandwidth, sharing })
    };
    let is_half = matches!(&form.duplex, Some(At { value: Word(NicDuplex::Half), .. }));
    let ports = |&device: &DeviceId| match is_half {
        true => vec![port(&|link| link.from == device || link.to == device)],
        false => vec![port(&|link| link.from == device), port(&|link| link.to == device)],
    };
    Some(devices.iter().flat_map(ports).flatten().collect())
}

/// Every two devices are linked both ways, so that more ports would be very many links.
const PORTS_MAX: usize = 64;

/// The devices at the ports of a switch. `None` if there are mistakes.
fn devices(
    form: &SwitchForm,
    counted: &Counted,
    hardware: &Hardware,
    mistakes: &mut Mistakes,
) -> Option<Vec<DeviceId>> {
    let known = mistakes.len();
    let mut devices: Vec<DeviceId> = Vec::new();
    if form.devices.is_none() {
        devices.extend(hardware.platform.device_ids());
    }
    for name in form.devices.iter().flatten() {
        let alone = || vec![name.value.clone()];
        for member in counted.get(&name.value).cloned().unwrap_or_else(alone) {
            let member = At { value: member, at: name.at.clone() };
            let Some(device) = hardware.devices.find(&member, mistakes).map(DeviceId) else { continue };
            if devices.contains(&device) {
                let cause = format!("`{}` is at two ports of the switch", shorten(&member.value));
                mistakes.add(&name.at, cause, "name each device once");
            }
            devices.push(device);
        }
    }
    if devices.len() > PORTS_MAX {
        mistakes.add(&form.at, format!("the switch has {} devices", devices.len()), format!("it may have {PORTS_MAX}"));
    }
    (mistakes.len() == known).then_some(devices)
}
