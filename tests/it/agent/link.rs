//! Profiles of agents and of the links to them.

use std::fs;

use assert_cmd::cargo::CommandCargoExt;

use super::Process;
use super::lost::scenario;

#[test]
fn agents_are_profiled_as_what_they_are_and_so_are_the_links_to_them() {
    let (left, right) = (Process::start(&["--slowed", "2"]), Process::start(&["--delay", "1 ms"]));
    let folder = tempfile::tempdir().unwrap();
    scenario(folder.path(), [left.address, right.address]);
    let coinfer = |arguments: &[&str]| {
        let mut command = std::process::Command::cargo_bin("coinfer").unwrap();
        let output = command.current_dir(folder.path()).args(arguments).env_remove("ORT_DYLIB_PATH").output().unwrap();
        // One round of a replay is too few to judge anything.
        let is_right = output.status.success() || (arguments.contains(&"--replay") && output.status.code() == Some(4));
        assert!(is_right, "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let profile = ["profile", "two.toml", "--batches", "1,2,4", "--repeats", "1", "--alone", "--units", "--parts", "2"];
    assert_eq!(coinfer(&profile), "two.csv\n");
    let trace = fs::read_to_string(folder.path().join("two.csv")).unwrap();
    assert!(trace.contains("# device: left: 1 thread on core") && trace.contains(", slowed 2.0 times\n"), "{trace}");
    assert!(
        trace.contains("left,gru-2x512,whole,4,all,raw,1,") && trace.contains("right,gru-2x512,layer1,1,"),
        "{trace}"
    );

    let replay = coinfer(&["run", "two.toml", "--replay", "--rounds", "1", "--format", "json"]);
    let replay: serde_json::Value = serde_json::from_str(&replay).unwrap();
    assert_eq!(replay["replay"]["emulated"], serde_json::json!(["left", "right"]));
    let objections = replay["replay"]["objections"].to_string();
    assert!(!objections.contains("was taken") && !objections.contains("was profiled as"), "{objections}");

    let links = coinfer(&["profile", "two.toml", "--link", "--repeats", "1"]);
    assert!(
        links.starts_with("two.links.csv\n{ name = \"one\", between = [\"home\", \"left\"], overhead = "),
        "{links}"
    );
    let readings = fs::read_to_string(folder.path().join("two.links.csv")).unwrap();
    assert!(readings.starts_with("# coinfer link profile 1\n"), "{readings}");
    for line in ["home,left,1000,alone,1,", "left,home,4000000,both,1,", "right,home,64000,alone,1,"] {
        assert!(readings.contains(line), "{line} in {readings}");
    }

    // Another agent than the one that was profiled.
    drop(left);
    let other = Process::start(&[]);
    let text = fs::read_to_string(folder.path().join("two.toml")).unwrap();
    let moved = text.split('"').find(|word| word.starts_with("127.0.0.1:")).unwrap().to_owned();
    fs::write(folder.path().join("two.toml"), text.replace(&moved, &other.address.to_string())).unwrap();
    let replay = coinfer(&["run", "two.toml", "--replay", "--rounds", "1", "--format", "json"]);
    assert!(
        replay.contains("`left` was profiled as 1 thread on core") && replay.contains("and its agent says"),
        "{replay}"
    );
}
