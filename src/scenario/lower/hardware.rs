//! Devices and links of the form, as a platform.

use std::collections::BTreeMap;

use crate::platform::{
    Device, DeviceId, DeviceKind, Direction, Limits, Link, LinkId, Platform, Power, Precision, Runtime,
};
use crate::scenario::decode::At;
use crate::scenario::diagnostic::{Mistakes, Span};
use crate::scenario::form::{DeviceForm, Duplex, LimitsForm, LinkForm, PowerForm, ScenarioForm};
use crate::scenario::lower::curves::{precision, profiled_device};
use crate::scenario::names::Names;
use crate::scenario::scalar::Word;
use crate::units::{Bytes, Duration};

/// Devices and links.
pub(super) struct Hardware {
    pub(super) platform: Platform,
    pub(super) devices: Names,
    pub(super) links: LinkNames,
}

/// The names of links, and what each has become.
pub(super) struct LinkNames {
    names: Names,
    /// The directions of each link; none if it has mistakes.
    directions: Vec<Vec<LinkId>>,
}

impl LinkNames {
    /// Gives a name to the next entry, which is no link by itself.
    pub(super) fn insert(&mut self, name: Option<&At<String>>, mistakes: &mut Mistakes) {
        self.names.insert(name, mistakes);
        self.directions.push(Vec::new());
    }

    /// The directions of the link with this index in the form.
    pub(super) fn directions(&self, index: usize) -> &[LinkId] {
        &self.directions[index]
    }

    /// The directions of the link called `name`.
    pub(super) fn find(&self, name: &At<String>, mistakes: &mut Mistakes) -> Option<&[LinkId]> {
        Some(&self.directions[self.names.find(name, mistakes)? as usize])
    }
}

/// The devices and links. If there are mistakes, the platform is not whole, and its ids are not those of the names.
pub(super) fn lower(form: &ScenarioForm, mistakes: &mut Mistakes) -> Hardware {
    let mut devices = Names::new("devices");
    let mut platform = Platform::default();
    for device in form.devices.iter().flatten() {
        devices.insert(device.name.as_ref(), mistakes);
        platform.devices.extend(lower_device(device, mistakes));
    }
    let mut links = Links { names: Names::new("links"), joined: BTreeMap::new() };
    let mut directions = Vec::new();
    for link in form.links.iter().flatten() {
        let first = platform.links.len() as u32;
        platform.links.extend(links.lower(link, &devices, mistakes));
        directions.push((first..platform.links.len() as u32).map(LinkId).collect());
    }
    Hardware { platform, devices, links: LinkNames { names: links.names, directions } }
}

/// More cannot be told apart in shares of four decimals.
const UNITS_MAX: u64 = 10_000;

fn lower_device(form: &DeviceForm, mistakes: &mut Mistakes) -> Option<Device> {
    if let Some(At { value: Bytes(0), at }) = &form.memory {
        mistakes.add(at, "a device without memory can run nothing", "write for example `memory = \"4 GiB\"`");
    }
    if let Some(At { value: 0, at }) = form.speed.as_ref().and_then(|speed| speed.row_tile.as_ref()) {
        mistakes.add(at, "no rows cannot be computed together", "use 1 or more");
    }
    if let Some(At { value: 0, at }) = form.speed.as_ref().and_then(|speed| speed.unit_tile.as_ref()) {
        mistakes.add(at, "a unit computes an element at least", "use 1 or more");
    }
    let is_counted = |units: &&At<u64>| (1..=UNITS_MAX).contains(&units.value);
    if let Some(At { at, .. }) = form.units.as_ref().filter(|units| !is_counted(units)) {
        mistakes.add(at, format!("a device has 1 to {UNITS_MAX} compute units"), "write for example `units = 80`");
    }
    let kind = form.kind.as_ref()?;
    let limits = lower_limits(kind.value.0, form.limits.as_ref(), mistakes);
    let precision = precision(form);
    check_precision(form, kind, precision, &limits, mistakes);
    let unsupported = form.unsupported.as_ref().map(|words| words.iter().map(|word| word.value.0).collect());
    Some(Device {
        name: form.name.as_ref()?.value.clone(),
        kind: kind.value.0,
        class: precision.of(&profiled_device(form)?.value),
        precision,
        unsupported: unsupported.unwrap_or_else(|| kind.value.0.unsupported()),
        limits,
        units: form.units.as_ref().filter(is_counted).map_or(100, |units| units.value as u32),
        traffic: form.traffic.as_ref().map(|traffic| traffic.value),
        power: form.power.as_ref().and_then(|power| lower_power(power, mistakes)),
        // Set once the platform is whole.
        runtime: Runtime::Simulated,
    })
}

/// What a device of this kind accepts, where `form` does not say otherwise.
fn lower_limits(kind: DeviceKind, form: Option<&LimitsForm>, mistakes: &mut Mistakes) -> Limits {
    let usual = kind.limits();
    let Some(form) = form else { return usual };
    if let Some([]) = form.precisions.as_deref() {
        mistakes.add(&form.at, "a device that computes in no precision can run nothing", "name one, such as \"fp16\"");
    }
    let precisions = form.precisions.as_ref().map(|words| words.iter().map(|word| word.value.0).collect());
    let mut limit = |given: &Option<At<u64>>, usual: Option<u32>| {
        let Some(At { value, at }) = given else { return usual };
        if *value == 0 {
            mistakes.add(at, "a device that accepts nothing can run nothing", "use 1 or more");
        }
        Some(u32::try_from(*value).unwrap_or(u32::MAX))
    };
    Limits {
        batch_max: limit(&form.batch, usual.batch_max),
        dimension_max: limit(&form.dimension, usual.dimension_max),
        loadables_max: limit(&form.loadables, usual.loadables_max),
        precisions: precisions.or(usual.precisions),
    }
}

fn check_precision(
    form: &DeviceForm,
    kind: &At<Word<DeviceKind>>,
    precision: Precision,
    limits: &Limits,
    mistakes: &mut Mistakes,
) {
    let at = form.precision.as_ref().map_or(&kind.at, |precision| &precision.at);
    if let Some(possible) = limits.precisions.as_ref().filter(|possible| !possible.contains(&precision))
        && let Some(best) = possible.first()
    {
        let names: Vec<&str> = possible.iter().map(|precision| precision.name()).collect();
        let cause = format!("the device computes in {}, not in {precision}", names.join(" or "));
        mistakes.add(at, cause, format!("write `precision = \"{best}\"`"));
    }
}

fn lower_power(form: &PowerForm, mistakes: &mut Mistakes) -> Option<Power> {
    let (idle, active) = (form.idle.as_ref()?, form.active.as_ref()?);
    if active.value < idle.value {
        let fault =
            mistakes.add(&active.at, "the device draws less while it computes", "use at least what it draws idle");
        fault.beside(&idle.at, "idle");
    }
    Some(Power { idle: idle.value, active: active.value })
}

struct Links {
    names: Names,
    /// Where each pair of devices is joined, by the direction of data.
    joined: BTreeMap<(u32, u32), Span>,
}

impl Links {
    fn lower(&mut self, form: &LinkForm, devices: &Names, mistakes: &mut Mistakes) -> Vec<Link> {
        self.names.insert(form.name.as_ref(), mistakes);
        if let Some(name) = form.name.as_ref().filter(|name| name.value.contains('>')) {
            mistakes.add(&name.at, "a link's name has no `>`, which tells its directions apart", "use another name");
        }
        let Some(ends) = form.between.as_deref() else {
            return Vec::new();
        };
        let found: Vec<Option<u32>> = ends.iter().map(|end| devices.find(end, mistakes)).collect();
        let at = ends.first().map_or(form.at.clone(), |end| end.at.clone());
        let (&[Some(from), Some(to)], [first, second]) = (found.as_slice(), ends) else {
            if ends.len() != 2 {
                let cause = format!("a link is between two devices, not {}", ends.len());
                mistakes.add(&at, cause, "write for example `between = [\"cpu\", \"gpu\"]`");
            }
            return Vec::new();
        };
        if from == to {
            let cause = format!("the link leads from `{}` to itself", first.value);
            mistakes.add(&second.at, cause, "name two different devices");
            return Vec::new();
        }
        let duplex = form.duplex.as_ref().map_or(Duplex::Full, |&At { value: Word(duplex), .. }| duplex);
        let both = [(from, to), (to, from)];
        let directions = if duplex == Duplex::OneWay { &both[..1] } else { &both[..] };
        if let Some(earlier) = directions.iter().find_map(|pair| self.joined.get(pair)) {
            let cause = format!("a second link joins `{}` and `{}`", first.value, second.value);
            let remedy = "keep one of them, or use one link for each direction with `duplex = \"one_way\"`";
            mistakes.add(&at, cause, remedy).label("second").beside(earlier, "first");
        }
        self.joined.extend(directions.iter().map(|&pair| (pair, at.clone())));
        let (Some(name), Some(bandwidth)) = (&form.name, &form.bandwidth) else {
            return Vec::new();
        };
        let [overhead, latency] =
            [&form.overhead, &form.latency].map(|time| time.as_ref().map_or(Duration::ZERO, |time| time.value));
        let link = |name: String, (from, to): (u32, u32), direction| Link {
            overhead,
            latency,
            energy: form.energy.as_ref().map(|energy| energy.value),
            ..Link::new(name, (DeviceId(from), DeviceId(to)), direction, bandwidth.value)
        };
        let name = &name.value;
        let (here, there) = (&first.value, &second.value);
        match duplex {
            Duplex::Full => vec![
                link(format!("{name}:{here}>{there}"), both[0], Direction::OneWay),
                link(format!("{name}:{there}>{here}"), both[1], Direction::OneWay),
            ],
            Duplex::Half => vec![link(name.clone(), both[0], Direction::EitherWay)],
            Duplex::OneWay => vec![link(name.clone(), both[0], Direction::OneWay)],
        }
    }
}
