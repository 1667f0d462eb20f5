//! The laboratory in a box, where namespaces can be made.

use std::io::Write;
use std::process::{Command, Output};

/// Runs `scripts/lab.sh` with the program under test.
fn lab(name: &str, arguments: &[&str]) -> Output {
    let root = env!("CARGO_MANIFEST_DIR");
    Command::new(format!("{root}/scripts/lab.sh"))
        .args(arguments)
        .env("COINFER", assert_cmd::cargo::cargo_bin!("coinfer"))
        .env("LAB_NAME", name)
        .env("LAB_MODEL", "gru-2x512")
        .env_remove("ORT_DYLIB_PATH")
        .output()
        .unwrap()
}

/// Why there can be no laboratory here.
fn missing() -> Option<String> {
    let make = "ip netns add coinfer-probe-a && ip netns del coinfer-probe-a";
    let script = format!("mount -t tmpfs tmpfs /run && {make}; tc -V && openssl version");
    let output = Command::new("unshare").args(["-Urnm", "bash", "-ec", &script]).output();
    match output {
        Err(error) => Some(format!("unshare: {error}")),
        Ok(output) if !output.status.success() => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Ok(_) => None,
    }
}

#[test]
#[allow(clippy::explicit_write, reason = "tests do not show what `eprintln` prints")]
fn boards_in_namespaces_are_profiled_over_tls_and_leave_nothing() {
    if let Some(reason) = missing() {
        writeln!(std::io::stderr(), "skipped: the laboratory in a box: {}", reason.trim()).unwrap();
        return;
    }
    let command = "coinfer profile \"$LAB_SCENARIO\" --batches 1 --repeats 1 --alone -o \"$LAB_DIR/lab.csv\" --quiet \
                   && cat \"$LAB_DIR/lab.csv\"";
    let output = lab("test", &["with", "2", "sh", "-c", command]);
    let (printed, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(
        printed.contains("board2,gru-2x512,whole,1,all,raw,1,") && printed.contains("slowed 16.0 times"),
        "{printed}"
    );

    assert_eq!(lab("test", &["with", "1", "false"]).status.code(), Some(1));
    let left = Command::new("ip").args(["netns", "list"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&left.stdout).contains("coinfer-test-"));
}
