//! A scenario's text, overrides and name, before what they mean is known.

use std::path::Path;

use super::decode::shorten;
use super::diagnostic::{Faults, Sources};
use super::document::{self, Node, Value};
use super::file::FileFault;
use super::path;
use super::sweep::{self, Axis, Override};

/// A larger scenario is a mistake.
const SCENARIO_BYTES_MAX: usize = 4 << 20;

/// A longer name does not fit into file systems.
const NAME_BYTES_MAX: usize = 100;

/// The tree of the file; an empty one if there are faults.
pub(super) fn parse_file(
    path: &Path,
    bytes: &Result<Vec<u8>, FileFault>,
    sources: &mut Sources,
    faults: &mut Faults,
) -> Node {
    let shown = path.to_string_lossy();
    let empty = Node { value: Value::Table(document::Table::default()), at: 0..0 };
    let bytes = match bytes {
        Ok(bytes) => bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes),
        Err(FileFault { cause, remedy }) => {
            sources.add(shown, "");
            faults.add(&(0..0), cause, remedy);
            return empty;
        }
    };
    if bytes.len() > SCENARIO_BYTES_MAX {
        sources.add(shown.clone(), "");
        faults.add(&(0..0), format!("`{shown}` is larger than 4 MiB"), "name a scenario file");
        return empty;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => {
            let start = sources.add(shown, text);
            document::parse(text, start, faults)
        }
        Err(error) => {
            let at = error.valid_up_to();
            let start = sources.add(shown, String::from_utf8_lossy(bytes));
            faults.add(&(start + at..start + at + 3), "the file is not valid UTF-8", "save it as UTF-8 text");
            empty
        }
    }
}

/// Sets what an override says in `root`, or adds it to the `changes` of the sweep.
pub(super) fn apply(
    text: &str,
    start: usize,
    sweeps: bool,
    root: &mut Node,
    changes: &mut Vec<Override>,
    faults: &mut Faults,
) {
    let path = path::split(text, '=')[0];
    let path_at = start..start + path.len();
    let Some(value) = text.get(path.len() + 1..) else {
        faults.add(&path_at, "there is no `=`", "write path=value, for example load.offline.samples=100");
        return;
    };
    let begin = path_at.end + 1 + (value.len() - value.trim_start().len());
    let value = value.trim();
    let value_at = begin..begin + value.len();
    let Some(parsed) = path::Path::parse(path, &path_at, faults) else {
        return;
    };
    let single = document::parse_value(value, begin);
    let listed = if single.is_none() { sweep::listed(value, &value_at, faults) } else { None };
    match listed {
        Some(values) if sweeps => changes.push(Override::Axis(Axis::new(path, parsed, &path_at, values))),
        // The range is wrong, which has been said.
        Some(values) if values.is_empty() => {}
        Some(values) if values.iter().all(|node| matches!(node.value, Value::Integer(_) | Value::Float(_))) => {
            let remedy = "give one value, or run `coinfer sweep`";
            faults.add(&value_at, "several values make a sweep, and this is a single run", remedy);
        }
        _ => {
            let value = single.unwrap_or_else(|| value_or_string(value, begin));
            if sweeps {
                let axis = Axis::new(path, parsed.clone(), &path_at, vec![value.clone()]);
                changes.push(Override::Fixed(axis));
            }
            parsed.set(root, &path_at, value, faults);
        }
    }
}

/// The TOML value that `text` is; otherwise `text` itself, as a string. The text begins at `start` of the sources.
pub(super) fn value_or_string(text: &str, start: usize) -> Node {
    let string = || Node { value: Value::String(text.to_owned()), at: start..start + text.len() };
    document::parse_value(text, start).unwrap_or_else(string)
}

/// The scenario's name, or its file's without the extension.
pub(super) fn name(root: &Node, path: &Path, faults: &mut Faults) -> String {
    let is_safe = |name: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('.')
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let Some(given) = root.get("name") else {
        if !is_safe(&stem) {
            let cause = format!("the file's name `{}` cannot name a folder of results", shorten(&stem));
            faults.add(&(0..0), cause, "add for example `name = \"my-scenario\"`");
        }
        return stem.into_owned();
    };
    // That it is a text is seen to where the whole scenario is read.
    let name = given.as_str().unwrap_or(&stem);
    if given.as_str().is_some() && !is_safe(name) {
        let remedy = "use letters, digits, `.`, `_` and `-`, not beginning with `.`";
        faults.add(&given.at, format!("`{}` cannot name a folder of results", shorten(name)), remedy);
    }
    name.to_owned()
}
