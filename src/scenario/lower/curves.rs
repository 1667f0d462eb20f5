//! What the traces of a scenario say of its devices and models.

use std::collections::BTreeSet;

use crate::cost::{self, Curve, Lookup, Speed};
use crate::model::{Graph, ModelId};
use crate::platform::{DeviceId, Platform, Precision, Slowdown};
use crate::problem::Model;
use crate::scenario::Profile;
use crate::scenario::decode::{At, shorten};
use crate::scenario::diagnostic::{Mistakes, did_you_mean};
use crate::scenario::form::{DeviceForm, ModelForm, ScenarioForm};
use crate::scenario::profiles::{Profiles, TraceNames, Traces};
use crate::units::{Duration, Share};

/// What traces say of each device and model.
pub(super) struct Curves<'a> {
    traces: &'a Traces,
    devices: Vec<&'a DeviceForm>,
    models: Vec<&'a ModelForm>,
    lookup: Lookup,
    extrapolate: bool,
}

impl<'a> Curves<'a> {
    pub(super) fn new(form: &'a ScenarioForm, traces: &'a Traces) -> Curves<'a> {
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

    /// A model on a device, if that has a trace.
    fn profiled(&self, device: DeviceId, model: ModelId, share: Share) -> Option<TraceNames<'a>> {
        let (device, model) = (self.devices[device.0 as usize], self.models[model.0 as usize]);
        Some(TraceNames {
            trace: &device.trace.as_ref()?.value,
            device: &profiled_device(device)?.value,
            precision: precision(device),
            model: profiled_model(model)?.value,
            share,
        })
    }

    /// What a model takes on a device.
    fn whole(&self, device: DeviceId, model: ModelId) -> Option<Curve> {
        self.traces.curve(&self.profiled(device, model, Share::FULL)?, self.lookup, self.extrapolate)
    }

    /// What is known of a model on a device and on parts of it.
    pub(super) fn profile(&self, device: DeviceId, model: ModelId, graph: &Graph) -> cost::Profile {
        let of_share = |share: Share| {
            let profiled = self.profiled(device, model, share)?;
            let whole = self.traces.curve(&profiled, self.lookup, self.extrapolate);
            let parts = self.traces.parts(&profiled, graph, self.lookup, self.extrapolate);
            let is_known = whole.is_some() || parts.is_some();
            is_known.then_some(cost::Profile { whole, parts, ..cost::Profile::default() })
        };
        let trace = self.devices[device.0 as usize].trace.as_ref();
        let shares = trace.and_then(|trace| self.traces.get(&trace.value)).into_iter().flat_map(Profiles::shares);
        let shares = shares.filter_map(|share| Some((share, of_share(share)?))).collect();
        cost::Profile { speed: self.speed(device), shares, ..of_share(Share::FULL).unwrap_or_default() }
    }

    /// How fast a device computes what its trace does not have.
    fn speed(&self, device: DeviceId) -> Option<Speed> {
        let form = &self.devices[device.0 as usize];
        let speed = form.speed.as_ref()?;
        let count =
            |given: &Option<At<u64>>| given.as_ref().map_or(1, |given| given.value.clamp(1, u32::MAX.into()) as u32);
        Some(Speed {
            rate: speed.rate.as_ref()?.value,
            step: speed.step.as_ref().map_or(Duration::ZERO, |step| step.value),
            row_tile: count(&speed.row_tile),
            units: count(&form.units),
            unit_tile: count(&speed.unit_tile),
        })
    }

    /// Traces must have their devices, and some device must know each model.
    pub(super) fn check(&self, mistakes: &mut Mistakes) {
        let known = mistakes.len();
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
                mistakes.add(&profile.at, cause, remedy).beside(&trace.at, "the trace");
            }
            profiled.extend(profiles.models(&profile.value, precision(device)));
        }
        if !is_complete || mistakes.len() > known {
            return;
        }
        if self.devices.iter().any(|device| device.speed.is_some()) {
            return; // it can compute any network whose layers are known
        }
        for model in &self.models {
            let Some(profile) = profiled_model(model) else {
                continue;
            };
            if !profiled.contains(profile.value.as_str()) {
                let cause = format!("no trace has the time of `{}`", shorten(&profile.value));
                let others = self.other_precisions(&profile.value);
                if !others.is_empty() {
                    let cause = format!("{cause} in what its device computes in: {}", others.join(", "));
                    mistakes.add(&profile.at, cause, "set the `precision` of a device, or profile it in that");
                    continue;
                }
                let remedy = if profiled.is_empty() {
                    "give a device a `trace` that has it".to_owned()
                } else {
                    let remedy = did_you_mean(&profile.value, &profiled, "models of the traces");
                    format!("{remedy} (`profile` says what traces call a model)")
                };
                mistakes.add(&profile.at, cause, remedy);
            }
        }
    }

    /// Where traces have a model, but not in what the device computes in.
    fn other_precisions(&self, model: &str) -> Vec<String> {
        let other = |device: &&DeviceForm| {
            let (trace, profile) = (device.trace.as_ref()?, profiled_device(device)?);
            let known: Vec<&str> =
                self.traces.get(&trace.value)?.precisions(&profile.value, model).map(Precision::name).collect();
            let (device, own) = (shorten(&device.name.as_ref()?.value), precision(device));
            let is_other = !known.is_empty() && !known.contains(&own.name());
            is_other.then(|| format!("`{device}` computes in {own} and was profiled in {}", known.join(" and ")))
        };
        self.devices.iter().filter_map(other).collect()
    }

    /// By device, where its profile is; `units` say what devices are.
    pub(super) fn profiles(&self, units: &[Option<String>]) -> Vec<Option<Profile>> {
        let profile = |(form, unit): (&&DeviceForm, &Option<String>)| {
            let trace = &form.trace.as_ref()?.value;
            let profiles = self.traces.get(trace);
            let device = profiled_device(form)?.value.clone();
            let profiled = profiles.and_then(|profiles| profiles.unit(&device));
            let differs = profiled.zip(unit.as_ref()).filter(|(profiled, unit)| profiled != unit);
            let mismatch = differs.map(|(profiled, unit)| {
                let name = form.name.as_ref().map_or(device.as_str(), |name| &name.value);
                format!("`{name}` was profiled as {profiled}, and the scenario says {unit}; run `coinfer profile`")
            });
            let taken_on = profiles.map(Profiles::taken_on);
            let unit = profiled.map(str::to_owned);
            Some(Profile { trace: self.traces.path(trace), device, taken_on, unit, mismatch })
        };
        self.devices.iter().zip(units).map(profile).collect()
    }

    /// How much devices slow each other, as far as their traces say.
    pub(super) fn slowdowns(&self) -> Vec<Slowdown> {
        let names = self.profiled_models();
        let models: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        let mut slowdowns = Vec::new();
        for (index, device) in (0..).zip(&self.devices) {
            let Some(profiles) = device.trace.as_ref().and_then(|trace| self.traces.get(&trace.value)) else {
                continue;
            };
            for (busy_index, busy) in (0..).zip(&self.devices).filter(|(busy, _)| *busy != index) {
                let (Some(name), Some(busy_name)) = (profiled_device(device), profiled_device(busy)) else { continue };
                let Some(factor) = profiles.slowdown(&name.value, precision(device), &busy_name.value, &models) else {
                    continue;
                };
                let excess_ppm = ((factor - 1.0).clamp(0.0, 99.0) * 1e6).round() as u32;
                slowdowns.push(Slowdown { device: DeviceId(index), busy: DeviceId(busy_index), excess_ppm });
            }
        }
        slowdowns
    }

    /// What traces call the models.
    pub(super) fn profiled_models(&self) -> Vec<String> {
        self.models.iter().filter_map(|model| Some(profiled_model(model)?.value)).collect()
    }

    /// What the tables of `platform` and `models` do not say.
    pub(super) fn notes(&self, platform: &Platform, models: &[Model]) -> Vec<String> {
        let mut notes = Vec::new();
        for (index, model) in models.iter().enumerate() {
            let profile = profiled_model(self.models[index]);
            let others = profile.iter().flat_map(|profile| self.other_precisions(&profile.value));
            notes.extend(others.map(|other| format!("{}: {other}", model.graph.name())));
            for device in platform.device_ids() {
                let curve = self.whole(device, ModelId(index as u32));
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
pub(super) fn profiled_device(device: &DeviceForm) -> Option<&At<String>> {
    device.profile.as_ref().or(device.name.as_ref())
}

/// What a device computes in.
pub(super) fn precision(device: &DeviceForm) -> Precision {
    device.precision.as_ref().map_or(Precision::default(), |precision| precision.value.0)
}

/// What traces call a model. One that ends early is not the network that its name or that of the zoo stands for.
pub(super) fn profiled_model(model: &ModelForm) -> Option<At<String>> {
    if let Some(profile) = &model.profile {
        return Some(profile.clone());
    }
    let At { value, at } = model.zoo.as_ref().or(model.name.as_ref())?;
    let until = model.until.iter().map(|until| format!("..{}", until.value));
    Some(At { value: format!("{value}{}", until.collect::<String>()), at: at.clone() })
}
