//! A node's attributes by name and type.

use super::parts::{Attribute, Node, Tensor};
use super::translate::Refusal;

impl<'a> Node<'a> {
    fn attribute(&self, name: &str) -> Option<&Attribute<'a>> {
        self.attributes.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    fn wrong(&self, name: &str) -> Refusal {
        Refusal::new(format!("attribute `{name}` has another type than ONNX says"), "check the file with onnx.checker")
    }

    pub(super) fn integer(&self, name: &str, default: i64) -> Result<i64, Refusal> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Attribute::Integer(value)) => Ok(*value),
            Some(_) => Err(self.wrong(name)),
        }
    }

    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32, Refusal> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Attribute::Float(value)) => Ok(*value),
            Some(_) => Err(self.wrong(name)),
        }
    }

    pub(super) fn text(&self, name: &str, default: &'static str) -> Result<&str, Refusal> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Attribute::Text(value)) => std::str::from_utf8(value).map_err(|_| self.wrong(name)),
            Some(_) => Err(self.wrong(name)),
        }
    }

    pub(super) fn integers(&self, name: &str) -> Result<Option<&[i64]>, Refusal> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Integers(values)) => Ok(Some(values)),
            Some(_) => Err(self.wrong(name)),
        }
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<&[f32]>, Refusal> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Floats(values)) => Ok(Some(values)),
            Some(_) => Err(self.wrong(name)),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<&[&'a [u8]], Refusal> {
        match self.attribute(name) {
            None => Ok(&[]),
            Some(Attribute::Texts(values)) => Ok(values),
            Some(_) => Err(self.wrong(name)),
        }
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&Tensor<'a>>, Refusal> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Tensor(tensor)) => Ok(Some(tensor)),
            Some(_) => Err(self.wrong(name)),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// Refuses an attribute that is there and is not `expected`.
    pub(super) fn expect(&self, name: &str, expected: i64) -> Result<(), Refusal> {
        match self.integer(name, expected)? {
            value if value == expected => Ok(()),
            value => Err(Refusal::operator(format!("has {name} = {value}, and only {expected} is read"))),
        }
    }
}
