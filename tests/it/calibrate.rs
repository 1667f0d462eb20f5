//! `coinfer calibrate` as scripts use it: output, exit codes, and files.

use std::fs;
use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

const HEADER: &str = "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: w\n# date: d\n\
                      # kind: measured\ndevice,model,layer,batch,rows,statistic,repeat,time_ms\n";

/// What the program does with `arguments` in `folder`, with results in its folder `results`.
fn calibrate(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("coinfer").unwrap();
    command.current_dir(folder).arg("calibrate").args(arguments).output().unwrap()
}

fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = calibrate(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn shipped(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("traces").join(name)).unwrap()
}

/// A network whose three layers have noisy repeats at these batches, on a device.
fn layered(device: &str, batches: &[u32]) -> String {
    let mut text = String::new();
    for (place, layer) in ["whole", "conv1", "conv2", "fc"].into_iter().enumerate() {
        for &batch in batches {
            for (repeat, noise) in [0.99, 1.0, 1.02, 1.005, 2.0].into_iter().enumerate() {
                let time = (2.0 + place as f64 + 3.0 * f64::from(batch)) * noise;
                text += &format!("{device},net,{layer},{batch},all,raw,{repeat},{time}\n");
            }
        }
    }
    text
}

/// The only folder of results in `folder`.
fn results(folder: &Path) -> std::path::PathBuf {
    let mut found: Vec<_> = fs::read_dir(folder.join("results/calibration")).unwrap().collect();
    assert_eq!(found.len(), 1);
    found.remove(0).unwrap().path()
}

#[test]
fn the_table_of_the_published_profile_is_this_and_fits_80_columns() {
    let folder = folder(&[("kcc2020-profile.csv", &shipped("kcc2020-profile.csv"))]);
    let table = printed(folder.path(), &["kcc2020-profile.csv"]);
    for line in table.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    insta::assert_snapshot!("calibrate-kcc2020-profile", table);
}

#[test]
fn layers_are_told_as_one_unless_asked_for_and_noise_has_columns() {
    let text = HEADER.to_owned() + &layered("board", &[1, 2, 4, 8, 16, 32]) + &layered("other-board", &[1, 8]);
    let folder = folder(&[("net.csv", &text)]);
    let table = printed(folder.path(), &["net.csv"]);
    insta::assert_snapshot!("calibrate-layers", table);
    let each = printed(folder.path(), &["net.csv", "--layers"]);
    assert!(!table.contains("conv2") && each.contains("  net, conv2 "), "{each}");
    assert!(table.lines().chain(each.lines()).all(|line| line.chars().count() <= 80));
}

#[test]
fn any_times_and_names_fit_80_columns() {
    let mut text = HEADER.to_owned();
    for device in ["d", "a device whose name is far longer than a line of a table has room for"] {
        for (place, batch) in [1, 2, 3, 5, 8, 13, 21, 1_000_000].into_iter().enumerate() {
            for (model, wild) in [("wild", if place % 3 == 0 { 1e-6 } else { 8.64e10 }), ("flat", 1.0)] {
                text += &format!("{device},{model},whole,{batch},all,median,9,{wild}\n");
                text += &format!("{device},{model},{},{batch},all,median,9,{wild}\n", "layer".repeat(30));
            }
        }
    }
    let folder = folder(&[("wild.csv", &text)]);
    let table = printed(folder.path(), &["wild.csv", "--layers"]);
    for line in table.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn results_are_the_same_each_time_and_plot_draws_the_same_figure() {
    let folder = folder(&[("a.csv", &(HEADER.to_owned() + &layered("board", &[1, 2, 4, 8])))]);
    let json = printed(folder.path(), &["a.csv", "--print", "json"]);
    let results = results(folder.path());
    let read = |name: &str| fs::read_to_string(results.join(name)).unwrap();
    assert_eq!(read("calibration.json"), json);
    let files = ["calibration.json", "errors.csv", "predicted-measured.csv", "accuracy.svg"];
    let first = files.map(read);
    assert_eq!(printed(folder.path(), &["a.csv", "--print", "csv"]), first[1]);
    let mut plot = Command::cargo_bin("coinfer").unwrap();
    fs::remove_file(results.join(files[3])).unwrap();
    assert!(plot.arg("plot").arg(&results).output().unwrap().status.success());
    assert_eq!(files.map(read), first);

    let object: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(object["trace"], "a");
    assert_eq!(object["series"].as_array().unwrap().len(), 4);
    assert_eq!(object["networks"][1]["part"], "3 layers");
    assert_eq!(object["targets"][0]["met"], true);
}

#[test]
fn a_scenario_stands_for_its_traces() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let json = |file: &str| {
        let text = printed(root, &[file, "--print", "json", "-q", "--out", out.path().to_str().unwrap()]);
        let object: Value = serde_json::from_str(&text).unwrap();
        object["series"].clone()
    };
    assert_eq!(json("scenarios/kcc2020-vgg16.toml"), json("traces/kcc2020-profile.csv"));
}

#[test]
fn a_scenario_can_have_the_forms_that_calibration_prints() {
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("coinfer").unwrap();
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["run", "scenarios/kcc2020-vgg16.toml", "--set", "costs.lookup=cross_validated", "--format", "json"]);
    let output = command.arg("--out").arg(out.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(object["results"].as_array().unwrap().len() > 3);
}

#[test]
fn files_are_joined_explained_and_written_as_one_trace() {
    let one = HEADER.to_owned() + "board,net,whole,1,all,median,9,5\nboard,net,io,1,all,median,9,0.5\n";
    let more = HEADER.to_owned() + "board,net,whole,2,all,median,9,8\nboard,net,whole,4,all,median,9,14\n";
    let folder = folder(&[("one.csv", &one), ("more.csv", &more)]);
    let text = printed(folder.path(), &["one.csv", "more.csv", "--explain", "--to", "joined.csv"]);
    assert!(text.starts_with("whole networks: 3 rows\n") && text.contains("\ncopies: 1 row\n"), "{text}");
    assert!(
        folder
            .path()
            .join("results/calibration")
            .read_dir()
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with("one-and-1-more-") })
    );
    let joined = printed(folder.path(), &["joined.csv", "--print", "csv"]);
    assert_eq!(joined, printed(folder.path(), &["one.csv", "more.csv", "--print", "csv"]));
    // A trace can be made of what cannot be validated.
    printed(folder.path(), &["one.csv", "--to", "joined.csv"]);
}

#[test]
fn wrong_input_ends_with_code_2_says_all_faults_and_leaves_nothing() {
    let folder = folder(&[
        ("two-faults.csv", &(HEADER.to_owned() + "a,m,whole,0,all,raw,0,1\na,m,whole,1,all,raw,0,-1\n")),
        ("empty.csv", ""),
        ("single.csv", &(HEADER.to_owned() + "a,m,whole,4,all,median,9,1\n")),
        ("broken.toml", "[devices"),
    ]);
    let check = |arguments: &[&str], expected: &[&str]| {
        let output = calibrate(folder.path(), arguments);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        for expected in expected {
            assert!(message.contains(expected), "{arguments:?}: {expected}: {message}");
        }
        assert!(output.stdout.is_empty());
        assert!(!folder.path().join("results").exists(), "{arguments:?}");
    };
    let faults = ["two-faults.csv:9:1", "`0` is not a batch", "two-faults.csv:10:1", "`-1` is not a time", "help: use"];
    check(&["two-faults.csv"], &faults);
    check(&["two-faults.csv", "empty.csv"], &[&faults[..], &["empty.csv"]].concat());
    check(&["absent.csv", "gone.csv"], &["absent.csv", "gone.csv", "help: name a file"]);
    check(&["absent.csv", "two-faults.csv"], &[&faults[..], &["absent.csv"]].concat());
    check(&["."], &["help: name a file"]);
    check(&["broken.toml"], &["broken.toml"]);
    check(&["single.csv"], &["nothing can be validated", "profile several, at least 1, 2, 8 and 64"]);
    check(&["single.csv", "--batch", "0"], &["--batch"]);
    check(&["single.csv", "--map", "latency"], &["--map", "COLUMN=FIELD"]);
    check(&[], &["FILE"]);
    fs::write(folder.path().join("binary.csv"), b"# coinfer trace 1\n\xff\xfe\n").unwrap();
    check(&["binary.csv"], &["binary.csv", "error: "]);
}
