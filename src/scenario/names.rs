//! Names that must be unique, and what they stand for.

use std::collections::BTreeMap;

use super::decode::{At, shorten};
use super::diagnostic::{Mistakes, Span, did_you_mean};

/// The names of one list, such as the devices.
pub(super) struct Names {
    /// The list, in the plural.
    list: &'static str,
    known: BTreeMap<String, (u32, Span)>,
    count: u32,
    /// Whether a name is missing, so that not finding one says nothing.
    is_incomplete: bool,
}

/// Longer names do not fit into tables.
const NAME_CHARS_MAX: usize = 100;

impl Names {
    pub(super) fn new(list: &'static str) -> Names {
        Names { list, known: BTreeMap::new(), count: 0, is_incomplete: false }
    }

    /// Gives `name` to the next entry.
    pub(super) fn insert(&mut self, name: Option<&At<String>>, mistakes: &mut Mistakes) {
        let index = self.count;
        self.count += 1;
        let Some(At { value: name, at }) = name else {
            self.is_incomplete = true;
            return;
        };
        if name.trim().is_empty() || name.chars().any(char::is_control) || name.chars().count() > NAME_CHARS_MAX {
            let remedy = format!("use 1 to {NAME_CHARS_MAX} printable characters");
            mistakes.add(at, "this cannot be a name", remedy);
        }
        if let Some((_, first)) = self.known.get(name) {
            let cause = format!("two {} are called `{}`", self.list, shorten(name));
            mistakes.add(at, cause, "give one of them a `name` of its own").label("second").beside(first, "first");
        } else {
            self.known.insert(name.clone(), (index, at.clone()));
        }
    }

    /// The entry called `name`.
    pub(super) fn find(&self, name: &At<String>, mistakes: &mut Mistakes) -> Option<u32> {
        let found = self.known.get(&name.value).map(|&(index, _)| index);
        if found.is_none() && !self.is_incomplete {
            let cause = format!("none of the {} is called `{}`", self.list, shorten(&name.value));
            mistakes.add(&name.at, cause, did_you_mean(&name.value, self.known.keys(), self.list));
        }
        found
    }
}
