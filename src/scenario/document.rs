//! The text of a scenario as a tree of values that know where they stand.
//!
//! What the values mean is for [`super::form`]; how a path changes the tree, for [`super::path`].

use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Mistakes, Span};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) at: Span,
}

/// What TOML can hold.
#[derive(Clone, Debug)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    /// An integer beyond 64 bits, as written.
    Huge(String),
    Float(f64),
    Boolean(bool),
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

/// Keys and their values, as they follow each other in the text.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(pub(super) Vec<Entry>);

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Span,
    pub(super) node: Node,
}

/// The tree of a text that begins at `start` of the sources.
pub(super) fn parse(text: &str, start: usize, mistakes: &mut Mistakes) -> Node {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().unwrap_or(0..0);
        let cause = format!("this is not valid TOML: {}", error.message());
        mistakes.add(&shifted(at, start), cause, "correct it; https://toml.io has examples");
    }
    let root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
    Node::new(root, start)
}

/// The TOML value that `text` is, if it is one; the text begins at `start` of the sources.
pub(super) fn parse_value(text: &str, start: usize) -> Option<Node> {
    // A comment would hide the rest of the text.
    let value = DeValue::parse(text).ok().filter(|value| value.span().end == text.len())?;
    Some(Node::new(value, start))
}

/// A span of a text as one of the sources, where the text begins at `start`.
fn shifted(at: Span, start: usize) -> Span {
    start + at.start..start + at.end
}

impl Node {
    fn new(node: Spanned<DeValue<'_>>, start: usize) -> Node {
        let at = shifted(node.span(), start);
        let value = match node.into_inner() {
            DeValue::String(text) => Value::String(text.into_owned()),
            DeValue::Integer(integer) => match i64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Huge(integer.to_string()),
            },
            DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(value) => Value::Boolean(value),
            DeValue::Datetime(date) => Value::Date(date.to_string()),
            DeValue::Array(list) => Value::List(list.into_iter().map(|entry| Node::new(entry, start)).collect()),
            DeValue::Table(table) => {
                let entry = |(key, node): (Spanned<std::borrow::Cow<'_, str>>, _)| {
                    let key_at = shifted(key.span(), start);
                    Entry { key: key.into_inner().into_owned(), key_at, node: Node::new(node, start) }
                };
                let mut entries: Vec<Entry> = table.into_iter().map(entry).collect();
                entries.sort_by_key(|entry| (entry.key_at.start, entry.node.at.start));
                Value::Table(Table(entries))
            }
        };
        Node { value, at }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The value of `key`, if this is a table that has it.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.as_table()?.get(key)
    }

    /// Removes `key`, if this is a table that has it.
    pub(super) fn remove(&mut self, key: &str) {
        if let Value::Table(table) = &mut self.value {
            table.0.retain(|entry| entry.key != key);
        }
    }
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }

    /// The value of `key`, which is `value` at `at` if there was none.
    pub(super) fn get_or_insert(&mut self, key: &str, at: &Span, value: Value) -> &mut Node {
        if self.get(key).is_none() {
            self.set(key, at, Node { value, at: at.clone() });
        }
        self.get_mut(key).expect("it was there or has been added")
    }

    /// Sets `key`, where it stands if it is there already.
    pub(super) fn set(&mut self, key: &str, key_at: &Span, node: Node) {
        match self.get_mut(key) {
            Some(found) => *found = node,
            None => self.0.push(Entry { key: key.to_owned(), key_at: key_at.clone(), node }),
        }
    }
}

impl Value {
    /// The value's type with its article.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Value::String(_) => "a string",
            Value::Integer(_) | Value::Huge(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Boolean(_) => "a boolean",
            Value::Date(_) => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// Whether two values are the same, whole numbers and floats alike.
    pub(super) fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Integer(a), Value::Integer(b)) => a == b,
            (Value::Integer(a), Value::Float(b)) | (Value::Float(b), Value::Integer(a)) => *a as f64 == *b,
            _ => self.to_string() == other.to_string(),
        }
    }

    /// The value without its positions.
    pub(super) fn to_toml(&self) -> Option<toml::Value> {
        Some(match self {
            Value::String(text) => toml::Value::String(text.clone()),
            Value::Integer(number) => toml::Value::Integer(*number),
            Value::Huge(_) => return None,
            Value::Float(number) => toml::Value::Float(*number),
            Value::Boolean(value) => toml::Value::Boolean(*value),
            Value::Date(date) => toml::Value::String(date.clone()),
            Value::List(list) => toml::Value::Array(list.iter().filter_map(|node| node.value.to_toml()).collect()),
            Value::Table(table) => {
                let entries = table.0.iter();
                let entries = entries.filter_map(|entry| Some((entry.key.clone(), entry.node.value.to_toml()?)));
                toml::Value::Table(entries.collect())
            }
        })
    }
}

impl fmt::Display for Value {
    /// As in TOML, but a string stands without quotation marks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::String(text) | Value::Huge(text) | Value::Date(text) => f.write_str(text),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Float(number) => write!(f, "{number:?}"),
            Value::Boolean(value) => write!(f, "{value}"),
            Value::List(_) | Value::Table(_) => {
                let value = self.to_toml().unwrap_or_else(|| toml::Value::Array(Vec::new()));
                write!(f, "{value}")
            }
        }
    }
}
