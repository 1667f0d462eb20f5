//! Engines on disk: each built once, kept whole or not at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::command;
use super::exports::{Placement, placement};
use super::process::{ChildProcess, Failure, Patience, output};
use super::program::Program;
use crate::platform::TensorrtUnit;

/// A built engine.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    pub(super) file: PathBuf,
    /// Where its layers ran when it was built.
    pub(super) placement: Placement,
    /// Samples of a run.
    pub(super) batch: u32,
}

/// A folder of engines. Several programs may use it.
#[derive(Clone, Debug)]
pub(super) struct Store(PathBuf);

/// What folders of engines in the making are called.
const UNFINISHED: &str = ".building-";
/// The file that is locked as long as an engine is built beside it.
const LOCK: &str = "lock";
/// Another content of the folders, and engines are built again.
const REVISION: u8 = 1;

impl Store {
    /// The folder at `path`, without what was left of builds that did not end.
    pub(super) fn open(path: &Path) -> Result<Store, String> {
        fs::create_dir_all(path).map_err(|error| format!("cannot keep engines in `{}`: {error}", path.display()))?;
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let is_left = || File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) && is_left() {
                // Next time, if not now.
                drop(fs::remove_dir_all(entry.path()));
            }
        }
        Ok(Store(path.to_owned()))
    }

    /// The engine of `onnx` for `unit`, built if it is not there yet.
    pub(super) fn engine(
        &self,
        program: &Program,
        unit: &TensorrtUnit,
        onnx: &[u8],
        batch: u32,
        patience: &Patience,
    ) -> Result<Engine, Failure> {
        let folder = self.0.join(key(program, unit, onnx));
        if !folder.is_dir() {
            self.build(program, unit, onnx, batch, &folder, patience)?;
        }
        let [file, profile, layers, log] = files(&folder);
        let placement = placement([&profile, &layers, &log], batch);
        let placement = placement.map_err(|reason| format!("{reason}; remove `{}`", folder.display()))?;
        Ok(Engine { file, placement, batch })
    }

    fn build(
        &self,
        program: &Program,
        unit: &TensorrtUnit,
        onnx: &[u8],
        batch: u32,
        folder: &Path,
        patience: &Patience,
    ) -> Result<(), Failure> {
        let cannot = |error: std::io::Error| format!("cannot keep engines in `{}`: {error}", self.0.display());
        let place = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&self.0).map_err(cannot)?;
        let lock = File::create(place.path().join(LOCK)).map_err(cannot)?;
        lock.lock().map_err(cannot)?;
        let source = place.path().join("network.onnx");
        fs::write(&source, onnx).map_err(cannot)?;
        let [file, profile, layers, log] = files(place.path());
        let arguments = command::build(program, unit, &source, [&file, &profile, &layers]);
        let built = ChildProcess::start(&program.path, &arguments, &log).map_err(Failure::Failed);
        let built = built.and_then(|running| running.end(patience));
        let built = built.and_then(|()| {
            placement([&profile, &layers, &log], batch)?;
            if file.is_file() { Ok(()) } else { Err("trtexec ended well, but wrote no engine".to_owned().into()) }
        });
        if let Err(trouble) = built {
            return Err(self.with_log(trouble, folder, &log));
        }
        fs::remove_file(&source).map_err(cannot)?;
        fs::remove_file(place.path().join(LOCK)).map_err(cannot)?;
        match fs::rename(place.path(), folder) {
            // Another program has built the same one meanwhile.
            Err(_) if folder.is_dir() => Ok(()),
            Err(error) => Err(cannot(error).into()),
            Ok(()) => {
                // Its name is free.
                drop(place.keep());
                Ok(())
            }
        }
    }

    /// Keeps the log of a failure, and says where.
    fn with_log(&self, trouble: Failure, folder: &Path, log: &Path) -> Failure {
        let Failure::Failed(reason) = trouble else { return trouble };
        let kept = folder.with_extension("failed.log");
        match fs::copy(log, &kept) {
            Ok(_) if !output(&kept).is_empty() => {
                Failure::Failed(format!("{reason}; all that it printed is in `{}`", kept.display()))
            }
            _ => Failure::Failed(reason),
        }
    }
}

/// The files of an engine: itself, its profile, what its layers are, and what was printed when it was built.
fn files(folder: &Path) -> [PathBuf; 4] {
    ["engine", "profile.json", "layers.json", "log"].map(|name| folder.join(name))
}

/// What an engine is known by.
fn key(program: &Program, unit: &TensorrtUnit, onnx: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    let (core, fallback) = (unit.dla_core, unit.gpu_fallback);
    let made = (REVISION, program.software(), &program.hash, board(), core, fallback, command::making(program, unit));
    hasher.update(format!("{made:?}").as_bytes());
    hasher.update(onnx);
    hasher.finalize().to_hex().to_string()
}

/// The board, as far as the system tells it: engines of one do not run on another.
pub(super) fn board() -> Option<String> {
    let model = fs::read_to_string("/proc/device-tree/model").ok()?;
    let model = model.trim_matches(|letter: char| letter.is_control() || letter.is_whitespace());
    (!model.is_empty()).then(|| model.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::command::tests::{HELP_8, HELP_10};
    use super::*;
    use crate::platform::Precision;

    #[test]
    fn an_engine_is_known_by_all_that_makes_it() {
        let program = |help: &str| Program::of_help("trtexec".into(), help).unwrap();
        let unit = TensorrtUnit { dla_core: Some(0), gpu_fallback: true, precision: Precision::Fp16 };
        let mut other = program(HELP_8);
        other.hash = "1".into();
        let keys = [
            key(&program(HELP_8), &unit, b"a"),
            key(&program(HELP_8), &unit, b"b"),
            key(&program(HELP_10), &unit, b"a"),
            key(&other, &unit, b"a"),
            key(&program(HELP_8), &TensorrtUnit { dla_core: Some(1), ..unit.clone() }, b"a"),
            key(&program(HELP_8), &TensorrtUnit { dla_core: None, ..unit.clone() }, b"a"),
            key(&program(HELP_8), &TensorrtUnit { gpu_fallback: false, ..unit.clone() }, b"a"),
            key(&program(HELP_8), &TensorrtUnit { precision: Precision::Int8, ..unit.clone() }, b"a"),
        ];
        for (index, one) in keys.iter().enumerate() {
            assert!(keys[..index].iter().all(|earlier| earlier != one), "{index}");
        }
        assert_eq!(keys[0], key(&program(HELP_8), &unit, b"a"));
        let elsewhere = Program::of_help("/opt/trtexec".into(), HELP_8).unwrap();
        assert_eq!(keys[0], key(&elsewhere, &unit, b"a"), "what counts is the program, not where it is");
    }

    #[test]
    fn what_is_left_of_builds_that_did_not_end_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let [left, building, engine] = [".building-a", ".building-b", "c"].map(|name| folder.path().join(name));
        for place in [&left, &building, &engine] {
            fs::create_dir(place).unwrap();
            fs::write(place.join(LOCK), "").unwrap();
        }
        let lock = File::open(building.join(LOCK)).unwrap();
        lock.lock().unwrap();
        Store::open(folder.path()).unwrap();
        assert!(!left.exists() && building.exists() && engine.exists());
    }
}
