//! The folder of a run's results, which appears complete or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

/// A results folder in the making.
///
/// Files are written to a temporary directory beside the target, whose name begins with `.`, and
/// [`Folder::commit`] moves them into place. Dropping the folder before that removes them. A run that was killed
/// leaves its temporary directory behind; the next [`Folder::create`] for the same target removes it, and puts
/// earlier results back if the run was killed while it replaced them. Directories of runs that still go on are told
/// by a lock and left alone.
#[derive(Debug)]
pub struct Folder {
    target: PathBuf,
    temporary: TempDir,
    _lock: File,
}

/// Why results could not be put into place.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The file system refused.
    #[error("cannot {action} `{}`: {cause}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
    /// There is something that is not a results folder where results should go.
    #[error("`{}` exists and {reason}; move it away or choose another place for the results", path.display())]
    Occupied {
        /// The target.
        path: PathBuf,
        /// What it is.
        reason: &'static str,
    },
    /// The target or a file's name does not name a place below its parent.
    #[error("`{}` does not name {what}", path.display())]
    Name {
        /// The name.
        path: PathBuf,
        /// What it should name.
        what: &'static str,
    },
}

/// The file that tells a results folder from any other directory.
const MANIFEST: &str = "manifest.json";
/// Within the temporary directory: locked while its run goes on, the new results, and the replaced ones.
const LOCK: &str = "lock";
const NEW: &str = "new";
const OLD: &str = "old";

/// Moves what a user has put beside the results, which is all but folders of plans, from the replaced folder to the
/// new one.
fn keep_foreign(old: &Path, new: &Path) -> Result<(), FolderError> {
    let failed_to_keep = |cause| failed("keep files of", new)(cause);
    for entry in fs::read_dir(old).map_err(failed_to_keep)? {
        let entry = entry.map_err(failed_to_keep)?;
        let place = new.join(entry.file_name());
        if fs::symlink_metadata(&place).is_err() && !entry.path().join("plan.json").exists() {
            fs::rename(entry.path(), &place).map_err(failed_to_keep)?;
        }
    }
    Ok(())
}

impl Folder {
    /// Begins a folder that will be at `target`; creates the directories above it.
    ///
    /// # Errors
    /// If a directory cannot be written, or if `target` is a file or a directory that has other things than results:
    /// one with files in it, but no `manifest.json`.
    pub fn create(target: &Path) -> Result<Folder, FolderError> {
        let Some(name) = target.file_name() else {
            return Err(FolderError::Name { path: target.to_owned(), what: "a folder" });
        };
        let parent = match target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent).map_err(failed("create", parent))?;
        let prefix = format!(".{}.coinfer-", name.to_string_lossy());
        remove_abandoned(parent, &prefix, target);
        refuse_foreign(target)?;

        let temporary = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(parent)
            .map_err(failed("create a directory in", parent))?;
        let lock = temporary.path().join(LOCK);
        let new = temporary.path().join(NEW);
        let file = File::create(&lock).map_err(failed("create", &lock))?;
        // Without locks an abandoned directory would stay, which does no harm.
        let _ = file.try_lock();
        fs::create_dir(&new).map_err(failed("create", &new))?;
        Ok(Folder { target: target.to_owned(), temporary, _lock: file })
    }

    /// Writes a file; `name` may have directories, separated by `/`.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<(), FolderError> {
        self.write_with(name, |output| output.write_all(bytes.as_ref()))
    }

    /// Writes a file of which not all need to fit into memory: what `write` writes.
    pub fn write_with(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<(), FolderError> {
        let relative = Path::new(name);
        let mut components = relative.components().peekable();
        let below = components.peek().is_some() && components.all(|part| matches!(part, Component::Normal(_)));
        if !below {
            return Err(FolderError::Name { path: relative.to_owned(), what: "a file in the results folder" });
        }
        let path = self.temporary.path().join(NEW).join(relative);
        // Errors name the place where the user expects the file.
        let shown = self.target.join(relative);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(failed("write", &shown))?;
        }
        let written = File::create(&path).and_then(|file| {
            let mut output = BufWriter::new(file);
            write(&mut output)?;
            output.flush()
        });
        written.map_err(failed("write", &shown))
    }

    /// Moves the files into place and returns where that is. Earlier results there are replaced, or kept if this
    /// fails; other files beside them stay.
    pub fn commit(self) -> Result<PathBuf, FolderError> {
        refuse_foreign(&self.target)?;
        let new = self.temporary.path().join(NEW);
        let old = self.temporary.path().join(OLD);
        let replaces = match fs::rename(&self.target, &old) {
            Ok(()) => true,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => false,
            Err(cause) => return Err(failed("replace", &self.target)(cause)),
        };
        if let Err(cause) = fs::rename(&new, &self.target) {
            if replaces && fs::rename(&old, &self.target).is_err() {
                // What could not be put back must not be removed with the temporary directory.
                let path = self.temporary.keep().join(OLD);
                return Err(failed("put results into place; the earlier ones are now in", &path)(cause));
            }
            return Err(failed("create", &self.target)(cause));
        }
        if replaces {
            keep_foreign(&old, &self.target)?;
        }
        Ok(self.target)
    }
}

/// A name for each of `names` that is safe as a file's name; all are different, even where case does not count.
pub fn slugs<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut slugs: Vec<String> = Vec::new();
    for name in names {
        let slug = slug(name);
        let numbered = (2..).map(|number: u32| format!("{slug}-{number}"));
        let free = std::iter::once(slug.clone()).chain(numbered).find(|candidate| !slugs.contains(candidate));
        slugs.push(free.expect("numbers do not run out"));
    }
    slugs
}

/// Lower-case letters, digits, `_` and `-`, at most 64. Without dots it is the name of no file beside it.
fn slug(name: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let slug: String = name.chars().map(kept).take(64).collect();
    match slug.trim_matches('-') {
        "" => "unnamed".to_owned(),
        slug => slug.to_owned(),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |cause| FolderError::Io { action, path, cause }
}

/// Refuses a target that is not absent, empty, or a results folder.
fn refuse_foreign(target: &Path) -> Result<(), FolderError> {
    let occupied = |reason| FolderError::Occupied { path: target.to_owned(), reason };
    match fs::metadata(target) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(failed("look at", target)(cause)),
        Ok(metadata) if !metadata.is_dir() => return Err(occupied("is not a folder")),
        Ok(_) => {}
    }
    let mut entries = fs::read_dir(target).map_err(failed("read", target))?;
    if entries.next().is_some() && !target.join(MANIFEST).is_file() {
        return Err(occupied("has no manifest.json, so it is not a folder of results"));
    }
    Ok(())
}

/// Removes what killed runs left. Failures are ignored: it is in nobody's way.
fn remove_abandoned(parent: &Path, prefix: &str, target: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(prefix);
        // One that has no lock yet is just being made.
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let Ok(lock) = File::options().write(true).open(entry.path().join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_err() {
            continue;
        }
        let old = entry.path().join(OLD);
        let is_lost = old.is_dir() && matches!(fs::exists(target), Ok(false));
        if !is_lost || fs::rename(&old, target).is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative paths of all files and empty directories below `folder`, sorted.
    fn listing(folder: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![folder.to_owned()];
        while let Some(path) = open.pop() {
            let entries: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
            for entry in entries {
                if entry.is_dir() {
                    open.push(entry);
                } else {
                    found.push(entry.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        found
    }

    fn written(target: &Path, text: &str) -> Folder {
        let folder = Folder::create(target).unwrap();
        folder.write(MANIFEST, text).unwrap();
        folder.write("greedy/plan.json", text).unwrap();
        folder
    }

    #[test]
    fn nothing_is_there_before_the_commit_and_all_after() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("scenario/run");
        let folder = written(&target, "1");
        assert!(!target.exists());
        assert_eq!(folder.commit().unwrap(), target);
        assert_eq!(listing(place.path()), ["scenario/run/greedy/plan.json", "scenario/run/manifest.json"]);
    }

    #[test]
    fn a_folder_that_is_dropped_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        drop(written(&place.path().join("run"), "1"));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }

    #[test]
    fn new_results_replace_all_earlier_ones_and_leave_other_files() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("run");
        let first = written(&target, "1");
        first.write("exact/plan.json", "1").unwrap();
        first.commit().unwrap();
        fs::write(target.join("notes.txt"), "a user's").unwrap();
        written(&target, "2").commit().unwrap();
        assert_eq!(listing(place.path()), ["run/greedy/plan.json", "run/manifest.json", "run/notes.txt"]);
        assert_eq!(fs::read_to_string(target.join(MANIFEST)).unwrap(), "2");
    }

    #[test]
    fn what_is_not_results_is_not_replaced() {
        let place = tempfile::tempdir().unwrap();
        let refused = |name: &str| {
            let path = place.path().join(name);
            let message = Folder::create(&path).unwrap_err().to_string();
            message.replace(&*place.path().to_string_lossy(), "")
        };
        fs::write(place.path().join("file"), "").unwrap();
        assert_eq!(
            refused("file"),
            "`/file` exists and is not a folder; move it away or choose another place for the results"
        );
        fs::create_dir(place.path().join("home")).unwrap();
        fs::write(place.path().join("home/thesis.tex"), "").unwrap();
        assert_eq!(
            refused("home"),
            "`/home` exists and has no manifest.json, so it is not a folder of results; \
             move it away or choose another place for the results"
        );
        assert!(refused("file/run").starts_with("cannot create `/file`: "));
        assert_eq!(Folder::create(Path::new("..")).unwrap_err().to_string(), "`..` does not name a folder");
    }

    #[test]
    fn files_stay_inside_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let folder = written(&place.path().join("run"), "1");
        for name in ["../escaped", "/escaped", "", "greedy/../../escaped"] {
            assert!(matches!(folder.write(name, ""), Err(FolderError::Name { .. })), "{name}");
        }
    }

    #[test]
    fn what_killed_runs_left_is_removed_and_what_they_replaced_returns() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("run");
        let abandoned = |name: &str| {
            let path = place.path().join(name);
            fs::create_dir_all(path.join(OLD)).unwrap();
            fs::write(path.join(LOCK), "").unwrap();
            fs::write(path.join(OLD).join(MANIFEST), "earlier").unwrap();
        };
        abandoned(".run.coinfer-abc");
        abandoned(".other.coinfer-abc");
        let running = written(&target, "running");
        let second = written(&target, "second");
        assert_eq!(fs::read_to_string(target.join(MANIFEST)).unwrap(), "earlier");
        assert!(!place.path().join(".run.coinfer-abc").exists());
        assert!(place.path().join(".other.coinfer-abc").exists());
        running.commit().unwrap();
        second.commit().unwrap();
        assert_eq!(fs::read_to_string(target.join(MANIFEST)).unwrap(), "second");
    }

    #[cfg(unix)]
    #[test]
    fn results_have_the_permissions_of_any_new_directory() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        let target = written(&place.path().join("run"), "1").commit().unwrap();
        let usual = place.path().join("usual");
        fs::create_dir(&usual).unwrap();
        assert_eq!(mode(&target), mode(&usual));
    }

    #[test]
    fn slugs_are_safe_and_distinct() {
        let names = ["greedy", "Greedy", "greedy: threshold = 1.5", "results.csv", "../..", "", "배치"];
        assert_eq!(
            slugs(names),
            ["greedy", "greedy-2", "greedy--threshold---1-5", "results-csv", "unnamed", "unnamed-2", "unnamed-3"]
        );
        assert_eq!(slugs([&*"x".repeat(300)])[0].len(), 64);
    }
}
