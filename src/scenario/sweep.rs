//! The values that a sweep goes through, and what it leaves out.
//!
//! What a scenario means with these values is not known here.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::decode::{At, Decode, shorten};
use super::diagnostic::{Mistakes, Span, list};
use super::document::{Node, Value};
use super::form::{Pairs, SweepForm};
use super::path::Path;
use super::points::{Choices, Point};
use super::range::{POINTS_MAX, range};

/// One path and the values that it goes through.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    name: Arc<str>,
    path: Path,
    at: Span,
    values: Vec<Node>,
}

/// What an override says about the sweep.
#[derive(Clone, Debug)]
pub(super) enum Override {
    /// A further axis, or another in place of the one with its path.
    Axis(Axis),
    /// The one value of the axis with its path, if there is one.
    Fixed(Axis),
    /// A further axis among those that advance together, or another in place of the one with its path.
    Zip(Axis),
    /// Points to leave out.
    Exclude(Pairs),
}

/// All axes of a scenario.
#[derive(Clone, Debug, Default)]
pub(super) struct Sweep {
    /// The axes of the grid, the first slowest, then those that advance together.
    axes: Vec<Axis>,
    /// How many of `axes` are of the grid.
    grid_count: usize,
    exclude: Vec<Vec<(usize, Node)>>,
    /// The sweep's table.
    at: Span,
}

impl Axis {
    /// The axis of `path`, whose text is at `at`.
    pub(super) fn new(name: &str, path: Path, at: &Span, values: Vec<Node>) -> Axis {
        Axis { name: name.into(), path, at: at.clone(), values }
    }

    fn from_pair((name, values): &(At<String>, Node), mistakes: &mut Mistakes) -> Option<Axis> {
        let path = Path::parse(&name.value, &name.at, mistakes);
        let found = match &values.value {
            Value::List(list) if list.is_empty() => {
                mistakes.add(&values.at, "this axis has no value", "give it one, or remove it");
                None
            }
            Value::List(list) => Some(list.clone()),
            Value::String(text) => range(text, &values.at, mistakes),
            other => {
                let cause = format!("the values of an axis are a list or a range, not {}", other.type_name());
                mistakes.add(&values.at, cause, "write for example `[1, 2, 4]`, \"1..=64\" or \"1..=64*2\"");
                None
            }
        };
        Some(Axis::new(&name.value, path?, &name.at, found?))
    }

    /// The axis of seeds, which are stated at `at`.
    pub(super) fn of_seeds(at: &Span, values: Vec<Node>) -> Axis {
        Axis::new("seed", Path::of_key("seed"), at, values)
    }
}

impl Sweep {
    /// The sweep that the table `node` states, changed by `overrides`, of which later ones win.
    pub(super) fn new(node: Option<&Node>, overrides: Vec<Override>, mistakes: &mut Mistakes) -> Sweep {
        // What is wrong with the table's form is found when the whole scenario is read.
        let form = node.and_then(|node| SweepForm::decode(node, &mut Mistakes::default()));
        let mut axes_of = |pairs: Option<&Pairs>| -> Vec<Axis> {
            pairs.iter().flat_map(|pairs| &pairs.0).filter_map(|pair| Axis::from_pair(pair, mistakes)).collect()
        };
        let form = form.as_ref();
        let mut grid = axes_of(form.and_then(|form| Some(&form.grid.as_ref()?.0)));
        let mut zip = axes_of(form.and_then(|form| Some(&form.zip.as_ref()?.0)));
        if let Some(seeds) = form.and_then(|form| form.seeds.as_ref()) {
            grid.push(Axis::of_seeds(&seeds.at, seeds.values.clone()));
        }
        let mut entries: Vec<Pairs> = form.iter().flat_map(|form| form.exclude.iter().flatten()).cloned().collect();
        let (mut listed, mut zipped) = (Vec::new(), Vec::new());
        for change in overrides {
            let (axis, is_new) = match change {
                Override::Axis(axis) => (axis, true),
                Override::Fixed(axis) => (axis, false),
                Override::Zip(axis) => {
                    find_both(&mut zipped, &listed, &axis, mistakes);
                    grid.retain(|other| other.path != axis.path);
                    match zip.iter_mut().find(|other| other.path == axis.path) {
                        Some(replaced) => *replaced = axis,
                        None => zip.push(axis),
                    }
                    continue;
                }
                Override::Exclude(pairs) => {
                    entries.push(pairs);
                    continue;
                }
            };
            find_both(&mut listed, &zipped, &axis, mistakes);
            let together = zip.len();
            zip.retain(|other| other.path != axis.path);
            match grid.iter_mut().find(|other| other.path == axis.path) {
                Some(replaced) => *replaced = axis,
                None if is_new || zip.len() < together => grid.push(axis),
                None => {}
            }
        }
        for axis in grid.iter().chain(&zip).filter(|axis| axis.path.begins_with("sweep")) {
            mistakes.add(&axis.at, "an axis cannot change the sweep itself", "name the value that is to be swept");
        }
        find_repeated(grid.iter().chain(&zip), mistakes);
        grid.iter().for_each(|axis| find_repeated_values(axis, mistakes));
        if let Some(shortest) = zip.iter().min_by_key(|axis| axis.values.len())
            && let Some(longest) = zip.iter().max_by_key(|axis| axis.values.len())
            && shortest.values.len() < longest.values.len()
        {
            let (short, long) = (shortest.values.len(), longest.values.len());
            let cause = format!("axes that advance together have {short} and {long} values");
            let fault = mistakes.add(&shortest.at, cause, "give them equally many, or move one to the grid");
            fault.label(format!("{short} values")).beside(&longest.at, format!("{long} here"));
        }
        let grid_count = grid.len();
        let axes: Vec<Axis> = grid.into_iter().chain(zip).collect();
        let exclude = entries.iter().filter_map(|entry| exclusion(entry, &axes, node, mistakes)).collect();
        Sweep { axes, grid_count, exclude, at: node.map_or(0..0, |node| node.at.clone()) }
    }

    /// The values of the axes whose paths begin with `first`, with these paths.
    pub(super) fn values<'a>(&'a self, first: &'a str) -> impl Iterator<Item = (&'a Path, &'a Node)> {
        self.within(first).flat_map(|axis| axis.values.iter().map(|value| (&axis.path, value)))
    }

    fn within<'a>(&'a self, first: &'a str) -> impl Iterator<Item = &'a Axis> {
        self.axes.iter().filter(move |axis| axis.path.begins_with(first))
    }

    /// All points that are not excluded, the first axis slowest.
    pub(super) fn choices(&self, mistakes: &mut Mistakes) -> Choices {
        let sizes = self.sizes();
        let count = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        let texts = |axis: &Axis| (axis.name.clone(), axis.values.iter().map(text).collect());
        let mut choices = Choices::new(self.axes.iter().map(texts).collect(), sizes, self.grid_count);
        let Some(count) = count.filter(|&count| count <= POINTS_MAX) else {
            let sizes: Vec<String> = choices.sizes().iter().map(usize::to_string).collect();
            let at = self.axes.first().map_or(&self.at, |axis| &axis.at);
            let cause = format!("the sweep has {} points", sizes.join(" x "));
            mistakes.add(at, cause, format!("use fewer values; a sweep has at most {POINTS_MAX} points"));
            return choices;
        };
        let excluded = self.excluded();
        choices.keep(count, |choice| {
            !excluded.iter().any(|pairs| pairs.iter().all(|(axis, matches)| matches[choice[*axis] as usize]))
        });
        if choices.is_empty() {
            mistakes.add(&self.at, "the sweep excludes every point", "remove an entry of `exclude`");
        }
        choices
    }

    /// Sets the values of `point` in `root`.
    pub(super) fn apply(&self, point: &Point, root: &mut Node, mistakes: &mut Mistakes) {
        for (axis, &value) in self.axes.iter().zip(point.choice()) {
            axis.path.set(root, &axis.at, axis.values[value as usize].clone(), mistakes);
        }
    }

    /// The number of values of each axis of the grid, and of those that advance together.
    fn sizes(&self) -> Vec<usize> {
        let (grid, zip) = self.axes.split_at(self.grid_count);
        let together = zip.iter().map(|axis| axis.values.len()).min();
        grid.iter().map(|axis| axis.values.len()).chain(together).collect()
    }

    /// For each exclusion, the axes that it names and which of their values match.
    fn excluded(&self) -> Vec<Vec<(usize, Vec<bool>)>> {
        let matches = |(axis, wanted): &(usize, Node)| {
            let values = self.axes[*axis].values.iter();
            (*axis, values.map(|value| value.value.equals(&wanted.value)).collect())
        };
        self.exclude.iter().map(|pairs| pairs.iter().map(matches).collect()).collect()
    }
}

fn text(node: &Node) -> Arc<str> {
    node.value.to_string().into()
}

/// Notes that an override sets the path of `axis` in one way, and finds those that set it in the other.
fn find_both(known: &mut Vec<Axis>, others: &[Axis], axis: &Axis, mistakes: &mut Mistakes) {
    if let Some(other) = others.iter().find(|other| other.path == axis.path) {
        let cause = format!("`{}` is set both by `--zip` and by `--set`", axis.name);
        mistakes.add(&axis.at, cause, "keep one of them").label("second").beside(&other.at, "first");
    }
    known.push(axis.clone());
}

/// A value that comes twice would make the same points twice. In axes that advance together it need not.
fn find_repeated_values(axis: &Axis, mistakes: &mut Mistakes) {
    let mut seen = BTreeSet::new();
    if let Some(repeated) = axis.values.iter().find(|value| !seen.insert(value.value.to_string())) {
        let cause = format!("`{}` has the value {} twice", axis.name, shorten(&repeated.value.to_string()));
        mistakes.add(&repeated.at, cause, "give each value once; `seeds` repeats points with other random draws");
    }
}

fn find_repeated<'a>(axes: impl Iterator<Item = &'a Axis>, mistakes: &mut Mistakes) {
    let mut seen: Vec<&Axis> = Vec::new();
    for axis in axes {
        if let Some(first) = seen.iter().find(|other| other.path == axis.path) {
            let cause = format!("two axes set `{}`", axis.name);
            mistakes.add(&axis.at, cause, "keep one of them").label("second").beside(&first.at, "first");
        }
        seen.push(axis);
    }
}

/// The axes and values of an entry of `exclude`.
fn exclusion(
    entry: &Pairs,
    axes: &[Axis],
    sweep: Option<&Node>,
    mistakes: &mut Mistakes,
) -> Option<Vec<(usize, Node)>> {
    if entry.0.is_empty() {
        let at = sweep.and_then(|sweep| sweep.get("exclude")).map_or(0..0, |node| node.at.clone());
        mistakes.add(&at, "an empty entry excludes every point", "name a path and its value, or remove the entry");
        return None;
    }
    let mut found = Vec::new();
    for (name, value) in &entry.0 {
        let path = Path::parse(&name.value, &name.at, mistakes)?;
        match axes.iter().position(|axis| axis.path == path) {
            Some(axis) => found.push((axis, value.clone())),
            None => {
                let remedy = match axes {
                    [] => "add it to `grid`".to_owned(),
                    _ => format!("use one of the sweep's axes: {}", list(axes.iter().map(|axis| &axis.name))),
                };
                mistakes.add(&name.at, format!("the sweep has no axis `{}`", name.value), remedy);
            }
        }
    }
    Some(found)
}
