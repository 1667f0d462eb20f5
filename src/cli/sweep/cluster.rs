//! Sweeps on many machines: scripts of parts for engines that others run, and submitting them.
//!
//! Each part is one `coinfer sweep --shard`: starting a program for each point would cost far more than most points.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::Sweep;
use super::again::quoted;
use super::record::Head;
use crate::cli::Error;
use crate::cli::file::write_whole;
use crate::scenario::Scenario;

/// A sweep in parts that are done by other processes.
pub(super) struct SweepParts {
    /// Names the sweep to whoever looks at a queue.
    pub(super) name: String,
    pub(super) count: usize,
    /// Where everything is run.
    pub(super) current: PathBuf,
    /// Where journals, scripts and logs are, from the root on.
    folder: PathBuf,
    /// A hash of all that the results depend on.
    run: String,
    /// The folder that results go below, as the user said.
    out: PathBuf,
    /// Threads of each part, if the user said it.
    pub(super) jobs: Option<usize>,
    /// The words of `coinfer sweep`, less what differs from part to part.
    words: Vec<String>,
}

impl SweepParts {
    /// The parts of a sweep that has this journal.
    ///
    /// # Errors
    /// If there are more parts than points, or if the folder cannot be created.
    pub(super) fn new(sweep: &Sweep, scenario: &Scenario, head: &Head, count: usize) -> Result<SweepParts, Error> {
        if count > head.points {
            return Err(Error::Usage(format!(
                "the sweep has {} points, which cannot be {count} parts; use at most {}",
                head.points, head.points
            )));
        }
        let below = sweep.out.join(scenario.name());
        let failed = |error| Error::Failed(format!("cannot create `{}`: {error}", below.display()));
        fs::create_dir_all(&below).map_err(failed)?;
        let folder = fs::canonicalize(&below).map_err(failed)?;
        let current = std::env::current_dir().map_err(|error| Error::Failed(format!("there is no folder: {error}")))?;
        let jobs = sweep.jobs.map(|jobs| jobs.get());
        let words = sweep.words()?;
        let (name, run, out) = (format!("coinfer-{}", scenario.name()), head.run.clone(), sweep.out.clone());
        Ok(SweepParts { name, count, current, folder, run, out, jobs, words })
    }

    /// The path of one of the sweep's files, with this ending.
    pub(super) fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("sweep-{}-{ending}", self.run))
    }

    /// The journals of all parts.
    pub(super) fn journals(&self) -> Vec<PathBuf> {
        (1..=self.count).map(|part| self.path(&format!("{part}-of-{}.journal", self.count))).collect()
    }

    /// The folder that results go below.
    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    /// The lines of a script that do the part whose number is the shell's word `part`, with so many threads.
    pub(super) fn part_lines(&self, part: &str, jobs: &str) -> String {
        let (current, words) = (quoted(&self.current.to_string_lossy()), self.quoted_words());
        format!(
            "cd {current} || exit 1\n\
             {words} --shard \"{part}/{}\" --jobs {jobs} --resume --quiet\n\
             code=$?\n\
             # 3 says that some results failed, which are results too; merging tells of them.\n\
             [ \"$code\" -eq 3 ] && code=0\n\
             exit \"$code\"\n",
            self.count
        )
    }

    /// The lines of a script that joins all parts.
    pub(super) fn merge_lines(&self) -> String {
        let current = quoted(&self.current.to_string_lossy());
        format!("cd {current} || exit 1\nexec {}\n", self.merge_command())
    }

    /// The command that joins all parts.
    pub(super) fn merge_command(&self) -> String {
        let start = quoted(&self.path("").to_string_lossy());
        let (program, out) = (quoted(&self.words[0]), quoted(&self.out.to_string_lossy()));
        format!("{program} merge {start}*-of-{}.journal --out {out}", self.count)
    }

    /// Writes a script.
    pub(super) fn write(&self, ending: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.path(ending);
        write_whole(&path, text.as_bytes())?;
        Ok(path)
    }

    fn quoted_words(&self) -> String {
        self.words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

impl Sweep {
    /// This command, less what differs from part to part.
    fn words(&self) -> Result<Vec<String>, Error> {
        let program =
            std::env::current_exe().map_err(|error| Error::Failed(format!("cannot find this program: {error}")))?;
        let text = |path: &Path| -> Result<String, Error> {
            let text = path.to_str().map(str::to_owned);
            text.ok_or_else(|| Error::Usage(format!("`{}` is no text that a script can have", path.display())))
        };
        let mut words = vec![text(&program)?, "sweep".to_owned(), text(&self.scenario)?];
        let changes = &self.changes;
        for (option, values) in [
            ("--set", changes.set.as_slice()),
            ("--zip", &changes.zip),
            ("--exclude", &changes.exclude),
            ("--seeds", changes.seeds.as_slice()),
        ] {
            words.extend(values.iter().flat_map(|value| [option.to_owned(), value.clone()]));
        }
        words.extend(["--out".to_owned(), text(&self.out)?]);
        Ok(words)
    }
}

/// Runs a program of an engine and returns what it printed.
///
/// # Errors
/// If it is not there, or says that it failed.
pub(super) fn run<T: AsRef<OsStr>>(program: &str, arguments: &[T], engine: &str) -> Result<String, Error> {
    let output = Command::new(program).args(arguments).output();
    let Output { status, stdout, stderr } = output.map_err(|error| {
        Error::Failed(format!("cannot start `{program}`: {error}; {engine} must be installed, and on the PATH"))
    })?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        return Err(Error::Failed(format!("`{program}` failed ({status}): {}", said.trim())));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}
