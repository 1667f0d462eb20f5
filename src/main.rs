//! The `coinfer` command: parses its arguments and calls the one function that they ask for.

use std::process::ExitCode;

fn main() -> ExitCode {
    coinfer::cli::main()
}
