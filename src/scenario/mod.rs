//! Scenario files: the TOML form with positions, overrides and sweeps, and diagnostics for what is wrong with it.
//!
//! What comes out is a problem with strategies. Nothing is planned or run here.

mod decode;
mod diagnostic;
mod document;
mod file;
mod form;
mod hardware;
mod lower;
mod names;
mod parsed;
mod path;
mod profiles;
mod scalar;
mod schema;
mod sweep;

use std::path::Path;

use rayon::prelude::*;

pub use diagnostic::Diagnostics;
pub use file::InputFile;
pub use schema::schema;
pub use sweep::Point;

use decode::{At, shorten};
use diagnostic::{Faults, Sources, Span};
use document::{Node, Value};
use file::FileFault;
use profiles::Traces;
use sweep::{Axis, Override, Sweep};

use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::strategy::Strategy;

/// A scenario without faults, with its overrides and traces.
pub struct Scenario {
    name: String,
    inputs: Vec<InputFile>,
    sources: Sources,
    root: Node,
    sweep: Sweep,
    traces: Traces,
    seed: u64,
}

/// A scenario as a problem, with what is to be done about it.
pub struct Case {
    /// The question.
    pub problem: Problem,
    /// The strategies, in the scenario's order; at least one.
    pub strategies: Vec<Entry>,
    /// The device that speed-ups are over; the fastest one if `None`.
    pub baseline: Option<DeviceId>,
    /// Seed of all random draws.
    pub seed: u64,
    /// What a reader of the results should know, in one line each.
    pub notes: Vec<String>,
}

/// A strategy of a scenario.
pub struct Entry {
    /// Unique in the scenario.
    pub name: String,
    /// What it does.
    pub strategy: Box<dyn Strategy>,
}

/// A larger scenario is a mistake.
const SCENARIO_BYTES_MAX: usize = 4 << 20;

/// A longer name does not fit into file systems.
const NAME_BYTES_MAX: usize = 100;

/// Points whose faults are looked for before more are tried.
const CHUNK: usize = 4096;

impl Scenario {
    /// Reads the scenario at `path`, changed by `overrides` such as `load.offline.samples=100`, and its traces.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Scenario, Diagnostics> {
        Scenario::read_with(path, overrides, false)
    }

    /// As [`Scenario::read`], and overrides with several values, such as `load.offline.samples=1,2,4` or
    /// `load.offline.samples=1..=64`, become axes of the sweep, in place of those with the same path.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn read_sweep(path: &Path, overrides: &[String]) -> Result<Scenario, Diagnostics> {
        Scenario::read_with(path, overrides, true)
    }

    fn read_with(path: &Path, overrides: &[String], sweeps: bool) -> Result<Scenario, Diagnostics> {
        Scenario::parse(path, file::read(path), overrides, sweeps, &file::read)
    }

    /// The scenario that `bytes` are, if the file at `path` had these; `load` reads traces.
    fn parse(
        path: &Path,
        bytes: Result<Vec<u8>, FileFault>,
        overrides: &[String],
        sweeps: bool,
        load: &dyn Fn(&Path) -> Result<Vec<u8>, FileFault>,
    ) -> Result<Scenario, Diagnostics> {
        let (mut sources, mut faults) = (Sources::default(), Faults::default());
        let mut root = parse_file(path, &bytes, &mut sources, &mut faults);
        if !faults.is_empty() {
            return Err(Diagnostics::new(faults, &sources));
        }
        let mut changes = Vec::new();
        for text in overrides {
            let start = sources.add("--set", text.as_str());
            apply(text, start, sweeps, &mut root, &mut changes, &mut faults);
        }
        let sweep = Sweep::new(root.get("sweep"), changes, &mut faults);
        let mut named: Vec<&Node> = sweep.traces().filter(|node| node.as_str().is_some()).collect();
        let tables = root.get("devices").into_iter().chain(sweep.values());
        tables.for_each(|table| profiles::find_traces(table, &mut named));
        named.sort_by_key(|node| node.at.start);
        let mut inputs = vec![InputFile::new(path, bytes.as_deref().unwrap_or_default())];
        let folder = path.parent().unwrap_or(Path::new(""));
        let traces = Traces::load(folder, &named, load, &mut inputs, &mut sources, &mut faults);
        let name = name(&root, path, &mut faults);
        let case = lower::lower(&root, &traces, &mut faults);
        faults.into_result(&sources)?;
        let seed = case.expect("a scenario without faults is a case").seed;
        // Points copy the tree, and a sweep may be larger than all else.
        root.remove("sweep");
        Ok(Scenario {
            name,
            inputs,
            sources,
            root,
            sweep,
            traces,
            seed,
        })
    }

    /// Names the folder of results; a safe file name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Seed of all random draws, unless a sweep sets it.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What results depend on: the scenario file first, then traces.
    pub fn inputs(&self) -> &[InputFile] {
        &self.inputs
    }

    /// The scenario as it stands, without its sweep.
    ///
    /// # Errors
    /// None so far: faults are found by reading.
    pub fn case(&self) -> Result<Case, Diagnostics> {
        let mut faults = Faults::default();
        let case = lower::lower(&self.root, &self.traces, &mut faults);
        faults.into_result(&self.sources)?;
        Ok(case.expect("a scenario without faults is a case"))
    }

    /// All points of the sweep, in order; one without settings if there is no sweep.
    ///
    /// # Errors
    /// Everything that is wrong with any point. So [`Scenario::case_at`] succeeds for each.
    pub fn points(&self) -> Result<Vec<Point>, Diagnostics> {
        let mut faults = Faults::default();
        let points = self.sweep.points(&mut faults);
        for chunk in points.chunks(CHUNK) {
            let found: Vec<Faults> = chunk.par_iter().map(|point| self.resolve(point).1).collect();
            for (point, found) in chunk.iter().zip(found) {
                let settings = point
                    .settings()
                    .iter()
                    .map(|(path, value)| format!("{path} = {}", shorten(value)));
                if !found.is_empty() {
                    faults.extend_noted(found, &format!("at {}", settings.collect::<Vec<_>>().join(", ")));
                }
            }
            if faults.len() > CHUNK {
                break;
            }
        }
        faults.into_result(&self.sources)?;
        Ok(points)
    }

    /// The scenario with the values of a point of its sweep.
    ///
    /// # Errors
    /// None for a point that [`Scenario::points`] of this scenario returned.
    pub fn case_at(&self, point: &Point) -> Result<Case, Diagnostics> {
        let (case, faults) = self.resolve(point);
        faults.into_result(&self.sources)?;
        Ok(case.expect("a point without faults is a case"))
    }

    fn resolve(&self, point: &Point) -> (Option<Case>, Faults) {
        let (mut root, mut faults) = (self.root.clone(), Faults::default());
        self.sweep.apply(point, &mut root, &mut faults);
        if !faults.is_empty() {
            return (None, faults);
        }
        let case = lower::lower(&root, &self.traces, &mut faults);
        (case, faults)
    }
}

/// The tree of the file; an empty one if there are faults.
fn parse_file(path: &Path, bytes: &Result<Vec<u8>, FileFault>, sources: &mut Sources, faults: &mut Faults) -> Node {
    let shown = path.to_string_lossy();
    let empty = Node {
        value: Value::Table(document::Table::default()),
        at: 0..0,
    };
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
        faults.add(
            &(0..0),
            format!("`{shown}` is larger than 4 MiB"),
            "name a scenario file",
        );
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
            faults.add(
                &(start + at..start + at + 3),
                "the file is not valid UTF-8",
                "save it as UTF-8 text",
            );
            empty
        }
    }
}

/// Sets what an override says in `root`, or adds it to the `changes` of the sweep.
fn apply(text: &str, start: usize, sweeps: bool, root: &mut Node, changes: &mut Vec<Override>, faults: &mut Faults) {
    let path = path::split(text, '=')[0];
    let path_at = start..start + path.len();
    let Some(value) = text.get(path.len() + 1..) else {
        faults.add(
            &path_at,
            "there is no `=`",
            "write path=value, for example load.offline.samples=100",
        );
        return;
    };
    let value_at = path_at.end + 1..start + text.len();
    let Some(parsed) = path::Path::parse(path, &path_at, faults) else {
        return;
    };
    let value = value.trim();
    let single = document::parse_value(value, &value_at);
    let listed = if single.is_none() {
        sweep::listed(value, &value_at, faults)
    } else {
        None
    };
    match listed {
        Some(values) if sweeps => changes.push(Override::Axis(Axis::new(path, parsed, &path_at, values))),
        Some(values)
            if values
                .iter()
                .all(|node| matches!(node.value, Value::Integer(_) | Value::Float(_))) =>
        {
            let remedy = "give one value, or run `coinfer sweep`";
            faults.add(
                &value_at,
                "several values make a sweep, and this is a single run",
                remedy,
            );
        }
        _ => {
            let value = value_or_string(value, &value_at);
            if sweeps {
                let axis = Axis::new(path, parsed.clone(), &path_at, vec![value.clone()]);
                changes.push(Override::Fixed(axis));
            }
            parsed.set(root, &path_at, value, faults);
        }
    }
}

/// The TOML value that `text` is; otherwise `text` itself, as a string.
fn value_or_string(text: &str, at: &Span) -> Node {
    let string = || Node {
        value: Value::String(text.to_owned()),
        at: at.clone(),
    };
    document::parse_value(text, at).unwrap_or_else(string)
}

/// The scenario's name, or its file's without the extension.
fn name(root: &Node, path: &Path, faults: &mut Faults) -> String {
    let is_safe = |name: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain) && !name.starts_with('.')
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let given = root.get("name").and_then(|node| {
        Some(At {
            value: node.as_str()?.to_owned(),
            at: node.at.clone(),
        })
    });
    match given {
        Some(At { value, at }) if !is_safe(&value) => {
            let remedy = "use letters, digits, `.`, `_` and `-`, not beginning with `.`";
            faults.add(
                &at,
                format!("`{}` cannot name a folder of results", shorten(&value)),
                remedy,
            );
            value
        }
        Some(At { value, .. }) => value,
        None => {
            if root.get("name").is_none() && !is_safe(&stem) {
                let cause = format!("the file's name `{}` cannot name a folder of results", shorten(&stem));
                faults.add(&(0..0), cause, "add for example `name = \"my-scenario\"`");
            }
            stem.into_owned()
        }
    }
}
