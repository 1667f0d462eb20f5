//! From nodes to layers: what each tensor of the file is, in our terms.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::proto::{Dim, GraphProto, NodeProto, Size, TensorProto, ValueInfo};
use super::layout::{Axis, CANONICAL};
use super::normalisation::Lrn;
use super::numbers::Number;
use super::{Imported, Needed, ReadMistake, prune};
use crate::model::{Graph, Layer, LayerId, Op, Shape};

/// Why a node cannot be read.
pub(super) enum Unreadable {
    /// For this cause, with this remedy.
    Because(String, String),
    /// It reads what could not be read.
    Follows,
}

impl Unreadable {
    pub(super) fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Unreadable {
        Unreadable::Because(cause.into(), remedy.into())
    }

    /// Of something that the operator does.
    pub(super) fn operator(cause: impl Into<String>) -> Unreadable {
        Unreadable::new(cause, "replace it, or cut the file around it with onnx.utils.extract_model")
    }

    /// Of something that a valid file does not hold.
    pub(super) fn invalid(cause: impl Into<String>) -> Unreadable {
        Unreadable::new(cause, "check the file with onnx.checker")
    }
}

/// What a tensor of the file is.
#[derive(Clone)]
pub(super) enum Value<'n> {
    /// The output of a layer, with its dimensions in this order.
    Maps(usize, Vec<Axis>),
    /// The output of a layer with zeros around it: above, left, below, right.
    Padded(usize, [u32; 4]),
    /// The output of a layer cut into squares of a side, and whether their elements stand before the channels.
    Squares(usize, u32, bool),
    /// Weights, with these dimensions.
    TensorProto(&'n TensorProto, Vec<i64>),
    /// A row of numbers in a node.
    Floats(&'n [f32]),
    /// A shape, or a part of one.
    Numbers(Vec<Number>),
    /// A tensor of one number, with these dimensions if they are known.
    Filled(f32, Option<Vec<i64>>),
    /// What could not be read.
    Refused,
}

pub(super) type Values<'n> = Result<Vec<Value<'n>>, Unreadable>;

pub(super) struct Translator<'n> {
    pub(super) network: &'n GraphProto,
    pub(super) opset: i64,
    given_dims: &'n BTreeMap<String, u32>,
    /// The batch, where the file fixes it.
    pub(super) batch: Option<i64>,
    values: BTreeMap<&'n str, Value<'n>>,
    /// How often a tensor is read.
    uses: BTreeMap<&'n str, usize>,
    pub(super) layers: Vec<Layer>,
    pub(super) shapes: Vec<Shape>,
    pub(super) weights: BTreeMap<(usize, &'static str), Vec<f32>>,
    /// Numbers that weights may still take.
    budget: usize,
    names: BTreeSet<String>,
    pub(super) notes: BTreeSet<String>,
    faults: Vec<ReadMistake>,
}

pub(super) fn is_standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

impl<'n> Translator<'n> {
    pub(super) fn new(
        network: &'n GraphProto,
        opset: i64,
        given_dims: &'n BTreeMap<String, u32>,
        budget: usize,
    ) -> Self {
        Translator {
            network,
            opset,
            given_dims,
            batch: None,
            values: network
                .tensors
                .iter()
                .map(|tensor| (tensor.name.as_str(), Value::TensorProto(tensor, tensor.dims.clone())))
                .collect(),
            uses: BTreeMap::new(),
            layers: Vec::new(),
            shapes: Vec::new(),
            weights: BTreeMap::new(),
            budget,
            names: BTreeSet::new(),
            notes: BTreeSet::new(),
            faults: Vec::new(),
        }
    }

    /// Makes a layer of each input that is read.
    pub(super) fn enter(&mut self, plan: &Needed<'n>) {
        self.notes.extend(plan.notes.iter().cloned());
        let network = self.network;
        let mut readers: BTreeMap<&str, Vec<&NodeProto>> = BTreeMap::new();
        *self.uses.entry(plan.output).or_default() += 1;
        for &index in &plan.nodes {
            let node = &network.nodes[index];
            let inputs = match plan.norms.get(&index) {
                Some(lrn) => vec![lrn.input],
                None => node.inputs.iter().map(String::as_str).collect(),
            };
            for input in inputs {
                *self.uses.entry(input).or_default() += 1;
                readers.entry(input).or_default().push(node);
            }
        }
        for port in &network.inputs {
            // Old files name weights among the inputs.
            if matches!(self.values.get(port.name.as_str()), Some(Value::TensorProto(..))) {
                continue;
            }
            let Some(readers) = readers.get(port.name.as_str()) else {
                self.notes.insert(format!("input `{}` is not read", port.name));
                continue;
            };
            let value = self.input(port, readers).unwrap_or_else(|refusal| {
                self.fault(format!("input `{}`", port.name), refusal);
                Value::Refused
            });
            self.values.insert(&port.name, value);
        }
    }

    fn input(&mut self, port: &ValueInfo, readers: &[&NodeProto]) -> Result<Value<'n>, Unreadable> {
        let tensor = port.tensor();
        match tensor.map(|tensor| tensor.kind) {
            Some(1) => {}
            Some(10 | 11) => {
                self.notes.insert("computes in 32-bit floats what the file does not".into());
            }
            _ => return Err(Unreadable::operator("holds no floats")),
        }
        let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
        let Some([batch, rest @ ..]) = shape.map(|shape| shape.dims.as_slice()) else {
            return Err(Unreadable::new("has no shape", "export it with the shapes of its inputs"));
        };
        let axes = Axis::of_input(readers, rest.len() + 1)?;
        let batch_at = axes.iter().position(|&axis| axis == Axis::Batch).expect("each order has a batch");
        let mut sizes = BTreeMap::new();
        for (at, (&axis, dim)) in axes.iter().zip(std::iter::once(batch).chain(rest)).enumerate() {
            if at != batch_at {
                sizes.insert(axis, self.size(dim, at)?);
            } else if let Some(Size::Fixed(size)) = dim.size {
                self.fixed_batch(size)?;
            }
        }
        let size = |axis| sizes.get(&axis).copied().unwrap_or(1);
        let shape = Shape::fp32(size(Axis::Channels), size(Axis::Rows), size(Axis::Cols));
        let layer = self.push(&port.name, Op::Input(shape), vec![], vec![])?;
        Ok(Value::Maps(layer, axes))
    }

    fn fixed_batch(&mut self, size: i64) -> Result<(), Unreadable> {
        if self.batch.is_some_and(|batch| batch != size) || size < 1 {
            return Err(Unreadable::operator(format!("has a batch of {size}, and others have another")));
        }
        self.batch = Some(size);
        if size != 1 {
            self.notes.insert(format!("the file is for batches of {size}; the network is for any"));
        }
        Ok(())
    }

    fn size(&self, dim: &Dim, at: usize) -> Result<u32, Unreadable> {
        let missing = |what: String, remedy: String| Err(Unreadable::new(what, remedy));
        let size = match &dim.size {
            Some(Size::Fixed(size)) => *size,
            Some(Size::Named(name)) if !name.is_empty() => match self.given_dims.get(name) {
                Some(&size) => size.into(),
                None => {
                    let remedy =
                        format!("give its size: `--dim {name}=224`, or `dims = {{ {name} = 224 }}` in a scenario");
                    return missing(format!("dimension `{name}` is open"), remedy);
                }
            },
            _ => {
                let remedy = "fix it with onnxruntime.tools.make_dynamic_shape_fixed";
                return missing(format!("dimension {at} is open and has no name"), remedy.into());
            }
        };
        u32::try_from(size)
            .ok()
            .filter(|&size| size > 0)
            .ok_or_else(|| Unreadable::invalid(format!("dimension {size}")))
    }

    pub(super) fn node(&mut self, node: &'n NodeProto, lrn: Option<&Lrn<'n>>) {
        let values = match lrn {
            Some(lrn) => self.lrn(node, lrn),
            None if !is_standard(&node.domain) => {
                Err(Unreadable::operator(format!("is of domain `{}`, which is not read", node.domain)))
            }
            None => self.translate(node),
        };
        let values = values.unwrap_or_else(|refusal| {
            let output = node.outputs.first().map_or("", String::as_str);
            let name = if node.name.is_empty() { output } else { &node.name };
            self.fault(format!("node `{name}` ({})", node.operator), refusal);
            vec![]
        });
        let values = values.into_iter().chain(std::iter::repeat(Value::Refused));
        self.values.extend(node.outputs.iter().map(String::as_str).zip(values));
    }

    fn fault(&mut self, place: String, refusal: Unreadable) {
        if let Unreadable::Because(cause, remedy) = refusal {
            self.faults.push(ReadMistake { place, cause, remedy });
        }
    }

    /// Input `index` of `node`, if it has one there.
    pub(super) fn value(&self, node: &NodeProto, index: usize) -> Result<Option<Value<'n>>, Unreadable> {
        let Some(name) = node.inputs.get(index).filter(|name| !name.is_empty()) else { return Ok(None) };
        match self.values.get(name.as_str()) {
            Some(Value::Refused) => Err(Unreadable::Follows),
            Some(value) => Ok(Some(value.clone())),
            None => Err(Unreadable::invalid(format!("reads `{name}`, which nothing before it computes"))),
        }
    }

    /// The maps that input `index` holds, and the order of its dimensions.
    pub(super) fn maps(&self, node: &NodeProto, index: usize) -> Result<(usize, Vec<Axis>), Unreadable> {
        match self.value(node, index)? {
            Some(Value::Maps(layer, axes)) => Ok((layer, axes)),
            Some(Value::TensorProto(..) | Value::Floats(_) | Value::Numbers(_) | Value::Filled(..)) => {
                Err(Unreadable::new(
                    format!("reads a constant as input {index}"),
                    "simplify the file, for example with onnxsim",
                ))
            }
            Some(_) => Err(Unreadable::operator(format!("has padding or a permutation before it, as input {index}"))),
            None => Err(Unreadable::invalid(format!("lacks input {index}"))),
        }
    }

    /// The maps that input `index` holds, in the order NCHW, or NCL, and how many dimensions they have.
    pub(super) fn ordered(&self, node: &NodeProto, index: usize) -> Result<(usize, usize), Unreadable> {
        let (layer, axes) = self.maps(node, index)?;
        if axes.len() < 3 || !CANONICAL.starts_with(&axes) {
            return Err(Unreadable::operator("reads maps in another order than NCHW"));
        }
        Ok((layer, axes.len()))
    }

    /// Whether output `index` is read.
    pub(super) fn is_read(&self, node: &NodeProto, index: usize) -> bool {
        node.outputs.get(index).is_some_and(|name| self.uses.contains_key(name.as_str()))
    }

    /// Whether nothing but input `index` of `node` reads `layer`, under this or another name.
    pub(super) fn is_only_reader(&self, node: &NodeProto, index: usize, layer: usize) -> bool {
        let names = self.values.values().filter(|value| matches!(value, Value::Maps(other, _) if *other == layer));
        node.inputs.get(index).and_then(|name| self.uses.get(name.as_str())) == Some(&1) && names.count() == 1
    }

    /// A layer for `node` with these weights.
    pub(super) fn add(
        &mut self,
        node: &NodeProto,
        op: Op,
        inputs: Vec<usize>,
        weights: Vec<(&'static str, Vec<f32>)>,
    ) -> Result<usize, Unreadable> {
        // Names of nodes may be missing or stand twice, those of tensors not.
        let output = node.outputs.iter().find(|name| !name.is_empty()).map_or("", String::as_str);
        let is_usable = !node.name.is_empty() && !self.names.contains(&node.name);
        self.push(if is_usable { &node.name } else { output }, op, inputs, weights)
    }

    fn push(
        &mut self,
        name: &str,
        op: Op,
        inputs: Vec<usize>,
        weights: Vec<(&'static str, Vec<f32>)>,
    ) -> Result<usize, Unreadable> {
        if !op.allows_inputs(inputs.len()) {
            return Err(Unreadable::invalid(format!("has {} inputs", inputs.len())));
        }
        let shapes: Vec<Shape> = inputs.iter().map(|&input| self.shapes[input]).collect();
        let shape = op.shape(&shapes).map_err(Unreadable::operator)?;
        if shape.elements() == 0 || shape.elements() > u32::MAX.into() {
            return Err(Unreadable::operator(format!("computes {shape} elements")));
        }
        let parameters = shapes.first().map_or_else(Vec::new, |&first| op.parameters(first));
        for parameter in &parameters {
            let given = weights.iter().find(|(name, _)| *name == parameter.name).map_or(0, |(_, given)| given.len());
            if given as u64 != parameter.elements() {
                let (name, expected) = (parameter.name, parameter.elements());
                return Err(Unreadable::invalid(format!("has {given} numbers as {name} where it needs {expected}")));
            }
        }
        // A file that spreads a few weights over many layers is not worth the memory.
        let numbers = weights.iter().map(|(_, tensor)| tensor.len()).sum();
        self.budget = self.budget.checked_sub(numbers).ok_or_else(|| {
            Unreadable::operator("uses the same weights so often that they would fill more memory than the file allows")
        })?;
        let layer = self.layers.len();
        let mut unique = name.to_owned();
        let mut copies = 1;
        while !self.names.insert(unique.clone()) {
            copies += 1;
            unique = format!("{name}.{copies}");
        }
        let inputs = inputs.into_iter().map(|input| LayerId(input as u32)).collect();
        self.layers.push(Layer { name: unique, op, inputs });
        self.shapes.push(shape);
        self.weights.extend(weights.into_iter().map(|(name, tensor)| ((layer, name), tensor)));
        Ok(layer)
    }

    pub(super) fn finish(mut self, name: &str, plan: &Needed<'n>) -> Result<Imported, Vec<ReadMistake>> {
        let output = match self.values.remove(plan.output) {
            Some(Value::Maps(layer, _)) if !matches!(self.layers[layer].op, Op::Input(_)) => Some(layer),
            Some(Value::Refused) if !self.faults.is_empty() => None,
            _ => {
                let cause = Unreadable::operator("is no map that the network computes");
                self.fault(format!("output `{}`", plan.output), cause);
                None
            }
        };
        let Some(output) = output.filter(|_| self.faults.is_empty()) else { return Err(self.faults) };
        let (layers, weights) = prune(self.layers, self.weights, output);
        let graph = Graph::new(name, layers).map_err(|error| {
            let remedy = "replace what it names".to_owned();
            vec![ReadMistake { place: "graph".into(), cause: error.to_string(), remedy }]
        })?;
        Ok(Imported { graph, weights: Arc::new(weights), notes: self.notes.into_iter().collect() })
    }
}
