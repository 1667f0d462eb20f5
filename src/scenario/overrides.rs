//! What the command line changes in a scenario and its sweep.

use super::decode::At;
use super::diagnostic::{Mistakes, Sources};
use super::document::{self, Node, Value};
use super::form::Pairs;
use super::path::{Path, split};
use super::range::{POINTS_MAX, listed};
use super::sweep::{Axis, Override};

/// Changes of a scenario, each as the text of an option. Later ones win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Values, such as `load.offline.samples=100`. In a sweep, several values such as `load.offline.samples=1,2,4` or
    /// `load.offline.samples=1..=64` become an axis, in place of the one with the same path.
    pub set: Vec<String>,
    /// Axes that advance together, such as `load.offline.samples=1,2,4`.
    pub zip: Vec<String>,
    /// Points to leave out: all those with each of these values, such as `load.offline.samples=1,seed=2`.
    pub exclude: Vec<String>,
    /// Seeds: how many, from 1 on, or several values.
    pub seeds: Option<String>,
}

impl Overrides {
    /// Only values to set.
    pub fn of_set(set: &[String]) -> Overrides {
        Overrides { set: set.to_vec(), ..Overrides::default() }
    }

    /// Sets what they say in `root`, and returns the changes of the sweep, if it is one.
    pub(super) fn apply(
        &self,
        sweeps: bool,
        root: &mut Node,
        sources: &mut Sources,
        mistakes: &mut Mistakes,
    ) -> Vec<Override> {
        let mut changes = Vec::new();
        for text in &self.set {
            let start = sources.add("--set", text.as_str());
            set(text, start, sweeps, root, &mut changes, mistakes);
        }
        for text in &self.zip {
            let start = sources.add("--zip", text.as_str());
            changes.extend(zip(text, start, mistakes).map(Override::Zip));
        }
        if let Some(text) = &self.seeds {
            let start = sources.add("--seeds", text.as_str());
            changes.extend(seeds(text, start, mistakes).map(Override::Axis));
        }
        for text in &self.exclude {
            let start = sources.add("--exclude", text.as_str());
            let pairs = parts(text, start).into_iter().map(|(part, start)| exclusion(part, start, mistakes));
            // What is wrong with a pair has been said.
            let pairs: Vec<Option<_>> = pairs.collect();
            changes.extend(pairs.into_iter().collect::<Option<Vec<_>>>().map(|pairs| Override::Exclude(Pairs(pairs))));
        }
        changes
    }
}

/// Sets what an override says in `root`, or adds it to the `changes` of the sweep.
fn set(text: &str, start: usize, sweeps: bool, root: &mut Node, changes: &mut Vec<Override>, mistakes: &mut Mistakes) {
    let Some(Assignment { name, path, value, value_start }) = assignment(text, start, mistakes) else { return };
    let value_at = value_start..value_start + value.len();
    let single = document::parse_value(value, value_start);
    let listed = if single.is_none() { listed(value, &value_at, mistakes) } else { None };
    match listed {
        Some(values) if sweeps => changes.push(Override::Axis(Axis::new(&name.value, path, &name.at, values))),
        // The range is wrong, which has been said.
        Some(values) if values.is_empty() => {}
        Some(values) if values.iter().all(|node| matches!(node.value, Value::Integer(_) | Value::Float(_))) => {
            let remedy = "give one value, or run `coinfer sweep`";
            mistakes.add(&value_at, "several values make a sweep, and this is a single run", remedy);
        }
        _ => {
            let value = single.unwrap_or_else(|| value_or_string(value, value_start));
            if sweeps {
                let axis = Axis::new(&name.value, path.clone(), &name.at, vec![value.clone()]);
                changes.push(Override::Fixed(axis));
            }
            path.set(root, &name.at, value, mistakes);
        }
    }
}

/// An axis of those that advance together.
fn zip(text: &str, start: usize, mistakes: &mut Mistakes) -> Option<Axis> {
    let Assignment { name, path, value, value_start } = assignment(text, start, mistakes)?;
    let value_at = value_start..value_start + value.len();
    let values = listed(value, &value_at, mistakes).unwrap_or_else(|| vec![value_or_string(value, value_start)]);
    (!values.is_empty()).then(|| Axis::new(&name.value, path, &name.at, values))
}

/// The axis of seeds.
fn seeds(text: &str, start: usize, mistakes: &mut Mistakes) -> Option<Axis> {
    let at = start..start + text.len();
    let values = match (text.trim().parse(), listed(text, &at, mistakes)) {
        (Ok(count), _) => counted(count, &at, mistakes)?,
        (Err(_), Some(values)) if values.is_empty() => return None,
        (Err(_), Some(values)) => values,
        (Err(_), None) => {
            let cause = format!("`{}` does not say which seeds", super::decode::shorten(text));
            mistakes.add(&at, cause, "write how many, for example 5, or several, for example 1..=20 or 3,5,8");
            return None;
        }
    };
    Some(Axis::of_seeds(&at, values))
}

/// So many seeds, from 1 on.
pub(super) fn counted(count: i64, at: &super::diagnostic::Span, mistakes: &mut Mistakes) -> Option<Vec<Node>> {
    if !(1..=POINTS_MAX as i64).contains(&count) {
        mistakes.add(at, format!("there cannot be {count} seeds"), format!("use 1 to {POINTS_MAX}"));
        return None;
    }
    Some((1..=count).map(|seed| Node { value: Value::Integer(seed), at: at.clone() }).collect())
}

/// A path and its value, of a point that is left out.
fn exclusion(text: &str, start: usize, mistakes: &mut Mistakes) -> Option<(At<String>, Node)> {
    let Assignment { name, value, value_start, .. } = assignment(text, start, mistakes)?;
    Some((name, value_or_string(value, value_start)))
}

/// `path=value`.
struct Assignment<'a> {
    name: At<String>,
    path: Path,
    value: &'a str,
    value_start: usize,
}

fn assignment<'a>(text: &'a str, start: usize, mistakes: &mut Mistakes) -> Option<Assignment<'a>> {
    let name = split(text, '=')[0];
    let at = start..start + name.len();
    let Some(value) = text.get(name.len() + 1..) else {
        mistakes.add(&at, "there is no `=`", "write path=value, for example load.offline.samples=100");
        return None;
    };
    let value_start = at.end + 1 + (value.len() - value.trim_start().len());
    let path = Path::parse(name, &at, mistakes)?;
    Some(Assignment { name: At { value: name.trim().to_owned(), at }, path, value: value.trim(), value_start })
}

/// The parts of a text with commas between them, and where they begin.
fn parts(text: &str, start: usize) -> Vec<(&str, usize)> {
    let mut begin = start;
    let mut parts = Vec::new();
    for part in split(text, ',') {
        let indent = part.len() - part.trim_start().len();
        parts.push((part.trim(), begin + indent));
        begin += part.len() + 1;
    }
    parts
}

/// The TOML value that `text` is; otherwise `text` itself, as a string. The text begins at `start` of the sources.
pub(super) fn value_or_string(text: &str, start: usize) -> Node {
    let string = || Node { value: Value::String(text.to_owned()), at: start..start + text.len() };
    document::parse_value(text, start).unwrap_or_else(string)
}
