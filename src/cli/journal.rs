//! What a profile has measured so far, on disk, so that it can go on after an interruption.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
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
    file: File,
    visits: Vec<Visit>,
    names: BTreeSet<String>,
}

impl Journal {
    /// The journal at `path`, with what it has if it is of a profile with the same `key` and is not to be `fresh`.
    pub(super) fn open(path: &Path, key: &str, fresh: bool) -> Result<Journal, Error> {
        let failed = |error: std::io::Error| Error::Failed(format!("cannot write `{}`: {error}", path.display()));
        let head = serde_json::to_string(&blake3::hash(key.as_bytes()).to_hex().as_str()).expect("a text is JSON");
        let mut visits = Vec::new();
        if let (false, Ok(file)) = (fresh, File::open(path)) {
            let mut lines = BufReader::new(file).lines().map_while(Result::ok);
            if lines.next().as_deref() == Some(&head) {
                // The last line of a killed run may be torn; nothing follows it.
                visits.extend(lines.map_while(|line| serde_json::from_str::<Visit>(&line).ok()));
            }
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(path).map_err(failed)?;
        let names = visits.iter().map(|visit| visit.name.clone()).collect();
        let mut journal = Journal { path: path.to_owned(), file, visits: Vec::new(), names };
        journal.line(&head)?;
        for visit in visits {
            journal.add(visit)?;
        }
        Ok(journal)
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
        self.line(&serde_json::to_string(&visit).expect("a visit has texts and whole numbers only"))?;
        self.names.insert(visit.name.clone());
        self.visits.push(visit);
        Ok(())
    }

    fn line(&mut self, text: &str) -> Result<(), Error> {
        let written = self.file.write_all(format!("{text}\n").as_bytes());
        written.map_err(|error| Error::Failed(format!("cannot write `{}`: {error}", self.path.display())))
    }

    /// Removes it from disk: the profile is complete.
    pub(super) fn remove(self) {
        // A journal that stays is of a profile that was written, and does no harm.
        drop(fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_goes_on_after_a_torn_line_and_forgets_another_profile() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("journal");
        let visit = |name: &str| Visit { name: name.into(), network: 0, measured: vec![] };
        let mut journal = Journal::open(&path, "one", false).unwrap();
        journal.add(visit("a")).unwrap();
        journal.add(visit("b")).unwrap();
        drop(journal);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 4]).unwrap();
        let journal = Journal::open(&path, "one", false).unwrap();
        assert!(journal.has("a") && !journal.has("b"));
        drop(journal);
        assert!(Journal::open(&path, "two", false).unwrap().visits().is_empty());
        assert!(Journal::open(&path, "one", false).unwrap().visits().is_empty(), "it was overwritten");
    }
}
