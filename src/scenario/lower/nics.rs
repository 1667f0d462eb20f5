//! Network interfaces of the form, as the links that pass through each.

use std::collections::BTreeMap;

use super::hardware::{Hardware, LinkNames};
use crate::platform::{DeviceId, Direction, LinkId, Nic, Sharing};
use crate::scenario::decode::At;
use crate::scenario::diagnostic::{Mistakes, Span};
use crate::scenario::form::{NicDuplex, NicForm, NicSharing, ScenarioForm};
use crate::scenario::names::Names;
use crate::scenario::scalar::Word;

/// The interfaces; one for each direction of those that are full duplex.
pub(super) fn lower(form: &ScenarioForm, hardware: &Hardware, mistakes: &mut Mistakes) -> Vec<Nic> {
    let (mut names, mut nics) = (Names::new("nics"), Vec::new());
    // Where each link is led through an interface of each device.
    let mut led = BTreeMap::new();
    for nic in form.nics.iter().flatten() {
        names.insert(nic.name.as_ref(), mistakes);
        nics.extend(lower_nic(nic, hardware, &mut led, mistakes).into_iter().flatten());
    }
    nics
}

fn lower_nic(
    form: &NicForm,
    Hardware { platform, devices, links }: &Hardware,
    led: &mut BTreeMap<(DeviceId, LinkId), Span>,
    mistakes: &mut Mistakes,
) -> Option<Vec<Nic>> {
    let device = form.device.as_ref()?;
    let id = DeviceId(devices.find(device, mistakes)?);
    let ends_there = |link: LinkId| [platform.link(link).from, platform.link(link).to].contains(&id);
    let found: Vec<(LinkId, &Span)> = match &form.links {
        None => platform.link_ids().filter(|&link| ends_there(link)).map(|link| (link, &device.at)).collect(),
        Some(named) => find_named(named, links, device, ends_there, mistakes)?,
    };
    if found.is_empty() {
        let at = if form.links.is_some() { &form.at } else { &device.at };
        let cause = format!("no link leads through this interface of `{}`", device.value);
        mistakes.add(at, cause, "add a link of the device, or remove the interface");
    }
    for &(link, at) in &found {
        if let Some(first) = led.insert((id, link), at.clone()) {
            let cause = format!("a link leads through two interfaces of `{}`", device.value);
            let remedy = "name the link once, in `links` of one interface";
            mistakes.add(at, cause, remedy).label("second").beside(&first, "first");
            break;
        }
    }
    let bandwidth = form.bandwidth.as_ref()?.value;
    let sharing = sharing(form.sharing.as_ref());
    let nic = |passes: &dyn Fn(LinkId) -> bool| {
        let links: Vec<LinkId> = found.iter().map(|&(link, _)| link).filter(|&link| passes(link)).collect();
        (!links.is_empty()).then_some(Nic { links, bandwidth, sharing })
    };
    let either_way = |link: LinkId| platform.link(link).direction == Direction::EitherWay;
    let nics = match form.duplex.as_ref().map(|duplex| duplex.value) {
        Some(Word(NicDuplex::Half)) => vec![nic(&|_| true)],
        Some(Word(NicDuplex::Full)) | None => vec![
            nic(&|link| platform.link(link).from == id || either_way(link)),
            nic(&|link| platform.link(link).to == id || either_way(link)),
        ],
    };
    Some(nics.into_iter().flatten().collect())
}

/// Who goes first at an interface.
pub(super) fn sharing(form: Option<&At<Word<NicSharing>>>) -> Sharing {
    match form.map(|sharing| sharing.value) {
        Some(Word(NicSharing::Serial)) => Sharing::Serial,
        Some(Word(NicSharing::Fair)) | None => Sharing::Fair,
    }
}

/// The directions of the links that are `named`, and where each is. `None` if a name is wrong.
fn find_named<'a>(
    named: &'a [At<String>],
    links: &LinkNames,
    device: &At<String>,
    ends_there: impl Fn(LinkId) -> bool,
    mistakes: &mut Mistakes,
) -> Option<Vec<(LinkId, &'a Span)>> {
    let mut found = Some(Vec::new());
    for name in named {
        let Some(directions) = links.find(name, mistakes) else {
            found = None;
            continue;
        };
        if directions.iter().any(|&link| !ends_there(link)) {
            let cause = format!("the link `{}` does not end at `{}`", name.value, device.value);
            mistakes.add(&name.at, cause, "name a link of the device").beside(&device.at, "its interface");
        }
        found.iter_mut().for_each(|found| found.extend(directions.iter().map(|&link| (link, &name.at))));
    }
    found
}
