//! What a profile has measured so far, in a journal, so that it can go on after an interruption.

use std::path::{Path, PathBuf};

use super::Error;
use super::journal::{self, Journal};
use crate::measure::Visit;

/// All visits of a profile. Their journal has a line for each, after one that says what is measured.
pub(super) struct Visits {
    path: PathBuf,
    head: String,
    /// Open from the first new visit on.
    journal: Option<Journal>,
    visits: Vec<Visit>,
}

impl Visits {
    /// The visits that the journal at `path` has and that are `known`, if it is of a profile with the same `key` and
    /// is not to be `fresh`. Nothing is written yet.
    pub(super) fn open(path: &Path, key: &str, fresh: bool, known: impl Fn(&Visit) -> bool) -> Visits {
        let head = blake3::hash(key.as_bytes()).to_hex().to_string();
        let mut lines = Vec::new();
        let is_file = std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
        if !fresh && is_file {
            // What cannot be read is measured again.
            drop(journal::read(path, |_, text| lines.push(text.to_owned())));
        }
        let mut lines = lines.iter();
        let is_same = lines.next() == Some(&head);
        let read = lines.map_while(|line| serde_json::from_str(line).ok()).take_while(known);
        let visits: Vec<Visit> = if is_same { read.collect() } else { vec![] };
        Visits { path: path.to_owned(), head, journal: None, visits }
    }

    /// All visits.
    pub(super) fn all(&self) -> &[Visit] {
        &self.visits
    }

    /// Adds a visit, on disk too.
    pub(super) fn add(&mut self, visit: Visit) -> Result<(), Error> {
        if self.journal.is_none() {
            self.journal = Some(self.begin()?);
        }
        let journal = self.journal.as_mut().expect("it was just opened");
        journal.add(&line(&visit))?;
        self.visits.push(visit);
        Ok(())
    }

    /// The journal with the visits that it has, to which more can be added.
    fn begin(&self) -> Result<Journal, Error> {
        let expected = || std::iter::once(self.head.clone()).chain(self.visits.iter().map(line));
        let mut found = Vec::new();
        let mut journal = Journal::open(&self.path, |_, text| found.push(text.to_owned()))?;
        if !found.iter().eq(expected().collect::<Vec<_>>().iter()) {
            journal.clear()?;
            expected().try_for_each(|line| journal.add(&line).map(drop))?;
        }
        Ok(journal)
    }

    /// Removes the journal: the profile is complete.
    pub(super) fn remove(self) {
        match self.journal {
            Some(journal) => journal.remove(),
            None => drop(std::fs::remove_file(&self.path)),
        }
    }
}

fn line(visit: &Visit) -> String {
    serde_json::to_string(visit).expect("a visit has texts and whole numbers only")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn visit(name: &str, network: usize) -> Visit {
        Visit { name: name.into(), network, measured: vec![] }
    }

    fn open(path: &Path, key: &str) -> Visits {
        Visits::open(path, key, false, |visit| visit.network < 2)
    }

    #[test]
    fn a_profile_goes_on_after_a_torn_line_and_forgets_another_profile() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("below/journal");
        let mut visits = open(&path, "one");
        visits.add(visit("a", 0)).unwrap();
        visits.add(visit("b", 0)).unwrap();
        drop(visits);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 4]).unwrap();
        let mut visits = open(&path, "one");
        assert_eq!(visits.all(), [visit("a", 0)]);
        visits.add(visit("c", 1)).unwrap();
        drop(visits);
        assert_eq!(open(&path, "one").all(), [visit("a", 0), visit("c", 1)]);
        let mut other = open(&path, "two");
        assert!(other.all().is_empty());
        assert_eq!(open(&path, "one").all().len(), 2, "nothing was written yet");
        other.add(visit("a", 0)).unwrap();
        assert!(open(&path, "one").all().is_empty(), "it was overwritten");
    }

    #[test]
    fn visits_can_be_forgotten_and_removed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("journal");
        open(&path, "one").add(visit("a", 0)).unwrap();
        let visits = Visits::open(&path, "one", true, |_| true);
        assert!(visits.all().is_empty());
        visits.remove();
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_visit_of_this_profile_ends_what_was_measured() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("journal");
        let mut visits = open(&path, "one");
        for (name, network) in [("a", 1), ("b", 2), ("c", 0)] {
            visits.add(visit(name, network)).unwrap();
        }
        drop(visits);
        assert_eq!(open(&path, "one").all(), [visit("a", 1)]);
        fs::write(&path, [0xff, 0xfe, b'\n']).unwrap();
        assert!(open(&path, "one").all().is_empty());
    }
}
