//! Which trtexec there is, what it calls itself, and which options it knows.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::process::{ChildProcess, Failure, Patience, output};
use crate::platform::{Precision, TensorrtUnit};

/// A trtexec, or what is given as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    /// What it calls itself.
    name: String,
    /// The version of TensorRT; `None` if it does not say it.
    version: Option<String>,
    /// What its help lists.
    options: BTreeSet<String>,
    /// Another one makes other engines.
    pub(super) hash: String,
}

/// Where JetPack puts it.
const JETPACK: &str = "/usr/src/tensorrt/bin/trtexec";
/// What NVIDIA's calls itself.
const GENUINE: &str = "TensorRT.trtexec";
/// Where TensorRT's library is, whose name tells the version that a trtexec before version 8 does not say.
const LIBRARIES: [&str; 3] = ["/usr/lib/aarch64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/usr/local/lib"];

impl Program {
    /// The program `named`, or trtexec where it usually is.
    ///
    /// # Errors
    /// It is not there, may not be run, or is something else.
    pub(super) fn open(named: Option<&Path>, log: &Path, patience: &Patience) -> Result<Program, Failure> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let path = find(named, &std::env::split_paths(&folders).collect::<Vec<_>>())?;
        ChildProcess::start(&path, &["--help".into()], log)?.end(patience)?;
        let bytes = fs::read(&path).map_err(|error| format!("`{}` cannot be read: {error}", path.display()))?;
        let mut program = Program::of_help(path, &output(log))?;
        program.hash = blake3::hash(&bytes).to_hex().to_string();
        if program.version.is_none() && program.is_genuine() {
            program.version = LIBRARIES.iter().find_map(|folder| of_library(Path::new(folder)));
        }
        Ok(program)
    }

    /// The program at `path`, whose help says `text`.
    pub(super) fn of_help(path: PathBuf, text: &str) -> Result<Program, String> {
        let shown = path.display();
        let banner = text.lines().find_map(|line| line.split_once("&&&& RUNNING ")).map(|(_, banner)| banner);
        let banner = banner.ok_or_else(|| {
            format!("`{shown}` is not trtexec: the first line of its --help does not begin with `&&&& RUNNING`")
        })?;
        let banner = banner.split(" # ").next().unwrap_or_default().trim();
        let (name, version) = match banner.split_once(" [TensorRT v") {
            Some((name, rest)) => (name, rest.split(']').next().map(dotted)),
            None => (banner, None),
        };
        let option = |line: &str| {
            let line = line.trim_start();
            let end = line.find(|letter: char| letter != '-' && !letter.is_ascii_alphanumeric()).unwrap_or(line.len());
            line.starts_with("--").then(|| line[..end].to_owned())
        };
        let options = text.lines().filter_map(option).collect();
        Ok(Program { name: name.to_owned(), version, options, hash: String::new(), path })
    }

    /// Whether its help lists `option`.
    pub(super) fn knows(&self, option: &str) -> bool {
        self.options.contains(option)
    }

    /// Whether it says that it is NVIDIA's. Anything else stands in for it, and measures nothing.
    pub(super) fn is_genuine(&self) -> bool {
        self.name == GENUINE
    }

    /// What it calls itself.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The runtime, as traces and reports have it.
    pub(super) fn software(&self) -> String {
        let version = self.version.as_deref().unwrap_or("of unknown version");
        match self.is_genuine() {
            true => format!("TensorRT {version}, by trtexec"),
            false => format!("{}, in place of TensorRT {version}", self.name),
        }
    }

    /// What `unit` needs that it does not have.
    pub(super) fn lacks(&self, unit: &TensorrtUnit) -> Option<String> {
        let precisions: &[&str] = match unit.precision {
            Precision::Fp32 => &[],
            Precision::Fp16 => &["--fp16"],
            Precision::Int8 => &["--int8", "--fp16"],
        };
        let of_dla: &[&str] = match (unit.dla_core, unit.gpu_fallback) {
            (None, _) => &[],
            (Some(_), false) => &["--useDLACore"],
            (Some(_), true) => &["--useDLACore", "--allowGPUFallback"],
        };
        let always = ["--onnx", "--saveEngine", "--loadEngine", "--iterations", "--duration", "--warmUp"];
        let exports = ["--exportTimes", "--exportProfile"];
        let needed = always.iter().chain(&exports).chain(precisions).chain(of_dla);
        let lacking: Vec<&str> = needed.copied().filter(|option| !self.knows(option)).collect();
        let (shown, software) = (self.path.display(), self.software());
        (!lacking.is_empty()).then(|| {
            format!("`{shown}` ({software}) has no {}, which {unit} needs; use TensorRT 7 to 10", lacking.join(", "))
        })
    }
}

/// Where trtexec is.
fn find(named: Option<&Path>, folders: &[PathBuf]) -> Result<PathBuf, String> {
    let name = named.unwrap_or(Path::new("trtexec"));
    let is_path = name.components().count() > 1;
    let mut places: Vec<PathBuf> =
        if is_path { vec![name.to_owned()] } else { folders.iter().map(|folder| folder.join(name)).collect() };
    places.extend(named.is_none().then(|| JETPACK.into()));
    let Some(found) = places.iter().find(|place| place.is_file()) else {
        let shown = name.display();
        return Err(match (is_path, named) {
            (true, _) => format!("there is no `{shown}`; --trtexec names the program"),
            (false, Some(_)) => format!("there is no `{shown}` in the folders of PATH"),
            (false, None) => format!(
                "there is no trtexec in the folders of PATH, nor is there {JETPACK}; install JetPack's package \
                 libnvinfer-bin, or name the program by --trtexec"
            ),
        });
    };
    let mode = fs::metadata(found).map(|metadata| metadata.permissions().mode()).unwrap_or(0);
    if mode & 0o111 == 0 {
        return Err(format!("`{0}` may not be executed; use `chmod +x {0}`", found.display()));
    }
    Ok(found.clone())
}

/// `8502` and `100300` as 8.5.2 and 10.3.0; later versions have dots.
fn dotted(version: &str) -> String {
    match version.parse::<u32>() {
        Ok(number) if number >= 100_000 => format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100),
        Ok(number) => format!("{}.{}.{}", number / 1000, number / 100 % 10, number % 100),
        Err(_) => version.to_owned(),
    }
}

/// The version in the name of the library in `folder`.
fn of_library(folder: &Path) -> Option<String> {
    let names = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let versions = names.filter_map(|name| Some(name.strip_prefix("libnvinfer.so.")?.to_owned()));
    // The links beside it have only the first of its numbers.
    versions
        .max_by_key(|version| (version.matches('.').count(), version.clone()))
        .filter(|version| version.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::super::command::tests::{HELP_7, HELP_8, HELP_10};
    use super::*;

    fn program(help: &str) -> Program {
        Program::of_help("/bin/trtexec".into(), help).unwrap()
    }

    #[test]
    fn a_program_says_what_it_is_and_what_it_knows() {
        assert_eq!(program(HELP_7).software(), "TensorRT of unknown version, by trtexec");
        assert_eq!(program(HELP_8).software(), "TensorRT 8.5.2, by trtexec");
        assert_eq!(program(HELP_10).software(), "TensorRT 10.3.0, by trtexec");
        assert!(program(HELP_7).knows("--explicitBatch") && !program(HELP_8).knows("--explicitBatch"));
        let later = program("&&&& RUNNING TensorRT.trtexec [TensorRT v11.1.0.106] [b48] # trtexec --help");
        assert_eq!(later.software(), "TensorRT 11.1.0.106, by trtexec");
    }

    #[test]
    fn whatever_is_not_nvidias_is_called_by_its_own_name() {
        let standin = program("&&&& RUNNING trtexec stand-in (not TensorRT) [TensorRT v8502] # trtexec --help");
        assert!(!standin.is_genuine() && program(HELP_8).is_genuine());
        assert_eq!(standin.software(), "trtexec stand-in (not TensorRT), in place of TensorRT 8.5.2");
        let other = Program::of_help("ls".into(), "Usage: ls").unwrap_err();
        assert_eq!(other, "`ls` is not trtexec: the first line of its --help does not begin with `&&&& RUNNING`");
    }

    #[test]
    fn options_that_are_missing_are_named() {
        let unit = TensorrtUnit { dla_core: Some(0), gpu_fallback: true, precision: Precision::Int8 };
        assert_eq!(program(HELP_8).lacks(&unit), None);
        let later = HELP_10.replace("  --fp16", "  ").replace("  --int8", "  ");
        assert_eq!(
            program(&later).lacks(&unit).unwrap(),
            "`/bin/trtexec` (TensorRT 10.3.0, by trtexec) has no --int8, --fp16, which TensorRT on DLA core 0 with GPU \
             fallback, int8 needs; use TensorRT 7 to 10"
        );
    }

    #[test]
    fn a_program_is_found_in_folders_or_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("trtexec");
        let folders = [folder.path().join("nothing"), folder.path().to_owned()];
        let missing = find(Some(Path::new("trtexec")), &folders).unwrap_err();
        assert_eq!(missing, "there is no `trtexec` in the folders of PATH");
        fs::write(&place, "").unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(find(None, &folders).unwrap_err().contains("may not be executed; use `chmod +x "));
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(None, &folders), Ok(place.clone()));
        assert_eq!(find(Some(&place), &[]), Ok(place));
        let nowhere = find(Some(Path::new("no/where")), &folders).unwrap_err();
        assert_eq!(nowhere, "there is no `no/where`; --trtexec names the program");
    }

    #[test]
    fn the_library_tells_the_version_that_the_program_does_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(of_library(folder.path()), None);
        for name in ["libnvinfer.so.7", "libnvinfer.so.7.1.3", "libnvinfer_plugin.so.9.9.9"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(of_library(folder.path()).as_deref(), Some("7.1.3"));
    }
}
