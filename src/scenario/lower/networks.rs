//! Models of the form, as networks: of sizes, from the zoo, or from ONNX files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Graph, Weights, zoo};
use crate::platform::{DeviceId, Platform, RouteError};
use crate::problem::Model;
use crate::scenario::decode::{At, shorten};
use crate::scenario::diagnostic::{Mistakes, Span, did_you_mean};
use crate::scenario::document::Value;
use crate::scenario::form::{ModelForm, OnnxForm, OpaqueForm, ScenarioForm};
use crate::scenario::names::Names;
use crate::scenario::onnx_files::OnnxFiles;
use crate::units::Bytes;

/// A model with what replays need of it.
pub(super) struct Lowered {
    pub(super) model: Model,
    /// `None` if the network's inside is not known.
    pub(super) weights: Option<Arc<Weights>>,
    /// What was left out or converted when it was read from a file.
    pub(super) notes: Vec<String>,
    /// Where its home is named.
    home_at: Option<Span>,
}

/// The models. Those with mistakes are left out.
pub(super) fn lower(form: &ScenarioForm, devices: &Names, files: &OnnxFiles, mistakes: &mut Mistakes) -> Vec<Lowered> {
    let mut names = Names::new("models");
    let mut models = Vec::new();
    for model in form.models.iter().flatten() {
        names.insert(model.name.as_ref(), mistakes);
        let home = model.home.as_ref().and_then(|name| devices.find(name, mistakes)).map(DeviceId);
        let Some(LoweredNetwork { graph, weights, notes }) = lower_network(model, files, mistakes) else { continue };
        let home_at = model.home.as_ref().map(|name| name.at.clone());
        models.push(Lowered { model: Model { graph, home }, weights, notes, home_at });
    }
    models
}

struct LoweredNetwork {
    graph: Graph,
    weights: Option<Arc<Weights>>,
    notes: Vec<String>,
}

fn lower_network(form: &ModelForm, files: &OnnxFiles, mistakes: &mut Mistakes) -> Option<LoweredNetwork> {
    let network = lower_whole(form, files, mistakes)?;
    let Some(until) = &form.until else { return Some(network) };
    let Some((graph, kept)) = network.graph.until(&until.value) else {
        let layers = network.graph.layers().iter().map(|layer| &layer.name);
        let cause = format!("the network has no layer `{}` that is computed", shorten(&until.value));
        mistakes.add(&until.at, cause, did_you_mean(&until.value, layers, "layers"));
        return None;
    };
    Some(LoweredNetwork { graph, weights: network.weights.map(|weights| Arc::new(weights.of_part(&kept))), ..network })
}

fn lower_whole(form: &ModelForm, files: &OnnxFiles, mistakes: &mut Mistakes) -> Option<LoweredNetwork> {
    let name = &form.name.as_ref()?.value;
    if let (Some(seed), None) = (&form.seed, &form.zoo) {
        mistakes.add(
            &seed.at,
            "only weights of the zoo are drawn from a seed",
            "remove it, or name a network of the zoo",
        );
    }
    if let Some(opaque) = &form.opaque {
        return Some(LoweredNetwork { graph: lower_opaque(name, opaque, mistakes)?, weights: None, notes: Vec::new() });
    }
    if let Some(file) = &form.onnx {
        return lower_file(name, file, files, mistakes);
    }
    let zoo = form.zoo.as_ref()?;
    let Some(graph) = zoo::graph(&zoo.value) else {
        let remedy = did_you_mean(&zoo.value, zoo::names(), "networks of the zoo");
        mistakes.add(&zoo.at, "there is no such network in the zoo", remedy);
        return None;
    };
    let seed = form.seed.as_ref().map_or(0, |seed| seed.value);
    let weights = Some(Arc::new(Weights::Seeded(seed)));
    Some(LoweredNetwork { graph: graph.named(name), weights, notes: Vec::new() })
}

fn lower_file(name: &str, form: &OnnxForm, files: &OnnxFiles, mistakes: &mut Mistakes) -> Option<LoweredNetwork> {
    let mut dims = BTreeMap::new();
    for (dim, value) in form.dims.iter().flat_map(|dims| &dims.0) {
        let count = match value.value {
            Value::Integer(count) => u32::try_from(count).ok().filter(|&count| count > 0),
            _ => None,
        };
        match count {
            Some(count) => drop(dims.insert(dim.value.clone(), count)),
            None => drop(mistakes.add(&value.at, "a dimension is a whole number from 1", "write for example `224`")),
        }
    }
    let file = form.file.as_ref()?;
    match files.get(&file.value, dims)? {
        Ok(imported) => Some(LoweredNetwork {
            graph: imported.graph.clone().named(name),
            weights: Some(imported.weights.clone()),
            notes: imported.notes.iter().map(|note| format!("{name}: {note}")).collect(),
        }),
        Err(found) => {
            for fault in found.iter() {
                let cause = format!("`{}`, {}: {}", shorten(&file.value), fault.place, fault.cause);
                mistakes.add(&file.at, cause, &fault.remedy);
            }
            None
        }
    }
}

fn lower_opaque(name: &str, form: &OpaqueForm, mistakes: &mut Mistakes) -> Option<Graph> {
    let mut per_sample = |size: &Option<At<Bytes>>| {
        let size = size.as_ref()?;
        let bytes = u32::try_from(size.value.0).ok().filter(|&bytes| bytes > 0);
        if bytes.is_none() {
            let cause = format!("a sample of {} cannot be simulated", size.value);
            mistakes.add(&size.at, cause, "use at least 1 B and less than 4 GiB");
        }
        bytes
    };
    let (input, output) = (per_sample(&form.input), per_sample(&form.output));
    let (parameters, activations) = (form.parameters.as_ref()?.value, form.activations.as_ref()?.value);
    match Graph::opaque(name, input?, output?, parameters, activations) {
        Ok(graph) => Some(graph),
        Err(error) => {
            mistakes.add(&form.at, error.to_string(), "correct the sizes");
            None
        }
    }
}

/// Data must get from a model's home to every device that can run it, and back, in one way only.
pub(super) fn find_unreachable(platform: &Platform, networks: &[Lowered], mistakes: &mut Mistakes) {
    let mut seen = BTreeSet::new();
    for Lowered { model, home_at, .. } in networks {
        let (Some(home), Some(at)) = (model.home, home_at) else { continue };
        if !seen.insert(home) {
            continue;
        }
        let mut layers = model.graph.whole().into_iter().flat_map(|whole| whole.layers().collect::<Vec<_>>());
        let kinds: BTreeSet<_> = layers.by_ref().map(|layer| model.graph.layer(layer).op.kind()).collect();
        let can_run = |&id: &DeviceId| !kinds.is_subset(&platform.device(id).unsupported);
        for device in platform.device_ids().filter(can_run) {
            for (from, to) in [(home, device), (device, home)] {
                let Err(error) = platform.route(from, to) else { continue };
                let remedy = match error {
                    RouteError::None { .. } => "add a link between them",
                    RouteError::Ambiguous { .. } => "add a direct link, or remove one of the others",
                };
                mistakes.add(at, error.to_string(), remedy).label("data comes from here and returns");
                break;
            }
        }
    }
}
