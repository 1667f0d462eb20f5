//! The `coinfer` command: parses its arguments and calls the one function that they ask for.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Keeps freed memory for a while, so that a step that runs again does not wait for fresh pages, and takes huge pages
/// where `MIMALLOC_ALLOW_LARGE_OS_PAGES=1` asks for them.
#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    coinfer::cli::main()
}
