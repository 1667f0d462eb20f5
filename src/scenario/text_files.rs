//! Files of text that a scenario names, each read once, and what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::InputFile;
use super::diagnostic::{Mistakes, Sources};
use super::document::Node;
use super::file::{FileMistake, Load, TEXT_BYTES_MAX};
use super::profiles::add_mistakes;
use crate::cost::Mistake;

/// All files of one kind of a scenario and of its sweep.
#[derive(Debug)]
pub(super) struct TextFiles<T> {
    /// The folder of the scenario, which files are named relative to.
    folder: PathBuf,
    /// By path; faulty ones are left out.
    loaded: BTreeMap<PathBuf, T>,
}

impl<T> TextFiles<T> {
    /// Reads with `load`, and then `parse`, every file that one of `named` is the name of.
    pub(super) fn load(
        folder: &Path,
        named: &[&Node],
        (load, parse): (Load<'_>, impl Fn(&[u8]) -> Result<T, Vec<Mistake>>),
        inputs: &mut Vec<InputFile>,
        sources: &mut Sources,
        mistakes: &mut Mistakes,
    ) -> TextFiles<T> {
        let (mut loaded, mut seen) = (BTreeMap::new(), BTreeSet::new());
        for node in named {
            let path = folder.join(node.as_str().unwrap_or_default());
            if !seen.insert(path.clone()) {
                continue;
            }
            let bytes = match load(&path, TEXT_BYTES_MAX) {
                Ok(bytes) => bytes,
                Err(FileMistake { cause, remedy }) => {
                    mistakes.add(&node.at, cause, remedy);
                    continue;
                }
            };
            inputs.push(InputFile::new(&path, &bytes));
            match parse(&bytes) {
                Ok(content) => drop(loaded.insert(path, content)),
                Err(found) => {
                    add_mistakes(&path.to_string_lossy(), &String::from_utf8_lossy(&bytes), found, sources, mistakes);
                }
            }
        }
        TextFiles { folder: folder.to_owned(), loaded }
    }

    /// What is in the file called `name` in the scenario; `None` if it is faulty.
    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.loaded.get(&self.folder.join(name))
    }
}
