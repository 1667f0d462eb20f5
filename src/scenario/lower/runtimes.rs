//! What runs the devices of the form in profiles and replays.

use std::collections::BTreeMap;

use crate::platform::{AgentAddress, CORE_MAX, Cores, DeviceKind, Precision, Runtime, TensorrtUnit, parse_cores};
use crate::scenario::decode::{At, shorten};
use crate::scenario::diagnostic::{Mistakes, Span};
use crate::scenario::form::{AgentForm, CpuForm, DeviceForm, RuntimeForm, ScenarioForm, TensorrtForm};
use crate::scenario::lower::curves::precision;

/// What runs each device of `form`.
pub(super) fn lower(form: &ScenarioForm, mistakes: &mut Mistakes) -> Vec<Runtime> {
    let mut runtimes = Runtimes::default();
    let lower = |device| {
        let runtime = runtimes.lower(device, mistakes);
        check_precision(device, &runtime, mistakes);
        runtime
    };
    form.devices.iter().flatten().map(lower).collect()
}

fn check_precision(device: &DeviceForm, runtime: &Runtime, mistakes: &mut Mistakes) {
    let precision = precision(device);
    let at = device.precision.as_ref().map(|precision| &precision.at);
    if precision != Precision::Fp32
        && matches!(runtime, Runtime::Cores(_) | Runtime::Agent(_))
        && let Some(at) = at
    {
        let cause = format!("`cpu` and `agent` compute in fp32, not in {precision}");
        mistakes.add(at, cause, "leave out `precision`, or `cpu` and `agent`");
    }
}

/// What earlier devices are, since no two can be the same.
#[derive(Default)]
struct Runtimes {
    /// By address.
    agents: BTreeMap<String, Span>,
    /// By core of a DLA; the GPU is `None`.
    units: BTreeMap<Option<u64>, Span>,
}

impl Runtimes {
    /// What runs `device`; nothing if `mistakes` has more than before.
    fn lower(&mut self, device: &DeviceForm, mistakes: &mut Mistakes) -> Runtime {
        let short = RuntimeForm {
            cpu: device.cpu.clone(),
            agent: device.agent.clone(),
            tensorrt: device.tensorrt.clone(),
            mock: None,
            at: device.at.clone(),
        };
        // That a `runtime` is several was said when it was read.
        let mut found = device.runtime.as_ref().map_or_else(Vec::new, |form| self.named(form, device, mistakes));
        found.truncate(1);
        found.extend(self.named(&short, device, mistakes));
        if let [(first, first_at, _), (second, second_at, _), ..] = found.as_slice() {
            let cause = format!("a device has one runtime, and this one has both `{first}` and `{second}`");
            mistakes.add(second_at, cause, "keep one of them").label("second").beside(first_at, "first");
        }
        found.into_iter().next().and_then(|(.., runtime)| runtime).unwrap_or_default()
    }

    /// Each runtime that `form` names, with its key and where it stands.
    fn named(
        &mut self,
        form: &RuntimeForm,
        device: &DeviceForm,
        mistakes: &mut Mistakes,
    ) -> Vec<(&'static str, Span, Option<Runtime>)> {
        let mut found = Vec::new();
        if let Some(cpu) = &form.cpu {
            found.push(("cpu", cpu.at.clone(), lower_cores(cpu, mistakes).map(Runtime::Cores)));
        }
        if let Some(agent) = &form.agent {
            found.push(("agent", agent.at.clone(), self.lower_agent(agent, mistakes).map(Runtime::Agent)));
        }
        if let Some(unit) = &form.tensorrt {
            found.push(("tensorrt", unit.at.clone(), self.lower_unit(device, unit, mistakes).map(Runtime::Tensorrt)));
        }
        found.extend(form.mock.as_ref().map(|mock| ("mock", mock.at.clone(), Some(Runtime::Mock))));
        found
    }

    fn lower_agent(&mut self, form: &AgentForm, mistakes: &mut Mistakes) -> Option<AgentAddress> {
        let At { value: address, at } = form.address.clone()?;
        let is_name =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-.:_[]".contains(c));
        let parts = address.rsplit_once(':').filter(|(host, _)| is_name(host));
        if parts.and_then(|(_, port)| port.parse::<u16>().ok()).is_none_or(|port| port == 0) {
            let cause = format!("`{}` is no host with a port", shorten(&address));
            mistakes.add(&at, cause, "write for example `10.0.0.2:7071` or `[fd00::2]:7071`");
        }
        let server_name = form.server_name.as_ref();
        if let Some(name) = server_name.filter(|name| !is_name(&name.value)) {
            let cause = format!("`{}` is no name of a host", shorten(&name.value));
            mistakes.add(&name.at, cause, "write the name that its certificate is for");
        }
        if let Some(earlier) = self.agents.insert(address.clone(), at.clone()) {
            let cause = format!("two devices are the agent at `{}`", shorten(&address));
            mistakes.add(&at, cause, "start an agent for each device").label("second").beside(&earlier, "first");
        }
        Some(AgentAddress { address, server_name: server_name.map(|name| name.value.clone()) })
    }

    fn lower_unit(
        &mut self,
        device: &DeviceForm,
        form: &TensorrtForm,
        mistakes: &mut Mistakes,
    ) -> Option<TensorrtUnit> {
        let kind = device.kind.as_ref()?;
        let is_dla = kind.value.0 == DeviceKind::Dla;
        match &form.dla_core {
            None if matches!(kind.value.0, DeviceKind::Cpu | DeviceKind::Board) => {
                mistakes.add(&kind.at, "TensorRT runs a GPU or a DLA", "use `kind = \"igpu\"`, `\"gpu\"` or `\"dla\"`");
            }
            None if is_dla => {
                let remedy = "write `tensorrt = { dla_core = 0 }`, or another `kind`";
                mistakes.add(&kind.at, "nothing says which DLA it is", remedy);
            }
            Some(core) if !is_dla => {
                let remedy = "leave `dla_core` out, or use `kind = \"dla\"`";
                mistakes.add(&core.at, "the device is no DLA by its `kind`", remedy);
            }
            Some(core) if core.value > CORE_OF_DLA_MAX => {
                let cause = format!("no board has a DLA core {}", core.value);
                mistakes.add(&core.at, cause, "use 0 or 1");
            }
            _ => {}
        }
        if let (None, Some(fallback)) = (&form.dla_core, &form.gpu_fallback) {
            mistakes.add(&fallback.at, "the GPU falls back to nothing", "leave it out, or name a `dla_core`");
        }
        let core = form.dla_core.as_ref().map(|core| core.value);
        let is_known = core.is_some() || kind.value.0.is_gpu();
        let at = form.dla_core.as_ref().map_or(&kind.at, |core| &core.at);
        if is_known && let Some(earlier) = self.units.insert(core, at.clone()) {
            let unit = core.map_or_else(|| "the GPU".into(), |core| format!("DLA core {core}"));
            let cause = format!("two devices are {unit} of this board");
            mistakes.add(at, cause, "keep one of them").label("second").beside(&earlier, "first");
        }
        Some(TensorrtUnit {
            dla_core: core.map(|core| core as u32),
            gpu_fallback: core.is_some() && form.gpu_fallback.as_ref().is_none_or(|fallback| fallback.value),
            precision: precision(device),
        })
    }
}

/// Boards have two DLAs at most.
const CORE_OF_DLA_MAX: u64 = 1;

fn lower_cores(form: &CpuForm, mistakes: &mut Mistakes) -> Option<Cores> {
    let text = form.cores.as_ref()?;
    let cores = parse_cores(&text.value);
    if cores.is_none() {
        let cause = format!("`{}` names no cores", shorten(&text.value));
        mistakes.add(&text.at, cause, format!("write for example `0`, `0-3` or `0,2`, up to {CORE_MAX}"));
    }
    let cores = cores?;
    let threads = form.threads.as_ref().map_or(cores.len() as u64, |threads| threads.value);
    if !(1..=cores.len() as u64).contains(&threads) {
        let at = &form.threads.as_ref()?.at;
        let cause = format!("{threads} threads do not fit on {} cores", cores.len());
        mistakes.add(at, cause, format!("use 1 to {}", cores.len()));
    }
    let slowed = form.slowed.as_ref().map_or(1.0, |slowed| slowed.value);
    if !(1.0..=100.0).contains(&slowed) {
        let cause = format!("no device is slowed {slowed} times");
        mistakes.add(&form.slowed.as_ref()?.at, cause, "use how many times as long steps take, from 1 to 100");
    }
    Some(Cores { cores, threads: threads as usize, slowed })
}
