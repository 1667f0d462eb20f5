//! What a profile has measured so far, on disk, so that it can go on after an interruption.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use super::file::write_whole;
use crate::replay::profile::Measured;

/// The measurements of one visit to a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Visit {
    /// Unique in the profile.
    pub(super) name: String,
    /// Index of the network.
    pub(super) network: usize,
    pub(super) measured: Vec<Measured>,
}

/// A file with a line for each visit, after one that says what is measured.
pub(super) struct Journal {
    path: PathBuf,
    head: String,
    /// Open from the first new visit on.
    file: Option<File>,
    visits: Vec<Visit>,
    names: BTreeSet<String>,
}

impl Journal {
    /// The journal at `path`, with the visits that it has and that are `known`, if it is of a profile with the same
    /// `key` and is not to be `fresh`. Nothing is written yet.
    pub(super) fn open(path: &Path, key: &str, fresh: bool, known: impl Fn(&Visit) -> bool) -> Journal {
        let head = line(&blake3::hash(key.as_bytes()).to_hex().as_str());
        let mut visits = Vec::new();
        let is_file = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
        if let (false, true, Ok(file)) = (fresh, is_file, File::open(path)) {
            let mut lines = BufReader::new(file).lines().map_while(Result::ok);
            if lines.next().as_deref() == Some(head.trim_end()) {
                // The last line of a killed run may be torn; nothing follows it.
                let read = lines.map_while(|line| serde_json::from_str(&line).ok());
                visits.extend(read.take_while(known));
            }
        }
        let names = visits.iter().map(|visit| visit.name.clone()).collect();
        Journal { path: path.to_owned(), head, file: None, visits, names }
    }

    /// Whether it has the visit called `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// All visits.
    pub(super) fn visits(&self) -> &[Visit] {
        &self.visits
    }

    /// Adds a visit, on disk too.
    pub(super) fn add(&mut self, visit: Visit) -> Result<(), Error> {
        if self.file.is_none() {
            self.file = Some(self.begin()?);
        }
        let mut file = self.file.as_ref().expect("it was just opened");
        file.write_all(line(&visit).as_bytes()).map_err(|error| self.failed(&error))?;
        self.names.insert(visit.name.clone());
        self.visits.push(visit);
        Ok(())
    }

    /// Writes what it has in one go, so that nothing is lost if the program ends meanwhile, and opens it for more.
    fn begin(&self) -> Result<File, Error> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|error| self.failed(&error))?;
        }
        if fs::symlink_metadata(&self.path).is_ok_and(|found| !found.is_file()) {
            let shown = self.path.display();
            return Err(Error::Usage(format!(
                "`{shown}`, where a profile keeps what it has so far, is no file; remove it"
            )));
        }
        let lines: String = self.visits.iter().map(line).collect();
        write_whole(&self.path, (self.head.clone() + &lines).as_bytes())?;
        OpenOptions::new().append(true).open(&self.path).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Error {
        Error::Failed(format!("cannot write `{}`: {error}", self.path.display()))
    }

    /// Removes it from disk: the profile is complete.
    pub(super) fn remove(self) {
        // A journal that stays is of a profile that was written, and does no harm.
        drop(fs::remove_file(&self.path));
    }
}

fn line(entry: &impl Serialize) -> String {
    serde_json::to_string(entry).expect("a journal has texts and whole numbers only") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(name: &str, network: usize) -> Visit {
        Visit { name: name.into(), network, measured: vec![] }
    }

    fn open(path: &Path, key: &str) -> Journal {
        Journal::open(path, key, false, |visit| visit.network < 2)
    }

    #[test]
    fn a_journal_goes_on_after_a_torn_line_and_forgets_another_profile() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("below/journal");
        let mut journal = open(&path, "one");
        journal.add(visit("a", 0)).unwrap();
        journal.add(visit("b", 0)).unwrap();
        drop(journal);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 4]).unwrap();
        let mut journal = open(&path, "one");
        assert!(journal.has("a") && !journal.has("b"));
        journal.add(visit("c", 1)).unwrap();
        drop(journal);
        assert_eq!(open(&path, "one").visits(), [visit("a", 0), visit("c", 1)]);
        let mut other = open(&path, "two");
        assert!(other.visits().is_empty());
        assert_eq!(open(&path, "one").visits().len(), 2, "nothing was written yet");
        other.add(visit("a", 0)).unwrap();
        assert!(open(&path, "one").visits().is_empty(), "it was overwritten");
    }

    #[test]
    fn a_journal_can_be_forgotten_and_removed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("journal");
        open(&path, "one").add(visit("a", 0)).unwrap();
        let journal = Journal::open(&path, "one", true, |_| true);
        assert!(journal.visits().is_empty());
        journal.remove();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_visit_of_this_profile_ends_what_was_measured() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("journal");
        let mut journal = open(&path, "one");
        for (name, network) in [("a", 1), ("b", 2), ("c", 0)] {
            journal.add(visit(name, network)).unwrap();
        }
        drop(journal);
        assert_eq!(open(&path, "one").visits(), [visit("a", 1)]);
        fs::write(&path, [0xff, 0xfe, b'\n']).unwrap();
        assert!(open(&path, "one").visits().is_empty());
    }
}
