//! Profiles and replays by trtexec, of which a stand-in is there: what is asked of it, what is said of its answers, and
//! that nothing of it reads as if it were TensorRT or a DLA.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use assert_cmd::cargo::CommandCargoExt;
use coinfer::model::{ModelId, Region, Weights, Work, zoo};
use coinfer::platform::{Device, DeviceId, DeviceKind, Platform, Precision, Runtime, TensorrtUnit};
use coinfer::replay::tensorrt::{Board, Patience};
use coinfer::replay::{Network, Networks, available};
use coinfer::units::{Bytes, Duration};
use serde_json::Value;
use tempfile::TempDir;

const NAME: &str = "trtexec stand-in (not TensorRT)";

/// A network on the GPU and a DLA of a board.
const SCENARIO: &str = r#"name = "board"
load = { offline = { samples = 2 } }
devices = [
    { name = "gpu", kind = "igpu", memory = "4 GiB", trace = "board.csv", precision = "fp16", tensorrt = {} },
    { name = "dla0", kind = "dla", memory = "4 GiB", trace = "board.csv", precision = "int8", tensorrt = { dla_core = 0 } },
]
models = [{ name = "net", zoo = "squeezenet_v1.1" }]
strategies = [{ even = {} }, { name = "gpu alone", single = { device = "gpu" } }]
"#;

/// A trace of it as if a board had been profiled; a sample takes 0.06 and 8 ms.
const TRACE: &str = "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: w\n# date: d\n\
                     # kind: measured\ndevice,model,layer,batch,rows,precision,statistic,repeat,time_ms\n\
                     gpu,squeezenet_v1.1,whole,1,all,fp16,raw,1,0.06\ngpu,squeezenet_v1.1,whole,2,all,fp16,raw,1,0.06\n\
                     dla0,squeezenet_v1.1,whole,1,all,int8,raw,1,8\ndla0,squeezenet_v1.1,whole,2,all,int8,raw,1,8\n";

fn standin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standins")
}

fn board() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("board.toml"), SCENARIO).unwrap();
    folder
}

/// The program with the stand-in in its path, which does something else if told so.
fn command(folder: &TempDir, does: &str, arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("coinfer").unwrap();
    command.current_dir(folder.path()).args(arguments).env_remove("ORT_DYLIB_PATH").env_remove("COINFER_TRTEXEC");
    let path = format!("{}:/usr/bin:/bin", standin().display());
    command.env("PATH", path).env("COINFER_ENGINES", folder.path().join("engines"));
    command.env("STANDIN", folder.path()).env("STANDIN_DOES", does);
    command
}

const PROFILE: [&str; 6] = ["profile", "board.toml", "--batches", "1,2", "--repeats", "1"];
const REPLAY: [&str; 9] =
    ["run", "board.toml", "--replay", "--backend", "tensorrt", "--rounds", "1", "--format", "json"];

fn printed(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What is said of a profile for which the stand-in does this, and which fails with `code`.
fn refused(does: &str, code: i32, more: &[&str]) -> (TempDir, String) {
    let folder = board();
    let output = command(&folder, does, &[&PROFILE[..], more].concat()).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{does}: {errors}");
    assert!(!folder.path().join("board.csv").exists(), "{does}: there is a trace");
    let names = fs::read_dir(folder.path().join("engines")).into_iter().flatten();
    let names: Vec<String> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| !name.starts_with('.')), "{does}: {names:?}");
    (folder, errors)
}

fn calls(folder: &TempDir) -> Vec<String> {
    let text = fs::read_to_string(folder.path().join("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until there are the processes that the file `name` has the ids of.
fn processes(folder: &TempDir, name: &str) -> String {
    for _ in 0..1200 {
        if let Ok(text) = fs::read_to_string(folder.path().join(name))
            && text.ends_with('\n')
        {
            return text.trim().to_owned();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("nothing wrote {name}");
}

/// Waits until processes are gone.
fn end(processes: &str) -> bool {
    let is_gone = |process: &str| {
        let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        status.rsplit_once(") ").is_none_or(|(_, state)| state.starts_with('Z'))
    };
    (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        processes.split(' ').all(is_gone)
    })
}

#[test]
fn a_profile_is_of_the_units_alone_and_beside_each_other_and_says_who_made_it() {
    let folder = board();
    let output = command(&folder, "", &PROFILE).output().unwrap();
    assert_eq!(printed(&output), "board.csv\n");
    let text = fs::read_to_string(folder.path().join("board.csv")).unwrap();
    for line in [
        "# kind: derived\n",
        &format!("# software: {NAME}, in place of TensorRT 8.5.2\n"),
        &format!("# hardware: no hardware ({NAME})\n"),
        &format!(", with {NAME}: nothing was measured\n"),
        "# device: gpu: TensorRT on the GPU, fp16\n",
        "# device: dla0: TensorRT on DLA core 0 with GPU fallback, int8\n",
        &format!("# note: {NAME} took the place of trtexec: no time is of any GPU or DLA\n"),
        "# note: int8 without calibration, with fp16 where there is no int8: times count, outputs do not\n",
        "# note: net, batch 1 and 2: `Resize_199 + Conv_200` ran on the GPU instead of `dla0` (2 % of the profiled \
         time)\n",
        // Medians of the recorded times, and others while the other unit is busy.
        "\ngpu,squeezenet_v1.1,whole,1,all,raw,1,fp16,,0.06\n",
        "\ndla0,squeezenet_v1.1,whole,2,all,raw,1,int8,,8\n",
        "\ngpu,squeezenet_v1.1,whole,1,all,raw,1,fp16,dla0,0.075\n",
        "\ndla0,squeezenet_v1.1,whole,1,all,raw,1,int8,gpu,10\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(end(&processes(&folder, "busy-gpu")) && end(&processes(&folder, "busy-0")));
    let first = calls(&folder);
    let built = |calls: &[String]| calls.iter().filter(|call| call.contains("--onnx=")).count();
    // Two batches and the probe, on two units.
    assert_eq!(built(&first), 6, "{first:#?}");
    let of_dla = |call: &&String| call.contains("--useDLACore=0 --allowGPUFallback --noDataTransfers");
    assert_eq!(first.iter().filter(|call| call.contains("--int8 --fp16")).filter(of_dla).count(), 3, "{first:#?}");

    printed(&command(&folder, "", &PROFILE).output().unwrap());
    assert_eq!(built(&calls(&folder)), 6, "engines are built once");
    let cold = command(&folder, "", &[&PROFILE[..], &["--cold"]].concat()).output().unwrap();
    assert!(String::from_utf8_lossy(&cold.stderr).contains("trtexec warms up and repeats what it times"));
    let other = ["--set", "devices.gpu.precision=\"fp32\""];
    printed(&command(&folder, "", &[&PROFILE[..], &other].concat()).output().unwrap());
    assert_eq!(built(&calls(&folder)), 9, "another precision is another engine");
}

#[test]
fn the_options_of_tensorrt_7_are_enough() {
    let folder = board();
    let mut profile = command(&folder, "", &[&PROFILE[..], &["--alone"]].concat());
    printed(&profile.env("STANDIN_VERSION", "7").output().unwrap());
    let calls = calls(&folder);
    assert!(calls.iter().all(|call| call.contains("--explicitBatch --exposeDMA")), "{calls:#?}");
    assert!(calls.iter().all(|call| !call.contains("--exportLayerInfo")), "{calls:#?}");
    let text = fs::read_to_string(folder.path().join("board.csv")).unwrap();
    assert!(text.contains(&format!("# software: {NAME}, in place of TensorRT of unknown version\n")), "{text}");
}

#[test]
fn a_replay_is_put_together_from_single_steps_and_never_valid() {
    let folder = board();
    fs::write(folder.path().join("board.csv"), TRACE).unwrap();
    let replay = printed(&command(&folder, "", &REPLAY).output().unwrap());
    let replay: Value = serde_json::from_str(&replay).unwrap();
    let replay = &replay["replay"];
    assert_eq!(replay["verdict"], "INVALID");
    assert_eq!((&replay["is_real"], &replay["is_assembled"]), (&false.into(), &true.into()));
    assert_eq!(replay["backend"], format!("no hardware ({NAME})"));
    assert_eq!(replay["runtime"], format!("{NAME}, in place of TensorRT 8.5.2"));
    let objections = replay["objections"].to_string();
    for objection in
        [&format!("{NAME} took the place of TensorRT"), "no plan ran as a whole: steps were timed one by one"]
    {
        assert!(objections.contains(objection), "{objections}");
    }
    let even = &replay["comparisons"][0];
    assert_eq!(
        (&even["strategy"], &even["difference"], &even["isolation"]),
        (&"even".into(), &Value::Null, &1.0.into())
    );
    // One sample on each: the DLA takes as long as trtexec says, and not as long as its processes.
    assert_eq!((&even["measured_ms"], &replay["comparisons"][1]["measured_ms"]), (&8.0.into(), &0.06.into()));
    let results = fs::read_dir(folder.path().join("results/board")).unwrap().next().unwrap().unwrap().path();
    let csv = fs::read_to_string(results.join("even/replay.csv")).unwrap();
    let line = csv.lines().find(|line| line.contains("dla0")).unwrap();
    assert!(line.ends_with(&format!("8000000,0.0000,assembled,\"{NAME}, in place of TensorRT 8.5.2\"")), "{csv}");
    let svg = fs::read_to_string(results.join("even/replay.svg")).unwrap();
    assert!(svg.contains(NAME) && svg.contains("dla0 assembled") && !svg.contains("dla0 measured"), "{svg}");
    let table = [&REPLAY[..7], &["--out", "table"]].concat();
    let table = printed(&command(&folder, "", &table).output().unwrap());
    for text in ["nothing was measured on hardware", "put together for the plan", "INVALID: ", NAME] {
        let flat = table.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(text), "{text} in {table}");
    }
}

#[test]
fn a_replay_mixes_cores_and_tensorrt_and_says_of_each_step_what_ran_it() {
    let folder = board();
    let core = available().unwrap()[0];
    let cores = format!("runtime = {{ cpu = {{ cores = \"{core}\" }} }}");
    let scenario = SCENARIO.replace("tensorrt = {}", &cores).replace("\"fp16\"", "\"fp32\"");
    fs::write(folder.path().join("board.toml"), &scenario).unwrap();
    fs::write(folder.path().join("board.csv"), TRACE.replace("fp16", "fp32")).unwrap();
    let mixed = ["run", "board.toml", "--replay", "--rounds", "1", "--format", "json"];
    let replay = printed(&command(&folder, "", &mixed).output().unwrap());
    let replay: Value = serde_json::from_str(&replay).unwrap();
    let replay = &replay["replay"];
    assert_eq!((&replay["verdict"], &replay["is_real"]), (&"INVALID".into(), &true.into()));
    assert_eq!(replay["unreal"], serde_json::json!(["dla0"]));
    let objections = replay["objections"].to_string();
    for objection in [&format!("{NAME} took the place of TensorRT"), "no hardware of `dla0` took part"] {
        assert!(objections.contains(objection), "{objections}");
    }
    let [even, alone] = [0, 1].map(|index| &replay["comparisons"][index]);
    assert_eq!(even["difference"], Value::Null, "half of the outputs are of TensorRT");
    assert!(alone["difference"].as_f64().unwrap() <= 1e-4, "cores alone compute all");
    let results = fs::read_dir(folder.path().join("results/board")).unwrap().next().unwrap().unwrap().path();
    let csv = fs::read_to_string(results.join("even/replay.csv")).unwrap();
    let line = |device: &str| csv.lines().find(|line| line.contains(device)).unwrap().to_owned();
    assert!(line("dla0").ends_with(&format!("assembled,\"{NAME}, in place of TensorRT 8.5.2\"")), "{csv}");
    assert!(line("gpu").contains("assembled,rten "), "{csv}");
    let neither = scenario.replace(&format!(", {cores}"), "");
    fs::write(folder.path().join("board.toml"), neither).unwrap();
    let output = command(&folder, "", &mixed).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("`gpu` does not say what runs it; write for example `runtime = {"), "{errors}");
}

#[test]
fn what_is_missing_is_said() {
    for (does, expected) in [
        ("call itself something else", "is not trtexec: the first line of its --help does not begin with"),
        ("lack int8", "has no --int8, which TensorRT on DLA core 0 with GPU fallback, int8 needs"),
        ("lack a DLA", "int8 does not run a single convolution: `"),
        ("lack a DLA", "failed (exit code 1): Cannot create DLA engine, 0 not available"),
    ] {
        let (_, errors) = refused(does, 2, &[]);
        assert!(errors.contains("tensorrt is not available: ") && errors.contains(expected), "{does}: {errors}");
    }
    let folder = board();
    let nowhere = folder.path().to_str().unwrap();
    let output = command(&folder, "", &PROFILE).env("PATH", nowhere).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let expected = "there is no trtexec in the folders of PATH, nor is there /usr/src/tensorrt/bin/trtexec; install";
    assert!(errors.contains(expected), "{errors}");
    let program = folder.path().join("trtexec");
    fs::copy(standin().join("trtexec"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
    let named = ["--trtexec", "./trtexec"];
    let output = command(&folder, "", &[&PROFILE[..], &named].concat()).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("`./trtexec` may not be executed; use `chmod +x ./trtexec`"), "{errors}");
}

#[test]
fn what_fails_is_passed_on() {
    for (does, expected) in [
        ("fail in a build", "net, batch 1, on `gpu`: `"),
        ("fail in a build", "failed (exit code 1): Error[4]: fire2: no kernel for this; all that it printed is in `"),
        ("fail in a run", "failed (exit code 1): Error[1]: cuDLA: the engine does not answer"),
        ("write no engine", "trtexec ended well, but wrote no engine"),
        ("cut a profile off", "the profile that trtexec wrote cannot be read: line "),
        ("cut times off", "the times that trtexec wrote cannot be read: line "),
        ("not go on", "it ended while another device was timed beside it"),
    ] {
        let (_, errors) = refused(does, 2, &[]);
        assert!(errors.contains(expected), "{does}: {errors}");
    }
}

#[test]
fn nothing_is_of_a_dla_that_has_run_nothing() {
    let (folder, errors) = refused("leave a DLA alone", 2, &["--alone"]);
    assert!(
        errors
            .contains("net, batch 1, on `dla0`: nothing of it ran on DLA core 0: by its profile, `QuantizeLinear_2`, "),
        "{errors}"
    );
    fs::write(folder.path().join("board.csv"), TRACE).unwrap();
    let output = command(&folder, "", &REPLAY).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "an engine that was built before is looked at again");
}

#[test]
fn what_hangs_is_stopped_and_leaves_nothing() {
    for does in ["hang in a build", "hang in a run"] {
        let (folder, errors) = refused(does, 2, &["--trtexec-limit", "2"]);
        assert!(errors.contains("did not end within 2 s and was stopped: "), "{errors}");
        assert!(end(&processes(&folder, "hangs")));
    }
}

#[test]
fn nothing_goes_on_after_an_interruption_or_a_kill() {
    for (signal, code) in [("-INT", Some(130)), ("-KILL", None)] {
        let folder = board();
        let mut profile = command(&folder, "hang in a build", &PROFILE);
        let mut profile = profile.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let hanging = processes(&folder, "hangs");
        assert!(Command::new("kill").args([signal, &profile.id().to_string()]).status().unwrap().success());
        assert_eq!(profile.wait().unwrap().code(), code);
        assert!(end(&hanging), "{signal}");
        // What a killed program left of a build is gone after the next one.
        printed(&command(&folder, "", &[&PROFILE[..], &["--alone"]].concat()).output().unwrap());
        let names = fs::read_dir(folder.path().join("engines")).unwrap();
        assert!(names.flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with('.')));
    }
}

/// The real one, where it is installed. Says that it is not, even where output is captured.
#[test]
#[allow(clippy::explicit_write, reason = "tests do not show what `eprintln` prints")]
fn trtexec_itself_times_a_network_where_it_is_there() {
    static GO_ON: AtomicBool = AtomicBool::new(false);
    let graph = zoo::graph("squeezenet_v1.1").unwrap();
    let unit = TensorrtUnit { dla_core: None, gpu_fallback: false, precision: Precision::Fp16 };
    let gpu = Device { runtime: Runtime::Tensorrt(unit), ..Device::new("gpu", DeviceKind::Igpu) };
    let platform = Platform::new([(gpu, Bytes(1 << 32))]);
    let engines = tempfile::tempdir().unwrap();
    let patience = Patience { limit: Duration::from_nanos(600_000_000_000), interrupted: &GO_ON };
    let network = Network { graph: graph.clone(), weights: Arc::new(Weights::Seeded(0)), home: None };
    let networks = Arc::new(Networks::new(vec![network], 1, 0).unwrap());
    let board = match Board::new(&platform, networks, engines.path(), None, patience) {
        Ok(board) => board,
        Err(reason) => return writeln!(std::io::stderr(), "skipped: trtexec: {reason}").unwrap(),
    };
    let work =
        Work { model: ModelId(0), segment: graph.whole().unwrap(), region: Region { samples: 0..1, rows: 0..1 } };
    assert!(board.standin().is_none() && board.time(DeviceId(0), &work).unwrap() > Duration::ZERO);
}
