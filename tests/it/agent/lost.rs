//! Boards that are lost.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use assert_cmd::cargo::CommandCargoExt;
use coinfer::platform::AgentAddress;
use coinfer::replay::agent::Access;
use coinfer::replay::wire::Credentials;
use coinfer::replay::{BackendError, Inputs, available};
use coinfer::units::Duration;
use serde_json::Value;

use super::asking::Asking;
use super::{HOME, LIMITS, Process, address, halos, hardware, problem, start, wait_until, with_agents};

#[test]
fn a_lost_board_is_named_before_the_deadline() {
    let right = start(&Access::default());
    // Each message takes so long that the step is under way when the agent is killed.
    let mut left = Process::start(&["--delay", "100 ms"]);
    let problem = problem(Some(HOME));
    let plan = halos(&problem);
    let agents = [AgentAddress { address: left.address.to_string(), server_name: None }, address(&right)];
    let hardware = hardware(&problem, &with_agents(&problem, agents), &Credentials::default());
    let mut opened = hardware.open(&plan, &vec![Duration::ZERO; plan.steps.len()], Inputs::AtHome).unwrap();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        left.child.kill().unwrap();
        left
    });
    let error = opened.measured(&plan, &LIMITS).unwrap_err();
    assert!(matches!(&error, BackendError::Gone { device, .. } if device == "left"), "{error}");
    assert!(error.to_string().starts_with("`left` was lost: "), "{error}");
    let ended = opened.unfinished().unwrap().spans.iter().flatten().count();
    assert!(ended < plan.steps.len());
    assert_eq!(opened.measured(&plan, &LIMITS).unwrap_err(), error);
    drop(killer.join().unwrap());
}

/// A network on two agents and at home, with times as if they had been profiled.
pub(super) fn scenario(folder: &Path, boards: [SocketAddr; 2]) {
    let core = available().unwrap()[0];
    let [left, right] = boards;
    let text = format!(
        r#"name = "two"
load = {{ offline = {{ samples = 4 }} }}
devices = [
    {{ name = "home", kind = "cpu", memory = "1 GiB", trace = "two.csv", cpu = {{ cores = "{core}" }} }},
    {{ name = "left", kind = "board", memory = "1 GiB", trace = "two.csv", agent = {{ address = "{left}" }} }},
    {{ name = "right", kind = "board", memory = "1 GiB", trace = "two.csv", agent = {{ address = "{right}" }} }},
]
links = [
    {{ name = "one", between = ["home", "left"], bandwidth = "1 GB/s" }},
    {{ name = "two", between = ["home", "right"], bandwidth = "1 GB/s" }},
]
models = [{{ name = "net", zoo = "gru-2x512", home = "home" }}]
strategies = [{{ even = {{}} }}]
"#
    );
    fs::write(folder.join("two.toml"), text).unwrap();
    let header = "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: w\n# date: d\n\
                  # kind: measured\ndevice,model,layer,batch,rows,statistic,repeat,time_ms\n";
    let rows = ["home", "left", "right"]
        .iter()
        .flat_map(|device| [1, 2, 4].map(|batch| format!("{device},gru-2x512,whole,{batch},all,raw,1,{batch}\n")));
    fs::write(folder.join("two.csv"), header.to_owned() + &rows.collect::<String>()).unwrap();
}

/// Runs `coinfer`, and kills `victim` when its agent has a session. What was printed, said, and the exit code.
fn replay_and_kill(folder: &Path, options: &[&str], victim: &mut Process) -> (String, String, Option<i32>) {
    let asking = Asking::new(victim.address);
    let mut command = std::process::Command::cargo_bin("coinfer").unwrap();
    command
        .current_dir(folder)
        .args(options)
        .env_remove("ORT_DYLIB_PATH")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until("a loaded engine", || asking.status().engines > 0);
    victim.child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

fn replay_json(folder: &Path) -> Value {
    let results = fs::read_dir(folder.join("results/two")).unwrap().next().unwrap().unwrap().path();
    serde_json::from_slice(&fs::read(results.join("replay.json")).unwrap()).unwrap()
}

#[test]
fn a_run_goes_on_without_a_lost_board_if_it_may_plan_again() {
    let (mut left, right) = (Process::start(&["--delay", "20 ms"]), Process::start(&[]));
    let folder = tempfile::tempdir().unwrap();
    scenario(folder.path(), [left.address, right.address]);
    let options = ["run", "two.toml", "--replay", "--rounds", "2", "--replan"];
    let (printed, said, code) = replay_and_kill(folder.path(), &options, &mut left);
    // Whether predictions can be judged depends on what else this machine does.
    assert!([Some(0), Some(4)].contains(&code), "{said}");
    assert!(printed.contains("planned again"), "{printed}");
    let replay = replay_json(folder.path());
    assert_eq!((&replay["lost"][0]["device"], &replay["lost"][0]["is_replanned"]), (&"left".into(), &true.into()));
    let comparisons = replay["comparisons"].as_array().unwrap();
    let last = comparisons.last().unwrap();
    assert_eq!((&last["strategy"], &last["rounds"]), (&"even without left".into(), &2.into()));
    assert!(last["difference"].as_f64().unwrap() <= 1e-4);
    assert_eq!(replay["boards"][0]["device"], "right");
    assert!(replay["boards"][0]["clock_error_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_lost_board_leaves_partial_results_and_an_error() {
    let (mut left, right) = (Process::start(&["--delay", "20 ms"]), Process::start(&[]));
    let folder = tempfile::tempdir().unwrap();
    scenario(folder.path(), [left.address, right.address]);
    let options = ["run", "two.toml", "--replay", "--rounds", "2"];
    let (_, said, code) = replay_and_kill(folder.path(), &options, &mut left);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("error: `left` was lost: ") && said.contains("what was measured before is in "), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    let replay = replay_json(folder.path());
    assert_eq!((&replay["verdict"], &replay["lost"][0]["is_replanned"]), (&"INVALID".into(), &false.into()));
}

#[test]
fn the_plan_of_a_file_is_not_planned_again() {
    let folder = tempfile::tempdir().unwrap();
    scenario(folder.path(), ["127.0.0.1:7071", "127.0.0.1:7072"].map(|address| address.parse().unwrap()));
    let mut command = std::process::Command::cargo_bin("coinfer").unwrap();
    let output = command
        .current_dir(folder.path())
        .args(["replay", "plan.json", "--scenario", "two.toml", "--replan"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the plan in a file cannot be planned again"), "{said}");
}
