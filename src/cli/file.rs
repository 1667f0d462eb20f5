//! Single files that the user named or that lie beside one.

use std::fmt::Display;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use super::Error;

/// A larger file is none that this program wrote.
const BYTES_MAX: u64 = 1 << 30;

/// The bytes of a file that this program wrote, or why there are none.
pub(super) fn read_whole(path: &Path) -> Result<Vec<u8>, String> {
    read_up_to(path, BYTES_MAX)
}

/// The bytes of a file of at most `bytes_max`, or why there are none.
pub(super) fn read_up_to(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let read = || {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    let shown = path.display();
    match read() {
        Ok(bytes) if bytes.len() as u64 > bytes_max => {
            Err(format!("`{shown}` is larger than {} MiB; name a smaller file", bytes_max >> 20))
        }
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(format!("cannot read `{shown}`: {error}")),
    }
}

/// Writes a file that appears complete or not at all. Links are followed, and what is no file, such as `/dev/stdout`,
/// is written to instead of replaced.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |error: &dyn Display| Error::Failed(format!("cannot write `{}`: {error}", path.display()));
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return fs::write(path, bytes).map_err(|error| failed(&error));
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less what the umask takes
    let mut file = builder.tempfile_in(folder).map_err(|error| failed(&error))?;
    file.write_all(bytes).map_err(|error| failed(&error))?;
    file.persist(&target).map_err(|error| failed(&error))?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_a_link_and_its_file_is_written() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("plan.json"), place.path().join("link"));
        fs::write(&file, "earlier").unwrap();
        std::os::unix::fs::symlink("plan.json", &link).unwrap();
        write_whole(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let place = tempfile::tempdir().unwrap();
        assert!(matches!(write_whole(place.path(), b"new"), Err(Error::Failed(_))));
        assert!(place.path().is_dir());
    }

    #[test]
    fn a_file_above_the_limit_is_named_with_a_remedy() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("large");
        fs::File::create(&path).unwrap().set_len((1 << 20) + 1).unwrap();
        let message = format!("`{}` is larger than 1 MiB; name a smaller file", path.display());
        assert_eq!(read_up_to(&path, 1 << 20), Err(message));
        assert_eq!(read_up_to(&path, 2 << 20).map(|bytes| bytes.len()), Ok((1 << 20) + 1));
    }
}
