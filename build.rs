//! Tells the program which commit it was built from, for the manifests of results, and writes the glue of the service
//! that agents offer.

use std::process::Command;

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    println!("cargo:rerun-if-changed=.git/HEAD");
    println!("cargo:rerun-if-changed=.git/logs/HEAD");
    let described = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]).output();
    // A build from a package has no repository; its manifests then name the version only.
    if let Some(commit) = described.ok().filter(|output| output.status.success()) {
        println!("cargo:rustc-env=COINFER_COMMIT={}", String::from_utf8_lossy(&commit.stdout).trim());
    }
    Builder::new().compile(&[agent()]);
}

/// The service of agents; its messages are in `src/replay/wire/messages.rs`.
fn agent() -> Service {
    let method = |name: &str, route: &str| {
        Method::builder()
            .name(name)
            .route_name(route)
            .input_type(format!("crate::replay::wire::messages::{route}Request"))
            .output_type(format!("crate::replay::wire::messages::{route}Reply"))
            .codec_path("tonic_prost::ProstCodec")
    };
    Service::builder()
        .name("Agent")
        .package("coinfer.v1")
        .method(method("hello", "Hello").build())
        .method(method("status", "Status").build())
        .method(method("hold", "Hold").server_streaming().build())
        .method(method("open", "Open").build())
        .method(method("upload", "Upload").client_streaming().build())
        .method(method("run", "Run").build())
        .method(method("put", "Put").client_streaming().build())
        .method(method("get", "Get").server_streaming().build())
        .method(method("forward", "Forward").build())
        .build()
}
