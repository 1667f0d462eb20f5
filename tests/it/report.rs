//! HTML reports, as a browser shows them.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::cargo::CommandCargoExt;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the program, which must succeed, and returns what it prints.
fn coinfer(arguments: &[&str]) -> String {
    let mut command = Command::cargo_bin("coinfer").unwrap();
    let output = command.current_dir(root()).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The only results folder below `out`.
fn folder(out: &Path) -> PathBuf {
    // A sweep has its journal beside it.
    let only = |path: &Path| {
        let mut entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| path.is_dir()).unwrap()
    };
    only(&only(out))
}

/// The file `name` in one of the folders of PATH.
fn found(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// `COINFER_CHROMIUM`, or a Chromium that is installed.
fn chromium() -> Result<PathBuf, String> {
    if let Some(named) = env::var_os("COINFER_CHROMIUM") {
        return Ok(named.into());
    }
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let found = names.iter().find_map(|name| found(name));
    found.ok_or_else(|| "no chromium; install one, or name it by COINFER_CHROMIUM".to_owned())
}

/// A report of a shipped sweep, one of a shipped run, and one of results whose names try to become part of the page.
fn reports(place: &Path) -> Vec<PathBuf> {
    let path = |name: &str| place.join(name).to_str().unwrap().to_owned();
    let batches = "load.offline.samples=1,2,4,8,16,32";
    coinfer(&["sweep", "scenarios/kcc2020-vgg16.toml", "--set", batches, "-q", "--out", &path("sweep")]);
    coinfer(&["run", "scenarios/kcc2020-vgg16.toml", "-q", "--out", &path("run")]);
    let evil = place.join("evil/scenario/run");
    fs::create_dir_all(&evil).unwrap();
    let name = "</script><script>console.error(1)</script><img src=x><b>";
    let manifest = serde_json::json!({"scenario": name, "settings": [[name, name]], "command": ["sweep", name]});
    fs::write(evil.join("manifest.json"), manifest.to_string()).unwrap();
    let results = format!(
        "rate,strategy,samples,makespan_ms,samples_per_s,qps,qps_low,qps_high,error\n\
         1,{name},1,9,3,1,0.5,1.5,\n2,{name},1,7,4,2,1.5,2.5,\n3,other,1,8,5,3,,,\n3,{name},,,,,,,{name}\n"
    );
    fs::write(evil.join("results.csv"), results).unwrap();
    let report = |name: &str| {
        let page = place.join(format!("{name}.html"));
        coinfer(&["report", folder(&place.join(name)).to_str().unwrap(), "-o", page.to_str().unwrap()]);
        page
    };
    ["sweep", "run", "evil"].map(report).to_vec()
}

#[test]
fn reports_work_in_a_browser_without_errors_or_requests() {
    let tools = chromium().and_then(|chromium| {
        let python = found("python3").ok_or("no python3, which drives the browser")?;
        Ok((chromium, python))
    });
    let (chromium, python) = match tools {
        Ok(tools) => tools,
        // To the terminal itself, since what a passing test prints is hidden.
        Err(reason) => return writeln!(std::io::stderr(), "skipped: reports in a browser: {reason}").unwrap(),
    };
    let place = tempfile::tempdir().unwrap();
    let pages = reports(place.path());
    let mut check = Command::new(python);
    check.arg(root().join("scripts/check_report.py")).arg(chromium).args(pages);
    let output = check.output().unwrap();
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(
        stdout,
        "sweep.html: 3 curves, 2 tables, 2 sorted by a click\nrun.html: 0 curves, 1 tables, 1 sorted by a click\n\
         evil.html: 2 curves, 3 tables, 1 sorted by a click\n"
    );
}

#[test]
fn equal_results_have_equal_reports_whenever_they_were_made() {
    let page = |place: &Path| {
        let out = place.to_str().unwrap();
        coinfer(&["run", "scenarios/kcc2020-vgg16.toml", "-q", "--out", out]);
        let folder = folder(place);
        let manifest = fs::read_to_string(folder.join("manifest.json")).unwrap();
        let other_time = manifest.replace("\"created\": \"2", "\"created\": \"1");
        fs::write(folder.join("manifest.json"), other_time).unwrap();
        fs::read_to_string(coinfer(&["report", folder.to_str().unwrap()]).trim_end()).unwrap()
    };
    let places = [(), ()].map(|()| tempfile::tempdir().unwrap());
    assert!(page(places[0].path()) == page(places[1].path()));
}
