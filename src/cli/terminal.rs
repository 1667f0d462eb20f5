//! What is printed where: results on standard output, everything else on standard error.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The process's output as the user asked for it.
pub(super) struct Terminal {
    quiet: bool,
    verbose: bool,
}

impl Terminal {
    pub(super) fn new(quiet: bool, verbose: bool) -> Terminal {
        Terminal { quiet, verbose }
    }

    /// Prints a result.
    pub(super) fn print(&self, text: impl AsRef<[u8]>) -> io::Result<()> {
        let mut output = io::stdout().lock();
        output.write_all(text.as_ref())?;
        output.flush()
    }

    /// Prints a result that need not fit into memory: what `write` writes.
    pub(super) fn print_with(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut output = BufWriter::new(io::stdout().lock());
        write(&mut output)?;
        output.flush()
    }

    /// Tells what happened, unless the user wants quiet.
    pub(super) fn tell(&self, text: &str) {
        if !self.quiet {
            self.error(text);
        }
    }

    /// Tells what only the curious want to know.
    pub(super) fn tell_more(&self, text: impl FnOnce() -> String) {
        if self.verbose {
            self.error(&text());
        }
    }

    /// Prints an error. That standard error is closed is no reason to fail.
    pub(super) fn error(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Prints why the program ends with this code.
    pub(super) fn fail(&self, reason: &str, code: u8) -> ExitCode {
        self.error(&format!("error: {reason}"));
        ExitCode::from(code)
    }

    /// Whether standard error shows colours: it is a terminal, and NO_COLOR is not set (<https://no-color.org>).
    pub(super) fn is_colored(&self) -> bool {
        io::stderr().is_terminal() && !is_color_refused()
    }

    /// Whether standard output shows bold text.
    pub(super) fn is_bold(&self) -> bool {
        io::stdout().is_terminal() && !is_color_refused()
    }

    /// A progress bar over `length` of `what`; it shows on a terminal only.
    pub(super) fn progress(&self, length: u64, what: &'static str) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        let style =
            ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}, {eta} left").expect("the template is valid");
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        bar.with_style(style).with_message(what)
    }
}

fn is_color_refused() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
