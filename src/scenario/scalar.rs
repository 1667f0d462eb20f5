//! Single values of the form: texts, numbers, quantities with units, and words that stand for a choice.

use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};

use super::decode::{At, Decode, Traits, inline_schema, shorten};
use super::diagnostic::{Mistakes, did_you_mean};
use super::document::{Node, Value};
use super::parsed::expected_words;
use crate::units::{Bytes, BytesPerSec, Duration, JoulesPerByte, MacsPerSec, PerSec, Watts};

/// What a single TOML value can hold.
pub(super) trait Scalar: Sized {
    /// What is needed, in words.
    const NOUN: &'static str;
    /// How to write one.
    const REMEDY: &'static str;
    /// Whether it is the name of a file.
    const IS_FILE: bool = false;

    fn read(value: &Value) -> Result<Self, Misfit>;

    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// Why a value is not what is needed.
pub(super) enum Misfit {
    /// It is of another type.
    Type,
    /// The type fits, and the value does not: why, and what to do about it if not what the type says.
    Value(String, Option<String>),
}

impl<T: Scalar> Decode for At<T> {
    fn decode(node: &Node, mistakes: &mut Mistakes) -> Option<Self> {
        let at = node.at.clone();
        match T::read(&node.value) {
            Ok(value) => return Some(At { value, at }),
            Err(Misfit::Type) => {
                let found = node.value.type_name();
                let cause = format!("{} is needed here, not {found}", T::NOUN);
                mistakes.add(&at, cause, T::REMEDY).label(found)
            }
            Err(Misfit::Value(cause, remedy)) => mistakes.add(&at, cause, remedy.as_deref().unwrap_or(T::REMEDY)),
        };
        None
    }

    fn traits() -> Traits {
        Traits { is_file: T::IS_FILE, ..Traits::default() }
    }
}

inline_schema!([T: Scalar] At<T>, T::schema);

impl Scalar for String {
    const NOUN: &'static str = "a text";
    const REMEDY: &'static str = "write it in quotation marks";

    fn read(value: &Value) -> Result<Self, Misfit> {
        match value {
            Value::String(text) => Ok(text.clone()),
            _ => Err(Misfit::Type),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<String>()
    }
}

/// The name of a file, relative to the scenario file. What results depend on is what the file has.
#[derive(Clone, Debug)]
pub(super) struct FileName(pub(super) String);

impl Deref for FileName {
    type Target = String;

    fn deref(&self) -> &String {
        &self.0
    }
}

impl Scalar for FileName {
    const NOUN: &'static str = String::NOUN;
    const REMEDY: &'static str = String::REMEDY;
    const IS_FILE: bool = true;

    fn read(value: &Value) -> Result<Self, Misfit> {
        String::read(value).map(FileName)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        String::schema(generator)
    }
}

impl Scalar for bool {
    const NOUN: &'static str = "true or false";
    const REMEDY: &'static str = "write `true` or `false`, without quotation marks";

    fn read(value: &Value) -> Result<Self, Misfit> {
        match value {
            Value::Boolean(value) => Ok(*value),
            _ => Err(Misfit::Type),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<bool>()
    }
}

impl Scalar for u64 {
    const NOUN: &'static str = "a whole number";
    const REMEDY: &'static str = "write a whole number from 0 to 9223372036854775807, without quotation marks";

    fn read(value: &Value) -> Result<Self, Misfit> {
        match value {
            Value::Integer(number) => {
                u64::try_from(*number).map_err(|_| Misfit::Value(format!("`{number}` is less than 0"), None))
            }
            Value::Huge(text) => Err(Misfit::Value(format!("`{}` is too large", shorten(text)), None)),
            _ => Err(Misfit::Type),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": i64::MAX })
    }
}

impl Scalar for f64 {
    const NOUN: &'static str = "a number";
    const REMEDY: &'static str = "write a finite number, without quotation marks";

    fn read(value: &Value) -> Result<Self, Misfit> {
        match value {
            Value::Integer(number) => Ok(*number as f64),
            Value::Float(number) if number.is_finite() => Ok(*number),
            Value::Float(_) | Value::Huge(_) => {
                let text = shorten(&value.to_string());
                Err(Misfit::Value(format!("`{text}` is not a finite number"), None))
            }
            _ => Err(Misfit::Type),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<f64>()
    }
}

/// Quantities are strings with a unit.
macro_rules! quantities {
    ($($type:ty, $noun:literal, $remedy:literal, $pattern:literal;)*) => {$(
        impl Scalar for $type {
            const NOUN: &'static str = $noun;
            const REMEDY: &'static str = $remedy;

            fn read(value: &Value) -> Result<Self, Misfit> {
                let Value::String(text) = value else { return Err(Misfit::Type) };
                if text.len() > 100 {
                    return Err(Misfit::Value(format!("`{}` is not {}", shorten(text), Self::NOUN), None));
                }
                text.parse::<$type>().map_err(|error| {
                    let error = error.to_string();
                    match error.split_once("; ") {
                        Some((cause, remedy)) => Misfit::Value(cause.to_owned(), Some(remedy.to_owned())),
                        None => Misfit::Value(error, Some("use a value in this range".to_owned())),
                    }
                })
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    )*};
}

quantities! {
    Bytes, "a size", "write a string with a unit, for example \"4 GiB\"",
        r"^\s*[0-9][0-9_]*(\.[0-9_]+)?\s*([kMG]?B|[KMG]iB)\s*$";
    Duration, "a time", "write a string with a unit, for example \"107 us\"",
        r"^\s*[0-9][0-9_]*(\.[0-9_]+)?\s*(ns|us|ms|s)\s*$";
    BytesPerSec, "a bandwidth", "write a string with a unit, for example \"9.99 GB/s\"",
        r"^\s*[0-9][0-9_]*(\.[0-9_]+)?\s*([kMG]?B/s|[KMG]iB/s|[kMG]bit/s)\s*$";
    MacsPerSec, "a computing rate", "write a string with a unit, for example \"9.7 GMAC/s\"",
        r"^\s*[0-9][0-9_]*(\.[0-9_]+)?\s*[kMGT]?MAC/s\s*$";
    Watts, "a power", "write a string with a unit, for example \"15 W\"",
        r"^\s*[0-9][0-9_]*(\.[0-9_]+)?\s*[umk]?W\s*$";
    JoulesPerByte, "an energy per byte", "write a string with a unit, for example \"100 nJ/B\"",
        r"^\s*[0-9][0-9_]*(\.[0-9_]+)?\s*[pnum]?J/B\s*$";
    PerSec, "a rate", "write a string with a unit, for example \"200/s\"",
        r"^\s*[0-9][0-9_]*(\.[0-9_]+)?\s*/(ms|s|min|h)\s*$";
}

/// One of the words that an enumeration without data is read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<T>(pub(super) T);

impl<T: DeserializeOwned + JsonSchema> Scalar for Word<T> {
    const NOUN: &'static str = "a word";
    const REMEDY: &'static str = "write it in quotation marks";

    fn read(value: &Value) -> Result<Self, Misfit> {
        let Value::String(text) = value else { return Err(Misfit::Type) };
        let deserializer: StrDeserializer<'_, serde::de::value::Error> = text.as_str().into_deserializer();
        T::deserialize(deserializer).map(Word).map_err(|error| {
            let error = error.to_string();
            let words = expected_words(&error[error.rfind("expected").unwrap_or(0)..]);
            let cause = format!("`{}` is not one of the words that can stand here", shorten(text));
            Misfit::Value(cause, Some(did_you_mean(text, words, "words")))
        })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}
