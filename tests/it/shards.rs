//! Sweeps in parts: joined, they have the bytes of one sweep, whoever did them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::sweep::Place;

const SCENARIO: &str = "scenarios/kcc2020-vgg16-sweep.toml";
const SHORT: [&str; 4] = [SCENARIO, "--set", "load.offline.samples=1..=11", "-q"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&SHORT[..], more].concat()
}

fn merge(place: &Path, parts: &[PathBuf], more: &[&str]) -> (Output, String) {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("coinfer"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("merge").args(parts).args(more).arg("-o").arg(place);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap().replace(place.to_str().unwrap(), "OUT");
    (output, said)
}

/// Runs these parts of a sweep, and returns their journals.
fn parts(place: &Place, numbers: &[&str], more: &[&str]) -> Vec<PathBuf> {
    let part = |number: &&str| {
        let output = place.command(&with(&[&["--shard", number], more].concat())).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end())
    };
    numbers.iter().map(part).collect()
}

#[test]
fn parts_join_to_the_bytes_of_one_sweep() {
    let (whole, shared) = (Place::new(), Place::new());
    assert_eq!(whole.sweep(&SHORT).0, Some(0));
    let mut parts = parts(&shared, &["3/3", "1/3", "2/3"], &[]);
    assert!(shared.find("results.csv").is_empty(), "a part has no results of its own");
    parts.swap(0, 2);
    for format in ["table", "csv", "json"] {
        let (output, said) = merge(shared.path(), &parts, &["-q", "--format", format]);
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
        let one = whole.command(&with(&["--format", format])).output().unwrap();
        assert_eq!(output.stdout, one.stdout, "{format}");
        assert_eq!(shared.files(), whole.files());
    }
    let (_, said) = shared.sweep(&[&SHORT[..3], &["--resume"]].concat());
    assert!(said.contains("11 of 11 points are taken from the journal"), "{said}");
    assert_eq!(shared.files(), whole.files());
}

#[test]
fn parts_that_do_not_make_a_sweep_are_refused_with_a_remedy() {
    let (place, other) = (Place::new(), Place::new());
    let journals = parts(&place, &["1/3", "2/3"], &[]);
    let check = |parts: &[PathBuf], expected: &str| {
        let (output, said) = merge(place.path(), parts, &[]);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
        assert!(place.find("results.csv").is_empty());
    };
    check(&journals, "error: part 3 of 3 is missing; run the same `coinfer sweep` with --shard 3/3, or join");
    let twice = [journals.clone(), journals[..1].to_vec()].concat();
    check(&twice, "are both part 1 of 3; name each part once\nerror: part 3 of 3 is missing");
    let seeded = parts(&other, &["3/3"], &["--seeds", "1"]);
    check(&[journals.clone(), seeded].concat(), "are of different sweeps: their settings are not the same; run all");
    let fourth = parts(&other, &["3/4"], &[]);
    check(&[journals.clone(), fourth].concat(), "is one of 3 parts and `");
    check(&["Cargo.toml".into()], "`Cargo.toml` is no part of a sweep; name the files that");
    check(&["absent".into(), "scenarios".into()], "cannot read `absent`: ");
    check(&["scenarios".into()], "`scenarios` is a folder; name the parts in it");
    let third = parts(&other, &["3/3"], &[]);
    let text = fs::read_to_string(&third[0]).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&third[0], lines[..3].join("\n") + "\n").unwrap();
    let all = [journals.clone(), third].concat();
    check(&all, "has 2 of its 3 points; go on by the same `coinfer sweep` with --shard 3/3 --resume, or join");
    let (output, said) = merge(place.path(), &all, &["--partial"]);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("10 of 11 points are there") && said.contains("sweep-partial-"), "{said}");
    assert_eq!(place.csv().lines().count(), 1 + 10 * 7);
}

#[test]
fn a_part_of_nothing_is_refused() {
    let place = Place::new();
    let check = |arguments: &[&str], expected: &str| {
        let (code, said) = place.sweep(&with(arguments));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    };
    check(&["--shard", "1/12"], "the sweep has 11 points, which cannot be 12 parts; use at most 11");
    check(&["--shard", "0/3"], "write which part and of how many, from 1/8 to 8/8");
    check(&["--shard", "4/3"], "write which part");
    check(&["--shard", "3"], "write which part");
    check(&["--slurm", "12"], "cannot be 12 parts");
    check(&["--shard", "1/2", "--slurm", "2"], "cannot be used with");
    check(&["--submit"], "--slurm");
}

/// `coinfer sweep` with the stand-ins of engines on the PATH.
fn with_standins(place: &Place, arguments: &[&str]) -> Command {
    let standins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standins");
    let path = format!("{}:{}", standins.display(), std::env::var("PATH").unwrap());
    let mut command = place.command(arguments);
    command.env("PATH", path).env("STANDIN", place.path());
    command
}

#[test]
fn a_stand_in_for_slurm_runs_the_array_and_then_joins_it() {
    let (whole, place) = (Place::new(), Place::new());
    assert_eq!(whole.sweep(&SHORT).0, Some(0));
    let output = with_standins(&place, &with(&["--slurm", "3", "--slurm-option", "time=5"])).output().unwrap();
    let written = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(written.starts_with("sbatch ") && written.contains("\nsbatch --dependency=afterok:"), "{written}");
    assert!(place.find(".journal").is_empty(), "nothing is submitted");
    let script = fs::read_to_string(place.only("slurm.sh")).unwrap();
    assert!(script.contains("\n#SBATCH --array=1-3\n") && script.contains("\n#SBATCH --time=5\n"), "{script}");

    let output = with_standins(&place, &with(&["--slurm", "3", "--submit"])).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\n2\n", "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(place.find("of-3.journal").len(), 3);
    assert_eq!(place.csv(), whole.csv());

    let many = [SCENARIO, "--seeds", "6", "--slurm", "1001"];
    let output = with_standins(&place, &many).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("Slurm takes at most 1000 parts here (MaxArraySize 1001); use fewer"), "{said}");
}

#[test]
fn a_stand_in_for_hyperqueue_runs_the_array_and_failed_tasks_are_told() {
    let (whole, place) = (Place::new(), Place::new());
    assert_eq!(whole.sweep(&SHORT).0, Some(0));
    let arguments = with(&["--hyperqueue", "3"]);
    let output = with_standins(&place, &arguments).env("STANDIN_FAILS", "2").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let expected = "error: 1 of 3 parts were not done: part 2 failed: Program terminated with exit code 9.; logs are `";
    assert!(said.starts_with(expected), "{said}");
    assert!(place.find("results.csv").is_empty());

    let output = with_standins(&place, &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(place.csv(), whole.csv());
}

#[test]
fn an_engine_that_is_not_there_is_named() {
    let place = Place::new();
    let output = place.command(&with(&["--hyperqueue", "2"])).env("PATH", "/nowhere").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot start `hq`: ") && said.contains("HyperQueue must be installed"), "{said}");
}
