//! A node's attributes by name and type.

use prost::bytes::Bytes;

use super::super::proto::{AttributeProto, AttributeType, NodeProto, TensorProto};
use super::translate::Unreadable;

impl NodeProto {
    fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// The value of attribute `name`, which is of `kind`. A `default` of the kind may be left out of the file.
    fn typed<'a, T>(
        &'a self,
        name: &str,
        kind: AttributeType,
        value: impl FnOnce(&'a AttributeProto) -> Option<T>,
        default: Option<T>,
    ) -> Result<Option<T>, Unreadable> {
        let Some(attribute) = self.attribute(name) else { return Ok(None) };
        let value = match attribute.kind {
            said if said == kind as i32 => value(attribute).or(default),
            unsaid if unsaid == AttributeType::Unknown as i32 => value(attribute),
            _ => None,
        };
        value.map(Some).ok_or_else(|| wrong(name))
    }

    pub(super) fn integer(&self, name: &str, default: i64) -> Result<i64, Unreadable> {
        let value = self.typed(name, AttributeType::Integer, |attribute| attribute.integer, Some(0))?;
        Ok(value.unwrap_or(default))
    }

    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32, Unreadable> {
        let value = self.typed(name, AttributeType::Float, |attribute| attribute.float, Some(0.0))?;
        Ok(value.unwrap_or(default))
    }

    pub(super) fn text(&self, name: &str, default: &'static str) -> Result<&str, Unreadable> {
        let value =
            self.typed(name, AttributeType::Text, |attribute| attribute.text.as_deref(), Some(b"".as_slice()))?;
        value.map_or(Ok(default), |text| std::str::from_utf8(text).map_err(|_| wrong(name)))
    }

    pub(super) fn integers(&self, name: &str) -> Result<Option<&[i64]>, Unreadable> {
        self.typed(name, AttributeType::Integers, |attribute| Some(attribute.integers.as_slice()), None)
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<&[f32]>, Unreadable> {
        self.typed(name, AttributeType::Floats, |attribute| Some(attribute.floats.as_slice()), None)
    }

    pub(super) fn texts(&self, name: &str) -> Result<&[Bytes], Unreadable> {
        Ok(self.typed(name, AttributeType::Texts, |attribute| Some(attribute.texts.as_slice()), None)?.unwrap_or(&[]))
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&TensorProto>, Unreadable> {
        self.typed(name, AttributeType::TensorProto, |attribute| attribute.tensor.as_deref(), None)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// Refuses an attribute that is there and is not `expected`.
    pub(super) fn expect(&self, name: &str, expected: i64) -> Result<(), Unreadable> {
        match self.integer(name, expected)? {
            value if value == expected => Ok(()),
            value => Err(Unreadable::operator(format!("has {name} = {value}, and only {expected} is read"))),
        }
    }
}

fn wrong(name: &str) -> Unreadable {
    Unreadable::new(format!("attribute `{name}` has another type than ONNX says"), "check the file with onnx.checker")
}
