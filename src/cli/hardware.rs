//! The hardware that a command uses, and what it was asked to do when the user interrupts it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use indicatif::ProgressBar;

use super::file::read_whole;
use super::{Error, Terminal};
use crate::measure::{Heard, MeasureError};
use crate::replay::cpu::Library;
use crate::replay::remote::Fleet;
use crate::replay::tensorrt::{self, Patience};
use crate::replay::wire::Credentials;
use crate::replay::{BackendError, Settings};
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
    /// With what devices are driven.
    pub(super) fn settings(&self) -> Result<Settings, Error> {
        // An empty variable names nothing.
        let library = match self.onnxruntime.as_ref().filter(|path| !path.is_empty()) {
            None => Library::Rten,
            Some(path) => Library::onnx_runtime(Path::new(path)).map_err(Error::Usage)?,
        };
        let cache = || {
            let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
            cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        };
        let engines = self.engines.clone().or_else(|| Some(cache()?.join("coinfer/engines")));
        let limit = Duration::from_nanos(self.trtexec_limit * 1_000_000_000);
        let patience = Patience { limit, interrupted: interruption() };
        let tensorrt = tensorrt::Settings { program: self.trtexec.clone(), engines, patience };
        Ok(Settings { library, credentials: self.credentials.read()?, tensorrt })
    }

    /// The agents of the devices of `case`.
    pub(super) fn fleet(&self, case: &Case) -> Result<Arc<Fleet>, Error> {
        let credentials = self.credentials.read()?;
        Ok(Arc::new(Fleet::connect(&case.problem.platform, &credentials)?))
    }
}

impl From<MeasureError> for Error {
    fn from(error: MeasureError) -> Error {
        match error {
            MeasureError::Backend(error) => error.into(),
            MeasureError::Input(diagnostics) => Error::Input(diagnostics),
            _ => Error::Usage(error.to_string()),
        }
    }
}

impl From<BackendError> for Error {
    fn from(error: BackendError) -> Error {
        match error {
            BackendError::Interrupted => Error::Interrupted,
            BackendError::Gone { device, reason } => Error::Gone { device, reason },
            BackendError::Simulated { .. } | BackendError::Unavailable { .. } | BackendError::Unfit { .. } => {
                Error::Usage(error.to_string())
            }
            _ => Error::Failed(error.to_string()),
        }
    }
}

/// What shows on `terminal` how far something is.
pub(super) fn heard(terminal: &Terminal) -> impl Fn(Heard<'_>) {
    let bar = RefCell::new(ProgressBar::hidden());
    move |heard| match heard {
        Heard::Begun(count, what) => drop(bar.replace(terminal.progress(count, what))),
        Heard::Advanced => bar.borrow().inc(1),
        Heard::Ended => bar.borrow().finish_and_clear(),
        Heard::Said(text) => terminal.tell(text),
        Heard::Explained(text) => terminal.tell_more(|| text.to_owned()),
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
