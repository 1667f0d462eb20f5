//! Files of a scenario: reading them whole, and what can be wrong with that.

use std::io::Read;
use std::path::{Path, PathBuf};

/// A file that results depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// As the user named it, or as the scenario did, relative to where the scenario is.
    pub path: PathBuf,
    /// BLAKE3 hash of its bytes, in hexadecimal.
    pub hash: String,
}

impl InputFile {
    pub(super) fn new(path: &Path, bytes: &[u8]) -> InputFile {
        InputFile { path: path.to_owned(), hash: blake3::hash(bytes).to_hex().to_string() }
    }
}

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileMistake {
    pub(super) cause: String,
    pub(super) remedy: String,
}

/// Reads a file of at most so many bytes.
pub(super) type Load<'a> = &'a dyn Fn(&Path, u64) -> Result<Vec<u8>, FileMistake>;

/// A larger text is a mistake.
pub(super) const TEXT_BYTES_MAX: u64 = 64 << 20;
/// A larger network does not fit into an ONNX file.
pub(crate) const NETWORK_BYTES_MAX: u64 = 2 << 30;

/// The bytes of the file at `path`, which are at most `bytes_max`.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, FileMistake> {
    let fault = |cause: String, remedy: &str| FileMistake { cause, remedy: remedy.to_owned() };
    let shown = path.display();
    if path.is_dir() {
        return Err(fault(format!("`{shown}` is a folder"), "name a file in it"));
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let (what, remedy) = match error.kind() {
            std::io::ErrorKind::NotFound => ("does not exist".into(), "correct the path, or create the file"),
            std::io::ErrorKind::PermissionDenied => {
                ("may not be read".into(), "allow reading it, or name another file")
            }
            _ => (format!("cannot be read: {error}"), "name a file that can be read"),
        };
        return Err(fault(format!("`{shown}` {what}"), remedy));
    }
    if bytes.len() as u64 > bytes_max {
        return Err(fault(format!("`{shown}` is larger than {} MiB", bytes_max >> 20), "name a smaller file"));
    }
    Ok(bytes)
}
