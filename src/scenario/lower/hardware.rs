//! Devices and links of the form, as a platform.

use std::collections::BTreeMap;

use crate::platform::{Device, DeviceId, DeviceKind, Direction, Limits, Link, LinkId, Platform, Power, Precision};
use crate::replay::cpu::Unit;
use crate::replay::remote::AgentAddress;
use crate::replay::tensorrt::TensorrtUnit;
use crate::replay::{CORE_MAX, parse_cores};
use crate::scenario::decode::{At, shorten};
use crate::scenario::diagnostic::{Faults, Span};
use crate::scenario::form::{
    AgentForm, CpuForm, DeviceForm, Duplex, LimitsForm, LinkForm, PowerForm, ScenarioForm, TensorrtForm,
};
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
    /// The directions of each link; none if it has faults.
    directions: Vec<Vec<LinkId>>,
}

impl LinkNames {
    /// Gives a name to the next entry, which is no link by itself.
    pub(super) fn insert(&mut self, name: Option<&At<String>>, faults: &mut Faults) {
        self.names.insert(name, faults);
        self.directions.push(Vec::new());
    }

    /// The directions of the link with this index in the form.
    pub(super) fn directions(&self, index: usize) -> &[LinkId] {
        &self.directions[index]
    }

    /// The directions of the link called `name`.
    pub(super) fn find(&self, name: &At<String>, faults: &mut Faults) -> Option<&[LinkId]> {
        Some(&self.directions[self.names.find(name, faults)? as usize])
    }
}

/// The devices and links. If there are faults, the platform is not whole, and its ids are not those of the names.
pub(super) fn lower(form: &ScenarioForm, faults: &mut Faults) -> Hardware {
    let mut devices = Names::new("devices");
    let mut platform = Platform::default();
    for device in form.devices.iter().flatten() {
        devices.insert(device.name.as_ref(), faults);
        platform.devices.extend(lower_device(device, faults));
    }
    let mut links = Links { names: Names::new("links"), joined: BTreeMap::new() };
    let mut directions = Vec::new();
    for link in form.links.iter().flatten() {
        let first = platform.links.len() as u32;
        platform.links.extend(links.lower(link, &devices, faults));
        directions.push((first..platform.links.len() as u32).map(LinkId).collect());
    }
    Hardware { platform, devices, links: LinkNames { names: links.names, directions } }
}

fn lower_device(form: &DeviceForm, faults: &mut Faults) -> Option<Device> {
    if let Some(At { value: Bytes(0), at }) = &form.memory {
        faults.add(at, "a device without memory can run nothing", "write for example `memory = \"4 GiB\"`");
    }
    if let Some(At { value: 0, at }) = form.speed.as_ref().and_then(|speed| speed.row_tile.as_ref()) {
        faults.add(at, "no rows cannot be computed together", "use 1 or more");
    }
    let kind = form.kind.as_ref()?;
    let limits = lower_limits(kind.value.0, form.limits.as_ref(), faults);
    let precision = precision(form);
    check_precision(form, kind, precision, &limits, faults);
    let unsupported = form.unsupported.as_ref().map(|words| words.iter().map(|word| word.value.0).collect());
    Some(Device {
        name: form.name.as_ref()?.value.clone(),
        kind: kind.value.0,
        class: precision.of(&profiled_device(form)?.value),
        memory: form.memory.as_ref()?.value,
        precision,
        unsupported: unsupported.unwrap_or_else(|| kind.value.0.unsupported()),
        limits,
        traffic: form.traffic.as_ref().map(|traffic| traffic.value),
        power: form.power.as_ref().and_then(|power| lower_power(power, faults)),
    })
}

/// What a device of this kind accepts, where `form` does not say otherwise.
fn lower_limits(kind: DeviceKind, form: Option<&LimitsForm>, faults: &mut Faults) -> Limits {
    let usual = kind.limits();
    let Some(form) = form else { return usual };
    if let Some([]) = form.precisions.as_deref() {
        faults.add(&form.at, "a device that computes in no precision can run nothing", "name one, such as \"fp16\"");
    }
    let precisions = form.precisions.as_ref().map(|words| words.iter().map(|word| word.value.0).collect());
    let mut limit = |given: &Option<At<u64>>, usual: Option<u32>| {
        let Some(At { value, at }) = given else { return usual };
        if *value == 0 {
            faults.add(at, "a device that accepts nothing can run nothing", "use 1 or more");
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
    faults: &mut Faults,
) {
    let at = form.precision.as_ref().map_or(&kind.at, |precision| &precision.at);
    if let Some(possible) = limits.precisions.as_ref().filter(|possible| !possible.contains(&precision))
        && let Some(best) = possible.first()
    {
        let names: Vec<&str> = possible.iter().map(|precision| precision.name()).collect();
        let cause = format!("the device computes in {}, not in {precision}", names.join(" or "));
        faults.add(at, cause, format!("write `precision = \"{best}\"`"));
    }
    if precision != Precision::Fp32 && (form.cpu.is_some() || form.agent.is_some()) {
        let cause = format!("`cpu` and `agent` compute in fp32, not in {precision}");
        faults.add(at, cause, "leave out `precision`, or `cpu` and `agent`");
    }
}

fn lower_power(form: &PowerForm, faults: &mut Faults) -> Option<Power> {
    let (idle, active) = (form.idle.as_ref()?, form.active.as_ref()?);
    if active.value < idle.value {
        let fault =
            faults.add(&active.at, "the device draws less while it computes", "use at least what it draws idle");
        fault.beside(&idle.at, "idle");
    }
    Some(Power { idle: idle.value, active: active.value })
}

/// The cores of this machine that each device is.
pub(super) fn lower_units(form: &ScenarioForm, faults: &mut Faults) -> Vec<Option<Unit>> {
    let devices = form.devices.iter().flatten();
    devices.map(|device| device.cpu.as_ref().and_then(|cpu| lower_unit(cpu, faults))).collect()
}

/// The agent that each device is.
pub(super) fn lower_agents(form: &ScenarioForm, faults: &mut Faults) -> Vec<Option<AgentAddress>> {
    let mut known: BTreeMap<String, Span> = BTreeMap::new();
    let mut agents = Vec::new();
    for device in form.devices.iter().flatten() {
        agents.push(device.agent.as_ref().and_then(|agent| lower_agent(agent, faults)));
        let Some(address) = device.agent.as_ref().and_then(|agent| agent.address.as_ref()) else { continue };
        if device.cpu.is_some() {
            let cause = "a device is cores of this machine or an agent, not both";
            faults.add(&address.at, cause, "leave out `cpu` or `agent`");
        }
        if let Some(earlier) = known.insert(address.value.clone(), address.at.clone()) {
            let cause = format!("two devices are the agent at `{}`", shorten(&address.value));
            faults.add(&address.at, cause, "start an agent for each device").label("second").beside(&earlier, "first");
        }
    }
    agents
}

fn lower_agent(form: &AgentForm, faults: &mut Faults) -> Option<AgentAddress> {
    let At { value: address, at } = form.address.clone()?;
    let is_name =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-.:_[]".contains(c));
    let parts = address.rsplit_once(':').filter(|(host, _)| is_name(host));
    if parts.and_then(|(_, port)| port.parse::<u16>().ok()).is_none_or(|port| port == 0) {
        let cause = format!("`{}` is no host with a port", shorten(&address));
        faults.add(&at, cause, "write for example `10.0.0.2:7071` or `[fd00::2]:7071`");
    }
    let server_name = form.server_name.as_ref();
    if let Some(name) = server_name.filter(|name| !is_name(&name.value)) {
        let cause = format!("`{}` is no name of a host", shorten(&name.value));
        faults.add(&name.at, cause, "write the name that its certificate is for");
    }
    Some(AgentAddress { address, server_name: server_name.map(|name| name.value.clone()) })
}

/// The unit of this board that each device is.
pub(super) fn lower_tensorrt(form: &ScenarioForm, faults: &mut Faults) -> Vec<Option<TensorrtUnit>> {
    let mut known: BTreeMap<Option<u64>, Span> = BTreeMap::new();
    let mut units = Vec::new();
    for device in form.devices.iter().flatten() {
        let unit = device.tensorrt.as_ref();
        units.push(unit.and_then(|unit| lower_tensorrt_unit(device, unit, faults)));
        let (Some(unit), Some(kind)) = (unit, &device.kind) else { continue };
        let core = unit.dla_core.as_ref();
        let at = core.map_or(&kind.at, |core| &core.at);
        if device.cpu.is_some() || device.agent.is_some() {
            let cause = "a device is cores of this machine, an agent or of TensorRT, one of these";
            faults.add(at, cause, "leave out all but one of `cpu`, `agent` and `tensorrt`");
        }
        let core = core.map(|core| core.value);
        let is_known = core.is_some() || kind.value.0.is_gpu();
        if is_known && let Some(earlier) = known.insert(core, at.clone()) {
            let unit = core.map_or_else(|| "the GPU".into(), |core| format!("DLA core {core}"));
            let cause = format!("two devices are {unit} of this board");
            faults.add(at, cause, "keep one of them").label("second").beside(&earlier, "first");
        }
    }
    units
}

fn lower_tensorrt_unit(device: &DeviceForm, form: &TensorrtForm, faults: &mut Faults) -> Option<TensorrtUnit> {
    let kind = device.kind.as_ref()?;
    let is_dla = kind.value.0 == DeviceKind::Dla;
    let precision = precision(device);
    match &form.dla_core {
        None if matches!(kind.value.0, DeviceKind::Cpu | DeviceKind::Board) => {
            faults.add(&kind.at, "TensorRT runs a GPU or a DLA", "use `kind = \"igpu\"`, `\"gpu\"` or `\"dla\"`");
        }
        None if is_dla => {
            faults.add(
                &kind.at,
                "nothing says which DLA it is",
                "write `tensorrt = { dla_core = 0 }`, or another `kind`",
            );
        }
        Some(core) if !is_dla => {
            faults.add(&core.at, "the device is no DLA by its `kind`", "leave `dla_core` out, or use `kind = \"dla\"`");
        }
        Some(core) if core.value > CORE_OF_DLA_MAX => {
            let cause = format!("no board has a DLA core {}", core.value);
            faults.add(&core.at, cause, "use 0 or 1");
        }
        _ => {}
    }
    if let (None, Some(fallback)) = (&form.dla_core, &form.gpu_fallback) {
        faults.add(&fallback.at, "the GPU falls back to nothing", "leave it out, or name a `dla_core`");
    }
    Some(TensorrtUnit {
        dla_core: form.dla_core.as_ref().map(|core| core.value as u32),
        gpu_fallback: form.dla_core.is_some() && form.gpu_fallback.as_ref().is_none_or(|fallback| fallback.value),
        precision,
    })
}

/// Boards have two DLAs at most.
const CORE_OF_DLA_MAX: u64 = 1;

fn lower_unit(form: &CpuForm, faults: &mut Faults) -> Option<Unit> {
    let text = form.cores.as_ref()?;
    let cores = parse_cores(&text.value);
    if cores.is_none() {
        let cause = format!("`{}` names no cores", shorten(&text.value));
        faults.add(&text.at, cause, format!("write for example `0`, `0-3` or `0,2`, up to {CORE_MAX}"));
    }
    let cores = cores?;
    let threads = form.threads.as_ref().map_or(cores.len() as u64, |threads| threads.value);
    if !(1..=cores.len() as u64).contains(&threads) {
        let at = &form.threads.as_ref()?.at;
        let cause = format!("{threads} threads do not fit on {} cores", cores.len());
        faults.add(at, cause, format!("use 1 to {}", cores.len()));
    }
    let slowed = form.slowed.as_ref().map_or(1.0, |slowed| slowed.value);
    if !(1.0..=100.0).contains(&slowed) {
        let cause = format!("no device is slowed {slowed} times");
        faults.add(&form.slowed.as_ref()?.at, cause, "use how many times as long steps take, from 1 to 100");
    }
    Some(Unit { cores, threads: threads as usize, slowed })
}

struct Links {
    names: Names,
    /// Where each pair of devices is joined, by the direction of data.
    joined: BTreeMap<(u32, u32), Span>,
}

impl Links {
    fn lower(&mut self, form: &LinkForm, devices: &Names, faults: &mut Faults) -> Vec<Link> {
        self.names.insert(form.name.as_ref(), faults);
        if let Some(name) = form.name.as_ref().filter(|name| name.value.contains('>')) {
            faults.add(&name.at, "a link's name has no `>`, which tells its directions apart", "use another name");
        }
        let Some(ends) = form.between.as_deref() else {
            return Vec::new();
        };
        let found: Vec<Option<u32>> = ends.iter().map(|end| devices.find(end, faults)).collect();
        let at = ends.first().map_or(form.at.clone(), |end| end.at.clone());
        let (&[Some(from), Some(to)], [first, second]) = (found.as_slice(), ends) else {
            if ends.len() != 2 {
                let cause = format!("a link is between two devices, not {}", ends.len());
                faults.add(&at, cause, "write for example `between = [\"cpu\", \"gpu\"]`");
            }
            return Vec::new();
        };
        if from == to {
            let cause = format!("the link leads from `{}` to itself", first.value);
            faults.add(&second.at, cause, "name two different devices");
            return Vec::new();
        }
        let duplex = form.duplex.as_ref().map_or(Duplex::Full, |&At { value: Word(duplex), .. }| duplex);
        let both = [(from, to), (to, from)];
        let directions = if duplex == Duplex::OneWay { &both[..1] } else { &both[..] };
        if let Some(earlier) = directions.iter().find_map(|pair| self.joined.get(pair)) {
            let cause = format!("a second link joins `{}` and `{}`", first.value, second.value);
            let remedy = "keep one of them, or use one link for each direction with `duplex = \"one_way\"`";
            faults.add(&at, cause, remedy).label("second").beside(earlier, "first");
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
