//! The hardware that a command uses, and what it was asked to do when the user interrupts it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::Error;
use super::file::read_whole;
use crate::model::Weights;
use crate::problem::Model;
use crate::replay::BackendError;
use crate::replay::cpu::{Host, Library, Network};
use crate::replay::remote::Fleet;
use crate::replay::tensorrt::{Board, Patience};
use crate::replay::wire::Credentials;
use crate::scenario::Case;
use crate::units::Duration;

/// Which runtime executes networks.
#[derive(Clone, Debug, Args)]
pub(super) struct HardwareArgs {
    /// Execute networks by this library of ONNX Runtime (libonnxruntime.so); by the built-in rten if absent
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnxruntime: Option<OsString>,
    /// Time engines of TensorRT by this trtexec; by the one in PATH, or where JetPack puts it, if absent
    #[arg(long, value_name = "FILE", env = "COINFER_TRTEXEC")]
    trtexec: Option<PathBuf>,
    /// Folder for engines of TensorRT, which are built once; in the user's cache if absent
    #[arg(long, value_name = "DIR", env = "COINFER_ENGINES")]
    engines: Option<PathBuf>,
    /// Longest time that one run of trtexec may take, building included, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u64).range(1..=86400))]
    trtexec_limit: u64,
    #[command(flatten)]
    credentials: CredentialArgs,
}

/// What agents of devices are known by, and know us by.
#[derive(Clone, Debug, Args)]
struct CredentialArgs {
    /// PEM file of who has signed the certificates of agents; without TLS if absent
    #[arg(long, value_name = "FILE", env = "COINFER_TLS_CA")]
    tls_ca: Option<PathBuf>,
    /// PEM file of the certificate that is shown to agents
    #[arg(long, value_name = "FILE", env = "COINFER_TLS_CERT", requires = "tls_key", requires = "tls_ca")]
    tls_cert: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, value_name = "FILE", env = "COINFER_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// File with the token that is shown to agents
    #[arg(long, value_name = "FILE", env = "COINFER_TOKEN_FILE")]
    token_file: Option<PathBuf>,
}

impl CredentialArgs {
    fn read(&self) -> Result<Credentials, Error> {
        let read =
            |path: &Option<PathBuf>| path.as_ref().map(|path| read_whole(path).map_err(Error::Usage)).transpose();
        let token = self.token_file.as_ref().map(|path| read_token(path)).transpose()?;
        let identity = read(&self.tls_cert)?.zip(read(&self.tls_key)?);
        Ok(Credentials { authority: read(&self.tls_ca)?, identity, token })
    }
}

/// The token in a file, without the end of its line.
pub(super) fn read_token(path: &Path) -> Result<String, Error> {
    let bytes = read_whole(path).map_err(Error::Usage)?;
    let text = String::from_utf8(bytes).ok().filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| Error::Usage(format!("`{}` has no token in it", path.display())))?;
    Ok(text.trim().to_owned())
}

impl HardwareArgs {
    pub(super) fn library(&self) -> Result<Library, Error> {
        // An empty variable names nothing.
        match self.onnxruntime.as_ref().filter(|path| !path.is_empty()) {
            None => Ok(Library::Rten),
            Some(path) => Library::onnx_runtime(Path::new(path)).map_err(Error::Usage),
        }
    }

    /// The agents of the devices of `case`.
    pub(super) fn fleet(&self, case: &Case) -> Result<Arc<Fleet>, Error> {
        let credentials = self.credentials.read()?;
        Ok(Arc::new(Fleet::connect(&case.problem.platform, &credentials)?))
    }

    /// The board with the devices of `case` that TensorRT runs, and `models`; `None` if there is no such device.
    pub(super) fn board(&self, case: &Case, models: &[(Model, Arc<Weights>)]) -> Result<Option<Arc<Board>>, Error> {
        if case.problem.platform.devices.iter().all(|device| device.runtime.tensorrt().is_none()) {
            return Ok(None);
        }
        let cache = || {
            let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
            cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        };
        let store = self.engines.clone().or_else(|| Some(cache()?.join("coinfer/engines"))).ok_or_else(|| {
            Error::Usage("there is no folder for engines, since HOME is not set; name one by --engines".into())
        })?;
        let networks = models.iter().map(|(model, weights)| (model.graph.clone(), weights.clone())).collect();
        let limit = Duration::from_nanos(self.trtexec_limit * 1_000_000_000);
        let patience = Patience { limit, interrupted: interruption() };
        let (platform, trtexec) = (&case.problem.platform, self.trtexec.as_deref());
        let board = Board::new(platform, networks, &store, trtexec, patience)?;
        Ok(Some(Arc::new(board)))
    }
}

/// The cores of this machine as the devices of `case`, with `models` and `samples` inputs of each.
pub(super) fn host(
    case: &Case,
    models: &[(Model, Arc<Weights>)],
    library: Library,
    samples: u32,
) -> Result<Arc<Host>, Error> {
    let network = |(model, weights): &(Model, Arc<Weights>)| Network {
        graph: model.graph.clone(),
        weights: weights.clone(),
        home: model.home,
    };
    let networks = models.iter().map(network).collect();
    Ok(Arc::new(Host::new(&case.problem.platform, library, networks, samples, case.seed)?))
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Error {
        match error {
            BackendError::Interrupted => Error::Interrupted,
            BackendError::Gone { device, reason } => Error::Gone { device, reason },
            BackendError::Unavailable { .. } | BackendError::Unfit { .. } => Error::Usage(error.to_string()),
            _ => Error::Failed(error.to_string()),
        }
    }
}

/// Set by the first Ctrl-C; the second one ends the program at once.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether the user has asked to stop, from now on instead of ending the program.
pub(super) fn interruption() -> &'static AtomicBool {
    // Fails if this was called before, which is as well.
    drop(ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(super::INTERRUPTED_CODE));
        }
        eprintln!("stopping: what is under way ends first; Ctrl-C again ends at once");
    }));
    &INTERRUPTED
}
