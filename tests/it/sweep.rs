//! Sweeps from outside: the same bytes with any number of threads and after any interruption.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

const SCENARIO: &str = "scenarios/kcc2020-vgg16-sweep.toml";
/// A sweep that takes a tenth of a second.
const SHORT: [&str; 3] = [SCENARIO, "--set", "load.offline.samples=1..=30"];
/// A sweep that would take minutes.
const LONG: [&str; 5] = [SCENARIO, "--set", "load.offline.samples=1..=30", "--seeds", "500"];

/// A place for results.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// `coinfer sweep` with results here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("coinfer"));
        command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("sweep").args(arguments).arg("--out").arg(self.path());
        command
    }

    /// Runs it, and returns its exit code and what it said.
    pub(crate) fn sweep(&self, arguments: &[&str]) -> (Option<i32>, String) {
        said(&self.command(arguments).output().unwrap())
    }

    fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Paths below, with this ending.
    pub(crate) fn find(&self, ending: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.path().to_owned()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else if path.to_str().unwrap().ends_with(ending) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    pub(crate) fn only(&self, ending: &str) -> PathBuf {
        let found = self.find(ending);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    pub(crate) fn csv(&self) -> String {
        fs::read_to_string(self.only("results.csv")).unwrap()
    }

    /// All files but journals, whose order says who was first, and of manifests all but the time.
    pub(crate) fn files(&self) -> Vec<(PathBuf, String)> {
        let paths = self.find("").into_iter().filter(|path| path.extension().unwrap() != "journal");
        let read = |path: PathBuf| {
            let text = fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.lines().filter(|line| !line.contains("\"created\"")).collect();
            (path.strip_prefix(self.path()).unwrap().to_owned(), lines.join("\n"))
        };
        paths.map(read).collect()
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

/// The results of a sweep that nobody interrupts.
fn whole(arguments: &[&str]) -> String {
    let place = Place::new();
    let (code, said) = place.sweep(&[arguments, &["-q"]].concat());
    assert_eq!((code, said.as_str()), (Some(0), ""));
    place.csv()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Waits until the journal has points.
fn wait_for_points(place: &Place) {
    let has_points = || {
        let journals = place.find(".journal");
        journals.iter().any(|path| fs::read_to_string(path).unwrap_or_default().lines().count() > 3)
    };
    while !has_points() {
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_sweep_gives_the_same_bytes_with_any_number_of_threads() {
    let files = |jobs: &str| {
        let place = Place::new();
        assert_eq!(place.sweep(&[SCENARIO, "--jobs", jobs, "-q"]), (Some(0), String::new()));
        assert_eq!(place.csv().lines().count(), 1 + 200 * 7, "200 batches, 7 strategies");
        place.files()
    };
    let one = files("1");
    assert_eq!(one, files("2"));
    assert_eq!(one, files("3"));
}

#[test]
fn a_sweep_that_was_killed_goes_on_to_the_same_bytes() {
    let expected = whole(&SHORT);
    for moment in 0..10 {
        let place = Place::new();
        let mut child = place.spawn(&SHORT);
        sleep(Duration::from_millis(moment * 10));
        child.kill().unwrap();
        child.wait().unwrap();
        let (code, said) = place.sweep(&[&SHORT[..], &["--resume"]].concat());
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("of 30 points are taken from the journal"), "{said}");
        assert_eq!(place.csv(), expected, "killed after {} ms", moment * 10);
    }
}

#[test]
fn the_first_interrupt_ends_a_sweep_with_the_command_that_goes_on() {
    let place = Place::new();
    let child = place.spawn(&LONG);
    wait_for_points(&place);
    signal(&child, "-INT");
    let (code, said) = said(&child.wait_with_output().unwrap());
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("error: interrupted; ") && said.contains("of 15000 points are done; go on with:"), "{said}");
    let command = said.lines().last().unwrap().trim();
    assert!(command.contains(" sweep scenarios/") && command.ends_with(" --resume"), "{command}");
    assert!(place.find("results.csv").is_empty());
    // The command as it was printed, less most of the points.
    let command = command.replace("--seeds 500", "--seeds 1");
    let output = Command::new("sh").args(["-c", &command]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let (code, again) = self::said(&output);
    assert_eq!(code, Some(0), "{again}");
    assert!(!again.contains("0 of 30 points are taken"), "{again}");
    assert_eq!(place.csv(), whole(&[&LONG[..4], &["1"]].concat()));
}

#[test]
fn what_an_interrupted_sweep_has_done_is_not_lost_by_mistake() {
    let place = Place::new();
    let mut child = place.spawn(&LONG);
    wait_for_points(&place);
    let (code, said) = place.sweep(&LONG);
    assert_eq!(code, Some(2));
    assert!(said.contains("another run is writing to `") && said.contains("wait for it, or "), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
    let journal = place.only(".journal");
    let before = fs::read(&journal).unwrap();
    let (code, said) = place.sweep(&LONG);
    assert_eq!(code, Some(2));
    assert!(said.contains("of its 15000 points; add --resume to go on with them, or --fresh to begin anew"), "{said}");
    let after = fs::read(&journal).unwrap();
    assert!(before.starts_with(&after) && before.len() - after.len() < 10_000, "only a torn line may go");
    // Another sweep of the scenario may run, and hears of it.
    let (code, said) = place.sweep(&SHORT);
    assert_eq!(code, Some(0));
    assert!(said.contains("is of an interrupted sweep of this scenario; --resume takes"), "{said}");
}

#[test]
fn a_finished_sweep_may_run_again_and_an_unfinished_one_be_forgotten() {
    let place = Place::new();
    assert_eq!(place.sweep(&[&SHORT[..], &["-q"]].concat()), (Some(0), String::new()));
    let expected = place.files();
    assert_eq!(place.sweep(&[&SHORT[..], &["-q"]].concat()), (Some(0), String::new()));
    let journal = place.only(".journal");
    let text = fs::read_to_string(&journal).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&journal, lines[..10].join("\n") + "\n").unwrap();
    assert_eq!(place.sweep(&SHORT).0, Some(2));
    let (code, said) = place.sweep(&[&SHORT[..], &["--fresh"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("are taken"), "{said}");
    assert_eq!(place.files(), expected);
    let (code, said) = place.sweep(&[&SHORT[..], &["--fresh", "--resume"]].concat());
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn damaged_lines_of_a_journal_are_computed_again() {
    let place = Place::new();
    assert_eq!(place.sweep(&[&SHORT[..], &["-q"]].concat()).0, Some(0));
    let expected = place.csv();
    let journal = place.only(".journal");
    let text = fs::read_to_string(&journal).unwrap();
    let check = |damaged: String, taken: &str| {
        fs::write(&journal, damaged).unwrap();
        let (code, said) = place.sweep(&[&SHORT[..], &["--resume"]].concat());
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&format!("{taken} of 30 points are taken from the journal")), "{said}");
        assert_eq!(place.csv(), expected);
    };
    let torn: String = text.split_inclusive('\n').take(20).collect();
    check(torn[..torn.len() - 1].to_owned(), "18");
    check(text.replacen("\"samples\":7,", "\"samples\":8,", 1), "29");
    check(String::new(), "0");
    // Its first line is gone, or of another version: the points are sound all the same.
    check(text.replacen(" sweep ", " swept ", 1), "30");
    check("from elsewhere\n".to_owned(), "30");
    assert!(place.find("").iter().filter(|path| path.to_str().unwrap().contains("set-aside")).count() == 2);
    fs::write(&journal, "from elsewhere\n").unwrap();
    let (code, said) = place.sweep(&SHORT);
    assert_eq!(code, Some(2));
    assert!(said.contains("is damaged, or of another version; add --resume to take what is sound"), "{said}");
}

/// A folder with a scenario of two traces, and a place for its results.
fn with_two_traces() -> (TempDir, Place, String) {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let text = fs::read_to_string(source.join("sound.toml")).unwrap();
    for trace in ["sound.csv", "other.csv"] {
        fs::copy(source.join("sound.csv"), folder.path().join(trace)).unwrap();
    }
    let other = folder.path().join("other.csv");
    fs::write(&other, fs::read_to_string(&other).unwrap() + "\n").unwrap();
    let scenario = folder.path().join("two.toml");
    fs::write(&scenario, text).unwrap();
    let scenario = scenario.to_str().unwrap().to_owned();
    (folder, Place::new(), scenario)
}

#[test]
fn a_change_is_computed_again_where_it_matters_and_nowhere_else() {
    let (folder, place, scenario) = with_two_traces();
    let check = |more: &[&str], expected: &str| {
        let common = [&scenario, "--set", "devices.cpu.trace=sound.csv,other.csv", "--resume"];
        let (code, said) = place.sweep(&[&common[..], more].concat());
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.lines().next().unwrap(), expected, "{said}");
    };
    let edit = |name: &str, from: &str, to: &str| {
        let path = folder.path().join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    };
    check(&[], "0 of 12 points are taken from the journal, 12 are new or changed");
    check(&[], "12 of 12 points are taken from the journal, 0 are new or changed");
    edit("two.toml", "[load]", "# The load.\n[load]");
    check(&[], "12 of 12 points are taken from the journal, 0 are new or changed");
    edit("other.csv", "\n", "\n# note: the same, said otherwise\n");
    check(&[], "6 of 12 points are taken from the journal, 6 are new or changed");
    check(
        &["--set", "load.offline.samples=1,2,4,8"],
        "12 of 16 points are taken from the journal, 4 are new or changed",
    );
    edit("two.toml", "memory = ", "memory = \"5 GiB\" # ");
    check(&[], "0 of 12 points are taken from the journal, 12 are new or changed");
}

#[test]
fn a_point_that_fails_ends_nothing_but_is_told_by_code_3() {
    let place = Place::new();
    let scenario = "scenarios/kcc2020-later-vgg16.toml";
    let (code, said) = place.sweep(&[scenario, "--set", "load.offline.samples=64,66,100,200"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("results failed; the first: "), "{said}");
    let csv = place.csv();
    assert!(csv.lines().any(|line| line.starts_with("66,") && line.contains("was not profiled")), "{csv}");
    assert!(csv.lines().any(|line| line.starts_with("200,") && line.ends_with(',')), "{csv}");
    let (again, _) = place.sweep(&[scenario, "--set", "load.offline.samples=64,66,100,200", "--resume"]);
    assert_eq!((again, place.csv()), (Some(3), csv));
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let place = Place::new();
    let dry_run = |more: &[&str]| {
        let common = [SCENARIO, "--set", "load.offline.samples=1..=8*2", "--dry-run"];
        let output = place.command(&[&common[..], more].concat()).output().unwrap();
        assert_eq!(said(&output), (Some(0), String::new()));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        let (rest, estimate) = text.split_once("estimate: about ").unwrap_or((&text, "timed at about"));
        assert!(estimate.contains("timed at about"), "{text}");
        rest.to_owned()
    };
    insta::assert_snapshot!(dry_run(&["--seeds", "3", "--exclude", "seed=3,load.offline.samples=8"]), @"
    kcc2020-vgg16-sweep: 11 points; 7 strategies at each
    first: load.offline.samples=1 seed=1
    last:  load.offline.samples=8 seed=2
    journal: has none of them
    ");
    assert!(place.find("").is_empty());
    place.sweep(&[SCENARIO, "--set", "load.offline.samples=1,2"]);
    insta::assert_snapshot!(dry_run(&[]), @"
    kcc2020-vgg16-sweep: 4 points; 7 strategies at each
    first: load.offline.samples=1
    last:  load.offline.samples=8
    journal: has 2 of them, which --resume takes; 2 are new or changed
    ");
    insta::assert_snapshot!(dry_run(&["--shard", "2/2"]), @"
    kcc2020-vgg16-sweep: 2 points of 4, part 2 of 2; 7 strategies at each
    first: load.offline.samples=2
    last:  load.offline.samples=8
    journal: has 1 of them, which --resume takes; 1 are new or changed
    ");
}

#[test]
fn outcomes_do_not_change_without_their_revision() {
    let place = Place::new();
    let mut hasher = blake3::Hasher::new();
    for scenario in [SCENARIO, "scenarios/kcc2020-vgg16-contention.toml"] {
        place.sweep(&[scenario, "--set", "load.offline.samples=7,100", "--jobs", "1", "--fresh"]);
    }
    for journal in place.find(".journal") {
        let text = fs::read_to_string(journal).unwrap();
        let points = text.lines().filter(|line| line.contains(" point "));
        points.for_each(|line| _ = hasher.update(line.split_once("\"results\"").unwrap().1.as_bytes()));
    }
    let found = (coinfer::engine::OUTCOME_REVISION, hasher.finalize().to_hex()[..16].to_owned());
    // If only the hash differs, raise `OUTCOME_REVISION`: sweeps must not take outcomes that are no longer so.
    assert_eq!(found, (21, "c7df7635fa93484a".to_owned()));
}
