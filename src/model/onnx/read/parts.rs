//! The parts of an ONNX file, in place: names and weights stay in the bytes that were given.

use super::super::wire::{Fields, Malformed, Value};

/// What a file holds, as far as it is read.
#[derive(Default)]
pub(super) struct File<'a> {
    pub(super) graph: Option<Network<'a>>,
    /// Domains of operators and their versions.
    pub(super) operator_sets: Vec<(&'a str, i64)>,
}

/// A graph of nodes.
#[derive(Default)]
pub(super) struct Network<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) tensors: Vec<Tensor<'a>>,
    pub(super) inputs: Vec<Port<'a>>,
    pub(super) outputs: Vec<Port<'a>>,
    pub(super) has_sparse_tensors: bool,
}

#[derive(Default)]
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) operator: &'a str,
    pub(super) domain: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) attributes: Vec<(&'a str, Attribute<'a>)>,
}

#[derive(Clone)]
pub(super) enum Attribute<'a> {
    Float(f32),
    Integer(i64),
    Text(&'a [u8]),
    Tensor(Tensor<'a>),
    Floats(Vec<f32>),
    Integers(Vec<i64>),
    Texts(Vec<&'a [u8]>),
    /// A graph, or something newer.
    Other,
}

#[derive(Clone, Default)]
pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    pub(super) dims: Vec<i64>,
    pub(super) kind: i64,
    /// Bytes of all elements.
    pub(super) raw: Option<&'a [u8]>,
    pub(super) floats: Vec<f32>,
    pub(super) integers: Vec<i64>,
    /// Whether the elements lie in another file.
    pub(super) is_external: bool,
}

/// An input or output of the network.
#[derive(Default)]
pub(super) struct Port<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Option<i64>,
    pub(super) dims: Option<Vec<Dim<'a>>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Dim<'a> {
    Fixed(i64),
    Named(&'a str),
    Unknown,
}

impl<'a> File<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<File<'a>, Malformed> {
        let mut file = File::default();
        each(bytes, |field, value| {
            match field {
                7 => file.graph = Some(Network::parse(value.bytes()?)?),
                8 => {
                    let (mut domain, mut version) = ("", 0);
                    each(value.bytes()?, |field, value| {
                        match field {
                            1 => domain = value.text()?,
                            2 => version = value.integer()?,
                            _ => {}
                        }
                        Ok(())
                    })?;
                    file.operator_sets.push((domain, version));
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(file)
    }
}

impl<'a> Network<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Network<'a>, Malformed> {
        let mut network = Network::default();
        each(bytes, |field, value| {
            match field {
                1 => network.nodes.push(Node::parse(value.bytes()?)?),
                5 => network.tensors.push(Tensor::parse(value.bytes()?)?),
                11 => network.inputs.push(Port::parse(value.bytes()?)?),
                12 => network.outputs.push(Port::parse(value.bytes()?)?),
                15 => network.has_sparse_tensors = true,
                _ => {}
            }
            Ok(())
        })?;
        Ok(network)
    }
}

impl<'a> Node<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Node<'a>, Malformed> {
        let mut node = Node::default();
        each(bytes, |field, value| {
            match field {
                1 => node.inputs.push(value.text()?),
                2 => node.outputs.push(value.text()?),
                3 => node.name = value.text()?,
                4 => node.operator = value.text()?,
                5 => node.attributes.push(attribute(value.bytes()?)?),
                7 => node.domain = value.text()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(node)
    }
}

fn attribute(bytes: &[u8]) -> Result<(&str, Attribute<'_>), Malformed> {
    let mut name = "";
    let mut kind = 0;
    let (mut floats, mut integers, mut texts) = (vec![], vec![], vec![]);
    let mut single = Attribute::Other;
    each(bytes, |field, value| {
        match field {
            1 => name = value.text()?,
            2 => single = Attribute::Float(value.float()?),
            3 => single = Attribute::Integer(value.integer()?),
            4 => single = Attribute::Text(value.bytes()?),
            5 => single = Attribute::Tensor(Tensor::parse(value.bytes()?)?),
            7 => value.floats_into(&mut floats)?,
            8 => value.integers_into(&mut integers)?,
            9 => texts.push(value.bytes()?),
            20 => kind = value.integer()?,
            _ => {}
        }
        Ok(())
    })?;
    // A value that is the default of its type may be left out of the file.
    let value = match (kind, single) {
        (1, Attribute::Other) => Attribute::Float(0.0),
        (2, Attribute::Other) => Attribute::Integer(0),
        (3, Attribute::Other) => Attribute::Text(b""),
        (6, _) => Attribute::Floats(floats),
        (7, _) => Attribute::Integers(integers),
        (8, _) => Attribute::Texts(texts),
        (_, single) => single,
    };
    Ok((name, value))
}

impl<'a> Tensor<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Tensor<'a>, Malformed> {
        let mut tensor = Tensor::default();
        each(bytes, |field, value| {
            match field {
                1 => value.integers_into(&mut tensor.dims)?,
                2 => tensor.kind = value.integer()?,
                4 => value.floats_into(&mut tensor.floats)?,
                5 | 7 => value.integers_into(&mut tensor.integers)?,
                8 => tensor.name = value.text()?,
                9 => tensor.raw = Some(value.bytes()?),
                10 => value.doubles_into(&mut tensor.floats)?,
                13 => tensor.is_external = true,
                14 => tensor.is_external |= value.integer()? == 1,
                _ => {}
            }
            Ok(())
        })?;
        Ok(tensor)
    }
}

impl<'a> Port<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Port<'a>, Malformed> {
        let mut port = Port::default();
        each(bytes, |field, value| {
            match field {
                1 => port.name = value.text()?,
                2 => {
                    each(value.bytes()?, |field, value| if field == 1 { port.tensor(value.bytes()?) } else { Ok(()) })?
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(port)
    }

    fn tensor(&mut self, bytes: &'a [u8]) -> Result<(), Malformed> {
        each(bytes, |field, value| {
            match field {
                1 => self.kind = Some(value.integer()?),
                2 => {
                    let mut dims = Vec::new();
                    each(value.bytes()?, |field, value| {
                        if field == 1 {
                            dims.push(dim(value.bytes()?)?);
                        }
                        Ok(())
                    })?;
                    self.dims = Some(dims);
                }
                _ => {}
            }
            Ok(())
        })
    }
}

fn dim(bytes: &[u8]) -> Result<Dim<'_>, Malformed> {
    let mut dim = Dim::Unknown;
    each(bytes, |field, value| {
        match field {
            1 => dim = Dim::Fixed(value.integer()?),
            2 if !value.text()?.is_empty() => dim = Dim::Named(value.text()?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(dim)
}

fn each<'a>(bytes: &'a [u8], mut visit: impl FnMut(u64, Value<'a>) -> Result<(), Malformed>) -> Result<(), Malformed> {
    Fields(bytes).try_for_each(|field| field.and_then(|(number, value)| visit(number, value)))
}
