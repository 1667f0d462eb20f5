//! From the form to the problem and the strategies, with every fault of meaning.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::decode::{At, Decode, shorten};
use super::diagnostic::{Faults, did_you_mean};
use super::document::Node;
use super::form::{DeviceForm, LoadForm, ModelForm, ScenarioForm, StrategyForm};
use super::hardware;
use super::names::Names;
use super::networks;
use super::parsed::Parsed;
use super::profiles::{Profiles, Traces};
use super::{Case, Entry, Files, Profile};
use crate::cost;
use crate::cost::{Curve, Lookup, Parts, TraceCosts};
use crate::model::{Graph, ModelId};
use crate::platform::{DeviceId, Platform, Slowdown};
use crate::problem::{Load, Model, Problem};
use crate::replay::cpu::Unit;
use crate::strategy::Strategy;

/// Samples of a load.
const SAMPLES_MAX: u64 = 1_000_000;

/// The case that `root` describes. `None` if `faults` has more than before.
pub(super) fn lower(root: &Node, files: &Files, faults: &mut Faults) -> Option<Case> {
    let known = faults.len();
    let form = ScenarioForm::decode(root, faults)?;
    for (key, example) in [("devices", "[[devices]]"), ("models", "[[models]]"), ("strategies", "[[strategies]]")] {
        if let Some(node) = root.get(key)
            && node.as_list().is_some_and(<[Node]>::is_empty)
        {
            faults.add(&node.at, format!("there are no {key}"), format!("add one with `{example}`"));
        }
    }
    let load = form.load.as_ref().and_then(|load| lower_load(load, faults));
    let (mut platform, devices) = hardware::lower(&form, faults);
    let is_platform_whole = faults.len() == known;
    let baseline = form.baseline.as_ref().and_then(|name| devices.find(name, faults)).map(DeviceId);
    let units = hardware::lower_units(&form, faults);
    let seed = form.seed.as_ref().map_or(0, |seed| seed.value);
    let networks = networks::lower(&form, seed, &devices, &files.networks, faults);
    if is_platform_whole {
        networks::find_unreachable(&platform, &networks, faults);
    }
    let curves = Curves::new(&form, &files.traces);
    if files.traces.are_read() {
        curves.check(faults);
    }
    let strategies = lower_strategies(&form, &devices, faults);
    if faults.len() > known {
        return None;
    }
    let imported: Vec<String> = networks.iter().flat_map(|network| network.notes.clone()).collect();
    let (models, weights): (Vec<Model>, _) =
        networks.into_iter().map(|network| (network.model, network.weights)).unzip();
    let graphs: Vec<&Graph> = models.iter().map(|model| &model.graph).collect();
    let costs = TraceCosts::new(&platform, &graphs, |device, model| cost::Profile {
        whole: curves.get(device, model),
        parts: curves.parts(device, model, graphs[model.0 as usize]),
    });
    let notes = imported.into_iter().chain(curves.notes(&platform, &models)).collect();
    let contention = form.contention.as_ref().is_some_and(|contention| contention.value);
    if contention && form.slowdowns.is_none() {
        platform.interference.slowdowns = curves.slowdowns();
    }
    let problem = Problem { contention, ..Problem::new(models, platform, load?, costs) };
    let profiles = curves.profiles(&units);
    let mut notes: Vec<String> = notes;
    notes.extend(profiles.iter().flatten().filter_map(|profile| profile.mismatch.clone()));
    let profiled_models = curves.models.iter().filter_map(|model| Some(profiled_model(model)?.value.clone())).collect();
    Some(Case { problem, strategies, baseline, seed, notes, weights, units, profiles, profiled_models })
}

fn lower_load(form: &LoadForm, faults: &mut Faults) -> Option<Load> {
    let samples = form.offline.as_ref()?.samples.as_ref()?;
    if !(1..=SAMPLES_MAX).contains(&samples.value) {
        let cause = format!("a load of {} samples cannot be simulated", samples.value);
        faults.add(&samples.at, cause, format!("use 1 to {SAMPLES_MAX}"));
        return None;
    }
    Some(Load::Offline { samples: samples.value as u32 })
}

/// What traces say of each device and model.
struct Curves<'a> {
    traces: &'a Traces,
    devices: Vec<&'a DeviceForm>,
    models: Vec<&'a ModelForm>,
    lookup: Lookup,
    extrapolate: bool,
}

impl<'a> Curves<'a> {
    fn new(form: &'a ScenarioForm, traces: &'a Traces) -> Curves<'a> {
        let costs = form.costs.as_ref();
        let lookup = costs.and_then(|costs| costs.lookup.as_ref());
        let extrapolate = costs.and_then(|costs| costs.extrapolate_unpredictable.as_ref());
        Curves {
            traces,
            devices: form.devices.iter().flatten().collect(),
            models: form.models.iter().flatten().collect(),
            lookup: lookup.map_or(Lookup::default(), |lookup| lookup.value.0),
            extrapolate: extrapolate.is_some_and(|extrapolate| extrapolate.value),
        }
    }

    /// The trace of a device, and what it calls the device and the model.
    fn names(&self, device: DeviceId, model: ModelId) -> Option<[&'a str; 3]> {
        let (device, model) = (self.devices[device.0 as usize], self.models[model.0 as usize]);
        let trace = device.trace.as_ref()?;
        Some([&trace.value, &profiled_device(device)?.value, &profiled_model(model)?.value])
    }

    fn get(&self, device: DeviceId, model: ModelId) -> Option<Curve> {
        let [trace, device, model] = self.names(device, model)?;
        self.traces.curve(trace, device, model, self.lookup, self.extrapolate)
    }

    fn parts(&self, device: DeviceId, model: ModelId, graph: &Graph) -> Option<Arc<Parts>> {
        let [trace, device, model] = self.names(device, model)?;
        self.traces.parts(trace, device, model, graph, self.lookup, self.extrapolate)
    }

    /// Traces must have their devices, and some device must know each model.
    fn check(&self, faults: &mut Faults) {
        let known = faults.len();
        let mut profiled: BTreeSet<&str> = BTreeSet::new();
        let mut is_complete = true;
        for device in &self.devices {
            let (Some(trace), Some(profile)) = (&device.trace, profiled_device(device)) else {
                continue;
            };
            let Some(profiles) = self.traces.get(&trace.value) else {
                is_complete = false;
                continue;
            };
            if !profiles.devices().any(|device| device == profile.value) {
                let cause = format!("the trace has no device called `{}`", shorten(&profile.value));
                let remedy = did_you_mean(&profile.value, profiles.devices(), "devices of the trace");
                let remedy = format!("{remedy} (`profile` says what the trace calls a device)");
                faults.add(&profile.at, cause, remedy).beside(&trace.at, "the trace");
            }
            profiled.extend(profiles.models(&profile.value));
        }
        if !is_complete || faults.len() > known {
            return;
        }
        for model in &self.models {
            let Some(profile) = profiled_model(model) else {
                continue;
            };
            if !profiled.contains(profile.value.as_str()) {
                let cause = format!("no trace has the time of `{}`", shorten(&profile.value));
                let remedy = if profiled.is_empty() {
                    "give a device a `trace` that has it".to_owned()
                } else {
                    let remedy = did_you_mean(&profile.value, &profiled, "models of the traces");
                    format!("{remedy} (`profile` says what traces call a model)")
                };
                faults.add(&profile.at, cause, remedy);
            }
        }
    }

    /// By device, where its profile is.
    fn profiles(&self, units: &[Option<Unit>]) -> Vec<Option<Profile>> {
        let profile = |(form, unit): (&&DeviceForm, &Option<Unit>)| {
            let trace = &form.trace.as_ref()?.value;
            let profiles = self.traces.get(trace);
            let device = profiled_device(form)?.value.clone();
            let profiled = profiles.and_then(|profiles| profiles.unit(&device));
            let differs = profiled.zip(unit.as_ref()).filter(|(profiled, unit)| *profiled != unit.to_string());
            let mismatch = differs.map(|(profiled, unit)| {
                let name = form.name.as_ref().map_or(device.as_str(), |name| &name.value);
                format!("`{name}` was profiled as {profiled}, and the scenario says {unit}; run `coinfer profile`")
            });
            let taken_on = profiles.map(Profiles::taken_on);
            Some(Profile { trace: self.traces.path(trace), device, taken_on, mismatch })
        };
        self.devices.iter().zip(units).map(profile).collect()
    }

    /// How much devices slow each other, as far as their traces say.
    fn slowdowns(&self) -> Vec<Slowdown> {
        let models: BTreeSet<&str> =
            self.models.iter().filter_map(|model| Some(profiled_model(model)?.value.as_str())).collect();
        let mut slowdowns = Vec::new();
        for (index, device) in (0..).zip(&self.devices) {
            let Some(profiles) = device.trace.as_ref().and_then(|trace| self.traces.get(&trace.value)) else {
                continue;
            };
            for (busy_index, busy) in (0..).zip(&self.devices).filter(|(busy, _)| *busy != index) {
                let (Some(name), Some(busy_name)) = (profiled_device(device), profiled_device(busy)) else { continue };
                let Some(factor) = profiles.slowdown(&name.value, &busy_name.value, &models) else { continue };
                let excess_ppm = ((factor - 1.0).clamp(0.0, 99.0) * 1e6).round() as u32;
                slowdowns.push(Slowdown { device: DeviceId(index), busy: DeviceId(busy_index), excess_ppm });
            }
        }
        slowdowns
    }

    fn notes(&self, platform: &Platform, models: &[Model]) -> Vec<String> {
        let mut notes = Vec::new();
        for (index, model) in models.iter().enumerate() {
            for device in platform.device_ids() {
                let curve = self.get(device, ModelId(index as u32));
                let Some((curve, why)) = curve.as_ref().and_then(|curve| Some((curve, curve.unpredictable()?))) else {
                    continue;
                };
                let last = curve.batch_max();
                let consequence = match self.extrapolate {
                    true => format!("figures beyond batch {last} reproduce the lookup and predict nothing"),
                    false => format!("not extrapolated beyond batch {last}"),
                };
                let (model, device) = (model.graph.name(), &platform.device(device).name);
                notes.push(format!("{model} on {device}: {why}; {consequence}"));
            }
        }
        notes
    }
}

/// What its trace calls a device.
fn profiled_device(device: &DeviceForm) -> Option<&At<String>> {
    device.profile.as_ref().or(device.name.as_ref())
}

/// What traces call a model.
fn profiled_model(model: &ModelForm) -> Option<&At<String>> {
    model.profile.as_ref().or(model.zoo.as_ref()).or(model.name.as_ref())
}

fn lower_strategies(form: &ScenarioForm, devices: &Names, faults: &mut Faults) -> Vec<Entry> {
    let mut names = Names::new("strategies");
    let mut entries = Vec::new();
    for entry in form.strategies.iter().flatten() {
        check_strategy(entry, devices, faults);
        let Some((kind, strategy)) = strategy(entry) else {
            continue;
        };
        let name = entry.name.clone().unwrap_or_else(|| At { value: kind.to_owned(), at: entry.at.clone() });
        names.insert(Some(&name), faults);
        entries.push(Entry { name: name.value, strategy });
    }
    entries
}

/// The strategy of an entry and the key of its table.
fn strategy(form: &StrategyForm) -> Option<(&'static str, Box<dyn Strategy>)> {
    fn boxed<T: Strategy + Clone + 'static>(parsed: &Option<Parsed<T>>) -> Option<Box<dyn Strategy>> {
        Some(Box::new(parsed.as_ref()?.value.clone()))
    }
    let strategies = [
        boxed(&form.greedy),
        boxed(&form.single),
        boxed(&form.micro_batched_single),
        boxed(&form.even),
        boxed(&form.proportional),
        boxed(&form.guided),
        boxed(&form.exact),
    ];
    let strategy = strategies.into_iter().flatten().next()?;
    Some((strategy.name(), strategy))
}

/// What serde does not check of strategies.
fn check_strategy(form: &StrategyForm, devices: &Names, faults: &mut Faults) {
    if let Some(greedy) = &form.greedy
        && greedy.value.threshold <= 0.0
    {
        let cause = format!("a threshold of {} lets no sample move", greedy.value.threshold);
        faults.add(greedy.at_key("threshold"), cause, "use a number above 0; 1.0 is the published value");
    }
    let single = form.single.as_ref().map(|single| (&single.value.device, single.at_key("device")));
    let micro = form.micro_batched_single.as_ref();
    let micro = micro.map(|single| (&single.value.device, single.at_key("device")));
    for (device, at) in single.into_iter().chain(micro) {
        if let Some(device) = device {
            devices.find(&At { value: device.clone(), at: at.clone() }, faults);
        }
    }
}
