//! `coinfer merge`: the results of a sweep whose parts were done one by one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::journal::{self, LinePlace};
use super::results::{Origin, Results, now};
use super::run::Format;
use super::sweep::{Head, Line, Lines, print, verdict, write};
use super::{Error, Terminal};
use crate::output::Manifest;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  for i in 1 2 3; do coinfer sweep scenarios/kcc2020-vgg16-sweep.toml --shard $i/3; done\n  \
                        coinfer merge results/kcc2020-vgg16-sweep/sweep-*-of-3.journal\n\n\
                        Exit codes: 0 done, 1 failed, 2 wrong parts, 3 some results failed"
)]
pub(super) struct Merge {
    /// Parts of one sweep, as `coinfer sweep --shard` prints them
    #[arg(value_name = "PART", required = true)]
    parts: Vec<PathBuf>,
    /// Join what there is, though points are missing; the results go to sweep-partial-<run>
    #[arg(long)]
    partial: bool,
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Folder for results; they go to DIR/<scenario>/sweep-<run>, as those of one sweep
    #[arg(short, long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
}

impl Merge {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        merge(&self.parts, self.partial, self.format, &self.out, terminal)
    }
}

/// Joins the parts of a sweep, and prints it as the sweep would.
pub(super) fn merge(
    paths: &[PathBuf],
    is_partial: bool,
    format: Format,
    out: &Path,
    terminal: &Terminal,
) -> Result<(), Error> {
    let parts = read_parts(paths, is_partial)?;
    let Head { run, points, manifest, .. } = parts[0].head.clone();
    let manifest = Manifest { created: now(), ..manifest };
    let name = manifest.scenario.clone();
    let prefix = if is_partial { "sweep-partial-" } else { "sweep-" };
    let results = Results::of_origin(&out.join(&name), prefix, Origin { manifest, run })?;
    // By the index of a point in the sweep.
    let place_of = |index: usize| {
        let part = parts.iter().find(|part| part.head.has(index))?;
        Some((part, part.places[part.head.position(index)]?))
    };
    let indices: Vec<usize> = (0..points).filter(|&index| place_of(index).is_some()).collect();
    let read = &mut |position: usize| -> io::Result<String> {
        let (part, place) = place_of(indices[position]).expect("only points that are there are listed");
        journal::text_at(&part.file, place)
    };
    let mut lines = Lines { count: indices.len(), read };
    let table = write(&results, &name, &mut lines)?;
    let folder = results.commit()?;
    print(format, &name, &table, &mut lines, &folder, terminal)?;
    if indices.len() < points {
        terminal.tell(&format!("{} of {points} points are there", indices.len()));
    }
    terminal.tell(&format!("results in {}", folder.display()));
    verdict(&table)
}

/// A part of a sweep.
struct Part {
    path: PathBuf,
    file: File,
    head: Head,
    /// Where the points are that are done.
    places: Vec<Option<LinePlace>>,
}

/// The parts, if they make up a sweep; else everything that is wrong with them.
fn read_parts(paths: &[PathBuf], is_partial: bool) -> Result<Vec<Part>, Error> {
    let (mut parts, mut faults) = (Vec::new(), Vec::new());
    for path in paths {
        match Part::read(path) {
            Ok(part) => parts.push(part),
            Err(fault) => faults.push(fault),
        }
    }
    if let Some((first, others)) = parts.split_first() {
        faults.extend(others.iter().filter_map(|other| first.differs(other)));
    }
    if faults.is_empty() {
        faults.extend(repeated(&parts));
        if !is_partial {
            faults.extend(missing(&parts));
            faults.extend(parts.iter().filter_map(Part::unfinished));
        }
    }
    if is_partial && faults.is_empty() && parts.iter().all(|part| part.done() == 0) {
        faults.push("no part has a point".to_owned());
    }
    match faults.is_empty() {
        true => Ok(parts),
        false => Err(Error::Usage(faults.join("\nerror: "))),
    }
}

impl Part {
    fn read(path: &Path) -> Result<Part, String> {
        let shown = path.display();
        if path.is_dir() {
            return Err(format!("`{shown}` is a folder; name the parts in it, `{shown}/sweep-*-of-*.journal`"));
        }
        let mut head: Option<Head> = None;
        let mut places = Vec::new();
        let file = journal::read(path, |place, text| match (Line::parse(text), &head) {
            (Some(Line::Head(found)), None) => {
                places = vec![None; found.point_count()];
                head = Some(*found);
            }
            (Some(Line::Point { index, .. }), Some(head)) if head.has(index) => {
                places[head.position(index)] = Some(place);
            }
            _ => {}
        });
        let file = file.map_err(|error| match error {
            Error::Failed(message) | Error::Usage(message) => message,
            _ => format!("cannot read `{shown}`"),
        })?;
        let head = head.ok_or_else(|| {
            format!("`{shown}` is no part of a sweep; name the files that `coinfer sweep --shard` prints")
        })?;
        Ok(Part { path: path.to_owned(), file, head, places })
    }

    /// How the part that `self` is and another cannot be of one sweep.
    fn differs(&self, other: &Part) -> Option<String> {
        let (first, second) = (self.path.display(), other.path.display());
        let ([_, count], [_, other_count]) = (self.head.shard, other.head.shard);
        if self.head.run != other.head.run {
            let difference = difference(&self.head.manifest, &other.head.manifest);
            return Some(format!(
                "`{first}` and `{second}` are of different sweeps: {difference}; run all parts with the same input"
            ));
        }
        (count != other_count).then(|| {
            format!(
                "`{first}` is one of {count} parts and `{second}` one of {other_count}; run all parts with --shard I/N \
                 of the same N"
            )
        })
    }

    fn done(&self) -> usize {
        self.places.iter().flatten().count()
    }

    fn unfinished(&self) -> Option<String> {
        let ([shard, count], done, all) = (self.head.shard, self.done(), self.places.len());
        (done < all).then(|| {
            format!(
                "`{}` has {done} of its {all} points; go on by the same `coinfer sweep` with --shard {shard}/{count} \
                 --resume, or join what there is with --partial",
                self.path.display()
            )
        })
    }
}

/// What two sweeps have not in common.
fn difference(first: &Manifest, second: &Manifest) -> String {
    if first.scenario != second.scenario {
        return format!("their scenarios are `{}` and `{}`", first.scenario, second.scenario);
    }
    if first.version != second.version {
        return format!("they were run by versions {} and {}", first.version, second.version);
    }
    if first.settings != second.settings {
        return "their settings are not the same".to_owned();
    }
    let mut files = first.inputs.iter().zip(&second.inputs);
    match files.find(|(first, second)| first.blake3 != second.blake3) {
        Some((file, _)) => format!("`{}` was not the same", file.path),
        None => "they were run by different builds, or read different files".to_owned(),
    }
}

/// Parts that are there twice.
fn repeated(parts: &[Part]) -> Vec<String> {
    let twice = |(index, part): (usize, &Part)| {
        let first = parts[..index].iter().find(|first| first.head.shard == part.head.shard)?;
        let [shard, count] = part.head.shard;
        let (first, second) = (first.path.display(), part.path.display());
        Some(format!("`{first}` and `{second}` are both part {shard} of {count}; name each part once"))
    };
    parts.iter().enumerate().filter_map(twice).collect()
}

/// Parts that are not there.
fn missing(parts: &[Part]) -> Option<String> {
    let [_, count] = parts.first()?.head.shard;
    let is_there = |&number: &usize| parts.iter().any(|part| part.head.shard[0] == number);
    let absent: Vec<String> = (1..=count).filter(|number| !is_there(number)).map(|number| number.to_string()).collect();
    let listed = match absent.as_slice() {
        [] => return None,
        [one] => format!("part {one} of {count} is"),
        some if some.len() <= LISTED_MAX => format!("parts {} of {count} are", some.join(", ")),
        many => format!("parts {} and {} more of {count} are", many[..LISTED_MAX].join(", "), many.len() - LISTED_MAX),
    };
    Some(format!(
        "{listed} missing; run the same `coinfer sweep` with --shard {}/{count}, or join what there is with --partial",
        absent[0]
    ))
}

/// Further missing parts are only counted.
const LISTED_MAX: usize = 10;
