//! The `coinfer` command: parses its arguments and calls the one function that they ask for.

use std::process::ExitCode;

use libmimalloc_sys::{mi_option_large_os_pages, mi_option_set_default, mi_option_t};
use mimalloc::MiMalloc;

#[global_allocator]
static MEMORY: MiMalloc = MiMalloc;

/// The setting of mimalloc 3 that says after how many milliseconds memory that is free goes back to the system.
const PURGE_DELAY: mi_option_t = 15;

fn main() -> ExitCode {
    keep_memory();
    coinfer::cli::main()
}

/// Lets the program keep what it frees, in huge pages where the system has them: steps that are timed find the memory of
/// those before them, and do not wait for pages, which a virtual machine's host may have taken back. Variables of mimalloc,
/// such as `MIMALLOC_PURGE_DELAY`, go before.
#[allow(unsafe_code)]
fn keep_memory() {
    // SAFETY: any number is sound for any setting, and no other thread runs yet.
    unsafe {
        mi_option_set_default(PURGE_DELAY, -1);
        mi_option_set_default(mi_option_large_os_pages, 1);
    }
}
