//! The points of a sweep that are done, in its journal, with those of earlier sweeps that did not change.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::record::{COMPLETE, Head, Line, relabelled};
use crate::cli::journal::{self, Journal, LinePlace};
use crate::cli::{Error, Terminal};
use crate::scenario::{PointKey, Points};

/// What to do about points that are done already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing may be lost: an unfinished journal of this sweep is refused.
    Careful,
    /// Take what did not change from every journal.
    Resume,
    /// Begin anew.
    Fresh,
}

/// The journal of a sweep, and where each of its points is in it.
pub(super) struct Store {
    journal: Journal,
    places: Vec<Option<LinePlace>>,
}

/// The ending of journals.
const EXTENSION: &str = "journal";

/// The journal of the sweep that `head` describes, in the folder of its scenario.
pub(super) fn path(folder: &Path, head: &Head) -> PathBuf {
    let name = match head.shard {
        [_, 1] => format!("sweep-{}.{EXTENSION}", head.run),
        [shard, count] => format!("sweep-{}-{shard}-of-{count}.{EXTENSION}", head.run),
    };
    folder.join(name)
}

/// Positions of the points that no journal in `folder` has.
pub(super) fn missing(folder: &Path, points: &Points) -> Vec<usize> {
    let wanted = Wanted::new(points);
    let mut is_there = vec![false; points.len()];
    for path in journals(folder) {
        // One that cannot be read has nothing for us.
        drop(journal::read(&path, |_, text| {
            if let Some(Line::Point { key, panicked: false, .. }) = Line::parse(text) {
                wanted.positions(key).for_each(|position| is_there[position] = true);
            }
        }));
    }
    (0..points.len()).filter(|&position| !is_there[position]).collect()
}

impl Store {
    /// Opens the journal of a sweep.
    ///
    /// # Errors
    /// If another run is writing to it, if it must not be replaced, or if it cannot be written.
    pub(super) fn open(
        folder: &Path,
        head: &Head,
        points: &Points,
        start: Start,
        terminal: &Terminal,
    ) -> Result<Store, Error> {
        let path = path(folder, head);
        let wanted = Wanted::new(points);
        let (mut journal, mut found) = open(&path, &wanted)?;
        let is_ours = found.head.as_ref().is_some_and(|found| found.is_same(head));
        if start == Start::Careful && !(journal.is_empty() || is_ours && found.is_complete) {
            return Err(refused(&path, is_ours, found.places.iter().flatten().count(), points.len()));
        }
        if start == Start::Resume && !is_ours && !journal.is_empty() {
            // Its lines may be sound all the same: they are found again among the journals of other sweeps.
            set_aside(&path)?;
            (journal, found) = open(&path, &wanted)?;
        }
        if start != Start::Resume {
            journal.clear()?;
            found.places = vec![None; points.len()];
        }
        if journal.is_empty() {
            journal.add(&head.line())?;
        }
        let mut store = Store { journal, places: found.places };
        if start == Start::Resume {
            store.take_from_all(folder, &wanted)?;
            let (taken, all) = (store.done(), points.len());
            let rest = all - taken;
            terminal.tell(&format!("{taken} of {all} points are taken from the journal, {rest} are new or changed"));
        } else {
            tell_of_unfinished(folder, &path, terminal);
        }
        Ok(store)
    }

    /// Number of points that are done.
    pub(super) fn done(&self) -> usize {
        self.places.iter().flatten().count()
    }

    /// Positions of the points that are not.
    pub(super) fn missing(&self) -> Vec<usize> {
        (0..self.places.len()).filter(|&position| self.places[position].is_none()).collect()
    }

    /// Adds what came of the point at `position`.
    pub(super) fn add(&mut self, position: usize, line: &str) -> Result<(), Error> {
        self.places[position] = Some(self.journal.add(line)?);
        Ok(())
    }

    /// The line of the point at `position`, which is done.
    pub(super) fn line(&self, position: usize) -> io::Result<String> {
        self.journal.text(self.places[position].expect("the point is done"))
    }

    /// Sees to it that points outlive the machine too.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.journal.sync()
    }

    /// Says that all is done.
    pub(super) fn complete(mut self) -> Result<PathBuf, Error> {
        self.journal.add(COMPLETE)?;
        Ok(self.journal.path().to_owned())
    }

    /// Copies points that the journals of the folder have under other names.
    fn take_from_all(&mut self, folder: &Path, wanted: &Wanted<'_>) -> Result<(), Error> {
        for path in journals(folder) {
            let mut found = Vec::new();
            // One that cannot be read has nothing for us.
            let Ok(file) = journal::read(&path, |place, text| {
                if let Some(Line::Point { key, panicked: false, .. }) = Line::parse(text) {
                    let missing = wanted.positions(key).filter(|&position| self.places[position].is_none());
                    found.extend(missing.map(|position| (position, place)));
                }
            }) else {
                continue;
            };
            for (position, place) in found {
                if self.places[position].is_none() {
                    self.take(&file, place, wanted.points, position)?;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, file: &File, place: LinePlace, points: &Points, position: usize) -> Result<(), Error> {
        let text = journal::text_at(file, place).unwrap_or_default();
        let Some(Line::Point { key, record, .. }) = Line::parse(&text) else { return Ok(()) };
        match relabelled(record, &points.point(position), key, points.index(position)) {
            Some(line) => self.add(position, &line),
            None => Ok(()),
        }
    }
}

/// What the journal of a sweep has.
struct Found {
    /// Its first line, if that says what is swept.
    head: Option<Head>,
    is_complete: bool,
    /// Where its points are.
    places: Vec<Option<LinePlace>>,
}

fn open(path: &Path, wanted: &Wanted<'_>) -> Result<(Journal, Found), Error> {
    let mut found = Found { head: None, is_complete: false, places: vec![None; wanted.points.len()] };
    let mut is_first = true;
    let journal = Journal::open(path, |place, text| {
        let line = Line::parse(text);
        found.is_complete = matches!(line, Some(Line::Complete));
        match line {
            Some(Line::Head(head)) if is_first => found.head = Some(*head),
            Some(Line::Point { key, index, panicked: false, .. }) => {
                let position = wanted.positions(key).find(|&position| wanted.points.index(position) == index);
                position.into_iter().for_each(|position| found.places[position] = Some(place));
            }
            _ => {}
        }
        is_first = false;
    })?;
    Ok((journal, found))
}

/// Points that are looked for in journals.
struct Wanted<'a> {
    points: &'a Points,
    /// What each point is made of with its position, sorted.
    keys: Vec<(PointKey, usize)>,
}

impl Wanted<'_> {
    fn new(points: &Points) -> Wanted<'_> {
        let mut keys: Vec<_> = (0..points.len()).map(|position| (points.key(position), position)).collect();
        keys.sort_unstable();
        Wanted { points, keys }
    }

    /// Positions of the points that are made of this.
    fn positions(&self, key: PointKey) -> impl Iterator<Item = usize> {
        let first = self.keys.partition_point(|(known, _)| *known < key);
        self.keys[first..].iter().take_while(move |(known, _)| *known == key).map(|(_, position)| *position)
    }
}

fn refused(path: &Path, is_ours: bool, taken: usize, all: usize) -> Error {
    let shown = path.display();
    Error::Usage(match is_ours {
        true => format!(
            "an earlier run of this sweep was interrupted, and `{shown}` has {taken} of its {all} points; \
             add --resume to go on with them, or --fresh to begin anew"
        ),
        false => format!(
            "`{shown}` is damaged, or of another version; add --resume to take what is sound, or --fresh to replace it"
        ),
    })
}

/// Gives the journal at `path` another name.
fn set_aside(path: &Path) -> Result<(), Error> {
    let names = (1..).map(|number: u32| path.with_extension(format!("set-aside-{number}.{EXTENSION}")));
    let free = names.into_iter().find(|name| fs::symlink_metadata(name).is_err()).expect("numbers do not run out");
    fs::rename(path, free).map_err(|error| Error::Failed(format!("cannot rename `{}`: {error}", path.display())))
}

/// Tells of interrupted sweeps of the same scenario that another input or another command was used for.
fn tell_of_unfinished(folder: &Path, own: &Path, terminal: &Terminal) {
    let is_unfinished = |path: &PathBuf| path != own && !is_complete(path);
    if let Some(path) = journals(folder).into_iter().find(is_unfinished) {
        terminal.tell(&format!(
            "`{}` is of an interrupted sweep of this scenario; --resume takes points that did not change from it",
            path.display()
        ));
    }
}

/// The journals in `folder`, by name.
fn journals(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION) && path.is_file())
        .collect();
    paths.sort();
    paths
}

/// Whether the last line says so.
fn is_complete(path: &Path) -> bool {
    let end = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(32)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    end().is_ok_and(|bytes| bytes.ends_with(format!(" {COMPLETE}\n").as_bytes()))
}
