//! Tells the program which commit it was built from, for the manifests of results.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rerun-if-changed=.git/logs/HEAD");
    let described = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output();
    // A build from a package has no repository; its manifests then name the version only.
    if let Some(commit) = described.ok().filter(|output| output.status.success()) {
        println!("cargo:rustc-env=COINFER_COMMIT={}", String::from_utf8_lossy(&commit.stdout).trim());
    }
}
