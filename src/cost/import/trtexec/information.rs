//! The file of `--exportLayerInfo`: what each layer is.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::super::build::TraceBuilder;
use super::super::json::Document;
use super::super::name::{clean, profile};

/// Layers by name.
#[derive(Default)]
pub(super) struct Information {
    /// Index of the file.
    pub(super) source: usize,
    layers: BTreeMap<String, EngineLayer>,
    batch: Option<i64>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EngineLayer {
    #[serde(default)]
    name: String,
    #[serde(default)]
    layer_type: String,
    #[serde(default)]
    origin: Option<String>,
    #[serde(default)]
    inputs: Value,
    #[serde(default)]
    stream_id: Option<i64>,
    #[serde(default)]
    metadata: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LayersFile {
    layers: Vec<Value>,
    #[serde(default)]
    bindings: Vec<Value>,
}

/// The layer information of a file.
pub(super) fn read(source: usize, document: &Document, builder: &mut TraceBuilder) -> Option<Information> {
    let file: LayersFile = match document.read() {
        Ok(file) => file,
        Err(fault) => {
            builder.refuse(source, fault);
            return None;
        }
    };
    if file.layers.iter().any(Value::is_string) {
        builder.note(
            "the layer information has names only: build and run with --profilingVerbosity=detailed for types and shapes",
        );
    }
    let layers: Vec<EngineLayer> =
        file.layers.into_iter().filter_map(|layer| serde_json::from_value(layer).ok()).collect();
    let name_of = |binding: &Value| {
        binding.as_str().or_else(|| binding.get("Name")?.as_str()).map(|name| profile(name).0.to_owned())
    };
    let bindings: BTreeSet<String> = file.bindings.iter().filter_map(name_of).collect();
    let batch = batch(&layers, &bindings);
    let layers = layers.into_iter().map(|layer| (layer.name.clone(), layer)).collect();
    Some(Information { source, layers, batch })
}

/// The leading dimension of the inputs of the network, or of the first layer where they are not named.
fn batch(layers: &[EngineLayer], bindings: &BTreeSet<String>) -> Option<i64> {
    let inputs = layers.iter().flat_map(|layer| layer.inputs.as_array().into_iter().flatten());
    let is_bound = |input: &&Value| {
        let name = input.get("Name").and_then(Value::as_str).unwrap_or_default();
        bindings.is_empty() || bindings.contains(name)
    };
    let bound: Vec<i64> =
        inputs.filter(is_bound).filter_map(|input| input.get("Dimensions")?.get(0)?.as_i64()).collect();
    let first = *bound.first()?;
    // Inputs that differ in their leading dimension do not tell which one counts samples.
    let agree = bindings.is_empty() || bound.iter().all(|batch| *batch == first);
    (agree && first > 0).then_some(first)
}

impl Information {
    /// The samples of a run.
    pub(super) fn batch(&self) -> Option<i64> {
        self.batch
    }

    /// Whether layers run on several streams.
    pub(super) fn is_parallel(&self) -> bool {
        let mut streams = self.layers.values().filter_map(|layer| layer.stream_id);
        streams.next().is_some_and(|first| streams.any(|other| other != first))
    }

    /// The type of a layer, in lower case; empty if not known.
    pub(super) fn layer_type(&self, name: &str) -> String {
        self.layers.get(name).map(|layer| layer.layer_type.to_lowercase()).unwrap_or_default()
    }

    /// The nodes of the ONNX model that a layer was made of, in order; empty if not known.
    pub(super) fn onnx_nodes(&self, name: &str) -> Vec<String> {
        let metadata = self.layers.get(name).and_then(|layer| layer.metadata.as_deref()).unwrap_or_default();
        let mut nodes: Vec<String> = vec![];
        for part in metadata.split("[ONNX Layer: ").skip(1) {
            // Names have brackets too; the separator behind the last one was made ` + `.
            let part = part.trim_end_matches(|letter: char| letter.is_control() || matches!(letter, ' ' | '+'));
            let node = clean(part.strip_suffix(']').unwrap_or(part));
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
        nodes
    }

    /// Whether TensorRT put a layer in to change a layout.
    pub(super) fn is_reformat(&self, name: &str) -> bool {
        let origin =
            |layer: &EngineLayer| layer.origin.as_deref().is_some_and(|origin| origin.eq_ignore_ascii_case("reformat"));
        self.layers.get(name).is_some_and(origin)
    }
}
