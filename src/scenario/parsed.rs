//! Tables whose types derive how they are read, such as the strategies.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::decode::{At, Decode, inline_schema, shorten, table};
use super::diagnostic::{Mistakes, Span, did_you_mean};
use super::document::{Node, Value};
use crate::strategy::Strategy;

/// A table whose type says through serde how it is read, such as a strategy.
#[derive(Clone, Debug)]
pub(super) struct Parsed<T> {
    pub(super) value: T,
    pub(super) at: Span,
    keys: Vec<(String, Node)>,
}

/// A table that is a strategy.
pub(super) trait StrategyTable {
    fn strategy(&self) -> Box<dyn Strategy>;

    /// The devices that it names under each of [`DEVICE_KEYS`] that it has, and where.
    fn devices(&self) -> Vec<(Vec<&str>, &Span)>;
}

/// Keys under which strategies name devices, one or several.
pub(super) const DEVICE_KEYS: [&str; 3] = ["device", "devices", "boards"];

impl<T: Strategy + Clone + 'static> StrategyTable for Parsed<T> {
    fn strategy(&self) -> Box<dyn Strategy> {
        Box::new(self.value.clone())
    }

    fn devices(&self) -> Vec<(Vec<&str>, &Span)> {
        let of_key = self.keys.iter().filter(|(key, _)| DEVICE_KEYS.contains(&key.as_str()));
        of_key.map(|(_, node)| (texts(node), &node.at)).collect()
    }
}

/// The text that `node` is, or those in the list that it is.
fn texts(node: &Node) -> Vec<&str> {
    match node.as_list() {
        Some(list) => list.iter().filter_map(Node::as_str).collect(),
        None => node.as_str().into_iter().collect(),
    }
}

impl<T> Parsed<T> {
    /// Where the value of `key` stands, or the table if it has none.
    pub(super) fn at_key(&self, key: &str) -> &Span {
        self.keys.iter().find(|(name, _)| name == key).map_or(&self.at, |(_, node)| &node.at)
    }
}

impl<T: DeserializeOwned> Decode for Parsed<T> {
    /// serde stops at the first error. So each key is read on its own first.
    fn decode(node: &Node, mistakes: &mut Mistakes) -> Option<Self> {
        let entries = &table(node, "the strategy", mistakes)?.0;
        let mut whole = toml::Table::new();
        for entry in entries {
            // Says what is wrong with numbers that serde would take, or that TOML's own value cannot hold.
            let is_number = matches!(entry.node.value, Value::Float(_) | Value::Huge(_));
            if is_number && At::<f64>::decode(&entry.node, mistakes).is_none() {
                continue;
            }
            let Some(value) = entry.node.value.to_toml() else {
                continue;
            };
            let alone = toml::Table::from_iter([(entry.key.clone(), value.clone())]);
            match T::deserialize(toml::Value::Table(alone)) {
                Ok(_) => drop(whole.insert(entry.key.clone(), value)),
                Err(error) => explain(error.message(), &entry.key_at, &entry.node.at, mistakes),
            }
        }
        let keys = entries.iter().map(|entry| (entry.key.clone(), entry.node.clone())).collect();
        match T::deserialize(toml::Value::Table(whole)) {
            Ok(value) => Some(Parsed { value, at: node.at.clone(), keys }),
            Err(error) => {
                explain(error.message(), &node.at, &node.at, mistakes);
                None
            }
        }
    }
}

inline_schema!([T: JsonSchema] Parsed<T>, |generator| generator.subschema_for::<T>());

/// A message of serde as cause and remedy.
fn explain(message: &str, key_at: &Span, at: &Span, mistakes: &mut Mistakes) {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let mut unknown = |at: &Span, noun: &str, words: &str| {
        let word = what.split('`').nth(1).unwrap_or_default();
        let cause = format!("`{}` is not {noun}", shorten(word));
        mistakes.add(at, cause, did_you_mean(word, expected_words(expected), words));
    };
    if what.starts_with("unknown field") {
        unknown(key_at, "a key of this table", "keys");
    } else if what.starts_with("unknown variant") {
        unknown(at, "one of the words that can stand here", "words");
    } else if let Some(found) = what.strip_prefix("invalid type: ").or(what.strip_prefix("invalid value: ")) {
        let expected = match expected {
            "f64" => "a number",
            "u8" => "a whole number from 0 to 255",
            "u32" => "a whole number from 0 to 4294967295",
            "a nonzero u32" => "a whole number from 1 to 4294967295",
            "a boolean" => "`true` or `false`",
            other => other,
        };
        let cause = format!("{expected} is needed here, not {}", shorten(found));
        mistakes.add(at, cause, format!("write {expected}"));
    } else {
        mistakes.add(at, message, "correct this value");
    }
}

/// The words in backticks.
pub(super) fn expected_words(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}
