//! The values that a sweep goes through, and its points in order.
//!
//! A point is a choice of one value on each axis. What a scenario means with these values is not known here.

use std::sync::Arc;

use super::decode::{At, Decode};
use super::diagnostic::{Faults, Span, list};
use super::document::{Node, Value};
use super::form::{Pairs, SweepForm};
use super::path::{Path, split};

/// A sweep has no more points, and an axis no more values.
const POINTS_MAX: usize = 1_000_000;

/// One combination of a sweep's values.
#[derive(Clone, Debug)]
pub struct Point {
    settings: Vec<(Arc<str>, Arc<str>)>,
    /// The index of the value on each axis.
    choice: Vec<u32>,
}

impl Point {
    /// Each path of the sweep and its value here, in the sweep's order.
    pub fn settings(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.settings
    }
}

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

    fn from_pair((name, values): &(At<String>, Node), faults: &mut Faults) -> Option<Axis> {
        let path = Path::parse(&name.value, &name.at, faults);
        let found = match &values.value {
            Value::List(list) if list.is_empty() => {
                faults.add(&values.at, "this axis has no value", "give it one, or remove it");
                None
            }
            Value::List(list) => Some(list.clone()),
            Value::String(text) => range(text, &values.at, faults),
            other => {
                let cause = format!("the values of an axis are a list or a range, not {}", other.type_name());
                faults.add(&values.at, cause, "write for example `[1, 2, 4]`, \"1..=64\" or \"1..=64*2\"");
                None
            }
        };
        Some(Axis::new(&name.value, path?, &name.at, found?))
    }
}

impl Sweep {
    /// The sweep that the table `node` states, changed by `overrides`, of which later ones win.
    pub(super) fn new(node: Option<&Node>, overrides: Vec<Override>, faults: &mut Faults) -> Sweep {
        // What is wrong with the table's form is found when the whole scenario is read.
        let form = node.and_then(|node| SweepForm::decode(node, &mut Faults::default()));
        let mut axes_of = |pairs: Option<&Pairs>| -> Vec<Axis> {
            pairs.iter().flat_map(|pairs| &pairs.0).filter_map(|pair| Axis::from_pair(pair, faults)).collect()
        };
        let form = form.as_ref();
        let mut grid = axes_of(form.and_then(|form| Some(&form.grid.as_ref()?.0)));
        let mut zip = axes_of(form.and_then(|form| Some(&form.zip.as_ref()?.0)));
        for change in overrides {
            let (axis, is_new) = match change {
                Override::Axis(axis) => (axis, true),
                Override::Fixed(axis) => (axis, false),
            };
            let together = zip.len();
            zip.retain(|other| other.path != axis.path);
            match grid.iter_mut().find(|other| other.path == axis.path) {
                Some(replaced) => *replaced = axis,
                None if is_new || zip.len() < together => grid.push(axis),
                None => {}
            }
        }
        for axis in grid.iter().chain(&zip).filter(|axis| axis.path.begins_with("sweep")) {
            faults.add(&axis.at, "an axis cannot change the sweep itself", "name the value that is to be swept");
        }
        find_repeated(grid.iter().chain(&zip), faults);
        if let Some(shortest) = zip.iter().min_by_key(|axis| axis.values.len())
            && let Some(longest) = zip.iter().max_by_key(|axis| axis.values.len())
            && shortest.values.len() < longest.values.len()
        {
            let (short, long) = (shortest.values.len(), longest.values.len());
            let cause = format!("axes that advance together have {short} and {long} values");
            let fault = faults.add(&shortest.at, cause, "give them equally many, or move one to the grid");
            fault.label(format!("{short} values")).beside(&longest.at, format!("{long} here"));
        }
        let grid_count = grid.len();
        let axes: Vec<Axis> = grid.into_iter().chain(zip).collect();
        let entries = form.iter().flat_map(|form| form.exclude.iter().flatten());
        let exclude = entries.filter_map(|entry| exclusion(entry, &axes, node, faults)).collect();
        Sweep { axes, grid_count, exclude, at: node.map_or(0..0, |node| node.at.clone()) }
    }

    /// The values of the axes whose paths begin with `first` and end with `last`.
    pub(super) fn named<'a>(&'a self, first: &'a str, last: &'a str) -> impl Iterator<Item = &'a Node> {
        self.within(first).filter(|axis| axis.path.ends_with(last)).flat_map(|axis| &axis.values)
    }

    /// The values of the axes whose paths begin with `first`.
    pub(super) fn values<'a>(&'a self, first: &'a str) -> impl Iterator<Item = &'a Node> {
        self.within(first).flat_map(|axis| &axis.values)
    }

    fn within<'a>(&'a self, first: &'a str) -> impl Iterator<Item = &'a Axis> {
        self.axes.iter().filter(move |axis| axis.path.begins_with(first))
    }

    /// All points that are not excluded, the first axis slowest.
    pub(super) fn points(&self, faults: &mut Faults) -> Vec<Point> {
        let sizes = self.sizes();
        let count = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        let Some(count) = count.filter(|&count| count <= POINTS_MAX) else {
            let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
            let at = self.axes.first().map_or(&self.at, |axis| &axis.at);
            let cause = format!("the sweep has {} points", sizes.join(" x "));
            faults.add(at, cause, format!("use fewer values; a sweep has at most {POINTS_MAX} points"));
            return Vec::new();
        };
        let texts: Vec<Vec<Arc<str>>> = self.axes.iter().map(|axis| axis.values.iter().map(text).collect()).collect();
        let excluded = self.excluded();
        let mut points = Vec::new();
        for index in 0..count {
            let choice = self.choice(index, &sizes);
            if excluded.iter().any(|pairs| pairs.iter().all(|(axis, matches)| matches[choice[*axis] as usize])) {
                continue;
            }
            let setting =
                |(axis, &value): (usize, &u32)| (self.axes[axis].name.clone(), texts[axis][value as usize].clone());
            points.push(Point { settings: choice.iter().enumerate().map(setting).collect(), choice });
        }
        if points.is_empty() {
            faults.add(&self.at, "the sweep excludes every point", "remove an entry of `exclude`");
        }
        points
    }

    /// Sets the values of `point` in `root`.
    pub(super) fn apply(&self, point: &Point, root: &mut Node, faults: &mut Faults) {
        for (axis, &value) in self.axes.iter().zip(&point.choice) {
            axis.path.set(root, &axis.at, axis.values[value as usize].clone(), faults);
        }
    }

    /// The number of values of each axis of the grid, and of those that advance together.
    fn sizes(&self) -> Vec<usize> {
        let (grid, zip) = self.axes.split_at(self.grid_count);
        let together = zip.iter().map(|axis| axis.values.len()).min();
        grid.iter().map(|axis| axis.values.len()).chain(together).collect()
    }

    fn choice(&self, mut index: usize, sizes: &[usize]) -> Vec<u32> {
        let mut choice = vec![0; sizes.len()];
        for (chosen, size) in choice.iter_mut().zip(sizes).rev() {
            *chosen = (index % size) as u32;
            index /= size;
        }
        let together = choice.get(self.grid_count).copied().unwrap_or_default();
        choice.resize(self.axes.len(), together);
        choice
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

fn find_repeated<'a>(axes: impl Iterator<Item = &'a Axis>, faults: &mut Faults) {
    let mut seen: Vec<&Axis> = Vec::new();
    for axis in axes {
        if let Some(first) = seen.iter().find(|other| other.path == axis.path) {
            let cause = format!("two axes set `{}`", axis.name);
            faults.add(&axis.at, cause, "keep one of them").label("second").beside(&first.at, "first");
        }
        seen.push(axis);
    }
}

/// The axes and values of an entry of `exclude`.
fn exclusion(entry: &Pairs, axes: &[Axis], sweep: Option<&Node>, faults: &mut Faults) -> Option<Vec<(usize, Node)>> {
    if entry.0.is_empty() {
        let at = sweep.and_then(|sweep| sweep.get("exclude")).map_or(0..0, |node| node.at.clone());
        faults.add(&at, "an empty entry excludes every point", "name a path and its value, or remove the entry");
        return None;
    }
    let mut found = Vec::new();
    for (name, value) in &entry.0 {
        let path = Path::parse(&name.value, &name.at, faults)?;
        match axes.iter().position(|axis| axis.path == path) {
            Some(axis) => found.push((axis, value.clone())),
            None => {
                let remedy = match axes {
                    [] => "add it to `grid`".to_owned(),
                    _ => format!("use one of the sweep's axes: {}", list(axes.iter().map(|axis| &axis.name))),
                };
                faults.add(&name.at, format!("the sweep has no axis `{}`", name.value), remedy);
            }
        }
    }
    Some(found)
}

/// The values of `a..=b` or `a..=b*factor`.
pub(super) fn range(text: &str, at: &Span, faults: &mut Faults) -> Option<Vec<Node>> {
    const REMEDY: &str = "write for example \"1..=64\", or \"1..=64*2\" to double at each step";
    let number = |text: &str| text.trim().replace('_', "").parse::<i64>().ok().filter(|&number| number >= 0);
    let parsed = text.split_once("..=").and_then(|(first, rest)| {
        let (last, factor) = match rest.split_once('*') {
            Some((last, factor)) => (last, Some(number(factor)?)),
            None => (rest, None),
        };
        Some((number(first)?, number(last)?, factor))
    });
    let Some((first, last, factor)) = parsed else {
        faults.add(at, format!("`{}` is not a range", super::decode::shorten(text)), REMEDY);
        return None;
    };
    let problem = match factor {
        _ if first > last => Some("the range is empty, since it ends before it begins"),
        Some(factor) if factor < 2 || first == 0 => Some("the range does not grow"),
        None if last - first >= POINTS_MAX as i64 => Some("the range has more than 1000000 values"),
        _ => None,
    };
    if let Some(problem) = problem {
        faults.add(at, problem, REMEDY);
        return None;
    }
    let next = |&value: &i64| match factor {
        Some(factor) => value.checked_mul(factor),
        None => value.checked_add(1),
    };
    let values = std::iter::successors(Some(first), next).take_while(|&value| value <= last);
    Some(values.map(|value| Node { value: Value::Integer(value), at: at.clone() }).collect())
}

/// The values of the text of an override, if it is a list such as `1,2,4` or a range such as `1..=64`.
pub(super) fn listed(text: &str, at: &Span, faults: &mut Faults) -> Option<Vec<Node>> {
    if text.contains("..=") && !text.contains(['"', '\'', ',']) {
        return Some(range(text, at, faults).unwrap_or_default());
    }
    let parts = split(text, ',');
    let mut begin = at.start;
    let mut values = Vec::new();
    for part in &parts {
        let indent = part.len() - part.trim_start().len();
        values.push(super::read::value_or_string(part.trim(), begin + indent));
        begin += part.len() + 1;
    }
    (parts.len() > 1).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::super::diagnostic::{Diagnostics, Sources};
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut faults = Faults::default();
        let mut sources = Sources::default();
        let start = sources.add("--set", text);
        let values = listed(text, &(start..start + text.len()), &mut faults);
        let found = match faults.is_empty() {
            true => values.map_or("one value".to_owned(), |values| {
                let values: Vec<String> = values.iter().map(|node| node.value.to_string()).collect();
                values.join(" ")
            }),
            false => Diagnostics::new(faults, &sources).to_string(),
        };
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn lists_and_ranges_are_several_values() {
        check("1,2, 4", "1 2 4");
        check("1..=4", "1 2 3 4");
        check("1..=100*2", "1 2 4 8 16 32 64");
        check("3..=3", "3");
        check("9223372036854775806..=9223372036854775807", "9223372036854775806 9223372036854775807");
        check("8 GiB,16 GiB", "8 GiB 16 GiB");
        check("[1, 2],[3]", "[1, 2] [3]");
        check("8 GiB", "one value");
        check("../traces/a.csv", "one value");
    }

    #[test]
    fn a_range_that_gives_no_values_is_a_fault() {
        check("4..=1", "the range is empty");
        check("1..=8*1", "the range does not grow");
        check("0..=8*2", "the range does not grow");
        check("1..=x", "`1..=x` is not a range");
        check("-1..=3", "`-1..=3` is not a range");
        check("0..=1000000", "the range has more than 1000000 values");
    }
}
