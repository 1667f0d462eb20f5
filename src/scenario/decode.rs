//! From TOML values to the form's types, with every fault that there is and not only the first.
//!
//! Knows no particular table of the form: [`super::form`] lists those.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};

use super::diagnostic::{Faults, Span, did_you_mean, list};
use super::document::{Node, Table, Value};
use crate::units::{Bytes, BytesPerSec, Duration};

/// A list longer than this is a mistake, and checks over pairs would take long.
const LIST_MAX: usize = 256;

/// Read from a TOML value. `None` if it is wrong; then `faults` has at least one more.
pub(super) trait Decode: Sized {
    fn decode(node: &Node, faults: &mut Faults) -> Option<Self>;
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) at: Span,
}

/// What a single TOML value can hold.
pub(super) trait Scalar: Sized {
    /// What is needed, in words.
    const NOUN: &'static str;
    /// How to write one.
    const REMEDY: &'static str;

    /// `Err(None)` if the value's type does not fit, otherwise a cause.
    fn read(value: &Value) -> Result<Self, Option<String>>;

    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

impl<T: Scalar> Decode for At<T> {
    fn decode(node: &Node, faults: &mut Faults) -> Option<Self> {
        let at = node.at.clone();
        match T::read(&node.value) {
            Ok(value) => return Some(At { value, at }),
            Err(None) => {
                let found = node.value.type_name();
                let cause = format!("{} is needed here, not {found}", T::NOUN);
                faults.add(&at, cause, T::REMEDY).label(found)
            }
            Err(Some(cause)) => faults.add(&at, cause, T::REMEDY),
        };
        None
    }
}

impl<T: Scalar> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::NOUN.into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

impl Scalar for String {
    const NOUN: &'static str = "a text";
    const REMEDY: &'static str = "write it in quotation marks";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        match value {
            Value::String(text) => Ok(text.clone()),
            _ => Err(None),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<String>()
    }
}

impl Scalar for bool {
    const NOUN: &'static str = "true or false";
    const REMEDY: &'static str = "write `true` or `false`, without quotation marks";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        match value {
            Value::Boolean(value) => Ok(*value),
            _ => Err(None),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<bool>()
    }
}

impl Scalar for u64 {
    const NOUN: &'static str = "a whole number";
    const REMEDY: &'static str = "write a whole number from 0 to 9223372036854775807, without quotation marks";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        match value {
            Value::Integer(number) => u64::try_from(*number).map_err(|_| Some(format!("`{number}` is less than 0"))),
            Value::Huge(text) => Err(Some(format!("`{}` is too large", shorten(text)))),
            _ => Err(None),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": i64::MAX })
    }
}

impl Scalar for f64 {
    const NOUN: &'static str = "a number";
    const REMEDY: &'static str = "write a finite number, without quotation marks";

    fn read(value: &Value) -> Result<Self, Option<String>> {
        match value {
            Value::Integer(number) => Ok(*number as f64),
            Value::Float(number) if number.is_finite() => Ok(*number),
            Value::Float(_) | Value::Huge(_) => Err(Some(format!(
                "`{}` is not a finite number",
                shorten(&value.to_string())
            ))),
            _ => Err(None),
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

            fn read(value: &Value) -> Result<Self, Option<String>> {
                let Value::String(text) = value else { return Err(None) };
                if text.len() > 100 {
                    return Err(Some(format!("`{}` is not {}", shorten(text), Self::NOUN)));
                }
                text.parse::<$type>().map_err(|error| Some(error.to_string()))
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
}

/// One of the words that an enumeration without data is read from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word<T>(pub(super) T);

impl<T: DeserializeOwned + JsonSchema> Decode for At<Word<T>> {
    fn decode(node: &Node, faults: &mut Faults) -> Option<Self> {
        let at = node.at.clone();
        let Some(text) = node.as_str() else {
            let found = node.value.type_name();
            let cause = format!("a word is needed here, not {found}");
            faults.add(&at, cause, "write it in quotation marks").label(found);
            return None;
        };
        let deserializer: StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
        match T::deserialize(deserializer) {
            Ok(value) => Some(At { value: Word(value), at }),
            Err(error) => {
                let error = error.to_string();
                let words = expected_words(&error[error.rfind("expected").unwrap_or(0)..]);
                let cause = format!("`{}` is not one of the words that can stand here", shorten(text));
                faults.add(&at, cause, did_you_mean(text, words, "words"));
                None
            }
        }
    }
}

impl<T: JsonSchema> JsonSchema for At<Word<T>> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, faults: &mut Faults) -> Option<Self> {
        let Some(array) = node.as_list() else {
            let found = node.value.type_name();
            let cause = format!("a list is needed here, not {found}");
            faults
                .add(
                    &node.at,
                    cause,
                    "write `[ .., .. ]`, or `[[ ]]` above each table of a list",
                )
                .label(found);
            return None;
        };
        if array.len() > LIST_MAX {
            let cause = format!("the list has {} entries", array.len());
            faults.add(&node.at, cause, format!("a list may have {LIST_MAX}"));
            return None;
        }
        let decoded: Vec<Option<T>> = array.iter().map(|entry| T::decode(entry, faults)).collect();
        // What is right of a list is still checked further; the fault keeps it from being used.
        Some(decoded.into_iter().flatten().collect())
    }
}

/// A table whose type says through serde how it is read, such as a strategy.
#[derive(Clone, Debug)]
pub(super) struct Parsed<T> {
    pub(super) value: T,
    pub(super) at: Span,
    keys: Vec<(String, Span)>,
}

impl<T> Parsed<T> {
    /// Where the value of `key` stands, or the table if it has none.
    pub(super) fn at_key(&self, key: &str) -> &Span {
        self.keys
            .iter()
            .find(|(name, _)| name == key)
            .map_or(&self.at, |(_, at)| at)
    }
}

impl<T: DeserializeOwned> Decode for Parsed<T> {
    /// serde stops at the first error. So each key is read on its own first.
    fn decode(node: &Node, faults: &mut Faults) -> Option<Self> {
        let entries = &table(node, "the strategy", faults)?.0;
        let known = faults.len();
        let mut whole = toml::Table::new();
        for entry in entries {
            // Says what is wrong with numbers that serde would take, or that TOML's own value cannot hold.
            if <At<Finite>>::decode(&entry.node, faults).is_none() {
                continue;
            }
            let Some(value) = entry.node.value.to_toml() else {
                continue;
            };
            let alone = toml::Table::from_iter([(entry.key.clone(), value.clone())]);
            match T::deserialize(toml::Value::Table(alone)) {
                Ok(_) => drop(whole.insert(entry.key.clone(), value)),
                Err(error) => explain(error.message(), &entry.key_at, &entry.node.at, faults),
            }
        }
        let keys = entries
            .iter()
            .map(|entry| (entry.key.clone(), entry.node.at.clone()))
            .collect();
        match T::deserialize(toml::Value::Table(whole)) {
            Ok(value) => (faults.len() == known).then_some(Parsed {
                value,
                at: node.at.clone(),
                keys,
            }),
            Err(error) => {
                explain(error.message(), &node.at, &node.at, faults);
                None
            }
        }
    }
}

impl<T: JsonSchema> JsonSchema for Parsed<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        generator.subschema_for::<T>()
    }
}

/// Any value but a number that is not finite.
struct Finite;

impl Scalar for Finite {
    const NOUN: &'static str = "a value";
    const REMEDY: &'static str = f64::REMEDY;

    fn read(value: &Value) -> Result<Self, Option<String>> {
        match value {
            Value::Float(_) | Value::Huge(_) => f64::read(value).map(|_| Finite),
            _ => Ok(Finite),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!(true)
    }
}

/// A message of serde as cause and remedy.
fn explain(message: &str, key_at: &Span, at: &Span, faults: &mut Faults) {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let word = what.split('`').nth(1).unwrap_or_default();
    if what.starts_with("unknown field") || what.starts_with("unknown variant") {
        let (noun, words) = if what.starts_with("unknown field") {
            ("a key of this table", "keys")
        } else {
            ("one of the words that can stand here", "words")
        };
        let cause = format!("`{}` is not {noun}", shorten(word));
        let at = if words == "keys" { key_at } else { at };
        faults.add(at, cause, did_you_mean(word, expected_words(expected), words));
    } else if let Some(found) = what
        .strip_prefix("invalid type: ")
        .or(what.strip_prefix("invalid value: "))
    {
        let cause = format!("{expected} is needed here, not {}", shorten(found));
        faults.add(at, cause, format!("write {expected}"));
    } else {
        faults.add(at, message, "correct this value");
    }
}

fn expected_words(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// A table that is read key by key.
pub(super) struct Fields<'a> {
    table: &'a Table,
    at: Span,
    /// What the table describes, such as "the device".
    noun: &'static str,
}

impl<'a> Fields<'a> {
    /// The keys of `node`, none of which may be other than `known`.
    pub(super) fn open(node: &'a Node, noun: &'static str, known: &[&str], faults: &mut Faults) -> Option<Fields<'a>> {
        let table = table(node, noun, faults)?;
        for entry in table.0.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let cause = format!("`{}` is not a key of {noun}", shorten(&entry.key));
            let remedy = did_you_mean(&entry.key, known, "keys");
            faults.add(&entry.key_at, cause, remedy).label("unknown key");
        }
        Some(Fields {
            table,
            at: node.at.clone(),
            noun,
        })
    }

    pub(super) fn optional<T: Decode>(&self, key: &str, faults: &mut Faults) -> Option<T> {
        T::decode(self.table.get(key)?, faults)
    }

    /// As `optional`, and it is a fault if it is missing; `example` shows how to write one.
    pub(super) fn required<T: Decode>(&self, key: &str, example: &str, faults: &mut Faults) -> Option<T> {
        if self.table.get(key).is_none() {
            let cause = format!("{} has no `{key}`", self.noun);
            faults.add(&self.at, cause, format!("add for example `{example}`"));
        }
        self.optional(key, faults)
    }

    /// Exactly one of `keys` must be there.
    pub(super) fn one_of(&self, keys: &[&str], example: &str, faults: &mut Faults) {
        let is_one = |key: &str| keys.contains(&key);
        let present: Vec<_> = self.table.0.iter().filter(|entry| is_one(&entry.key)).collect();
        match present.as_slice() {
            [] => {
                let cause = format!("{} has none of {}", self.noun, list(keys));
                faults.add(&self.at, cause, format!("add for example `{example}`"));
            }
            [_] => {}
            [first, second, ..] => {
                let cause = format!("{} has both `{}` and `{}`", self.noun, first.key, second.key);
                let fault = faults.add(&second.key_at, cause, "keep one of them");
                fault.label("second").beside(&first.key_at, "first");
            }
        }
    }
}

/// The table that `node` is.
pub(super) fn table<'a>(node: &'a Node, noun: &str, faults: &mut Faults) -> Option<&'a Table> {
    let table = node.as_table();
    if table.is_none() {
        let found = node.value.type_name();
        let cause = format!("{noun} is a table, not {found}");
        faults.add(&node.at, cause, "write `{ key = value, .. }`").label(found);
    }
    table
}

/// A text that fits into a message.
pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.to_owned();
    }
    text.chars().take(57).chain("...".chars()).collect()
}

/// Defines tables of the form: a struct whose fields are all `Option`, with its schema and its reader.
///
/// A field with `= "example"` is required; the example is shown where it is missing.
macro_rules! form {
    ($($(#[$meta:meta])* $name:ident ($noun:literal $(, one of $kinds:expr, $kind_example:literal)?) {
        $($(#[$field_meta:meta])* $field:ident: $type:ty $(= $example:literal)?,)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        #[allow(dead_code, reason = "some fields are there to be checked and described only")]
        pub(super) struct $name {
            $(
                $(#[$field_meta])*
                $(#[schemars(required)] #[doc = concat!("\n\nFor example `", $example, "`.")])?
                pub(super) $field: Option<$type>,
            )*
            /// Where the table stands.
            #[schemars(skip)]
            pub(super) at: $crate::scenario::diagnostic::Span,
        }

        impl $crate::scenario::decode::Decode for $name {
            fn decode(
                node: &$crate::scenario::document::Node,
                faults: &mut $crate::scenario::diagnostic::Faults,
            ) -> Option<Self> {
                let known = [$(stringify!($field)),*];
                let fields = $crate::scenario::decode::Fields::open(node, $noun, &known, faults)?;
                $(fields.one_of(&$kinds, $kind_example, faults);)?
                Some($name {
                    $($field: form!(@field fields $field faults $($example)?),)*
                    at: node.at.clone(),
                })
            }
        }
    )*};
    (@field $fields:ident $field:ident $faults:ident) => { $fields.optional(stringify!($field), $faults) };
    (@field $fields:ident $field:ident $faults:ident $example:literal) => {
        $fields.required(stringify!($field), $example, $faults)
    };
}
pub(super) use form;
