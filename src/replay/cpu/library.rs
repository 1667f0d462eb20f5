//! The runtimes that execute ONNX on the CPU: rten, which is always there, and ONNX Runtime where its library is named.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::TensorRef;
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, ValueOrView};
use rten_tensor::NdTensorView;

use crate::replay::clock::thread_time;
use crate::replay::cores::{self, Hold};
use crate::units::Duration;

/// What executes networks on the CPU.
#[derive(Clone, Debug)]
pub enum Library {
    /// rten, which is part of coinfer.
    Rten,
    /// ONNX Runtime, from a library of the user's.
    OnnxRuntime(OnnxRuntime),
}

/// A loaded library of ONNX Runtime.
#[derive(Clone, Debug)]
pub struct OnnxRuntime {
    environment: ort::environment::Environment,
    version: String,
}

/// The version of rten that is compiled in.
const RTEN_VERSION: &str = "0.27";

/// A process loads one library of ONNX Runtime, once.
static LIBRARY: Mutex<Option<(PathBuf, OnnxRuntime)>> = Mutex::new(None);

impl Library {
    /// ONNX Runtime from the library at `path`.
    ///
    /// # Errors
    /// The library cannot be loaded, or another one is loaded already.
    pub fn onnx_runtime(path: &Path) -> Result<Library, String> {
        let mut library = LIBRARY.lock().unwrap_or_else(PoisonError::into_inner);
        let (loaded, runtime) = match &mut *library {
            Some(known) => known,
            none => none.insert((path.to_owned(), load_library(path)?)),
        };
        if loaded != path {
            return Err(format!("`{}` is loaded already, and a process has one ONNX Runtime", loaded.display()));
        }
        Ok(Library::OnnxRuntime(runtime.clone()))
    }

    /// Name and version.
    pub fn version(&self) -> String {
        match self {
            Library::Rten => format!("rten {RTEN_VERSION}"),
            Library::OnnxRuntime(library) => format!("ONNX Runtime {}", library.version),
        }
    }
}

fn load_library(path: &Path) -> Result<OnnxRuntime, String> {
    let failed = |reason: String| format!("cannot load ONNX Runtime from `{}`: {reason}", path.display());
    if !path.is_file() {
        return Err(failed("there is no such file".into()));
    }
    let builder = ort::init_from(path).map_err(|error| failed(error.to_string()))?;
    let environment = builder.with_telemetry(false).build().map_err(|error| failed(error.to_string()))?;
    let file = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    Ok(OnnxRuntime { environment, version: version(&file.to_string_lossy(), ort::info()) })
}

/// The version that the name of a library ends with, and the commit that it says it was built from.
fn version(file: &str, build: &str) -> String {
    let number = file.rsplit_once(".so.").map_or("of unknown version", |(_, number)| number);
    let commit = build.split([',', ' ']).find_map(|part| part.strip_prefix("git-commit-id="));
    format!("{number} ({})", commit.unwrap_or("unknown commit"))
}

/// Threads of one device, all pinned to its cores.
#[derive(Clone, Debug)]
pub(in crate::replay) struct Threads {
    pub(in crate::replay) cores: Vec<usize>,
    pub(in crate::replay) count: usize,
    /// How firmly they hold them.
    pub(in crate::replay) hold: Hold,
    /// The threads of rten.
    pool: Arc<ThreadPool>,
}

impl Threads {
    /// Starts `count` threads on `cores`.
    pub(in crate::replay) fn start(cores: &[usize], count: usize) -> Result<Threads, String> {
        let (hold, pool) = on_cores(cores, |hold| (hold, ThreadPool::with_num_threads(count)))?;
        Ok(Threads { cores: cores.to_owned(), count, hold, pool: Arc::new(pool) })
    }
}

/// What `make` gives on a thread on `cores`. The threads that it starts inherit the cores and how firmly they are held.
fn on_cores<R: Send>(cores: &[usize], make: impl FnOnce(Hold) -> R + Send) -> Result<R, String> {
    std::thread::scope(|scope| {
        let starter = Builder::new().spawn_scoped(scope, || cores::pin(cores).map(make));
        let starter = starter.map_err(|error| format!("no thread can be started: {error}"))?;
        starter.join().unwrap_or_else(|_| Err("threads could not be started".into()))
    })
}

/// A network, or a part of one, ready to run.
pub(in crate::replay) enum Engine {
    Rten { model: Box<Model>, inputs: Vec<NodeId>, outputs: Vec<NodeId> },
    OnnxRuntime { session: Mutex<Session>, inputs: Vec<String>, outputs: Vec<String> },
}

/// Numbers that go into an engine.
pub(in crate::replay) struct Input<'a> {
    pub(in crate::replay) dims: [usize; 4],
    pub(in crate::replay) numbers: &'a [f32],
}

impl Engine {
    /// Loads `onnx`, whose inputs and outputs are known by name, for a device with these threads.
    pub(in crate::replay) fn load(
        library: &Library,
        onnx: Vec<u8>,
        inputs: Vec<String>,
        outputs: Vec<String>,
        threads: &Threads,
    ) -> Result<Engine, String> {
        match library {
            Library::Rten => {
                let mut options = ModelOptions::with_all_ops();
                let model = options.prepack_weights(true).load(onnx).map_err(|error| error.to_string())?;
                let find = |names: Vec<String>| -> Result<Vec<NodeId>, String> {
                    names.iter().map(|name| model.node_id(name).map_err(|error| error.to_string())).collect()
                };
                let (inputs, outputs) = (find(inputs)?, find(outputs)?);
                Ok(Engine::Rten { model: Box::new(model), inputs, outputs })
            }
            Library::OnnxRuntime(loaded) => {
                let open = |_| open_session(loaded, &onnx, threads.count).map_err(|error| error.to_string());
                let session = on_cores(&threads.cores, open)??;
                Ok(Engine::OnnxRuntime { session: Mutex::new(session), inputs, outputs })
            }
        }
    }

    /// The outputs for `inputs`, both in the order of the names that the engine was loaded with, and how long the
    /// computing thread has computed; of several, one of them.
    pub(in crate::replay) fn run(
        &self,
        inputs: &[Input<'_>],
        threads: &Threads,
    ) -> Result<(Vec<Vec<f32>>, Duration), String> {
        match self {
            Engine::Rten { model, inputs: nodes, outputs } => {
                let views = inputs.iter().map(|input| NdTensorView::from_data(input.dims, input.numbers).into());
                let values: Vec<(NodeId, ValueOrView<'_>)> = nodes.iter().copied().zip(views).collect();
                let mut options = RunOptions::default();
                options.thread_pool = Some(threads.pool.clone());
                let (result, computed) = threads.pool.run(|| timed(|| model.run(values, outputs, Some(options))));
                let values = result.map_err(|error| error.to_string())?;
                let numbers = values.into_iter().map(|value| {
                    let tensor: rten_tensor::Tensor<f32> = value.try_into().map_err(|error| format!("{error}"))?;
                    Ok(tensor.into_data())
                });
                Ok((numbers.collect::<Result<_, String>>()?, computed))
            }
            Engine::OnnxRuntime { session, inputs: names, outputs } => {
                let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
                let failed = |error: ort::Error| error.to_string();
                let values = names.iter().zip(inputs).map(|(name, input)| {
                    let tensor = TensorRef::from_array_view((input.dims, input.numbers)).map_err(failed)?;
                    Ok((name.as_str(), SessionInputValue::from(tensor)))
                });
                let values = values.collect::<Result<Vec<_>, String>>()?;
                let (result, computed) = timed(|| session.run(values));
                let values = result.map_err(failed)?;
                let numbers = outputs.iter().map(|name| {
                    let (_, numbers) = values[name.as_str()].try_extract_tensor::<f32>().map_err(failed)?;
                    Ok(numbers.to_vec())
                });
                Ok((numbers.collect::<Result<_, String>>()?, computed))
            }
        }
    }
}

/// What `compute` gives, and how long this thread computed it.
fn timed<R>(compute: impl FnOnce() -> R) -> (R, Duration) {
    let before = thread_time();
    let result = compute();
    (result, thread_time() - before)
}

fn open_session(library: &OnnxRuntime, onnx: &[u8], threads: usize) -> Result<Session, ort::Error> {
    Session::builder(&library.environment)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_intra_threads(threads)?
        // Threads that spin would be stopped by the kernel's limit on real time.
        .with_intra_op_spinning(false)?
        .with_inter_threads(1)?
        .commit_from_memory(onnx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_rten_is_the_one_that_is_compiled_in() {
        let manifest = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        assert!(manifest.contains(&format!("\nrten = {{ version = \"{RTEN_VERSION}\"")));
    }

    #[test]
    fn a_library_is_known_by_its_version_and_commit() {
        let build = "ORT Build Info: git-branch=HEAD, git-commit-id=6af1a93, build type=Release";
        assert_eq!(version("/lib/libonnxruntime.so.1.31.1", build), "1.31.1 (6af1a93)");
        assert_eq!(version("/lib/libonnxruntime.so", ""), "of unknown version (unknown commit)");
    }

    #[test]
    fn a_library_that_is_not_there_stands_in_the_way_of_no_other() {
        for name in ["nowhere/one.so", "nowhere/two.so"] {
            let message = Library::onnx_runtime(Path::new(name)).unwrap_err();
            assert_eq!(message, format!("cannot load ONNX Runtime from `{name}`: there is no such file"));
        }
    }
}
