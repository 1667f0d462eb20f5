//! The ONNX files that a scenario names, each read once, and the networks in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use prost::bytes::Bytes;

use super::InputFile;
use super::diagnostic::Mistakes;
use super::document::Node;
use super::file::{FileMistake, Load, NETWORK_BYTES_MAX};
use crate::model::onnx::{self, Imported, ReadMistake};

/// All ONNX files of a scenario and of its sweep.
#[derive(Debug)]
pub(super) struct OnnxFiles {
    /// The folder of the scenario, which files are named relative to.
    folder: PathBuf,
    /// By path; files that cannot be read are left out.
    loaded: BTreeMap<PathBuf, Bytes>,
    /// Networks that were asked for, by file and dimensions. Points of a sweep share them.
    networks: Mutex<BTreeMap<Key, Network>>,
}

/// A file and the values of its symbolic dimensions.
type Key = (PathBuf, BTreeMap<String, u32>);

/// A network, or what is wrong with it.
type Network = Result<Arc<Imported>, Arc<[ReadMistake]>>;

impl OnnxFiles {
    /// Reads with `load` every file that one of `named` is the name of.
    pub(super) fn load(
        folder: &Path,
        named: &[&Node],
        load: Load<'_>,
        inputs: &mut Vec<InputFile>,
        mistakes: &mut Mistakes,
    ) -> OnnxFiles {
        let mut loaded = BTreeMap::new();
        for node in named {
            let path = folder.join(node.as_str().unwrap_or_default());
            if loaded.contains_key(&path) {
                continue;
            }
            match load(&path, NETWORK_BYTES_MAX) {
                Ok(bytes) => {
                    inputs.push(InputFile::new(&path, &bytes));
                    loaded.insert(path, Bytes::from(bytes));
                }
                Err(FileMistake { cause, remedy }) => drop(mistakes.add(&node.at, cause, remedy)),
            }
        }
        OnnxFiles { folder: folder.to_owned(), loaded, networks: Mutex::default() }
    }

    /// The network in the file called `name` in the scenario, with these dimensions. `None` if it cannot be read.
    pub(super) fn get(&self, name: &str, dims: BTreeMap<String, u32>) -> Option<Network> {
        let path = self.folder.join(name);
        let bytes = self.loaded.get(&path)?;
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let stem = path.file_stem().map_or_else(|| "network".into(), |stem| stem.to_string_lossy().into_owned());
        let read =
            |dims: &BTreeMap<String, u32>| onnx::read(&stem, bytes.clone(), dims).map(Arc::new).map_err(Arc::from);
        Some(networks.entry((path, dims)).or_insert_with_key(|(_, dims)| read(dims)).clone())
    }
}
