//! One run of a program, bounded in time, and what it prints.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::replay::clock::{Clock, sleep};
use crate::units::Duration;

/// When a run is given up.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The longest time that one run may take.
    pub limit: Duration,
    /// Set when the user asks to stop.
    pub interrupted: &'static AtomicBool,
}

/// Why a run came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The user has asked to stop.
    Interrupted,
    /// What went wrong.
    Failed(String),
}

impl From<String> for Failure {
    fn from(reason: String) -> Failure {
        Failure::Failed(reason)
    }
}

/// A program that runs, with all that it has started. They end with this.
pub(super) struct ChildProcess {
    child: Child,
    /// Open as long as the program may run.
    lifeline: Option<ChildStdin>,
    name: String,
    log: PathBuf,
    clock: Clock,
}

/// Runs a program and kills it, with all that it has started, when the other end of the shell's input closes: because
/// the run is given up, or because coinfer has ended, however it did.
const KEEPER: &str = r#"
exec 3<&0 </dev/null
"$@" 3<&- &
program=$!
{ read -r _ <&3; kill -s KILL 0; } 2>/dev/null &
keeper=$!
wait "$program"
status=$?
kill -s KILL "$keeper"
exit "$status"
"#;

/// How often a run is looked at.
const GLANCE: Duration = Duration::from_nanos(10_000_000);
/// What is killed is gone by then, unless the kernel holds it.
const KILLED: Duration = Duration::from_nanos(5_000_000_000);
/// The most of an output that is read: 16 MiB.
const OUTPUT_MAX: u64 = 16 << 20;

impl ChildProcess {
    /// Starts `program`, which prints into the file `log`.
    pub(super) fn start(program: &Path, arguments: &[String], log: &Path) -> Result<ChildProcess, String> {
        let shown = |error: io::Error| format!("`{}` cannot be started: {error}", program.display());
        let output = File::create(log).map_err(|error| format!("cannot write `{}`: {error}", log.display()))?;
        let errors = output.try_clone().map_err(shown)?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", KEEPER, "sh"]).arg(program).args(arguments);
        command.stdin(Stdio::piped()).stdout(output).stderr(errors).process_group(0);
        let mut child = command.spawn().map_err(shown)?;
        let lifeline = child.stdin.take();
        let name = format!("`{}`", program.display());
        Ok(ChildProcess { child, lifeline, name, log: log.to_owned(), clock: Clock::start() })
    }

    /// Waits until it has ended well.
    pub(super) fn end(mut self, patience: &Patience) -> Result<(), Failure> {
        loop {
            if let Some(code) = self.code()? {
                return if code == Some(0) { Ok(()) } else { Err(self.failure(code).into()) };
            }
            self.pause(patience)?;
        }
    }

    /// Waits until it has printed `text`.
    pub(super) fn print(&mut self, text: &str, patience: &Patience) -> Result<(), Failure> {
        while !output(&self.log).contains(text) {
            if let Some(code) = self.code()? {
                return Err(self.failure(code).into());
            }
            self.pause(patience)?;
        }
        Ok(())
    }

    /// Its exit code once it has ended; `None` within if a signal has ended it.
    pub(super) fn code(&mut self) -> Result<Option<Option<i32>>, String> {
        let ended = self.child.try_wait().map_err(|error| format!("{} cannot be waited for: {error}", self.name))?;
        Ok(ended.map(|status| status.code()))
    }

    /// Sleeps for a moment, unless it is to be given up.
    fn pause(&self, patience: &Patience) -> Result<(), Failure> {
        if patience.interrupted.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted);
        }
        if self.clock.now().since_start() > patience.limit {
            let limit = patience.limit.as_secs_f64();
            let said = said(&output(&self.log));
            return Err(format!("{} did not end within {limit:.0} s and was stopped{said}", self.name).into());
        }
        sleep(GLANCE);
        Ok(())
    }

    fn failure(&self, code: Option<i32>) -> String {
        let code = code.map_or_else(|| "a signal".into(), |code| format!("exit code {code}"));
        format!("{} failed ({code}){}", self.name, said(&output(&self.log)))
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.lifeline.take();
        let clock = Clock::start();
        while matches!(self.child.try_wait(), Ok(None)) && clock.now().since_start() < KILLED {
            sleep(GLANCE);
        }
    }
}

/// What is in the file at `log`, as far as it is read.
pub(super) fn output(log: &Path) -> String {
    let mut bytes = Vec::new();
    // What cannot be read says nothing.
    drop(File::open(log).and_then(|file| file.take(OUTPUT_MAX).read_to_end(&mut bytes)));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Lines of an output that a message shows.
const LINES_MAX: usize = 3;
/// Letters of each of them.
const LETTERS_MAX: usize = 300;

/// What an output says of a failure, to follow other words: the first errors of TensorRT, or its last lines.
fn said(output: &str) -> String {
    let errors = output.lines().filter_map(|line| Some(line.split_once("[E] ")?.1.trim()));
    let mut lines: Vec<&str> = errors.filter(|line| !line.is_empty()).take(LINES_MAX).collect();
    if lines.is_empty() {
        let last = output.lines().rev().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("&&&&"));
        lines = last.take(LINES_MAX).collect();
        lines.reverse();
    }
    let line = |line: &&str| {
        let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
        line.chars().map(plain).take(LETTERS_MAX).collect::<String>()
    };
    let lines: Vec<String> = lines.iter().map(line).collect();
    if lines.is_empty() { String::new() } else { format!(": {}", lines.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Processes are started from outside, by `tests/it/tensorrt.rs`: here, they would hold locks of other tests for a
    // moment.

    #[test]
    fn the_first_errors_are_told_or_else_the_last_lines() {
        assert_eq!(said(""), "");
        assert_eq!(said("first\n\nsecond\nthird\nfourth\n&&&& FAILED\n"), ": second; third; fourth");
        assert_eq!(said("[01/01] [E] Error 1: no\n[E] \n[01/01] [I] then\n[01/01] [E] 2\t3\n"), ": Error 1: no; 2 3");
        assert_eq!(said(&"x".repeat(1000)).len(), LETTERS_MAX + 2);
    }
}
